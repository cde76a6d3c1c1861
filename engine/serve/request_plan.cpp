#include "engine/serve/request_plan.h"

#include <algorithm>
#include <utility>

#include "engine/api/codec.h"
#include "engine/text/chat_template.h"

namespace turnpike::engine {
namespace {

// Of prompts that are shown again, in all choices; each takes about 100 bytes until the answer is
// sent. A prompt of 128K tokens with five alternatives has 786K.
constexpr std::int64_t kMaxEchoedLogprobs = 1'000'000;

// Answers are numbered by choice; a stream has no place for the prompt of a chat.
Status check_common(const ServedModel& model, const CommonRequest& request, bool is_chat) {
    if (is_chat && request.echo && request.stream) {
        return invalid_argument(
            "'echo': a chat's prompt is told in the answer's 'prompt', which a stream does not "
            "have: leave out 'echo' or 'stream'",
            "echo");
    }
    const std::int32_t num_tokens = model.num_tokens();
    if (!request.logit_bias.empty() && request.logit_bias.rbegin()->first >= num_tokens) {
        return invalid_argument("'logit_bias': expected token ids below " +
                                    std::to_string(num_tokens) + ", found " +
                                    std::to_string(request.logit_bias.rbegin()->first),
                                "logit_bias");
    }
    return {};
}

Status check_prompt(const ServedModel& model, const std::vector<TokenId>& prompt) {
    if (prompt.empty()) return invalid_argument("'prompt': expected at least one token", "prompt");
    for (const TokenId token : prompt) {
        if (token < model.num_tokens()) continue;
        return invalid_argument("'prompt': token " + std::to_string(token) +
                                    " is beyond the vocabulary of " +
                                    std::to_string(model.num_tokens()),
                                "prompt");
    }
    return {};
}

// How many tokens may be generated after a prompt; 0 when only the prompt is asked for.
Result<std::int64_t> max_tokens_of(const ServedModel& model,
                                   const CommonRequest& request,
                                   std::int64_t num_prompt,
                                   const char* prompt_field) {
    const std::int64_t room = model.context_length - num_prompt;
    const std::int64_t wanted =
        request.max_tokens.value_or(std::min(model.card.default_max_tokens, room));
    const std::int64_t least = request.max_tokens == 0 ? 0 : 1;
    const bool is_cut = request.truncates_max_tokens && room >= least;
    if (room < least || (wanted > room && !is_cut)) {
        return Error{ErrorCode::kContextLengthExceeded,
                     "this model's context is " + std::to_string(model.context_length) +
                         " tokens; the prompt has " + std::to_string(num_prompt) +
                         " and max_tokens asks for " + std::to_string(std::max(wanted, least)),
                     request.max_tokens && room >= least ? "max_tokens" : prompt_field};
    }
    return std::min(wanted, room);
}

SamplingParams sampling_of(const schema::ModelCard& card, const CommonRequest& request) {
    SamplingParams sampling;
    sampling.temperature = request.temperature.value_or(card.default_temperature);
    sampling.top_p = request.top_p.value_or(card.default_top_p);
    sampling.top_k = request.top_k.value_or(0);
    sampling.min_p = request.min_p.value_or(0.0F);
    sampling.repetition_penalty = request.repetition_penalty.value_or(1.0F);
    sampling.presence_penalty = request.presence_penalty.value_or(0.0F);
    sampling.frequency_penalty = request.frequency_penalty.value_or(0.0F);
    sampling.logit_bias = request.logit_bias;
    sampling.num_alternatives = request.top_logprobs.value_or(0);
    return sampling;
}

Status check_echo(const CommonRequest& request, std::int64_t num_prompt_tokens) {
    if (!request.echo || !request.top_logprobs) return {};
    const std::int64_t count = num_prompt_tokens * request.n * (1 + *request.top_logprobs);
    if (count <= kMaxEchoedLogprobs) return {};
    return invalid_argument("'echo': the prompt's logprobs would be " + std::to_string(count) +
                                " numbers in all choices; at most " +
                                std::to_string(kMaxEchoedLogprobs) +
                                " are told: ask for fewer choices or alternatives",
                            "echo");
}

Result<SequenceSpec> make_sequence(const ServedModel& model,
                                   const CommonRequest& request,
                                   const char* prompt_field,
                                   std::vector<TokenId> prompt) {
    RETURN_IF_ERROR(check_prompt(model, prompt));
    const auto max_tokens =
        max_tokens_of(model, request, static_cast<std::int64_t>(prompt.size()), prompt_field);
    RETURN_IF_ERROR(max_tokens);
    SequenceSpec spec;
    spec.prompt = std::move(prompt);
    spec.max_tokens = static_cast<std::int32_t>(std::max<std::int64_t>(*max_tokens, 1));
    spec.min_tokens = static_cast<std::int32_t>(std::min(request.min_tokens, *max_tokens));
    if (!request.ignore_eos) spec.stop_tokens = {model.info.eos_token};
    spec.sampling = sampling_of(model.card, request);
    spec.wants_prompt_logprobs = request.echo && request.top_logprobs;
    return spec;
}

GenerationOptions make_options(const ServedModel& model, const CommonRequest& request) {
    GenerationOptions options;
    options.model = model.card.id;
    options.is_stream = request.stream;
    options.include_usage = request.include_usage;
    options.num_choices = request.n;
    options.stop = request.stop;
    options.min_tokens = request.min_tokens;
    options.has_prompt_only = request.max_tokens == 0;
    if (request.top_logprobs) options.logprobs = request.logprobs_shape;
    return options;
}

// Of a chat with a model that thinks: how thought and answer come apart.
void split_reasoning(const ServedModel& model,
                     const ChatRequest& request,
                     GenerationOptions& options) {
    using Start = text::ReasoningSplitter::Start;
    const bool is_inline_card = model.card.reasoning_style == schema::ReasoningStyle::kInline;
    const bool ends_with_tool_result = request.messages.back().role == Role::kTool;
    const ReasoningFormat format = request.reasoning_format;
    options.reasoning = text::ReasoningTokens::of(model.tokenizer);
    options.reasoning_start = ends_with_tool_result ? Start::kUndecided : Start::kReasoning;
    options.reasoning_format = format != ReasoningFormat::kDefault ? format
                               : is_inline_card                    ? ReasoningFormat::kInline
                                                                   : ReasoningFormat::kSeparate;
    if (!options.reasoning) options.reasoning_start = Start::kContent;
}

// A completion's prompts: their tokens, and their text as the client sees it.
std::vector<PromptText> read_prompts(const ServedModel& model, const CompletionRequest& request) {
    std::vector<PromptText> prompts;
    const auto add_text = [&](const std::string& text) {
        PromptText prompt{text, model.tokenizer.encode(text, text::SpecialTokens::kPlain)};
        prompt.tokens.insert(prompt.tokens.begin(), model.info.bos_token);
        prompts.push_back(std::move(prompt));
    };
    const auto add_tokens = [&](const std::vector<TokenId>& tokens) {
        text::IncrementalDecoder decoder(model.tokenizer);
        std::string text = request.echo ? decoder.push_bytes(model.tokenizer.decode(tokens)) : "";
        prompts.push_back({text + decoder.flush(), tokens});
    };
    if (const auto* text = std::get_if<std::string>(&request.prompt)) add_text(*text);
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) add_tokens(*ids);
    if (const auto* texts = std::get_if<std::vector<std::string>>(&request.prompt))
        std::for_each(texts->begin(), texts->end(), add_text);
    if (const auto* lists = std::get_if<std::vector<std::vector<TokenId>>>(&request.prompt))
        std::for_each(lists->begin(), lists->end(), add_tokens);
    return prompts;
}

Result<RequestPlan> make_plan(const ServedModel& model,
                              const CommonRequest& request,
                              const char* prompt_field,
                              std::vector<PromptText> prompts,
                              std::uint64_t seed) {
    RequestPlan plan;
    plan.options = make_options(model, request);
    plan.options.seed = request.seed.value_or(seed);
    for (PromptText& prompt : prompts) {
        auto sequence = make_sequence(model, request, prompt_field, prompt.tokens);
        RETURN_IF_ERROR(sequence);
        sequence->sampling.seed = plan.options.seed;
        plan.options.num_prompt_tokens += static_cast<TokenCount>(prompt.tokens.size());
        plan.prompts.push_back(std::move(*sequence));
        if (request.echo) plan.options.echo.push_back(std::move(prompt));
    }
    RETURN_IF_ERROR(check_echo(request, plan.options.num_prompt_tokens));
    return plan;
}

}  // namespace

