// One safetensors file, mapped read-only: eight bytes of header length, a JSON header, the data.
// The header is a stranger's: every offset is checked before a pointer is made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

struct StoredTensor {
    std::string dtype;  // as the format writes it: "F8_E4M3", "BF16", "F32", ...
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  // within the data
    std::uint64_t end = 0;
};

struct SafetensorsHeader {
    std::map<std::string, StoredTensor, std::less<>> tensors;
    std::uint64_t data_offset = 0;  // within the file
};

// `file` is the whole file. Errors: kCorrupt naming file_name and what breaks the format:
// truncated, no JSON, an unknown dtype, a size that does not match, tensors that overlap or leave a
// hole, a name given twice.
Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> file,
                                                   const std::string& file_name);

// Owns the mapping; pointers into it live as long. The file must not shrink meanwhile.
class SafetensorsFile {
  public:
    static Result<SafetensorsFile> open(const std::string& path);
    ~SafetensorsFile();
    SafetensorsFile(SafetensorsFile&& other) noexcept;
    SafetensorsFile& operator=(SafetensorsFile&&) = delete;

    const std::string& path() const { return path_; }

    const std::map<std::string, StoredTensor, std::less<>>& tensors() const {
        return header_.tensors;
    }

    const std::byte* data(const StoredTensor& tensor) const;

  private:
    SafetensorsFile(std::string path, void* mapping, std::size_t size);

    std::string path_;
    void* mapping_ = nullptr;
    std::size_t size_ = 0;
    SafetensorsHeader header_;
};

}  // namespace turnpike::engine
