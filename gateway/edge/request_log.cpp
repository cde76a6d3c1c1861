#include "gateway/edge/request_log.h"

namespace turnpike::gateway {
namespace {

std::int64_t milliseconds(SteadyTime::duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

void RequestLog::write(Log& log, SteadyTime now) const {
    if (!outcome) {
        log.info("request_finished", {{"request_id", request_id},
                                      {"route", route},
                                      {"status", status},
                                      {"org", org},
                                      {"key", key},
                                      {"model", model},
                                      {"duration_ms", milliseconds(now - began)}});
        return;
    }
    log.info("request_finished",
             {{"request_id", request_id},
              {"route", route},
              {"status", status},
              {"org", org},
              {"key", key},
              {"model", model},
              {"replica", replica},
              {"outcome", to_string(*outcome)},
              {"prompt_tokens", usage.prompt_tokens},
              {"cached_tokens", usage.cached_tokens},
              {"completion_tokens", usage.completion_tokens},
              {"first_output_ms", milliseconds(first_output.value_or(now) - began)},
              {"duration_ms", milliseconds(now - began)}});
}

}  // namespace turnpike::gateway
