// Generation: one request from its first token to its last byte. Token events arrive on the step
// thread, which counts and hands on; text and JSON are made on the work queue.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/net/http_server.h"
#include "engine/api/response.h"
#include "engine/core/step_loop.h"
#include "engine/serve/meter_file.h"
#include "engine/serve/work_queue.h"
#include "engine/text/incremental_decoder.h"
#include "engine/text/reasoning_splitter.h"
#include "engine/text/stop_matcher.h"

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
};

// What a generation works with; all outlive it.
struct GenerationContext {
    const text::Tokenizer& tokenizer;
    StepLoop& loop;
    WorkQueue& queue;
};

class Generation : public std::enable_shared_from_this<Generation> {
  public:
    // `keep` is held until the generation ends: whoever drains waits for it.
    Generation(GenerationOptions options,
               GenerationContext context,
               std::shared_ptr<net::HttpReply> reply,
               MeterFile::Slot& slot,
               std::shared_ptr<void> keep);

    // Submits one sequence per choice and answers from then on. On an error nothing was answered,
    // the meter's slot is final and empty.
    Status start(const SequenceSpec& prototype);

  private:
    struct Choice {
        Choice(const text::Tokenizer& tokenizer, const GenerationOptions& options);

        text::IncrementalDecoder content_decoder;
        text::IncrementalDecoder reasoning_decoder;
        text::StopMatcher content_stop;
        text::StopMatcher reasoning_stop;
        std::string content;  // of a unary answer
        std::string reasoning;
        bool has_content = false;
        bool is_stopped = false;  // by a stop string; later tokens are counted and not shown
        FinishReason finish_reason = FinishReason::kStop;
    };

    // On the step thread.
    void count(std::size_t choice, const TokenEvent& event);
    // On the work queue.
    void begin();
    void take(std::size_t choice,
              const TokenEvent& event,
              text::TokenRole role,
              const TokenUsage& usage);
    Delta show(std::size_t choice, TokenId token, text::TokenRole role);
    void flush(Choice& choice, Delta& delta);
    void emit(Delta delta, bool is_last_of_request);
    void finish();
    void finish_unary();
    void write_event(const std::string& json);
    void write(std::string chunk);
    void cancel();

    const GenerationOptions options_;
    const GenerationContext context_;
    const std::shared_ptr<net::HttpReply> reply_;
    MeterFile::Slot& slot_;
    const std::shared_ptr<void> keep_;
    std::vector<SequenceId> sequences_;

    // Step thread only.
    std::vector<text::ReasoningSplitter> splitters_;
    TokenUsage counted_;
    std::int32_t num_ended_ = 0;

    // Work queue only.
    std::vector<Choice> choices_;
    TokenUsage usage_;  // as of the event at hand
    std::int32_t num_done_ = 0;
    bool has_begun_ = false;
    bool is_cancelled_ = false;
};

}  // namespace turnpike::engine
