// Snapshots: corrupt, or every value as it stood in the text, and the same when written and read
// again.
#include "controlplane/api/snapshot.h"
#include "controlplane/api/usage_record.h"
#include "tests/fuzz/same_json.h"
#include "tests/fuzz/target.h"

using namespace turnpike;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    const auto snapshot = controlplane::parse_snapshot(text);
    if (!snapshot) {
        fuzz::check_error(snapshot.error(), {ErrorCode::kCorrupt});
        return 0;
    }
    const std::string written = controlplane::write_snapshot(*snapshot);
    CHECK(fuzz::is_part_of(written, text));
    const auto again = controlplane::parse_snapshot(written);
    CHECK(again);
    CHECK(controlplane::write_snapshot(*again) == written);
    for (const auto& change : snapshot->models) {
        if (!change.row) continue;
        constexpr TokenCount kMost = controlplane::kMaxRecordTokens;
        CHECK(cost_of(change.row->price, {kMost, 0, kMost, 0}) >= NanoUsd());
        CHECK(cost_of(change.row->price, {kMost, kMost, kMost, kMost}) >= NanoUsd());
    }
    return 0;
}
