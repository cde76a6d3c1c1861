// A safetensors file's header: refused as corrupt, or every tensor lies within the file, none over
// another, with the size that its dtype and shape say.
#include <algorithm>
#include <string>
#include <vector>

#include "engine/model/safetensors.h"
#include "tests/fuzz/target.h"

using turnpike::ErrorCode;
using turnpike::engine::StoredTensor;

namespace {

void check_tensor(const StoredTensor& tensor, std::uint64_t data_bytes) {
    CHECK(tensor.begin <= tensor.end);
    CHECK(tensor.end <= data_bytes);
    const std::uint64_t bytes = tensor.end - tensor.begin;
    std::uint64_t num_elements = 1;
    for (const std::int64_t dim : tensor.shape) {
        CHECK(dim >= 0);
        num_elements *= static_cast<std::uint64_t>(dim);
    }
    CHECK(num_elements <= bytes);
    CHECK(num_elements == 0 ? bytes == 0 : bytes % num_elements == 0);
    CHECK(num_elements == 0 || bytes / num_elements <= 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto header = turnpike::engine::parse_safetensors_header(bytes, "f");
    if (!header) {
        turnpike::fuzz::check_error(header.error(), {ErrorCode::kCorrupt});
        CHECK(header.error().message.starts_with("f: "));
        return 0;
    }
    CHECK(header->data_offset <= size);
    const std::uint64_t data_bytes = size - header->data_offset;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
    for (const auto& [name, tensor] : header->tensors) {
        check_tensor(tensor, data_bytes);
        spans.emplace_back(tensor.begin, tensor.end);
    }
    std::sort(spans.begin(), spans.end());
    std::uint64_t covered = 0;
    for (const auto& [begin, end] : spans) {
        CHECK(begin == covered);
        covered = end;
    }
    CHECK(covered == data_bytes);
    return 0;
}
