// The loop over k blocks that every tile shares. An instruction set gives `Inner`:
//   Inner::kMaxRows<NV>      rows of one register tile of NV vectors
//   Inner::block(...)        one k block of a register tile; kFetches: asks for weights ahead
//   Inner::unpack(...)       one k block of FP8 to what block() reads, in a scratch
// Instantiated in each .cpp with types of its own, so no two instruction sets share code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

// One k block of a register tile.
struct BlockCall {
    const std::byte* weights;
    std::int64_t k;
    const std::byte* x;
    std::int64_t x_row_stride;
    float scale;
    float* out;  // += scale * sum
    std::int64_t out_row_stride;
    // Of a stream of weights, else fetch_bytes is 0: what the rows' first chunk of the next block
    // will read, asked for by the chunks that find this block in the cache; else memory would idle.
    const std::byte* fetch = nullptr;
    std::int64_t fetch_bytes = 0;
};

using BlockFunction = void (*)(const BlockCall&);

// How far ahead a stream of weights is asked for. The hardware's prefetcher alone leaves two cores
// at 0.84 of what they can read from a quiet memory, and AVX2's decoding at 0.83 of a busy one.
// Measured from 2 to 16 KB: 4 KB is 1 % slower than 8, 16 KB 2 %.
inline constexpr std::int64_t kFetchAhead = 8192;

// For a step of a loop that reads kBytes at w.
template <int kBytes>
inline void fetch_ahead(const void* w) {
    constexpr int kLine = 64;
    for (int at = 0; at < kBytes; at += kLine)
        __builtin_prefetch(static_cast<const std::byte*>(w) + kFetchAhead + at);
}

template <class Kernel, int NV, bool kFetches, std::size_t... I>
BlockFunction pick_rows(std::int64_t rows, std::index_sequence<I...>) {
    static constexpr BlockFunction kFunctions[] = {
        &Kernel::template block<NV, static_cast<int>(I) + 1, kFetches>...};
    return kFunctions[rows - 1];
}

// Asks for an equal share of what is to be fetched, and leaves the rest.
inline void fetch_share(BlockCall& call, std::int64_t num_shares) {
    constexpr std::int64_t kLine = 64;
    const std::int64_t share = (call.fetch_bytes / num_shares + kLine - 1) / kLine * kLine;
    for (std::int64_t at = 0; at < share; at += kLine) __builtin_prefetch(call.fetch + at);
    call.fetch += share;
}

// All rows of one k block in chunks.
template <class Kernel, int NV>
void run_block(BlockCall call, std::int64_t num_rows) {
    constexpr int kMax = Kernel::max_rows(NV);
    // Evenly, without a short tail.
    const std::int64_t num_chunks = (num_rows + kMax - 1) / kMax;
    const std::int64_t chunk = (num_rows + num_chunks - 1) / num_chunks;
    const std::byte* x = call.x;
    float* out = call.out;
    for (std::int64_t row = 0; row < num_rows; row += chunk) {
        const std::int64_t count = std::min(chunk, num_rows - row);
        call.x = x + row * call.x_row_stride;
        call.out = out + row * call.out_row_stride;
        if (row > 0 && call.fetch_bytes > 0) fetch_share(call, num_chunks - 1);
        const auto rows_up_to_most = std::make_index_sequence<kMax>();
        if (num_chunks == 1 && call.fetch_bytes > 0)
            pick_rows<Kernel, NV, true>(count, rows_up_to_most)(call);
        else
            pick_rows<Kernel, NV, false>(count, rows_up_to_most)(call);
    }
}

template <class Kernel>
void run_block_lanes(const BlockCall& call, std::int64_t num_rows, int lanes) {
    switch (lanes / Kernel::kLanes) {
        case 1:
            return run_block<Kernel, 1>(call, num_rows);
        case 2:
            return run_block<Kernel, 2>(call, num_rows);
        case 3:
            return run_block<Kernel, 3>(call, num_rows);
        default:
            return run_block<Kernel, 4>(call, num_rows);
    }
}

// Asks for one k block of some rows, which lie `stride` apart.
inline void fetch_rows(const std::byte* x, std::int64_t stride, std::int64_t rows, std::int64_t n) {
    constexpr std::int64_t kLine = 64;
    for (std::int64_t m = 0; m < rows; ++m) {
        for (std::int64_t at = 0; at < n; at += kLine) __builtin_prefetch(x + m * stride + at);
    }
}

