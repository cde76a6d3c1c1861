// Scratch: the matrices of a step in a backend's memory, one buffer per use, grown to the largest
// step so far.
#pragma once

#include <memory>
#include <vector>

#include "kernels/api/backend.h"

namespace turnpike::engine {

class Scratch {
  public:
    Scratch(kernels::Backend& backend, std::size_t num_uses)
        : backend_(backend), buffers_(num_uses) {}

    // [rows, cols] in the backend's activation dtype. Invalidates earlier views of the same use
    // when it grows.
    kernels::MatrixView take(std::size_t use, std::int64_t rows, std::int64_t cols) {
        const kernels::DType dtype = backend_.activation_dtype();
        const std::size_t needed =
            static_cast<std::size_t>(rows * cols) * kernels::dtype_bytes(dtype);
        auto& buffer = buffers_[use];
        if (buffer == nullptr || buffer->num_bytes() < needed) buffer = backend_.allocate(needed);
        return {buffer->data(), dtype, rows, cols, cols};
    }

  private:
    kernels::Backend& backend_;
    std::vector<std::unique_ptr<kernels::Buffer>> buffers_;
};

}  // namespace turnpike::engine
