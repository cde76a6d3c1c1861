// Opening a checkpoint folder: the one door from a model's files to a Runner, whatever the
// architecture. A folder holds config.json and either model.safetensors or
// model.safetensors.index.json with its shards.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/schema/model_card.h"
#include "engine/core/batch.h"
#include "engine/model/rank_link.h"

namespace turnpike::engine {

struct RunnerOptions {
    std::string model_dir;
    schema::Numerics numerics = schema::Numerics::kW8A16;
    int num_threads = 1;            // of each rank's CPU backend; results do not depend on it
    std::string isa = "auto";       // the backend: a name that make_backend() takes
    bool is_deterministic = false;  // see kernels::BackendOptions
    std::int64_t kv_tokens = 0;     // positions that the KV cache holds, rounded up to whole blocks
    // Token ids at and beyond this are padding rows of the head and are never sampled: the
    // tokenizer's vocabulary size. 0 = every row is a token.
    std::int32_t num_tokens = 0;
    // Loads the model's multi-token-prediction layer too; an error where it has none.
    bool with_draft_layer = false;
    // The ranks that hold the model together. Rank 0 tells the others its other options.
    RankLink ranks;
};

// What config.json says about the model, for a server that must know before or without loading
// weights.
struct ModelInfo {
    std::string architecture;        // as config.json names it
    std::int32_t vocab_size = 0;     // rows of the head, padding included
    std::int64_t max_positions = 0;  // the checkpoint's context
    TokenId bos_token = 0;
    TokenId eos_token = 0;
    std::int64_t kv_bytes_per_token = 0;  // of the CPU backend, all main layers
    std::int64_t num_draft_layers = 0;    // multi-token prediction, beside the main layers
};

// Errors: kInvalidArgument for a config or option that is not supported, kCorrupt for files that
// break their format or do not fit the config (file, tensor, expected and found are named), kIo.
Result<ModelInfo> read_model_info(const std::string& model_dir);

// Checks the config and the name, shape and dtype of every tensor; reads no weight.
Status check_checkpoint(const std::string& model_dir);

// Loads the weights and reserves the KV cache. Errors as read_model_info.
// The Runner computes within submit(), so collect() never waits, and max_steps_in_flight() is 1.
// kTokenInFlight rows are resolved from the sequence's last sample.
// With several ranks: by rank 0, while the others run_rank(). Under data-parallel attention there
// is a block pool for each rank, of options.kv_tokens each.
Result<std::unique_ptr<Runner>> load_runner(const RunnerOptions& options);

// The part of a rank other than 0: loads its share as rank 0 says, and computes with it until its
// Runner is gone. Errors as load_runner; kUnavailable when another rank is lost.
Status run_rank(const RankLink& link);

// f32 logits of every position, row-major [tokens.size(), vocab_size], of one sequence from
// position 0. Rows below num_prompt_rows are computed as prompt rows, the rest as generated rows,
// where the architecture tells them apart; at most the whole sequence. options.kv_tokens may be 0:
// the cache is then sized for the tokens. Errors also for tokens out of range.
Result<std::vector<float>> compute_logits(const RunnerOptions& options,
                                          std::span<const TokenId> tokens,
                                          std::int64_t num_prompt_rows);

// What the draft layer makes of the same forward pass: row i holds the logits of the token at i +
// 2, [tokens.size() - 1, vocab_size]. At least two tokens; options.with_draft_layer is taken as
// set.
Result<std::vector<float>> compute_draft_logits(const RunnerOptions& options,
                                                std::span<const TokenId> tokens,
                                                std::int64_t num_prompt_rows);

}  // namespace turnpike::engine
