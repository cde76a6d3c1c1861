// Admission: everything that is decided about a request before it is dispatched, head first, so
// that a stranger's body is not even read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"
#include "gateway/edge/request_head.h"
#include "gateway/edge/routes.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

// A request whose head has been read. Pointers live as long as `directory`.
struct IncomingRequest {
    RequestId id;
    Route route = Route::kHealth;
    DirectoryHolder::Shared directory;
    const controlplane::KeyRow* key = nullptr;
    std::optional<Error> refusal;  // set: this is the answer
    std::string refusal_lines;     // header lines that go with it
    std::size_t content_length = 0;
    bool is_chunked = false;
    bool expects_continue = false;
    bool keeps_alive = true;
    bool is_http10 = false;
    // Of what the control plane answers.
    std::string method;
    std::string target;
    std::string idempotency_key;
    bool wants_bare_list = false;  // Together's SDK iterates over the bare array of models
};

// Route, state of the gateway, key, media type, length. Uses `context`'s directory and
// authenticator.
IncomingRequest admit_head(const RequestHead& head, RequestId id, ThreadContext& context);

// What a completion needs to be dispatched. Pointers live as long as `directory`.
struct Admission {
    DirectoryHolder::Shared directory;
    const controlplane::KeyRow* key = nullptr;
    const controlplane::OrganisationRow* organisation = nullptr;
    const controlplane::ModelRow* model = nullptr;
    const controlplane::EndpointRow* endpoint = nullptr;
    DirectoryHolder::Shared endpoint_directory;  // where `endpoint` is, when it was waited for
    Route route = Route::kChatCompletions;
    bool is_stream = false;
    bool wants_cost = false;
    // What it may produce at most: of each choice; choices of all prompts.
    TokenCount max_tokens = 0;
    TokenCount num_choices = 1;
};

// Checks every field of the body with the engine's own codec (kInvalidArgument with `param`), finds
// the model (kNotFound) and its pool (kUnavailable when it has no replica and none is to be had by
// waiting).
Result<Admission> admit_body(const IncomingRequest& request, std::string_view body);

// GET /v1/models for the request's key.
std::string list_models(const IncomingRequest& request, WallTime now);

}  // namespace turnpike::gateway
