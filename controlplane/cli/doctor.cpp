#include "controlplane/cli/doctor.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "config/base/limits.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

constexpr std::chrono::hours kDay{24};
// Certificates that renew themselves do so 30 days before their end.
constexpr int kFewDays = 30;
constexpr std::int64_t kMebi = 1 << 20;
constexpr std::int64_t kGibi = 1 << 30;
// Less, and the next flush of a database may fail; ops/quickstart refuses to start there too.
constexpr std::int64_t kLeastFreeBytes = 100 * kMebi;
constexpr std::int64_t kFewFreeBytes = 2 * kGibi;
// Request ids, months and expiry go by the clock.
constexpr std::int64_t kMaxClockErrorUs = 1'000'000;
constexpr std::int64_t kLeastOpenFiles = 256;

Finding ok(std::string check, std::string found) {
    return {std::move(check), Verdict::kOk, std::move(found), ""};
}

Finding warn(std::string check, std::string found, std::string advice) {
    return {std::move(check), Verdict::kWarn, std::move(found), std::move(advice)};
}

Finding fail(std::string check, std::string found, std::string advice) {
    return {std::move(check), Verdict::kFail, std::move(found), std::move(advice)};
}

std::string joined(const std::vector<std::string>& words, const char* between) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
    return text;
}

std::string format_bytes(std::int64_t bytes) {
    char text[32];
    const bool is_large = bytes >= kGibi;
    std::snprintf(text, sizeof text, is_large ? "%.1f GiB" : "%.0f MiB",
                  static_cast<double>(bytes) / static_cast<double>(is_large ? kGibi : kMebi));
    return text;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (end > 0) lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

// The value of `name="…"` in `labels`; escapes do not occur in versions and commits.
std::optional<std::string> label_of(std::string_view labels, const std::string& name) {
    const std::string opening = name + "=\"";
    const std::size_t found = labels.find(opening);
    if (found == std::string_view::npos) return std::nullopt;
    const std::size_t begin = found + opening.size();
    const std::size_t end = labels.find('"', begin);
    if (end == std::string_view::npos) return std::nullopt;
    return std::string(labels.substr(begin, end - begin));
}

std::string text_of(const BuildInfo& build) {
    return build.version + " " + build.commit;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::kOk:
            return "ok";
        case Verdict::kWarn:
            return "warn";
        case Verdict::kFail:
            return "fail";
    }
    CHECK(false && "unknown Verdict");
}

bool covers(const std::vector<std::string>& names, std::string_view host) {
    return std::any_of(names.begin(), names.end(), [host](const std::string& name) {
        if (name == host) return true;
        const std::size_t dot = host.find('.');
        return name.starts_with("*.") && dot != std::string_view::npos && dot > 0 &&
               host.substr(dot) == std::string_view(name).substr(1);
    });
}

Finding judge_certificate(const CertificateFiles& files, std::string_view host, WallTime now) {
    const std::string check = "certificate";
    constexpr char kPaths[] = "correct tls_certificate and tls_key, or make both files anew";
    if (!files.certificate) return fail(check, files.certificate.error().message, kPaths);
    if (!files.is_key_of) return fail(check, files.is_key_of.error().message, kPaths);
    if (!*files.is_key_of)
        return fail(check, "the key is another certificate's",
                    "install the two that were made together");
    const crypto::Certificate& certificate = *files.certificate;
    const std::string until = format_rfc3339(certificate.not_after).substr(0, 10);
    if (now < certificate.not_before)
        return fail(check, "begins on " + format_rfc3339(certificate.not_before).substr(0, 10),
                    "set the clock, or install one that holds now");
    if (now >= certificate.not_after)
        return fail(check, "ended on " + until, "install a new one and restart the gateway");
    if (certificate.names.empty())
        return fail(check, "names no host (subjectAltName)",
                    "make one with the names that clients use");
    const auto num_days = (certificate.not_after - now) / kDay;
    const std::string found = "for " + joined(certificate.names, ", ") + "; ends in " +
                              std::to_string(num_days) + " days, on " + until;
    if (!host.empty() && !covers(certificate.names, host))
        return warn(check, found,
                    "clients are told to use " + std::string(host) + ", which it is not for");
    if (num_days < kFewDays) return warn(check, found, "install a new one and restart the gateway");
    return ok(check, found);
}

Finding judge_space(std::string_view what, const std::string& path, const Result<Space>& space) {
    const std::string check = "disk " + std::string(what);
    if (!space)
        return fail(check, space.error().message, "create the folder, or correct the settings");
    const std::string found = path + ": " + format_bytes(space->free_bytes) + " of " +
                              format_bytes(space->total_bytes) + " free";
    if (space->free_bytes < kLeastFreeBytes) return fail(check, found, "free some at once");
    if (space->free_bytes < kFewFreeBytes || space->free_bytes < space->total_bytes / 20)
        return warn(check, found, "free some, or move it to a larger disk");
    return ok(check, found);
}

Finding judge_clock(const Result<ClockStatus>& clock) {
    const std::string check = "clock";
    constexpr char kAdvice[] = "start chrony or systemd-timesyncd; see timedatectl";
    if (!clock) return warn(check, clock.error().message, "see timedatectl by hand");
    if (!clock->is_synchronised) return warn(check, "not synchronised", kAdvice);
    const std::string found =
        "synchronised within " + std::to_string(clock->max_error_us / 1000) + " ms";
    return clock->max_error_us > kMaxClockErrorUs ? warn(check, found, kAdvice) : ok(check, found);
}

