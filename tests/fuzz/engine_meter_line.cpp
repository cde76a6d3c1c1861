// Meter lines: none, or counts that can be a bill, which read the same once written.
#include "engine/api/meter_line.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto usage = turnpike::engine::parse_meter_line(turnpike::fuzz::text_of(data, size));
    if (!usage) return 0;
    CHECK(usage->cached_tokens >= 0 && usage->cached_tokens <= usage->prompt_tokens);
    CHECK(usage->reasoning_tokens >= 0 && usage->reasoning_tokens <= usage->completion_tokens);
    CHECK(turnpike::engine::parse_meter_line(turnpike::engine::format_meter_line(*usage)) == usage);
    return 0;
}