// See TileCall::is_x_streamed. block_bytes: of the weights.
template <class Kernel>
void run_streamed(const TileCall& call, std::int64_t block_bytes) {
    const std::int64_t most = Kernel::max_rows(call.lanes / Kernel::kLanes);
    const std::int64_t num_chunks = (call.num_rows + most - 1) / most;
    const std::int64_t chunk = (call.num_rows + num_chunks - 1) / num_chunks;
    for (std::int64_t row = 0; row < call.num_rows; row += chunk) {
        const std::int64_t count = std::min(chunk, call.num_rows - row);
        const std::byte* x = call.x + row * call.x_row_stride;
        const bool is_last = row + count == call.num_rows;
        const std::byte* next = is_last ? call.next_x : x + count * call.x_row_stride;
        std::int64_t block = 0;
        for (std::int64_t k = 0; k < call.k; k += kBlock, ++block) {
            const std::int64_t at = block * call.x_block_stride;
            if (next != nullptr) {
                const std::int64_t bytes =
                    call.x_block_stride * std::min(kBlock, call.k - k) / kBlock;
                fetch_rows(next + at, call.x_row_stride, count, bytes);
            }
            run_block_lanes<Kernel>(
                {call.weights + block * block_bytes, std::min(kBlock, call.k - k), x + at,
                 call.x_row_stride, Kernel::kScaleFactor, call.out + row * call.lanes, call.lanes},
                count, call.lanes);
        }
    }
}

// One row or two and a whole group, as in decoding one sequence, without and with a draft: inlined,
// with what block() keeps in registers set up once.
template <class Kernel, int MR, bool kFetches>
void run_few_rows(const TileCall& call, std::int64_t block_bytes) {
    std::int64_t block = 0;
    for (std::int64_t k = 0; k < call.k; k += kBlock, ++block) {
        const float scale = call.scales != nullptr ? call.scales[block] : 1.0F;
        Kernel::template block<4, MR, kFetches>(
            {call.weights + block * block_bytes, std::min(kBlock, call.k - k),
             call.x + block * call.x_block_stride, call.x_row_stride, scale * Kernel::kScaleFactor,
             call.out, call.lanes});
    }
}

// Direct reads the stored format, Unpacked what Unpack writes to a scratch; above kDirectRows rows
// the conversion is paid once instead of once per chunk.
template <class Direct, class Unpacked, int kDirectRows>
void run_tile(const TileCall& call, std::int64_t block_bytes) {
    std::fill_n(call.out, call.num_rows * call.lanes, 0.0F);
    if (call.num_rows == 1 && call.lanes == 4 * Direct::kLanes) {
        return call.is_weight_streamed ? run_few_rows<Direct, 1, true>(call, block_bytes)
                                       : run_few_rows<Direct, 1, false>(call, block_bytes);
    }
    // Where two rows fit the registers, and their conversion is not worth a scratch.
    if constexpr (Direct::max_rows(4) >= 2 &&
                  (kDirectRows >= 2 || std::is_same_v<Direct, Unpacked>)) {
        if (call.num_rows == 2 && call.lanes == 4 * Direct::kLanes) {
            return call.is_weight_streamed ? run_few_rows<Direct, 2, true>(call, block_bytes)
                                           : run_few_rows<Direct, 2, false>(call, block_bytes);
        }
    }
    if constexpr (std::is_same_v<Direct, Unpacked>) {
        if (call.is_x_streamed) return run_streamed<Direct>(call, block_bytes);
    }
    alignas(64) std::byte scratch[Direct::kScratchBytes];
    std::int64_t block = 0;
    for (std::int64_t k = 0; k < call.k; k += kBlock, ++block) {
        BlockCall part{call.weights + block * block_bytes,
                       std::min(kBlock, call.k - k),
                       call.x + block * call.x_block_stride,
                       call.x_row_stride,
                       (call.scales != nullptr ? call.scales[block] : 1.0F) * Direct::kScaleFactor,
                       call.out,
                       call.lanes};
        if (call.is_weight_streamed) {
            part.fetch = call.weights + (block + 1) * block_bytes;
            part.fetch_bytes = block_bytes;
        }
        if (call.num_rows <= kDirectRows) {
            run_block_lanes<Direct>(part, call.num_rows, call.lanes);
            continue;
        }
        if (Direct::kScratchBytes > 1) {
            Direct::unpack(part, scratch);
            part.weights = scratch;
        }
        run_block_lanes<Unpacked>(part, call.num_rows, call.lanes);
    }
}

}  // namespace turnpike::kernels::fast
