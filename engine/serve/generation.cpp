#include "engine/serve/generation.h"

#include <utility>

#include "engine/api/api_error.h"
#include "engine/api/codec.h"
#include "engine/api/meter_line.h"

namespace turnpike::engine {

using text::TokenRole;

Generation::Generation(GenerationOptions options,
                       GenerationContext context,
                       std::shared_ptr<net::HttpReply> reply,
                       MeterFile::Slot& slot,
                       std::shared_ptr<void> keep)
    : options_(std::move(options)),
      context_(context),
      reply_(std::move(reply)),
      slot_(slot),
      keep_(std::move(keep)),
      counted_{options_.num_prompt_tokens, 0, 0, 0},
      usage_(counted_) {
    const ChoiceTextOptions text{options_.stop, options_.reasoning.has_value(),
                                 options_.reasoning_format};
    for (std::int32_t i = 0; i < options_.num_choices; ++i) {
        Counter counter{
            text::ReasoningSplitter(options_.reasoning.value_or(text::ReasoningTokens()),
                                    options_.reasoning_start),
            std::nullopt};
        Output output;
        (text.stop.empty() ? output.text : counter.text).emplace(context_.tokenizer, text);
        counters_.push_back(std::move(counter));
        outputs_.push_back(std::move(output));
        sequences_.push_back(context_.loop.new_sequence_id());
    }
}

Status Generation::start(const SequenceSpec& prototype) {
    std::vector<StepLoop::Job> jobs;
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
        StepLoop::Job job{prototype, [self = shared_from_this(), i](const TokenEvent& event) {
                              return self->count(i, event);
                          }};
        job.spec.id = sequences_[i];
        job.spec.choice_index = static_cast<std::int32_t>(i);
        jobs.push_back(std::move(job));
    }
    if (const Status status = context_.loop.submit(std::move(jobs)); !status) {
        context_.meter.withdraw(slot_);
        return status;
    }
    context_.queue.push([self = shared_from_this()] { self->begin(); });
    reply_->on_client_gone([weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->context_.queue.push([self] { self->cancel(); });
        }
    });
    return {};
}

// The meter file is written before anything is emitted, so it never holds less than a client saw.
// Stop strings are looked for here: so the sequence ends with the token that completes one, and the
// count does not depend on how far the work queue lags behind.
SinkVerdict Generation::count(std::size_t choice_index, const TokenEvent& event) {
    Counter& counter = counters_[choice_index];
    // The other choices find in the cache what the first has computed; the prompt is paid for once.
    if (choice_index == 0) counted_.cached_tokens = event.num_cached_tokens;
    Progress progress;
    progress.choice_index = choice_index;
    if (event.token) {
        progress.role = counter.splitter.push(*event.token);
        ++counted_.completion_tokens;
        if (progress.role != TokenRole::kContent) ++counted_.reasoning_tokens;
        MeterFile::update(slot_, counted_);
        if (event.finish_reason != FinishReason::kStop) progress.shown = event.token;
        progress.logprob = event.logprob;
        progress.alternatives = event.alternatives;
    }
    if (progress.shown && counter.text) {
        progress.piece = counter.text->push(*progress.shown, progress.role);
        progress.is_cut = counter.text->is_stopped();
        if (progress.is_cut) progress.ending = Ending::kStop;
    }
    if (event.is_last() && !progress.ending) {
        progress.ending = event.is_aborted                             ? Ending::kAborted
                          : event.finish_reason == FinishReason::kStop ? Ending::kStop
                                                                       : Ending::kLength;
    }
    if (progress.ending && counter.text) {
        if (!progress.piece) progress.piece.emplace();
        append(counter.text->flush(), *progress.piece);
    }
    if (progress.ending && ++num_ended_ == options_.num_choices) MeterFile::finish(slot_);
    progress.usage = counted_;
    const bool is_ended = progress.ending.has_value();
    context_.queue.push(
        [self = shared_from_this(), progress = std::move(progress)] { self->take(progress); });
    return is_ended ? SinkVerdict::kEnd : SinkVerdict::kContinue;
}

void Generation::append(const ChoiceText::Piece& more, ChoiceText::Piece& piece) {
    piece.content += more.content;
    piece.reasoning += more.reasoning;
}

void Generation::begin() {
    if (std::exchange(has_begun_, true) || !has_events()) return;
    reply_->start(200, {{"content-type", "text/event-stream; charset=utf-8"},
                        {"cache-control", "no-cache"},
                        {"x-request-id", options_.id}});
    if (options_.is_metered) write(format_meter_line({options_.num_prompt_tokens, 0, 0, 0}));
}

void Generation::take(const Progress& progress) {
    begin();  // the first token may be faster than the task that start() pushed
    usage_ = progress.usage;
    Output& output = outputs_[progress.choice_index];
    ChoiceText::Piece piece = progress.piece.value_or(ChoiceText::Piece());
    if (progress.shown && output.text) piece = output.text->push(*progress.shown, progress.role);
    if (progress.shown && options_.logprobs) add_detail(output, progress);
    if (progress.ending) {
        if (output.text) append(output.text->flush(), piece);
        output.finish_reason =
            progress.ending == Ending::kLength ? FinishReason::kLength : FinishReason::kStop;
        ++num_done_;
    }
    if (progress.ending == Ending::kAborted && !is_cancelled_) is_failed_ = true;
    emit(progress.choice_index, std::move(piece), progress.ending.has_value());
    if (is_all_done()) finish();
}

