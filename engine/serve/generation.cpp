#include "engine/serve/generation.h"

#include <utility>

#include "engine/api/codec.h"
#include "engine/api/meter_line.h"

namespace turnpike::engine {

using text::TokenRole;

Generation::Choice::Choice(const text::Tokenizer& tokenizer, const GenerationOptions& options)
    : content_decoder(tokenizer),
      reasoning_decoder(tokenizer),
      content_stop(options.stop),
      reasoning_stop(options.stop) {}

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
    for (std::int32_t i = 0; i < options_.num_choices; ++i) {
        splitters_.emplace_back(options_.reasoning.value_or(text::ReasoningTokens()),
                                options_.reasoning_start);
        choices_.emplace_back(context_.tokenizer, options_);
        sequences_.push_back(context_.loop.new_sequence_id());
    }
}

Status Generation::start(const SequenceSpec& prototype) {
    std::vector<StepLoop::Job> jobs;
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
        StepLoop::Job job{prototype, [self = shared_from_this(), i](const TokenEvent& event) {
                              self->count(i, event);
                          }};
        job.spec.id = sequences_[i];
        job.spec.choice_index = static_cast<std::int32_t>(i);
        jobs.push_back(std::move(job));
    }
    if (const Status status = context_.loop.submit(std::move(jobs)); !status) {
        MeterFile::update(slot_, TokenUsage());
        MeterFile::finish(slot_);
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

void Generation::count(std::size_t choice, const TokenEvent& event) {
    TokenRole role = TokenRole::kContent;
    if (event.token) {
        role = splitters_[choice].push(*event.token);
        ++counted_.completion_tokens;
        if (role != TokenRole::kContent) ++counted_.reasoning_tokens;
        MeterFile::update(slot_, counted_);
    }
    if (event.is_last() && ++num_ended_ == options_.num_choices) MeterFile::finish(slot_);
    context_.queue.push([self = shared_from_this(), choice, event, role, usage = counted_] {
        self->take(choice, event, role, usage);
    });
}

void Generation::begin() {
    if (std::exchange(has_begun_, true)) return;
    if (!options_.is_stream && !options_.is_metered) return;
    reply_->start(200, {{"content-type", "text/event-stream; charset=utf-8"},
                        {"cache-control", "no-cache"},
                        {"x-request-id", options_.id}});
    if (options_.is_metered) write(format_meter_line({options_.num_prompt_tokens, 0, 0, 0}));
}

void Generation::take(std::size_t index,
                      const TokenEvent& event,
                      TokenRole role,
                      const TokenUsage& usage) {
    begin();
    usage_ = usage;
    Choice& choice = choices_[index];
    Delta delta;
    delta.index = static_cast<std::int32_t>(index);
    const bool is_stop_token = event.finish_reason == FinishReason::kStop;
    if (event.token && !is_stop_token && !choice.is_stopped && !is_cancelled_)
        delta = show(index, *event.token, role);
    if (event.is_last()) {
        if (!choice.is_stopped) flush(choice, delta);
        choice.finish_reason = choice.is_stopped
                                   ? FinishReason::kStop
                                   : event.finish_reason.value_or(FinishReason::kStop);
        delta.finish_reason = choice.finish_reason;
        ++num_done_;
    }
    const bool is_last_of_request = num_done_ == options_.num_choices;
    emit(std::move(delta), is_last_of_request);
    if (is_last_of_request) finish();
}

Delta Generation::show(std::size_t index, TokenId token, TokenRole role) {
    Choice& choice = choices_[index];
    Delta delta;
    delta.index = static_cast<std::int32_t>(index);
    const bool is_inline = options_.reasoning_format == ReasoningFormat::kInline;
    const bool is_content = role == TokenRole::kContent || is_inline;
    if (is_content) {
        std::string shown = choice.content_stop.push(choice.content_decoder.push(token));
        if (options_.reasoning && !is_inline && !choice.has_content) {
            // R1 puts an empty line between thought and answer.
            shown.erase(0, std::min(shown.find_first_not_of('\n'), shown.size()));
        }
        choice.has_content = choice.has_content || !shown.empty();
        delta.text = std::move(shown);
    } else if (role == TokenRole::kReasoning) {
        delta.reasoning = choice.reasoning_stop.push(choice.reasoning_decoder.push(token));
        const bool is_leading = choice.reasoning.empty() && delta.reasoning.starts_with('\n');
        if (is_leading) delta.reasoning.erase(0, 1);
    } else {
        delta.reasoning = choice.reasoning_stop.push(choice.reasoning_decoder.flush());
        delta.reasoning += choice.reasoning_stop.flush();
    }
    choice.reasoning += delta.reasoning;
    choice.is_stopped = choice.content_stop.has_matched() || choice.reasoning_stop.has_matched();
    if (choice.is_stopped) context_.loop.abort(sequences_[index]);
    return delta;
}

void Generation::flush(Choice& choice, Delta& delta) {
    std::string reasoning = choice.reasoning_stop.push(choice.reasoning_decoder.flush());
    if (!choice.reasoning_stop.has_matched()) reasoning += choice.reasoning_stop.flush();
    choice.reasoning += reasoning;
    delta.reasoning += reasoning;
    delta.text += choice.content_stop.push(choice.content_decoder.flush());
    if (!choice.content_stop.has_matched()) delta.text += choice.content_stop.flush();
}

void Generation::emit(Delta delta, bool is_last_of_request) {
    Choice& choice = choices_[static_cast<std::size_t>(delta.index)];
    choice.content += delta.text;
    if (!options_.is_stream || is_cancelled_) return;
    if (options_.reasoning_format == ReasoningFormat::kHidden) delta.reasoning.clear();
    if (delta.text.empty() && delta.reasoning.empty() && !delta.finish_reason) return;
    Chunk chunk{
        options_.id, options_.created_unix_s, options_.model, {std::move(delta)}, std::nullopt};
    if (is_last_of_request && !options_.include_usage) chunk.usage = usage_;
    write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
}

void Generation::finish() {
    if (is_cancelled_) {
        if (options_.is_metered) write(format_meter_line(usage_));
        reply_->finish();
        return;
    }
    if (!options_.is_stream) return finish_unary();
    if (options_.include_usage) {
        const Chunk chunk{options_.id, options_.created_unix_s, options_.model, {}, usage_};
        write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
    }
    write_event("[DONE]");
    reply_->finish();
}

void Generation::finish_unary() {
    Answer answer{options_.id, options_.created_unix_s, options_.model, {}, usage_};
    for (std::size_t i = 0; i < choices_.size(); ++i) {
        Choice& choice = choices_[i];
        engine::Choice result;
        result.index = static_cast<std::int32_t>(i);
        result.text = std::move(choice.content);
        const bool shows_reasoning =
            options_.reasoning && options_.reasoning_format == ReasoningFormat::kSeparate;
        if (shows_reasoning) result.reasoning = std::move(choice.reasoning);
        result.finish_reason = choice.finish_reason;
        result.seed = options_.seed;
        answer.choices.push_back(std::move(result));
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
