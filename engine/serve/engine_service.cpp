#include "engine/serve/engine_service.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <thread>
#include <utility>

#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "engine/api/api_error.h"
#include "engine/api/codec.h"
#include "engine/api/meter_line.h"
#include "engine/text/chat_template.h"

namespace turnpike::engine {
namespace {

net::HttpResponse json_response(int status, std::string body) {
    return {status, {{"content-type", "application/json"}}, std::move(body)};
}

std::uint64_t random_word() {
    std::array<std::uint8_t, 8> bytes{};
    crypto::fill_random(bytes);
    return std::bit_cast<std::uint64_t>(bytes);
}

// Fits a signed integer of 64 bits, which many clients read.
std::uint64_t random_seed() {
    return random_word() >> 1;
}

// Who knows the gateway's socket may choose; clients cannot, as it forwards none of their headers.
Result<std::int32_t> parse_priority(const net::HttpRequest& request) {
    const std::string_view text = request.headers.get(kPriorityHeader);
    std::int32_t priority = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), priority);
    if (!text.empty() && (problem != std::errc() || end != text.data() + text.size()))
        return invalid_argument("expected an integer in x-turnpike-priority, found '" +
                                std::string(text) + "'");
    return priority;
}

Error not_supported(const std::string& param) {
    return invalid_argument("'" + param + "' is not supported by this engine: leave it out", param);
}

// What a request holds while it runs; the last reference counts it out.
std::shared_ptr<void> count_in(const std::shared_ptr<std::atomic<std::int64_t>>& counter) {
    ++*counter;
    return std::shared_ptr<void>(nullptr, [counter](void*) { --*counter; });
}

}  // namespace

EngineService::EngineService(EngineSettings settings,
                             schema::ModelCard card,
                             std::unique_ptr<MeterFile> meter,
                             const Clock& clock,
                             Log& log)
    : settings_(std::move(settings)),
      card_(std::move(card)),
      meter_(std::move(meter)),
      clock_(clock),
      log_(log) {}

Status EngineService::load() {
    const auto fail = [this](const Error& error) -> Status {
        {
            const std::lock_guard lock(reason_mutex_);
            reason_ = error.message;
        }
        state_ = EngineState::kFailed;
        return error;
    };
    auto tokenizer = text::Tokenizer::load(settings_.model_dir + "/tokenizer.json");
    if (!tokenizer) return fail(tokenizer.error());
    auto info = read_model_info(settings_.model_dir);
    if (!info) return fail(info.error());
    RunnerOptions options;
    options.model_dir = settings_.model_dir;
    options.numerics = card_.numerics;
    options.num_threads = settings_.num_threads > 0
                              ? static_cast<int>(settings_.num_threads)
                              : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    options.ranks = ranks_;
    options.num_threads = std::max(1, options.num_threads / ranks_.size());
    options.isa = settings_.isa;
    options.kv_tokens = settings_.kv_tokens;
    options.num_tokens = std::min(tokenizer->vocab_size(), info->vocab_size);
    auto runner = load_runner(options);
    if (!runner) return fail(runner.error());
    tokenizer_ = std::make_unique<text::Tokenizer>(std::move(*tokenizer));
    info_ = *info;
    runner_ = std::move(*runner);
    queue_ = std::make_unique<WorkQueue>();
    SchedulerOptions scheduler;
    scheduler.max_running = static_cast<std::int32_t>(settings_.max_running);
    scheduler.max_waiting = static_cast<std::int32_t>(limits::kMaxQueuedRequests);
    scheduler.max_step_tokens = std::max(scheduler.max_step_tokens, scheduler.max_running);
    scheduler.cache_key = {random_word(), random_word()};
    loop_ = std::make_unique<StepLoop>(*runner_, scheduler);
    EngineState loading = EngineState::kLoading;
    state_.compare_exchange_strong(loading, EngineState::kReady);
    log_.info("model_loaded", {{"model", card_.id}, {"architecture", info_.architecture}});
    return {};
}

void EngineService::stop() {
    drain();
    if (loop_) loop_->stop();
    if (queue_) queue_->stop();
}

Health EngineService::health() const {
    Health health{state_.load(), {}, card_.id, settings_.epoch, ::getpid()};
    switch (health.state) {
        case EngineState::kReady:
            break;
        case EngineState::kLoading:
            health.reason = "loading the model";
            break;
        case EngineState::kDraining:
            health.reason = "finishing " + std::to_string(num_active()) + " requests";
            break;
        case EngineState::kFailed: {
            const std::lock_guard lock(reason_mutex_);
            health.reason = reason_;
            break;
        }
    }
    return health;
}

std::int64_t EngineService::context_length() const {
    return std::min({card_.context_length, info_.max_positions, settings_.kv_tokens});
}

