// The latest load per gateway.
#include "controlplane/serve/load_reports.h"

#include <algorithm>
#include <chrono>

#include "controlplane/serve/body.h"

namespace turnpike::controlplane {
namespace {

// Gateways that are gone are dropped, so that restarts do not pile up.
constexpr auto kForgetAfter = std::chrono::minutes(5);

}  // namespace

Result<bool> LoadReports::accept(std::string_view json, WallTime now) {
    auto body = Body::parse(json);
    RETURN_IF_ERROR(body);
    const std::string gateway = body->text("gateway");
    Report report;
    report.received_at = now;
    for (Body& entry : body->objects("endpoints")) {
        EndpointLoad load;
        load.endpoint = EndpointId(entry.text("endpoint"));
        // A gateway of the release before tells of the moment only.
        const auto in_flight = static_cast<double>(entry.count("in_flight"));
        load.num_in_flight = entry.number("mean_in_flight", in_flight);
        load.num_queued = entry.count("queued");
        load.wait_ms = entry.count("wait_ms");
        const bool has_arrived = entry.count("arrived", 0) > 0;
        const bool is_busy = in_flight > 0.0 || load.num_in_flight > 0.0 || load.num_queued > 0;
        if (is_busy || has_arrived) load.last_request_at = now;
        RETURN_IF_ERROR(entry.finish());
        report.loads.push_back(std::move(load));
    }
    RETURN_IF_ERROR(body->finish());
    const std::lock_guard lock(mutex_);
    std::erase_if(by_gateway_, [now](const auto& entry) {
        return entry.second.received_at < now - kForgetAfter;
    });
    // What lies ahead of now was written before the clock was set back.
    std::erase_if(last_requests_, [now](const auto& entry) {
        return entry.second < now - kForgetAfter || entry.second > now;
    });
    for (const EndpointLoad& load : report.loads) {
        if (load.last_request_at == now) last_requests_[load.endpoint] = now;
    }
    const bool has_queued = std::any_of(report.loads.begin(), report.loads.end(),
                                        [](const auto& load) { return load.num_queued > 0; });
    by_gateway_[gateway] = std::move(report);
    return has_queued;
}

std::optional<std::vector<EndpointLoad>> LoadReports::loads(WallTime since) const {
    std::map<EndpointId, EndpointLoad> sums;
    bool is_known = false;
    const std::lock_guard lock(mutex_);
    for (const auto& [gateway, report] : by_gateway_) {
        if (report.received_at < since) continue;
        is_known = true;
        for (const EndpointLoad& load : report.loads) {
            EndpointLoad& sum = sums[load.endpoint];
            sum.endpoint = load.endpoint;
            sum.num_in_flight += load.num_in_flight;
            sum.num_queued += load.num_queued;
            sum.wait_ms = std::max(sum.wait_ms, load.wait_ms);
        }
    }
    if (!is_known) return std::nullopt;
    for (const auto& [endpoint, at] : last_requests_) {
        if (at < since) continue;
        EndpointLoad& sum = sums[endpoint];
        sum.endpoint = endpoint;
        sum.last_request_at = at;
    }
    std::vector<EndpointLoad> all;
    all.reserve(sums.size());
    for (auto& [endpoint, sum] : sums) all.push_back(std::move(sum));
    return all;
}

LoadReports::Freshness LoadReports::freshness(WallTime since) const {
    Freshness freshness;
    const std::lock_guard lock(mutex_);
    for (const auto& [gateway, report] : by_gateway_) {
        if (report.received_at >= since) ++freshness.num_gateways;
        freshness.oldest_at =
            std::min(report.received_at, freshness.oldest_at.value_or(report.received_at));
    }
    return freshness;
}

}  // namespace turnpike::controlplane
