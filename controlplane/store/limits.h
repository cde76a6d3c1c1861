// Limits in control.db: what an operator allows organisations, keys and model names. See
// ops/docs/formats/limits.md, and store.h for threads and errors.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/api/limits.h"

namespace turnpike::controlplane {

class Store;

struct NamedLimits {
    LimitsRow row;
    std::string name;  // the organisation's, the key's, or the model name
};

// From what stands to what shall stand.
using ChangeOfLimits = std::function<Result<Limits>(const Limits&)>;

// A subject is "organisation:<id or name>", "key:<id>" or "model:<name>"; what comes back names the
// organisation by its id. kInvalidArgument when it is none of these, kNotFound when nobody has it.

// Without limits where none were set.
Result<NamedLimits> find_limits(const Store& store, const std::string& subject);

// In one transaction, published to gateways. A subject whose last limit is taken away is as one
// that never had any. kInvalidArgument for a monthly amount of a model name, which has no credit.
Result<NamedLimits> change_limits(Store& store,
                                  const std::string& subject,
                                  const ChangeOfLimits& change,
                                  WallTime now);

// Replaces all of them.
Status set_limits(Store& store, const LimitsRow& row, WallTime now);

// Every subject that has limits, by kind and name.
Result<std::vector<NamedLimits>> list_limits(const Store& store);

}  // namespace turnpike::controlplane
