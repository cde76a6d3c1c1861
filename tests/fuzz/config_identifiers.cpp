// Request ids and API keys as strangers send them: a ULID's time writes the same ten characters; a
// key is well formed by its own checksum alone; what is shown of a key never holds its secret part.
#include <string>

#include "config/crypto/identifiers.h"
#include "tests/fuzz/target.h"

using namespace turnpike;

namespace {

void check_request_id(std::string_view text) {
    const RequestId id{std::string(text)};
    const auto time = crypto::time_of(id);
    if (!time) return fuzz::check_error(time.error(), {ErrorCode::kInvalidArgument});
    CHECK(text.size() == 26);
    CHECK(crypto::new_request_id(*time).value().substr(0, 10) == text.substr(0, 10));
}

void check_key(std::string_view key) {
    const std::string shown = crypto::redact_api_key(key);
    CHECK(shown.size() <= 10 + 3 + 4);
    if (!crypto::is_well_formed_api_key(key)) return;
    CHECK(key.size() == 44 && key.starts_with("tp_live_"));
    CHECK(shown.find(key.substr(10, 8)) == std::string::npos);
    for (std::size_t at = 0; at < key.size(); ++at) {
        std::string typo(key);
        typo[at] = typo[at] == 'x' ? 'y' : 'x';
        CHECK(!crypto::is_well_formed_api_key(typo));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    check_request_id(text);
    check_key(text);
    return 0;
}
