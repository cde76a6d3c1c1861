# Holds every include of the tree against the table in layers.py; a planted bad one must be found.
import unittest

import layers
import tree


class Layers(unittest.TestCase):
    def test_tree_keeps_the_include_table(self):
        problems = []
        paths = [path for path in tree.code() if not path.startswith("tests/")]
        self.assertGreater(len(paths), 50, "found hardly any code: is TURNPIKE_SOURCE_DIR right?")
        for path in paths:
            problems += layers.check_file(tree.ROOT, path)
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_finds_the_planted_includes(self):
        problems = layers.check_file(tree.ROOT / tree.PLANTED, "kernels/api/bad_include.h")
        self.assertEqual(len(problems), 2, problems)
        self.assertIn("kernels/api/bad_include.h:4: kernels/api may not use sqlite", problems[0])
        self.assertIn("kernels/api/bad_include.h:6: kernels/api may not include", problems[1])

    def test_decides_by_the_longest_folder(self):
        check = layers.check_include
        self.assertIsNone(check("engine/model/load.h", True, "engine/core/batch.h"))
        self.assertIsNotNone(check("engine/model/load.h", True, "engine/core/scheduler.h"))
        self.assertIsNone(check("gateway/edge/a.cpp", True, "engine/api/codec.h"))
        self.assertIsNotNone(check("gateway/edge/a.cpp", True, "engine/apiary/codec.h"))
        self.assertIsNotNone(check("gateway/edge/a.cpp", True, "controlplane/store/store.h"))
        self.assertIsNotNone(check("controlplane/serve/a.cpp", False, "sqlite3.h"))
        self.assertIsNotNone(check("config/base/a.h", True, "config/net/address.h"))
        self.assertIsNotNone(check("somewhere/a.h", False, "vector"))

    def test_the_codec_does_not_leak_into_headers(self):
        check = layers.check_include
        self.assertIsNone(check("engine/api/request_parser.cpp", False, "simdjson.h"))
        self.assertIsNotNone(check("engine/api/codec.h", False, "simdjson.h"))


if __name__ == "__main__":
    unittest.main()
