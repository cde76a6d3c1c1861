#!/usr/bin/env python3
"""The command line as its user meets it: chat and its bill, health before, during and after trouble,
the lines of usage, limits and who meets them."""
import json
import os
import re
import signal
import subprocess
import unittest

from stack import BIN_DIR, DEADLINE_S, R1, SystemTest, wait_until


class CliTest(SystemTest):
    def turnpike(self, *arguments, without=(), **variables):
        """(status, standard output, standard error) with the variables of the state's env file."""
        env_file = (self.stack.dir / "env").read_text()
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TURNPIKE_")}
        environment |= dict(re.findall("export (.*)='(.*)'", env_file)) | variables
        for name in without:
            del environment[name]
        done = subprocess.run([BIN_DIR / "turnpike", *arguments], capture_output=True, text=True,
                              check=False, env=environment, stdin=subprocess.DEVNULL,
                              timeout=DEADLINE_S, cwd=self.stack.dir)
        return done.returncode, done.stdout, done.stderr

    def health(self, *arguments, **variables):
        status, out, problem = self.turnpike("health", "--json", *arguments, **variables)
        return status, {part["name"]: part for part in json.loads(out)["parts"]}, problem

    def test_chat_tells_what_the_bill_says(self):
        status, out, notes = self.turnpike("chat", "--max-tokens", "16", "--seed", "7", "Hello")
        self.assertEqual(status, 0, notes)
        self.assertTrue(out.strip())
        line = re.search(r"(\d+) tokens in, (\d+) out.*, (0\.\d+) USD, \d+\.\d s, request (\w+)\n$",
                         notes)
        self.assertTrue(line, notes)
        row = self.stack.usage_of(line[4])
        self.assertEqual((row["prompt_tokens"], row["completion_tokens"], row["cost_usd"]),
                         (int(line[1]), int(line[2]), line[3]))
        again = self.turnpike("chat", "--max-tokens", "16", "--seed", "7", "--no-stream", "Hello")
        self.assertEqual(again[1], out)

    def test_chat_is_refused_in_clear_words(self):
        status, _, problem = self.turnpike("chat", "--model", "no/such", "Hello")
        self.assertEqual(status, 4, problem)
        self.assertIn(R1, problem)  # what there is instead
        status, _, problem = self.turnpike("chat", "Hello", TURNPIKE_API_KEY="tp_live_none")
        self.assertEqual(status, 4, problem)
        self.assertIn("TURNPIKE_API_KEY", problem)
        status, _, problem = self.turnpike("chat", "--max-tokens", "99999999", "Hello")
        self.assertEqual(status, 4, problem)

    def test_health_tells_what_serves(self):
        status, parts, problem = self.health("--wait", "20")
        self.assertEqual((status, problem), (0, ""))
        control_plane, gateway, pool = parts.values()
        self.assertEqual((control_plane["name"], control_plane["state"]), ("control plane", "ready"))
        self.assertEqual((gateway["name"], gateway["state"]), ("gateway", "ready"))
        self.assertRegex(pool["name"], "tiny-random")
        self.assertEqual((pool["state"], pool["detail"]), ("STARTED", "1 of 1 replicas READY"))
        status, out, _ = self.turnpike("health")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)tiny-random\S* +STARTED +1 of 1 replicas READY$")
        # An operator without a gateway's address sees the rest.
        status, out, _ = self.turnpike("health", without=["TURNPIKE_BASE_URL"])
        self.assertEqual(status, 0, out)

    def test_health_tells_what_does_not(self):
        status, parts, problem = self.health(TURNPIKE_BASE_URL="https://localhost:1/v1")
        self.assertEqual((status, parts["gateway"]["state"]), (1, "unreachable"))
        self.assertIn("not ready: gateway\n", problem)
        status, parts, problem = self.health(TURNPIKE_ADMIN="unix:/nonexistent/socket")
        self.assertEqual((status, parts["control plane"]["state"]), (3, "unreachable"))
        self.assertIn("control plane", problem)

    def test_health_waits_for_a_replica_that_was_killed(self):
        self.stack.kill("turnpike-engine", signal.SIGKILL)
        wait_until("its loss is seen", lambda: self.health()[0] == 1)
        status, parts, problem = self.health("--wait", "40")
        self.assertEqual(status, 0, problem)
        self.assertTrue(all(part["ready"] for part in parts.values()), parts)

    def test_usage_ends_in_a_line_for_people(self):
        self.stack.usage_of(self.stack.chat(max_tokens=2)[1]["id"])
        status, out, _ = self.turnpike("usage")
        self.assertEqual(status, 0)
        self.assertRegex(out.splitlines()[-1],
                         r"^billed in all: \d+ requests?, \d+ tokens in, \d+ out, [\d.]+ USD")

    def test_limits_are_set_shown_met_and_cleared(self):
        def chat_status():
            return self.stack.chat(max_tokens=2)[0]
        def limited():
            status, answer = self.stack.chat(max_tokens=2)
            return answer["error"] if status == 429 else None
        status, out, problem = self.turnpike("limits", "set", "organisation:demo", "--rpm", "1",
                                             "--monthly", "99.5")
        self.assertEqual(status, 0, problem)
        self.assertRegex(out, r"(?m)^organisation:org_\w+ +demo +1 +- +- +99\.50$")
        error = wait_until("a request is refused", limited)
        self.assertEqual(error["type"], "rate_limit_error", error)
        self.assertIn("organisation's limit of 1 ", error["message"])
        self.turnpike("limits", "set", "organisation:demo", "--concurrent", "32",
                      "--clear", "monthly")
        status, out, _ = self.turnpike("limits", "show", "--json")
        (row,) = json.loads(out)["data"]
        self.assertEqual((row["name"], row["requests_per_minute"], row["concurrent_requests"],
                          row["monthly_usd"]), ("demo", 1, 32, None))
        self.assertEqual(self.turnpike("limits", "show")[1],
                         self.turnpike("limits", "show", row["subject"])[1])
        status, out, _ = self.turnpike("limits", "set", row["subject"], "--clear", "rpm,concurrent")
        self.assertEqual(status, 0)
        self.assertIn("no limits of its own", out)
        self.assertEqual(self.turnpike("limits", "show")[1], "(none)\n")
        wait_until("requests are answered again", lambda: chat_status() == 200)

    def test_limits_are_refused_in_clear_words(self):
        for arguments, status, words in (
                (("demo", "--rpm", "1"), 1, "expected a subject 'organisation:<id or name>', "
                                            "'key:<id>' or 'model:<name>', found 'demo'"),
                (("organisation:none", "--rpm", "1"), 4, "expected the id or name of an "
                                                         "organisation"),
                (("organisation:demo", "--rpm", "many"), 2, "expected a whole number from 1 to "
                                                            "1000000000000, found 'many'"),
                ((f"model:{R1}", "--monthly", "5"), 1, "expected a monthly amount of an "
                                                       "organisation or a key"),
                (("organisation:demo",), 2, "expected a limit to set")):
            found, out, problem = self.turnpike("limits", "set", *arguments)
            self.assertEqual((found, out), (status, ""), problem)
            self.assertIn(words, problem)
        self.assertEqual(self.turnpike("limits", "show", "key:none")[0], 4)


if __name__ == "__main__":
    unittest.main()
