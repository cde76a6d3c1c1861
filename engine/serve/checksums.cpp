// See checksums.h.
#include "engine/serve/checksums.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cctype>
#include <fstream>
#include <string_view>

#include "config/base/unique_handle.h"
#include "config/crypto/digest.h"

namespace turnpike::engine {
namespace {

constexpr std::size_t kHexDigits = 64;

Error corrupt(const std::string& message) {
    return Error{ErrorCode::kCorrupt, message, {}};
}

std::string hex(const crypto::Digest& digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : digest) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 0xF];
    }
    return text;
}

Result<std::string> file_checksum(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open()) return errno_error(path);

    struct stat info {};

    if (::fstat(fd.get(), &info) != 0) return errno_error(path);
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size == 0) return hex(crypto::sha256({}));
    void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (mapping == MAP_FAILED) return errno_error(path);
    const std::string sum =
        hex(crypto::sha256(std::string_view(static_cast<const char*>(mapping), size)));
    ::munmap(mapping, size);
    return sum;
}

// A name below the folder, never a path out of it.
bool is_plain_name(std::string_view name) {
    return !name.empty() && name.front() != '/' && name.find("..") == std::string_view::npos;
}

}  // namespace

Result<int> check_checksums(const std::string& model_dir, const std::string& list_file) {
    std::ifstream list(list_file);
    if (!list) return errno_error("cannot open " + list_file);
    int count = 0;
    std::string line;
    while (std::getline(list, line)) {
        if (line.empty()) continue;
        std::string wanted = line.substr(0, kHexDigits);
        for (char& c : wanted) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        const bool is_sum = wanted.size() == kHexDigits &&
                            wanted.find_first_not_of("0123456789abcdef") == std::string::npos;
        const std::size_t start = line.find_first_not_of(" *", kHexDigits);
        if (!is_sum || start == std::string::npos || start == kHexDigits ||
            !is_plain_name(line.substr(start))) {
            return corrupt(list_file + ": expected a SHA-256 checksum and a file name, found '" +
                           line.substr(0, 100) + "'");
        }
        const std::string path = model_dir + "/" + line.substr(start);
        const auto found = file_checksum(path);
        if (!found) return found.error();
        if (*found != wanted) {
            return corrupt(path + ": expected SHA-256 " + wanted + ", found " + *found);
        }
        ++count;
    }
    if (count == 0) return corrupt(list_file + ": expected checksums, found none");
    return count;
}

}  // namespace turnpike::engine
