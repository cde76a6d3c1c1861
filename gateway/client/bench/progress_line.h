// One line that tells how far a load test is.
#pragma once

#include <string>

#include "gateway/client/bench/load_driver.h"

namespace turnpike::gateway::client::bench {

// "[=========>          ] 512/1000, 32 running, 1 failed, 12.3 s, 11.7 s left": no line end.
std::string progress_line(const LoadProgress& progress);

}  // namespace turnpike::gateway::client::bench
