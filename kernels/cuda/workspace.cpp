// See workspace.h.
#include "kernels/cuda/workspace.h"

#include <algorithm>

#include "kernels/cuda/pack.h"
#include "kernels/cuda/sorted_slots.h"
#include "kernels/cuda/vector.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr std::size_t kUploadBytes = std::size_t{32} << 20;
constexpr std::int64_t kBlock = 128;

std::size_t bytes_of(const SortedSlots& sorted) {
    const std::size_t words = sorted.active.size() + sorted.order.size() + sorted.offsets.size() +
                              sorted.positions.size() + sorted.slots.size();
    return words * sizeof(std::int32_t);
}

}  // namespace

Workspace::Workspace() : uploads_(kUploadBytes, stream_), queue_(stream_) {}

void* Workspace::room(Use use, std::size_t num_bytes) {
    // Nothing may be waiting for what goes.
    if (!buffers_[use].has(num_bytes)) flush();
    return buffers_[use].at_least(num_bytes);
}

void Workspace::make_room(std::size_t num_bytes) {
    if (uploads_.has_room(num_bytes)) return;
    flush();
    wait();
    uploads_.at_least(num_bytes);
}

void Workspace::flush() {
    uploads_.send();
    queue_.flush();
}

void Workspace::wait() {
    CUDA_CHECK(cudaStreamSynchronize(stream_));
    uploads_.reset();
}

MatrixView Workspace::scratch(Use use, std::int64_t rows, std::int64_t cols) {
    void* const data = room(use, static_cast<std::size_t>(rows * cols) * sizeof(float));
    return {data, DType::kF32, rows, cols, cols};
}

CodedRows Workspace::codes(Use codes_use, Use scales_use, std::int64_t rows, std::int64_t cols) {
    CodedRows coded;
    coded.rows = rows;
    coded.cols = cols;
    coded.stride = (cols + kBlock - 1) / kBlock * kBlock;
    coded.scale_stride = (rows + kCodedTileRows - 1) / kCodedTileRows * kCodedTileRows;
    coded.codes = static_cast<std::uint8_t*>(
        room(codes_use, packed_bytes(rows, coded.stride, kCodedTileRows)));
    coded.scales = static_cast<float*>(
        room(scales_use,
             static_cast<std::size_t>(coded.scale_stride * coded.stride / kBlock) * sizeof(float)));
    return coded;
}

CodedRows Workspace::coded(MatrixView x) {
    const CodedRows rows = codes(kCodes, kScales, x.rows, x.cols);
    queue_.put(quantise, x, rows);
    return rows;
}

SplitRows Workspace::split_rows(MatrixView x) {
    SplitRows rows;
    rows.rows = x.rows;
    rows.cols = x.cols;
    rows.stride = (x.cols + kBlock - 1) / kBlock * kBlock;
    const std::size_t bytes = packed_bytes(x.rows, rows.stride * 2, kCodedTileRows);
    rows.high = static_cast<std::uint16_t*>(room(kHighParts, bytes));
    rows.low = static_cast<std::uint16_t*>(room(kLowParts, bytes));
    queue_.put(split, x, rows);
    return rows;
}

RoutingView Workspace::routing_view(std::int64_t rows,
                                    std::int64_t num_chosen,
                                    std::int64_t num_experts) {
    const std::int64_t num_slots = rows * num_chosen;
    auto* const words = static_cast<std::int32_t*>(
        room(kRouting,
             static_cast<std::size_t>(3 * num_slots + 3 * num_experts + 1) * sizeof(std::int32_t)));
    RoutingView view;
    view.rows = rows;
    view.num_chosen = num_chosen;
    view.num_experts = num_experts;
    view.experts = words;
    view.weights = reinterpret_cast<float*>(words + num_slots);
    view.order = words + 2 * num_slots;
    view.offsets = words + 3 * num_slots;
    view.active = view.offsets + num_experts + 1;
    view.positions = view.active + num_experts;
    view.slots = static_cast<std::int32_t*>(
        room(kSlots, static_cast<std::size_t>(view.max_positions()) * sizeof(std::int32_t)));
    return view;
}

UploadedSlices Workspace::upload(std::span<const AttentionSlice> slices, std::int64_t num_rows) {
    check_slices(slices, num_rows);
    std::vector<AttentionRow> rows;
    std::vector<std::int32_t> tables;
    UploadedSlices uploaded;
    for (const AttentionSlice& slice : slices) {
        const auto table = static_cast<std::int32_t>(tables.size());
        tables.insert(tables.end(), slice.block_table.begin(), slice.block_table.end());
        for (std::int64_t r = 0; r < slice.num_rows; ++r) {
            rows.push_back({static_cast<std::int32_t>(slice.first_row + r),
                            static_cast<std::int32_t>(slice.first_position + r), table});
        }
        uploaded.max_tokens = std::max(uploaded.max_tokens, slice.first_position + slice.num_rows);
    }
    make_room(rows.size() * sizeof(AttentionRow) + tables.size() * sizeof(std::int32_t));
    uploaded.rows = uploads_.put(std::span<const AttentionRow>(rows));
    uploaded.num_rows = static_cast<std::int64_t>(rows.size());
    uploaded.tables = uploads_.put(std::span<const std::int32_t>(tables));
    return uploaded;
}

std::int32_t* Workspace::upload_words(const std::vector<std::int32_t>& words) {
    return const_cast<std::int32_t*>(uploads_.put(std::span<const std::int32_t>(words)));
}

RoutingView Workspace::upload(const Routing& routing, std::int64_t num_experts) {
    const SortedSlots sorted(routing, num_experts);
    make_room(bytes_of(sorted));
    RoutingView view;
    view.rows = routing.rows;
    view.num_chosen = routing.num_chosen;
    view.num_experts = num_experts;
    view.active = upload_words(sorted.active);
    view.order = upload_words(sorted.order);
    view.offsets = upload_words(sorted.offsets);
    view.positions = upload_words(sorted.positions);
    view.slots = upload_words(sorted.slots);
    return view;
}

}  // namespace turnpike::kernels::cuda
