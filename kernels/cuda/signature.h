// A digest of launches: two steps with the same digest launch the same kernels on the same memory.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels/api/attention.h"
#include "kernels/api/moe.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

class Signature {
  public:
    friend bool operator==(const Signature&, const Signature&) = default;

    std::uint64_t hash() const { return a_; }

    void add(std::uint64_t word) {
        a_ = scrambled(a_ ^ word);
        b_ = scrambled(b_ + word) ^ (b_ << 1);
    }

    template <class T>

    requires(std::is_arithmetic_v<T> || std::is_enum_v<T> ||
             std::is_pointer_v<T>) void add(T value) {
        if constexpr (std::is_pointer_v<T>)
            add(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(value)));
        else if constexpr (std::is_floating_point_v<T>)
            add_double(static_cast<double>(value));
        else
            add(static_cast<std::uint64_t>(value));
    }

    // Each structure by all its fields: one more or one less does not compile.
    void add(const MatrixView& value) {
        const auto& [data, dtype, rows, cols, stride] = value;
        add_all(data, dtype, rows, cols, stride);
    }

    void add(const WeightView& value) {
        const auto& [data, dtype, scales, rows, cols, stride] = value;
        add_all(data, dtype, scales, rows, cols, stride);
    }

    void add(const CodedRows& value) {
        const auto& [codes, scales, rows, cols, stride, scale_stride] = value;
        add_all(codes, scales, rows, cols, stride, scale_stride);
    }

    void add(const SplitRows& value) {
        const auto& [high, low, rows, cols, stride] = value;
        add_all(high, low, rows, cols, stride);
    }

    void add(const ExpertView& value) {
        const auto& [gate, up, down] = value;
        add_all(gate, up, down);
    }

    void add(const RoutingView& value) {
        const auto& [experts, weights, rows, num_chosen, num_experts, order, offsets, active,
                     positions, slots] = value;
        add_all(experts, weights, rows, num_chosen, num_experts, order, offsets, active, positions,
                slots);
    }

    void add(const RouterShape& value) {
        const auto& [num_experts, num_groups, num_kept_groups, num_chosen, is_normalised, scale] =
            value;
        add_all(num_experts, num_groups, num_kept_groups, num_chosen, is_normalised, scale);
    }

    void add(const CacheView& value) {
        const auto& [data, row_dim, tables] = value;
        add_all(data, row_dim, tables);
    }

    void add(const RopeView& value) {
        const auto& [num_heads, head_stride, offset, is_interleaved, num_pairs, cosines, sines] =
            value;
        add_all(num_heads, head_stride, offset, is_interleaved, num_pairs, cosines, sines);
    }

    void add(const KvUpView& value) {
        const auto& [keys, values] = value;
        add_all(keys, values);
    }

    void add(const MlaShape& value) {
        const auto& [num_heads, nope_dim, rope_dim, v_dim, latent_dim, softmax_scale] = value;
        add_all(num_heads, nope_dim, rope_dim, v_dim, latent_dim, softmax_scale);
    }

    void add(const AttentionCall& value) {
        const auto& [queries, rows, num_rows, layout, cache, plan] = value;
        const auto& [num_heads, heads_per_key, key_dim, key_stride, value_dim, value_offset,
                     value_stride, softmax_scale] = layout;
        const auto& [num_splits, tokens_per_split] = plan;
        add_all(queries, rows, num_rows, cache, num_splits, tokens_per_split);
        add_all(num_heads, heads_per_key, key_dim, key_stride, value_dim, value_offset,
                value_stride, softmax_scale);
    }

    void add(const StreamGroup& value) {
        for (int i = 0; i < value.count; ++i) {
            const auto& [weight, out] = value.products[i];
            add_all(weight, out);
        }
        add(value.count);
    }

    void add(const SampleLists& value) {
        const auto& [seen, bias, allowed] = value;
        add_all(seen, bias, allowed);
    }

    template <class... Values>
    void add_all(const Values&... values) {
        (add(values), ...);
    }

  private:
    static constexpr std::uint64_t scrambled(std::uint64_t value) {
        value = (value ^ (value >> 32)) * 0xD6E8FEB86659FD93ULL;
        return value ^ (value >> 29);
    }

    void add_double(double value) { add(std::bit_cast<std::uint64_t>(value)); }

    std::uint64_t a_ = 0x9E3779B97F4A7C15ULL;
    std::uint64_t b_ = 0xC2B2AE3D27D4EB4FULL;
};

}  // namespace turnpike::kernels::cuda
