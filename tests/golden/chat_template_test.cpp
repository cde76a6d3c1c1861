// The prompts of R1-0528's template, byte for byte, from request bodies as clients send them.
#include "engine/text/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/codec.h"

namespace turnpike::engine::text {
namespace {

using nlohmann::json;

TEST(ChatTemplateGolden, RendersEveryConversation) {
    std::ifstream file(std::string(TURNPIKE_SOURCE_DIR) + "/tests/golden/data/chat_template.json");
    const json golden = json::parse(file);
    ASSERT_GT(golden["cases"].size(), 250U);
    std::size_t num_repaired = 0;
    for (const json& entry : golden["cases"]) {
        const json body{{"model", "m"}, {"messages", entry["messages"]}};
        const auto request = parse_chat_request(body.dump());
        ASSERT_TRUE(request.has_value()) << request.error().message << body.dump(1);
        const auto pieces =
            render_chat(request->messages, {}, entry["add_generation_prompt"].get<bool>());
        EXPECT_EQ(to_text(pieces), entry["text"].get<std::string>()) << body.dump(1);
        num_repaired += entry["repaired"].get<bool>() ? 1U : 0U;
    }
    EXPECT_GT(num_repaired, 50U);
}

}  // namespace
}  // namespace turnpike::engine::text
