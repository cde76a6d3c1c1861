// Exit codes of `turnpike`, documented in its --help.
#pragma once

namespace turnpike::controlplane::cli {

enum ExitCode : int { kOk = 0, kFailed = 1, kUsage = 2, kUnreachable = 3, kNotFound = 4 };

}  // namespace turnpike::controlplane::cli
