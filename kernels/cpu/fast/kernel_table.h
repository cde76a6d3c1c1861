// KernelTable: the loops that are written once for each instruction set. What is above them,
// layouts, splitting over threads and the order of sums, is shared by all.
//
// A tile is the product of some rows with one group of `lanes` output rows of a weight. Each output
// has one chain of multiply-adds per k block of 128, k ascending; the block's sum times its scale
// is then added to the output by one fused multiply-add, blocks ascending. No result depends on how
// many rows a call has.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/cpu.h"

namespace turnpike::kernels::fast {

inline constexpr std::int64_t kBlock = 128;  // k per block
inline constexpr int kFp8Lanes = 64;         // output rows of a group of FP8 weights

// How weights lie in memory, and the rows that go with them. A group's lanes are side by side:
//   kF32:  [k][lanes] f32, rows in f32
//   kBf16: [k / 2][lanes] pairs of BF16, rows as the instruction set likes (see is_paired)
//   kFp8:  is_paired: [k / 2][64 lanes] pairs of codes, permuted as layout.h says;
//          else [k / 4][64 lanes] four codes each. One scale per group and k block
enum class Format : std::uint8_t { kF32, kBf16, kFp8 };

struct TileCall {
    Format format = Format::kF32;
    int lanes = 0;  // multiple of vector_lanes, at most group_lanes; kFp8Lanes for kFp8
    const std::byte* weights = nullptr;  // of the group, at its first k block; 64-byte aligned
    const float* scales = nullptr;       // one per k block; null = 1
    std::int64_t k = 0;
    const std::byte* x = nullptr;  // rows as pack_rows writes them for the format
    std::int64_t x_block_stride = 0;
    std::int64_t x_row_stride = 0;
    std::int64_t num_rows = 0;
    float* out = nullptr;  // [num_rows][lanes], overwritten
    // For rows that come from memory and weights that stay in the cache: each few rows go through
    // all of k, while the rows after them are fetched; after the last ones those at next_x, which
    // a later call reads (null: none). The result is the same. For weights that a tile reads as
    // they are: kF32, and kBf16 when is_paired.
    bool is_x_streamed = false;
    const std::byte* next_x = nullptr;
    // For weights that come from memory as one stream, in the order of their calls: few rows ask
    // for what lies further on. The result is the same.
    bool is_weight_streamed = false;
};

struct PackCall {
    Format format = Format::kF32;
    const float* x = nullptr;
    std::int64_t stride = 0;
    std::int64_t num_rows = 0;
    std::int64_t k = 0;
    std::byte* out = nullptr;  // padded with zeros to the format's unit of k
    std::int64_t block_stride = 0;
    std::int64_t row_stride = 0;
};

struct KernelTable {
    CpuIsa isa = CpuIsa::kScalar;
    int vector_lanes = 0;  // f32 values in a register
    int group_lanes = 0;   // output rows of a group, but for kFp8
    // Rows for kBf16 and kFp8 are pairs of BF16 in 32 bits, else f32.
    bool is_paired = false;

    void (*tile)(const TileCall& call) = nullptr;
    void (*pack_rows)(const PackCall& call) = nullptr;

    // The row ops of backend.h.
    void (*rms_norm)(
        const float* x, const float* weight, float epsilon, std::int64_t n, float* out) = nullptr;
    void (*silu_mul)(const float* gate, const float* up, std::int64_t n, float* out) = nullptr;

    // to[u * lanes + r] = from[r * stride + u]: rows < 0 .. lanes - 1 past num_rows become zero.
    void (*transpose)(const std::uint32_t* from,
                      std::int64_t stride,
                      std::int64_t num_rows,
                      std::int64_t num_units,
                      std::uint32_t* to,
                      std::int64_t lanes) = nullptr;
    // Rows to tile weights over the row index: is_paired: to[p * lanes + i] = BF16 values i of rows
    // 2p and 2p + 1, zero past num_rows; else the f32 rows themselves. from: as the cache has them.
    void (*rows_to_weights)(const std::byte* from,
                            std::int64_t stride_bytes,
                            std::int64_t num_rows,
                            std::int64_t lanes,
                            std::uint32_t* to) = nullptr;

