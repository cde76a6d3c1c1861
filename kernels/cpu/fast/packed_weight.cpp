// See packed_weight.h.
#include "kernels/cpu/fast/packed_weight.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "config/base/check.h"
#include "kernels/api/fp8.h"

namespace turnpike::kernels::fast {
namespace {

// BF16 matrices of so few rows are kept in f32, and so are their inputs: routers, whose choice of
// experts is not to turn on a rounding.
constexpr std::int64_t kMaxF32Rows = 256;

// Where row r of a group of 64 stands in the 128 bytes of a pair of k: two registers of 32 rows;
// 16-byte lane L of a register holds rows 4L .. 4L + 3, then rows 16 + 4L .. 16 + 4L + 3, so that
// unpacking it gives 16 rows in order.
constexpr std::int64_t paired_offset(std::int64_t r) {
    const std::int64_t q = r % 32;
    return r / 32 * 64 + q % 16 / 4 * 16 + q / 16 * 8 + q % 4 * 2;
}

template <class T>
T load(const std::byte* data, std::int64_t index) {
    T value;
    std::memcpy(&value, data + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    return value;
}

float stored_scale(const WeightSource& stored, std::int64_t row, std::int64_t col) {
    CHECK(stored.scales != nullptr);
    const std::int64_t blocks = (stored.cols + kFp8Block - 1) / kFp8Block;
    return load<float>(stored.scales, row / kFp8Block * blocks + col / kFp8Block);
}

float stored_value(const WeightSource& stored, std::int64_t row, std::int64_t col) {
    const std::int64_t index = row * stored.cols + col;
    switch (stored.dtype) {
        case DType::kF8E4M3:
            return fp8_to_float(load<std::uint8_t>(stored.data, index)) *
                   stored_scale(stored, row, col);
        case DType::kBf16:
            return bf16_to_float(load<std::uint16_t>(stored.data, index));
        case DType::kF16:
            return f16_to_float(load<std::uint16_t>(stored.data, index));
        case DType::kF32:
            break;
    }
    return load<float>(stored.data, index);
}

// Whether a stored row holds a NaN code, an infinity or a NaN. Branch-free, for the vectoriser.
bool has_bad_value(const WeightSource& stored, std::int64_t row) {
    bool is_bad = false;
    const std::int64_t first = row * stored.cols;
    for (std::int64_t i = first; i < first + stored.cols; ++i) {
        switch (stored.dtype) {
            case DType::kF8E4M3:
                is_bad |= (load<std::uint8_t>(stored.data, i) & 0x7F) == 0x7F;
                break;
            case DType::kBf16:
                is_bad |= (load<std::uint16_t>(stored.data, i) & 0x7F80) == 0x7F80;
                break;
            case DType::kF16:
                is_bad |= (load<std::uint16_t>(stored.data, i) & 0x7C00) == 0x7C00;
                break;
            case DType::kF32:
                is_bad |= (load<std::uint32_t>(stored.data, i) & 0x7F800000) == 0x7F800000;
                break;
        }
    }
    return is_bad;
}

Error not_finite(const WeightSource& stored, std::int64_t row, std::int64_t col) {
    return {ErrorCode::kCorrupt,
            "tensor " + stored.name + ": the value at [" + std::to_string(row) + ", " +
                std::to_string(col) + "] is not finite; the checkpoint is damaged",
            {}};
}

Status check_finite(ThreadPool& threads, const WeightSource& stored) {
    std::atomic<bool> is_bad = false;
    threads.run(stored.rows, stored.cols, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
            if (has_bad_value(stored, row)) is_bad.store(true);
        }
    });
    if (stored.scales != nullptr) {
        for (std::int64_t row = 0; row < stored.rows; row += kFp8Block) {
            for (std::int64_t col = 0; col < stored.cols; col += kFp8Block) {
                if (!std::isfinite(stored_scale(stored, row, col))) is_bad.store(true);
            }
        }
    }
    if (!is_bad.load()) return {};
    for (std::int64_t row = 0; row < stored.rows; ++row) {
        for (std::int64_t col = 0; col < stored.cols; ++col) {
            if (!std::isfinite(stored_value(stored, row, col))) return not_finite(stored, row, col);
        }
    }
    return {};  // a scale that no value is under
}

// Whether products of the weight take rows of codes.
bool is_coded_source(const PackContext& context, const WeightSource& source) {
    return context.numerics == Numerics::kW8A8Block && source.dtype == DType::kF8E4M3;
}

// Whether the tiles' groups and k blocks part the source as its scales do: one scale each.
bool has_tile_scales(const PackSource& source) {
    const auto block_of = [&](std::int64_t r, std::int64_t c) {
        return std::pair(source.stored_row(r, c) / kFp8Block, source.stored_col(r, c) / kFp8Block);
    };
    for (std::int64_t r = 0; r < source.rows; r += kFp8Lanes) {
        const std::int64_t last_row = std::min<std::int64_t>(r + kFp8Lanes, source.rows) - 1;
        for (std::int64_t k = 0; k < source.cols; k += kBlock) {
            const std::int64_t last_col = std::min(k + kBlock, source.cols) - 1;
            if (block_of(r, k) != block_of(last_row, last_col)) return false;
        }
    }
    return true;
}

// FP8 where the scales allow it, as in R1, whose heads begin at scale blocks; else f32.
Format format_of(const PackSource& source) {
    switch (source.stored.dtype) {
        case DType::kBf16:
            return Format::kBf16;
        case DType::kF8E4M3:
            return has_tile_scales(source) ? Format::kFp8 : Format::kF32;
        default:
            return Format::kF32;
    }
}

void check_source(const WeightSource& source) {
    CHECK(source.rows > 0 && source.cols > 0 && source.data != nullptr);
    CHECK((source.dtype == DType::kF8E4M3) == (source.scales != nullptr));
}

}  // namespace

