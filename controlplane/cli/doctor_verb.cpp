#include "controlplane/cli/doctor_verb.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>
#include <utility>

#include "config/base/read_file.h"
#include "config/crypto/certificate.h"
#include "controlplane/cli/doctor.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/health.h"
#include "controlplane/cli/host.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

constexpr auto kSettingsTimeout = std::chrono::seconds(10);
// Reads the heads of some hundred files, maybe over a network.
constexpr auto kModelTimeout = std::chrono::minutes(2);
constexpr auto kGpuTimeout = std::chrono::seconds(20);
constexpr auto kManagerTimeout = std::chrono::seconds(20);
constexpr auto kMetricsTimeout = std::chrono::seconds(2);

std::vector<std::string> default_settings() {
    std::vector<std::string> files;
    for (const char* file : {".turnpike/gateway.json", ".turnpike/controlplane.json"}) {
        std::error_code failed;
        if (std::filesystem::exists(file, failed)) files.emplace_back(file);
    }
    return files;
}

std::string last_line(std::string text) {
    text.erase(text.find_last_not_of('\n') + 1);
    return text.substr(text.rfind('\n') + 1);
}

// Nothing when nobody answers, or the answer does not tell.
std::optional<BuildInfo> ask_build(const std::string& listener) {
    const auto address = net::parse_address(listener);
    if (!address) return std::nullopt;
    net::HttpClientOptions options;
    options.address = *address;
    options.connect_timeout = kMetricsTimeout;
    options.timeout = kMetricsTimeout;
    net::HttpClient client(options);
    const auto response = client.send({"GET", "/metrics", {}, {}});
    if (!response || response->status != 200) return std::nullopt;
    return find_build(response->body);
}

class Doctor {
  public:
    explicit Doctor(const DoctorOptions& options)
        : options_(options), builds_{{"turnpike", options.build}} {}

    std::vector<Finding> run() {
        const auto& files = options_.settings;
        for (const std::string& file : files.empty() ? default_settings() : files) look_at(file);
        if (findings_.empty())
            add({"settings", Verdict::kWarn, "none here: no .turnpike/",
                 "name them: turnpike doctor --settings FILE"});
        look_at_host();
        look_at_service();
        add(judge_builds(builds_));
        return std::move(findings_);
    }

  private:
    void add(Finding finding) { findings_.push_back(std::move(finding)); }

    void fail_settings(const std::string& what) {
        add({"settings", Verdict::kFail, what, "correct it; see ops/docs/formats/settings.md"});
    }

    std::string sibling(const std::string& kind) const {
        return options_.binary_dir + "/turnpike-" + kind;
    }

    // The program itself reads its settings, and tells them with every default filled in.
    void look_at(const std::string& file) {
        const auto text = read_file("settings", file);
        if (!text) return fail_settings(text.error().message);
        const json raw = json::parse(*text, nullptr, /*allow_exceptions=*/false,
                                     /*ignore_comments=*/true);
        const std::string kind = kind_of_settings(raw);
        if (kind.empty())
            return fail_settings(file +
                                 ": expected settings of a gateway, control plane or engine");
        std::vector<std::string> command{sibling(kind)};
        if (kind != "gateway") command.emplace_back("serve");
        for (const std::string& word :
             {std::string("--config"), file, std::string("--check-config")})
            command.push_back(word);
        const auto run = run_program(command, kSettingsTimeout);
        if (!run) return fail_settings(run.error().message);
        const json settings = json::parse(run->out, nullptr, /*allow_exceptions=*/false);
        if (run->status != 0 || !settings.is_object())
            return fail_settings(file + ": " + last_line(run->error));
        add({"settings", Verdict::kOk, file + ": of the " + kind, ""});
        if (kind == "gateway") look_at_gateway(settings);
        if (kind == "controlplane") look_at_controlplane(settings);
        if (kind == "engine") look_at_model(sibling("engine"), cell(settings, "model_dir"));
    }

    void look_at_gateway(const json& settings) {
        const std::string certificate = cell(settings, "tls_certificate");
        const auto url = net::parse_url(find_variable("TURNPIKE_BASE_URL"));
        add(judge_certificate({crypto::read_certificate(certificate),
                               crypto::is_key_of(cell(settings, "tls_key"), certificate)},
                              url ? url->options.address.host : "", clock_.wall_now()));
        look_at_space("outbox", cell(settings, "outbox_dir"));
        gateway_metrics_ = cell(settings, "metrics_listen");
    }

    void look_at_controlplane(const json& settings) {
        look_at_space("data", cell(settings, "data_dir"));
        look_at_space("run", cell(settings, "run_dir"));
        look_at_driver(settings);
        for (const json& row : settings.value("hardware", json::array()))
            num_gpus_ = std::max(num_gpus_, row.value("gpu_count", std::int64_t{0}));
        for (const json& model : settings.value("models", json::array()))
            look_at_model(cell(settings, "engine_binary"), cell(model, "model_dir"));
        if (listen_admin_.empty()) listen_admin_ = cell(settings, "listen_admin");
    }

