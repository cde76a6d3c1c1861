// The reply of an engine, taken apart at every split of its bytes.
#include "gateway/edge/metered_reply.h"

#include <gtest/gtest.h>

#include "gateway/edge/response_text.h"

namespace turnpike::gateway {
namespace {

using Mode = MeteredReply::Mode;

std::string chunks(std::initializer_list<std::string_view> payloads) {
    std::string text;
    for (const std::string_view payload : payloads) append_chunk(text, payload);
    return text + std::string(kLastChunk);
}

// Feeds `bytes` as a relay does, in pieces of at most `piece_bytes`.
std::string feed_all(MeteredReply& reply, const std::string& bytes, std::size_t piece_bytes) {
    std::string out;
    std::string buffer;
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
        buffer += bytes.substr(at, piece_bytes);
        buffer.erase(0, reply.feed(buffer, out));
    }
    return out;
}

TEST(MeteredReply, StreamAtEverySplit) {
    const std::string bytes = chunks(
        {": meter 5 0 0 0\n\n", ": keep-alive\n\n", ": meter 5 0 1 0\n\n", "data: {\"a\":1}\n\n",
         ": meter 5 1 2 1\n\n", "data: {\"error_free\":1}\n\n", "data: [DONE]\n\n"});
    std::string expected = chunks({": keep-alive\n\n", "data: {\"a\":1}\n\n",
                                   "data: {\"error_free\":1}\n\n", "data: [DONE]\n\n"});
    expected.resize(expected.size() - kLastChunk.size());
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        MeteredReply reply(Mode::kStream);
        EXPECT_EQ(feed_all(reply, bytes, piece), expected) << piece;
        EXPECT_EQ(reply.meter(), (TokenUsage{5, 1, 2, 1}));
        EXPECT_TRUE(reply.is_complete() && reply.has_ended() && !reply.is_broken());
        EXPECT_FALSE(reply.has_error());
    }
}

TEST(MeteredReply, DoneCanBeCutOffAgain) {
    MeteredReply reply(Mode::kStream);
    std::string out = "head";
    const std::string bytes = chunks({": meter 1 0 1 0\n\n", "data: {}\n\n", "data: [DONE]\n\n"});
    reply.feed(bytes, out);
    out.resize(reply.done_offset());
    EXPECT_EQ(out, "heada\r\ndata: {}\n\n\r\n");
}

TEST(MeteredReply, RawStreamHasNoFraming) {
    MeteredReply reply(Mode::kRawStream);
    const std::string bytes = chunks({": meter 1 0 1 0\n\n", "data: {}\n\n", "data: [DONE]\n\n"});
    EXPECT_EQ(feed_all(reply, bytes, 7), "data: {}\n\ndata: [DONE]\n\n");
}

TEST(MeteredReply, UnaryAtEverySplit) {
    const std::string bytes =
        chunks({": meter 5 0 0 0\n\n", ": keep-alive\n\n", ": meter 5 0 2 0\n\n",
                "data: {\"id\":\"x\",\"choices\":[]}\n\n"});
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        MeteredReply reply(Mode::kUnary);
        EXPECT_EQ(feed_all(reply, bytes, piece), "");
        EXPECT_EQ(reply.body(), R"({"id":"x","choices":[]})");
        EXPECT_TRUE(reply.is_complete() && reply.has_ended());
    }
}

constexpr Price kPrice{1, NanoUsd(3000), NanoUsd(300), NanoUsd(7000), NanoUsd()};

TEST(MeteredReply, AStreamsUsageGetsItsExactCost) {
    const std::string bytes =
        chunks({": meter 5 2 0 0\n\n",
                R"(data: {"text":"\"usage\":{"})"
                "\n\n",
                ": meter 5 2 3 1\n\n", "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\n",
                "data: [DONE]\n\n"});
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        MeteredReply reply(Mode::kRawStream, kPrice);
        // 3 x 3000 + 2 x 300 + 3 x 7000 nano-dollars
        EXPECT_EQ(feed_all(reply, bytes, piece),
                  R"(data: {"text":"\"usage\":{"})"
                  "\n\ndata: {\"choices\":[],\"usage\":{\"cost\":0.0000306,"
                  "\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n");
    }
    MeteredReply framed(Mode::kStream, kPrice);
    MeteredReply again(Mode::kRawStream);
    const std::string out = feed_all(framed, bytes, bytes.size()) + std::string(kLastChunk);
    EXPECT_NE(feed_all(again, out, 7).find("\"cost\":0.0000306,"), std::string::npos);
}

TEST(MeteredReply, AnAnswersUsageGetsItsExactCost) {
    const std::string bytes =
        chunks({": meter 5 0 2 0\n\n", "data: {\"id\":\"x\",\"usage\":{}}\n\n"});
    MeteredReply reply(Mode::kUnary, kPrice);
    feed_all(reply, bytes, 9);
    EXPECT_EQ(reply.body(), R"({"id":"x","usage":{"cost":0.000029}})");
    MeteredReply unasked(Mode::kUnary);
    feed_all(unasked, bytes, 9);
    EXPECT_EQ(unasked.body(), R"({"id":"x","usage":{}})");
}

TEST(MeteredReply, ErrorEventsAreNoAnswers) {
    const std::string bytes = chunks({": meter 5 0 2 0\n\n", "data: {\"error\":{}}\n\n"});
    MeteredReply unary(Mode::kUnary);
    feed_all(unary, bytes, 9);
    EXPECT_TRUE(unary.has_error() && unary.has_ended() && !unary.is_complete());
    EXPECT_EQ(unary.body(), R"({"error":{}})");
    MeteredReply alone(Mode::kStream);
    feed_all(alone, bytes, 9);
    EXPECT_TRUE(alone.has_error() && alone.is_error_alone());
    MeteredReply late(Mode::kStream);
    const std::string after_event = chunks({"data: {}\n\n", "data: {\"error\":{}}\n\n"});
    feed_all(late, after_event, after_event.size());
    EXPECT_TRUE(late.has_error() && !late.is_error_alone());
}

TEST(MeteredReply, RecognisesErrors) {
    EXPECT_TRUE(is_error_event(R"({"error":{}})"));
    EXPECT_TRUE(is_error_event(R"({"id":"01J","error":{}})"));
    EXPECT_FALSE(is_error_event(R"({"id":"01J","choices":[{"text":"\"error\""}]})"));
    EXPECT_FALSE(is_error_event(R"({"id":"01J)"));
    EXPECT_FALSE(is_error_event(R"({"errors":1})"));
    EXPECT_FALSE(is_error_event(""));
}

TEST(MeteredReply, BrokenProtocolIsNoticed) {
    for (const std::string& bytes :
         {chunks({": meter 5 6 0 0\n\n"}), chunks({": meter 5\n\n"}), std::string("zz\r\n"),
          chunks({": meter 1 0 1 0\n\n", "data: [DONE]\n\n", "data: {}\n\n"}),
          chunks({": meter 1 0 1 0\n\n", "data: [DONE]\n\n", ": meter 1 0 2 0\n\n"})}) {
        MeteredReply reply(Mode::kStream);
        feed_all(reply, bytes, 5);
        EXPECT_TRUE(reply.is_broken()) << bytes;
    }
    MeteredReply two_answers(Mode::kUnary);
    feed_all(two_answers, chunks({"data: {}\n\n", "data: {}\n\n"}), 5);
    EXPECT_TRUE(two_answers.is_broken());
}

}  // namespace
}  // namespace turnpike::gateway
