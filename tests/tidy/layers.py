# Who may include whom, as data, and the function that holds a file's includes against it.
# The table is ARCHITECTURE.md's; change both together.
import re
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')

# Third-party headers by the name that RULES uses for them.
THIRD_PARTY = [
    ("beast", ("boost/beast",)),
    ("asio", ("boost/asio",)),
    ("boost", ("boost/",)),
    ("openssl", ("openssl/",)),
    ("sqlite", ("sqlite3.h",)),
    ("json", ("nlohmann/",)),
    ("cli11", ("CLI/",)),
    ("simdjson", ("simdjson",)),
    ("fmt", ("fmt/",)),
    ("pcre2", ("pcre2.h",)),
    ("utf8proc", ("utf8proc.h",)),
    ("cuda", ("cuda", "cublas", "nccl.h", "nvtx")),
    ("gtest", ("gtest/", "gmock/")),
]

CONTROLPLANE = ["controlplane/api", "controlplane/store", "controlplane/plan", "controlplane/run",
                "controlplane/serve", "engine/api", "config/net", "config/crypto", "config/schema"]

# folder: (folders or single headers that it may include, third parties). Itself and config/base
# are always allowed. The longest matching folder decides.
RULES = {
    "config/base": ([], ["fmt"]),
    "config/crypto": ([], ["openssl"]),
    "config/net": ([], ["asio", "beast", "openssl"]),
    "config/schema": ([], ["json", "cli11"]),
    "kernels/api": ([], []),
    "kernels/cpu": (["kernels/api"], []),
    "kernels/cuda": (["kernels/api"], ["cuda"]),
    "engine/api": ([], ["json", "simdjson"]),
    "engine/core": (["engine/api"], []),
    "engine/model": (["config/schema", "kernels/api", "engine/core/batch.h"], ["json", "fmt"]),
    "engine/text": (["config/schema", "engine/api"], ["pcre2", "utf8proc", "json"]),
    "engine/parallel": (["kernels/api"], ["cuda"]),
    "engine/serve": (["engine", "config/net", "config/crypto", "config/schema"],
                     ["json", "cli11"]),
    "controlplane/api": ([], ["json"]),
    "controlplane/store": (["config/crypto", "controlplane/api", "migrations"], ["sqlite"]),
    "controlplane/plan": (["controlplane/api"], []),
    "controlplane/run": (CONTROLPLANE, ["json", "cli11"]),
    "controlplane/serve": (CONTROLPLANE, ["json", "cli11"]),
    "controlplane/cli": (["controlplane/api", "config/net", "config/crypto", "config/schema"],
                         ["cli11", "json"]),
    "gateway/policy": (["engine/api", "controlplane/api"], []),
    "gateway/edge": (["gateway/policy", "config/net", "config/crypto", "config/schema",
                      "engine/api", "controlplane/api"], ["asio", "beast", "openssl", "json",
                                                          "cli11"]),
    "gateway/client": (["config/net", "config/schema", "engine/api"], ["cli11", "json"]),
    "migrations": ([], []),
}

# Headers that must do with the standard library alone: what a .cpp uses may not leak from them.
STD_ONLY = re.compile(r"(engine/api|config/base)/[^/]+\.h$")


def is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def rule_folder(path):
    """The longest folder of RULES that holds `path`, or None."""
    found = [folder for folder in RULES if is_below(path, folder)]
    return max(found, key=len, default=None)


def third_party(header):
    for name, prefixes in THIRD_PARTY:
        if header.startswith(prefixes):
            return name
    return None


def includes(text):
    """(line number, is quoted, header) of each include in `text`."""
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_include(path, is_quoted, header):
    """The rule that `path` breaks by including `header`, or None."""
    folder = rule_folder(path)
    if folder is None:
        return "no include rule covers this file; add its folder to RULES in tests/tidy/layers.py"
    allowed, libraries = RULES[folder]
    name = third_party(header)
    if name is not None:
        if name in libraries and not (STD_ONLY.match(path)):
            return None
        shown = ", ".join(libraries) or "none"
        return (f"{folder} may not use {name} (<{header}>; allowed: {shown}); "
                f"move the code to a library that may")
    if not is_quoted:
        return None
    if any(is_below(header, place) for place in [folder, "config/base", *allowed]):
        return None
    shown = ", ".join(["config/base", *allowed])
    return (f'{folder} may not include "{header}" (allowed: {shown}); '
            f"publish what is needed in the owner's api folder or pass it in")


def check_file(root, path):
    """Lines 'file:line: rule' for every include of `path` (relative to `root`) that breaks it."""
    text = (Path(root) / path).read_text(encoding="utf-8")
    problems = []
    for number, is_quoted, header in includes(text):
        rule = check_include(path, is_quoted, header)
        if rule:
            problems.append(f"{path}:{number}: {rule}")
    return problems
