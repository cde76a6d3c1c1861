// The byte-level alphabet of GPT-2: each byte has a printable code point, so that vocabularies are
// text. Bytes 33..126, 161..172 and 174..255 stand for themselves; the other 68 for U+0100 + n in
// order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::engine::text {

// Raw bytes to their UTF-8 alphabet, and back (kCorrupt for a code point outside the alphabet).
std::string to_byte_level(std::string_view bytes);
Result<std::string> from_byte_level(std::string_view text);

}  // namespace turnpike::engine::text
