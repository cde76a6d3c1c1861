// A request and time: deadlines, comments that break a silence, and what the metrics are told.
#include <gtest/gtest.h>

#include "tests/unit/engine/serve/generation_fixture.h"

namespace turnpike::engine {
namespace {

TEST_F(GenerationTest, ADeadlineBeforeTheFirstByteIsA504) {
    max_tokens_ = 3000;
    runner_.hold();
    GenerationOptions unary = options("d");
    unary.is_stream = unary.is_metered = false;
    unary.deadline = unary.arrived_at + std::chrono::milliseconds(500);
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(unary), reply).has_value());
    runner_.allow(3);
    newest_->tick(clock_.steady_now());  // not yet
    clock_.advance(std::chrono::milliseconds(500));
    newest_->tick(clock_.steady_now());
    newest_->tick(clock_.steady_now());
    run_queued();
    runner_.release();
    const net::HttpResponse response = reply->response();
    EXPECT_EQ(response.status, 504);
    EXPECT_NE(response.body.find("deadline"), std::string::npos);
    EXPECT_TRUE(meter_->find("d")->is_final);
    EXPECT_LT(meter_->find("d")->usage.completion_tokens, 3000);
    EXPECT_EQ(metrics_.deadlines_passed.value(), 1);
    EXPECT_EQ(metrics_.ended[static_cast<std::size_t>(RequestEnd::kAbort)].value(), 1);
}

TEST_F(GenerationTest, ADeadlineInAStreamIsAnErrorEventAfterTheBill) {
    max_tokens_ = 3000;
    runner_.hold();
    GenerationOptions stream = options("ds");
    stream.deadline = stream.arrived_at + std::chrono::milliseconds(500);
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(stream), reply).has_value());
    runner_.allow(3);
    reply->wait_chunks(3);
    clock_.advance(std::chrono::seconds(1));
    newest_->tick(clock_.steady_now());
    run_queued();
    runner_.release();
    const auto chunks = reply->wait_over();
    const json event = json::parse(chunks.back().substr(6));
    EXPECT_EQ(event["error"]["code"], "gateway_timeout") << chunks.back();
    EXPECT_EQ(chunks[chunks.size() - 2], format_meter_line(meter_->find("ds")->usage));
}

TEST_F(GenerationTest, ADeadlineAfterTheEndChangesNothing) {
    GenerationOptions stream = options("late");
    stream.deadline = stream.arrived_at + std::chrono::milliseconds(500);
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(stream), reply).has_value());
    EXPECT_EQ(reply->wait_over().back(), "data: [DONE]\n\n");
    clock_.advance(std::chrono::seconds(1));
    newest_->tick(clock_.steady_now());
    run_queued();
    EXPECT_EQ(metrics_.deadlines_passed.value(), 0);
    EXPECT_EQ(metrics_.ended[static_cast<std::size_t>(RequestEnd::kLength)].value(), 1);
}

TEST_F(GenerationTest, ALongSilenceOnAStreamIsBroken) {
    max_tokens_ = 3000;
    runner_.hold();
    GenerationOptions stream = options("k");
    stream.keep_alive = std::chrono::seconds(10);
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(stream), reply).has_value());
    reply->wait_chunks(1);
    const auto pass = [&](int seconds) {
        clock_.advance(std::chrono::seconds(seconds));
        newest_->tick(clock_.steady_now());
        newest_->tick(clock_.steady_now());
        run_queued();
    };
    pass(9);
    pass(1);
    pass(9);
    pass(1);
    runner_.allow(1);
    reply->wait_chunks(5);  // the token after two comments: a line and an event
    pass(9);
    pass(1);
    reply->leave();
    run_queued();
    runner_.release();
    const auto chunks = reply->wait_over();
    EXPECT_EQ(std::count(chunks.begin(), chunks.end(), ": keep-alive\n\n"), 3);
    EXPECT_EQ(chunks[1], ": keep-alive\n\n");
    EXPECT_EQ(chunks[2], ": keep-alive\n\n");
}

TEST_F(GenerationTest, AUnaryReplyWithoutMeterIsAwaitedInSilence) {
    max_tokens_ = 3;
    runner_.hold();
    GenerationOptions unary = options("silent");
    unary.is_stream = unary.is_metered = false;
    unary.keep_alive = std::chrono::seconds(10);
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(unary), reply).has_value());
    clock_.advance(std::chrono::hours(1));
    newest_->tick(clock_.steady_now());
    run_queued();
    runner_.release();
    EXPECT_TRUE(reply->wait_over().empty());
    EXPECT_EQ(reply->response().status, 200);
}

TEST_F(GenerationTest, TimesOfARequestAreTold) {
    runner_.hold();
    GenerationOptions stream = options("times");
    clock_.advance(std::chrono::seconds(2));
    const auto reply = std::make_shared<RecordingReply>();
    ASSERT_TRUE(run(std::move(stream), reply).has_value());
    runner_.wait_submitted(1);
    clock_.advance(std::chrono::seconds(1));
    runner_.allow(1);
    reply->wait_chunks(3);
    clock_.advance(std::chrono::milliseconds(500));
    runner_.release();
    reply->wait_over();
    EXPECT_EQ(metrics_.queue_s.sum(), 2.0);
    EXPECT_EQ(metrics_.time_to_first_token_s.sum(), 3.0);
    EXPECT_EQ(metrics_.prefill_s.sum(), 1.0);
    EXPECT_EQ(metrics_.inter_token_s.sum(), 0.5);
    EXPECT_EQ(metrics_.decode_s.sum(), 0.5);
    EXPECT_EQ(metrics_.latency_s.sum(), 3.5);
    EXPECT_EQ(metrics_.request_generation_tokens.sum(), 12.0);
    EXPECT_EQ(metrics_.prompt_tokens.value(), 2);
}

}  // namespace
}  // namespace turnpike::engine
