#include "engine/serve/token_rate.h"

namespace turnpike::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kWindow = 10s;
constexpr auto kSpacing = 1s;

}  // namespace

double TokenRate::sample(SteadyTime now, std::int64_t total) {
    if (samples_.empty() || now - samples_.back().first >= kSpacing)
        samples_.emplace_back(now, total);
    // The oldest one is as old as the window, or a little older.
    while (samples_.size() > 1 && now - samples_[1].first >= kWindow) samples_.pop_front();
    const auto [since, then] = samples_.front();
    const double seconds = std::chrono::duration<double>(now - since).count();
    return seconds > 0.0 ? static_cast<double>(total - then) / seconds : 0.0;
}

}  // namespace turnpike::engine
