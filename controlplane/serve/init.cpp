#include "controlplane/serve/init.h"

#include <filesystem>
#include <string>

#include "config/crypto/pepper.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

namespace fs = std::filesystem;

Status make_directory(const fs::path& path) {
    std::error_code failed;
    const bool is_new = fs::create_directories(path, failed);
    // Sockets and databases of ours are nobody else's; a directory that was there is its owner's.
    if (!failed && is_new) fs::permissions(path, fs::perms::owner_all, failed);
    if (failed)
        return Error{ErrorCode::kIo, "cannot make " + path.string() + ": " + failed.message(), {}};
    return {};
}

}  // namespace

Status make_directories(const ControlplaneSettings& settings) {
    RETURN_IF_ERROR(make_directory(settings.data_dir));
    RETURN_IF_ERROR(make_directory(settings.run_dir));
    return make_directory(fs::path(settings.pepper_file).parent_path());
}

Status init(const ControlplaneSettings& settings, const Clock& clock, Log& log) {
    RETURN_IF_ERROR(make_directories(settings));
    const Status created = crypto::create_pepper_file(settings.pepper_file);
    if (!created && created.error().code != ErrorCode::kConflict) return created;
    // One that was there must be readable, else no key could ever be checked.
    RETURN_IF_ERROR(crypto::load_peppers(settings.pepper_file));
    RETURN_IF_ERROR(Store::open(settings.data_dir, clock, log));
    log.info("controlplane_initialised", {{"data_dir", settings.data_dir}});
    return {};
}

}  // namespace turnpike::controlplane
