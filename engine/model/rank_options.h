// What rank 0 tells the others ahead of loading, so that all load the same model alike.
#pragma once

#include "engine/model/load.h"

namespace turnpike::engine {

// By rank 0.
Status send_options(const RunnerOptions& options);
// By the others: rank 0's options with their own link, whose layout becomes rank 0's. Waits for as
// long as rank 0 lives.
Result<RunnerOptions> receive_options(const RankLink& link);

}  // namespace turnpike::engine
