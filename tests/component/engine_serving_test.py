"""What turnpike-engine is as a server: its settings, what it tells of itself, deadlines, slow readers."""

import http.client
import json
import os
import subprocess
import unittest

from engine_fixture import ENGINE, MODEL, SOURCE, EngineFixture, UnixConnection, poll


class SpeculationTest(EngineFixture):
    def test_drafts_are_counted_and_change_no_token(self):
        bodies = [self.chat(seed=seed, max_tokens=40, logprobs=True) for seed in range(3)]
        plain = [json.loads(self.post(body)[1])["choices"] for body in bodies]
        self.assertEqual(self.get("/load")["drafts"], 0)
        self.restart(2, speculative_tokens=1)
        self.assertEqual([json.loads(self.post(body)[1])["choices"] for body in bodies], plain)
        load = self.get("/load")
        self.assertGreater(load["drafts"], 10)
        self.assertEqual(load["draft_tokens"], load["drafts"])
        self.assertLess(load["steps"], 3 * 40 + 3 * 2)

    def test_a_model_without_a_draft_layer_is_refused(self):
        config = json.loads((SOURCE / "config/files/models/tiny-random/config.json").read_text())
        config["num_nextn_predict_layers"] = 0
        (self.run / "config.json").write_text(json.dumps(config))
        subprocess.run([ENGINE, "synth", "--config", self.run / "config.json", "--seed", "1", "--out", self.run / "model"],
                       check=True, stdout=subprocess.DEVNULL)
        self.engine.kill()
        self.engine.wait()
        self.launch(2, stderr=subprocess.PIPE, model_dir=str(self.run / "model"), speculative_tokens=1)
        _, stderr = self.engine.communicate(timeout=60)
        self.assertEqual(self.engine.returncode, 1)
        self.assertIn(b"no multi-token-prediction layer", stderr)

    def test_too_small_a_step_is_refused(self):
        (self.run / "engine.json").write_text(json.dumps(
            json.loads((self.run / "engine.json").read_text()) | {"speculative_tokens": 1, "max_step_tokens": 15}))
        checked = subprocess.run([ENGINE, "serve", "--check-config", "--config", self.run / "engine.json"],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("'max_step_tokens' expected at least 16", checked.stderr)


class ServerTest(EngineFixture):
    def request(self, method, path, body=None, **headers):
        connection = UnixConnection(self.socket)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text

    def metrics(self):
        """Samples by name and labels, but for the two that stand on all of them."""
        response, text = self.request("GET", "/metrics")
        self.assertEqual(response.getheader("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        samples, families = {}, set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name = line.split()[2]
                self.assertNotIn(name, families, "a family twice")
                families.add(name)
            elif not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                name = name.replace(f'model_name="{MODEL}",engine="0"', "").replace("{,", "{").removesuffix("{}")
                samples[name] = float(value)
        return samples

    def test_metrics_agree_with_the_meter(self):
        before = self.metrics()
        self.assertEqual(before["vllm:generation_tokens_total"], 0)
        for seed in range(3):
            self.assertEqual(self.post(self.chat(seed=seed, n=2, ignore_eos=True))[0], 200)
        self.assertEqual(self.post(self.chat(temperature=9))[0], 400)
        poll(lambda: self.get("/load")["running"] == 0, "the last step's end to be told")
        meter, load, now = self.get("/meter"), self.get("/load"), self.metrics()
        self.assertEqual(now["vllm:prompt_tokens_total"], meter["prompt_tokens"])
        self.assertEqual(now["vllm:generation_tokens_total"], meter["completion_tokens"])
        self.assertEqual(now["vllm:generation_tokens_total"], 48)
        self.assertEqual(now['vllm:request_success_total{finished_reason="length"}'], 3)
        self.assertEqual(now['turnpike_requests_refused_total{status="400"}'], 1)
        self.assertEqual(now["vllm:num_requests_running"], 0)
        self.assertEqual(now["turnpike_steps_total"], load["steps"])
        for name, count in (("time_to_first_token_seconds", 3), ("e2e_request_latency_seconds", 3),
                            ("inter_token_latency_seconds", 42), ("time_per_output_token_seconds", 42),
                            ("request_queue_time_seconds", 3), ("request_params_n", 3)):
            self.assertEqual(now[f"vllm:{name}_count"], count, name)
            self.assertEqual(now[f'vllm:{name}_bucket{{le="+Inf"}}'], count, name)
        self.assertEqual(now["vllm:request_generation_tokens_sum"], 48)

    def test_load_tells_speed_and_use(self):
        response, _ = self.open_stream("L1", max_tokens=8000)
        load = poll(lambda: (now := self.get("/load"))["tokens_per_s"] > 0 and now, "the speed to be measured")
        self.assertEqual(load["kv_usage"], load["kv_blocks_used"] / load["kv_blocks_total"])
        self.assertGreater(load["kv_usage"], 0)
        response.close()

    def test_while_loading_everything_but_what_tells_is_503(self):
        self.engine.kill()
        self.engine.wait()
        # A weight file that is a pipe: reading it takes until somebody writes.
        model = self.run / "slow"
        model.mkdir()
        for file in (self.dir / "model").iterdir():
            if file.name == "tokenizer.json":
                os.mkfifo(model / file.name)
            else:
                (model / file.name).symlink_to(file)
        self.launch(2, model_dir=str(model))

        def health():
            try:
                return self.request("GET", "/health")
            except OSError:
                return None
        response, text = poll(health, "the engine to listen")
        self.assertEqual(response.status, 503)
        self.assertEqual(json.loads(text)["state"], "loading")
        self.assertEqual(json.loads(text)["reason"], "loading the model")
        for path in ("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"):
            response, text = self.request("POST", path, self.chat())
            self.assertEqual(response.status, 503, text)
        self.assertEqual(self.metrics()["turnpike_ready"], 0)
        with open(model / "tokenizer.json", "wb") as pipe:
            pipe.write((self.dir / "model" / "tokenizer.json").read_bytes())
        poll(self.is_ready, "the engine to be ready")
        self.assertEqual(self.metrics()["turnpike_ready"], 1)

    def test_a_deadline_ends_what_runs_and_what_waits(self):
        self.restart(2, max_running=1)
        response, _ = self.open_stream("A", max_tokens=8000)
        status, text = self.post(self.chat(), **{"x-turnpike-deadline-ms": "300", "x-request-id": "W"})
        self.assertEqual(status, 504, text)
        error = json.loads(text)
        self.assertEqual((error["id"], error["error"]["code"]), ("W", "gateway_timeout"))
        self.assertEqual(self.get("/meter/W")["completion_tokens"], 0)
        response.close()
        body = self.chat(stream=True, max_tokens=8000, ignore_eos=True)
        _, text = self.post(body, **{"x-turnpike-deadline-ms": "500", "x-turnpike-meter": "1", "x-request-id": "R"})
        blocks = text.strip("\n").split("\n\n")
        self.assertEqual(json.loads(blocks[-1].removeprefix("data: "))["error"]["code"], "gateway_timeout")
        entry = self.get("/meter/R")
        self.assertTrue(entry["final"])
        self.assertEqual(int(blocks[-2].split()[4]), entry["completion_tokens"])
        self.assertLess(entry["completion_tokens"], 8000)
        self.assertEqual(self.metrics()["turnpike_deadlines_passed_total"], 2)
        poll(lambda: self.get("/load")["kv_blocks_used"] == 0, "the blocks to be free")
        for value in ("soon", "-1", "1.5", "86400001"):
            self.assertEqual(self.post(self.chat(), **{"x-turnpike-deadline-ms": value})[0], 400, value)
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-deadline-ms": "0"})[0], 504)
        self.assertEqual(self.post(self.chat(), **{"x-turnpike-deadline-ms": "60000"})[0], 200)

    def test_a_reader_that_reads_nothing_is_cancelled(self):
        self.restart(2, kv_tokens=8 * 8192)
        body = self.chat(stream=True, max_tokens=8000, n=8, ignore_eos=True, logprobs=True, top_logprobs=20)
        connection = UnixConnection(self.socket)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-request-id": "SLOW"})
        poll(lambda: self.get("/meter/SLOW").get("final"), "the request to be given up")
        entry = self.get("/meter/SLOW")
        self.assertGreater(entry["completion_tokens"], 100)
        self.assertLess(entry["completion_tokens"], 8 * 8000)
        self.assertEqual(poll(lambda: (now := self.get("/load"))["running"] == 0 and now, "rest")["kv_blocks_used"], 0)
        self.assertEqual(self.metrics()['vllm:request_success_total{finished_reason="abort"}'], 1)
        connection.close()

    def test_tokens_and_models_are_told_as_vllm_tells_them(self):
        response, text = self.request("POST", "/tokenize", {"model": MODEL, "prompt": "hello"})
        self.assertEqual(response.status, 200, text)
        answer = json.loads(text)
        self.assertEqual(set(answer), {"count", "max_model_len", "tokens", "token_strs"})
        self.assertEqual(answer["count"], len(answer["tokens"]))
        self.assertEqual(answer["max_model_len"], 8192)
        back = json.loads(self.request("POST", "/detokenize", {"tokens": answer["tokens"][1:]})[1])
        self.assertEqual(back, {"prompt": "hello"})
        chat = json.loads(self.request("POST", "/tokenize", {"messages": self.chat()["messages"]})[1])
        self.assertEqual(chat["count"], json.loads(self.post(self.chat())[1])["usage"]["prompt_tokens"])
        (row,) = self.get("/v1/models")["data"]
        self.assertEqual((row["id"], row["object"], row["max_model_len"]), (MODEL, "model", 8192))
        self.assertGreater(row["created"], 1_700_000_000)
        self.assertEqual(self.get(f"/v1/models/{MODEL}"), row)
        self.assertEqual(self.request("GET", "/v1/models/other")[0].status, 404)
        self.assertEqual(self.request("GET", "/tokenize")[0].status, 405)
        self.assertEqual(self.request("POST", "/metrics", {})[0].status, 405)
        self.assertEqual(self.request("GET", "/nothing")[0].status, 404)

    def test_a_step_that_hangs_ends_the_process(self):
        """One step of so many rows takes the plain loops of the scalar backend minutes."""
        self.engine.kill()
        self.engine.wait()
        self.launch(2, stderr=subprocess.PIPE, isa="scalar", max_step_tokens=8192, watchdog_seconds=1)
        poll(self.is_ready, "the engine to be ready")
        body = self.chat(messages=[{"role": "user", "content": "hello there, " * 1200}], max_tokens=1)
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.post(body, **{"x-request-id": "STUCK"})
        _, stderr = self.engine.communicate(timeout=60)
        self.assertEqual(self.engine.returncode, 1)
        self.assertIn(b"engine_stuck", stderr)
        self.assertIn(b"no step has ended for", stderr.splitlines()[-1])
        self.start(3)
        self.assertTrue(self.get("/meter/STUCK")["final"])

    def test_keep_alive_comments_stand_in_a_queue(self):
        self.restart(2, max_running=1, keep_alive_seconds=1)
        first = UnixConnection(self.socket)
        first.request("POST", "/v1/chat/completions", json.dumps(self.chat(max_tokens=8000, n=8, ignore_eos=True)), {})
        poll(lambda: self.get("/load")["running"] == 1, "the first to run")
        connection = UnixConnection(self.socket)
        connection.request("POST", "/v1/chat/completions", json.dumps(self.chat(stream=True)), {})
        response = connection.getresponse()
        seen = b""
        while seen.count(b": keep-alive\n\n") < 2:
            piece = response.read1(65536)
            self.assertTrue(piece, seen)
            seen += piece
        self.assertNotIn(b"data:", seen)
        first.close()
        seen += response.read()
        self.assertTrue(seen.endswith(b"data: [DONE]\n\n"), seen[-80:])


class WantsTest(EngineFixture):
    """What a request may ask for, beside the sampler's fields."""

    def complete(self, **fields):
        connection = UnixConnection(self.socket)
        body = {"model": MODEL, "prompt": "the weather", "max_tokens": 6, "temperature": 0, **fields}
        connection.request("POST", "/v1/completions", json.dumps(body))
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        self.assertEqual(response.status, 200, answer)
        return answer

    def test_ends_can_be_ignored_or_put_off(self):
        always_end = {"logit_bias": {"1": 100}, "max_tokens": 12}
        ended = self.complete(**always_end)
        self.assertEqual((ended["usage"]["completion_tokens"], ended["choices"][0]["finish_reason"]), (1, "stop"))
        ignored = self.complete(**always_end, ignore_eos=True)
        self.assertEqual((ignored["usage"]["completion_tokens"], ignored["choices"][0]["finish_reason"]), (12, "length"))
        later = self.complete(**always_end, min_tokens=5)
        self.assertEqual((later["usage"]["completion_tokens"], later["choices"][0]["finish_reason"]), (6, "stop"))

    def test_echo_gives_the_prompts_logprobs(self):
        ids = [5, 60, 700, 8, 90] * 30
        alone = self.complete(prompt=ids, max_tokens=0, echo=True, logprobs=3)
        scored = alone["choices"][0]["logprobs"]
        self.assertEqual(scored["token_ids"], ids)
        self.assertIsNone(scored["token_logprobs"][0])
        self.assertIsNone(scored["top_logprobs"][0])
        self.assertTrue(all(value < 0 for value in scored["token_logprobs"][1:]))
        self.assertTrue(all(len(top) == 3 for top in scored["top_logprobs"][1:]))
        self.assertEqual(alone["usage"]["completion_tokens"], 0)
        self.assertEqual(alone["choices"][0]["text"], alone["prompt"][0]["text"])
        # The cache holds the prompt now; its logprobs are computed all the same, to the bit.
        self.complete(prompt=ids)
        again = self.complete(prompt=ids, echo=True, logprobs=3, n=2)
        for choice in again["choices"]:
            self.assertEqual(choice["logprobs"]["token_logprobs"][:len(ids)], scored["token_logprobs"])
            self.assertEqual(len(choice["logprobs"]["token_ids"]), len(ids) + 6)
        # A greedy continuation, shown to the model as a prompt, scores what it scored as an answer.
        answer = self.complete(prompt=ids[:9], logprobs=1)["choices"][0]["logprobs"]
        told = self.complete(prompt=ids[:9] + answer["token_ids"], max_tokens=0, echo=True, logprobs=1)
        for one, other in zip(answer["token_logprobs"], told["choices"][0]["logprobs"]["token_logprobs"][9:]):
            self.assertAlmostEqual(one, other, delta=0.1)  # another form of attention

    def test_several_prompts_are_the_same_as_one_by_one(self):
        prompts = ["the weather", "a horse", "x"]
        apart = [self.complete(prompt=prompt)["choices"][0] for prompt in prompts]
        together = self.complete(prompt=prompts)
        self.assertEqual([{**choice, "index": 0} for choice in together["choices"]],
                         [{**choice, "seed": together["choices"][0]["seed"]} for choice in apart])
        self.assertEqual([choice["index"] for choice in together["choices"]], [0, 1, 2])
        ids = self.complete(prompt=[[5, 60], [700]], n=2)
        self.assertEqual(len(ids["choices"]), 4)
        self.assertEqual(ids["usage"]["prompt_tokens"], 3)

    def test_many_choices_share_the_prompts_blocks(self):
        self.restart(2, max_running=128, kv_tokens=64 * 200)
        body = self.chat(messages=[{"role": "user", "content": "hello there, " * 60}], max_tokens=4, n=128, ignore_eos=True)
        answer = json.loads(self.post(body)[1])
        self.assertEqual(len(answer["choices"]), 128)
        self.assertEqual(answer["usage"]["completion_tokens"], 512)
        # Without sharing they would need over a thousand blocks, and each would compute its own.
        load = self.get("/load")
        num_full = (answer["usage"]["prompt_tokens"] - 1) // 64
        self.assertGreater(num_full, 2)
        self.assertEqual(load["cache_hit_tokens"], 127 * num_full * 64)
        self.assertEqual(load["preemptions"], 0)

    def test_a_context_that_is_too_short_is_an_error_or_cut(self):
        body = self.chat(max_tokens=10_000, ignore_eos=True)
        status, text = self.post(body)
        self.assertEqual((status, json.loads(text)["error"]["code"]), (400, "context_length_exceeded"))
        self.restart(2, kv_tokens=128)
        answer = json.loads(self.post({**body, "context_length_exceeded_behavior": "truncate"})[1])
        self.assertEqual(answer["usage"]["total_tokens"], 128)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
