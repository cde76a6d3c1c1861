// Error bodies and statuses, and that no text can break out of its JSON string.
#include "engine/api/api_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "config/base/result.h"
#include "engine/api/json_text.h"

namespace turnpike::engine {
namespace {

TEST(ApiError, BodyHasTheFieldsThatClientsRead) {
    EXPECT_EQ(
        write_error("01ABC", invalid_argument("bad", "top_p")),
        R"({"id":"01ABC","error":{"message":"bad","type":"invalid_request_error","param":"top_p",)"
        R"("code":"invalid_argument"}})");
    EXPECT_EQ(
        write_error("", Error{ErrorCode::kUnauthenticated, "no", ""}),
        R"({"error":{"message":"no","type":"invalid_request_error","param":null,"code":"invalid_api_key"}})");
}

TEST(ApiError, OnlyAMissingModelIsCalledOne) {
    const auto code_of = [](const char* param) {
        const std::string body = write_error("", Error{ErrorCode::kNotFound, "none", param});
        return nlohmann::json::parse(body)["error"]["code"].get<std::string>();
    };
    EXPECT_EQ(code_of("model"), "model_not_available");
    EXPECT_EQ(code_of(""), "not_found");
    EXPECT_EQ(code_of("org"), "not_found");
}

TEST(ApiError, StatusesFollowThePublicApi) {
    EXPECT_EQ(http_status(ErrorCode::kContextLengthExceeded), 400);
    EXPECT_EQ(error_code(ErrorCode::kContextLengthExceeded), "context_length_exceeded");
    EXPECT_EQ(http_status(ErrorCode::kNotFound), 404);
    EXPECT_EQ(error_code(ErrorCode::kNotFound), "model_not_available");
    EXPECT_EQ(http_status(ErrorCode::kUnavailable), 503);
    EXPECT_EQ(error_type(ErrorCode::kInternal), "server_error");
}

TEST(JsonText, EveryByteStringBecomesValidJson) {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second), 'x'};
            std::string out;
            append_json_string(out, text);
            ASSERT_TRUE(nlohmann::json::accept(out)) << first << ' ' << second;
        }
    }
}

TEST(JsonText, ValidUtf8IsKept) {
    for (const std::string text : {"naïve", "思考", "🙂", "\"\\\n\t\r\b\f\x01", "\xED\x9F\xBF"}) {
        std::string out;
        append_json_string(out, text);
        EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), text);
    }
    std::string surrogate;
    append_json_string(surrogate, "\xED\xA0\x80");
    EXPECT_EQ(surrogate, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace turnpike::engine
