// A request's life over a runner that can be held, a clock that a test moves, and a reply that
// records.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "engine/api/meter_line.h"
#include "engine/serve/generation.h"
#include "engine/text/synth_tokenizer.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_runner.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {

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
    EngineMetrics metrics_;
    test::FakeClock clock_;
    std::shared_ptr<Generation> newest_;

    GenerationOptions options(const std::string& id) {
        GenerationOptions options;
        options.id = id;
        options.model = "m";
        options.is_stream = true;
        options.is_metered = true;
        options.num_prompt_tokens = 2;
        options.arrived_at = clock_.steady_now();
        return options;
    }

    Status run(GenerationOptions options, const std::shared_ptr<RecordingReply>& reply) {
        return run(std::move(options), reply, {{3, 4}});
    }

    Status run(GenerationOptions options,
               const std::shared_ptr<RecordingReply>& reply,
               const std::vector<std::vector<TokenId>>& prompts) {
        const auto slot = meter_->begin(options.id, {options.num_prompt_tokens, 0, 0, 0});
        EXPECT_TRUE(slot.has_value());
        std::vector<SequenceSpec> specs;
        for (const std::vector<TokenId>& prompt : prompts) {
            SequenceSpec spec;
            spec.prompt = prompt;
            spec.max_tokens = max_tokens_;
            spec.wants_prompt_logprobs = !options.echo.empty() && options.logprobs;
            specs.push_back(std::move(spec));
        }
        const GenerationContext context{tokenizer_, loop_, queue_, *meter_, metrics_, clock_};
        newest_ = std::make_shared<Generation>(std::move(options), context, specs.size(), reply,
                                               **slot, nullptr);
        return newest_->start(specs);
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

}  // namespace turnpike::engine
