# The style rules that a machine can hold, each a function from a path and its text to problems.
# A problem is 'file:line: what is wrong; what to do'.
import re
from pathlib import Path

import tree

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100
MAX_BLOB_BYTES = 1 << 20
MAX_ASIO_UNITS = 12

# Files that may be larger than MAX_BLOB_BYTES, each with its reason.
LARGE_FILES = {
    "config/files/models/r1-nano/model.safetensors": "the embedded model, which only a GPU makes anew in minutes",
}

HEADER = (".h", ".cuh")
CPP = (".cpp", ".h")

# Put together from parts, so that this file does not break its own rule.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|time\.sleep)\s*\(")
NOW = re.compile(r"\b(system_clock|steady_clock|high_resolution_clock)::now\b")
AWAIT_LAMBDA = re.compile(r"\bco_await\b[^;]*\(\s*(?:[^;]*,\s*)?\[")
AWAIT_AGGREGATE = re.compile(r"\bco_await\b[^;]*\b[A-Z]\w*\s*\{")
# Of one machine, or of who wrote it where.
MACHINE = re.compile("|".join([r"(?<![\w.}/$])/(home|root|work|workspace|mnt|Users)/\w", r"(?i:co-auth" + r"ored-by)"]))
# Steps out of folders, and the first name after them.
CLIMB = re.compile(r"(?<![\w./])((?:\.\./)+)(\w[\w.-]*)")


def without_comments_and_text(text):
    """`text` with comments, strings and characters blanked; line numbers stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                         r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])'", re.DOTALL)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def matches(pattern, path, text, message):
    return [f"{path}:{number}: {message}" for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)]


def check_length(path, text):
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        return [f"{path}:{MAX_FILE_LINES}: {lines} lines, at most {MAX_FILE_LINES}; split by noun"]
    return []


def check_columns(path, text):
    """Lines of C++ only; the text of a raw string is data, which no formatter may break."""
    if path.endswith(".py"):
        return []
    text = re.sub(r'R"(\w*)\(.*?\)\1"', lambda raw: "\n" * raw.group(0).count("\n"), text,
                  flags=re.DOTALL)
    return [f"{path}:{number}: {len(line)} columns, at most {MAX_COLUMNS}; run clang-format"
            for number, line in enumerate(text.splitlines(), 1) if len(line) > MAX_COLUMNS]


def check_opening(path, text):
    """Headers open with a comment; so does a .cpp, unless it begins with its own header."""
    first = text.split("\n", 1)[0]
    own_header = path.rsplit("/", 1)[-1].replace(".cpp", ".h")
    if first.startswith(("//", "#!")):
        return []
    if path.endswith(".py") and first.startswith(("#", '"""')):
        return []
    if path.endswith(".cpp") and first.startswith("#include") and own_header in first:
        return []
    return [f"{path}:1: opens without a comment; say in 1-4 lines what this file is"]


def check_headers(path, text):
    if not path.endswith(HEADER):
        return []
    # Literals are the exception of C++ Core Guidelines SF.7.
    pattern = re.compile(r"^\s*using namespace\b(?! std::(\w+_)?literals;)")
    problems = matches(pattern, path, text,
                       "`using namespace` in a header; name what you use")
    if "#pragma once" not in text:
        problems.append(f"{path}:1: a header without #pragma once")
    return problems


def check_time(path, text):
    if path == "config/base/clock.cpp" or path.startswith("tests/"):
        return []
    return matches(NOW, path, without_comments_and_text(text),
                   "reads the time itself; take a Clock& or a `now` argument")


def check_unfinished(path, text):
    return matches(UNFINISHED, path, text, "unfinished work; finish it or leave it out")


def check_sleep(path, text):
    if not path.startswith("tests/"):
        return []
    return matches(SLEEP, path, text, "a test that sleeps; poll with a deadline or use FakeClock")


def check_await(path, text):
    """g++ 12 frees unnamed aggregates and lambdas inside co_await twice."""
    problems = []
    plain = without_comments_and_text(text)
    for pattern, what in ((AWAIT_LAMBDA, "lambda"), (AWAIT_AGGREGATE, "aggregate")):
        for match in pattern.finditer(plain):
            number = plain.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{number}: unnamed {what} inside co_await, which g++ 12 frees "
                            "twice; name it on the line before")
    return problems


def check_alone(path, text):
    """Nothing of the machine where it was written, and nothing that lies beside the tree."""
    problems = matches(MACHINE, path, text, "speaks of the machine where it was written; remove it")
    if path.startswith("tests/") and path.endswith((".cpp", "_test.py")):
        return problems  # bad paths are inputs there
    folder = Path(path).parent
    for number, line in enumerate(text.splitlines(), 1):
        for climb, name in CLIMB.findall(line):
            levels = climb.count("../")
            base = tree.ROOT.joinpath(*folder.parts[:len(folder.parts) - levels])
            if levels > len(folder.parts) or not (base / name).exists():
                problems.append(f"{path}:{number}: {climb}{name} is not in the tree")
    return problems


def opens_scope(head):
    """Whether the text before a `{` opens a namespace or type, whose body is no function."""
    head = re.sub(r"template\s*<[^{};]*>", "", head)
    return bool(re.search(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$", head))


def functions(text):
    """(first line, number of lines) of each outermost function body, by counting braces."""
    plain = without_comments_and_text(re.sub(r"(?m)^\s*#.*$", "", text))
    stack, start, line, head = [], None, 1, ""
    for character in plain:
        if character == "{":
            is_scope = start is None and opens_scope(head)
            stack.append(is_scope)
            if not is_scope and start is None:
                start = (len(stack), line)
            head = ""
        elif character == "}":
            if start is not None and len(stack) == start[0]:
                yield start[1], line - start[1] + 1
                start = None
            if stack:
                stack.pop()
            head = ""
        elif character == ";":
            head = ""
        else:
            head += character
        line += character == "\n"


def check_functions(path, text):
    if not path.endswith(CPP):
        return []
    return [f"{path}:{line}: a function of {length} lines, at most {MAX_FUNCTION_LINES}; "
            "split off its leaves" for line, length in functions(text)
            if length > MAX_FUNCTION_LINES]


CODE_CHECKS = [check_length, check_columns, check_opening, check_headers, check_time,
               check_unfinished, check_sleep, check_await, check_functions]


def check_migrations(names):
    """Names of one database's migrations: NNNN_name.sql from 0001 without gaps."""
    problems = []
    for expected, name in enumerate(sorted(names), 1):
        if not re.fullmatch(f"{expected:04d}_[a-z0-9_]+\\.sql", name):
            problems.append(f"{name}:1: expected {expected:04d}_<name>.sql; number without gaps")
    return problems
