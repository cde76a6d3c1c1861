#include "engine/serve/engine_settings.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "config/base/limits.h"
#include "config/schema/json_settings.h"
#include "engine/parallel/shm_region.h"

namespace turnpike::engine {
namespace {

Status check_range(const char* name, std::int64_t found, std::int64_t low, std::int64_t high) {
    if (found >= low && found <= high) return {};
    return invalid_argument("'" + std::string(name) + "' expected " + std::to_string(low) + " to " +
                                std::to_string(high) + ", found " + std::to_string(found),
                            name);
}

Status validate(const EngineSettings& settings) {
    constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kDaySeconds = 86'400;
    RETURN_IF_ERROR(check_range("num_threads", settings.num_threads, 0, 1024));
    RETURN_IF_ERROR(check_range("ranks", settings.ranks, 1, kMaxShmRanks));
    RETURN_IF_ERROR(check_range("kv_tokens", settings.kv_tokens, 64, kLargest));
    RETURN_IF_ERROR(check_range("max_running", settings.max_running, 1, 256));
    RETURN_IF_ERROR(check_range("max_step_tokens", settings.max_step_tokens, 1, 65'536));
    RETURN_IF_ERROR(check_range("speculative_tokens", settings.speculative_tokens, 0,
                                limits::kMaxSpeculativeTokens));
    RETURN_IF_ERROR(check_range("max_speculating", settings.max_speculating, 1, 256));
    RETURN_IF_ERROR(check_range("watchdog_seconds", settings.watchdog_seconds, 0, kDaySeconds));
    RETURN_IF_ERROR(check_range("keep_alive_seconds", settings.keep_alive_seconds, 0, kDaySeconds));
    // Every running sequence has a row in each step, and with speculation its drafts' rows.
    const std::int64_t needed = settings.max_running * (1 + settings.speculative_tokens);
    if (settings.max_step_tokens < needed) {
        return invalid_argument(
            "'max_step_tokens' expected at least " + std::to_string(needed) +
                ": one row for each of 'max_running' sequences" +
                (settings.speculative_tokens > 0 ? " and one for each of its drafts" : "") +
                ", found " + std::to_string(settings.max_step_tokens),
            "max_step_tokens");
    }
    return {};
}

std::optional<net::TlsFiles> read_tls(schema::JsonSettings& file) {
    if (!file.has("tls")) return {};
    schema::JsonSettings section = file.section("tls");
    const std::string certificate = section.text("certificate");
    const std::string key = section.text("key");
    return net::TlsFiles{certificate, key, section.text("client_ca")};
}

Status check_listen(const EngineSettings& settings) {
    if (settings.listen.is_tls != settings.tls.has_value()) {
        return invalid_argument(
            "'tls' expected with a tls: address in 'listen' and with no other, "
            "found 'listen' " +
                net::to_string(settings.listen) + (settings.tls ? " with 'tls'" : " without 'tls'"),
            "tls");
    }
    if (settings.tls && settings.tls->ca.empty())
        return invalid_argument("'tls.client_ca' expected a file, found nothing", "tls.client_ca");
    if (settings.listen.is_tls && settings.listen.port == 0 && settings.address_file.empty()) {
        return invalid_argument(
            "'address_file' expected with port 0 in 'listen': nobody would know the port",
            "address_file");
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
    settings.tls = read_tls(*file);
    settings.address_file = file->text("address_file", "");
    settings.replica = file->text("replica", "");
    settings.lock_file = file->text("lock_file");
    settings.meter_file = file->text("meter_file");
    settings.num_threads = file->integer("num_threads", 0);
    settings.ranks = file->integer("ranks", 1);
    if (num_ranks != 0) settings.ranks = num_ranks;
    const std::string attention = file->text("attention", kTensor);
    settings.isa = file->text("isa", "auto");
    settings.is_deterministic = file->boolean("deterministic", settings.is_deterministic);
    settings.kv_tokens = file->integer("kv_tokens", 32768);
    settings.max_running = file->integer("max_running", settings.max_running);
    settings.max_step_tokens = file->integer("max_step_tokens", settings.max_step_tokens);
    settings.has_prefix_cache = file->boolean("prefix_cache", settings.has_prefix_cache);
    settings.speculative_tokens = file->integer("speculative_tokens", settings.speculative_tokens);
    settings.max_speculating = file->integer("max_speculating", settings.max_speculating);
    settings.watchdog_seconds = file->integer("watchdog_seconds", settings.watchdog_seconds);
    settings.keep_alive_seconds = file->integer("keep_alive_seconds", settings.keep_alive_seconds);
    RETURN_IF_ERROR(file->finish());
    auto address = net::parse_address(listen);
    RETURN_IF_ERROR(address);
    settings.listen = std::move(*address);
    auto layout = parse_attention(attention);
    RETURN_IF_ERROR(layout);
    settings.attention = *layout;
    RETURN_IF_ERROR(check_listen(settings));
    RETURN_IF_ERROR(validate(settings));
    return settings;
}

std::string to_json(const EngineSettings& settings) {
    const bool is_tensor = settings.attention == AttentionLayout::kTensorParallel;
    nlohmann::ordered_json json{{"model_dir", settings.model_dir},
                                {"card", settings.card},
                                {"listen", net::to_string(settings.listen)},
                                {"address_file", settings.address_file},
                                {"replica", settings.replica},
                                {"epoch", settings.epoch.value()},
                                {"lock_file", settings.lock_file},
                                {"meter_file", settings.meter_file},
                                {"num_threads", settings.num_threads},
                                {"ranks", settings.ranks},
                                {"attention", is_tensor ? kTensor : kData},
                                {"isa", settings.isa},
                                {"deterministic", settings.is_deterministic},
                                {"kv_tokens", settings.kv_tokens},
                                {"max_running", settings.max_running},
                                {"max_step_tokens", settings.max_step_tokens},
                                {"prefix_cache", settings.has_prefix_cache},
                                {"speculative_tokens", settings.speculative_tokens},
                                {"max_speculating", settings.max_speculating},
                                {"watchdog_seconds", settings.watchdog_seconds},
                                {"keep_alive_seconds", settings.keep_alive_seconds}};
    if (settings.tls) {
        json["tls"] = {{"certificate", settings.tls->certificate},
                       {"key", settings.tls->key},
                       {"client_ca", settings.tls->ca}};
    }
    return json.dump(4);
}

}  // namespace turnpike::engine
