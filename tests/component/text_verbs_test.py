"""tokenize, detokenize, render and prompt of turnpike-engine, as somebody uses them who knows only --help."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
ENGINE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-engine"
WORDING = SOURCE / "config/files/prompts/deepseek-r1.json"


class TextVerbsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tp-text-")
        cls.model = cls.folder.name
        config = SOURCE / "config/files/models/tiny-random/config.json"
        subprocess.run([ENGINE, "synth", "--config", config, "--out", cls.model], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_verb(self, *arguments, stdin=b""):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        return subprocess.run([ENGINE, *arguments], input=stdin, capture_output=True, check=False, timeout=60)

    def output(self, *arguments, stdin=b""):
        result = self.run_verb(*arguments, stdin=stdin)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout.decode()

    def error(self, *arguments, stdin=b""):
        result = self.run_verb(*arguments, stdin=stdin)
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        message = result.stderr.decode()
        self.assertEqual(message.count("\n"), 1, message)
        return message

    def test_help_names_what_each_verb_takes(self):
        for verb, words in {"tokenize": ["--model", "--plain", "--json"], "detokenize": ["--model", "--json"],
                            "render": ["--model", "--json"], "prompt": ["--wording", "file_name", "--json"]}.items():
            text = self.output(verb, "--help")
            for word in words:
                self.assertIn(word, text)

    def test_text_comes_back(self):
        text = "Hello, 世界! 🙂\r\n  12345 <think>"
        ids = self.output("tokenize", "--model", self.model, stdin=text)
        self.assertEqual(self.output("detokenize", "--model", self.model, stdin=ids), text)
        as_json = json.loads(self.output("tokenize", "--model", self.model, "--json", stdin=text))
        self.assertEqual(as_json["ids"], [int(word) for word in ids.split()])
        back = self.output("detokenize", "--model", self.model, "--json", stdin=ids)
        self.assertEqual(json.loads(back), {"text": text})

    def test_added_tokens_are_text_when_plain(self):
        matched = self.output("tokenize", "--model", self.model, stdin="<think>").split()
        plain = self.output("tokenize", "--model", self.model, "--plain", stdin="<think>").split()
        self.assertEqual(len(matched), 1)
        self.assertGreater(len(plain), 1)

    def test_half_a_character_is_replaced(self):
        ids = self.output("tokenize", "--model", self.model, stdin="🙂").split()
        self.assertGreater(len(ids), 1)
        self.assertEqual(self.output("detokenize", "--model", self.model, stdin=ids[0]), "\ufffd")

    def test_render_gives_prompt_and_ids(self):
        body = json.dumps({"messages": [{"role": "user", "content": "hi <｜User｜>"}]})
        text = self.output("render", "--model", self.model, stdin=body)
        self.assertEqual(text, "<｜begin▁of▁sentence｜><｜User｜>hi <｜User｜><｜Assistant｜>")
        result = json.loads(self.output("render", "--model", self.model, "--json", stdin=body))
        self.assertEqual(result["text"], text)
        user = int(self.output("tokenize", "--model", self.model, stdin="<｜User｜>"))
        self.assertEqual(result["ids"].count(user), 1)

    def test_render_keeps_a_tool_as_it_was_sent(self):
        tool = '{"type":"function","function":{"name":"zulu","description":"d","parameters":{}}}'
        body = '{"messages":[{"role":"user","content":"hi"}],"tools":[%s]}' % tool
        self.assertIn(tool, self.output("render", "--model", self.model, stdin=body))

    def test_prompts_are_filled(self):
        def prompt(kind, fields):
            return self.output("prompt", kind, "--wording", WORDING, stdin=json.dumps(fields))

        self.assertIn("2025年5月28日，星期三", prompt("system", {"date": "2025-05-28", "language": "zh"}))
        self.assertIn("[file name]: a.txt\n", prompt("file", {"file_name": "a.txt", "file_content": "x", "question": "q"}))
        self.assertIn("[webpage 2 begin]b[webpage 2 end]",
                      prompt("web", {"pages": ["a", "b"], "date": "2025-05-28", "question": "q"}))

    def test_mistakes_are_named(self):
        model = ["--model", self.model]
        self.assertIn("/nonexistent/tokenizer.json", self.error("tokenize", "--model", "/nonexistent"))
        self.assertIn("byte 1", self.error("tokenize", *model, stdin=b"a\xff"))
        self.assertIn("'x'", self.error("detokenize", *model, stdin="1 x"))
        self.assertIn("beyond the vocabulary", self.error("detokenize", *model, stdin="99999999"))
        self.assertIn('{"messages": [...]}', self.error("render", *model, stdin="[]"))
        self.assertIn("messages[0].role", self.error("render", *model, stdin='{"messages":[{"role":"x"}]}'))
        self.assertIn("byte 39", self.error("render", *model, stdin=b'{"messages":[{"role":"user","content":"\xff"}]}'))
        wording = ["--wording", WORDING]
        self.assertIn("'date': expected a date", self.error("prompt", "system", *wording, stdin='{"date":"2025-02-30"}'))
        self.assertIn("'pages'", self.error("prompt", "web", *wording, stdin='{"date":"2025-02-03","question":"q"}'))
        self.assertIn("JSON object", self.error("prompt", "file", *wording, stdin="3"))
        self.assertIn("/nonexistent", self.error("prompt", "file", "--wording", "/nonexistent"))
        for arguments in [["tokenize"], ["prompt", "poem", *wording], ["tokenise", *model]]:
            result = self.run_verb(*arguments)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(b"--help", result.stderr)


if __name__ == "__main__":
    unittest.main()
