#include "controlplane/serve/settings.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config/base/limits.h"
#include "config/schema/json_settings.h"
#include "controlplane/serve/driver_settings.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::ordered_json;
using schema::JsonSettings;

std::string card_path(const ControlplaneSettings& settings, const std::string& file) {
    return absolute_path((std::filesystem::path(settings.cards_dir) / file).string());
}

int read_int(JsonSettings& section, const char* key, std::optional<std::int64_t> fallback = {}) {
    const std::int64_t value = section.integer(key, fallback);
    // Out of range reads as -1, which validate() refuses wherever a number must not be negative.
    return value < 0 || value > 1'000'000 ? -1 : static_cast<int>(value);
}

std::optional<net::TlsFiles> read_engine_tls(JsonSettings& file) {
    if (!file.has("engine_tls")) return {};
    JsonSettings section = file.section("engine_tls");
    const std::string certificate = absolute_path(section.text("certificate"));
    const std::string key = absolute_path(section.text("key"));
    return net::TlsFiles{certificate, key, absolute_path(section.text("ca"))};
}

// Without them the system's authorities would do, and no certificate be shown.
Status check_engine_tls(const ControlplaneSettings& settings) {
    if (!settings.engine_tls) return {};
    for (const auto& [key, path] :
         {std::pair{"engine_tls.certificate", &settings.engine_tls->certificate},
          std::pair{"engine_tls.ca", &settings.engine_tls->ca}}) {
        if (path->empty())
            return invalid_argument(std::string(key) + ": expected a path, found an empty text",
                                    key);
    }
    return {};
}

struct RawName {
    std::string name;
    std::string card;
};

struct RawModel {
    std::string card;
    std::string model_dir;
    int speculative_tokens = 0;
    double target_in_flight = 0.0;
    std::vector<RawName> names;
};

std::vector<RawModel> read_models(JsonSettings& file) {
    std::vector<RawModel> models;
    for (JsonSettings& section : file.sections("models")) {
        RawModel model{section.text("card"),
                       absolute_path(section.text("model_dir")),
                       read_int(section, "speculative_tokens", 0),
                       section.number("target_in_flight", 0.0),
                       {}};
        for (JsonSettings& name : section.sections("names"))
            model.names.push_back({name.text("name"), name.text("card", model.card)});
        models.push_back(std::move(model));
    }
    return models;
}

ScalePolicy read_autoscaling(JsonSettings section) {
    const auto seconds = [&](const char* key, std::chrono::seconds standard) {
        return std::chrono::seconds(section.integer(key, standard.count()));
    };
    ScalePolicy policy;
    policy.target_in_flight = section.number("target_in_flight", policy.target_in_flight);
    policy.max_kv_usage = section.number("max_kv_usage", policy.max_kv_usage);
    policy.max_wait =
        std::chrono::milliseconds(section.integer("max_wait_ms", policy.max_wait.count()));
    policy.stable_window = seconds("stable_window_s", policy.stable_window);
    policy.panic_window = seconds("panic_window_s", policy.panic_window);
    policy.panic_ratio = section.number("panic_ratio", policy.panic_ratio);
    policy.down_window = seconds("down_window_s", policy.down_window);
    policy.idle_window = seconds("idle_window_s", policy.idle_window);
    return policy;
}

EndpointQuota read_quota(JsonSettings section) {
    EndpointQuota quota;
    quota.max_endpoints = read_int(section, "endpoints", quota.max_endpoints);
    quota.max_replicas = read_int(section, "replicas", quota.max_replicas);
    return quota;
}

Status check_quota(const EndpointQuota& quota) {
    if (quota.max_endpoints >= 0 && quota.max_replicas >= 0) return {};
    return invalid_argument("quota: expected numbers from 0 to 1,000,000; 0 is no bound", "quota");
}

Status check_autoscaling(const ScalePolicy& policy) {
    constexpr auto kDay = std::chrono::hours(24);
    const auto fail = [](const std::string& what) {
        return invalid_argument("autoscaling: " + what, "autoscaling");
    };
    if (!(policy.target_in_flight > 0.0)) return fail("expected target_in_flight over 0");
    if (!(policy.max_kv_usage > 0.0 && policy.max_kv_usage <= 1.0))
        return fail("expected max_kv_usage over 0, at most 1");
    if (!(policy.panic_ratio >= 1.0)) return fail("expected panic_ratio of at least 1");
    if (policy.max_wait < std::chrono::milliseconds(0)) return fail("expected max_wait_ms >= 0");
    for (const std::chrono::seconds window :
         {policy.stable_window, policy.panic_window, policy.down_window, policy.idle_window}) {
        if (window < std::chrono::seconds(1) || window > kDay)
            return fail("expected windows of 1 to 86,400 seconds");
    }
    if (policy.panic_window > policy.stable_window)
        return fail("expected panic_window_s at most stable_window_s");
    return {};
}

