#!/usr/bin/env python3
"""turnpike-chat as a process, against a scripted HTTPS gateway: answers, refusals, servers that die,
Ctrl-C, and conversations on a terminal."""
import contextlib
import http.server
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

BIN_DIR = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
DEADLINE_S = 20
R1 = "deepseek-ai/DeepSeek-R1"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "reasoning_tokens": 1}
# 7 * 3,000 + 3 * 7,000 nano-dollars.
COST = "0.000042 USD"
MODELS = {"object": "list", "data": [
    {"id": R1, "pricing": {"input": 3.00, "output": 7.00, "cached_input": 3.00}},
    {"id": "turnpike/tiny-random"}]}
VARIABLES = ("TURNPIKE_BASE_URL", "TURNPIKE_API_KEY", "TURNPIKE_CA_CERT", "NO_COLOR")


def chunk(finish_reason=None, **delta):
    return {"id": "req-1", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


ANSWER = [chunk(reasoning="hm"), chunk(content="Hello"), chunk(content=" there", finish_reason="stop"),
          {"id": "req-1", "choices": [], "usage": USAGE}]


class Reply:
    """What a script can do with one request."""

    def __init__(self, handler, body):
        self.handler = handler
        self.body = body
        self.authorization = handler.headers.get("authorization")

    def refuse(self, status, message, **headers):
        self.whole(status, {"id": "req-9", "error": {"message": message, "type": "t", "param": None,
                                                     "code": None}}, **headers)

    def whole(self, status, body, **headers):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.handler.send_response(status)
        self.handler.send_header("content-length", str(len(text)))
        self.handler.send_header("x-request-id", "req-1")
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.handler.wfile.write(text)

    def begin(self):
        self.handler.send_response(200)
        self.handler.send_header("content-type", "text/event-stream")
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.send_header("x-request-id", "req-1")
        self.handler.end_headers()

    def events(self, *events):
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            text = f"data: {data}\n\n".encode()
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def end(self):
        self.handler.wfile.write(b"0\r\n\r\n")

    def stream(self, *events):
        self.begin()
        self.events(*events, "[DONE]")
        self.end()

    def die(self):
        self.handler.close_connection = True
        self.handler.connection.close()

    def wait_for_end(self):
        """Whether the client closes its connection in time."""
        self.handler.connection.settimeout(DEADLINE_S)
        with contextlib.suppress(OSError):
            return self.handler.connection.recv(1) == b""
        return False


class FakeGateway:
    """HTTPS on a port of its own. `script(reply)` answers each chat."""

    def __init__(self, folder, script):
        self.ca = folder / "ca.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key",
                        "-out", self.ca], check=True, capture_output=True)
        self.script = script
        self.models = MODELS
        self.requests = []
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                reply = Reply(self, None)
                if self.path == "/v1/models" and gateway.models is not None:
                    reply.whole(200, gateway.models)
                else:
                    reply.refuse(404, f"no {self.path} here")

            def do_POST(self):
                length = int(self.headers["content-length"])
                reply = Reply(self, json.loads(self.rfile.read(length)))
                gateway.requests.append(reply)
                if self.path != "/v1/chat/completions":
                    reply.refuse(404, f"no {self.path} here")
                else:
                    gateway.script(reply)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a client that leaves in the middle is what some tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, folder / "key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, command, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, environment)
        self.text = ""
        self.seen = 0

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, marker):
        """What came since the last call, up to `marker`; fails after the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while (at := self.text.find(marker, self.seen)) < 0:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {marker!r} in {self.text[self.seen:]!r}")
            try:
                self.text += os.read(self.fd, 4096).decode()
            except OSError as end:  # a pseudo-terminal's end of file
                raise AssertionError(f"ended before {marker!r}: {self.text!r}") from end
        begin, self.seen = self.seen, at + len(marker)
        return self.text[begin:self.seen]

    def wait(self):
        with contextlib.suppress(OSError):
            while os.read(self.fd, 4096):
                pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = None
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def end(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


class ChatTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tp-chat-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.gateway = FakeGateway(self.dir, lambda reply: reply.stream(*ANSWER))
        self.addCleanup(self.gateway.stop)
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in VARIABLES}
        self.environment.update(TURNPIKE_BASE_URL=self.gateway.url, TURNPIKE_API_KEY="tp_live_x",
                                TURNPIKE_CA_CERT=str(self.gateway.ca), TERM="xterm")

    def chat(self, *arguments, stdin=""):
        return subprocess.run([BIN_DIR / "turnpike", "chat", *arguments], input=stdin, text=True,
                              capture_output=True, env=self.environment, timeout=DEADLINE_S,
                              check=False)

    def check(self, done, code, *in_notes):
        self.assertEqual(done.returncode, code, done.stderr)
        for text in in_notes:
            self.assertIn(text, done.stderr)

    def serve(self, script):
        self.gateway.script = script

    def messages(self, index=-1):
        return self.gateway.requests[index].body["messages"]

    # One question.

    def test_the_answer_alone_goes_to_the_output(self):
        done = self.chat("Hi?")
        self.check(done, 0)
        self.assertEqual(done.stdout, "Hello there\n")
        self.assertRegex(done.stderr, r"\Ahm\n7 tokens in, 3 out \(1 reasoning\), "
                                      rf"{COST}, \d+\.\d s, request req-1\n\Z")
        request = self.gateway.requests[0]
        self.assertEqual(request.authorization, "Bearer tp_live_x")
        self.assertEqual(request.body, {
            "model": R1, "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "Hi?"}]})

    def test_every_option_reaches_the_service(self):
        self.serve(lambda reply: reply.whole(200, {
            "id": "req-1", "usage": USAGE, "choices": [{"index": 0, "finish_reason": "length",
                "message": {"content": "whole", "reasoning": "hm"}}]}))
        done = self.chat("--model", "m", "--system", "Be brief.", "--max-tokens", "5",
                         "--temperature", "0.5", "--top-p", "0.25", "--seed", "18446744073709551615",
                         "--no-stream", "Hi?")
        self.check(done, 0, "hm\n", "cut off at the token limit", "request req-1")
        self.assertNotIn("USD", done.stderr)
        self.assertEqual(done.stdout, "whole\n")
        self.assertEqual(self.gateway.requests[0].body, {
            "model": "m", "max_tokens": 5, "temperature": 0.5, "top_p": 0.25,
            "seed": 18446744073709551615,
            "messages": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": "Hi?"}]})

    def test_json_is_what_the_service_sent(self):
        done = self.chat("--json", "Hi?")
        self.check(done, 0, COST)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], ANSWER)
        body = {"id": "a", "choices": [{"message": {"content": "x"}}], "other": 1}
        self.serve(lambda reply: reply.whole(200, body))
        done = self.chat("--json", "--no-stream", "Hi?")
        self.check(done, 0)
        self.assertEqual(json.loads(done.stdout), body)

    def test_the_prompt_may_come_from_standard_input(self):
        self.check(self.chat(stdin="two\nlines\n"), 0)
        self.assertEqual(self.messages(), [{"role": "user", "content": "two\nlines"}])
        self.check(self.chat(stdin=""), 2, "no prompt")
        self.check(self.chat(stdin="x" * (4 * 1024 * 1024 + 1)), 2, "larger than")

    def test_bytes_go_to_a_pipe_as_they_are(self):
        self.serve(lambda reply: reply.stream(chunk(content="a\u001b[31mb\u009b")))
        self.assertEqual(self.chat("Hi?").stdout, "a\u001b[31mb\u009b\n")

    def test_an_answer_is_as_good_without_prices(self):
        self.gateway.models = None
        done = self.chat("Hi?")
        self.check(done, 0, "7 tokens in, 3 out")
        self.assertNotIn("USD", done.stderr)
        self.serve(lambda reply: reply.stream(chunk(content="x")))
        self.check(self.chat("Hi?"), 0, "tokens unknown")

    # What goes wrong.

    def test_what_is_missing_is_named(self):
        for variable in ("TURNPIKE_BASE_URL", "TURNPIKE_API_KEY"):
            value = self.environment.pop(variable)
            self.check(self.chat("Hi?"), 2, variable, ". .turnpike/env")
            self.environment[variable] = value
        self.environment["TURNPIKE_BASE_URL"] = "localhost"
        self.check(self.chat("Hi?"), 2, "expected a URL")
        self.environment["TURNPIKE_BASE_URL"] = self.gateway.url
        self.check(self.chat("--api-key", "two words", "Hi?"), 2, "API key")
        for option, value in (("--max-tokens", "0"), ("--max-tokens", "x"), ("--temperature", "3"),
                              ("--top-p", "0"), ("--seed", "-1"), ("--unknown", "1")):
            self.check(self.chat(option, value, "Hi?"), 2, option)

    def test_a_refusal_is_told_in_the_words_of_the_service(self):
        self.serve(lambda reply: reply.refuse(401, "who are \u001b[1myou"))
        done = self.chat("Hi?")
        self.check(done, 4, "turnpike chat: who are \\x1b[1myou", "TURNPIKE_API_KEY", "req-1")
        self.assertEqual(done.stdout, "")
        self.serve(lambda reply: reply.refuse(404, "no such model"))
        self.check(self.chat("Hi?"), 4, "no such model", f"{R1}, turnpike/tiny-random")
        self.serve(lambda reply: reply.refuse(503, "too much to do", retry_after="7"))
        self.check(self.chat("Hi?"), 1, "too much to do", "Try again in 7 s")
        self.serve(lambda reply: reply.whole(502, b"<html>"))
        self.check(self.chat("Hi?"), 1, "status 502")

    def test_nobody_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{unused.getsockname()[1]}/v1"
            self.check(self.chat("--base-url", url, "Hi?"), 3, "cannot connect", url)
        self.serve(lambda reply: reply.die())
        self.check(self.chat("Hi?"), 3, "closed the connection")

    def test_a_certificate_that_nobody_vouches_for(self):
        del self.environment["TURNPIKE_CA_CERT"]
        self.check(self.chat("Hi?"), 3, "certificate", "TURNPIKE_CA_CERT")
        self.check(self.chat("--ca-cert", str(self.dir / "none"), "Hi?"), 3, str(self.dir / "none"))
        self.assertEqual(self.gateway.requests, [])

    def test_an_answer_that_breaks_off(self):
        def dies(reply):
            reply.begin()
            reply.events(chunk(content="half"))
            reply.die()

        def forgets_the_end(reply):
            reply.begin()
            reply.events(chunk(content="half"))
            reply.end()

        def fails(reply):
            reply.stream(chunk(content="half"), {"error": {"message": "the engine died"}})

        def babbles(reply):
            reply.stream(chunk(content="half"), "no JSON")

        for script, words in ((dies, "closed the connection"), (forgets_the_end, "before the answer"),
                              (fails, "the engine died"), (babbles, "JSON")):
            with self.subTest(script.__name__):
                self.serve(script)
                done = self.chat("Hi?")
                self.check(done, 1, words, "request req-1")
                self.assertEqual(done.stdout, "half\n")

    def test_ctrl_c_ends_the_answer(self):
        has_begun, left = threading.Event(), []

        def never_ends(reply):
            reply.begin()
            reply.events(chunk(content="half"))
            has_begun.set()
            left.append(reply.wait_for_end())

        self.serve(never_ends)
        with subprocess.Popen([BIN_DIR / "turnpike", "chat", "Hi?"], env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertTrue(has_begun.wait(DEADLINE_S))
            self.assertEqual(process.stdout.read(4), "half")
            process.send_signal(signal.SIGINT)
            rest, notes = process.communicate(timeout=DEADLINE_S)
        self.assertEqual((process.returncode, rest), (130, "\n"))
        self.assertIn("cancelled", notes)
        self.gateway.stop()  # waits for the script
        self.gateway.stop = lambda: None
        self.assertEqual(left, [True])

    def test_a_reader_that_has_gone_ends_the_answer(self):
        left = []

        def goes_on(reply):
            reply.begin()
            with contextlib.suppress(OSError):
                while True:
                    reply.events(chunk(content="more\n"))
            left.append(True)

        self.serve(goes_on)
        with subprocess.Popen([BIN_DIR / "turnpike", "chat", "Hi?"], env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.stdout.readline(), "more\n")
            process.stdout.close()
            notes = process.stderr.read()
            self.assertEqual(process.wait(DEADLINE_S), 1)
        self.assertIn("cannot be written", notes)

    # On a terminal.

    def terminal(self, *arguments, **variables):
        terminal = Terminal([str(BIN_DIR / "turnpike"), "chat", *arguments],
                            {**self.environment, **variables})
        self.addCleanup(terminal.end)
        return terminal

    def test_a_conversation_is_kept_without_its_reasoning(self):
        terminal = self.terminal("--system", "Be kind.")
        terminal.read_until("> ")
        terminal.type("one\n")
        self.assertIn("\x1b[2mhm\x1b[0m\r\n\r\nHello there\r\n7 tokens in",
                      terminal.read_until("request req-1\r\n> "))
        terminal.type("  \n")
        terminal.read_until("> ")
        terminal.type("two\n")
        terminal.read_until("> ")
        self.assertEqual(self.messages(), [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"},
            {"role": "assistant", "content": "Hello there"}, {"role": "user", "content": "two"}])
        terminal.type("/new\n")
        terminal.read_until("a new conversation\r\n> ")
        terminal.type("three\n")
        terminal.read_until("request req-1\r\n> ")
        self.assertEqual(self.messages(), [{"role": "system", "content": "Be kind."},
                                           {"role": "user", "content": "three"}])
        terminal.type("/quit\n")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_keeps_the_loop_and_what_was_said(self):
        def never_ends(reply):
            reply.begin()
            reply.events(chunk(content="half"))
            reply.wait_for_end()

        terminal = self.terminal()
        terminal.read_until("> ")
        terminal.type("a line that is not sent\x03")
        terminal.read_until("\r\n> ")
        self.serve(never_ends)
        terminal.type("one\n")
        terminal.read_until("half")
        terminal.type("\x03")
        terminal.read_until("cancelled")
        terminal.read_until("> ")
        self.serve(lambda reply: reply.refuse(503, "busy"))
        terminal.type("two\n")
        terminal.read_until("busy")
        terminal.read_until("> ")
        self.serve(lambda reply: reply.stream(*ANSWER))
        terminal.type("three\n")
        terminal.read_until("request req-1\r\n> ")
        self.assertEqual(self.messages(), [
            {"role": "user", "content": "one"}, {"role": "assistant", "content": "half"},
            {"role": "user", "content": "three"}])
        terminal.type("\x04")
        self.assertEqual(terminal.wait(), 0)

    def test_control_characters_do_not_reach_the_terminal(self):
        self.serve(lambda reply: reply.stream(chunk(reasoning="\u001b]0;title\u0007"),
                                              chunk(content="\u001b[2J\r\u009b\u00e9\ttab")))
        shown = self.terminal("Hi?", NO_COLOR="1").read_until("request req-1")
        self.assertIn("\\x1b]0;title\\x07\r\n\r\n\\x1b[2J\\x0d\\xc2\\x9b\u00e9\ttab\r\n", shown)
        self.assertNotIn("\x1b", shown)


if __name__ == "__main__":
    unittest.main()
