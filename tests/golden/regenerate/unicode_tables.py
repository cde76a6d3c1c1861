"""Writes engine/text/unicode_tables.cpp: where `tokenizers` and Unicode 14 / utf8proc differ.

    python unicode_tables.py > ../../../engine/text/unicode_tables.cpp

The package's regular expressions (Oniguruma) know a newer Unicode than PCRE2 10.42 (Unicode 14.0),
its NFC an older one than utf8proc. Both are found by trying every code point: a one-character
split per class, and normalisations that would show a combining class or a composition.

Made with tokenizers 0.22.2, libutf8proc 2.8.0 and the unicodedata of CPython 3.11 (Unicode 14.0).
"""

import ctypes
import unicodedata

import tokenizers
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import Split

CODE_POINTS = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]


def matched(pattern):
    """The code points that the package matches with a one-character pattern."""
    split = Split(tokenizers.Regex(pattern), "removed")
    left = set(CODE_POINTS)
    for begin in range(0, len(CODE_POINTS), 4096):
        text = "".join(map(chr, CODE_POINTS[begin:begin + 4096]))
        for piece, _ in split.pre_tokenize_str(text):
            left -= set(map(ord, piece))
    return left


def utf8proc_nfc():
    library = ctypes.CDLL("libutf8proc.so.2")
    library.utf8proc_NFC.restype = ctypes.c_void_p
    library.utf8proc_NFC.argtypes = [ctypes.c_char_p]
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]

    def normalize(text):
        pointer = library.utf8proc_NFC(text.encode())
        result = ctypes.string_at(pointer).decode()
        free(pointer)
        return result

    return normalize


def unknown_to_normalizer():
    theirs, ours = NFC().normalize_str, utf8proc_nfc()
    found = set()
    for code_point in CODE_POINTS:
        c = chr(code_point)
        probes = [c, f"a\u0315{c}\u0334", f"a\u0334\u0316{c}\u0316", f"\u0301{c}\u0300"]
        if any(theirs(text) != ours(text) for text in probes):
            found.add(code_point)
        parts = unicodedata.normalize("NFD", c)
        if theirs(parts) != ours(parts):
            found |= {code_point, ord(parts[-1])}  # neither composed nor a second part
    return found


def ranges(code_points):
    result = []
    for c in sorted(code_points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def class_text(code_points):
    text = ""
    for first, last in ranges(code_points):
        text += f"\\\\x{{{first:x}}}" + (f"-\\\\x{{{last:x}}}" if last > first else "")
    return text


def wrapped(text, indent, width=96):
    """C++ string literals; never cut within an escape."""
    lines, line = [], ""
    for part in text.replace("\\\\x", "\n\\\\x").split("\n"):
        if len(line) + len(part) > width - indent - 4:
            lines.append(line)
            line = ""
        line += part
    lines.append(line)
    return "\n".join(" " * indent + f'"{line}"' for line in lines)


def main():
    assert tokenizers.__version__ == "0.22.2" and unicodedata.unidata_version == "14.0.0"
    print("// Written by tests/golden/regenerate/unicode_tables.py (tokenizers 0.22.2); do not edit.")
    print('#include "engine/text/unicode_tables.h"\n\n#include <algorithm>\n#include <iterator>\n')
    print("namespace turnpike::engine::text {\nnamespace {\n")
    for major in "LMNPS":
        old = {c for c in CODE_POINTS if unicodedata.category(chr(c))[0] == major}
        new = matched(rf"\p{{{major}}}")
        assert old <= new, "a category lost members: adding them to a class is not enough"
        print(f"constexpr std::string_view k{major} =\n{wrapped(class_text(new - old), 4)};\n")
    print(f"constexpr std::string_view kWhiteSpace =\n{wrapped(class_text(matched(chr(92) + 's')), 4)};\n")
    print("struct Range {\n    char32_t first;\n    char32_t last;\n};\n")
    print("constexpr Range kUnknownToNormalizer[] = {")
    for first, last in ranges(unknown_to_normalizer()):
        print(f"    {{0x{first:X}, 0x{last:X}}},")
    print("};\n\n}  // namespace\n")
    print("std::string_view members_since_unicode_14(char major) {\n    switch (major) {")
    for major in "LMNPS":
        print(f"        case '{major}':\n            return k{major};")
    print("        default:\n            return {};\n    }\n}\n")
    print("std::string_view white_space_members() {\n    return kWhiteSpace;\n}\n")
    print("""bool is_unknown_to_normalizer(char32_t code_point) {
    const auto* range = std::lower_bound(
        std::begin(kUnknownToNormalizer), std::end(kUnknownToNormalizer), code_point,
        [](const Range& entry, char32_t value) { return entry.last < value; });
    return range != std::end(kUnknownToNormalizer) && range->first <= code_point;
}

}  // namespace turnpike::engine::text""")


if __name__ == "__main__":
    main()
