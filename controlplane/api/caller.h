// Who asks, in requests that a gateway passes on to the control plane: it has checked the key.
#pragma once

#include <string_view>

namespace turnpike::controlplane {

inline constexpr std::string_view kCallerOrgHeader = "x-turnpike-org";
inline constexpr std::string_view kCallerKeyHeader = "x-turnpike-key";

}  // namespace turnpike::controlplane
