// The paged cache of the CUDA backend: BF16, [layer][block][64][row_dim].
#pragma once

#include <cstddef>
#include <cstdint>

#include "config/base/check.h"
#include "kernels/api/attention.h"
#include "kernels/cuda/memory.h"

namespace turnpike::kernels::cuda {

class DeviceCache final : public KvCache {
  public:
    explicit DeviceCache(const KvCacheShape& shape)
        : shape_(shape),
          layer_bytes_(
              static_cast<std::size_t>(shape.num_blocks * kCacheBlockTokens * shape.row_dim * 2)),
          buffer_(layer_bytes_ * static_cast<std::size_t>(shape.num_layers)) {}

    const KvCacheShape& shape() const override { return shape_; }

    void* layer(std::int64_t index) const {
        CHECK(index >= 0 && index < shape_.num_layers);
        auto* const data = static_cast<std::byte*>(const_cast<void*>(buffer_.data()));
        return data + static_cast<std::size_t>(index) * layer_bytes_;
    }

  private:
    KvCacheShape shape_;
    std::size_t layer_bytes_;
    DeviceBuffer buffer_;
};

}  // namespace turnpike::kernels::cuda
