// Entries of the outbox, the input being a payload (framed here) or a file's bytes: none, or one
// that encodes to the very bytes it was read from.
#include <string>

#include "gateway/edge/outbox_entry.h"
#include "tests/fuzz/outbox_frame.h"
#include "tests/fuzz/target.h"

using namespace turnpike::gateway;
using turnpike::controlplane::to_string;

namespace {

void check(std::string_view bytes) {
    const DecodedEntry entry = decode_entry(bytes);
    CHECK(entry.num_bytes <= bytes.size());
    CHECK((entry.num_bytes != 0) == (entry.opened.has_value() || entry.closed.has_value()));
    CHECK(!(entry.opened && entry.closed));
    const std::string_view read = bytes.substr(0, entry.num_bytes);
    if (entry.opened) CHECK(encode(*entry.opened) == read);
    if (entry.closed) CHECK(encode(*entry.closed) == read);
    // Whoever logs or delivers a record names its outcome.
    if (entry.opened) CHECK(!to_string(entry.opened->record.outcome).empty());
    if (entry.closed) CHECK(!to_string(entry.closed->record.outcome).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = turnpike::fuzz::text_of(data, size);
    check(bytes);
    check(turnpike::fuzz::framed(bytes));
    return 0;
}
