// text/event-stream: the events do not depend on how the bytes are split, and hold no more than
// came.
#include <string>
#include <vector>

#include "config/net/sse_parser.h"
#include "tests/fuzz/target.h"

namespace {

// Everything that the parser told, in order.
std::vector<std::string> told(std::string_view bytes, std::size_t step) {
    std::vector<std::string> calls;
    turnpike::net::SseParser parser(
        [&](const turnpike::net::SseEvent& event) {
            calls.push_back("E" + event.event + "\r" + event.data);
        },
        [&](std::string_view comment) { calls.push_back("C" + std::string(comment)); });
    while (!bytes.empty()) {
        parser.feed(bytes.substr(0, step));
        bytes.remove_prefix(std::min(step, bytes.size()));
    }
    return calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = turnpike::fuzz::text_of(data, size);
    const std::vector<std::string> whole = told(bytes, size == 0 ? 1 : size);
    std::size_t total = 0;
    for (const std::string& call : whole) total += call.size();
    CHECK(total <= 2 * size);
    CHECK(told(bytes, 1) == whole);
    CHECK(told(bytes, 7) == whole);
    return 0;
}