    // scores: [64], those from `count` on are ignored. Turns scale * scores into exp(. - max),
    // packed for the act format with zeros from `count` on; returns max and the sum of the packed
    // values.
    struct Softmax {
        float max = 0.0F;
        float total = 0.0F;
    };

    Softmax (*softmax64)(const float* scores,
                         std::int64_t count,
                         float scale,
                         std::uint32_t* packed) = nullptr;
    // to = to * old_scale + from * new_scale.
    void (*merge)(float* to, float old_scale, const float* from, float new_scale, std::int64_t n) =
        nullptr;

    // For the sampler.
    float (*max_of)(const float* x, std::int64_t n) = nullptr;
    // odds[i] = exp((x[i] - max) * scale); returns their sum.
    double (*exp_all)(const float* x, std::int64_t n, float max, float scale, float* odds) =
        nullptr;

    // The sum and number of the values that are at least the threshold.
    struct Mass {
        double sum = 0.0;
        std::int64_t count = 0;
    };

    Mass (*mass_from)(const float* odds, std::int64_t n, float threshold) = nullptr;
    // Keeps, in order, the values in [low, high) and their tokens; returns their number. No tokens
    // in = the values' indices; no tokens out = values alone. The outputs may be the inputs. Inputs
    // with tokens and outputs have room for kCompactRoom values more, which may be written.
    static constexpr std::int64_t kCompactRoom = 16;
    std::int64_t (*compact)(const float* odds,
                            const std::int32_t* tokens,
                            std::int64_t n,
                            float low,
                            float high,
                            float* odds_out,
                            std::int32_t* tokens_out) = nullptr;

    static constexpr int kContenderLanes = 32;
    // From `begin` on: where the first kContenderLanes tokens begin that hold one with
    // floor((1 - u) * 2^24) <= bound * odds, u the uniform variate of gumbel_noise; bit i of
    // `contenders` says whether token i of them is one. n when there is none. n is a multiple of
    // kContenderLanes, `begin` too.
    std::int64_t (*find_contender)(const std::int32_t* tokens,
                                   const float* odds,
                                   std::int64_t begin,
                                   std::int64_t n,
                                   const SampleParams& params,
                                   float bound,
                                   std::uint32_t* contenders) = nullptr;

    // What the machine can do, for benchmarks: reads n bytes (a multiple of 1024), and multiplies
    // with `rounds` chains of register arithmetic; both return something that depends on the work.
    std::uint64_t (*read_all)(const std::byte* from, std::int64_t n) = nullptr;
    float (*multiply)(std::int64_t rounds) = nullptr;
    std::int64_t flops_per_round = 0;
};

const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& avx512_bf16_kernels();

// Not for kScalar.
inline const KernelTable& table_of(CpuIsa isa) {
    if (isa == CpuIsa::kAvx2) return avx2_kernels();
    if (isa == CpuIsa::kAvx512) return avx512_kernels();
    return avx512_bf16_kernels();
}

// Bytes of one 32-bit unit of a packed row hold this many k.
inline std::int64_t k_per_unit(const KernelTable& table, Format format) {
    return table.is_paired && format != Format::kF32 ? 2 : 1;
}

// Output rows of a group of weights.
inline int lanes_of(const KernelTable& table, Format format) {
    return format == Format::kFp8 ? kFp8Lanes : table.group_lanes;
}

// Of cache rows and of what attention computes with: pairs of BF16, or f32.
inline Format act_format(const KernelTable& table) {
    return table.is_paired ? Format::kBf16 : Format::kF32;
}

}  // namespace turnpike::kernels::fast
