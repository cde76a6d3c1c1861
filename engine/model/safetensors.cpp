// See safetensors.h.
#include "engine/model/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "config/base/check.h"
#include "config/base/unique_handle.h"
#include "engine/model/json_reader.h"

namespace turnpike::engine {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own bound
constexpr int kMaxHeaderDepth = 3;                      // file, tensor, shape
constexpr std::size_t kMaxDims = 8;

Error corrupt(const std::string& file_name, const std::string& problem) {
    return Error{ErrorCode::kCorrupt, file_name + ": " + problem, {}};
}

std::uint64_t read_length(std::span<const std::byte> file) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i) {
        length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
    }
    return length;
}

// Bytes per element; 0 for a dtype that the format does not have.
std::uint64_t element_bytes(std::string_view dtype) {
    constexpr std::array<std::pair<std::string_view, std::uint64_t>, 15> kSizes{{{"F64", 8},
                                                                                 {"I64", 8},
                                                                                 {"U64", 8},
                                                                                 {"F32", 4},
                                                                                 {"I32", 4},
                                                                                 {"U32", 4},
                                                                                 {"BF16", 2},
                                                                                 {"F16", 2},
                                                                                 {"I16", 2},
                                                                                 {"U16", 2},
                                                                                 {"F8_E4M3", 1},
                                                                                 {"F8_E5M2", 1},
                                                                                 {"I8", 1},
                                                                                 {"U8", 1},
                                                                                 {"BOOL", 1}}};
    for (const auto& [name, size] : kSizes) {
        if (name == dtype) return size;
    }
    return 0;
}

std::optional<std::uint64_t> unsigned_value(const nlohmann::json& json) {
    if (!json.is_number_unsigned()) return std::nullopt;
    return json.get<std::uint64_t>();
}

Result<nlohmann::json> parse_json(std::string_view text, const std::string& file_name) {
    if (is_nested_deeper(text, kMaxHeaderDepth)) {
        return corrupt(file_name, "the header is nested too deeply");
    }
    // The parser would silently keep the last of two tensors with one name.
    std::vector<std::string> names;
    const auto note_name = [&](int depth, nlohmann::json::parse_event_t event, auto& parsed) {
        const bool is_name = event == nlohmann::json::parse_event_t::key && depth == 1;
        if (is_name) names.push_back(parsed.template get<std::string>());
        return true;
    };
    auto json = nlohmann::json::parse(text, note_name, false);
    if (!json.is_object()) return corrupt(file_name, "the header is no JSON object");
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end())
        return corrupt(file_name, "tensor " + excerpt(*twice) + " is given twice");
    return json;
}

Result<StoredTensor> parse_tensor(const nlohmann::json& json,
                                  std::uint64_t data_bytes,
                                  const std::string& where) {
    const bool is_complete = json.is_object() && json.contains("dtype") && json.contains("shape") &&
                             json.contains("data_offsets") && json["dtype"].is_string() &&
                             json["shape"].is_array() && json["data_offsets"].is_array() &&
                             json["data_offsets"].size() == 2;
    if (!is_complete) return corrupt(where, "expected dtype, shape and two data_offsets");
    StoredTensor tensor;
    tensor.dtype = json["dtype"].get<std::string>();
    std::uint64_t bytes = element_bytes(tensor.dtype);
    if (bytes == 0) return corrupt(where, "unknown dtype " + excerpt(tensor.dtype, 20));
    if (json["shape"].size() > kMaxDims) return corrupt(where, "more than 8 dimensions");
    for (const auto& item : json["shape"]) {
        const auto dim = unsigned_value(item);
        if (!dim || *dim > INT64_MAX || __builtin_mul_overflow(bytes, *dim, &bytes)) {
            return corrupt(where, "a dimension is no size: " + excerpt(item.dump(), 40));
        }
        tensor.shape.push_back(static_cast<std::int64_t>(*dim));
    }
    const auto begin = unsigned_value(json["data_offsets"][0]);
    const auto end = unsigned_value(json["data_offsets"][1]);
    if (!begin || !end || *begin > *end || *end > data_bytes) {
        return corrupt(where, "data_offsets " + excerpt(json["data_offsets"].dump(), 60) +
                                  " do not lie within the file's " + std::to_string(data_bytes) +
                                  " data bytes; is the file complete?");
    }
    if (*end - *begin != bytes) {
        return corrupt(where, "dtype and shape need " + std::to_string(bytes) +
                                  " bytes, data_offsets span " + std::to_string(*end - *begin));
    }
    tensor.begin = *begin;
    tensor.end = *end;
    return tensor;
}

