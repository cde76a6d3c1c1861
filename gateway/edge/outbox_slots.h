// Outbox slots: the outboxes of one outbox directory. A gateway that takes over writes an outbox of
// its own while the one before it still ends its streams. Slot 1 is the directory itself, slot 2
// its folder "2", and so on. See ops/docs/formats/usage.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "gateway/edge/outbox.h"

namespace turnpike::gateway {

// The right to serve from `dir`, whose slots may all be written by somebody who ends: creates the
// directory and takes the lock of its file "serving". kConflict: another gateway serves.
Result<UniqueFd> lock_serving(const std::string& dir);
// `lock` is what lock_serving(dir) gave to another process, and not that of another directory.
bool is_serving_lock(const UniqueFd& lock, const std::string& dir);

// The folders that exist, slot 1 first.
std::vector<std::string> list_slots(const std::string& dir);

// Nobody has the slot's outbox open.
bool is_slot_free(const std::string& slot);

// Opens the free slot that was told the largest share of the limits, the lowest of those; a new one
// when none is free. `options.dir` is the directory of all.
Result<std::unique_ptr<Outbox>> open_free_slot(const OutboxOptions& options,
                                               const Clock& clock,
                                               Log& log);

}  // namespace turnpike::gateway
