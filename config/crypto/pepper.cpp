#include "config/crypto/pepper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>

#include "config/base/unique_handle.h"
#include "config/crypto/digest.h"

namespace turnpike::crypto {
namespace {

constexpr std::size_t kPepperBytes = 32;

Error bad_line(const std::string& path, int line_number, std::string_view expected) {
    return Error{ErrorCode::kCorrupt,
                 "pepper file " + path + ", line " + std::to_string(line_number) + ": expected " +
                     std::string(expected),
                 {}};
}

Status add_line(Peppers& peppers, std::string_view line, const std::string& path, int line_number) {
    const std::size_t space = line.find(' ');
    int version = 0;
    const char* end = line.data() + std::min(space, line.size());
    const auto [rest, problem] = std::from_chars(line.data(), end, version);
    if (space == std::string_view::npos || problem != std::errc() || rest != end || version < 1) {
        return bad_line(path, line_number, "\"<version> <64 hexadecimal digits>\"");
    }
    auto bytes = from_hex(line.substr(space + 1));
    if (!bytes || bytes->size() != kPepperBytes) {
        return bad_line(path, line_number, "64 hexadecimal digits after the version");
    }
    if (!peppers.by_version.emplace(version, Secret(std::move(*bytes))).second) {
        return bad_line(path, line_number, "a version that no other line has");
    }
    return {};
}

// What others may not do with the file. A credential of systemd belongs to root, and an ACL lets
// its service read it, which is shown as a right of the group.
mode_t refused_mode(const std::string& path) {
    const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
    const bool is_credential =
        credentials != nullptr && path.starts_with(std::string(credentials) + "/");
    return is_credential ? 037 : 077;
}

}  // namespace

Result<Peppers> load_peppers(const std::string& path) {
    struct stat info {};

    if (::stat(path.c_str(), &info) != 0) return errno_error("cannot read pepper file " + path);
    if ((info.st_mode & refused_mode(path)) != 0) {
        return Error{ErrorCode::kPermissionDenied,
                     "pepper file " + path + " may be read by others: run chmod 600 on it",
                     {}};
    }
    std::ifstream file(path);
    if (!file) return errno_error("cannot open pepper file " + path);
    Peppers peppers;
    std::string line;
    for (int line_number = 1; std::getline(file, line); ++line_number) {
        RETURN_IF_ERROR(add_line(peppers, line, path, line_number));
    }
    if (peppers.by_version.empty()) return bad_line(path, 1, "at least one pepper, found none");
    return peppers;
}

Status create_pepper_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.is_open() && errno == EEXIST) {
        return Error{ErrorCode::kConflict, "pepper file " + path + " exists already", {}};
    }
    if (!fd.is_open()) return errno_error("cannot create pepper file " + path);
    std::array<std::uint8_t, kPepperBytes> bytes{};
    fill_random(bytes);
    const std::string line = "1 " + to_hex(bytes) + "\n";
    if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        return errno_error("cannot write pepper file " + path);
    }
    if (::fsync(fd.get()) != 0) return errno_error("cannot flush pepper file " + path);
    return {};
}

}  // namespace turnpike::crypto