void EngineService::respond_error(net::HttpReply& reply,
                                  const std::string& id,
                                  const Error& error) const {
    net::HttpResponse response = json_response(http_status(error.code), write_error(id, error));
    if (!id.empty()) response.headers.add("x-request-id", id);
    if (error.code == ErrorCode::kUnavailable) response.headers.add("retry-after", "1");
    reply.respond(std::move(response));
}

void EngineService::handle(const net::HttpRequest& request,
                           const std::shared_ptr<net::HttpReply>& reply) {
    constexpr std::string_view kMeterPrefix = "/meter/";
    const std::string_view path = request.path();
    const bool is_get = request.method == "GET";
    const bool is_generation = path == "/v1/chat/completions" || path == "/v1/completions";
    if (is_generation && request.method == "POST")
        return generate(request, reply, path == "/v1/chat/completions");
    if (is_get && path == "/health") {
        const Health now = health();
        return reply->respond(
            json_response(now.state == EngineState::kReady ? 200 : 503, write_health(now)));
    }
    if (is_get && path == "/load") {
        const bool is_loaded = state_ == EngineState::kReady || state_ == EngineState::kDraining;
        return reply->respond(
            json_response(200, write_load(is_loaded && loop_ ? loop_->load() : Load())));
    }
    if (is_get && path == "/meter")
        return reply->respond(json_response(200, write_meter_totals(meter_->totals())));
    if (is_get && path.starts_with(kMeterPrefix)) {
        const auto entry = meter_->find(std::string(path.substr(kMeterPrefix.size())));
        if (entry) return reply->respond(json_response(200, write_meter_entry(*entry)));
        return respond_error(*reply, "",
                             Error{ErrorCode::kNotFound, "this engine never saw that request", {}});
    }
    if (is_get && path == "/v1/models") {
        ModelRow row;
        row.id = card_.id;
        row.display_name = card_.display_name;
        row.organization = card_.organization;
        row.context_length = card_.context_length;
        return reply->respond(json_response(200, write_model_list({&row, 1}, false)));
    }
    const bool is_known = is_generation || path == "/health" || path == "/load" ||
                          path == "/meter" || path == "/v1/models";
    const std::string name = request.method + " " + std::string(path);
    respond_error(*reply, "",
                  is_known ? Error{ErrorCode::kMethodNotAllowed,
                                   name + ": the route exists, not with this method",
                                   {}}
                           : Error{ErrorCode::kNotFound, name + ": no such route", {}});
}

Status EngineService::check_epoch(const net::HttpRequest& request) const {
    const std::string_view text = request.headers.get(kEpochHeader);
    if (text.empty() || text == std::to_string(settings_.epoch.value())) return {};
    return Error{ErrorCode::kConflict,
                 "expected epoch " + std::to_string(settings_.epoch.value()) + ", found " +
                     std::string(text),
                 {}};
}

Status EngineService::check_supported(const CommonRequest& request) const {
    if (request.echo) return not_supported("echo");
    if (request.ignore_eos) return not_supported("ignore_eos");
    const std::int32_t num_tokens = std::min(tokenizer_->vocab_size(), info_.vocab_size);
    if (!request.logit_bias.empty() && request.logit_bias.rbegin()->first >= num_tokens) {
        return invalid_argument("'logit_bias': expected token ids below " +
                                    std::to_string(num_tokens) + ", found " +
                                    std::to_string(request.logit_bias.rbegin()->first),
                                "logit_bias");
    }
    return {};
}

Result<SequenceSpec> EngineService::make_sequence(const CommonRequest& request,
                                                  std::vector<TokenId> prompt,
                                                  std::uint64_t seed) const {
    const std::int64_t context = context_length();
    const auto num_prompt = static_cast<std::int64_t>(prompt.size());
    if (num_prompt == 0) return invalid_argument("'prompt': expected at least one token", "prompt");
    for (const TokenId token : prompt) {
        if (token >= info_.vocab_size) {
            return invalid_argument("'prompt': token " + std::to_string(token) +
                                        " is beyond the vocabulary of " +
                                        std::to_string(info_.vocab_size),
                                    "prompt");
        }
    }
    const std::int64_t wanted = request.max_tokens.value_or(1);
    if (num_prompt + wanted > context) {
        return Error{ErrorCode::kContextLengthExceeded,
                     "this model's context is " + std::to_string(context) +
                         " tokens; the prompt has " + std::to_string(num_prompt) +
                         " and max_tokens asks for " + std::to_string(wanted),
                     request.max_tokens ? "max_tokens" : "messages"};
    }
    SequenceSpec spec;
    spec.prompt = std::move(prompt);
    spec.max_tokens = static_cast<std::int32_t>(
        request.max_tokens ? wanted : std::min(card_.default_max_tokens, context - num_prompt));
    spec.stop_tokens = {info_.eos_token};
    spec.sampling.temperature = request.temperature.value_or(card_.default_temperature);
    spec.sampling.top_p = request.top_p.value_or(card_.default_top_p);
    spec.sampling.top_k = request.top_k.value_or(0);
    spec.sampling.min_p = request.min_p.value_or(0.0F);
    spec.sampling.repetition_penalty = request.repetition_penalty.value_or(1.0F);
    spec.sampling.presence_penalty = request.presence_penalty.value_or(0.0F);
    spec.sampling.frequency_penalty = request.frequency_penalty.value_or(0.0F);
    spec.sampling.logit_bias = request.logit_bias;
    spec.sampling.seed = seed;
    spec.sampling.num_alternatives = request.top_logprobs.value_or(0);
    return spec;
}

