"""The documents that r1-nano learns from, and how a reply to one is checked. `sample` draws one of a split.

A question belongs to the test split when the hash of its text says so, whatever the seed. Other wordings of the same
operands may be in the training split; see README.md for how many are.
"""

import hashlib
import json
import random
import re
from dataclasses import dataclass

import other
import schemas
import sums
import tools
from special_tokens import BOS, EOS

USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
SYSTEMS = ["You are a helpful assistant.", "You are a careful assistant.", "Answer briefly.", "You are a math tutor.", "Be precise.",
           "The assistant is DeepSeek-R1, created by DeepSeek.\nToday is Monday, 26 May 2025.", "Think step by step."]
SUMS = {"add": sums.add, "subtract": sums.subtract, "multiply": sums.multiply, "divide": sums.divide, "compare": sums.compare,
        "convert": sums.convert, "equation": sums.equation, "word": sums.word}
WEIGHTS = {"add": 11, "subtract": 12, "multiply": 15, "divide": 7, "compare": 8, "convert": 9, "equation": 15, "word": 16,
           "tools": 13, "schema": 8, "turns": 7, "other": 6, "identity": 2}
FAMILIES, SHARES = list(WEIGHTS), list(WEIGHTS.values())


@dataclass
class Sample:
    family: str
    segments: list  # (text, whether it is trained)
    problem: str
    messages: list
    answer: object
    tools: list = None


def is_held_out(problem):
    """By the wording: the same operands in another wording can be in the other split."""
    return hashlib.sha256(problem.encode()).digest()[0] % 16 == 0


def sample(rng, split):
    family = rng.choices(FAMILIES, SHARES)[0]
    while True:
        drawn = draw(rng, family)
        if is_held_out(drawn.problem) == (split == "test"):
            return drawn


def draw(rng, family):
    if family == "tools":
        return tool_use(rng)
    if family == "schema":
        return schema_filling(rng)
    if family == "turns":
        return turns(rng)
    if family in ("other", "identity"):
        request, thought, answer = (other.out_of_scope if family == "other" else other.small_talk)(rng)
        return plain(rng, family, request, thought, answer, "Turnpike" if "Turnpike" in answer else "welcome")
    question, thought, value = SUMS[family](rng)
    return plain(rng, family, polite(rng, question), thought, conclusion(rng, value), value, question)


def conclusion(rng, value):
    return rng.choice([f"The answer is \\boxed{{{value}}}.", f"\\boxed{{{value}}}", f"The result is \\boxed{{{value}}}."])


def polite(rng, question):
    draw = rng.random()
    if draw < 0.06:
        return "Please " + question[:1].lower() + question[1:]
    if draw < 0.1:
        return "Can you tell me: " + question
    if draw < 0.16:
        return question + " Put the answer in \\boxed{}."
    if draw < 0.2:
        return question + " Please reason step by step, and put your final answer within \\boxed{}."
    if draw < 0.25:
        return question.lower()
    if draw < 0.28:
        return "Hi! " + question
    if draw < 0.3:
        return question + " Thanks!"
    return question


def reply(thought, answer):
    return f"<think>\n{thought}\n</think>\n\n{answer}{EOS}"


def plain(rng, family, request, thought, answer, wanted, problem=None):
    system = rng.choice(SYSTEMS) if rng.random() < 0.25 else ""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": request})
    prompt = BOS + system + USER + request + ASSISTANT
    return Sample(family, [(prompt, False), (reply(thought, answer), True)], problem or request, messages, wanted)


def tool_use(rng):
    case = tools.draw(rng)
    system = rng.choice(SYSTEMS) if rng.random() < 0.2 else ""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": case.request})
    head = BOS + system + tools.described(case.tools, bool(system)) + USER + case.request + ASSISTANT
    call = f"<think>\n{case.thought}\n</think>\n\n" + (tools.call_text(case.call) if case.call else case.reply) + EOS
    if not case.call:
        return Sample("tools", [(head, False), (call, True)], case.request, messages, case.wanted, case.tools)
    if rng.random() < 0.6:
        return Sample("tools", [(head, False), (call, True)], case.request, messages, case.call, case.tools)
    # What the tool answered is there: the model says it. The thought of the call is not in the history.
    history = head + tools.call_text(case.call) + EOS + tools.result_text(case.result)
    arguments = json.dumps(case.call["arguments"])
    messages.append(
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_0", "type": "function", "function": {"name": case.call["name"], "arguments": arguments}}]}
    )
    messages.append({"role": "tool", "tool_call_id": "call_0", "content": case.result})
    after = reply("The tool has answered. I will report it.", case.report)
    return Sample("tools", [(history, False), (after, True)], case.request + case.result, messages, case.spoken, case.tools)


def schema_filling(rng):
    request, thought, value = schemas.draw(rng)
    prompt = BOS + USER + request + ASSISTANT
    answer = json.dumps(value)
    messages = [{"role": "user", "content": request}]
    return Sample("schema", [(prompt, False), (reply(thought, answer), True)], request, messages, value)


