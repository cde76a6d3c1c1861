// NFC, as the models' tokenizers apply it.
#pragma once

#include <string>
#include <string_view>

namespace turnpike::engine::text {

// Unicode's NFC by utf8proc, but for the code points of is_unknown_to_normalizer: the `tokenizers`
// package, which the models were trained with, has older tables than utf8proc and leaves those
// where they are. `text` is valid UTF-8.
std::string to_nfc(std::string_view text);

}  // namespace turnpike::engine::text
