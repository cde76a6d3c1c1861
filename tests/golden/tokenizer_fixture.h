// The tokenizers and texts of tests/golden/regenerate/tokenizer.py, built again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"

namespace turnpike::golden {

// tokenizer.json of the stored merges of "deepseek" or "qwen3"; without its added tokens they are
// ordinary text.
std::string tokenizer_json(const std::string& name, bool has_added_tokens);

std::vector<std::string> stored_strings();
std::vector<std::uint64_t> stored_hashes(const std::string& name);

// Every code point of the planes in use, 2,048 to a text.
std::vector<std::string> sweep_texts();
std::vector<std::vector<TokenId>> id_lists(std::uint64_t num_ids);

// FNV-1a, of bytes and of little-endian ids.
std::uint64_t hash_text(std::string_view text);
std::uint64_t hash_ids(std::span<const TokenId> ids);

}  // namespace turnpike::golden
