#!/usr/bin/env python3
"""turnpike-bench as a process, against scripted HTTP and HTTPS servers: its report against what they sent."""
import contextlib
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

BENCH = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-bench"
VARIABLES = ("TURNPIKE_BASE_URL", "TURNPIKE_API_KEY", "TURNPIKE_CA_CERT")
DEADLINE_S = 30
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}


def chunk(finish_reason=None, **delta):
    return {"id": "r", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


# Three events with text, four tokens by the usage.
STREAM = [chunk(role="assistant", content=""), chunk(reasoning="hm"), chunk(content="Hello"),
          chunk(content=" there"), chunk("stop"), {"id": "r", "choices": [], "usage": USAGE}, "[DONE]"]


class Server:
    """Answers each POST with `script(handler, body)`, GET /v1/models with one model."""

    def __init__(self, script, folder=None):
        server = self
        self.requests = []
        self.authorizations = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                self.whole(200, {"object": "list", "data": [{"id": "the-model"}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append((self.path, body))
                server.authorizations.add(self.headers.get("authorization"))
                with contextlib.suppress(OSError):
                    script(self, body)

            def whole(self, status, body):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def begin(self):
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()

            def events(self, events):
                for event in events:
                    text = f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

            def stream(self, events=STREAM):
                self.begin()
                self.events(events)
                self.wfile.write(b"0\r\n\r\n")

            def wait_for_end(self):
                """Whether the client closes its connection in time."""
                self.close_connection = True
                self.connection.settimeout(DEADLINE_S)
                return self.connection.recv(1) == b""

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients leave, and some hand no certificate's name

        self.listener = Listener(("127.0.0.1", 0), Handler)
        scheme = "http"
        if folder:
            scheme = "https"
            self.ca = folder / "ca.crt"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                            "subjectAltName=DNS:localhost", "-keyout", folder / "key", "-out", self.ca],
                           check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, folder / "key")
            self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True,
                                                       do_handshake_on_connect=False)
        self.base_url = f"{scheme}://localhost:{self.listener.server_address[1]}/v1"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tp-bench-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.report = None

    def start(self, *arguments, env=(), **more):
        environment = {k: v for k, v in os.environ.items() if k not in VARIABLES} | dict(env)
        return subprocess.Popen([BENCH, *arguments], env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def bench(self, *arguments, code=0, env=()):
        process = self.start(*arguments, "--json", self.folder / "report.json", "--save-requests", env=env)
        self.out, self.err = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, code, self.out + self.err)
        if (self.folder / "report.json").exists():
            self.report = json.loads((self.folder / "report.json").read_text())
        return self.report

    def test_the_report_agrees_with_what_the_server_sent(self):
        with Server(lambda handler, _: handler.stream()) as server:
            report = self.bench("--base-url", server.base_url, "--num-prompts", "40", "--concurrency", "8",
                                "--random-input-len", "5", "--random-output-len", "6", "--goodput", "ttft:60000",
                                "--percentiles", "50,99.9", "--metadata", "run=7")
            self.assertEqual(len(server.requests), 40)
            path, body = server.requests[0]
            self.assertEqual(server.authorizations, {None})
        self.assertEqual(path, "/v1/chat/completions")
        self.assertEqual(body["model"], "the-model")
        self.assertEqual(body["max_tokens"], 6)
        self.assertEqual(body["stream_options"], {"include_usage": True})
        self.assertEqual(len(body["messages"][0]["content"].split()), 5)
        self.assertEqual(report["requests"]["completed"], 40)
        self.assertEqual(report["tokens"], {"input": 280, "cached": 80, "output": 160,
                                            "requests_without_usage": 0, "text_events": 120})
        self.assertEqual(report["ttft_ms"]["count"], 40)
        self.assertEqual(report["itl_ms"]["count"], 80)
        self.assertEqual(report["goodput"]["good_requests"], 40)
        self.assertLessEqual(report["peak_concurrency"], 8)
        self.assertEqual(report["metadata"], {"run": "7"})
        self.assertEqual(report["ttft_ms"]["p50"], report["ttft_ms"]["median"])
        self.assertIn("p99.9", report["e2el_ms"])
        self.assertEqual(len(report["rows"]), 40)
        self.assertIn("TTFT", self.out)
        self.assertEqual(self.err, "")  # no progress where nobody watches

    def test_https_with_a_key_from_the_environment(self):
        with Server(lambda handler, _: handler.stream(), self.folder) as server:
            env = {"TURNPIKE_BASE_URL": server.base_url, "TURNPIKE_API_KEY": "tp_secret",
                   "TURNPIKE_CA_CERT": str(server.ca)}
            report = self.bench("--num-prompts", "20", "--concurrency", "4", "--model", "m", env=env)
            self.assertEqual(report["requests"]["completed"], 20)
            self.assertEqual(server.authorizations, {"Bearer tp_secret"})
            del env["TURNPIKE_CA_CERT"]
            self.bench("--num-prompts", "1", "--model", "m", env=env, code=3)
            self.assertIn("certificate", self.err)
        self.assertNotIn("tp_secret", self.out + self.err + json.dumps(report))

    def test_completions_whole_answers_and_extra_fields(self):
        def script(handler, body):
            handler.whole(200, {"id": "c", "choices": [{"text": "x", "finish_reason": "length"}],
                                "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": 3}})

        with Server(script) as server:
            report = self.bench("--base-url", server.base_url, "--endpoint", "completions", "--no-stream",
                                "--random-vocab-size", "50", "--random-input-len", "9", "--num-prompts", "5",
                                "--extra-body", '{"top_k": 3}', "--ignore-eos")
            path, body = server.requests[0]
        self.assertEqual((path, body["top_k"], body["ignore_eos"]), ("/v1/completions", 3, True))
        self.assertEqual(report["tokens"]["input"], 45)
        self.assertEqual(report["ttft_ms"], {"count": 0})
        self.assertEqual(report["e2el_ms"]["count"], 5)

    def test_a_prompt_file(self):
        prompts = self.folder / "prompts.jsonl"
        prompts.write_text('{"prompt": "one"}\n{"messages": [{"role": "user", "content": "two"}], "max_tokens": 3}\n')
        with Server(lambda handler, _: handler.stream()) as server:
            self.bench("--base-url", server.base_url, "--prompts", prompts, "--concurrency", "1",
                       "--num-prompts", "3", "--random-output-len", "9")
            asked = [(body["messages"][0]["content"], body["max_tokens"]) for _, body in server.requests]
            prompts.write_text('{"question": "one"}\n')
            self.bench("--base-url", server.base_url, "--prompts", prompts, code=2)
        self.assertEqual(asked, [("one", 9), ("two", 3), ("one", 9)])
        self.assertIn("line 1", self.err)

    def test_errors_are_counted_by_kind(self):
        lock = threading.Lock()
        numbers = iter(range(100))

        def script(handler, _):
            with lock:
                number = next(numbers)
            if number % 4 == 0:
                handler.stream()
            elif number % 4 == 1:
                handler.whole(503, {"error": {"message": "the queue is full"}})
            elif number % 4 == 2:
                handler.stream([STREAM[1], {"error": {"message": "it broke"}}])
            else:
                handler.begin()
                handler.events(STREAM[:2])
                handler.close_connection = True  # in the middle

        with Server(script) as server:
            report = self.bench("--base-url", server.base_url, "--num-prompts", "20", "--concurrency", "3", code=1)
        self.assertEqual(report["requests"]["completed"], 5)
        self.assertEqual(report["requests"]["failures"], {"cut_off": 5, "in_stream": 5, "status_503": 5})
        self.assertIn("the queue is full", self.out)

    def test_refused_by_all(self):
        with Server(lambda handler, _: handler.whole(401, {"error": {"message": "no such key"}})) as server:
            self.bench("--base-url", server.base_url, "--num-prompts", "3", code=4)
        self.assertEqual(self.report["requests"]["failures"], {"status_401": 3})

    def test_nobody_there_and_wrong_usage(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.bench("--base-url", f"http://127.0.0.1:{taken.getsockname()[1]}", "--model", "m", code=3)
        self.bench(code=2)
        self.bench("--base-url", "nonsense", code=2)
        self.bench("--base-url", "http://127.0.0.1:1", "--goodput", "ttft", code=2)

    def test_disconnects_are_made_and_counted(self):
        gone = []

        def script(handler, body):
            if body["max_tokens"] == 1:
                gone.append(handler.wait_for_end())  # without a byte
                return
            handler.begin()
            handler.events(STREAM[:4])
            gone.append(handler.wait_for_end())

        with Server(script) as server:
            for length in ("3", "1"):
                gone.clear()
                server.requests.clear()
                # One token or none: left by time or with the first text, which only comes in the first round.
                arguments = ["--base-url", server.base_url, "--num-prompts", "30", "--concurrency", "5", "--seed", "3",
                             "--disconnect-rate", "1", "--random-output-len", length]
                if length == "1":
                    arguments.append("--no-stream")
                report = self.bench(*arguments)
                self.assertEqual(report["requests"]["disconnected"], 30)
                self.assertEqual(len(server.requests), 30)
                early = report["requests"]["disconnected_before_first_byte"]
                self.assertTrue(0 < early < 30 if length == "3" else early == 30, early)
                rows = report["rows"]
                self.assertTrue(all(row["text_events"] <= 2 for row in rows), rows)

    def test_a_kept_connection_that_the_server_closed_is_replaced(self):
        def script(handler, _):
            handler.stream()
            handler.close_connection = True  # without saying so

        with Server(script) as server:
            report = self.bench("--base-url", server.base_url, "--num-prompts", "30", "--concurrency", "2")
        self.assertEqual(report["requests"]["completed"], 30)

    def test_ctrl_c_reports_what_there_is(self):
        first = threading.Event()

        def script(handler, _):
            if not first.is_set():
                handler.stream()
                first.set()
            else:
                second.set()
                handler.wait_for_end()

        second = threading.Event()
        with Server(script) as server:
            process = self.start("--base-url", server.base_url, "--model", "m", "--num-prompts", "9",
                                 "--concurrency", "1", "--json", "-")
            self.assertTrue(second.wait(DEADLINE_S))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 130, err)
        report = json.loads(out)
        self.assertTrue(report["interrupted"])
        self.assertEqual((report["requests"]["completed"], report["requests"]["abandoned"]), (1, 1))

    def test_an_open_loop_keeps_its_rate(self):
        with Server(lambda handler, _: handler.stream()) as server:
            report = self.bench("--base-url", server.base_url, "--num-prompts", "40", "--request-rate", "200",
                                "--seed", "5", "--warmup", "3")
            self.assertEqual(len(server.requests), 43)
        starts = [row["start_ms"] for row in report["rows"]]
        self.assertEqual(starts, sorted(starts))
        self.assertGreater(starts[-1], 100)  # 195 on average; all at once would be near 0
        self.assertEqual(report["warmup_requests"], 3)

    def test_progress_on_a_terminal(self):
        primary, secondary = os.openpty()
        with Server(lambda handler, _: handler.stream()) as server:
            process = subprocess.Popen([BENCH, "--base-url", server.base_url, "--num-prompts", "5"],
                                       stdout=subprocess.PIPE, stderr=secondary)
            process.communicate(timeout=DEADLINE_S)
            os.close(secondary)
            shown = os.read(primary, 65536).decode()
            os.close(primary)
        self.assertIn("5/5", shown)


if __name__ == "__main__":
    unittest.main()
