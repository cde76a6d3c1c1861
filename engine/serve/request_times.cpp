#include "engine/serve/request_times.h"

namespace turnpike::engine {
namespace {

double seconds(SteadyTime::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

}  // namespace

RequestTimes::RequestTimes(EngineMetrics& metrics, SteadyTime arrived, std::size_t num_choices)
    : metrics_(metrics), arrived_(arrived), choices_(num_choices) {}

void RequestTimes::begin(SteadyTime now) {
    if (begun_) return;
    begun_ = now;
    metrics_.queue_s.observe(seconds(now - arrived_));
}

void RequestTimes::token(std::size_t choice_index, SteadyTime now) {
    if (!first_token_) {
        first_token_ = now;
        metrics_.time_to_first_token_s.observe(seconds(now - arrived_));
        if (begun_) metrics_.prefill_s.observe(seconds(now - *begun_));
    }
    last_token_ = now;
    Choice& choice = choices_[choice_index];
    if (choice.num_tokens++ == 0) {
        choice.first = now;
    } else {
        metrics_.inter_token_s.observe(seconds(now - choice.last));
    }
    choice.last = now;
}

void RequestTimes::end_choice(std::size_t choice_index) {
    const Choice& choice = choices_[choice_index];
    if (choice.num_tokens < 2) return;
    const auto num_gaps = static_cast<double>(choice.num_tokens - 1);
    metrics_.request_time_per_token_s.observe(seconds(choice.last - choice.first) / num_gaps);
}

void RequestTimes::end(const TokenUsage& usage) {
    if (first_token_) metrics_.decode_s.observe(seconds(last_token_ - *first_token_));
    metrics_.request_prompt_tokens.observe(static_cast<double>(usage.prompt_tokens));
    metrics_.request_generation_tokens.observe(static_cast<double>(usage.completion_tokens));
}

}  // namespace turnpike::engine