// Fills a PackedMatrix.
struct Packer {
    const PackContext& context;
    const PackSource& source;
    PackedMatrix& out;

    // Bytes of k consecutive columns of a group.
    std::size_t column_bytes(std::int64_t k) const {
        const auto lanes = static_cast<std::size_t>(out.lanes_);
        switch (out.format_) {
            case Format::kF32:
                return static_cast<std::size_t>(k) * lanes * 4;
            case Format::kBf16:
                return static_cast<std::size_t>((k + 1) / 2) * lanes * 4;
            case Format::kFp8:
                break;
        }
        if (out.is_paired_) return static_cast<std::size_t>((k + 1) / 2) * lanes * 2;
        return static_cast<std::size_t>((k + 3) / 4) * lanes * 4;
    }

    // is_coded: of an FP8 source.
    void run(Format format, bool is_coded) {
        out.format_ = format;
        out.is_coded_ = is_coded;
        out.is_paired_ = context.table.is_paired;
        out.lanes_ = lanes_of(context.table, format);
        out.rows_ = source.rows;
        out.cols_ = source.cols;
        out.blocks_ = (source.cols + kBlock - 1) / kBlock;
        out.group_bytes_ = column_bytes(source.cols);
        const std::int64_t groups = out.num_groups();
        out.data_ = context.arena.take(out.group_bytes_ * static_cast<std::size_t>(groups));
        if (format == Format::kFp8)
            out.scales_.resize(static_cast<std::size_t>(groups * out.blocks_));
        else if (is_coded)
            out.lane_scales_.resize(static_cast<std::size_t>(groups * out.blocks_ * out.lanes_));
        const std::int64_t work = source.cols * out.lanes_;
        context.threads.run(groups, work, [this](std::int64_t begin, std::int64_t end) {
            for (std::int64_t group = begin; group < end; ++group) pack_group(group);
        });
    }

