// SampleParams of a step's rows as the device takes them: rows, and their lists one behind the
// other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config/base/check.h"
#include "kernels/cuda/sampler.h"

namespace turnpike::kernels::cuda {

struct SampleInput {
    std::vector<SampleRow> rows;
    std::vector<SeenToken> seen;
    std::vector<TokenBias> bias;
    std::vector<std::uint32_t> allowed;

    void take(const SampleParams& params) {
        CHECK(params.num_alternatives <= kMaxAlternatives);
        SampleRow row;
        row.temperature = static_cast<double>(params.temperature);
        row.top_p = static_cast<double>(params.top_p);
        row.min_p = static_cast<double>(params.min_p);
        row.seed = params.seed;
        row.top_k = params.top_k;
        row.choice_index = params.choice_index;
        row.position = params.position;
        row.num_alternatives = params.num_alternatives;
        row.repetition_penalty = params.repetition_penalty;
        row.presence_penalty = params.presence_penalty;
        row.frequency_penalty = params.frequency_penalty;
        row.first_seen = append(seen, params.seen);
        row.num_seen = static_cast<std::int32_t>(params.seen.size());
        row.first_bias = append(bias, params.bias);
        row.num_bias = static_cast<std::int32_t>(params.bias.size());
        if (!params.allowed.empty()) row.first_allowed = append(allowed, params.allowed);
        rows.push_back(row);
    }

    std::size_t num_bytes() const {
        return rows.size() * sizeof(SampleRow) + seen.size() * sizeof(SeenToken) +
               bias.size() * sizeof(TokenBias) + allowed.size() * sizeof(std::uint32_t);
    }

    template <class T>
    static std::int32_t append(std::vector<T>& all, std::span<const T> more) {
        const auto first = static_cast<std::int32_t>(all.size());
        all.insert(all.end(), more.begin(), more.end());
        return first;
    }
};

}  // namespace turnpike::kernels::cuda
