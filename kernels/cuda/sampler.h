// Gumbel-max sampling on the device, without sorting. The definition is
// kernels/cpu/reference/sampler.h: the same token for the same (seed, choice, position) unless two
// candidates are within rounding of each other.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/api/sampler.h"
#include "kernels/api/tensor.h"

namespace turnpike::kernels::cuda {

inline constexpr std::int32_t kMaxAlternatives = 32;
inline constexpr std::int64_t kMaxTokens = 1 << 20;

// SampleParams of one row in device memory; lists lie in arrays that all rows share.
struct SampleRow {
    double temperature = 1.0;
    double top_p = 1.0;
    double min_p = 0.0;
    std::uint64_t seed = 0;
    std::int32_t top_k = 0;
    std::int32_t choice_index = 0;
    std::int32_t position = 0;
    std::int32_t num_alternatives = 0;  // at most kMaxAlternatives
    float repetition_penalty = 1.0F;
    float presence_penalty = 0.0F;
    float frequency_penalty = 0.0F;
    std::int32_t first_seen = 0;
    std::int32_t num_seen = 0;
    std::int32_t first_bias = 0;
    std::int32_t num_bias = 0;
    std::int32_t first_allowed = -1;  // -1 = every token
};

struct SampleLists {
    const SeenToken* seen = nullptr;
    const TokenBias* bias = nullptr;
    const std::uint32_t* allowed = nullptr;
};

struct SampleResult {
    std::int32_t token = 0;
    float logprob = 0.0F;
    std::int32_t num_alternatives = 0;
    TokenLogprob alternatives[kMaxAlternatives];
};

// Scratch of sample(): the edited logits of every row.
std::size_t sample_workspace_bytes(std::int64_t num_rows, std::int64_t num_tokens);

// logits: [rows, >= num_tokens] f32; rows, lists and results: device memory, one result a row.
// num_tokens is below kMaxTokens. Launches on `stream`, does not wait.
void sample(MatrixView logits,
            std::int64_t num_tokens,
            const SampleRow* rows,
            const SampleLists& lists,
            void* workspace,
            SampleResult* results,
            cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