// The format wants the tensors to cover the data exactly.
Status check_coverage(const SafetensorsHeader& header,
                      std::uint64_t data_bytes,
                      const std::string& file_name) {
    std::vector<std::pair<const StoredTensor*, const std::string*>> order;
    for (const auto& [name, tensor] : header.tensors) order.emplace_back(&tensor, &name);
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
    });
    std::uint64_t covered = 0;
    for (const auto& [tensor, name] : order) {
        if (tensor->begin < covered) {
            return corrupt(file_name, "tensor " + excerpt(*name) + " overlaps the one before it");
        }
        if (tensor->begin > covered) {
            return corrupt(file_name, "there is a hole before tensor " + excerpt(*name));
        }
        covered = tensor->end;
    }
    if (covered != data_bytes) {
        return corrupt(file_name, "the tensors end at " + std::to_string(covered) + " of " +
                                      std::to_string(data_bytes) + " data bytes");
    }
    return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> file,
                                                   const std::string& file_name) {
    if (file.size() < kLengthBytes) return corrupt(file_name, "too short for a safetensors file");
    const std::uint64_t length = read_length(file);
    if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
        return corrupt(file_name, "the header claims " + std::to_string(length) +
                                      " bytes, the file has " + std::to_string(file.size()) +
                                      "; is it complete?");
    }
    const auto text = file.subspan(kLengthBytes, length);
    auto json = parse_json({reinterpret_cast<const char*>(text.data()), text.size()}, file_name);
    if (!json) return json.error();
    SafetensorsHeader header;
    header.data_offset = kLengthBytes + length;
    const std::uint64_t data_bytes = file.size() - header.data_offset;
    for (const auto& [name, item] : json->items()) {
        if (name == "__metadata__") continue;
        auto tensor = parse_tensor(item, data_bytes, file_name + ": tensor " + excerpt(name));
        if (!tensor) return tensor.error();
        header.tensors.emplace(name, std::move(*tensor));
    }
    RETURN_IF_ERROR(check_coverage(header, data_bytes, file_name));
    return header;
}

SafetensorsFile::SafetensorsFile(std::string path, void* mapping, std::size_t size)
    : path_(std::move(path)), mapping_(mapping), size_(size) {}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      header_(std::move(other.header_)) {}

SafetensorsFile::~SafetensorsFile() {
    if (mapping_ != nullptr) ::munmap(mapping_, size_);
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open()) return errno_error(path);

    struct stat info {};

    if (::fstat(fd.get(), &info) != 0) return errno_error(path);
    if (!S_ISREG(info.st_mode) || info.st_size == 0) {
        return corrupt(path, "too short for a safetensors file");
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (mapping == MAP_FAILED) return errno_error(path);
    SafetensorsFile file(path, mapping, size);
    auto header = parse_safetensors_header({static_cast<const std::byte*>(mapping), size}, path);
    if (!header) return header.error();
    file.header_ = std::move(*header);
    return file;
}

const std::byte* SafetensorsFile::data(const StoredTensor& tensor) const {
    CHECK(header_.data_offset + tensor.end <= size_);
    return static_cast<const std::byte*>(mapping_) + header_.data_offset + tensor.begin;
}

}  // namespace turnpike::engine
