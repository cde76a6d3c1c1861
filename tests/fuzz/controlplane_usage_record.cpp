// Usage records and batches: corrupt, or every value as it stood in the text, with counts that can
// be billed, and the same when written and read again.
#include "controlplane/api/usage_record.h"
#include "tests/fuzz/same_json.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::controlplane;

namespace {

void check_usage(const TokenUsage& usage) {
    CHECK(usage.cached_tokens >= 0 && usage.cached_tokens <= usage.prompt_tokens);
    CHECK(usage.reasoning_tokens >= 0 && usage.reasoning_tokens <= usage.completion_tokens);
    CHECK(usage.prompt_tokens <= kMaxRecordTokens && usage.completion_tokens <= kMaxRecordTokens);
}

void check_record(std::string_view text) {
    const auto record = parse_usage_record(text);
    if (!record) return fuzz::check_error(record.error(), {ErrorCode::kCorrupt});
    check_usage(record->usage);
    const std::string written = write_usage_record(*record);
    CHECK(fuzz::is_part_of(written, text));
    const auto again = parse_usage_record(written);
    CHECK(again);
    CHECK(write_usage_record(*again) == written);
}

void check_batch(std::string_view text) {
    const auto batch = parse_usage_batch(text);
    if (!batch) return fuzz::check_error(batch.error(), {ErrorCode::kCorrupt});
    for (const UsageRecord& record : batch->records) check_usage(record.usage);
    const std::string written = write_usage_batch(*batch);
    CHECK(fuzz::is_part_of(written, text));
    const auto again = parse_usage_batch(written);
    CHECK(again);
    CHECK(write_usage_batch(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    check_record(text);
    check_batch(text);
    return 0;
}
