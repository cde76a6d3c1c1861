#include "gateway/edge/share_file.h"

#include <charconv>

#include "controlplane/api/lease.h"
#include "gateway/edge/files.h"

namespace turnpike::gateway {
namespace {

std::string path_in(const std::string& dir) {
    return dir + "/share";
}

}  // namespace

Result<std::int64_t> load_share(const std::string& dir) {
    const auto text = read_file(path_in(dir));
    if (!text && text.error().code == ErrorCode::kNotFound) return std::int64_t{0};
    RETURN_IF_ERROR(text);
    std::int64_t share_ppm = 0;
    const auto [end, problem] =
        std::from_chars(text->data(), text->data() + text->size(), share_ppm);
    const bool is_share = problem == std::errc() && end != text->data() + text->size() &&
                          *end == '\n' && share_ppm >= 0 && share_ppm <= controlplane::kWholeShare;
    return is_share ? share_ppm : 0;
}

Status save_share(const std::string& dir, std::int64_t share_ppm) {
    return replace_file(path_in(dir), std::to_string(share_ppm) + "\n");
}

}  // namespace turnpike::gateway
