// StoreMetrics: what the databases were asked to write, for Prometheus. Any thread.
#pragma once

#include "config/base/clock.h"
#include "config/base/metrics.h"

namespace turnpike::controlplane {

struct StoreMetrics {
    StoreMetrics();

    void note_write(SteadyTime::duration took);
    void note_usage_write(SteadyTime::duration took);

    Histogram write_s;          // committed transactions of control.db, without waiting for others
    Histogram usage_write_s;    // flushes of usage files, for all batches that waited together
    Counter usage_ingested;     // records that were new
    Counter usage_repeated;     // that were there already
    Counter usage_quarantined;  // that were kept aside
    Counter billed_nano_usd;    // of new records; the ledger is what counts
    Counter written_off_nano_usd;
    Counter usage_failures;       // flushes that failed: their batches come again
    Counter usage_posted;         // events that went into the ledger
    Counter usage_post_failures;  // rounds of posting that failed
};

// Every family of it.
void write_store_metrics(MetricsText& out, const StoreMetrics& metrics);

}  // namespace turnpike::controlplane
