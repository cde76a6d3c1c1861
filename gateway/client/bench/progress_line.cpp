#include "gateway/client/bench/progress_line.h"

#include <array>
#include <cstdio>

namespace turnpike::gateway::client::bench {
namespace {

constexpr std::size_t kBarWidth = 30;

std::string seconds_text(double seconds) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    return text.data();
}

}  // namespace

std::string progress_line(const LoadProgress& progress) {
    const std::size_t total = progress.num_requests;
    const std::size_t filled = total == 0 ? kBarWidth : kBarWidth * progress.num_ended / total;
    std::string line = "[" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') +
                       "] " + std::to_string(progress.num_ended) + "/" + std::to_string(total) +
                       ", " + std::to_string(progress.num_running) + " running";
    if (progress.num_failed > 0) line += ", " + std::to_string(progress.num_failed) + " failed";
    line += ", " + seconds_text(progress.now_s);
    if (progress.num_ended > 0 && progress.num_ended < total) {
        const auto left = static_cast<double>(total - progress.num_ended);
        line += ", " +
                seconds_text(progress.now_s * left / static_cast<double>(progress.num_ended)) +
                " left";
    }
    return line;
}

}  // namespace turnpike::gateway::client::bench
