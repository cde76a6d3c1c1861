// From the command line to the requests of a run.
#pragma once

#include <string>
#include <vector>

#include "config/base/result.h"
#include "gateway/client/bench/flags.h"
#include "gateway/client/bench/load_driver.h"

namespace turnpike::gateway::client::bench {

struct Plan {
    std::vector<LoadRequest> warmup;  // all at once
    std::vector<LoadRequest> requests;
};

// Reads the prompt file if there is one. kInvalidArgument says what is wrong with it, or with the
// flags.
Result<Plan> make_plan(const Flags& flags, const Service& service, const std::string& model);

}  // namespace turnpike::gateway::client::bench
