# Alert rules, runbooks and dashboard belong together and name what the code exposes.
# tests/system/watching_test.py holds them against running processes.
import json
import re
import shutil
import subprocess
import unittest

import alerts
import tree

METRIC = re.compile(r'"((?:turnpike_|vllm:)[a-z_]+)"')


class Alerts(unittest.TestCase):
    def setUp(self):
        self.text = tree.read(alerts.RULES)
        self.rules = alerts.rules(self.text)

    def test_every_rule_is_whole(self):
        names = [rule["alert"] for rule in self.rules]
        self.assertGreater(len(names), 20)
        self.assertEqual(len(set(names)), len(names))
        for rule in self.rules:
            self.assertEqual(set(rule), {"alert", "expr", "for", "labels", "annotations"}, rule)
            self.assertRegex(rule["alert"], r"^Turnpike[A-Z][A-Za-z]+$")
            self.assertRegex(rule["for"], r"^\d+[mh]$")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"), rule)
            self.assertEqual(set(rule["annotations"]), {"summary", "runbook"}, rule)
            self.assertTrue(rule["annotations"]["summary"].endswith("."), rule)

    def test_every_alert_has_a_runbook_and_every_runbook_an_alert(self):
        runbooks = alerts.runbooks()
        self.assertEqual({rule["alert"] for rule in self.rules}, set(runbooks))
        index = tree.read(alerts.RUNBOOKS + "README.md")
        for rule in self.rules:
            name = rule["alert"]
            self.assertEqual(rule["annotations"]["runbook"], f"{alerts.RUNBOOKS}{name}.md")
            self.assertIn(f"| [{name}]({name}.md) | {rule['labels']['severity']} | "
                          f"{rule['annotations']['summary']} |\n", index)
            self.assertTrue(runbooks[name].startswith(
                f"# {name}\n\n{rule['annotations']['summary']} Severity: {rule['labels']['severity']}.\n"),
                f"{name}: summary and severity of its runbook are others")
            self.assertEqual(re.findall(r"(?m)^## (.*)$", runbooks[name]), alerts.SECTIONS, name)
            commands = re.search(r"## How to confirm\n\n```\n(.*?)\n```\n", runbooks[name], re.DOTALL)
            self.assertTrue(commands and "turnpike " in commands[1], f"{name}: no command confirms it")

    def test_every_metric_is_named_in_the_code(self):
        named = {name for path in tree.code(".cpp") if not path.startswith("tests/")
                 for name in METRIC.findall(tree.read(path))}
        self.assertGreater(len(named), 60)
        for who, expression in alerts.expressions():
            read = alerts.selectors(expression)
            self.assertTrue(read, f"{who}: {expression} reads no metric")
            for metric, _ in read:
                self.assertTrue(metric == "up" or metric in named or alerts.family(metric) in named,
                                f"{who}: no code exposes {metric}")

    def test_the_page_of_metrics_has_every_metric(self):
        page = tree.read("ops/docs/formats/metrics.md")
        for process, folder in (("gateway", "gateway/edge/"), ("controlplane", "controlplane/")):
            prefix = f"turnpike_{process}_"
            for path in tree.code(".cpp"):
                for name in METRIC.findall(tree.read(path)) if path.startswith(folder) else ():
                    if name.startswith(prefix):
                        self.assertIn(f"`…{name[len(prefix):]}`", page, f"{path}: {name}")

    def test_other_parsers_read_the_same(self):
        try:
            import yaml  # Debian's python3-yaml, where it is installed
            self.assertEqual(yaml.safe_load(self.text), alerts.parse(self.text))
        except ImportError:
            print("no yaml module here: our own parser alone has read the rules")
        promtool = shutil.which("promtool")
        if promtool is None:
            print("no promtool here: PromQL's own parser has not read the rules")
            return
        done = subprocess.run([promtool, "check", "rules", tree.ROOT / alerts.RULES],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_dashboard_can_be_drawn(self):
        dashboard = json.loads(tree.read(alerts.DASHBOARD))
        panels = dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = set()
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, f"{panel['title']} lies over another")
            taken |= cells
            self.assertEqual(panel["type"] == "row", not panel.get("targets"), panel["title"])
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        self.assertEqual(set(re.findall(r"\$\{?(\w+)", json.dumps(panels))), variables)
        for title, expression, legend in alerts.dashboard_expressions():
            shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
            if "sum" in expression or "count" in expression:
                self.assertLessEqual(shown, alerts.grouped_labels(expression), f"{title}: {legend}")
        for expression in [rule["expr"] for rule in self.rules]:
            self.assertEqual(expression.count("("), expression.count(")"), expression)


class Parser(unittest.TestCase):
    def test_reads_groups_of_rules(self):
        text = ("# Comment.\ngroups:\n  - name: a\n    rules:\n      - alert: X\n        expr: 'up == 0'\n"
                "        labels:\n          severity: page\n      - alert: Y\n        expr: 'it''s'\n")
        self.assertEqual(alerts.parse(text), {"groups": [{"name": "a", "rules": [
            {"alert": "X", "expr": "up == 0", "labels": {"severity": "page"}},
            {"alert": "Y", "expr": "it's"}]}]})

    def test_refuses_what_is_not_plain(self):
        for text in ("", "a: b c\n", "a: 'b\n", "a: 'b'c'\n", " a: b\n", "a:\n", "a: b\na: c\n",
                     "a: b\n  c: d\n", "a: [b]\n", "a: b # c\n"):
            with self.assertRaises(ValueError, msg=text):
                alerts.parse(text)

    def test_finds_what_an_expression_reads(self):
        self.assertEqual(alerts.selectors('sum by (le, kind) (rate(a_bucket{x="y{",z=~"q|r"}[5m])) > 2e9 * 1.5'),
                         [("a_bucket", {"x": ("=", "y{"), "z": ("=~", "q|r")})])
        self.assertEqual(alerts.selectors("vllm:a - on (job) b{} and c offset 5m"),
                         [("vllm:a", {}), ("b", {}), ("c", {})])
        self.assertEqual(alerts.grouped_labels("sum by (le, kind) (a) / on (job) b"), {"le", "kind", "job"})
        self.assertEqual(alerts.family("a_seconds_bucket"), "a_seconds")
        self.assertEqual(alerts.family("a_total"), "a_total")


if __name__ == "__main__":
    unittest.main()
