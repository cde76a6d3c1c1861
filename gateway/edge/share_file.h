// The share of the rate limits that this gateway was told last, kept beside its outbox: a gateway
// that starts while the control plane is away goes by it.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/result.h"

namespace turnpike::gateway {

// Parts per million; 0 when there is no file, or none that says a share. kIo: it cannot be read.
Result<std::int64_t> load_share(const std::string& dir);
// Durable when it returns.
Status save_share(const std::string& dir, std::int64_t share_ppm);

}  // namespace turnpike::gateway