RetentionPolicy read_retention(JsonSettings section) {
    RetentionPolicy policy;
    policy.usage_months = read_int(section, "usage_months", policy.usage_months);
    policy.audit_days = read_int(section, "audit_days", policy.audit_days);
    policy.finished_operations_days =
        read_int(section, "finished_operations_days", policy.finished_operations_days);
    return policy;
}

Status check_retention(const RetentionPolicy& policy) {
    constexpr int kMaxMonths = 1200;
    constexpr int kMaxDays = 36'500;
    const auto is_within = [](int value, int most) { return value >= 0 && value <= most; };
    if (is_within(policy.usage_months, kMaxMonths) && is_within(policy.audit_days, kMaxDays) &&
        is_within(policy.finished_operations_days, kMaxDays))
        return {};
    return invalid_argument(
        "retention: expected usage_months from 0 to 1,200, audit_days and "
        "finished_operations_days from 0 to 36,500",
        "retention");
}

std::vector<PoolSettings> read_pools(JsonSettings& file) {
    std::vector<PoolSettings> pools;
    for (JsonSettings& section : file.sections("serverless")) {
        PoolSettings pool;
        pool.model = section.text("model");
        pool.hardware = section.text("hardware");
        pool.autoscaling.min_replicas = read_int(section, "min_replicas", 1);
        pool.autoscaling.max_replicas =
            read_int(section, "max_replicas", pool.autoscaling.min_replicas);
        pools.push_back(std::move(pool));
    }
    return pools;
}

std::vector<HardwareSettings> read_hardware(JsonSettings& file) {
    std::vector<HardwareSettings> rows;
    for (JsonSettings& section : file.sections("hardware")) {
        HardwareSettings row;
        row.hardware.id = section.text("id");
        row.hardware.gpu_type = section.text("gpu_type", "");
        row.hardware.gpu_link = section.text("gpu_link", "");
        row.hardware.gpu_memory_gb = read_int(section, "gpu_memory_gb", 0);
        row.hardware.gpu_count = read_int(section, "gpu_count", 0);
        row.hardware.cents_per_minute = read_int(section, "cents_per_minute", 0);
        row.num_slots = read_int(section, "slots");
        row.zone = section.text("availability_zone", "");
        if (section.has("slurm")) row.slurm = read_slurm_hardware(section.section("slurm"));
        rows.push_back(std::move(row));
    }
    return rows;
}

// What a model is called when its settings do not say.
std::vector<RawName> names_of(const schema::ModelCard& card, const std::string& file) {
    std::vector<RawName> names{{card.id, file}};
    for (const std::string& alias : card.aliases) names.push_back({alias, file});
    return names;
}

Result<ModelSettings> load_model(const ControlplaneSettings& settings, const RawModel& raw) {
    ModelSettings model;
    model.card_file = card_path(settings, raw.card);
    model.model_dir = raw.model_dir;
    model.speculative_tokens = raw.speculative_tokens;
    model.target_in_flight = raw.target_in_flight;
    if (!(model.target_in_flight >= 0.0))
        return invalid_argument(
            "models: 'target_in_flight' of " + raw.card + ": expected at least 0", "models");
    if (model.speculative_tokens < 0 || model.speculative_tokens > limits::kMaxSpeculativeTokens) {
        return invalid_argument("models: 'speculative_tokens' of " + raw.card + ": expected 0 to " +
                                    std::to_string(limits::kMaxSpeculativeTokens) + ", found " +
                                    std::to_string(model.speculative_tokens),
                                "models");
    }
    Result<schema::ModelCard> card = schema::load_model_card(model.card_file);
    if (!card) return card.error();
    model.card = *std::move(card);
    std::vector<RawName> names = raw.names;
    if (names.empty()) names = names_of(model.card, raw.card);
    for (const RawName& name : names) {
        Result<schema::ModelCard> shown = schema::load_model_card(card_path(settings, name.card));
        if (!shown) return shown.error();
        if (!shown->has_prices) {
            return invalid_argument("name '" + name.name + "': the card " +
                                        card_path(settings, name.card) +
                                        " has no prices; set input_usd_per_mtok and "
                                        "output_usd_per_mtok to serve it",
                                    "models");
        }
        model.names.push_back({name.name, *std::move(shown)});
    }
    return model;
}

