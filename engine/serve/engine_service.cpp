#include "engine/serve/engine_service.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "engine/api/api_error.h"
#include "engine/api/codec.h"
#include "engine/api/meter_line.h"
#include "engine/api/protocol.h"
#include "engine/serve/tokenize_routes.h"

namespace turnpike::engine {
namespace {

constexpr const char* kGetPaths[] = {"/health", "/load", "/metrics", "/meter", "/v1/models"};
constexpr const char* kPostPaths[] = {"/v1/chat/completions", "/v1/completions", "/tokenize",
                                      "/detokenize"};

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

SchedulerOptions scheduler_options(const EngineSettings& settings) {
    SchedulerOptions options;
    options.max_running = static_cast<std::int32_t>(settings.max_running);
    options.max_waiting = static_cast<std::int32_t>(limits::kMaxQueuedRequests);
    options.max_step_tokens = static_cast<std::int32_t>(settings.max_step_tokens);
    options.has_prefix_cache = settings.has_prefix_cache;
    options.num_speculative_tokens = static_cast<std::int32_t>(settings.speculative_tokens);
    options.max_speculating = static_cast<std::int32_t>(settings.max_speculating);
    options.cache_key = {random_word(), random_word()};
    return options;
}

// Milliseconds from arrival; none without the header.
Result<std::optional<std::chrono::milliseconds>> parse_deadline(const net::HttpRequest& request) {
    constexpr std::int64_t kDayMs = 86'400'000;
    const std::string_view text = request.headers.get(kDeadlineHeader);
    if (text.empty()) return std::optional<std::chrono::milliseconds>();
    std::int64_t milliseconds = 0;
    const char* const last = text.data() + text.size();
    const auto [end, problem] = std::from_chars(text.data(), last, milliseconds);
    if (problem != std::errc() || end != last || milliseconds < 0 || milliseconds > kDayMs) {
        return invalid_argument("expected 0 to " + std::to_string(kDayMs) +
                                " in x-turnpike-deadline-ms, found '" + std::string(text) + "'");
    }
    return std::optional(std::chrono::milliseconds(milliseconds));
}

// As a part of a path: SDKs escape the slash of a model's id.
std::string escaped(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos) {
            out += c;
        } else {
            out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
        }
    }
    return out;
}

// How often time is told: a deadline is met so exactly.
constexpr auto kTickPeriod = std::chrono::milliseconds(50);

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
                             Log& log,
                             StuckHandler on_stuck)
    : settings_(std::move(settings)),
      card_(std::move(card)),
      meter_(std::move(meter)),
      clock_(clock),
      log_(log),
      on_stuck_(std::move(on_stuck)),
      started_unix_s_(to_unix_us(clock.wall_now()) / 1'000'000),
      watchdog_(std::chrono::seconds(settings_.watchdog_seconds)) {}

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
    options.is_deterministic = settings_.is_deterministic;
    options.kv_tokens = settings_.kv_tokens;
    options.num_tokens = std::min(tokenizer->vocab_size(), info->vocab_size);
    options.with_draft_layer = settings_.speculative_tokens > 0;
    if (options.with_draft_layer && info->num_draft_layers == 0) {
        return fail(invalid_argument(
            "'speculative_tokens' is " + std::to_string(settings_.speculative_tokens) +
                ", but the model in " + settings_.model_dir +
                " has no multi-token-prediction layer to draft with: set it to 0",
            "speculative_tokens"));
    }
    auto runner = load_runner(options);
    if (!runner) return fail(runner.error());
    tokenizer_ = std::make_unique<text::Tokenizer>(std::move(*tokenizer));
    info_ = *info;
    runner_ = std::move(*runner);
    queue_ = std::make_unique<WorkQueue>();
    loop_ = std::make_unique<StepLoop>(*runner_, scheduler_options(settings_));
    ticker_ = std::make_unique<Ticker>(kTickPeriod, [this] { tick(); });
    EngineState loading = EngineState::kLoading;
    state_.compare_exchange_strong(loading, EngineState::kReady);
    log_.info("model_loaded", {{"model", card_.id}, {"architecture", info_.architecture}});
    return {};
}

void EngineService::stop() {
    drain();
    if (ticker_) ticker_->stop();
    if (loop_) loop_->stop();
    if (queue_) queue_->stop();
}

void EngineService::tick() {
    const SteadyTime now = clock_.steady_now();
    const Load load = loop_->load();
    tokens_per_s_ = rate_.sample(now, load.generated_tokens);
    live_.tick(now);
    // The GPU first: it is the reason why a step hangs.
    if (gpu_faults_) {
        if (const auto fault = gpu_faults_->poll()) give_up("gpu_failed", *fault);
    }
    if (const auto reason = watchdog_.observe(now, load)) give_up("engine_stuck", *reason);
}

