#include "controlplane/run/command.h"

#include <utility>

namespace turnpike::controlplane {
namespace {

std::string last_line(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.substr(text.rfind('\n') + 1);
}

}  // namespace

Result<std::string> run_command(const std::vector<std::string>& arguments,
                                std::chrono::milliseconds timeout) {
    auto run = run_program(arguments, timeout);
    RETURN_IF_ERROR(run);
    const std::string& program = arguments.front();
    // Half a list would say of what is left out that it is gone.
    if (run->is_cut)
        return Error{
            ErrorCode::kTooLarge,
            program + " wrote more than " + std::to_string(kMaxProgramOutputBytes) + " bytes",
            {}};
    if (run->status == 0) return std::move(run->out);
    const std::string how = run->status > 128 ? "signal " + std::to_string(run->status - 128)
                                              : "exit status " + std::to_string(run->status);
    return Error{ErrorCode::kIo, program + ": " + how + ": " + last_line(run->error), {}};
}

}  // namespace turnpike::controlplane
