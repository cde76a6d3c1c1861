#include "gateway/edge/load_reporter.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/edge/controlplane_wire.h"

namespace turnpike::gateway {
namespace {

constexpr auto kPeriod = std::chrono::seconds(1);
constexpr auto kTimeout = std::chrono::seconds(2);

net::HttpClientOptions client_options(const net::NetAddress& address) {
    net::HttpClientOptions options;
    options.address = address;
    options.connect_timeout = kTimeout;
    options.timeout = kTimeout;
    return options;
}

}  // namespace

std::string write_load_report(const std::string& gateway, const std::vector<LoadRow>& rows) {
    nlohmann::json endpoints = nlohmann::json::array();
    for (const LoadRow& row : rows) {
        endpoints.push_back({{"endpoint", row.endpoint.value()},
                             {"in_flight", row.num_in_flight},
                             {"mean_in_flight", row.mean_in_flight},
                             {"queued", row.num_queued},
                             {"wait_ms", row.wait.count()},
                             {"arrived", row.num_arrived}});
    }
    return nlohmann::json{{"gateway", gateway}, {"endpoints", std::move(endpoints)}}.dump();
}

LoadReporter::LoadReporter(LoadBoard& board,
                           std::string gateway,
                           const net::NetAddress& controlplane,
                           const Clock& clock,
                           Log& log)
    : board_(board),
      gateway_(std::move(gateway)),
      client_(client_options(controlplane)),
      clock_(clock),
      log_(log),
      thread_([this] { run(); }) {}

LoadReporter::~LoadReporter() {
    is_stopping_ = true;
    board_.wake();
    client_.cancel();
    thread_.join();
}

void LoadReporter::run() {
    while (!is_stopping_) {
        post();
        board_.wait_for_queued(kPeriod);
    }
}

void LoadReporter::post() {
    net::HttpRequest message;
    message.method = "POST";
    message.target = "/internal/v1/load";
    message.headers.add("content-type", "application/json");
    message.body = write_load_report(gateway_, board_.take_rows());
    const auto response = call_controlplane(client_, message);
    if (is_stopping_) return;
    const bool is_accepted = response && response->status == 200;
    if (is_accepted) {
        if (std::exchange(was_failing_, false)) log_.info("load_reports_resumed");
        return;
    }
    // The next report has all that this one had.
    const std::string problem =
        response ? "status " + std::to_string(response->status) : response.error().message;
    if (!std::exchange(was_failing_, true))
        log_.warning("load_report_failed", {{"reason", problem}});
}

}  // namespace turnpike::gateway
