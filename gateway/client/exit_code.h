// Exit codes of the programs here, documented in their --help.
#pragma once

namespace turnpike::gateway::client {

enum ExitCode : int {
    kOk = 0,
    kFailed = 1,
    kUsage = 2,
    kUnreachable = 3,
    kRefused = 4,
    kInterrupted = 130  // as a shell reports SIGINT
};

}  // namespace turnpike::gateway::client
