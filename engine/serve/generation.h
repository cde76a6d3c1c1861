// Generation: one request from its first token to its last byte. Token events arrive on the step
// thread, which counts, decides where a stop string ends a choice, and hands on; the client's text
// and JSON are made on the work queue, text with stop strings on the step thread, which needs it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/net/http_server.h"
#include "engine/api/response.h"
#include "engine/core/step_loop.h"
#include "engine/serve/choice_text.h"
#include "engine/serve/engine_metrics.h"
#include "engine/serve/meter_file.h"
#include "engine/serve/request_times.h"
#include "engine/serve/work_queue.h"
#include "engine/text/reasoning_splitter.h"

namespace turnpike::engine {

// A prompt as the client sees it again.
struct PromptText {
    std::string text;
    std::vector<TokenId> tokens;
};

struct GenerationOptions {
    std::string id;
    std::string model;
    std::int64_t created_unix_s = 0;
    bool is_chat = true;
    bool is_stream = false;
    bool include_usage = false;
    bool is_metered = false;
    std::int32_t num_choices = 1;  // of each prompt
    std::vector<std::string> stop;
    std::int64_t min_tokens = 0;
    std::uint64_t seed = 0;
    TokenCount num_prompt_tokens = 0;  // of all prompts
    // Empty: no reasoning parser, everything is content.
    std::optional<text::ReasoningTokens> reasoning;
    text::ReasoningSplitter::Start reasoning_start = text::ReasoningSplitter::Start::kContent;
    ReasoningFormat reasoning_format = ReasoningFormat::kSeparate;
    std::optional<LogprobsShape> logprobs;  // none = not asked for
    // When the prompts are shown again: one for each. A completion's text begins with it, and so do
    // its logprobs.
    std::vector<PromptText> echo;
    bool has_prompt_only = false;  // nothing is generated; `echo` is set
    SteadyTime arrived_at{};
    std::optional<SteadyTime> deadline;
    std::chrono::seconds keep_alive{0};  // silence before a comment; 0 = none
};

// What a generation works with; all outlive it.
struct GenerationContext {
    const text::Tokenizer& tokenizer;
    StepLoop& loop;
    WorkQueue& queue;
    MeterFile& meter;
    EngineMetrics& metrics;
    const Clock& clock;
};

class Generation : public std::enable_shared_from_this<Generation> {
  public:
    // `num_prompts` is at least 1. `slot` is the request's open slot of context.meter. `keep` is
    // held until the generation ends: whoever drains waits for it.
    Generation(GenerationOptions options,
               GenerationContext context,
               std::size_t num_prompts,
               std::shared_ptr<net::HttpReply> reply,
               MeterFile::Slot& slot,
               std::shared_ptr<void> keep);

    // Submits the sequences, options.num_choices for each of `prompts` (num_prompts of them), and
    // answers from then on. On an error nothing was answered and the slot is withdrawn.
    Status start(const std::vector<SequenceSpec>& prompts);

    // To be called now and then, by one thread: ends the request when its deadline has passed, and
    // breaks a long silence with a comment.
    void tick(SteadyTime now);

  private:
    enum class Ending { kStop, kLength, kAborted };

    // What one event of the step thread means to the client.
    struct Progress {
        std::size_t choice_index = 0;
        std::optional<TokenId> shown;  // none for an end token
        text::TokenRole role = text::TokenRole::kContent;
        std::optional<Ending> ending;
        std::optional<ChoiceText::Piece> piece;  // when the step thread makes the text
        bool is_cut = false;                     // the token completes a stop string
        TokenUsage usage;                        // of the request, this event included
        float logprob = 0.0F;  // of the token; with its alternatives, when asked for
        std::vector<TokenLogprob> alternatives{};
        std::vector<SampledToken> prompt_tokens{};
    };

    // One choice on the step thread.
    struct Counter {
        text::ReasoningSplitter splitter;
        std::optional<ChoiceText> text;  // with stop strings: they say where it ends
        TokenCount num_cached = 0;
        std::size_t num_told = 1;  // tokens of the prompt
    };

    // One choice on the work queue.
    struct Output {
        std::optional<ChoiceText> text;  // without stop strings
        std::string content;             // of a unary answer
        std::string reasoning;
        FinishReason finish_reason = FinishReason::kStop;
        std::vector<SampledDetail> details{};  // of tokens that no chunk has told yet
        bool has_echoed = false;
        ChoiceText::Piece held{};  // what came before its prompt's logprobs were known
        bool is_held_last = false;
    };

    // One prompt on the work queue, when it is shown again.
    struct Echo {
        std::vector<SampledDetail> details;
        bool is_known = true;
    };

    static void append(const ChoiceText::Piece& more, ChoiceText::Piece& piece);
    std::size_t prompt_of(std::size_t choice_index) const;
    bool is_first_of_prompt(std::size_t choice_index) const;
    bool is_run(std::size_t choice_index) const;
    void prepare_echo();
    // On the step thread.
    SinkVerdict count(std::size_t choice_index, const TokenEvent& event);
    void count_token(Counter& counter, const TokenEvent& event, Progress& progress);
    std::optional<Ending> ending_of(const Counter& counter,
                                    const TokenEvent& event,
                                    const Progress& progress) const;
    void count_end(std::size_t choice_index);
    // On the work queue.
    void begin();
    void take(const Progress& progress);
    void add_detail(Output& output, const Progress& progress) const;
    SampledDetail detail_of(TokenId token,
                            float logprob,
                            const std::vector<TokenLogprob>& alternatives) const;
    std::optional<Logprobs> take_logprobs(Output& output) const;
    void take_prompt_tokens(const Progress& progress);
    // False when the piece is kept until its prompt is known; else the piece begins with the
    // prompt, the first time.
    bool add_echo(std::size_t choice_index, ChoiceText::Piece& piece, bool is_last);
    void emit(std::size_t choice_index, ChoiceText::Piece piece, bool is_last);
    void finish();
    void note_end();
    void finish_cancelled();
    void finish_aborted();
    void finish_unary();
    std::vector<EchoedPrompt> echoed_prompts() const;
    void write_event(const std::string& json);
    void write(std::string chunk);
    void cancel();
    void expire();
    void keep_alive();
    void abort_sequences();

    bool has_events() const { return options_.is_stream || options_.is_metered; }

    bool is_all_done() const { return num_done_ == outputs_.size(); }

    const GenerationOptions options_;
    const GenerationContext context_;
    const std::shared_ptr<net::HttpReply> reply_;
    MeterFile::Slot& slot_;
    const std::shared_ptr<void> keep_;
    std::vector<SequenceId> sequences_;

    // Step thread only.
    std::vector<Counter> counters_;
    TokenUsage counted_;
    std::size_t num_ended_ = 0;
    RequestTimes times_;

    // Of tick().
    bool is_expiry_told_ = false;
    std::atomic<SteadyTime::rep> written_at_;  // the last write; also set by the work queue

    // Work queue only.
    std::vector<Output> outputs_;
    std::vector<Echo> echoes_;
    TokenUsage usage_;  // as of the event at hand
    std::size_t num_done_ = 0;
    std::size_t num_last_told_ = 0;
    bool has_begun_ = false;
    bool is_over_ = false;
    bool is_cancelled_ = false;  // by the client
    bool is_expired_ = false;    // by its deadline
    bool is_aborted_ = false;    // some choice did not end by itself
};

}  // namespace turnpike::engine
