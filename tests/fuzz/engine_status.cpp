// What an engine says of itself (/health, /load, /meter), as the control plane and the gateway read
// it: corrupt, or written and read again the same.
#include <string>

#include "engine/api/status.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::engine;

namespace {

// `written` is a fixed point of reading and writing.
template <class Parse, class Write>
void check(std::string_view text, Parse parse, Write write) {
    const auto value = parse(text);
    if (!value) return fuzz::check_error(value.error(), {ErrorCode::kCorrupt});
    const std::string written = write(*value);
    const auto again = parse(written);
    CHECK(again);
    CHECK(write(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    check(text, parse_health, write_health);
    check(text, parse_load, write_load);
    check(text, parse_meter_entry, write_meter_entry);
    check(text, parse_meter_totals, write_meter_totals);
    return 0;
}
