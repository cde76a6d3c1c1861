#include "engine/serve/engine_settings.h"

#include <nlohmann/json.hpp>

#include "config/schema/json_settings.h"
#include "engine/parallel/shm_region.h"

namespace turnpike::engine {
namespace {

Status validate(const EngineSettings& settings) {
    if (settings.num_threads < 0 || settings.num_threads > 1024) {
        return invalid_argument("'num_threads' expected 0 to 1024", "num_threads");
    }
    if (settings.ranks < 1 || settings.ranks > kMaxShmRanks) {
        return invalid_argument("'ranks' expected 1 to " + std::to_string(kMaxShmRanks), "ranks");
    }
    if (settings.kv_tokens < 64)
        return invalid_argument("'kv_tokens' expected at least 64", "kv_tokens");
    if (settings.max_running < 1 || settings.max_running > 256) {
        return invalid_argument("'max_running' expected 1 to 256", "max_running");
    }
    return {};
}

constexpr const char* kTensor = "tensor";
constexpr const char* kData = "data";

Result<AttentionLayout> parse_attention(const std::string& name) {
    if (name == kTensor) return AttentionLayout::kTensorParallel;
    if (name == kData) return AttentionLayout::kDataParallel;
    return invalid_argument("'attention' expected \"tensor\" or \"data\", found \"" + name + "\"",
                            "attention");
}

}  // namespace

Result<EngineSettings> load_engine_settings(const std::string& path, std::int64_t num_ranks) {
    auto file = schema::JsonSettings::load(path);
    RETURN_IF_ERROR(file);
    EngineSettings settings;
    settings.model_dir = file->text("model_dir");
    settings.card = file->text("card");
    const std::string listen = file->text("listen");
    settings.epoch = Epoch(file->integer("epoch", 1));
    settings.lock_file = file->text("lock_file");
    settings.meter_file = file->text("meter_file");
    settings.num_threads = file->integer("num_threads", 0);
    settings.ranks = file->integer("ranks", 1);
    if (num_ranks != 0) settings.ranks = num_ranks;
    const std::string attention = file->text("attention", kTensor);
    settings.isa = file->text("isa", "auto");
    settings.kv_tokens = file->integer("kv_tokens", 32768);
    settings.max_running = file->integer("max_running", 8);
    RETURN_IF_ERROR(file->finish());
    auto address = net::parse_address(listen);
    RETURN_IF_ERROR(address);
    settings.listen = std::move(*address);
    auto layout = parse_attention(attention);
    RETURN_IF_ERROR(layout);
    settings.attention = *layout;
    RETURN_IF_ERROR(validate(settings));
    return settings;
}

std::string to_json(const EngineSettings& settings) {
    const bool is_tensor = settings.attention == AttentionLayout::kTensorParallel;
    return nlohmann::ordered_json{
        {"model_dir", settings.model_dir},           {"card", settings.card},
        {"listen", net::to_string(settings.listen)}, {"epoch", settings.epoch.value()},
        {"lock_file", settings.lock_file},           {"meter_file", settings.meter_file},
        {"num_threads", settings.num_threads},       {"ranks", settings.ranks},
        {"attention", is_tensor ? kTensor : kData},  {"isa", settings.isa},
        {"kv_tokens", settings.kv_tokens},           {"max_running", settings.max_running}}
        .dump(4);
}

}  // namespace turnpike::engine
