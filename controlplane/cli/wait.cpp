#include "controlplane/cli/wait.h"

#include <unistd.h>

#include <cstdio>
#include <map>
#include <thread>

#include "config/base/clock.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

constexpr auto kPollPeriod = std::chrono::milliseconds(200);
constexpr auto kTimeout = std::chrono::minutes(30);

std::string path_of(const std::string& id) {
    return "/v1/endpoints/" + encode_component(id);
}

// To stderr, so that what a script reads stays clean.
class ProgressLine {
  public:
    ProgressLine() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

    ~ProgressLine() {
        if (is_terminal_ && !last_.empty()) std::fputs("\n", stderr);
    }

    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    // `key` leaves out what changes by itself: off a terminal it alone makes a new line.
    void show(const std::string& text, const std::string& key) {
        if (is_terminal_) {
            if (text != last_) std::fprintf(stderr, "\r\033[K%s", text.c_str());
            last_ = text;
        } else if (key != last_) {
            std::fprintf(stderr, "%s\n", text.c_str());
            last_ = key;
        }
    }

  private:
    const bool is_terminal_;
    std::string last_;
};

bool is_there(WaitFor wanted, const json& endpoint, const json& replicas) {
    const std::string state = cell(endpoint, "state");
    switch (wanted) {
        case WaitFor::kStarted:
            return state == "STARTED";
        case WaitFor::kStopped:
            return state == "STOPPED";
        case WaitFor::kRolledOut:
            return state == "STOPPED" || is_rolled_out(endpoint, replicas);
    }
    return false;
}

}  // namespace

std::string progress_text(const json& endpoint,
                          const json& replicas,
                          std::chrono::seconds elapsed) {
    std::map<std::string, int> counts;
    std::string failure;
    for (const json& replica : replicas) {
        const std::string state = cell(replica, "state");
        if (state != "STOPPED") ++counts[state];
        if (state == "FAILED") failure = cell(replica, "reason");
    }
    std::string text = cell(endpoint, "state") + ", " + std::to_string(elapsed.count()) + " s";
    const char* separator = ": ";
    for (const auto& [state, count] : counts) {
        text += separator + std::to_string(count) + " " + state;
        separator = ", ";
        if (state == "FAILED" && !failure.empty()) text += " (" + failure + ")";
    }
    const std::string reason = cell(endpoint, "reason");
    if (!reason.empty() && failure.empty()) text += "; " + reason;
    return text;
}

bool is_rolled_out(const json& endpoint, const json& replicas) {
    const std::string rollout = cell(endpoint, "rollout");
    const int least = endpoint.value("autoscaling", json::object()).value("min_replicas", 0);
    int num_ready = 0;
    for (const json& replica : replicas) {
        if (cell(replica, "generation") != rollout) return false;
        num_ready += cell(replica, "state") == "READY" ? 1 : 0;
    }
    return num_ready >= least;
}

Result<json> wait_for(AdminClient& admin, const std::string& id, WaitFor wanted) {
    const SystemClock clock;
    const SteadyTime begun = clock.steady_now();
    ProgressLine line;
    while (true) {
        auto endpoint = admin.call("GET", path_of(id));
        RETURN_IF_ERROR(endpoint);
        const auto answer =
            admin.call("GET", "/admin/v1/endpoints/" + encode_component(id) + "/replicas");
        RETURN_IF_ERROR(answer);
        const json replicas = answer->value("data", json::array());
        const auto elapsed =
            std::chrono::duration_cast<std::chrono::seconds>(clock.steady_now() - begun);
        line.show(progress_text(*endpoint, replicas, elapsed),
                  progress_text(*endpoint, replicas, std::chrono::seconds(0)));
        if (is_there(wanted, *endpoint, replicas)) return std::move(*endpoint);
        if (cell(*endpoint, "state") == "ERROR")
            return Error{
                ErrorCode::kInternal, "the endpoint failed: " + cell(*endpoint, "reason"), {}};
        if (elapsed >= kTimeout)
            return Error{ErrorCode::kTimeout,
                         "the endpoint is still " + cell(*endpoint, "state") +
                             "; look again with endpoints get " + id,
                         {}};
        std::this_thread::sleep_for(kPollPeriod);
    }
}

}  // namespace turnpike::controlplane::cli