Status check_names(const ControlplaneSettings& settings) {
    std::set<std::string> ids;
    std::set<std::string> names;
    for (const ModelSettings& model : settings.models) {
        if (!ids.insert(model.card.id).second)
            return invalid_argument("model '" + model.card.id + "' is named twice", "models");
        for (const NameSettings& name : model.names) {
            if (!names.insert(name.name).second)
                return invalid_argument("name '" + name.name + "' is given twice", "models");
        }
    }
    std::set<std::string> hardware;
    for (const HardwareSettings& row : settings.hardware) {
        if (!hardware.insert(row.hardware.id).second)
            return invalid_argument("hardware '" + row.hardware.id + "' is named twice",
                                    "hardware");
    }
    return {};
}

Status check_pool(const ControlplaneSettings& settings, const PoolSettings& pool) {
    if (settings.find_model(pool.model) == nullptr)
        return invalid_argument("no model '" + pool.model + "' under models", "serverless.model");
    if (settings.find_hardware(pool.hardware) == nullptr)
        return invalid_argument("no hardware '" + pool.hardware + "' under hardware",
                                "serverless.hardware");
    const Autoscaling& scale = pool.autoscaling;
    if (scale.min_replicas < 1 || scale.max_replicas < scale.min_replicas ||
        scale.max_replicas > limits::kMaxReplicasPerEndpoint)
        return invalid_argument("pool of '" + pool.model +
                                    "': expected 1 <= min_replicas <= max_replicas <= " +
                                    std::to_string(limits::kMaxReplicasPerEndpoint),
                                "serverless.min_replicas");
    return {};
}

Status validate(const ControlplaneSettings& settings) {
    RETURN_IF_ERROR(check_engine_tls(settings));
    RETURN_IF_ERROR(check_driver(settings));
    RETURN_IF_ERROR(check_names(settings));
    RETURN_IF_ERROR(check_autoscaling(settings.autoscaling));
    RETURN_IF_ERROR(check_quota(settings.quota));
    RETURN_IF_ERROR(check_retention(settings.retention));
    for (const HardwareSettings& row : settings.hardware) {
        const Hardware& one = row.hardware;
        if (one.gpu_memory_gb < 0 || one.gpu_count < 0 || one.cents_per_minute < 0 ||
            row.num_slots < 0)
            return invalid_argument(
                "hardware '" + one.id + "': expected numbers from 0 to 1,000,000", "hardware");
    }
    std::set<const ModelSettings*> pooled;
    for (const PoolSettings& pool : settings.serverless) {
        RETURN_IF_ERROR(check_pool(settings, pool));
        if (!pooled.insert(settings.find_model(pool.model)).second)
            return invalid_argument("two pools serve model '" + pool.model + "'", "serverless");
    }
    return {};
}

// Until an operator says who pays in advance, an organisation may owe so much.
constexpr char kDefaultOverdraftUsd[] = "1000.00";

Result<NanoUsd> parse_overdraft(const std::string& text) {
    const Result<NanoUsd> amount = parse_usd(text);
    if (amount && *amount >= NanoUsd()) return *amount;
    return invalid_argument(
        "'overdraft_usd': expected an amount in USD that is not negative, "
        "found '" +
            excerpt(text) + "'",
        "overdraft_usd");
}

Result<net::NetAddress> parse_listen(const std::string& text, const char* key) {
    Result<net::NetAddress> address = net::parse_address(text);
    if (!address) return invalid_argument(std::string(key) + ": " + address.error().message, key);
    if (address->is_tls) {
        return invalid_argument(
            std::string(key) + ": expected unix:PATH or tcp:HOST:PORT, found " + excerpt(text),
            key);
    }
    return address;
}

Status read_optional_listen(const std::string& text,
                            const char* key,
                            std::optional<net::NetAddress>& address) {
    if (text.empty()) return {};
    Result<net::NetAddress> parsed = parse_listen(text, key);
    RETURN_IF_ERROR(parsed);
    address = *std::move(parsed);
    return {};
}