Finding judge_open_files(const Result<OpenFileLimits>& limits) {
    const std::string check = "open files";
    const std::string advice =
        "ulimit -n 65536 before `turnpike up`, or LimitNOFILE=65536 in the unit";
    if (!limits) return warn(check, limits.error().message, advice);
    const std::string found =
        std::to_string(limits->soft) + " here, at most " + std::to_string(limits->hard);
    if (limits->soft < kLeastOpenFiles) return fail(check, found, advice);
    // Two for each connection that one thread of the gateway takes: the client's and the engine's.
    const auto wanted = static_cast<std::int64_t>(2 * limits::kMaxConnectionsPerThread);
    return limits->soft < wanted ? warn(check, found, advice) : ok(check, found);
}

Finding judge_gpus(const Result<ProgramRun>& listing, std::int64_t num_wanted) {
    const std::string check = "gpus";
    const std::string wanted = "hardware of the settings has " + std::to_string(num_wanted);
    if (!listing && listing.error().code == ErrorCode::kNotFound) {
        return num_wanted > 0 ? warn(check, "none; " + wanted, "install the driver and nvidia-smi")
                              : ok(check, "none");
    }
    constexpr char kAdvice[] = "run nvidia-smi by hand; dmesg has the driver's words";
    if (!listing) return fail(check, listing.error().message, kAdvice);
    const auto lines = lines_of(listing->out);
    if (listing->status != 0) {
        const auto words = lines.empty() ? lines_of(listing->error) : lines;
        return fail(check, words.empty() ? "nvidia-smi failed" : words.front(), kAdvice);
    }
    std::string found = std::to_string(lines.size());
    if (!lines.empty()) found += ": " + joined(lines, "; ");
    if (static_cast<std::int64_t>(lines.size()) < num_wanted)
        return warn(check, found + "; " + wanted, "correct hardware in the settings");
    return ok(check, found);
}

Finding judge_model(const std::string& model_dir, const Result<ProgramRun>& check) {
    const std::string name = "model files";
    if (!check)
        return fail(name, check.error().message, "correct engine_binary; it checks checkpoints");
    if (check->status == 0) return ok(name, model_dir + ": whole");
    const auto words = lines_of(check->error);
    return fail(name, words.empty() ? model_dir + ": not whole" : words.back(),
                "copy the file again; turnpike-engine check --model " + model_dir);
}

Finding judge_databases(const Result<json>& health) {
    const std::string check = "databases";
    if (!health) {
        return fail(check, health.error().message,
                    "start the control plane; its log says what it cannot open");
    }
    const std::string found =
        "schema " + cell(*health, "schema_version") + ", revision " + cell(*health, "revision");
    const std::string num_quarantined = cell(*health, "quarantined");
    if (num_quarantined.empty() || num_quarantined == "0") return ok(check, found);
    return warn(check, found + "; " + num_quarantined + " usage records in quarantine",
                "turnpike billing quarantine, then turnpike billing release");
}

Finding judge_part(const PartHealth& part) {
    std::string found = part.state;
    if (!part.detail.empty()) found += "; " + part.detail;
    if (part.is_ready) return ok("health " + part.name, found);
    return fail("health " + part.name, found,
                part.name == "gateway" ? "its log says why; turnpike health --wait 60"
                                       : "turnpike endpoints list, then the replica's engine.log");
}

Finding judge_builds(const std::vector<ProcessBuild>& builds) {
    std::vector<std::string> same;
    std::vector<std::string> others;
    for (const ProcessBuild& one : builds) {
        const bool is_same = text_of(one.build) == text_of(builds.front().build);
        (is_same ? same : others)
            .push_back(is_same ? one.process : one.process + " " + text_of(one.build));
    }
    std::string found = text_of(builds.front().build) + ": " + joined(same, ", ");
    if (others.empty()) return ok("builds", found);
    return warn("builds", found + "; but " + joined(others, ", "),
                "install one build everywhere and restart what is of another");
}

std::optional<BuildInfo> find_build(std::string_view metrics) {
    for (const std::string& line : lines_of(metrics)) {
        if (!line.starts_with("turnpike_build_info{")) continue;
        auto version = label_of(line, "version");
        auto commit = label_of(line, "commit");
        if (version && commit) return BuildInfo{*std::move(version), *std::move(commit)};
    }
    return std::nullopt;
}

std::string kind_of_settings(const json& settings) {
    if (!settings.is_object()) return {};
    if (settings.contains("outbox_dir")) return "gateway";
    if (settings.contains("data_dir")) return "controlplane";
    return settings.contains("model_dir") ? "engine" : "";
}

bool has_failed(const std::vector<Finding>& findings) {
    return std::any_of(findings.begin(), findings.end(),
                       [](const Finding& one) { return one.verdict == Verdict::kFail; });
}

json to_json(const std::vector<Finding>& findings) {
    json rows = json::array();
    for (const Finding& one : findings) {
        rows.push_back({{"check", one.check},
                        {"state", to_string(one.verdict)},
                        {"found", one.found},
                        {"advice", one.advice}});
    }
    return {{"ok", !has_failed(findings)}, {"checks", std::move(rows)}};
}

std::string to_text(const std::vector<Finding>& findings) {
    Table table({"CHECK", "STATE", "FOUND", "DO"});
    for (const Finding& one : findings)
        table.add({one.check, std::string(to_string(one.verdict)), one.found, one.advice});
    return table.to_text();
}

}  // namespace turnpike::controlplane::cli
