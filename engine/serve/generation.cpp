// Generation on the step thread and at its edges; what the work queue does is in
// generation_answer.cpp.
#include "engine/serve/generation.h"

#include <algorithm>
#include <utility>

namespace turnpike::engine {

using text::TokenRole;

Generation::Generation(GenerationOptions options,
                       GenerationContext context,
                       std::size_t num_prompts,
                       std::shared_ptr<net::HttpReply> reply,
                       MeterFile::Slot& slot,
                       std::shared_ptr<void> keep)
    : options_(std::move(options)),
      context_(context),
      reply_(std::move(reply)),
      slot_(slot),
      keep_(std::move(keep)),
      counted_{options_.num_prompt_tokens, 0, 0, 0},
      times_(context.metrics,
             options_.arrived_at,
             num_prompts * static_cast<std::size_t>(options_.num_choices)),
      written_at_(options_.arrived_at.time_since_epoch().count()),
      usage_(counted_) {
    const ChoiceTextOptions text{options_.stop, options_.reasoning.has_value(),
                                 options_.reasoning_format, options_.min_tokens};
    const std::size_t num_all = num_prompts * static_cast<std::size_t>(options_.num_choices);
    for (std::size_t i = 0; i < num_all; ++i) {
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
    prepare_echo();
}

std::size_t Generation::prompt_of(std::size_t choice_index) const {
    return choice_index / static_cast<std::size_t>(options_.num_choices);
}

bool Generation::is_first_of_prompt(std::size_t choice_index) const {
    return choice_index % static_cast<std::size_t>(options_.num_choices) == 0;
}

// Without anything to generate only the logprobs of a prompt need the model, once a prompt.
bool Generation::is_run(std::size_t choice_index) const {
    if (!options_.has_prompt_only) return true;
    return is_first_of_prompt(choice_index) && !echoes_[prompt_of(choice_index)].is_known;
}

Status Generation::start(const std::vector<SequenceSpec>& prompts) {
    std::vector<StepLoop::Job> jobs;
    std::vector<Progress> not_run;
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
        if (!is_run(i)) {
            ++num_ended_;
            not_run.push_back({});
            not_run.back().choice_index = i;
            not_run.back().ending = Ending::kLength;
            not_run.back().usage = counted_;
            continue;
        }
        StepLoop::Job job{
            prompts[prompt_of(i)],
            [self = shared_from_this(), i](const TokenEvent& event) {
                return self->count(i, event);
            },
            [self = shared_from_this()] { self->times_.begin(self->context_.clock.steady_now()); }};
        job.spec.id = sequences_[i];
        job.spec.choice_index =
            static_cast<std::int32_t>(i % static_cast<std::size_t>(options_.num_choices));
        job.spec.wants_prompt_logprobs &= is_first_of_prompt(i);
        jobs.push_back(std::move(job));
    }
    const bool has_jobs = !jobs.empty();
    if (const Status status = context_.loop.submit(std::move(jobs)); !status) {
        context_.meter.withdraw(slot_);
        return status;
    }
    context_.metrics.prompt_tokens.add(options_.num_prompt_tokens);
    if (!has_jobs) MeterFile::finish(slot_);
    context_.queue.push([self = shared_from_this(), not_run = std::move(not_run)] {
        self->begin();
        for (const Progress& progress : not_run) self->take(progress);
    });
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
    if (is_first_of_prompt(choice_index)) {
        counted_.cached_tokens +=
            event.num_cached_tokens -
            std::exchange(counter.num_cached, TokenCount{event.num_cached_tokens});
    }
    Progress progress;
    progress.choice_index = choice_index;
    progress.prompt_tokens = event.prompt_tokens;
    counter.num_told += event.prompt_tokens.size();
    if (event.token) {
        times_.token(choice_index, context_.clock.steady_now());
        count_token(counter, event, progress);
    }
    progress.ending = ending_of(counter, event, progress);
    if (progress.ending && counter.text) {
        if (!progress.piece) progress.piece.emplace();
        append(counter.text->flush(), *progress.piece);
    }
    if (progress.ending) count_end(choice_index);
    progress.usage = counted_;
    const bool is_ended = progress.ending.has_value();
    context_.queue.push(
        [self = shared_from_this(), progress = std::move(progress)] { self->take(progress); });
    return is_ended ? SinkVerdict::kEnd : SinkVerdict::kContinue;
}

void Generation::count_token(Counter& counter, const TokenEvent& event, Progress& progress) {
    progress.role = counter.splitter.push(*event.token);
    ++counted_.completion_tokens;
    if (progress.role != TokenRole::kContent) ++counted_.reasoning_tokens;
    MeterFile::update(slot_, counted_);
    if (event.finish_reason != FinishReason::kStop) progress.shown = event.token;
    progress.logprob = event.logprob;
    progress.alternatives = event.alternatives;
    if (!progress.shown || !counter.text) return;
    progress.piece = counter.text->push(*progress.shown, progress.role);
    progress.is_cut = counter.text->is_stopped();
}

std::optional<Generation::Ending> Generation::ending_of(const Counter& counter,
                                                        const TokenEvent& event,
                                                        const Progress& progress) const {
    if (progress.is_cut) return Ending::kStop;
    if (event.is_aborted) return Ending::kAborted;
    if (event.finish_reason == FinishReason::kStop) return Ending::kStop;
    if (event.finish_reason) return Ending::kLength;
    // The sequence would go on to its first token, which nobody asked for.
    const bool is_told =
        options_.has_prompt_only &&
        counter.num_told == options_.echo[prompt_of(progress.choice_index)].tokens.size();
    if (is_told) return Ending::kLength;
    return {};
}

void Generation::count_end(std::size_t choice_index) {
    times_.end_choice(choice_index);
    if (++num_ended_ < counters_.size()) return;
    times_.end(counted_);
    MeterFile::finish(slot_);
}

void Generation::tick(SteadyTime now) {
    if (options_.deadline && now >= *options_.deadline && !std::exchange(is_expiry_told_, true))
        context_.queue.push([self = shared_from_this()] { self->expire(); });
    const SteadyTime written_at{SteadyTime::duration(written_at_.load())};
    const bool has_silence_limit = has_events() && options_.keep_alive.count() > 0;
    if (!has_silence_limit || now - written_at < options_.keep_alive) return;
    written_at_ = now.time_since_epoch().count();
    context_.queue.push([self = shared_from_this()] { self->keep_alive(); });
}

void Generation::append(const ChoiceText::Piece& more, ChoiceText::Piece& piece) {
    piece.content += more.content;
    piece.reasoning += more.reasoning;
}

}  // namespace turnpike::engine
