// Regular expressions of tokenizer.json (Oniguruma's syntax, the Unicode tables of the
// `tokenizers` package) as PCRE2 reads them.
#pragma once

#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::engine::text {

// Widens \p{L}, \p{M}, \p{N}, \p{P} and \p{S} by what unicode_tables.h lists, and spells \s and \S
// out, so that both engines match the same code points. What the two might read differently is
// refused by name: kInvalidArgument.
Result<std::string> to_pcre2_pattern(std::string_view pattern);

}  // namespace turnpike::engine::text
