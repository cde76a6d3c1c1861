#!/usr/bin/env python3
"""`turnpike completion`: bash completes by the script, word by word, what the command's own --help
lists; zsh as well, where there is one."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BINARY = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike"

# Completes the last of its arguments as bash does at the end of a line.
BASH = """
source "$1"; shift
complete -p turnpike >/dev/null || exit 9
compopt() { echo "$*"; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_turnpike turnpike "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# What zsh would be told to offer; it matches prefixes itself.
ZSH = """
compdef() { [[ $* == '_turnpike turnpike' ]] || exit 9; }
_describe() { printf '%s\\n' "${(@P)2}"; }
_files() { echo "files"; }
source "$1"; shift
words=("$@"); CURRENT=$#
_turnpike
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and not done.stderr, (command, done.returncode, done.stderr)
    return done.stdout


def help_of(*verbs):
    """(verbs, flags) that `turnpike <verbs> --help` lists."""
    text = run(BINARY, *verbs, "--help")
    sections = re.split(r"(?m)^(\w+):\n", text)
    bodies = dict(zip(sections[1::2], sections[2::2]))
    names = re.findall(r"(?m)^  ([\w-]+(?:, [\w-]+)*)(?: |$)", bodies.get("Subcommands", ""))
    listed = [name for one in names for name in one.split(", ")]
    heads = re.findall(r"(?m)^  (-\S*)", bodies.get("Options", ""))
    flags = {flag.split("{")[0] for head in heads for flag in head.split(",")}
    return listed, flags


class CompletionTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-completion-"))
        self.addCleanup(shutil.rmtree, self.dir)
        for shell in ("bash", "zsh"):
            (self.dir / shell).write_text(run(BINARY, "completion", shell))

    def bash(self, *words):
        return run("bash", "--norc", "--noprofile", "-c", BASH, "bash", self.dir / "bash",
                   "turnpike", *words).split()

    def test_prefixes(self):
        for words, expected in (
                (["or"], ["org"]),
                (["he"], ["health"]),
                (["org", ""], ["create", "list", "--help", "-h"]),
                (["org", "cr"], ["create"]),
                (["billing", "re"], ["reconcile", "release"]),
                (["key", "create", "--o"], ["--org"]),
                (["key", "create", "--org", "demo", "--n"], ["--name"]),
                (["key", "create", "--org=demo", "--n"], ["--name"]),
                (["--admin", "org", "key", "l"], ["list"]),
                (["--admin", "=", "unix", ":", "x", "key", "l"], ["list"]),
                (["endpoints", "start", "id", "--no"], ["--no-wait"]),
                (["completion", "z"], ["zsh"]),
                (["completion", ""], ["--help", "-h", "bash", "zsh"]),
                (["health", "--wait", ""], []),
                (["doctor", "--settings", ""], ["-o", "default"]),
                (["doctor", "--settings", "a", "b", "--js"], ["--json"]),
                (["nonsense"], []),
                (["org", "nonsense", "cr"], ["create"])):
            with self.subTest(words=words):
                self.assertEqual(self.bash(*words), expected)

    def test_every_verb_and_flag_of_the_help_is_completed(self):
        waiting, num_seen = [()], 0
        while waiting:
            verbs = waiting.pop()
            listed, flags = help_of(*verbs)
            offered = set(self.bash(*verbs, ""))
            self.assertLessEqual(set(listed) | flags, offered, verbs)
            num_seen += 1
            waiting += [(*verbs, verb) for verb in listed if (*verbs, verb) != ("chat",)]
        self.assertGreater(num_seen, 30)

    def test_zsh(self):
        zsh = shutil.which("zsh")
        if zsh is None:
            self.skipTest("no zsh here")
        def offered(*words):
            lines = run(zsh, "-f", "-c", ZSH, "zsh", self.dir / "zsh", "turnpike", *words)
            return [line.split(":")[0] for line in lines.splitlines()]
        run(zsh, "-n", self.dir / "zsh")
        self.assertEqual(offered("org", ""), ["create", "list", "--help", "-h"])
        self.assertEqual(offered("--admin", "x", "key", ""), ["create", "list", "revoke", "--help", "-h"])
        self.assertEqual(offered("doctor", "--settings", ""), ["files"])
        self.assertEqual(offered("completion", ""), ["--help", "-h", "bash", "zsh"])

    def test_another_shell_is_refused(self):
        done = subprocess.run([BINARY, "completion", "fish"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("bash", done.stderr)


if __name__ == "__main__":
    unittest.main()