std::int32_t ServedModel::num_tokens() const {
    return std::min(tokenizer.vocab_size(), info.vocab_size);
}

Status ServedModel::check_name(const std::string& name) const {
    const auto& aliases = card.aliases;
    if (name == card.id || std::find(aliases.begin(), aliases.end(), name) != aliases.end())
        return {};
    return Error{ErrorCode::kNotFound,
                 "model '" + name + "' is not served here; '" + card.id + "' is", "model"};
}

Result<RequestPlan> plan_chat(const ServedModel& model,
                              std::string_view body,
                              std::uint64_t seed,
                              bool takes_any_name) {
    const auto request = parse_chat_request(body);
    RETURN_IF_ERROR(request);
    if (!takes_any_name) RETURN_IF_ERROR(model.check_name(request->model));
    RETURN_IF_ERROR(check_common(model, *request, /*is_chat=*/true));
    const auto pieces = text::render_chat(request->messages, request->tools);
    PromptText prompt{request->echo ? text::to_text(pieces) : "",
                      text::encode_prompt(model.tokenizer, pieces)};
    auto plan = make_plan(model, *request, "messages", {std::move(prompt)}, seed);
    RETURN_IF_ERROR(plan);
    plan->options.is_chat = true;
    if (model.card.reasoning == schema::ReasoningParser::kDeepseekR1)
        split_reasoning(model, *request, plan->options);
    return plan;
}

Result<RequestPlan> plan_completion(const ServedModel& model,
                                    std::string_view body,
                                    std::uint64_t seed,
                                    bool takes_any_name) {
    const auto request = parse_completion_request(body);
    RETURN_IF_ERROR(request);
    if (!takes_any_name) RETURN_IF_ERROR(model.check_name(request->model));
    RETURN_IF_ERROR(check_common(model, *request, /*is_chat=*/false));
    auto plan = make_plan(model, *request, "prompt", read_prompts(model, *request), seed);
    RETURN_IF_ERROR(plan);
    plan->options.is_chat = false;
    return plan;
}

}  // namespace turnpike::engine
