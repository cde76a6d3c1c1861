# The alert rules, their runbooks and the dashboard as data. The rules are a plain part of YAML, so that
# the standard library reads them: lists of mappings two columns deeper each, values on their line, and
# text that has more than letters in single quotes.
import json
import re

import tree

RULES = "ops/alerts/turnpike.rules.yml"
DASHBOARD = "ops/dashboards/turnpike.json"
RUNBOOKS = "ops/docs/runbooks/"
SECTIONS = ["What it means", "How to confirm", "What to do", "When to escalate"]

LINE = re.compile(r"^( *)(- )?([a-z]+):(?: (.*))?$")
PLAIN = re.compile(r"^[\w./-]+$")

# Of PromQL: what is no metric although it reads like one.
CLAUSE = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
KEYWORDS = {"and", "or", "unless", "bool", "offset"}
SELECTOR = re.compile(r"(?<![\w.:])([A-Za-z_:][\w:]*)(?!\s*\()(?![\w:])(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def scalar(text, number):
    if PLAIN.match(text):
        return text
    if len(text) >= 2 and text[0] == text[-1] == "'" and "'" not in text[1:-1].replace("''", ""):
        return text[1:-1].replace("''", "'")
    raise ValueError(f"{RULES}:{number}: expected plain letters or 'text in single quotes', found {text}")


def parse(text):
    """The document: mappings as dicts, lists as lists, every value a text."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.match(line)
        if not match or len(match[1]) % 2:
            raise ValueError(f"{RULES}:{number}: expected `name: value` at an even column, found {line}")
        column = len(match[1])
        if match[2]:
            rows.append((column, None, None, number))  # an item begins
            column += 2
        rows.append((column, match[3], match[4], number))

    def block(index, column):
        """(value, index behind it) of what begins at `index`, all of it at `column`."""
        is_list = rows[index][1] is None
        found = [] if is_list else {}
        while index < len(rows) and rows[index][0] == column and (rows[index][1] is None) == is_list:
            _, name, value, number = rows[index]
            index += 1
            if is_list:
                item, index = block(index, column + 2)
                found.append(item)
                continue
            if name in found:
                raise ValueError(f"{RULES}:{number}: {name} is given twice")
            if value is not None:
                found[name] = scalar(value, number)
            elif index < len(rows) and rows[index][0] > column:
                found[name], index = block(index, rows[index][0])
            else:
                raise ValueError(f"{RULES}:{number}: {name} has no value")
        return found, index

    if not rows:
        raise ValueError(f"{RULES}:1: empty")
    document, end = block(0, 0)
    if end != len(rows):
        raise ValueError(f"{RULES}:{rows[end][3]}: unexpected column")
    return document


def rules(text):
    return [rule for group in parse(text)["groups"] for rule in group["rules"]]


def selectors(expression):
    """[(metric, {label: (operator, value)})] that a PromQL expression reads."""
    hidden = re.sub(r'"[^"]*"', lambda found: '"' + "\0" * (len(found[0]) - 2) + '"', expression)
    # What is left out becomes spaces, so that both texts stay in step.
    plain = CLAUSE.sub(lambda found: " " * len(found[0]), hidden)
    plain = re.sub(r"\[[^\]]*\]", lambda found: " " * len(found[0]), plain)
    found = []
    for match in SELECTOR.finditer(plain):
        if match[1] in KEYWORDS:
            continue
        labels = {}
        if match[2] is not None:
            inner = expression[match.start(2):match.end(2)]
            labels = {name: (operator, value) for name, operator, value in MATCHER.findall(inner)}
        found.append((match[1], labels))
    return found


def grouped_labels(expression):
    """Labels that `by`, `on` and the like name."""
    return {label.strip() for _, labels in CLAUSE.findall(expression)
            for label in labels.split(",") if label.strip()}


def family(metric):
    """A histogram's name without what its samples append."""
    return re.sub(r"_(bucket|sum|count)$", "", metric)


def dashboard_expressions():
    """(panel's title, expression, legend) of each query."""
    return [(panel["title"], target["expr"], target["legendFormat"])
            for panel in json.loads(tree.read(DASHBOARD))["panels"]
            for target in panel.get("targets", [])]


def expressions():
    """(who asks, expression) of rules and dashboard."""
    return ([(rule["alert"], rule["expr"]) for rule in rules(tree.read(RULES))]
            + [(title, expression) for title, expression, _ in dashboard_expressions()])


def runbooks():
    """{alert: text}, without the index."""
    return {path[len(RUNBOOKS):-3]: tree.read(path) for path in tree.files()
            if path.startswith(RUNBOOKS) and not path.endswith("README.md")}
