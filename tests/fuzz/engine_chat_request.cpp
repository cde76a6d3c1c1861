// Bodies of /v1/chat/completions: refused naming the field, or within every bound of the API; what
// was read, written and read again is the same.
#include <nlohmann/json.hpp>
#include <string>

#include "config/base/limits.h"
#include "engine/api/codec.h"
#include "tests/fuzz/common_request.h"
#include "tests/fuzz/target.h"

using namespace turnpike;
using namespace turnpike::engine;

namespace {

void check_messages(const ChatRequest& request) {
    CHECK(!request.messages.empty() && request.messages.size() <= limits::kMaxMessages);
    for (const Message& message : request.messages) {
        CHECK(fuzz::is_utf8(message.content) && fuzz::is_utf8(message.reasoning));
        CHECK(message.role == Role::kAssistant || message.tool_calls.empty());
        for (const ToolCall& call : message.tool_calls) CHECK(!call.name.empty());
    }
    for (const Tool& tool : request.tools) {
        CHECK(!tool.name.empty());
        CHECK(nlohmann::json::accept(tool.json));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto request = parse_chat_request(fuzz::text_of(data, size));
    if (!request) {
        fuzz::check_refusal(request.error());
        return 0;
    }
    fuzz::check_common(*request);
    check_messages(*request);
    const std::string written = write_chat_request(*request);
    const auto again = parse_chat_request(written);
    CHECK(again);
    CHECK(again->messages.size() == request->messages.size());
    for (std::size_t i = 0; i < again->messages.size(); ++i) {
        CHECK(again->messages[i].role == request->messages[i].role);
        CHECK(again->messages[i].content == request->messages[i].content);
    }
    CHECK(write_chat_request(*again) == written);
    return 0;
}
