// The bodies, and fields that win.
#include "gateway/client/bench/request_body.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace turnpike::gateway::client::bench {
namespace {

using nlohmann::json;

TEST(BodyWriter, AsksForAStreamWithUsage) {
    BodyOptions options;
    options.model = "m";
    const auto writer = BodyWriter::make(options).value();
    EXPECT_EQ(json::parse(writer.write({R"([{"role":"user"}])", 0, 9})), json::parse(R"({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 9,
        "messages": [{"role": "user"}]})"));
}

TEST(BodyWriter, Completions) {
    BodyOptions options;
    options.route = Route::kCompletions;
    options.model = "m";
    options.streams = false;
    options.ignores_eos = true;
    options.temperature = 0.5;
    options.extra_json = R"({"top_k": 5, "model": "other"})";
    EXPECT_EQ(json::parse(BodyWriter::make(options).value().write({"[1,2]", 2, 9})),
              json::parse(R"({"model": "other", "stream": false, "ignore_eos": true,
                  "temperature": 0.5, "top_k": 5, "max_tokens": 9, "prompt": [1, 2]})"));
}

TEST(BodyWriter, RefusesExtrasThatAreNoObject) {
    for (const char* extra : {"[]", "5", "{", "x"}) {
        BodyOptions options;
        options.extra_json = extra;
        EXPECT_FALSE(BodyWriter::make(options)) << extra;
    }
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
