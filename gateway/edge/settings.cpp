#include "gateway/edge/settings.h"

#include <nlohmann/json.hpp>

#include "config/net/address.h"
#include "config/schema/json_settings.h"

namespace turnpike::gateway {
namespace {

constexpr char kDefaultListen[] = "tcp:0.0.0.0:8443";
constexpr char kDefaultUnleasedUsd[] = "1.00";
constexpr int kMaxThreads = 256;
constexpr std::chrono::seconds kMaxDrainTime = std::chrono::hours(1);

Result<Durability> parse_durability(const std::string& text) {
    if (text == "process") return Durability::kProcess;
    if (text == "power") return Durability::kPower;
    return invalid_argument("expected 'process' or 'power', found '" + excerpt(text) + "'",
                            "durability");
}

void read_limit(schema::JsonSettings& file, const char* name, std::optional<std::int64_t>& limit) {
    limit = file.integer(name, limit.value_or(0));
}

std::optional<net::TlsFiles> read_upstream_tls(schema::JsonSettings& file) {
    if (!file.has("upstream_tls")) return {};
    schema::JsonSettings section = file.section("upstream_tls");
    const std::string certificate = section.text("certificate");
    const std::string key = section.text("key");
    return net::TlsFiles{certificate, key, section.text("ca")};
}

Error bad_setting(const char* name, const std::string& message) {
    return invalid_argument(std::string("'") + name + "': " + message, name);
}

Result<NanoUsd> parse_unleased(const std::string& text) {
    const auto amount = parse_usd(text);
    if (amount && *amount >= NanoUsd()) return *amount;
    return bad_setting("unleased_usd", "expected an amount in USD that is not negative, found '" +
                                           excerpt(text) + "'");
}

}  // namespace

Result<Settings> load_settings(const std::string& path) {
    auto file = schema::JsonSettings::load(path);
    RETURN_IF_ERROR(file);
    Settings settings;
    settings.listen = file->texts("listen");
    if (settings.listen.empty()) settings.listen.emplace_back(kDefaultListen);
    settings.tls_certificate = file->text("tls_certificate");
    settings.tls_key = file->text("tls_key");
    settings.upstream_tls = read_upstream_tls(*file);
    settings.controlplane = file->text("controlplane");
    settings.pepper_file = file->text("pepper_file");
    settings.outbox_dir = file->text("outbox_dir");
    settings.snapshot_file = file->text("snapshot_file");
    settings.metrics_listen = file->text("metrics_listen", "");
    settings.handover_socket = file->text("handover_socket", "");
    const std::string unleased_usd = file->text("unleased_usd", kDefaultUnleasedUsd);
    const std::int64_t num_threads = file->integer("num_threads", 0);
    const std::int64_t drain_seconds = file->integer("drain_seconds", 30);
    const std::string durability_text = file->text("durability", "process");
    controlplane::Limits& limits = settings.default_limits;
    read_limit(*file, "default_requests_per_minute", limits.requests_per_minute);
    read_limit(*file, "default_tokens_per_minute", limits.tokens_per_minute);
    read_limit(*file, "default_concurrent_requests", limits.concurrent_requests);
    RETURN_IF_ERROR(file->finish());
    const auto durability = parse_durability(durability_text);
    RETURN_IF_ERROR(durability);
    settings.durability = *durability;
    const auto unleased = parse_unleased(unleased_usd);
    RETURN_IF_ERROR(unleased);
    settings.unleased = *unleased;
    if (num_threads < 0 || num_threads > kMaxThreads) {
        return bad_setting("num_threads",
                           "expected 0 to 256, found " + std::to_string(num_threads));
    }
    if (drain_seconds < 0 || drain_seconds > kMaxDrainTime.count()) {
        return bad_setting("drain_seconds",
                           "expected 0 to 3600, found " + std::to_string(drain_seconds));
    }
    settings.num_threads = static_cast<int>(num_threads);
    settings.drain_time = std::chrono::seconds(drain_seconds);
    RETURN_IF_ERROR(settings.validate());
    return settings;
}

Status Settings::validate() const {
    for (const std::string& text : listen) {
        const auto address = net::parse_address(text);
        if (!address) return bad_setting("listen", address.error().message);
        // tls: would be mutual.
        if (address->is_unix() || address->is_tls)
            return bad_setting("listen", "expected tcp:HOST:PORT, found " + excerpt(text));
    }
    for (const auto& [name, value] :
         {std::pair{"default_requests_per_minute", default_limits.requests_per_minute},
          std::pair{"default_tokens_per_minute", default_limits.tokens_per_minute},
          std::pair{"default_concurrent_requests", default_limits.concurrent_requests}}) {
        if (value && (*value < 1 || *value > controlplane::kMaxPerMinute)) {
            return bad_setting(name, "expected 1 to " +
                                         std::to_string(controlplane::kMaxPerMinute) + ", found " +
                                         std::to_string(*value));
        }
    }
    for (const auto& [name, text] :
         {std::pair{"metrics_listen", &metrics_listen}, std::pair{"controlplane", &controlplane}}) {
        if (text->empty() && text == &metrics_listen) continue;
        const auto address = net::parse_address(*text);
        if (!address) return bad_setting(name, address.error().message);
        if (address->is_tls) {
            return bad_setting(name,
                               "expected unix:PATH or tcp:HOST:PORT, found " + excerpt(*text));
        }
    }
    if (!handover_socket.empty()) {
        const auto address = net::parse_address("unix:" + handover_socket);
        if (!address) return bad_setting("handover_socket", address.error().message);
    }
    if (upstream_tls) {
        for (const auto& [name, value] :
             {std::pair{"upstream_tls.certificate", &upstream_tls->certificate},
              std::pair{"upstream_tls.ca", &upstream_tls->ca}}) {
            if (value->empty()) return bad_setting(name, "expected a path, found an empty text");
        }
    }
    for (const auto& [name, value] :
         {std::pair{"outbox_dir", &outbox_dir}, std::pair{"snapshot_file", &snapshot_file}}) {
        if (value->empty()) return bad_setting(name, "expected a path, found an empty text");
    }
    return {};
}

std::string write_settings(const Settings& settings) {
    nlohmann::ordered_json object = {
        {"listen", settings.listen},
        {"tls_certificate", settings.tls_certificate},
        {"tls_key", settings.tls_key},
        {"controlplane", settings.controlplane},
        {"pepper_file", settings.pepper_file},
        {"outbox_dir", settings.outbox_dir},
        {"snapshot_file", settings.snapshot_file},
        {"metrics_listen", settings.metrics_listen},
        {"handover_socket", settings.handover_socket},
        {"num_threads", settings.num_threads},
        {"drain_seconds", settings.drain_time.count()},
        {"durability", settings.durability == Durability::kPower ? "power" : "process"},
        {"default_requests_per_minute", settings.default_limits.requests_per_minute.value_or(0)},
        {"default_tokens_per_minute", settings.default_limits.tokens_per_minute.value_or(0)},
        {"default_concurrent_requests", settings.default_limits.concurrent_requests.value_or(0)},
        {"unleased_usd", format_usd(settings.unleased)}};
    if (settings.upstream_tls) {
        object["upstream_tls"] = {{"certificate", settings.upstream_tls->certificate},
                                  {"key", settings.upstream_tls->key},
                                  {"ca", settings.upstream_tls->ca}};
    }
    return object.dump(4, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace turnpike::gateway
