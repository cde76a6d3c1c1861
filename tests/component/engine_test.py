"""turnpike-engine over its Unix socket, on a synthetic checkpoint: answers, meter lines, cancelling, crashes."""

import concurrent.futures
import json
import signal
import socket
import subprocess
import unittest

from engine_fixture import ENGINE, MODEL, EngineFixture, UnixConnection, poll


class EngineTest(EngineFixture):
    def test_unary_answer_adds_up(self):
        status, text = self.post(self.chat())
        answer = json.loads(text)
        self.assertEqual(status, 200, text)
        self.assertEqual(answer["model"], MODEL)
        usage = answer["usage"]
        self.assertEqual(usage["prompt_tokens"] + usage["completion_tokens"], usage["total_tokens"])
        totals = self.get("/meter")
        self.assertEqual(totals["prompt_tokens"], usage["prompt_tokens"])
        self.assertEqual(totals["completion_tokens"], usage["completion_tokens"])
        self.assertEqual(totals["open"], 0)

    def test_metered_stream_has_a_line_ahead_of_every_event(self):
        _, text = self.post(self.chat(stream=True, model="an alias"), **{"x-turnpike-meter": "1", "x-request-id": "S1"})
        blocks = text.strip("\n").split("\n\n")
        self.assertTrue(blocks[0].startswith(": meter "))
        self.assertEqual(blocks[0].split()[4], "0")
        for before, event in zip(blocks, blocks[1:]):
            if event.startswith("data:"):
                self.assertTrue(before.startswith(": meter "), before)
        self.assertEqual(blocks[-1], "data: [DONE]")
        last = [int(n) for n in blocks[-2].split()[2:]]
        entry = self.get("/meter/S1")
        self.assertEqual(last, [entry["prompt_tokens"], entry["cached_tokens"], entry["completion_tokens"], entry["reasoning_tokens"]])
        self.assertTrue(entry["final"])

    def test_the_same_request_has_the_same_answer_alone_and_among_others(self):
        alone = [self.text_of(self.chat(seed=seed, max_tokens=24)) for seed in range(8)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda seed: self.text_of(self.chat(seed=seed, max_tokens=24)), range(8)))
        self.assertEqual(alone, together)
        self.assertGreater(len(set(alone)), 1)

    def test_a_prompt_seen_before_is_cached_for_its_own_tenant(self):
        body = self.chat(messages=[{"role": "user", "content": "hello there, " * 60}], max_tokens=24)
        first, again, other = (json.loads(self.post(body, **{"x-turnpike-cache-salt": salt})[1])
                               for salt in ("one", "one", "other"))
        self.assertEqual(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        cached = again["usage"]["prompt_tokens_details"]["cached_tokens"]
        prompt = again["usage"]["prompt_tokens"]
        self.assertEqual(cached, (prompt - 1) // 64 * 64)
        self.assertGreater(cached, 0)
        self.assertEqual(other["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        for answer in (again, other):
            self.assertEqual(answer["choices"], first["choices"])

    def test_choices_share_the_prompt_and_are_those_of_a_cold_engine(self):
        body = self.chat(messages=[{"role": "user", "content": "hello there, " * 60}], max_tokens=12, n=4)
        answer = json.loads(self.post(body)[1])
        self.assertEqual(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        self.assertEqual(answer["usage"]["completion_tokens"], 48)
        self.assertEqual(json.loads(self.post(body)[1])["choices"], answer["choices"])

    def test_preemption_changes_no_token(self):
        """Six sequences of four blocks each at the end, in a cache of nine blocks."""
        bodies = [self.chat(seed=seed, max_tokens=200) for seed in range(6)]
        alone = [self.text_of(body) for body in bodies]
        self.restart(2, kv_tokens=9 * 64)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            self.assertEqual(list(pool.map(self.text_of, bodies)), alone)
        self.assertGreater(self.get("/load")["preemptions"], 0)
        poll(lambda: self.get("/load")["kv_blocks_used"] == 0, "every block to be free")

    def test_stop_strings_are_never_emitted(self):
        full = self.text_of(self.chat(max_tokens=24))
        stop = full[3:6]
        status, text = self.post(self.chat(max_tokens=24, stop=stop))
        choice = json.loads(text)["choices"][0]
        self.assertEqual(choice["message"]["content"], full[:full.find(stop)])
        self.assertEqual(choice["finish_reason"], "stop")
        usage = json.loads(text)["usage"]
        self.assertEqual(self.get("/meter")["completion_tokens"] - 24, usage["completion_tokens"])

    def test_a_half_close_cancels_and_still_gets_the_count(self):
        body = json.dumps(self.chat(stream=True, max_tokens=4000))
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(60)
        sock.connect(self.socket)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nx-turnpike-meter: 1\r\nx-request-id: C1\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall((head + body).encode())
        seen = b""
        while seen.count(b"data:") < 3:
            seen += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            seen += piece
        self.assertTrue(seen.endswith(b"0\r\n\r\n"), seen[-80:])
        self.assertNotIn(b"[DONE]", seen)
        last = seen.decode(errors="replace").rsplit(": meter ", 1)[1].split()
        entry = self.get("/meter/C1")
        self.assertEqual(int(last[2]), entry["completion_tokens"])
        self.assertLess(entry["completion_tokens"], 1000)
        load = poll(lambda: (now := self.get("/load"))["running"] == 0 and now, "the blocks to be free")
        self.assertEqual(load["kv_blocks_used"], 0)

    def test_refusals_name_what_is_wrong(self):
        for fields, param, code in (({"temperature": 9}, "temperature", "invalid_argument"),
                                    ({"top_logprobs": 2}, "top_logprobs", "invalid_argument"),
                                    ({"max_tokens": 1_000_000}, "max_tokens", "context_length_exceeded"),
                                    ({"model": "other"}, "model", "model_not_available")):
            status, text = self.post(self.chat(**fields))
            error = json.loads(text)["error"]
            self.assertEqual((error["param"], error["code"]), (param, code), text)
            self.assertIn(status, (400, 404))
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-epoch": "2"})[0], 409)
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-epoch": "1", "x-request-id": "D"})[0], 200)
        self.assertEqual(self.post(self.chat(), **{"x-request-id": "D"})[0], 409)
        self.assertEqual(self.get("/meter")["requests"], 1)

    def test_a_peer_must_speak_a_protocol_that_it_knows(self):
        own = self.get("/health")["protocol"]
        for number in (own, own + 1, own - 1):
            self.assertEqual(self.post(self.chat(), **{"x-turnpike-protocol": str(number)})[0], 200)
        status, text = self.post(self.chat(), **{"x-turnpike-protocol": str(own + 2)})
        self.assertEqual(status, 409, text)
        self.assertIn(f"this engine speaks protocol {own} and the gateway or control plane {own + 2}", text)
        self.assertIn("upgrade the engine", text)
        self.assertEqual(self.post(self.chat())[0], 200)  # a plain client has no number

    def test_a_stop_string_costs_the_same_every_time(self):
        full = self.text_of(self.chat(max_tokens=48))
        body = self.chat(max_tokens=48, stop=full[9:13])
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            usages = list(pool.map(lambda _: json.loads(self.post(body)[1])["usage"], range(20)))
        self.assertEqual(usages, usages[:1] * 20)
        self.assertLess(usages[0]["completion_tokens"], 48)
        self.assertEqual(self.get("/meter")["completion_tokens"] - 48, 20 * usages[0]["completion_tokens"])

    def test_sigterm_lets_a_stream_end(self):
        self.restart(2, max_running=9, kv_tokens=9 * 8192)
        # Far from its end until its client leaves: the engine drains for as long as is looked at.
        other, _ = self.open_stream("T0", max_tokens=8000, n=8)
        response, seen = self.open_stream("T1", max_tokens=1500)
        self.assertRegex(self.drain()["reason"], "^finishing [12] requests$")
        self.assertEqual(self.post(self.chat())[0], 503)
        other.close()
        seen += response.read()
        self.assertTrue(seen.rstrip().endswith(b"data: [DONE]"), seen[-80:])
        self.assertIn(b'"finish_reason":"length"', seen)
        self.assertEqual(self.engine.wait(timeout=60), 0)
        self.start(3)
        self.assertLess(self.get("/meter/T0")["completion_tokens"], 8 * 8000)
        entry = self.get("/meter/T1")
        self.assertEqual((entry["completion_tokens"], entry["final"]), (1500, True))

    def test_a_second_sigterm_ends_a_stream_with_an_error(self):
        # 128,000 tokens: still far from their end when the second signal comes.
        self.restart(2, max_running=16, kv_tokens=16 * 8192)
        response, seen = self.open_stream("T2", max_tokens=8000, n=8)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            body = self.chat(max_tokens=8000, n=8, logit_bias={"1": -100})
            unary = pool.submit(self.post, body, **{"x-request-id": "T3"})
            poll(lambda: self.get("/load")["running"] == 16, "both to run")
            self.drain()
            self.engine.send_signal(signal.SIGTERM)
            seen += response.read()
            status, text = unary.result(timeout=60)
        self.assertEqual(self.engine.wait(timeout=60), 0)
        blocks = seen.decode().strip("\n").split("\n\n")
        self.assertIn("error", json.loads(blocks[-1].removeprefix("data: ")))
        self.assertNotIn(b'"finish_reason":"', seen)
        self.assertEqual(status, 503, text)
        self.assertIn("error", json.loads(text))
        self.start(3)
        entry = self.get("/meter/T2")
        self.assertEqual(int(blocks[-2].split()[4]), entry["completion_tokens"])
        self.assertLess(entry["completion_tokens"], 8 * 8000)
        self.assertTrue(entry["final"])
        self.assertTrue(self.get("/meter/T3")["final"])

    def test_health_and_load_answer_while_a_long_prompt_is_read(self):
        """Steps go on between answers, so these do not wait for the prompt's end."""
        body = self.chat(messages=[{"role": "user", "content": "hello there, " * 900}], max_tokens=1)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.post, body)
            steps = set()
            while not answer.done():
                health = self.get("/health")
                load = self.get("/load")
                self.assertEqual(health["state"], "ready")
                if load["running"] == 1 and load["generated_tokens"] == 0:
                    steps.add(load["steps"])
            usage = json.loads(answer.result()[1])["usage"]
        num_steps = -(-usage["prompt_tokens"] // 512)
        self.assertGreater(num_steps, 8)
        self.assertGreater(len(steps), 2)

    def test_kill_nine_keeps_the_counts_and_old_epochs_stay_out(self):
        body = json.dumps(self.chat(stream=True, max_tokens=4000))
        connection = UnixConnection(self.socket)
        connection.request("POST", "/v1/chat/completions", body, {"x-turnpike-meter": "1", "x-request-id": "K1"})
        response = connection.getresponse()
        seen = b""
        while seen.count(b"data:") < 5:
            seen += response.read1(65536)
        self.engine.send_signal(signal.SIGKILL)
        self.engine.wait()
        self.start(2)
        entry = self.get("/meter/K1")
        self.assertTrue(entry["final"])
        self.assertGreaterEqual(entry["completion_tokens"], 5)
        self.engine.send_signal(signal.SIGTERM)
        self.assertEqual(self.engine.wait(timeout=60), 0)
        old = subprocess.run([ENGINE, "serve", "--config", self.older_settings()], capture_output=True, text=True, timeout=60)
        self.assertEqual(old.returncode, 1)
        self.assertIn("epoch 1 was given up", old.stderr)

    def older_settings(self):
        settings = json.loads((self.run / "engine.json").read_text())
        settings["epoch"] = 1
        path = self.run / "older.json"
        path.write_text(json.dumps(settings))
        return path


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
