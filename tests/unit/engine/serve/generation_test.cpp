// A request's life over a runner that can be held and a reply that records: what the client sees,
// what is counted, and what a shutdown in mid-stream looks like.
#include "engine/serve/generation.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "engine/api/meter_line.h"
#include "engine/text/synth_tokenizer.h"
#include "tests/support/fake_runner.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

class RecordingReply final : public net::HttpReply {
  public:
    // Refuses writes after this many, as a reader that is too slow does.
    explicit RecordingReply(int max_writes = 1 << 30) : max_writes_(max_writes) {}

    void respond(net::HttpResponse response) override {
        const std::lock_guard lock(mutex_);
        response_ = std::move(response);
        is_over_ = true;
        changed_.notify_all();
    }

    void start(int status, net::HttpHeaders) override { EXPECT_EQ(status, 200); }

    bool write(std::string chunk) override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(is_over_) << "a write after the end";
        chunks_.push_back(std::move(chunk));
        changed_.notify_all();
        return static_cast<int>(chunks_.size()) <= max_writes_;
    }

    void finish() override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(is_over_) << "ended twice";
        is_over_ = true;
        changed_.notify_all();
    }

    void on_client_gone(std::function<void()> callback) override { on_gone_ = std::move(callback); }

    bool is_client_gone() const override { return false; }

    std::size_t backlog_bytes() const override { return 0; }

    void leave() { on_gone_(); }

    std::vector<std::string> wait_over() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_over_; });
        return chunks_;
    }

    void wait_chunks(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return chunks_.size() >= count; });
    }

    net::HttpResponse response() {
        wait_over();
        return response_;
    }

  private:
    const int max_writes_;
    std::function<void()> on_gone_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> chunks_;
    net::HttpResponse response_;
    bool is_over_ = false;
};

class GenerationTest : public testing::Test {
  protected:
    const test::TempDir dir_;
    const text::Tokenizer tokenizer_ =
        text::Tokenizer::parse(text::synthesize_tokenizer_json(300).value(), "t").value();
    std::string text_ = "0123456789";  // generated over and over, a byte a token
    test::FakeRunner runner_{{1, 64}, 2, [this](const SequenceSlice& slice, std::int32_t at) {
                                 const auto index =
                                     static_cast<std::size_t>(at - slice.num_prompt_tokens);
                                 return tokenizer_.encode(text_.substr(index % text_.size(), 1),
                                                          text::SpecialTokens::kPlain)[0];
                             }};
    const std::unique_ptr<MeterFile> meter_ =
        MeterFile::open((dir_.path() / "meter").string()).value();
    WorkQueue queue_;
    StepLoop loop_{runner_, {.max_running = 4, .max_waiting = 8, .max_step_tokens = 64}};
    std::int32_t max_tokens_ = 12;

    GenerationOptions options(const std::string& id) {
        GenerationOptions options;
        options.id = id;
        options.model = "m";
        options.is_stream = true;
        options.is_metered = true;
        options.num_prompt_tokens = 2;
        return options;
    }

    Status run(GenerationOptions options, const std::shared_ptr<RecordingReply>& reply) {
        const auto slot = meter_->begin(options.id, {2, 0, 0, 0});
        EXPECT_TRUE(slot.has_value());
        SequenceSpec spec;
        spec.prompt = {3, 4};
        spec.max_tokens = max_tokens_;
        const GenerationContext context{tokenizer_, loop_, queue_, *meter_};
        return std::make_shared<Generation>(std::move(options), context, reply, **slot, nullptr)
            ->start(spec);
    }

    // Returns when all that the queue holds now has run.
    void run_queued() {
        std::promise<void> done;
        queue_.push([&] { done.set_value(); });
        done.get_future().wait();
    }

    static std::string last_meter(const std::vector<std::string>& chunks) {
        std::string last;
        for (const std::string& chunk : chunks)
            if (chunk.starts_with(": meter")) last = chunk;
        return last;
    }

    static std::string content_of(const std::vector<std::string>& chunks) {
        std::string content;
        for (const std::string& chunk : chunks) {
            if (!chunk.starts_with("data: {")) continue;
            const json event = json::parse(chunk.substr(6));
            if (!event.contains("choices") || event["choices"].empty()) continue;
            content += event["choices"][0]["delta"].value("content", "");
        }
        return content;
    }

    void TearDown() override {
        runner_.release();
        loop_.stop();
        queue_.stop();
    }
};

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
