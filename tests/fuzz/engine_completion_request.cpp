// Bodies of /v1/completions: refused naming the field, or within every bound of the API; what was
// read, written and read again is the same.
#include <string>

#include "engine/api/codec.h"
#include "tests/fuzz/common_request.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::engine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = parse_completion_request(fuzz::text_of(data, size));
    if (!request) {
        fuzz::check_refusal(request.error());
        return 0;
    }
    fuzz::check_common(*request);
    if (const auto* tokens = std::get_if<std::vector<TokenId>>(&request->prompt)) {
        CHECK(!tokens->empty());
        for (const TokenId token : *tokens) CHECK(token >= 0);
    } else {
        CHECK(fuzz::is_utf8(std::get<std::string>(request->prompt)));
    }
    const std::string written = write_completion_request(*request);
    const auto again = parse_completion_request(written);
    CHECK(again);
    CHECK(again->prompt == request->prompt);
    CHECK(write_completion_request(*again) == written);
    return 0;
}
