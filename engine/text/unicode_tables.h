// Where the Unicode tables of this host's libraries differ from those of the `tokenizers` package
// that the models were trained with. unicode_tables.cpp is written by
// tests/golden/regenerate/unicode_tables.py, which finds the differences by trying every code
// point.
#pragma once

#include <string_view>

namespace turnpike::engine::text {

// Code points of the general category `major` (L, M, N, P or S) that Unicode 14 does not have yet,
// as the inside of a PCRE2 character class. Empty for other letters.
std::string_view members_since_unicode_14(char major);

// The White_Space code points, as the inside of a PCRE2 character class. (PCRE2's own \s also
// matches U+180E, which is none since Unicode 6.3.)
std::string_view white_space_members();

// Code points that take part in normalisation since a Unicode version that the package's
// normaliser does not know: it treats each as a character that never moves or combines.
bool is_unknown_to_normalizer(char32_t code_point);

}  // namespace turnpike::engine::text