// The token that completes a stop string is not shown, and neither are hidden thoughts.
void Generation::add_detail(Output& output, const Progress& progress) const {
    const bool is_hidden = options_.reasoning_format == ReasoningFormat::kHidden &&
                           progress.role != TokenRole::kContent;
    if (progress.is_cut || is_hidden) return;
    SampledDetail detail{detail_of(*progress.shown, progress.logprob), {}};
    for (const TokenLogprob& other : progress.alternatives)
        detail.alternatives.push_back(detail_of(other.token, other.logprob));
    output.details.push_back(std::move(detail));
}

TokenDetail Generation::detail_of(TokenId token, float logprob) const {
    return {token, std::string(context_.tokenizer.token_bytes(token)), logprob};
}

std::optional<Logprobs> Generation::take_logprobs(Output& output) const {
    if (!options_.logprobs) return {};
    return Logprobs{*options_.logprobs, std::exchange(output.details, {})};
}

void Generation::emit(std::size_t choice_index, ChoiceText::Piece piece, bool is_last) {
    Output& output = outputs_[choice_index];
    if (options_.reasoning_format == ReasoningFormat::kHidden) piece.reasoning.clear();
    if (is_cancelled_ || is_failed_) return;
    if (!options_.is_stream) {
        output.content += piece.content;
        output.reasoning += piece.reasoning;
        return;
    }
    if (piece.content.empty() && piece.reasoning.empty() && !is_last) return;
    Delta delta;
    delta.index = static_cast<std::int32_t>(choice_index);
    delta.text = std::move(piece.content);
    delta.reasoning = std::move(piece.reasoning);
    delta.logprobs = take_logprobs(output);
    if (is_last) delta.finish_reason = output.finish_reason;
    Chunk chunk{
        options_.id, options_.created_unix_s, options_.model, {std::move(delta)}, std::nullopt};
    if (is_all_done() && !options_.include_usage) chunk.usage = usage_;
    write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
}

void Generation::finish() {
    if (is_cancelled_) return finish_cancelled();
    if (is_failed_) return finish_failed();
    if (!options_.is_stream) return finish_unary();
    if (options_.include_usage) {
        const Chunk chunk{options_.id, options_.created_unix_s, options_.model, {}, usage_};
        write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
    }
    write_event("[DONE]");
    reply_->finish();
}

// The client may have closed one direction only, and then still wants the count.
void Generation::finish_cancelled() {
    if (!has_events()) {
        const Error error = invalid_argument("the client closed before the answer: cancelled");
        return reply_->respond({http_status(error.code),
                                {{"content-type", "application/json"}},
                                write_error(options_.id, error)});
    }
    if (options_.is_metered) write(format_meter_line(usage_));
    reply_->finish();
}

// The loop ended sequences that nobody cancelled: the engine stops.
void Generation::finish_failed() {
    const Error error{
        ErrorCode::kUnavailable, "the engine stopped before the answer was complete", {}};
    const std::string body = write_error(options_.id, error);
    if (!has_events()) {
        return reply_->respond({http_status(error.code),
                                {{"content-type", "application/json"}, {"retry-after", "1"}},
                                body});
    }
    write_event(body);
    reply_->finish();
}

void Generation::finish_unary() {
    Answer answer{options_.id, options_.created_unix_s, options_.model, {}, usage_};
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        Output& output = outputs_[i];
        Choice choice;
        choice.index = static_cast<std::int32_t>(i);
        choice.text = std::move(output.content);
        const bool shows_reasoning =
            options_.reasoning && options_.reasoning_format == ReasoningFormat::kSeparate;
        if (shows_reasoning) choice.reasoning = std::move(output.reasoning);
        choice.finish_reason = output.finish_reason;
        choice.seed = options_.seed;
        choice.logprobs = take_logprobs(output);
        answer.choices.push_back(std::move(choice));
    }
    const std::string body =
        options_.is_chat ? write_chat_answer(answer) : write_completion_answer(answer);
    if (options_.is_metered) {
        write_event(body);
        reply_->finish();
    } else {
        reply_->respond(
            {200, {{"content-type", "application/json"}, {"x-request-id", options_.id}}, body});
    }
}

void Generation::write_event(const std::string& json) {
    if (options_.is_metered) write(format_meter_line(usage_));
    write("data: " + json + "\n\n");
}

void Generation::write(std::string chunk) {
    // A reader that is gone or too slow: stop producing. The last meter line is still tried.
    if (!reply_->write(std::move(chunk))) cancel();
}

void Generation::cancel() {
    if (std::exchange(is_cancelled_, true)) return;
    for (const SequenceId sequence : sequences_) context_.loop.abort(sequence);
}

}  // namespace turnpike::engine