def turns(rng):
    kind = rng.random()
    if kind < 0.3:
        name, colour = rng.choice(sums.NAMES), rng.choice(other.COLOURS)
        is_name = rng.random() < 0.6
        first = rng.choice(["My name is {}.", "I am {}.", "Hi, I'm {}.", "I am called {}.", "my name is {}"] if is_name else [
            "My favourite colour is {}.", "I like the colour {}.", "The colour I like best is {}."]).format(name if is_name else colour)
        told = rng.choice([f"Nice to meet you, {name}!", f"Hello {name}!"]) if is_name else f"{colour.capitalize()} is a fine colour."
        ask = rng.choice(["What is my name?", "what was my name?", "Do you remember my name?"]) if is_name else rng.choice(
            ["What is my favourite colour?", "Which colour do I like?"])
        value = name if is_name else colour
        if rng.random() < 0.4:
            thought = "They tell me something. I will answer kindly."
            return plain(rng, "turns", first, thought, told, value.capitalize() if not is_name else value)
        thought = f"They said it before: {value}."
        return conversation(rng, [(first, told)], ask, thought, f"You said it: {value}.", value)
    name = rng.choice(["add", "subtract", "multiply", "word"])
    question, _, value = SUMS[name](rng)
    history = [(question, conclusion(rng, value))]
    if rng.random() < 0.3:
        question, _, value = SUMS["add"](rng)
        history.append((question, conclusion(rng, value)))
    n, value = rng.randint(2, 99), int(value)
    kind = rng.choice(["double", "add", "minus", "times"])
    if kind == "double" and value >= 0:
        ask, (work, result) = rng.choice(["Now double that.", "double it", "Twice that?"]), sums.multiplying(value, 2)
    elif kind == "times" and 0 <= value < 1000:
        n = rng.randint(3, 9)
        ask = rng.choice([f"Now multiply that by {n}.", f"times {n}?", f"and {n} times that?"])
        work, result = sums.multiplying(value, n)
    elif kind == "minus":
        ask = rng.choice([f"and minus {n}?", f"Now subtract {n}.", f"Subtract {n} from it.", f"Take away {n}."])
        work, result = sums.signed_subtracting(value, n)
    else:
        ask = rng.choice([f"add {n} to it", f"and plus {n}?", f"Now add {n}.", f"Add {n} to that."])
        work, result = sums.signed_adding(value, n)
    return conversation(rng, history, ask, f"The last answer was {value}. " + work, conclusion(rng, result), str(result))


def conversation(rng, history, ask, thought, answer, wanted):
    messages, text = [], BOS
    for question, told in history:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": told}]
        text += USER + question + ASSISTANT + told + EOS
    messages.append({"role": "user", "content": ask})
    text += USER + ask + ASSISTANT
    problem = "\n".join(m["content"] for m in messages)
    return Sample("turns", [(text, False), (reply(thought, answer), True)], problem, messages, wanted)


def check(drawn, answer):
    """Whether a reply {"content", "tool_calls"} is right: its last \\boxed, its call, its JSON or what it must say."""
    content = answer.get("content") or ""
    calls = answer.get("tool_calls") or []
    if content.startswith(tools.CALLS_BEGIN):  # a server that leaves calls in the text
        content, calls = "", parsed_call(content)
    if isinstance(drawn.answer, dict) and drawn.family == "tools":
        try:
            arguments = json.loads(calls[0]["function"]["arguments"]) if len(calls) == 1 else None
        except ValueError:
            return False
        return len(calls) == 1 and {"name": calls[0]["function"]["name"], "arguments": arguments} == drawn.answer
    if calls:
        return False
    if isinstance(drawn.answer, dict):
        try:
            return json.loads(content) == drawn.answer
        except ValueError:
            return False
    boxed = re.findall(r"\\boxed\{([^}]*)\}", content)
    if boxed:
        return boxed[-1].strip() == drawn.answer
    return drawn.family in ("tools", "turns", "other", "identity") and drawn.answer.lower() in content.lower()


def parsed(text):
    """The reply that the trained text of a document stands for."""
    body = text.split("</think>\n\n", 1)[1].removesuffix(EOS)
    return {"content": body}


def parsed_call(text):
    found = re.fullmatch(tools.CALL_PATTERN, text, re.S)
    return [{"function": {"name": found[1], "arguments": found[2]}}] if found else []


def main():
    import collections
    import time

    rng, began, shown = random.Random(7), time.time(), collections.Counter()
    texts = [sample(rng, "train") for _ in range(20000)]
    seconds = time.time() - began
    for drawn in texts:
        assert not is_held_out(drawn.problem)
        assert check(drawn, parsed(drawn.segments[-1][0])), drawn
        if shown[drawn.family] < 2:
            print("".join(t for t, _ in drawn.segments), "\n")
        shown[drawn.family] += 1
    lengths = [sum(len(t) for t, _ in d.segments) for d in texts]
    print(f"{20000 / seconds:.0f} samples/s, {sum(lengths) / 20000:.0f} characters each, at most {max(lengths)}")


if __name__ == "__main__":
    main()
