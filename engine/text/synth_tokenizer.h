// A small byte-level BPE tokenizer in the layout of DeepSeek-V3's, for synthetic checkpoints:
// begin, end and pad first, then the 256 bytes, then merges learnt from a text of our own, then
// R1's added tokens.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/result.h"

namespace turnpike::engine::text {

// Rows of the head that stay without a token, as in the real model.
inline constexpr std::int32_t kNumSyntheticPaddingRows = 8;

// tokenizer.json for a model whose head has `vocab_size` rows. The same size gives the same bytes.
// kInvalidArgument below 300 rows.
Result<std::string> synthesize_tokenizer_json(std::int32_t vocab_size);

// tokenizer_config.json that goes with it.
std::string synthesize_tokenizer_config_json();

}  // namespace turnpike::engine::text
