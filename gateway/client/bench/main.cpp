// turnpike-bench, run as `turnpike bench`: sends load to any OpenAI-compatible server and reports
// how long it took.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "gateway/client/bench/commit.h"
#include "gateway/client/bench/flags.h"
#include "gateway/client/bench/host_facts.h"
#include "gateway/client/bench/load_driver.h"
#include "gateway/client/bench/plan.h"
#include "gateway/client/bench/progress_line.h"
#include "gateway/client/bench/report.h"
#include "gateway/client/exit_code.h"
#include "gateway/client/flags.h"
#include "gateway/client/interrupt.h"
#include "gateway/client/public_api.h"
#include "gateway/client/terminal.h"

namespace {

using namespace turnpike;
using namespace turnpike::gateway::client;
using namespace turnpike::gateway::client::bench;

constexpr std::size_t kOtherFiles = 32;  // that this program opens beside connections

int fail(ExitCode code, const std::string& message) {
    std::fprintf(stderr, "turnpike bench: %s\n", escape_controls(message).c_str());
    return code;
}

// The command line without the key, for the report.
std::vector<std::string> without_key(int argc, char** argv) {
    std::vector<std::string> arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const bool is_key = i > 1 && std::string(argv[i - 1]) == "--api-key";
        arguments.push_back(is_key                               ? "***"
                            : argument.starts_with("--api-key=") ? "--api-key=***"
                                                                 : argument);
    }
    return arguments;
}

Result<std::string> model_of(const Flags& flags, const Service& service) {
    if (!flags.model.empty()) return flags.model;
    const auto list = PublicApi(service).models();
    RETURN_IF_ERROR(list);
    if (list->names().empty()) return invalid_argument("the server lists no model; give --model");
    return list->names().front();
}

bool write_text(const std::string& path, const std::string& text) {
    if (path == "-") return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return false;
    const bool is_written = std::fputs(text.c_str(), file) >= 0;
    return std::fclose(file) == 0 && is_written;
}

int exit_code_of(const Metrics& metrics, const RunFacts& facts) {
    if (facts.is_interrupted) return kInterrupted;
    if (metrics.num_failed == 0) return kOk;
    if (metrics.num_failed < metrics.num_requests) return kFailed;
    const auto all = [&](auto&& is_such) {
        return std::all_of(metrics.failures.begin(), metrics.failures.end(),
                           [&](const auto& entry) { return is_such(entry.first); });
    };
    if (all([](const std::string& name) { return name == "connect"; })) return kUnreachable;
    return all([](const std::string& name) { return name.starts_with("status_4"); }) ? kRefused
                                                                                     : kFailed;
}

class Bench {
  public:
    Bench(const Flags& flags, const net::ClientDialer& dialer, RunFacts facts)
        : flags_(flags),
          facts_(std::move(facts)),
          driver_(dialer, load_options(flags), clock_, [this](const LoadProgress& progress) {
              show(progress);
          }) {}

    void interrupt() { driver_.interrupt(); }

    int run(const Plan& plan, const MetricsOptions& options) {
        (void)driver_.run(plan.warmup);
        facts_.num_warmup = static_cast<std::int64_t>(plan.warmup.size());
        facts_.started_at = format_rfc3339(clock_.wall_now());
        const double cpu_before_s = cpu_seconds();
        const auto records = driver_.run(plan.requests);
        facts_.client_cpu_s = cpu_seconds() - cpu_before_s;
        facts_.is_interrupted = driver_.is_interrupted();
        if (has_progress_) std::fputs("\n", stderr);
        const Metrics metrics = compute_metrics(records, options);
        if (flags_.json_file != "-")
            std::fputs(report_table(metrics, facts_, options.slo).c_str(), stdout);
        if (!flags_.json_file.empty()) {
            const auto rows = flags_.has_rows ? std::span(records) : std::span(records).first(0);
            const std::string json = report_json(metrics, facts_, options.slo, rows);
            if (!write_text(flags_.json_file, json))
                return fail(kFailed, "cannot write the report to " + flags_.json_file);
        }
        return exit_code_of(metrics, facts_);
    }

  private:
    static LoadOptions load_options(const Flags& flags) {
        LoadOptions options;
        if (flags.concurrency)
            options.max_concurrency = static_cast<std::size_t>(*flags.concurrency);
        options.silence_limit =
            std::chrono::milliseconds(static_cast<std::int64_t>(flags.timeout_s * 1e3));
        return options;
    }

    void show(const LoadProgress& progress) {
        if (::isatty(STDERR_FILENO) != 1 || progress.num_requests == 0) return;
        has_progress_ = true;
        // To the line's start, and what an older, longer line left is cleared.
        std::fprintf(stderr, "\r%s\x1b[K", progress_line(progress).c_str());
    }

    const Flags& flags_;
    const SystemClock clock_;
    RunFacts facts_;
    bool has_progress_ = false;
    LoadDriver driver_;
};

int run(const Flags& flags, std::vector<std::string> arguments) {
    const auto slo = parse_goodput(flags.goodput);
    if (!slo) return fail(kUsage, slo.error().message);
    const auto metadata = parse_metadata(flags.metadata);
    if (!metadata) return fail(kUsage, metadata.error().message);
    const auto service = find_service(flags.service, &environment_value);
    if (!service) return fail(kUsage, service.error().message);
    std::signal(SIGPIPE, SIG_IGN);
    auto dialer = net::ClientDialer::make(service->options);
    if (!dialer) return fail(kUnreachable, dialer.error().message);
    const auto model = model_of(flags, *service);
    if (!model)
        return fail(kFailed, "cannot ask which models there are: " + model.error().message +
                                 "; give --model");
    const auto plan = make_plan(flags, *service, *model);
    if (!plan) return fail(kUsage, plan.error().message);
    const auto num_requests = static_cast<std::int64_t>(plan->requests.size());
    const auto num_connections =
        static_cast<std::size_t>(std::min(num_requests, flags.concurrency.value_or(num_requests)));
    if (const std::size_t limit = raise_file_limit(); num_connections + kOtherFiles > limit)
        return fail(kUsage, "up to " + std::to_string(num_connections) +
                                " connections at once, and this process may open " +
                                std::to_string(limit) +
                                " files: give a lower --concurrency, or raise ulimit -n");
    RunFacts facts;
    facts.commit = kCommit;
    facts.machine = cpu_name();
    facts.num_cpus = cpu_count();
    facts.base_url = service->base_url;
    facts.model = *model;
    facts.arguments = std::move(arguments);
    facts.metadata = *metadata;
    Bench bench(flags, *dialer, std::move(facts));
    const InterruptWatcher watcher([&] { bench.interrupt(); });
    return bench.run(*plan, {flags.percents, *slo});
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Sends load to a model through its API and reports how long it took.",
                 "turnpike bench");
    Flags flags;
    flags.service.may_lack_key = true;
    declare(app, flags);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? kOk : kUsage;
    }
    return run(flags, without_key(argc, argv));
}
