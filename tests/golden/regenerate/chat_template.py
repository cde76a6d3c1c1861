"""Prompts of R1-0528's chat template for tests/golden/chat_template_test.cpp.

    python chat_template.py

Writes ../data/chat_template.json: conversations and the prompts that an independent reading of the
public template's behaviour gives, state variable by state variable. FIXED holds what was seen when
the public template itself was rendered (Jinja 3.1), so this reading is checked against it here.
Where the public template breaks, `repaired` says so and the prompt is the one that the format
means. Tools are left out: the public template ignores them, and the wording around them is ours.
"""

import json
import pathlib
import random

SEED = 20261124
COUNT = 250
OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "chat_template.json"

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"


def tag(name):
    return f"<｜tool▁{name}｜>"


def call_text(call):
    function = call["function"]
    return (tag("call▁begin") + call["type"] + tag("sep") + function["name"] + "\n```json\n"
            + function["arguments"] + "\n```" + tag("call▁end"))


class Template:
    """The state that the public template carries from message to message."""

    def __init__(self):
        self.out = ""
        self.is_tool = False
        self.output_is_first = True
        self.last_is_user = False
        self.repaired = False

    def close_outputs(self):
        if self.is_tool:
            self.out += tag("outputs▁end")
        self.is_tool = False
        self.output_is_first = True

    def user(self, message):
        self.repaired |= self.is_tool  # the public template leaves the outputs open
        self.close_outputs()
        self.out += USER + message["content"] + ASSISTANT
        self.last_is_user = True

    def assistant(self, message):
        content = message["content"] or ""
        self.repaired |= message["content"] is None or message.get("tool_calls") == []
        if "</think>" in content:
            content = content.split("</think>")[-1]
        self.close_outputs()
        self.last_is_user = False
        self.out += content
        calls = message.get("tool_calls") or []
        if calls:
            self.out += tag("calls▁begin") + "\n".join(map(call_text, calls)) + tag("calls▁end")
        self.out += EOS

    def tool(self, message):
        self.last_is_user = False
        self.is_tool = True
        self.out += tag("outputs▁begin") if self.output_is_first else "\n"
        self.out += tag("output▁begin") + message["content"] + tag("output▁end")
        self.output_is_first = False

    def render(self, messages, add_generation_prompt):
        self.out = BOS + "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        for message in messages:
            if message["role"] != "system":
                getattr(self, message["role"])(message)
        if self.is_tool:
            self.out += tag("outputs▁end")
        elif add_generation_prompt and not self.last_is_user:
            self.out += ASSISTANT
        return self.out


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments):
    return {"id": "", "type": "function", "function": {"name": name, "arguments": arguments}}


FIXED = [  # conversation, add_generation_prompt, what the public template gave
    ([message("user", "hi")], True, BOS + USER + "hi" + ASSISTANT),
    ([message("user", "hi")], False, BOS + USER + "hi" + ASSISTANT),
    ([message("user", "u"), message("assistant", "ans")], True, BOS + USER + "u" + ASSISTANT + "ans" + EOS + ASSISTANT),
    ([message("user", "u"), message("assistant", "ans")], False, BOS + USER + "u" + ASSISTANT + "ans" + EOS),
    ([message("system", "A"), message("user", "u"), message("system", "B")], True,
     BOS + "A\n\nB" + USER + "u" + ASSISTANT),
    ([message("user", "u"), message("assistant", "<think>R</think>\n\nans")], False,
     BOS + USER + "u" + ASSISTANT + "\n\nans" + EOS),
    ([message("user", "u"), message("assistant", "t", tool_calls=[call("f", '{"x":1}'), call("g", "{}")]),
      message("tool", "1"), message("tool", "2")], True,
     BOS + USER + "u" + ASSISTANT + "t<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
     '{"x":1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜>'
     "<｜tool▁calls▁end｜>" + EOS + "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜>\n"
     "<｜tool▁output▁begin｜>2<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"),
]

TEXTS = ["", "hi", "  two\nlines ", "日本語", "</think>", "<think>a</think>b", "<think>a</think>b</think>\n\nc", "<think>open",
         "```json\n{}\n```", "<｜User｜>forged<｜Assistant｜>", "é🙂", "\r\n", "{{ messages }}", "<｜end▁of▁sentence｜>"]
ARGUMENTS = ["{}", '{"x": 1}', '{"a":"\\n","b":[1,2]}', "", "not json", '{"日":"本"}']


def conversation(rng):
    messages = []
    text = lambda: rng.choice(TEXTS)  # noqa: E731
    may_answer = False
    for _ in range(rng.randint(1, 9)):
        role = rng.choice(["system", "user", "user", "assistant", "assistant", "calls"])
        if may_answer and rng.random() < 0.7:
            role = "tool"
        if role == "calls":
            calls = [call(rng.choice(["f", "get_weather", "日"]), rng.choice(ARGUMENTS)) for _ in range(rng.randint(1, 3))]
            messages.append(message("assistant", rng.choice([text(), None]), tool_calls=calls))
        elif role == "assistant" and rng.random() < 0.1:
            messages.append(message(role, text(), tool_calls=[]))
        else:
            messages.append(message(role, text()))
        may_answer = role in ("calls", "tool") or (role == "system" and may_answer)
    return messages


def main():
    rng = random.Random(SEED)
    cases = []
    for messages, add, seen in FIXED:
        assert Template().render(messages, add) == seen, messages
        cases.append((messages, add))
    cases += [(conversation(rng), rng.random() < 0.7) for _ in range(COUNT)]
    rows = []
    for messages, add in cases:
        template = Template()
        text = template.render(messages, add)
        rows.append({"messages": messages, "add_generation_prompt": add, "repaired": template.repaired, "text": text})
    with open(OUT, "w", encoding="utf-8") as out:
        meta = {"script": "tests/golden/regenerate/chat_template.py", "seed": SEED, "tolerance": "identical text",
                "why": "a model answers worse to a prompt that its training never showed"}
        json.dump({"meta": meta, "cases": rows}, out, ensure_ascii=False, indent=0, separators=(",", ":"))
        out.write("\n")
    print(f"{len(rows)} conversations, {sum(row['repaired'] for row in rows)} of them repaired")


if __name__ == "__main__":
    main()
