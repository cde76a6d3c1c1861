// A request's life: what the client sees, what is counted, and what a shutdown in mid-stream looks
// like.
#include <gtest/gtest.h>

#include "tests/unit/engine/serve/generation_fixture.h"

namespace turnpike::engine {
namespace {

TEST_F(GenerationTest, StreamsAndCountsEveryToken) {
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(options("a"), reply).has_value());
    const auto chunks = reply->wait_over();
    EXPECT_EQ(chunks.front(), ": meter 2 0 0 0\n\n");
    EXPECT_EQ(last_meter(chunks), ": meter 2 0 12 0\n\n");
    EXPECT_EQ(content_of(chunks), "012345678901");
    EXPECT_EQ(chunks.back(), "data: [DONE]\n\n");
    EXPECT_EQ(meter_->find("a")->usage, (TokenUsage{2, 0, 12, 0}));
    EXPECT_TRUE(meter_->find("a")->is_final);
}

TEST_F(GenerationTest, AStopStringEndsItWithTheTokenThatCompletesIt) {
    max_tokens_ = 1000;
    for (int i = 0; i < 20; ++i) {
        GenerationOptions stopped = options("s" + std::to_string(i));
        stopped.stop = {"456"};
        const auto reply = std::make_shared<RecordingReply>();
        ASSERT_TRUE(run(std::move(stopped), reply).has_value());
        const auto chunks = reply->wait_over();
        EXPECT_EQ(content_of(chunks), "0123");
        EXPECT_EQ(last_meter(chunks), ": meter 2 0 7 0\n\n");
        EXPECT_EQ(chunks.back(), "data: [DONE]\n\n");
    }
}

TEST_F(GenerationTest, AUnaryAnswerHasEveryChoiceAndTheirSum) {
    GenerationOptions unary = options("u");
    unary.is_stream = unary.is_metered = false;
    unary.num_choices = 3;
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(unary), reply).has_value());
    const json body = json::parse(reply->response().body);
    ASSERT_EQ(body["choices"].size(), 3U);
    for (const json& choice : body["choices"]) {
        EXPECT_EQ(choice["message"]["content"], "012345678901");
        EXPECT_EQ(choice["finish_reason"], "length");
    }
    EXPECT_EQ(body["usage"]["completion_tokens"], 36);
}

TEST_F(GenerationTest, AClientThatLeavesStopsItAndIsToldTheCount) {
    max_tokens_ = 3000;
    runner_.hold();
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(options("gone"), reply).has_value());
    runner_.allow(3);
    reply->wait_chunks(5);
    reply->leave();
    run_queued();
    runner_.release();
    const auto chunks = reply->wait_over();
    const TokenUsage counted = meter_->find("gone")->usage;
    EXPECT_LT(counted.completion_tokens, 3000);
    EXPECT_EQ(chunks.back(), format_meter_line(counted)) << "the last line is the bill";
}

TEST_F(GenerationTest, AReaderThatIsTooSlowIsCancelled) {
    max_tokens_ = 3000;
    runner_.hold();
    const auto reply = std::make_shared<RecordingReply>(4);
    ASSERT_TRUE(run(options("slow"), reply).has_value());
    runner_.allow(6);
    reply->wait_chunks(5);
    run_queued();
    runner_.release();
    reply->wait_over();
    EXPECT_LT(meter_->find("slow")->usage.completion_tokens, 3000);
    EXPECT_TRUE(meter_->find("slow")->is_final);
}

TEST_F(GenerationTest, AShutdownInTheMiddleIsAnErrorNotAStop) {
    max_tokens_ = 3000;
    runner_.hold();
    const auto reply = std::make_shared<RecordingReply>();
    GenerationOptions quiet = options("q");
    quiet.is_stream = quiet.is_metered = false;
    const auto unary = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(options("e"), reply).has_value());
    ASSERT_TRUE(run(std::move(quiet), unary).has_value());
    runner_.allow(3);
    reply->wait_chunks(3);
    std::thread stopper([this] { loop_.stop(); });
    while (loop_.submit({}).has_value()) std::this_thread::yield();  // until it is stopping
    runner_.release();
    stopper.join();
    queue_.stop();
    const auto chunks = reply->wait_over();
    ASSERT_TRUE(chunks.back().starts_with("data: {"));
    const json event = json::parse(chunks.back().substr(6));
    EXPECT_TRUE(event.contains("error")) << chunks.back();
    for (const std::string& chunk : chunks)
        EXPECT_EQ(chunk.find("\"finish_reason\":\"stop\""), std::string::npos);
    EXPECT_EQ(unary->response().status, 503);
    EXPECT_TRUE(meter_->find("e")->is_final);
}

TEST_F(GenerationTest, WhatTheQueueRefusesMayComeAgainUnderTheSameId) {
    max_tokens_ = 64 * 64 + 1;
    const auto reply = std::make_shared<RecordingReply>();
    EXPECT_EQ(run(options("again"), reply).error().code, ErrorCode::kContextLengthExceeded);
    EXPECT_FALSE(meter_->find("again").has_value());
    EXPECT_EQ(meter_->totals().num_requests, 0);
    max_tokens_ = 3;
    ASSERT_TRUE(run(options("again"), reply).has_value());
    reply->wait_over();
    EXPECT_EQ(meter_->totals().usage.completion_tokens, 3);
}

}  // namespace
}  // namespace turnpike::engine
