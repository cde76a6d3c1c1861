// Generation on the work queue: what the client gets.
#include <utility>

#include "engine/api/api_error.h"
#include "engine/api/codec.h"
#include "engine/api/meter_line.h"
#include "engine/serve/generation.h"

namespace turnpike::engine {

using text::TokenRole;

void Generation::prepare_echo() {
    for (const PromptText& prompt : options_.echo) {
        Echo echo;
        if (options_.logprobs) {
            echo.details.push_back(detail_of(prompt.tokens.front(), 0.0F, {}));
            echo.details.back().has_logprob = false;
            echo.is_known = prompt.tokens.size() == 1;
        }
        echoes_.push_back(std::move(echo));
    }
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
    if (progress.ending == Ending::kAborted) is_aborted_ = true;
    if (!progress.prompt_tokens.empty()) take_prompt_tokens(progress);
    emit(progress.choice_index, std::move(piece), progress.ending.has_value());
    if (is_all_done()) finish();
}

// The token that completes a stop string is not shown, and neither are hidden thoughts.
void Generation::add_detail(Output& output, const Progress& progress) const {
    const bool is_hidden = options_.reasoning_format == ReasoningFormat::kHidden &&
                           progress.role != TokenRole::kContent;
    if (progress.is_cut || is_hidden) return;
    output.details.push_back(detail_of(*progress.shown, progress.logprob, progress.alternatives));
}

SampledDetail Generation::detail_of(TokenId token,
                                    float logprob,
                                    const std::vector<TokenLogprob>& alternatives) const {
    const auto of = [&](TokenId id, float value) {
        return TokenDetail{id, std::string(context_.tokenizer.token_bytes(id)), value};
    };
    SampledDetail detail{of(token, logprob), {}};
    for (const TokenLogprob& other : alternatives)
        detail.alternatives.push_back(of(other.token, other.logprob));
    return detail;
}

std::optional<Logprobs> Generation::take_logprobs(Output& output) const {
    if (!options_.logprobs) return {};
    return Logprobs{*options_.logprobs, std::exchange(output.details, {})};
}

void Generation::take_prompt_tokens(const Progress& progress) {
    const std::size_t prompt = prompt_of(progress.choice_index);
    Echo& echo = echoes_[prompt];
    for (const SampledToken& token : progress.prompt_tokens)
        echo.details.push_back(detail_of(token.token, token.logprob, token.alternatives));
    echo.is_known = echo.details.size() == options_.echo[prompt].tokens.size();
    if (!echo.is_known) return;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        if (prompt_of(i) != prompt || i == progress.choice_index) continue;
        emit(i, std::exchange(outputs_[i].held, {}), outputs_[i].is_held_last);
    }
}

bool Generation::add_echo(std::size_t choice_index, ChoiceText::Piece& piece, bool is_last) {
    if (options_.echo.empty() || options_.is_chat) return true;
    Output& output = outputs_[choice_index];
    const std::size_t prompt = prompt_of(choice_index);
    const Echo& echo = echoes_[prompt];
    if (!echo.is_known) {
        append(piece, output.held);
        output.is_held_last = is_last;
        return false;
    }
    if (std::exchange(output.has_echoed, true)) return true;
    piece.content.insert(0, options_.echo[prompt].text);
    output.details.insert(output.details.begin(), echo.details.begin(), echo.details.end());
    return true;
}

void Generation::emit(std::size_t choice_index, ChoiceText::Piece piece, bool is_last) {
    Output& output = outputs_[choice_index];
    if (options_.reasoning_format == ReasoningFormat::kHidden) piece.reasoning.clear();
    if (is_cancelled_ || is_aborted_ || !add_echo(choice_index, piece, is_last)) return;
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
    if (is_last) ++num_last_told_;
    if (num_last_told_ == outputs_.size() && !options_.include_usage) chunk.usage = usage_;
    write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
}

void Generation::finish() {
    is_over_ = true;
    note_end();
    if (is_cancelled_) return finish_cancelled();
    if (is_aborted_) return finish_aborted();
    if (!options_.is_stream) return finish_unary();
    if (options_.include_usage) {
        const Chunk chunk{options_.id, options_.created_unix_s, options_.model, {}, usage_};
        write_event(options_.is_chat ? write_chat_chunk(chunk) : write_completion_chunk(chunk));
    }
    write_event("[DONE]");
    reply_->finish();
}

void Generation::note_end() {
    EngineMetrics& metrics = context_.metrics;
    RequestEnd end = RequestEnd::kStop;
    for (const Output& output : outputs_) {
        if (output.finish_reason == FinishReason::kLength) end = RequestEnd::kLength;
    }
    if (is_aborted_) end = is_expired_ ? RequestEnd::kAbort : RequestEnd::kError;
    if (is_cancelled_) end = RequestEnd::kAbort;
    metrics.ended[static_cast<std::size_t>(end)].add();
    if (is_aborted_ && is_expired_ && !is_cancelled_) metrics.deadlines_passed.add();
    const auto latency = context_.clock.steady_now() - options_.arrived_at;
    metrics.latency_s.observe(std::chrono::duration<double>(latency).count());
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

// Sequences were ended that no client gave up: by the deadline, or because the engine stops.
void Generation::finish_aborted() {
    const Error error =
        is_expired_
            ? Error{ErrorCode::kGatewayTimeout,
                    "the request's deadline passed after " +
                        std::to_string(usage_.completion_tokens) + " generated tokens",
                    {}}
            : Error{
                  ErrorCode::kUnavailable, "the engine stopped before the answer was complete", {}};
    const std::string body = write_error(options_.id, error);
    if (has_events()) {
        write_event(body);
        return reply_->finish();
    }
    net::HttpHeaders headers{{"content-type", "application/json"}, {"x-request-id", options_.id}};
    if (!is_expired_) headers.add("retry-after", "1");
    reply_->respond({http_status(error.code), std::move(headers), body});
}

void Generation::finish_unary() {
    Answer answer{options_.id, options_.created_unix_s, options_.model, {},
                  usage_,      echoed_prompts()};
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

std::vector<EchoedPrompt> Generation::echoed_prompts() const {
    std::vector<EchoedPrompt> prompts;
    for (std::size_t i = 0; i < options_.echo.size(); ++i) {
        EchoedPrompt prompt{options_.echo[i].text, std::nullopt};
        if (options_.logprobs) prompt.logprobs = Logprobs{*options_.logprobs, echoes_[i].details};
        prompts.push_back(std::move(prompt));
    }
    return prompts;
}

void Generation::write_event(const std::string& json) {
    if (options_.is_metered) write(format_meter_line(usage_));
    write("data: " + json + "\n\n");
}

void Generation::write(std::string chunk) {
    written_at_ = context_.clock.steady_now().time_since_epoch().count();
    // A reader that is gone or too slow: stop producing. The last meter line is still tried.
    if (!reply_->write(std::move(chunk))) cancel();
}

void Generation::cancel() {
    if (std::exchange(is_cancelled_, true)) return;
    abort_sequences();
}

void Generation::expire() {
    if (is_over_ || std::exchange(is_expired_, true)) return;
    abort_sequences();
}

// Proxies and clients take a long silence for a dead connection.
void Generation::keep_alive() {
    if (has_begun_ && !is_over_ && !is_cancelled_) write(": keep-alive\n\n");
}

void Generation::abort_sequences() {
    for (const SequenceId sequence : sequences_) context_.loop.abort(sequence);
}

}  // namespace turnpike::engine
