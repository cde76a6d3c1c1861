#include "gateway/edge/admission.h"

#include <utility>
#include <vector>

#include "config/base/limits.h"
#include "engine/api/codec.h"
#include "gateway/edge/header_scan.h"

namespace turnpike::gateway {
namespace {

// Names in messages are bounded: they are the client's own text.
constexpr std::size_t kMaxNamedBytes = 128;
constexpr std::string_view kTogetherAgent = "Together/";

Error unavailable(const char* message) {
    return Error{ErrorCode::kUnavailable, message, {}};
}

Status check_ready(const ThreadContext& context, const DirectoryHolder::Shared& directory) {
    if (context.is_refusing) return unavailable("this gateway is shutting down: try again");
    if (directory == nullptr) return unavailable("this gateway is starting: try again");
    if (context.directory.is_stale(context.clock.wall_now())) {
        return unavailable("this gateway has lost its control plane for too long");
    }
    return {};
}

Status check_body_head(const RequestHead& head) {
    if (head.content_length.value_or(0) > limits::kMaxBodyBytes) {
        return Error{ErrorCode::kTooLarge,
                     "expected a body of at most " + std::to_string(limits::kMaxBodyBytes) +
                         " bytes, found " + std::to_string(*head.content_length),
                     {}};
    }
    const std::string_view type = head.content_type.substr(0, head.content_type.find(';'));
    const bool is_json = type.empty() || equals_ignoring_case(type, "application/json");
    const bool is_plain =
        head.content_encoding.empty() || equals_ignoring_case(head.content_encoding, "identity");
    if (!is_json || !is_plain) {
        return Error{ErrorCode::kUnsupportedMedia,
                     "expected content-type application/json without content-encoding",
                     {}};
    }
    return {};
}

Status admit(const RequestHead& head, IncomingRequest& request, ThreadContext& context) {
    const auto route = find_route(head.path);
    RETURN_IF_ERROR(route);
    request.route = *route;
    if (!allows(*route, head.method)) {
        const std::string methods(methods_of(*route));
        request.refusal_lines = "allow: " + methods + "\r\n";
        return Error{ErrorCode::kMethodNotAllowed, "expected the method " + methods, {}};
    }
    request.directory = context.directory.current();
    if (!needs_key(*route)) return {};
    RETURN_IF_ERROR(check_ready(context, request.directory));
    const auto key = context.authenticator.authenticate(head.authorization, *request.directory,
                                                        context.clock.wall_now());
    RETURN_IF_ERROR(key);
    request.key = *key;
    if (is_controlplanes(*route)) {
        request.method = head.method;
        request.target = head.target;
        request.idempotency_key = head.idempotency_key;
    }
    return has_body(head.method) ? check_body_head(head) : Status();
}

Error unknown_model(const std::string& name) {
    return Error{ErrorCode::kNotFound,
                 "the model '" + name.substr(0, kMaxNamedBytes) +
                     "' does not exist, or this key may not use it: see GET /v1/models",
                 "model"};
}

// What routing and holding need of a body that has been checked whole.
struct BodyFacts {
    std::string model;
    bool is_stream = false;
    bool wants_cost = false;
    std::optional<TokenCount> max_tokens;
    TokenCount num_choices = 1;
};

std::size_t num_prompts(const engine::CompletionRequest& request) {
    if (const auto* texts = std::get_if<std::vector<std::string>>(&request.prompt))
        return texts->size();
    if (const auto* lists = std::get_if<std::vector<std::vector<TokenId>>>(&request.prompt))
        return lists->size();
    return 1;
}

Result<BodyFacts> parse_body(Route route, std::string_view body) {
    const auto facts_of = [](const engine::CommonRequest& request, std::size_t num_prompts) {
        return BodyFacts{request.model, request.stream, request.wants_cost, request.max_tokens,
                         request.n * static_cast<TokenCount>(num_prompts)};
    };
    if (route == Route::kChatCompletions) {
        const auto parsed = engine::parse_chat_request(body);
        RETURN_IF_ERROR(parsed);
        return facts_of(*parsed, 1);
    }
    const auto parsed = engine::parse_completion_request(body);
    RETURN_IF_ERROR(parsed);
    return facts_of(*parsed, num_prompts(*parsed));
}

}  // namespace

IncomingRequest admit_head(const RequestHead& head, RequestId id, ThreadContext& context) {
    IncomingRequest request;
    request.id = std::move(id);
    request.content_length = head.content_length.value_or(0);
    request.is_chunked = head.is_chunked;
    request.expects_continue = head.expects_continue;
    request.keeps_alive = head.keeps_alive && !context.is_draining;
    request.is_http10 = head.is_http10;
    request.wants_bare_list = head.user_agent.starts_with(kTogetherAgent);
    const Status status = admit(head, request, context);
    if (!status) request.refusal = status.error();
    return request;
}

Result<Admission> admit_body(const IncomingRequest& request, std::string_view body) {
    const auto facts = parse_body(request.route, body);
    RETURN_IF_ERROR(facts);
    Admission admission;
    admission.directory = request.directory;
    admission.route = request.route;
    admission.is_stream = facts->is_stream;
    admission.wants_cost = facts->wants_cost;
    admission.key = request.key;
    admission.organisation = request.directory->find_organisation(request.key->org);
    admission.model = request.directory->find_model(facts->model, request.key->org);
    if (admission.model == nullptr) return unknown_model(facts->model);
    const TokenCount context = admission.model->context_length;
    admission.max_tokens = std::min(facts->max_tokens.value_or(context), context);
    admission.num_choices = facts->num_choices;
    admission.endpoint = request.directory->find_endpoint(admission.model->endpoint);
    if (admission.endpoint == nullptr ||
        (admission.endpoint->replicas.empty() && !admission.endpoint->wakes)) {
        return unavailable("no replica of this model is ready: try again");
    }
    // Keys and organisations are published together; a key without its organisation is a snapshot
    // that has not arrived whole.
    if (admission.organisation == nullptr)
        return unavailable("this key is not active yet: try again");
    return admission;
}

std::string list_models(const IncomingRequest& request, WallTime now) {
    std::vector<engine::ModelRow> rows;
    for (const controlplane::ModelRow* model : request.directory->models_of(request.key->org)) {
        engine::ModelRow row;
        row.id = model->name;
        row.created_unix_s = to_unix_us(model->created_at) / 1'000'000;
        row.display_name = model->display_name;
        row.organization = model->organization;
        row.context_length = model->context_length;
        row.price = controlplane::price_at(*model, now);
        rows.push_back(std::move(row));
    }
    return engine::write_model_list(rows, request.wants_bare_list);
}

}  // namespace turnpike::gateway
