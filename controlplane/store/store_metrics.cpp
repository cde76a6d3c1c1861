#include "controlplane/store/store_metrics.h"

#include <array>
#include <chrono>
#include <string_view>

namespace turnpike::controlplane {
namespace {

// A flush takes 0.1 ms on a good disk and 10 ms on a slow one.
constexpr std::array kWriteBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                  0.05,   0.1,     0.25,   0.5,   1.0,    2.5,   5.0};

double number(const Counter& counter) {
    return static_cast<double>(counter.value());
}

double seconds(SteadyTime::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

}  // namespace

StoreMetrics::StoreMetrics() : write_s(kWriteBounds), usage_write_s(kWriteBounds) {}

void StoreMetrics::note_write(SteadyTime::duration took) {
    write_s.observe(seconds(took));
}

void StoreMetrics::note_usage_write(SteadyTime::duration took) {
    usage_write_s.observe(seconds(took));
}

void write_store_metrics(MetricsText& out, const StoreMetrics& metrics) {
    out.histogram("turnpike_controlplane_store_write_seconds",
                  "Committed transactions of control.db.", metrics.write_s);
    out.histogram("turnpike_controlplane_usage_write_seconds", "Flushes of usage files.",
                  metrics.usage_write_s);
    constexpr std::string_view kRecords = "turnpike_controlplane_usage_records_total";
    out.family(kRecords, "counter", "Usage records of gateways, by what became of them.");
    out.sample(kRecords, number(metrics.usage_ingested), "outcome=\"ingested\"");
    out.sample(kRecords, number(metrics.usage_repeated), "outcome=\"repeated\"");
    out.sample(kRecords, number(metrics.usage_quarantined), "outcome=\"quarantined\"");
    constexpr std::string_view kUsd = "turnpike_controlplane_usage_usd_total";
    out.family(kUsd, "counter", "USD of new usage records, to be charged or written off.");
    out.sample(kUsd, number(metrics.billed_nano_usd) / 1e9, "outcome=\"billed\"");
    out.sample(kUsd, number(metrics.written_off_nano_usd) / 1e9, "outcome=\"written_off\"");
    out.counter("turnpike_controlplane_usage_write_failures_total",
                "Flushes of usage files that failed.", number(metrics.usage_failures));
    out.counter("turnpike_controlplane_usage_posted_total", "Usage events put into the ledger.",
                number(metrics.usage_posted));
    out.counter("turnpike_controlplane_usage_post_failures_total",
                "Rounds of posting to the ledger that failed.",
                number(metrics.usage_post_failures));
}

}  // namespace turnpike::controlplane