    void pack_group(std::int64_t group) {
        const std::int64_t first = group * out.lanes_;
        const std::int64_t count = std::min<std::int64_t>(out.lanes_, source.rows - first);
        std::byte* to = out.data_.get() + static_cast<std::size_t>(group) * out.group_bytes_;
        for (std::int64_t k = 0; k < source.cols; k += kBlock) {
            if (out.format_ == Format::kFp8) {
                out.scales_[static_cast<std::size_t>(group * out.blocks_ + k / kBlock)] =
                    stored_scale(source.stored, source.stored_row(first, k),
                                 source.stored_col(first, k));
            }
            if (!out.lane_scales_.empty()) pack_lane_scales(group, count, k);
            const std::int64_t end = std::min(source.cols, k + kBlock);
            for (std::int64_t r = 0; r < count; ++r) pack_columns(to, first + r, r, k, end);
        }
    }

    void pack_lane_scales(std::int64_t group, std::int64_t count, std::int64_t k) {
        const std::int64_t first = (group * out.blocks_ + k / kBlock) * out.lanes_;
        for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t row = group * out.lanes_ + r;
            out.lane_scales_[static_cast<std::size_t>(first + r)] =
                stored_scale(source.stored, source.stored_row(row, k), source.stored_col(row, k));
        }
    }

    // An element as a number of kF32.
    float number(std::int64_t row, std::int64_t k) const {
        const std::int64_t r = source.stored_row(row, k);
        const std::int64_t c = source.stored_col(row, k);
        if (!out.is_coded_) return stored_value(source.stored, r, c);
        return fp8_to_float(load<std::uint8_t>(source.stored.data, r * source.stored.cols + c));
    }

    // Columns [k, end) of one row, which is row r of its group.
    void pack_columns(
        std::byte* to, std::int64_t row, std::int64_t r, std::int64_t k, std::int64_t end) const {
        const std::int64_t lanes = out.lanes_;
        if (out.format_ == Format::kF32) {
            for (; k < end; ++k) {
                const float value = number(row, k);
                std::memcpy(to + (k * lanes + r) * 4, &value, 4);
            }
        } else if (out.format_ == Format::kBf16) {
            pack_units<std::uint16_t, 2>(to + r * 4, lanes * 4, row, k, end);
        } else if (out.is_paired_) {
            pack_units<std::uint8_t, 2>(to + paired_offset(r), 128, row, k, end);
        } else {
            pack_units<std::uint8_t, 4>(to + r * 4, lanes * 4, row, k, end);
        }
    }

    // Units of N elements of k, unit_stride bytes apart.
    template <class T, std::int64_t N>
    void pack_units(std::byte* to,
                    std::int64_t unit_stride,
                    std::int64_t row,
                    std::int64_t k,
                    std::int64_t end) const {
        const WeightSource& stored = source.stored;
        constexpr std::size_t kUnitBytes = sizeof(T) * N;
        const std::int64_t index =
            source.stored_row(row, 0) * stored.cols + source.stored_col(row, 0);
        if (!source.is_transposed) {
            const std::byte* from = stored.data + index * static_cast<std::int64_t>(sizeof(T));
            for (; k + N <= end; k += N) {
                std::memcpy(to + k / N * unit_stride,
                            from + k * static_cast<std::int64_t>(sizeof(T)), kUnitBytes);
            }
        }
        const std::int64_t step = source.is_transposed ? stored.cols : 1;
        for (; k < end; ++k) {
            const T value = load<T>(stored.data, index + k * step);
            std::memcpy(to + k / N * unit_stride + k % N * static_cast<std::int64_t>(sizeof(T)),
                        &value, sizeof(T));
        }
    }
};

const std::byte* PackedMatrix::group(std::int64_t index, std::int64_t k) const {
    // 128 columns are whole units in every format.
    const std::int64_t per_k = format_ == Format::kF32    ? std::int64_t{4} * lanes_
                               : format_ == Format::kBf16 ? std::int64_t{2} * lanes_
                                                          : std::int64_t{lanes_};
    return data_.get() + static_cast<std::size_t>(index) * group_bytes_ + k * per_k;
}

const float* PackedMatrix::scales(std::int64_t index, std::int64_t k) const {
    if (scales_.empty()) return nullptr;
    return scales_.data() + index * blocks_ + k / kBlock;
}

