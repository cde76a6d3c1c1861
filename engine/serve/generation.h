// Generation: one request from its first token to its last byte. Token events arrive on the step
// thread, which counts, decides where a stop string ends a choice, and hands on; the client's text
// and JSON are made on the work queue, text with stop strings on the step thread, which needs it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/net/http_server.h"
#include "engine/api/response.h"
#include "engine/core/step_loop.h"
#include "engine/serve/choice_text.h"
#include "engine/serve/meter_file.h"
#include "engine/serve/work_queue.h"
#include "engine/text/reasoning_splitter.h"

namespace turnpike::engine {

struct GenerationOptions {
    std::string id;
    std::string model;
    std::int64_t created_unix_s = 0;
    bool is_chat = true;
    bool is_stream = false;
    bool include_usage = false;
    bool is_metered = false;
    std::int32_t num_choices = 1;
    std::vector<std::string> stop;
    std::uint64_t seed = 0;
    TokenCount num_prompt_tokens = 0;
    // Empty: no reasoning parser, everything is content.
    std::optional<text::ReasoningTokens> reasoning;
    text::ReasoningSplitter::Start reasoning_start = text::ReasoningSplitter::Start::kContent;
    ReasoningFormat reasoning_format = ReasoningFormat::kSeparate;
    std::optional<LogprobsShape> logprobs;  // none = not asked for
};

// What a generation works with; all outlive it.
struct GenerationContext {
    const text::Tokenizer& tokenizer;
    StepLoop& loop;
    WorkQueue& queue;
    MeterFile& meter;
};

class Generation : public std::enable_shared_from_this<Generation> {
  public:
    // `slot` is the request's open slot of context.meter. `keep` is held until the generation ends:
    // whoever drains waits for it.
    Generation(GenerationOptions options,
               GenerationContext context,
               std::shared_ptr<net::HttpReply> reply,
               MeterFile::Slot& slot,
               std::shared_ptr<void> keep);

    // Submits one sequence per choice and answers from then on. On an error nothing was answered
    // and the slot is withdrawn.
    Status start(const SequenceSpec& prototype);

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
    };

    // One choice on the step thread.
    struct Counter {
        text::ReasoningSplitter splitter;
        std::optional<ChoiceText> text;  // with stop strings: they say where it ends
    };

    // One choice on the work queue.
    struct Output {
        std::optional<ChoiceText> text;  // without stop strings
        std::string content;             // of a unary answer
        std::string reasoning;
        FinishReason finish_reason = FinishReason::kStop;
        std::vector<SampledDetail> details{};  // of tokens that no chunk has told yet
    };

    static void append(const ChoiceText::Piece& more, ChoiceText::Piece& piece);
    // On the step thread.
    SinkVerdict count(std::size_t choice_index, const TokenEvent& event);
    // On the work queue.
    void begin();
    void take(const Progress& progress);
    void add_detail(Output& output, const Progress& progress) const;
    TokenDetail detail_of(TokenId token, float logprob) const;
    std::optional<Logprobs> take_logprobs(Output& output) const;
    void emit(std::size_t choice_index, ChoiceText::Piece piece, bool is_last);
    void finish();
    void finish_cancelled();
    void finish_failed();
    void finish_unary();
    void write_event(const std::string& json);
    void write(std::string chunk);
    void cancel();

    bool has_events() const { return options_.is_stream || options_.is_metered; }

    bool is_all_done() const { return num_done_ == options_.num_choices; }

    const GenerationOptions options_;
    const GenerationContext context_;
    const std::shared_ptr<net::HttpReply> reply_;
    MeterFile::Slot& slot_;
    const std::shared_ptr<void> keep_;
    std::vector<SequenceId> sequences_;

    // Step thread only.
    std::vector<Counter> counters_;
    TokenUsage counted_;
    std::int32_t num_ended_ = 0;

    // Work queue only.
    std::vector<Output> outputs_;
    TokenUsage usage_;  // as of the event at hand
    std::int32_t num_done_ = 0;
    bool has_begun_ = false;
    bool is_cancelled_ = false;  // by the client
    bool is_failed_ = false;     // by us
};

}  // namespace turnpike::engine
