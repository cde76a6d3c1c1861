#!/usr/bin/env python3
"""What watches the service, against the service: every metric that an alert or the dashboard reads is
exposed by a running process, label sets are closed whatever clients send, and every command of the
runbooks is one that `turnpike` has."""
import contextlib
import http.client
import re
import subprocess
import sys
import unittest

from stack import BIN_DIR, SOURCE_DIR, Stack, SystemTest, UnixConnection, wait_until

sys.path.insert(0, str(SOURCE_DIR / "tests/tidy"))
import alerts  # noqa: E402

SAMPLE = re.compile(r'^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
HOSTILE = "hostile-name"

# Every label that any process has, with what it may say.
CLOSED = {
    "process": r"gateway|controlplane|engine",
    "version": r"\d+\.\d+\.\d+",
    "commit": r"unknown|[0-9a-f]{7,40}(-dirty)?",
    "le": r"[0-9.e+-]+|\+Inf",
    "route": r"chat_completions|completions|models|generation|whoami|usage|costs|billing|health|ready|unknown",
    "status": r"[2-5]\d\d|other",
    "outcome": (r"completed|client_gone|refused|replica_failed|gateway_failed|done|failed|granted|cut"
                r"|ingested|repeated|quarantined|billed|written_off"),
    "kind": r"start|drain|kill|mark_replica|forget_replica|mark_endpoint",
    "direction": r"up|down|stop",
    "state": r"PENDING|PLACED|STARTING|LOADING|READY|DRAINING|STOPPED|FAILED|STARTED|STOPPING|ERROR",
    "gateway": r"latest|first",
    "database": r"control|usage",
    "model_name": r"turnpike/tiny-random",
    "engine": r"0",
    "finished_reason": r"stop|length|abort|error",
    "position": r"0",
}
# What Prometheus itself adds.
FROM_PROMETHEUS = {"job", "instance"}


def samples_of(text):
    """[(name, {label: value})]; every line must be a sample or a comment."""
    found = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, line
        float(match[3])
        found.append((match[1], dict(LABEL.findall(match[2] or ""))))
    return found


def help_text(*verbs):
    done = subprocess.run([BIN_DIR / "turnpike", *verbs, "--help"], capture_output=True, text=True,
                          check=False)
    return done.stdout if done.returncode == 0 else ""


def verbs_in(text):
    _, _, listed = text.partition("Subcommands:\n")
    names = re.findall(r"(?m)^  ([a-z-]+(?:, [a-z-]+)*)(?: |$)", listed)
    return {name for one in names for name in one.split(", ")}


class WatchingTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return Stack(
            gateway_settings=lambda run: {"metrics_listen": f"unix:{run}/gateway-metrics.sock"},
            controlplane_settings=lambda settings: settings.update(
                listen_metrics=f"unix:{settings['run_dir']}/metrics.sock"))

    def scrape(self, path):
        with contextlib.closing(UnixConnection(path)) as connection:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            self.assertEqual(response.getheader("content-type"),
                             "text/plain; version=0.0.4; charset=utf-8")
            return response.read().decode()

    def scrape_all(self):
        (engine,) = self.stack.engines().values()
        return {name: self.scrape(path) for name, path in (
            ("gateway", self.stack.run_dir / "gateway-metrics.sock"),
            ("controlplane", self.stack.run_dir / "metrics.sock"), ("engine", engine))}

    def send(self, method, path, body, key):
        connection = http.client.HTTPSConnection("localhost", self.stack.port, context=self.stack.tls)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"authorization": f"Bearer {key}",
                                                    "content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            return response.status

    def test_everything_that_is_read_is_exposed(self):
        self.stack.usage_of(self.stack.chat(max_tokens=2)[1]["id"])
        labels = {"up": set(FROM_PROMETHEUS)}
        values = {}
        for text in self.scrape_all().values():
            for name, pairs in samples_of(text):
                labels.setdefault(name, set()).update(pairs, FROM_PROMETHEUS)
                for pair in pairs.items():
                    values.setdefault(name, set()).add(pair)
        for who, expression in alerts.expressions():
            read = alerts.selectors(expression)
            known = set()
            for metric, matchers in read:
                self.assertTrue(metric in labels, f"{who}: no process exposes {metric}")
                self.assertLessEqual(set(matchers), labels[metric], f"{who}: {metric}")
                known |= labels[metric]
                for label, (operator, value) in matchers.items():
                    # Of routes and statuses, only those that occurred are told.
                    if operator == "=" and label not in FROM_PROMETHEUS | {"status", "route"}:
                        self.assertIn((label, value), values[metric], f"{who}: {metric}")
            self.assertLessEqual(alerts.grouped_labels(expression), known, f"{who}: {expression}")

    def test_labels_are_closed_whatever_clients_send(self):
        body = f'{{"model":"{HOSTILE}","messages":[{{"role":"user","content":"x"}}]}}'
        self.assertEqual(self.send("POST", "/v1/chat/completions", body, self.stack.key), 404)
        self.assertEqual(self.send("GET", f"/{HOSTILE}", None, self.stack.key), 404)
        self.assertEqual(self.send("GET", "/v1/models", None, HOSTILE), 401)
        self.stack.run_cli("org", "create", f"{HOSTILE}-org")
        self.stack.run_cli("key", "create", "--org", f"{HOSTILE}-org", "--name", HOSTILE)
        def is_counted():
            return ('turnpike_gateway_requests_total{route="models",status="401"}'
                    in self.scrape_all()["gateway"])
        wait_until("the last of them is counted", is_counted)
        for process, text in self.scrape_all().items():
            self.assertNotIn(HOSTILE, text)
            self.assertNotIn("org_", text)
            samples = samples_of(text)
            self.assertEqual(len({(name, *sorted(pairs.items())) for name, pairs in samples}),
                             len(samples), f"{process}: a sample is told twice")
            for name, pairs in samples:
                for label, value in pairs.items():
                    self.assertIn(label, CLOSED, f"{process}: {name}")
                    self.assertRegex(value, f"^({CLOSED[label]})$", f"{process}: {name}, {label}")

    def test_what_a_killed_gateway_left_open_is_counted(self):
        stream = self.stack.open_stream(max_tokens=4000).read_events(1)
        self.stack.kill("turnpike-gateway")
        stream.read_done()
        self.assertFalse(stream.is_whole())
        self.stack.shell("wait_ready")
        told = dict(re.findall(r"(?m)^(turnpike_gateway_orphans_total) (.*)$",
                               self.scrape(self.stack.run_dir / "gateway-metrics.sock")))
        self.assertEqual(told, {"turnpike_gateway_orphans_total": "1"})
        self.assertEqual(self.stack.usage_of(stream.request_id())["outcome"], "gateway_failed")

    def test_every_process_tells_its_build_once(self):
        for process, text in self.scrape_all().items():
            told = [pairs for name, pairs in samples_of(text) if name == "turnpike_build_info"]
            self.assertEqual([pairs["process"] for pairs in told], [process])

    def test_the_commands_of_the_runbooks_are_there(self):
        top, num_seen = help_text(), 0
        for alert, text in alerts.runbooks().items():
            lines = re.findall(r"(?m)^(turnpike .*)$|`(turnpike [^`]*)`", text)
            for command in filter(None, (word for pair in lines for word in pair)):
                words, verbs, page = command.split()[1:], [], top
                while words and words[0] in verbs_in(page):
                    verbs.append(words.pop(0))
                    page = help_text(*verbs)
                self.assertTrue(verbs, f"{alert}: `{command}`: no such verb")
                if "turnpike " + " ".join(verbs) != command and verbs_in(page):
                    self.assertTrue(not words or words[0].startswith("-"),
                                    f"{alert}: `{command}`: {words[:1]} is no verb")
                for word in words:
                    if word.startswith("--"):
                        self.assertRegex(page, rf"(?m)[ ,]{word}[ ,=\[]|{word}$",
                                         f"{alert}: `{command}`: no {word}")
                num_seen += 1
        self.assertGreater(num_seen, 60)


if __name__ == "__main__":
    unittest.main()
