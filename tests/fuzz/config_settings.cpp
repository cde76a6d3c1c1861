// Settings files: refused naming the key, or accepted; what a server prints as its settings is what
// it reads. The control plane's reader is left out: it opens whatever files it is told.
#include <fstream>
#include <string>

#include "engine/serve/engine_settings.h"
#include "gateway/edge/settings.h"
#include "tests/fuzz/target.h"
#include "tests/support/temp_dir.h"

using namespace turnpike;

namespace {

void write_file(const std::string& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    CHECK(file.flush().good());
}

template <class Load, class Write>
void check(const std::string& path, std::string_view text, Load load, Write write) {
    write_file(path, text);
    const auto settings = load(path);
    if (!settings) return fuzz::check_error(settings.error(), {ErrorCode::kInvalidArgument});
    const std::string written = write(*settings);
    write_file(path, written);
    const auto again = load(path);
    CHECK(again);
    CHECK(write(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const test::TempDir kDir;
    static const std::string kPath = kDir.file("s.json");
    const auto text = fuzz::text_of(data, size);
    check(kPath, text, gateway::load_settings, gateway::write_settings);
    check(
        kPath, text, [](const std::string& file) { return engine::load_engine_settings(file); },
        [](const engine::EngineSettings& settings) { return engine::to_json(settings); });
    return 0;
}
