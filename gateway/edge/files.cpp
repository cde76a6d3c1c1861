#include "gateway/edge/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "config/base/unique_handle.h"

namespace turnpike::gateway {
namespace {

Status write_all(int fd, std::string_view bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno_error("cannot write " + path);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Status write_and_rename(const std::string& path,
                        const std::string& temporary,
                        std::string_view content,
                        bool is_flushed) {
    {
        const UniqueFd fd(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!fd.is_open()) return errno_error("cannot create " + temporary);
        RETURN_IF_ERROR(write_all(fd.get(), content, temporary));
        if (is_flushed && ::fdatasync(fd.get()) != 0) {
            return errno_error("cannot flush " + temporary);
        }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        return errno_error("cannot replace " + path);
    }
    return {};
}

}  // namespace

Status sync_directory(const std::string& dir) {
    const UniqueFd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.is_open() || ::fsync(fd.get()) != 0) return errno_error("cannot flush " + dir);
    return {};
}

Status replace_file(const std::string& path, std::string_view content, std::string_view writer) {
    const std::string temporary = path + ".new" + std::string(writer);
    RETURN_IF_ERROR(write_and_rename(path, temporary, content, /*is_flushed=*/true));
    const std::string dir = std::filesystem::path(path).parent_path().string();
    return sync_directory(dir.empty() ? "." : dir);
}

Status replace_file_unflushed(const std::string& path, std::string_view content) {
    return write_and_rename(path, path + ".new", content, /*is_flushed=*/false);
}

Result<std::string> read_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open() && errno == ENOENT) {
        return Error{ErrorCode::kNotFound, path + " does not exist", {}};
    }
    if (!fd.is_open()) return errno_error("cannot open " + path);
    std::string content;
    std::array<char, 64 * 1024> buffer;
    for (;;) {
        const ssize_t taken = ::read(fd.get(), buffer.data(), buffer.size());
        if (taken < 0 && errno == EINTR) continue;
        if (taken < 0) return errno_error("cannot read " + path);
        if (taken == 0) return content;
        content.append(buffer.data(), static_cast<std::size_t>(taken));
    }
}

}  // namespace turnpike::gateway
