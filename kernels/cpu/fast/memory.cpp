// See memory.h.
#include "kernels/cpu/fast/memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "config/base/check.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kArenaBytes = std::size_t{64} << 20;
constexpr std::size_t kAlignment = 64;

std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

}  // namespace

Pages::Pages(std::size_t num_bytes) {
    // Small ranges share no huge page; large ones begin on one.
    const bool is_large = num_bytes >= kHugePage;
    const std::size_t unit = is_large ? kHugePage : std::size_t{4096};
    size_ = round_up(std::max<std::size_t>(num_bytes, 1), unit);
    const std::size_t mapped = is_large ? size_ + kHugePage : size_;
    void* start =
        ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    data_ = static_cast<std::byte*>(start);
    if (!is_large) return;
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    const std::size_t skipped = round_up(address, kHugePage) - address;
    if (skipped > 0) ::munmap(data_, skipped);
    data_ += skipped;
    if (skipped < kHugePage) ::munmap(data_ + size_, kHugePage - skipped);
    ::madvise(data_, size_, MADV_HUGEPAGE);  // a kernel without huge pages refuses: only slower
}

Pages::~Pages() {
    ::munmap(data_, size_);
}

std::shared_ptr<std::byte> Arena::take(std::size_t num_bytes) {
    const std::size_t size = round_up(num_bytes, kAlignment);
    if (pages_ == nullptr || used_ + size > pages_->num_bytes()) {
        pages_ = std::make_shared<Pages>(std::max(size, kArenaBytes));
        used_ = 0;
    }
    std::byte* piece = pages_->data() + used_;
    used_ += size;
    return {pages_, piece};
}

std::byte* Scratch::reserve(std::size_t num_bytes) {
    if (pages_ == nullptr || pages_->num_bytes() < num_bytes)
        pages_ = std::make_unique<Pages>(num_bytes);
    return pages_->data();
}

}  // namespace turnpike::kernels::fast