ordered_json json_of(const ModelSettings& model) {
    ordered_json names = ordered_json::array();
    for (const NameSettings& name : model.names)
        names.push_back({{"name", name.name}, {"card", name.card.id}});
    return {{"card", model.card_file},
            {"model_dir", model.model_dir},
            {"speculative_tokens", model.speculative_tokens},
            {"target_in_flight", model.target_in_flight},
            {"names", names}};
}

ordered_json json_of(const PoolSettings& pool) {
    return {{"model", pool.model},
            {"hardware", pool.hardware},
            {"min_replicas", pool.autoscaling.min_replicas},
            {"max_replicas", pool.autoscaling.max_replicas}};
}

ordered_json json_of(const HardwareSettings& row) {
    const Hardware& one = row.hardware;
    ordered_json json{{"id", one.id},
                      {"gpu_type", one.gpu_type},
                      {"gpu_link", one.gpu_link},
                      {"gpu_memory_gb", one.gpu_memory_gb},
                      {"gpu_count", one.gpu_count},
                      {"cents_per_minute", one.cents_per_minute},
                      {"slots", row.num_slots},
                      {"availability_zone", row.zone}};
    if (row.slurm)
        json["slurm"] = {{"gres", row.slurm->gres},
                         {"nodes", row.slurm->num_nodes},
                         {"arguments", row.slurm->arguments}};
    return json;
}

ordered_json json_of(const ScalePolicy& policy) {
    return {{"target_in_flight", policy.target_in_flight},
            {"max_kv_usage", policy.max_kv_usage},
            {"max_wait_ms", policy.max_wait.count()},
            {"stable_window_s", policy.stable_window.count()},
            {"panic_window_s", policy.panic_window.count()},
            {"panic_ratio", policy.panic_ratio},
            {"down_window_s", policy.down_window.count()},
            {"idle_window_s", policy.idle_window.count()}};
}

ordered_json json_of(const RetentionPolicy& policy) {
    return {{"usage_months", policy.usage_months},
            {"audit_days", policy.audit_days},
            {"finished_operations_days", policy.finished_operations_days}};
}

template <class Rows>
ordered_json array_of(const Rows& rows) {
    ordered_json array = ordered_json::array();
    for (const auto& row : rows) array.push_back(json_of(row));
    return array;
}

}  // namespace

namespace {

// Without TLS of its own it listens where only this host can reach it.
Status read_operators(const std::string& listen,
                      const std::string& keys_file,
                      ControlplaneSettings& settings) {
    if (listen.empty() != keys_file.empty())
        return invalid_argument(
            "expected listen_operators and operator_keys_file together, found one");
    if (listen.empty()) return {};
    const auto address = parse_listen(listen, "listen_operators");
    RETURN_IF_ERROR(address);
    const bool is_local =
        address->is_unix() || address->host == "127.0.0.1" || address->host == "::1";
    if (!is_local)
        return invalid_argument(
            "listen_operators: expected a Unix socket, 127.0.0.1 or ::1 (put a "
            "TLS proxy before it), found '" +
            listen + "'");
    settings.listen_operators = *address;
    settings.operator_keys_file = absolute_path(keys_file);
    return {};
}

}  // namespace

const ModelSettings* ControlplaneSettings::find_model(std::string_view name) const {
    for (const ModelSettings& model : models) {
        if (model.card.id == name) return &model;
    }
    for (const ModelSettings& model : models) {
        for (const NameSettings& alias : model.names) {
            if (alias.name == name) return &model;
        }
    }
    return nullptr;
}

const HardwareSettings* ControlplaneSettings::find_hardware(std::string_view id) const {
    for (const HardwareSettings& row : hardware) {
        if (row.hardware.id == id) return &row;
    }
    return nullptr;
}

