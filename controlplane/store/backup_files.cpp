#include "controlplane/store/backup_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <vector>

#include "config/base/unique_handle.h"
#include "config/crypto/digest.h"

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

using Take = std::function<Status(std::string_view piece)>;

Status read_pieces(const std::string& path, const Take& take) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return errno_error("cannot open " + path);
    std::vector<char> buffer(kPieceBytes);
    for (;;) {
        const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
        if (size < 0) return errno_error("cannot read " + path);
        if (size == 0) return {};
        RETURN_IF_ERROR(take({buffer.data(), static_cast<std::size_t>(size)}));
    }
}

Status write_all(const UniqueFd& file, std::string_view piece, const std::string& path) {
    while (!piece.empty()) {
        const ssize_t size = ::write(file.get(), piece.data(), piece.size());
        if (size < 0) return errno_error("cannot write " + path);
        piece.remove_prefix(static_cast<std::size_t>(size));
    }
    return {};
}

// Follows what is read, and then tells its size and hash.
class Measure {
  public:
    void add(std::string_view piece) {
        size_bytes_ += static_cast<std::int64_t>(piece.size());
        hash_.update(piece);
    }

    BackupFile finish(const std::string& path) {
        return {std::filesystem::path(path).filename().string(), size_bytes_,
                crypto::to_hex(hash_.finish())};
    }

  private:
    std::int64_t size_bytes_ = 0;
    crypto::Sha256 hash_;
};

Result<UniqueFd> make_file(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.is_open()) return errno_error("cannot make " + path);
    return file;
}

Status flush(const UniqueFd& file, const std::string& path) {
    if (::fsync(file.get()) != 0) return errno_error("cannot flush " + path);
    return {};
}

}  // namespace

Result<BackupFile> measure_file(const std::string& dir, const std::string& name) {
    Measure measure;
    RETURN_IF_ERROR(read_pieces(dir + "/" + name, [&](std::string_view piece) -> Status {
        measure.add(piece);
        return {};
    }));
    return measure.finish(name);
}

Result<BackupFile> copy_file(const std::string& from, const std::string& to) {
    const auto file = make_file(to);
    RETURN_IF_ERROR(file);
    Measure measure;
    RETURN_IF_ERROR(read_pieces(from, [&](std::string_view piece) -> Status {
        measure.add(piece);
        return write_all(*file, piece, to);
    }));
    RETURN_IF_ERROR(flush(*file, to));
    return measure.finish(from);
}

Status write_new_file(const std::string& path, const std::string& text) {
    const auto file = make_file(path);
    RETURN_IF_ERROR(file);
    RETURN_IF_ERROR(write_all(*file, text, path));
    return flush(*file, path);
}

Status sync_path(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return errno_error("cannot open " + path);
    return flush(file, path);
}

}  // namespace turnpike::controlplane
