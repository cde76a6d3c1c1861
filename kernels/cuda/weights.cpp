// See weights.h.
#include "kernels/cuda/weights.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "config/base/check.h"
#include "kernels/api/fp8.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/pack.h"

namespace turnpike::kernels::cuda {
namespace {

std::int64_t blocks_of(std::int64_t count) {
    return (count + kFp8Block - 1) / kFp8Block;
}

Error corrupt(const WeightSource& source, const std::string& reason) {
    return Error{ErrorCode::kCorrupt, source.name + ": " + reason, {}};
}

Status check_source(const WeightSource& source) {
    if (source.dtype != DType::kF8E4M3) return {};
    const std::int64_t count = source.rows * source.cols;
    for (std::int64_t i = 0; i < count; ++i) {
        if ((std::to_integer<unsigned>(source.data[i]) & 0x7FU) == 0x7FU)
            return corrupt(source, "found a NaN code at element " + std::to_string(i));
    }
    const std::int64_t num_scales = blocks_of(source.rows) * blocks_of(source.cols);
    for (std::int64_t i = 0; i < num_scales; ++i) {
        float scale = 0.0F;
        std::memcpy(&scale, source.scales + i * 4, 4);
        if (!std::isfinite(scale))
            return corrupt(source, "scale " + std::to_string(i) + " is not finite");
    }
    return {};
}

// One element, its scale applied.
float element(const WeightSource& source, std::int64_t row, std::int64_t col) {
    const std::int64_t at = row * source.cols + col;
    std::uint16_t half = 0;
    float value = 0.0F;
    switch (source.dtype) {
        case DType::kF32:
            std::memcpy(&value, source.data + at * 4, 4);
            return value;
        case DType::kBf16:
            std::memcpy(&half, source.data + at * 2, 2);
            return bf16_to_float(half);
        case DType::kF16:
            std::memcpy(&half, source.data + at * 2, 2);
            return f16_to_float(half);
        case DType::kF8E4M3:
            std::memcpy(
                &value,
                source.scales + (row / kFp8Block * blocks_of(source.cols) + col / kFp8Block) * 4,
                4);
            return fp8_to_float(std::to_integer<std::uint8_t>(source.data[at])) * value;
    }
    return 0.0F;
}

std::unique_ptr<DeviceBuffer> upload(const void* data, std::size_t num_bytes) {
    auto buffer = std::make_unique<DeviceBuffer>(num_bytes);
    CUDA_CHECK(cudaMemcpy(buffer->data(), data, num_bytes, cudaMemcpyHostToDevice));
    return buffer;
}

// Row-major host memory, packed on the device.
std::unique_ptr<DeviceBuffer> upload_packed(const void* data,
                                            std::int64_t rows,
                                            std::int64_t from_row_bytes,
                                            std::int64_t row_bytes) {
    const auto raw = upload(data, static_cast<std::size_t>(rows * from_row_bytes));
    auto buffer = std::make_unique<DeviceBuffer>(packed_bytes(rows, row_bytes, kWeightTileRows));
    pack(raw->data(), rows, from_row_bytes, row_bytes, kWeightTileRows, buffer->data(), nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    return buffer;
}

// Rows of `cols` BF16 values, value(row, col).
template <class Value>
std::unique_ptr<DeviceBuffer> upload_bf16(std::int64_t rows,
                                          std::int64_t cols,
                                          WeightView& view,
                                          Value value) {
    view.dtype = DType::kBf16;
    view.rows = rows;
    view.cols = cols;
    view.stride = blocks_of(cols) * kFp8Block;
    std::vector<std::uint16_t> values(static_cast<std::size_t>(rows * cols));
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c)
            values[static_cast<std::size_t>(r * cols + c)] = bf16_from_float(value(r, c));
    }
    auto buffer = upload_packed(values.data(), rows, cols * 2, view.stride * 2);
    view.data = buffer->data();
    return buffer;
}

}  // namespace

const float* DeviceWeight::vector() const {
    CHECK(view_.rows == 1 && view_.dtype == DType::kF32);
    return static_cast<const float*>(view_.data);
}

Result<std::unique_ptr<DeviceWeight>> DeviceWeight::make(const WeightSource& source) {
    RETURN_IF_ERROR(check_source(source));
    auto weight = std::make_unique<DeviceWeight>();
    WeightView& view = weight->view_;
    view.rows = source.rows;
    view.cols = source.cols;
    view.stride = blocks_of(source.cols) * kFp8Block;
    view.dtype = source.rows == 1 ? DType::kF32 : source.dtype;
    if (source.rows == 1) {
        std::vector<float> values(static_cast<std::size_t>(view.stride));
        for (std::int64_t c = 0; c < source.cols; ++c)
            values[static_cast<std::size_t>(c)] = element(source, 0, c);
        weight->data_ = upload(values.data(), values.size() * 4);
    } else {
        const auto size = static_cast<std::int64_t>(dtype_bytes(source.dtype));
        const std::int64_t row_bytes = source.cols * size;
        if (source.dtype == DType::kF8E4M3 || source.dtype == DType::kBf16) {
            weight->data_ = upload_packed(source.data, source.rows, row_bytes, view.stride * size);
        } else {
            const auto pitch = static_cast<std::size_t>(view.stride * size);
            weight->data_ =
                std::make_unique<DeviceBuffer>(static_cast<std::size_t>(source.rows) * pitch);
            CUDA_CHECK(cudaMemcpy2D(weight->data_->data(), pitch, source.data,
                                    static_cast<std::size_t>(row_bytes),
                                    static_cast<std::size_t>(row_bytes),
                                    static_cast<std::size_t>(source.rows), cudaMemcpyHostToDevice));
        }
    }
    view.data = weight->data_->data();
    if (view.dtype == DType::kF8E4M3) {
        const auto num_scales =
            static_cast<std::size_t>(blocks_of(source.rows) * blocks_of(source.cols));
        weight->scales_ = upload(source.scales, num_scales * 4);
        view.scales = static_cast<const float*>(weight->scales_->data());
    }
    return weight;
}

Result<std::unique_ptr<DeviceKvUp>> DeviceKvUp::make(const WeightSource& source,
                                                     const MlaShape& shape) {
    CHECK(source.rows == shape.num_heads * (shape.nope_dim + shape.v_dim));
    CHECK(source.cols == shape.latent_dim);
    RETURN_IF_ERROR(check_source(source));
    auto weight = std::make_unique<DeviceKvUp>();
    weight->rows_ = source.rows;
    weight->cols_ = source.cols;
    const std::int64_t head_rows = shape.nope_dim + shape.v_dim;
    const std::int64_t key_rows = padded_head_rows(shape.latent_dim);
    const std::int64_t value_rows = padded_head_rows(shape.v_dim);
    weight->keys_ = upload_bf16(shape.num_heads * key_rows, shape.nope_dim, weight->view_.keys,
                                [&](std::int64_t r, std::int64_t c) {
                                    const std::int64_t latent = r % key_rows;
                                    if (latent >= shape.latent_dim) return 0.0F;
                                    return element(source, r / key_rows * head_rows + c, latent);
                                });
    weight->values_ = upload_bf16(
        shape.num_heads * value_rows, shape.latent_dim, weight->view_.values,
        [&](std::int64_t r, std::int64_t c) {
            const std::int64_t index = r % value_rows;
            if (index >= shape.v_dim) return 0.0F;
            return element(source, r / value_rows * head_rows + shape.nope_dim + index, c);
        });
    return weight;
}

}  // namespace turnpike::kernels::cuda