Result<ControlplaneSettings> load_settings(const std::string& path) {
    Result<JsonSettings> file = JsonSettings::load(path);
    if (!file) return file.error();
    ControlplaneSettings settings;
    settings.data_dir = absolute_path(file->text("data_dir"));
    const std::string internal = file->text("listen_internal");
    const std::string admin = file->text("listen_admin");
    const std::string handover = file->text("handover_socket", "");
    const std::string operators = file->text("listen_operators", "");
    const std::string operator_keys = file->text("operator_keys_file", "");
    const std::string metrics = file->text("listen_metrics", "");
    settings.pepper_file = absolute_path(file->text("pepper_file"));
    settings.cards_dir = absolute_path(file->text("cards_dir"));
    settings.run_dir = absolute_path(file->text("run_dir"));
    settings.engine_binary = absolute_path(file->text("engine_binary"));
    settings.engine_tls = read_engine_tls(*file);
    const std::string driver = file->text("driver", "process");
    if (file->has("slurm")) settings.slurm = read_slurm(file->section("slurm"));
    settings.platform_organisation = file->text("platform_organisation", "turnpike");
    const std::string overdraft_usd = file->text("overdraft_usd", kDefaultOverdraftUsd);
    const std::vector<RawModel> models = read_models(*file);
    settings.autoscaling = read_autoscaling(file->section("autoscaling"));
    settings.quota = read_quota(file->section("quota"));
    settings.retention = read_retention(file->section("retention"));
    settings.serverless = read_pools(*file);
    settings.hardware = read_hardware(*file);
    RETURN_IF_ERROR(file->finish());
    const Result<DriverKind> kind = parse_driver(driver);
    if (!kind) return kind.error();
    settings.driver = *kind;
    const Result<NanoUsd> overdraft = parse_overdraft(overdraft_usd);
    if (!overdraft) return overdraft.error();
    settings.overdraft = *overdraft;
    Result<net::NetAddress> listen_internal = parse_listen(internal, "listen_internal");
    if (!listen_internal) return listen_internal.error();
    Result<net::NetAddress> listen_admin = parse_listen(admin, "listen_admin");
    if (!listen_admin) return listen_admin.error();
    RETURN_IF_ERROR(read_operators(operators, operator_keys, settings));
    RETURN_IF_ERROR(read_optional_listen(metrics, "listen_metrics", settings.listen_metrics));
    if (!handover.empty()) {
        settings.handover_socket = absolute_path(handover);
        RETURN_IF_ERROR(parse_listen("unix:" + settings.handover_socket, "handover_socket"));
    }
    settings.listen_internal = *std::move(listen_internal);
    settings.listen_admin = *std::move(listen_admin);
    for (const RawModel& raw : models) {
        Result<ModelSettings> model = load_model(settings, raw);
        if (!model) return model.error();
        settings.models.push_back(*std::move(model));
    }
    RETURN_IF_ERROR(validate(settings));
    return settings;
}

std::string write_settings(const ControlplaneSettings& settings) {
    ordered_json json{
        {"data_dir", settings.data_dir},
        {"listen_internal", net::to_string(settings.listen_internal)},
        {"listen_admin", net::to_string(settings.listen_admin)},
        {"listen_operators",
         settings.listen_operators ? net::to_string(*settings.listen_operators) : ""},
        {"operator_keys_file", settings.operator_keys_file},
        {"listen_metrics", settings.listen_metrics ? net::to_string(*settings.listen_metrics) : ""},
        {"handover_socket", settings.handover_socket},
        {"pepper_file", settings.pepper_file},
        {"cards_dir", settings.cards_dir},
        {"run_dir", settings.run_dir},
        {"engine_binary", settings.engine_binary},
        {"driver", to_string(settings.driver)},
        {"platform_organisation", settings.platform_organisation},
        {"overdraft_usd", format_usd(settings.overdraft)},
        {"autoscaling", json_of(settings.autoscaling)},
        {"quota",
         {{"endpoints", settings.quota.max_endpoints}, {"replicas", settings.quota.max_replicas}}},
        {"retention", json_of(settings.retention)},
        {"models", array_of(settings.models)},
        {"serverless", array_of(settings.serverless)},
        {"hardware", array_of(settings.hardware)}};
    if (settings.engine_tls) {
        json["engine_tls"] = {{"certificate", settings.engine_tls->certificate},
                              {"key", settings.engine_tls->key},
                              {"ca", settings.engine_tls->ca}};
    }
    if (settings.driver == DriverKind::kSlurm) {
        json["slurm"] = {{"job_prefix", settings.slurm.job_prefix},
                         {"tls",
                          {{"certificate", settings.slurm.tls.certificate},
                           {"key", settings.slurm.tls.key},
                           {"client_ca", settings.slurm.tls.ca}}}};
    }
    return json.dump(2) + "\n";
}

}  // namespace turnpike::controlplane
