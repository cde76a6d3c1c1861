// A target with planted faults, so that driver_test.py can see each kind of failure reported.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tests/fuzz/target.h"

namespace {

// Frames that the compiler cannot fold into a loop.
int descend(int depth) {
    volatile char room[4096];
    room[0] = static_cast<char>(depth);
    return depth == 0 ? room[0] : descend(depth - 1) + room[0];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = turnpike::fuzz::text_of(data, size);
    if (text.starts_with("abort")) CHECK(text.size() < 5);
    if (text.starts_with("throw")) throw std::runtime_error("planted");
    if (text.starts_with("stack")) return descend(1 << 24) & 0;
    // What only a mutation of the seed "planted fault" makes of it.
    CHECK(text.find("planted") == 0 || text.find("fault") != 8);
    return 0;
}
