# Documents: relative links resolve, every page is reachable, and README's two commands can be run.
import os
import re
import unittest
from pathlib import PurePosixPath

import tree

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def targets(path, text):
    """(line, path from the root) of each relative link of the page at `path`."""
    folder = PurePosixPath(path).parent
    for number, line in enumerate(text.splitlines(), 1):
        for link in LINK.findall(line):
            if not re.match(r"[a-z]+:|#", link):
                yield number, os.path.normpath(str(folder / link.split("#")[0]))


class Docs(unittest.TestCase):
    def setUp(self):
        self.pages = [path for path in tree.files() if path.endswith(".md")]

    def test_links_resolve(self):
        problems = [f"{page}:{number}: links to {target}, which does not exist"
                    for page in self.pages for number, target in targets(page, tree.read(page))
                    if not (tree.ROOT / target).exists()]
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_every_page_is_linked(self):
        linked = {target for page in self.pages for _, target in targets(page, tree.read(page))}
        problems = [f"{page}:1: no page links here; link it from README.md or ARCHITECTURE.md"
                    for page in self.pages if page.startswith("ops/docs/") and page not in linked]
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_the_two_commands_can_be_run(self):
        readme = tree.read("README.md")
        for command in ("ops/quickstart", "ops/test", ".ci/run"):
            self.assertTrue(os.access(tree.ROOT / command, os.X_OK), command)
        self.assertIn("\nops/quickstart ", readme)
        self.assertIn("\nops/test ", readme)

    def test_links_are_read_relative_to_their_page(self):
        text = "see [a](../b/c.md#part) and [d](https://e) and [f](#g)"
        self.assertEqual(list(targets("x/y/z.md", text)), [(1, "x/b/c.md")])


if __name__ == "__main__":
    unittest.main()
