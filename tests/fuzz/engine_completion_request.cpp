// Bodies of /v1/completions: refused naming the field, or within every bound of the API; what was
// read, written and read again is the same.
#include <string>
#include <variant>
#include <vector>

#include "engine/api/codec.h"
#include "tests/fuzz/common_request.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::engine;

namespace {

void check_prompt(const std::string& text) {
    CHECK(fuzz::is_utf8(text));
}

void check_prompt(const std::vector<TokenId>& tokens) {
    CHECK(!tokens.empty());
    for (const TokenId token : tokens) CHECK(token >= 0);
}

template <class Prompt>
void check_prompt(const std::vector<Prompt>& prompts) {
    CHECK(!prompts.empty());
    for (const Prompt& prompt : prompts) check_prompt(prompt);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = parse_completion_request(fuzz::text_of(data, size));
    if (!request) {
        fuzz::check_refusal(request.error());
        return 0;
    }
    fuzz::check_common(*request);
    std::visit([](const auto& prompt) { check_prompt(prompt); }, request->prompt);
    const std::string written = write_completion_request(*request);
    const auto again = parse_completion_request(written);
    CHECK(again);
    CHECK(again->prompt == request->prompt);
    CHECK(write_completion_request(*again) == written);
    return 0;
}