void EngineService::give_up(const char* event, const std::string& reason) {
    if (std::exchange(has_given_up_, true)) return;
    {
        const std::lock_guard lock(reason_mutex_);
        reason_ = reason;
    }
    state_ = EngineState::kFailed;
    log_.error(event, {{"reason", reason}});
    on_stuck_(reason);
}

Load EngineService::load_now() const {
    const EngineState state = state_;
    const bool is_loaded = state == EngineState::kReady || state == EngineState::kDraining;
    if (!is_loaded || !loop_) return {};
    Load load = loop_->load();
    load.tokens_per_s = tokens_per_s_;
    return load;
}

Health EngineService::health() const {
    Health health{state_.load(), {}, card_.id, settings_.epoch, ::getpid(), kProtocol};
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

ServedModel EngineService::model() const {
    return {card_, info_, *tokenizer_, context_length()};
}

void EngineService::handle(const net::HttpRequest& request, const Reply& reply) {
    if (const Status status = check_peer(request); !status) {
        if (request.method == "POST") metrics_.refuse(status.error().code);
        return respond_error(*reply, std::string(request.headers.get(kRequestIdHeader)),
                             status.error());
    }
    const std::string_view path = request.path();
    const bool is_get = request.method == "GET";
    if (is_get && handle_get(path, *reply)) return;
    if (request.method == "POST" && handle_post(request, reply)) return;
    const auto is_path = [&](const char* known) { return path == known; };
    const bool is_known = std::any_of(std::begin(kGetPaths), std::end(kGetPaths), is_path) ||
                          std::any_of(std::begin(kPostPaths), std::end(kPostPaths), is_path);
    const std::string name = request.method + " " + std::string(path);
    respond_error(*reply, "",
                  is_known ? Error{ErrorCode::kMethodNotAllowed,
                                   name + ": the route exists, not with this method",
                                   {}}
                           : Error{ErrorCode::kNotFound, name + ": no such route", {}});
}

bool EngineService::handle_get(std::string_view path, net::HttpReply& reply) {
    constexpr std::string_view kMeterPrefix = "/meter/";
    constexpr std::string_view kModelPrefix = "/v1/models/";
    if (path == "/health") {
        get_health(reply);
    } else if (path == "/load") {
        reply.respond(json_response(200, write_load(load_now())));
    } else if (path == "/metrics") {
        reply.respond({200,
                       {{"content-type", std::string(MetricsText::kContentType)}},
                       write_metrics(metrics_, load_now(), state_, card_.id)});
    } else if (path == "/meter") {
        reply.respond(json_response(200, write_meter_totals(meter_->totals())));
    } else if (path.starts_with(kMeterPrefix)) {
        get_meter_entry(path.substr(kMeterPrefix.size()), reply);
    } else if (path == "/v1/models") {
        get_models({}, reply);
    } else if (path.starts_with(kModelPrefix)) {
        get_models(path.substr(kModelPrefix.size()), reply);
    } else {
        return false;
    }
    return true;
}

void EngineService::get_health(net::HttpReply& reply) const {
    const Health now = health();
    const int status = now.state == EngineState::kReady ? 200 : 503;
    reply.respond(json_response(status, write_health(now)));
}

void EngineService::get_meter_entry(std::string_view id, net::HttpReply& reply) const {
    const auto entry = meter_->find(std::string(id));
    if (entry) return reply.respond(json_response(200, write_meter_entry(*entry)));
    respond_error(reply, "", Error{ErrorCode::kNotFound, "this engine never saw that request", {}});
}

// Of one `id`, when it is not empty: the row alone.
void EngineService::get_models(std::string_view id, net::HttpReply& reply) const {
    ModelRow row;
    row.id = card_.id;
    row.created_unix_s = started_unix_s_;
    row.display_name = card_.display_name;
    row.organization = card_.organization;
    row.context_length = card_.context_length;
    if (id.empty()) return reply.respond(json_response(200, write_model_list({&row, 1}, false)));
    if (id == card_.id || id == escaped(card_.id))
        return reply.respond(json_response(200, write_model(row)));
    respond_error(reply, "",
                  Error{ErrorCode::kNotFound,
                        "model '" + std::string(id) + "' is not served here; '" + card_.id + "' is",
                        "model"});
}

bool EngineService::handle_post(const net::HttpRequest& request, const Reply& reply) {
    const std::string_view path = request.path();
    const bool is_chat = path == "/v1/chat/completions";
    if (is_chat || path == "/v1/completions") {
        generate(request, reply, is_chat);
        return true;
    }
    const bool is_tokenize = path == "/tokenize";
    if (!is_tokenize && path != "/detokenize") return false;
    const Status ready = check_ready();
    const Result<std::string> body = !ready        ? Result<std::string>(ready.error())
                                     : is_tokenize ? tokenize_body(model(), request.body)
                                                   : detokenize_body(model(), request.body);
    if (body) {
        reply->respond(json_response(200, *body));
    } else {
        respond_error(*reply, "", body.error());
    }
    return true;
}

Status EngineService::check_ready() const {
    const EngineState state = state_;
    if (state == EngineState::kReady) return {};
    return Error{ErrorCode::kUnavailable, "the engine is " + std::string(to_string(state)), {}};
}

Status EngineService::check_epoch(const net::HttpRequest& request) const {
    const std::string_view text = request.headers.get(kEpochHeader);
    if (text.empty() || text == std::to_string(settings_.epoch.value())) return {};
    return Error{ErrorCode::kConflict,
                 "expected epoch " + std::to_string(settings_.epoch.value()) + ", found " +
                     std::string(text),
                 {}};
}

// Of every route: a peer must speak a number that we know, and whoever means another replica must
// not take this one's word for its counts.
Status EngineService::check_peer(const net::HttpRequest& request) const {
    const std::string_view number = request.headers.get(kProtocolHeader);
    const bool is_peer =
        !number.empty() || request.headers.has(kReplicaHeader) || request.headers.has(kMeterHeader);
    // Who is no part of the service has no number. Health is what a number is learned from.
    if (is_peer && request.path() != "/health")
        RETURN_IF_ERROR(check_protocol(kEngineEnd, "gateway or control plane", number));
    const std::string_view text = request.headers.get(kReplicaHeader);
    if (text.empty() || settings_.replica.empty() || text == settings_.replica) return {};
    return Error{ErrorCode::kConflict,
                 "expected replica " + settings_.replica + ", found " + excerpt(text),
                 {}};
}

Result<RequestPlan> EngineService::plan(const net::HttpRequest& request,
                                        bool is_chat,
                                        SteadyTime arrived_at) const {
    // A gateway's alias or endpoint name means nothing here.
    const bool is_metered = request.headers.get(kMeterHeader) == "1";
    const auto deadline = parse_deadline(request);
    RETURN_IF_ERROR(deadline);
    const auto priority = parse_priority(request);
    RETURN_IF_ERROR(priority);
    auto plan =
        (is_chat ? plan_chat : plan_completion)(model(), request.body, random_seed(), is_metered);
    RETURN_IF_ERROR(plan);
    plan->options.is_metered = is_metered;
    plan->options.created_unix_s = to_unix_us(clock_.wall_now()) / 1'000'000;
    plan->options.keep_alive = std::chrono::seconds(settings_.keep_alive_seconds);
    for (SequenceSpec& prompt : plan->prompts) {
        prompt.priority = *priority;
        prompt.cache_salt = request.headers.get(kCacheSaltHeader);
    }
    plan->options.arrived_at = arrived_at;
    if (*deadline) plan->options.deadline = arrived_at + **deadline;
    return plan;
}

Status EngineService::admit(const net::HttpRequest& request,
                            const Reply& reply,
                            bool is_chat,
                            std::string id) {
    const SteadyTime arrived_at = clock_.steady_now();
    const auto keep = count_in(num_active_);
    RETURN_IF_ERROR(check_ready());
    RETURN_IF_ERROR(check_epoch(request));
    auto plan = this->plan(request, is_chat, arrived_at);
    RETURN_IF_ERROR(plan);
    GenerationOptions& options = plan->options;
    options.id = std::move(id);
    if (options.deadline && clock_.steady_now() >= *options.deadline) {
        return Error{
            ErrorCode::kGatewayTimeout, "the request's deadline passed before it was queued", {}};
    }
    metrics_.num_choices.observe(static_cast<double>(options.num_choices));
    metrics_.max_tokens.observe(static_cast<double>(plan->prompts.front().max_tokens));
    const auto slot = meter_->begin(options.id, {options.num_prompt_tokens, 0, 0, 0});
    RETURN_IF_ERROR(slot);
    const GenerationContext context{*tokenizer_, *loop_, *queue_, *meter_, metrics_, clock_};
    const auto generation = std::make_shared<Generation>(std::move(options), context,
                                                         plan->prompts.size(), reply, **slot, keep);
    RETURN_IF_ERROR(generation->start(plan->prompts));
    live_.add(generation);
    return {};
}

void EngineService::generate(const net::HttpRequest& request, const Reply& reply, bool is_chat) {
    std::string id(request.headers.get(kRequestIdHeader));
    if (id.empty()) id = crypto::new_request_id(clock_.wall_now()).value();
    const Status status = admit(request, reply, is_chat, id);
    if (status) return;
    metrics_.refuse(status.error().code);
    respond_error(*reply, id, status.error());
}

}  // namespace turnpike::engine
