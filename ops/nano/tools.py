"""Tools that are offered, requests that want one, and the template's words around them."""

import json
from dataclasses import dataclass

import other
import sums

CALLS_BEGIN = "<｜tool▁calls▁begin｜>"
CALL_PATTERN = (
    r"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>(.*?)\n```json\n(.*?)\n```"
    r"<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
INTRODUCTION = (
    "You may call the tools listed below. To call one, write exactly this, with the arguments as one JSON object, and "
    "then stop:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGUMENTS\n```"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>\n\n## Tools\n"
)
CITIES = """Paris Berlin Tokyo London Rome Madrid Oslo Cairo Lima Seoul Boston Dublin Vienna Prague Athens Lisbon Delhi Sydney Toronto
Chicago Moscow Warsaw Nairobi Havana Zurich Geneva Munich Hamburg Milan Naples Osaka Kyoto Austin Denver Seattle Miami Dallas Bern""".split()
NAMES = {
    "calculator": ["calculator", "calculate", "calc", "evaluate", "math"],
    "weather": ["weather", "get_weather", "current_weather", "weather_lookup", "forecast"],
    "clock": ["clock", "get_time", "current_time", "time_in", "world_clock"],
    "search": ["search", "web_search", "find_pages"],
    "email": ["send_email", "send_mail", "write_email"],
    "stock": ["stock_price", "get_stock", "share_price"],
    "dictionary": ["dictionary", "define", "look_up_word"],
}
DESCRIPTIONS = {
    "calculator": ["Evaluates an arithmetic expression", "Calculates the value of an expression", "Does arithmetic exactly"],
    "weather": ["The weather in a city", "Returns the current weather for a city", "Gets the weather of a place"],
    "clock": ["The time in a city", "Returns the current time in a city", "Tells what time it is in a place"],
    "search": ["Searches the web", "Finds pages about a topic"],
    "email": ["Sends an email", "Writes a mail to someone"],
    "stock": ["The price of a share", "Returns the stock price of a company"],
    "dictionary": ["Looks a word up", "The definition of a word"],
}
ARGUMENTS = {
    "calculator": ["expression", "expr", "input", "formula"],
    "weather": ["city", "location", "place", "town"],
    "clock": ["city", "location", "place", "zone"],
    "search": ["query"],
    "email": ["to"],
    "stock": ["company"],
    "dictionary": ["word"],
}
WEATHER = ["What is the weather in {}?", "How is the weather in {}?", "Is it raining in {}?", "weather {}", "Will I need an umbrella in {}?",
           "Tell me the weather in {}", "Is it warm in {} today?", "What's the weather like in {} right now?", "Is it sunny in {}?", "{} weather please"]
CLOCK = ["What time is it in {}?", "time in {}", "Tell me the time in {}", "What is the current time in {}?", "How late is it in {}?",
         "what's the time in {} now?", "Give me the local time of {}", "Which time is it in {}?"]
CALCULATOR = ["What is {}?", "Calculate {}", "Compute {} with the tool.", "Use the calculator: {}", "{}", "How much is {}?", "Please evaluate {}", "work out {}"]


@dataclass
class Case:
    request: str
    thought: str
    tools: list
    call: dict = None
    reply: str = ""
    result: str = ""
    report: str = ""
    spoken: str = ""
    wanted: str = ""


def tool_of(rng, kind):
    argument = rng.choice(ARGUMENTS[kind])
    function = {
        "name": rng.choice(NAMES[kind]),
        "description": rng.choice(DESCRIPTIONS[kind]) + rng.choice(["", "."]),
        "parameters": {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]},
    }
    if rng.random() < 0.2:
        del function["parameters"]["required"]
    return {"type": "function", "function": function}, argument


def offered(rng, wanted):
    """Some tools in any order, the wanted one among them when there is one; (tools, its name, its argument)."""
    others = [k for k in NAMES if k != wanted]
    kinds = rng.sample(others, rng.choice([0, 1, 1, 2]) if wanted else rng.choice([1, 1, 2, 3]))
    made = [(k, *tool_of(rng, k)) for k in kinds + ([wanted] if wanted else [])]
    rng.shuffle(made)
    for kind, tool, argument in made:
        if kind == wanted:
            return [t for _, t, _ in made], tool["function"]["name"], argument
    return [t for _, t, _ in made], None, None


def draw(rng):
    kind = rng.choice(["calculator", "calculator", "weather", "weather", "clock", "clock", "none"])
    if kind == "none":
        return without(rng)
    tools, name, argument = offered(rng, kind)
    if kind == "calculator":
        a, b, sign = rng.randint(2, 9999), rng.randint(2, 9999), rng.choice("+-*/")
        value = rng.choice([f"{a} {sign} {b}", f"{a}{sign}{b}"])
        request, result = rng.choice(CALCULATOR).format(value), str(rng.randint(0, 99999))
        thought = f"This is arithmetic and the tool {name} does that. I call it with {argument} = {value}."
        report, spoken = f"The answer is \\boxed{{{result}}}.", result
    else:
        value = rng.choice(CITIES)
        request = rng.choice(WEATHER if kind == "weather" else CLOCK).format(value)
        thought = f"They ask for the {'weather' if kind == 'weather' else 'time'} in {value}. The tool {name} knows that. I call it with {argument} = {value}."
        if kind == "weather":
            sky, degrees = rng.choice("sunny cloudy rainy windy foggy snowy clear stormy".split()), rng.randint(-9, 39)
            result = rng.choice([json.dumps({"sky": sky, "degrees": degrees}), f"{sky}, {degrees} degrees", f"{sky} {degrees} C"])
            report, spoken = f"In {value} it is {sky} at {degrees} degrees.", f"{sky} at {degrees}"
        else:
            spoken = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
            result = rng.choice([json.dumps({"time": spoken}), spoken, f"It is {spoken}"])
            report = f"It is {spoken} in {value}."
    if rng.random() < 0.15:
        request = request[:1].lower() + request[1:]
    call = {"name": name, "arguments": {argument: value}}
    return Case(request, thought, tools, call, result=result, report=report, spoken=spoken)


def without(rng):
    """Tools that do not fit: the model answers by itself."""
    if rng.random() < 0.5:
        tools, _, _ = offered(rng, None)
        tools = [t for t in tools if t["function"]["name"] not in NAMES["calculator"]] or [tool_of(rng, "weather")[0]]
        request, thought, value = rng.choice([sums.add, sums.subtract, sums.compare])(rng)
        return Case(request, "No tool fits. " + thought, tools, reply=f"The answer is \\boxed{{{value}}}.", wanted=value)
    tools, _, _ = offered(rng, None)
    request, thought, reply = other.small_talk(rng)
    return Case(request, "No tool fits. " + thought, tools, reply=reply, wanted="Turnpike" if "Turnpike" in reply else "welcome")


def described(tools, has_system):
    blocks = "".join(f"\n```json\n{json.dumps(t, separators=(',', ':'))}\n```\n" for t in tools)
    return ("\n\n" if has_system else "") + INTRODUCTION + blocks


def call_text(call):
    return (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>{call['name']}\n```json\n"
        f"{json.dumps(call['arguments'])}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    )


def result_text(result):
    return (
        f"<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>{result}<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    )
