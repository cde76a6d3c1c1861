// A metered reply in each mode: what reaches the client and the books does not depend on how the
// bytes arrive, and is no more than came.
#include <algorithm>
#include <string>

#include "gateway/edge/metered_reply.h"
#include "tests/fuzz/target.h"

using turnpike::gateway::MeteredReply;

namespace {

struct Outcome {
    std::string out;
    MeteredReply reply;

    bool operator==(const Outcome& other) const {
        return out == other.out && reply.meter() == other.reply.meter() &&
               reply.is_complete() == other.reply.is_complete() &&
               reply.has_ended() == other.reply.has_ended() &&
               reply.is_broken() == other.reply.is_broken() &&
               reply.has_error() == other.reply.has_error() &&
               reply.is_error_alone() == other.reply.is_error_alone() &&
               reply.has_output() == other.reply.has_output();
    }
};

// Feeds `bytes` as they would arrive `step` at a time, as soon as enough are there.
Outcome relay(std::string_view bytes, std::size_t step, MeteredReply::Mode mode) {
    Outcome outcome{{}, MeteredReply(mode)};
    std::size_t taken = 0;
    std::size_t wanted = 0;
    for (std::size_t arrived = 0; arrived < bytes.size();) {
        arrived = std::min(bytes.size(), arrived + step);
        if (arrived < wanted || outcome.reply.has_ended() || outcome.reply.is_broken()) continue;
        const std::string_view input = bytes.substr(taken, arrived - taken);
        const std::size_t used = outcome.reply.feed(input, outcome.out);
        CHECK(used <= input.size());
        taken += used;
        CHECK(outcome.reply.missing_bytes() >= 1);
        wanted = std::max(arrived + 1, arrived + outcome.reply.missing_bytes());
    }
    return outcome;
}

void check(std::string_view bytes, MeteredReply::Mode mode) {
    Outcome whole = relay(bytes, std::max<std::size_t>(bytes.size(), 1), mode);
    CHECK(whole.out.size() <= bytes.size());
    CHECK(whole.reply.body().size() <= bytes.size());
    CHECK(!whole.reply.is_error_alone() || whole.reply.has_error());
    if (mode == MeteredReply::Mode::kUnary) CHECK(whole.out.empty());
    if (whole.reply.meter()) {
        CHECK(whole.reply.meter()->cached_tokens <= whole.reply.meter()->prompt_tokens);
    }
    CHECK(relay(bytes, 1, mode) == whole);
    CHECK(relay(bytes, 13, mode) == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = turnpike::fuzz::text_of(data, size);
    check(bytes, MeteredReply::Mode::kStream);
    check(bytes, MeteredReply::Mode::kRawStream);
    check(bytes, MeteredReply::Mode::kUnary);
    return 0;
}
