# Holds the tree against the rules of style.py, and each rule against a text that breaks it.
import unittest

import style
import tree


class Tree(unittest.TestCase):
    def none(self, problems):
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_code(self):
        problems = []
        for path in tree.code(*tree.CODE, ".py"):
            text = tree.read(path)
            for check in style.CODE_CHECKS:
                problems += check(path, text)
        self.none(problems)

    def test_every_file_stands_alone(self):
        problems = []
        for path in tree.files():
            try:
                problems += style.check_alone(path, tree.read(path))
            except UnicodeDecodeError:
                continue  # binary golden data
        self.none(problems)

    def test_no_large_files(self):
        sizes = {path: (tree.ROOT / path).stat().st_size for path in tree.files()}
        self.none([f"{path}:1: {size} bytes, at most {style.MAX_BLOB_BYTES}; make it at test time"
                   for path, size in sizes.items()
                   if size > style.MAX_BLOB_BYTES and path not in style.LARGE_FILES])

    def test_migrations_have_no_gaps(self):
        for database in ("control", "usage"):
            prefix = f"migrations/{database}/"
            names = [path[len(prefix):] for path in tree.files() if path.startswith(prefix)]
            self.assertTrue(names, prefix)
            self.none(style.check_migrations(names))

    def test_few_units_compile_asio(self):
        units = [path for path in tree.code(".cpp")
                 if not path.startswith("tests/")
                 and ("<boost/asio" in tree.read(path) or "<boost/beast" in tree.read(path))]
        print("units that include Asio or Beast:", *units, sep="\n  ")
        self.assertLessEqual(len(units), style.MAX_ASIO_UNITS)


class Rules(unittest.TestCase):
    def broken(self, check, path, text):
        self.assertEqual(len(check(path, text)), 1, check.__name__)

    def kept(self, check, path, text):
        self.assertEqual(check(path, text), [], check.__name__)

    def test_length_and_columns(self):
        self.broken(style.check_length, "a.cpp", "\n" * 601)
        self.kept(style.check_length, "a.cpp", "\n" * 600)
        self.broken(style.check_columns, "a.cpp", "x" * 101)
        self.kept(style.check_columns, "a.cpp", "x" * 100)
        self.kept(style.check_columns, "a.cpp", 'f(R"(' + "x" * 101 + ')");')
        self.broken(style.check_columns, "a.cpp", 'R"(a\nb)";\n' + "x" * 101)

    def test_opening(self):
        self.broken(style.check_opening, "f/a.h", "#pragma once\n")
        self.kept(style.check_opening, "f/a.h", "// What it is.\n#pragma once\n")
        self.kept(style.check_opening, "f/a.cpp", '#include "f/a.h"\n')
        self.broken(style.check_opening, "f/a.cpp", '#include "f/b.h"\n')

    def test_headers(self):
        self.broken(style.check_headers, "a.h", "#pragma once\nusing namespace std;\n")
        self.kept(style.check_headers, "a.cpp", "using namespace std;\n")
        self.kept(style.check_headers, "a.h",
                  "#pragma once\nusing namespace std::chrono_literals;\n")

    def test_time(self):
        call = "auto t = std::chrono::steady_" + "clock::now();"
        self.broken(style.check_time, "engine/a.cpp", call)
        self.kept(style.check_time, "engine/a.cpp", "// " + call)
        self.kept(style.check_time, "config/base/clock.cpp", call)

    def test_unfinished_and_sleep(self):
        self.broken(style.check_unfinished, "a.cpp", "// TO" + "DO: later")
        self.broken(style.check_sleep, "tests/a.cpp", "std::this_thread::sleep" + "_for(1s);")
        self.kept(style.check_sleep, "engine/a.cpp", "std::this_thread::sleep" + "_for(1s);")

    def test_await(self):
        self.broken(style.check_await, "a.cpp", "co_await run([&] { return 1; });")
        self.broken(style.check_await, "a.cpp", "co_await run(x, [=] { return 1; });")
        self.broken(style.check_await, "a.cpp", "co_await client.get(\n    Options{.path = p});")
        self.kept(style.check_await, "a.cpp", "auto o = Options{p};\nco_await client.get(o[0]);")

    def test_alone(self):
        self.broken(style.check_alone, "a.md", "see ../other/x")
        self.broken(style.check_alone, "ops/docs/a.md", "see ../other/x")
        self.broken(style.check_alone, "a.md", "run /ho" + "me/me/x")
        self.kept(style.check_alone, "ops/docs/a.md", "see ../docs/x, shared memory at work")

    def test_functions(self):
        body = "int f() {\n" + "    g();\n" * 69 + "}\n"
        self.broken(style.check_functions, "a.cpp", "namespace a {\n" + body + "}\n")
        self.kept(style.check_functions, "a.cpp", body.replace("    g();\n", "", 1))
        self.kept(style.check_functions, "a.h", "class A {\n" + "    int x;\n" * 100 + "};\n")
        text = 'int f() {\n    g("}");  // }\n' + "    g();\n" * 69 + "}\n"
        self.broken(style.check_functions, "a.cpp", text)

    def test_migrations(self):
        self.assertEqual(style.check_migrations(["0001_a.sql", "0002_b.sql"]), [])
        self.assertEqual(len(style.check_migrations(["0001_a.sql", "0003_b.sql"])), 1)


if __name__ == "__main__":
    unittest.main()