PackedMatrix PackedMatrix::coded() const {
    CHECK(format_ == Format::kFp8);
    PackedMatrix matrix = *this;
    matrix.is_coded_ = true;
    return matrix;
}

void PackedMatrix::read_lane_scales(std::int64_t index, std::int64_t k, float* out) const {
    CHECK(is_coded_);
    const std::int64_t block = index * blocks_ + k / kBlock;
    if (lane_scales_.empty())
        std::fill_n(out, lanes_, scales_[static_cast<std::size_t>(block)]);
    else
        std::copy_n(lane_scales_.data() + block * lanes_, lanes_, out);
}

void PackedMatrix::read_row(std::int64_t row, float* out) const {
    const std::int64_t index = row / lanes_;
    const std::int64_t r = row % lanes_;
    const std::byte* from = group(index);
    for (std::int64_t k = 0; k < cols_; ++k) {
        switch (format_) {
            case Format::kF32:
                out[k] = load<float>(from, k * lanes_ + r);
                break;
            case Format::kBf16:
                out[k] = bf16_to_float(load<std::uint16_t>(from, (k / 2 * lanes_ + r) * 2 + k % 2));
                break;
            case Format::kFp8: {
                const std::int64_t offset = is_paired_ ? k / 2 * 128 + paired_offset(r) + k % 2
                                                       : (k / 4 * lanes_ + r) * 4 + k % 4;
                out[k] = fp8_to_float(load<std::uint8_t>(from, offset)) * scales(index, k)[0];
                break;
            }
        }
    }
}

Result<std::unique_ptr<PackedWeight>> pack_weight(const PackContext& context,
                                                  const WeightSource& source) {
    check_source(source);
    RETURN_IF_ERROR(check_finite(context.threads, source));
    PackedMatrix matrix;
    const bool is_coded = is_coded_source(context, source);
    if (source.whole_rows() == 1 && !is_coded) {
        std::vector<float> vector;
        for (std::int64_t c = 0; c < source.cols; ++c) vector.push_back(stored_value(source, 0, c));
        return std::make_unique<PackedWeight>(std::move(matrix), std::move(vector));
    }
    Format format = Format::kF32;
    if (source.dtype == DType::kF8E4M3) format = Format::kFp8;
    if (source.dtype == DType::kBf16 && source.whole_rows() > kMaxF32Rows) format = Format::kBf16;
    const PackSource whole{source, 0, source.rows, source.cols, false};
    Packer{context, whole, matrix}.run(format, is_coded);
    return std::make_unique<PackedWeight>(std::move(matrix), std::vector<float>{});
}

Result<std::unique_ptr<KvUpWeight>> pack_kv_up(const PackContext& context,
                                               const WeightSource& source,
                                               const MlaShape& shape) {
    check_source(source);
    RETURN_IF_ERROR(check_finite(context.threads, source));
    const std::int64_t per_head = shape.nope_dim + shape.v_dim;
    const bool is_coded = is_coded_source(context, source);
    std::vector<KvUpWeight::Head> heads(static_cast<std::size_t>(shape.num_heads));
    for (std::int64_t h = 0; h < shape.num_heads; ++h) {
        KvUpWeight::Head& head = heads[static_cast<std::size_t>(h)];
        const std::int64_t first = h * per_head;
        const PackSource key{source, first, shape.nope_dim, shape.latent_dim, false};
        const PackSource transposed{source, first, shape.latent_dim, shape.nope_dim, true};
        const PackSource value{source, first + shape.nope_dim, shape.v_dim, shape.latent_dim,
                               false};
        Packer{context, key, head.key}.run(format_of(key), is_coded);
        Packer{context, transposed, head.key_transposed}.run(format_of(transposed), false);
        Packer{context, value, head.value}.run(format_of(value), false);
        if (!is_coded)
            head.projected_value = head.value;
        else if (head.value.format() == Format::kFp8)
            head.projected_value = head.value.coded();
        else
            Packer{context, value, head.projected_value}.run(head.value.format(), true);
    }
    return std::make_unique<KvUpWeight>(source.rows, source.cols, std::move(heads));
}

}  // namespace turnpike::kernels::fast
