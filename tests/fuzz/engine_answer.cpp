// What a client reads from any OpenAI-compatible server, whole answers and chunks: an error that
// says something, or an answer that our own writer puts down and the reader takes up unchanged.
#include <string>

#include "engine/api/codec.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::engine;

namespace {

void check_refusal(const Error& error) {
    CHECK(error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kBadGateway);
    CHECK(!error.message.empty());
}

void check_chunk(std::string_view text) {
    const auto chunk = parse_chat_chunk(text);
    if (!chunk) return check_refusal(chunk.error());
    const std::string written = write_chat_chunk(*chunk);
    const auto again = parse_chat_chunk(written);
    CHECK(again);
    CHECK(again->id == chunk->id && again->choices.size() == chunk->choices.size());
    CHECK(write_chat_chunk(*again) == written);
}

void check_answer(std::string_view text) {
    const auto answer = parse_chat_answer(text);
    if (!answer) return check_refusal(answer.error());
    const std::string written = write_chat_answer(*answer);
    const auto again = parse_chat_answer(written);
    CHECK(again);
    CHECK(again->id == answer->id && again->choices.size() == answer->choices.size());
    CHECK(write_chat_answer(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    check_chunk(text);
    check_answer(text);
    return 0;
}
