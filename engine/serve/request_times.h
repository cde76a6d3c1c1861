// RequestTimes: when things happened to one request, told to the metrics. On the step thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "config/base/clock.h"
#include "config/base/money.h"
#include "engine/serve/engine_metrics.h"

namespace turnpike::engine {

class RequestTimes {
  public:
    // `metrics` must outlive it.
    RequestTimes(EngineMetrics& metrics, SteadyTime arrived, std::size_t num_choices);

    // A choice's sequence has left the queue; of several, the first counts.
    void begin(SteadyTime now);
    void token(std::size_t choice_index, SteadyTime now);
    void end_choice(std::size_t choice_index);
    // Every choice has ended.
    void end(const TokenUsage& usage);

  private:
    struct Choice {
        SteadyTime first{};
        SteadyTime last{};
        std::int64_t num_tokens = 0;
    };

    EngineMetrics& metrics_;
    const SteadyTime arrived_;
    std::vector<Choice> choices_;
    std::optional<SteadyTime> begun_;
    std::optional<SteadyTime> first_token_;
    SteadyTime last_token_{};
};

}  // namespace turnpike::engine
