// Failpoint: a named place right behind one durable step and before the next, where a fault test
// counts the passes of all processes and ends one of them as kill -9 does. Without
// TURNPIKE_FAILPOINTS in the environment, which names the file that the counts are kept in, passing
// one is a load and a branch.
//
// The file, mapped by every process, little-endian: 64-byte records in the order of Failpoint
// {char name[40], u64 passes, u64 kills, i64 armed}. A test that stores n > 0 into `armed` has the
// n-th pass from then on killed.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike {

enum class Failpoint : std::size_t {
    // gateway
    kSegmentStarted,     // the outbox has a new segment; nothing is in it
    kRequestOpened,      // the request is in the outbox; the engine has not got it
    kRequestClosed,      // its record is in the outbox; the client has not got its last bytes
    kOutboxFlushed,      // the outbox is on the disk; nobody was told
    kCountResolved,      // an engine told a missing count; it is not in the outbox
    kUsageAcknowledged,  // the control plane has the batch; the cursor still stands before it
    kCursorMoved,        // the cursor has passed the batch; its segments are not deleted
    kLeaseAnswered,      // a grant came back; nobody may use it yet
    // control plane
    kUsageCommitted,  // a batch is in the month's file; the gateway was not told
    kUsagePosting,    // its entries are in the ledger's transaction, which is not committed
    kUsagePosted,     // they are committed
    kLeaseGranting,   // a grant is in a transaction that is not committed
    kLeaseGranted,    // it is committed; the gateway was not told
    kReplicaWritten,  // a replica's new epoch is committed; no process was started
    kReplicaStarted,  // its process runs; that is not written down
    // the control plane's reconcile pass
    kMinutesBooked,     // minutes of replicas are in the ledger; the pass goes on
    kTargetWritten,     // what the autoscaler wants is committed; nothing was done for it
    kStepBegun,         // a step is written; nothing of it was done
    kStepDone,          // it was done; that is not written
    kDrainWritten,      // a row says DRAINING; the process was not told
    kReplicaMarked,     // a row has its new state
    kReplicaForgotten,  // a row is gone
    kEndpointMarked,    // an endpoint has its new state
    // engine
    kMeterOpened,  // the request is in the meter file; its first count was not sent
    kMeterClosed,  // its last count is final; the last bytes were not sent
    kNumFailpoints,
};

std::string_view to_string(Failpoint point);

// Maps `path`, which is made if it does not exist; before any thread starts. kIo when that fails.
Status open_failpoints(const std::string& path);
// The same with the environment's file; nothing when that names none.
Status open_failpoints();

// Instead of a file, for simulations of one process: `handler` is called at each pass, and may
// throw what stands for the end of the process. nullptr: no longer. Not while other threads pass
// one.
void handle_failpoints(void (*handler)(Failpoint));

namespace detail {

extern std::atomic<bool> has_failpoints;
void count_pass(Failpoint point);

}  // namespace detail

// Any thread.
inline void pass_failpoint(Failpoint point) {
    if (detail::has_failpoints.load(std::memory_order_relaxed)) detail::count_pass(point);
}

}  // namespace turnpike