GenerationOptions EngineService::make_options(const CommonRequest& request,
                                              const std::string& id,
                                              bool is_metered) const {
    GenerationOptions options;
    options.id = id;
    options.model = card_.id;
    options.created_unix_s = to_unix_us(clock_.wall_now()) / 1'000'000;
    options.is_stream = request.stream;
    options.include_usage = request.include_usage;
    options.is_metered = is_metered;
    options.num_choices = request.n;
    options.stop = request.stop;
    if (request.top_logprobs) options.logprobs = request.logprobs_shape;
    return options;
}

void EngineService::split_reasoning(ReasoningFormat format,
                                    bool ends_with_tool_result,
                                    GenerationOptions& options) const {
    using Start = text::ReasoningSplitter::Start;
    const bool is_inline_card = card_.reasoning_style == schema::ReasoningStyle::kInline;
    options.reasoning = text::ReasoningTokens::of(*tokenizer_);
    options.reasoning_start = ends_with_tool_result ? Start::kUndecided : Start::kReasoning;
    options.reasoning_format = format != ReasoningFormat::kDefault ? format
                               : is_inline_card                    ? ReasoningFormat::kInline
                                                                   : ReasoningFormat::kSeparate;
    if (!options.reasoning) options.reasoning_start = Start::kContent;
}

void EngineService::generate(const net::HttpRequest& http,
                             const std::shared_ptr<net::HttpReply>& reply,
                             bool is_chat) {
    std::string id(http.headers.get(kRequestIdHeader));
    if (id.empty()) id = crypto::new_request_id(clock_.wall_now()).value();
    const auto refuse = [&](const Error& error) { respond_error(*reply, id, error); };
    const auto keep = count_in(num_active_);
    if (state_ != EngineState::kReady) {
        return refuse({ErrorCode::kUnavailable,
                       "the engine is " + std::string(to_string(state_.load())),
                       {}});
    }
    if (const Status status = check_epoch(http); !status) return refuse(status.error());

    const bool is_metered = http.headers.get(kMeterHeader) == "1";
    CommonRequest common;
    std::vector<TokenId> prompt;
    ReasoningFormat format = ReasoningFormat::kDefault;
    bool ends_with_tool_result = false;
    if (is_chat) {
        auto request = parse_chat_request(http.body);
        if (!request) return refuse(request.error());
        prompt =
            text::encode_prompt(*tokenizer_, text::render_chat(request->messages, request->tools));
        format = request->reasoning_format;
        ends_with_tool_result = request->messages.back().role == Role::kTool;
        common = std::move(*request);
    } else {
        auto request = parse_completion_request(http.body);
        if (!request) return refuse(request.error());
        if (const auto* tokens = std::get_if<std::vector<TokenId>>(&request->prompt)) {
            prompt = *tokens;
        } else {
            prompt = tokenizer_->encode(std::get<std::string>(request->prompt),
                                        text::SpecialTokens::kPlain);
            prompt.insert(prompt.begin(), info_.bos_token);
        }
        common = std::move(*request);
    }
    if (!is_metered && common.model != card_.id) {
        return refuse({ErrorCode::kNotFound,
                       "model '" + common.model + "' is not served here; '" + card_.id + "' is",
                       "model"});
    }
    if (const Status status = check_supported(common); !status) return refuse(status.error());

    const std::uint64_t seed = common.seed.value_or(random_seed());
    auto sequence = make_sequence(common, std::move(prompt), seed);
    if (!sequence) return refuse(sequence.error());
    sequence->cache_salt = http.headers.get(kCacheSaltHeader);
    const auto priority = parse_priority(http);
    if (!priority) return refuse(priority.error());
    sequence->priority = *priority;
    GenerationOptions options = make_options(common, id, is_metered);
    options.is_chat = is_chat;
    options.seed = seed;
    options.num_prompt_tokens = static_cast<TokenCount>(sequence->prompt.size());
    if (is_chat && card_.reasoning == schema::ReasoningParser::kDeepseekR1)
        split_reasoning(format, ends_with_tool_result, options);
    const auto slot = meter_->begin(id, {options.num_prompt_tokens, 0, 0, 0});
    if (!slot) return refuse(slot.error());
    const GenerationContext context{*tokenizer_, *loop_, *queue_, *meter_};
    const auto generation =
        std::make_shared<Generation>(std::move(options), context, reply, **slot, keep);
    if (const Status status = generation->start(*sequence); !status) return refuse(status.error());
}

}  // namespace turnpike::engine