    void look_at_space(const char* what, const std::string& path) {
        add(judge_space(what, path, read_space(path)));
    }

    void look_at_driver(const json& settings) {
        const std::string driver = cell(settings, "driver");
        const std::string binary = cell(settings, "engine_binary");
        const std::string run_dir = cell(settings, "run_dir");
        if (driver == "systemd")
            return look_at_manager(driver, {"systemctl", "show", "--property=Version"}, "Version=");
        if (driver == "slurm") return look_at_manager(driver, {"scontrol", "ping"}, " UP");
        if (!may_execute(binary)) {
            return add({"driver", Verdict::kFail, binary + ": no program that this user may run",
                        "correct engine_binary"});
        }
        if (!may_write_folder(run_dir)) {
            return add({"driver", Verdict::kFail, run_dir + ": no folder that this user may write",
                        "make it: turnpike-controlplane init --config FILE"});
        }
        add({"driver", Verdict::kOk, driver + ": " + binary, ""});
    }

    // Who starts the replicas answers with `expected`.
    void look_at_manager(const std::string& driver,
                         const std::vector<std::string>& command,
                         const std::string& expected) {
        const auto run = run_program(command, kManagerTimeout);
        const std::string what = command.front() + " " + command[1];
        if (!run)
            return add({"driver", Verdict::kFail, driver + ": " + run.error().message,
                        "make `" + what + "` answer here"});
        const std::string said = run->out.substr(0, run->out.find('\n'));
        if (run->status != 0 || run->out.find(expected) == std::string::npos)
            return add({"driver", Verdict::kFail,
                        driver + ": " + what + " says: " + (said.empty() ? run->error : said),
                        "make `" + what + "` answer here"});
        add({"driver", Verdict::kOk, driver + ": " + said, ""});
    }

    // Once, also when several settings name it.
    void look_at_model(const std::string& engine, const std::string& model_dir) {
        if (!models_.insert(model_dir).second) return;
        add(judge_model(model_dir,
                        run_program({engine, "check", "--model", model_dir}, kModelTimeout)));
    }

    void look_at_host() {
        add(judge_clock(read_clock_status()));
        add(judge_open_files(read_open_file_limits()));
        const std::vector<std::string> command{
            "nvidia-smi", "--query-gpu=name,memory.total,memory.used,driver_version",
            "--format=csv,noheader"};
        add(judge_gpus(run_program(command, kGpuTimeout), num_gpus_));
    }

    void look_at_service() {
        auto address = find_admin_address(options_.admin);
        if (!address && !listen_admin_.empty()) address = net::parse_address(listen_admin_);
        if (!address) return add(judge_databases(address.error()));
        AdminClient admin(*address);
        const auto health = admin.call("GET", "/healthz");
        add(judge_databases(health));
        if (health) {
            builds_.push_back(
                {"control plane", {cell(*health, "version"), cell(*health, "commit")}});
        }
        const std::string base_url = find_variable("TURNPIKE_BASE_URL");
        for (const PartHealth& part : ask_everybody(admin, base_url)) add(judge_part(part));
        if (base_url.empty()) {
            add({"health gateway", Verdict::kWarn, "not asked",
                 "set TURNPIKE_BASE_URL, and TURNPIKE_CA_CERT for a CA of your own"});
        }
        ask_builds(admin);
    }

    void ask_builds(AdminClient& admin) {
        const auto gateway = ask_build(gateway_metrics_);
        if (gateway) builds_.push_back({"gateway", *gateway});
        const auto endpoints = admin.call("GET", "/v1/endpoints");
        if (!endpoints) return;
        for (const json& endpoint : endpoints->value("data", json::array())) {
            const auto replicas =
                admin.call("GET", "/admin/v1/endpoints/" + encode_component(cell(endpoint, "id")) +
                                      "/replicas");
            if (!replicas) continue;
            for (const json& replica : replicas->value("data", json::array())) {
                const auto build = ask_build(cell(replica, "address"));
                if (build) builds_.push_back({"engine " + cell(replica, "id"), *build});
            }
        }
    }

    const DoctorOptions& options_;
    const SystemClock clock_;
    std::vector<Finding> findings_;
    std::vector<ProcessBuild> builds_;
    std::set<std::string> models_;
    std::string gateway_metrics_;
    std::string listen_admin_;
    std::int64_t num_gpus_ = 0;
};

}  // namespace

int run_doctor(const DoctorOptions& options) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes plainly
    const std::vector<Finding> findings = Doctor(options).run();
    if (options.output.is_json) {
        std::printf("%s\n", to_json(findings).dump(2).c_str());
    } else {
        std::fputs(to_text(findings).c_str(), stdout);
    }
    if (!has_failed(findings)) return kOk;
    std::string names;
    for (const Finding& one : findings) {
        if (one.verdict == Verdict::kFail) names += (names.empty() ? "" : ", ") + one.check;
    }
    std::fprintf(stderr, "turnpike: failed: %s\n", names.c_str());
    return kFailed;
}

}  // namespace turnpike::controlplane::cli
