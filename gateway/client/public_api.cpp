#include "gateway/client/public_api.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "config/base/limits.h"
#include "config/net/sse_parser.h"
#include "engine/api/codec.h"

namespace turnpike::gateway::client {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kListTimeout = std::chrono::seconds(10);

// An answer that was not finished as the protocol wants it.
Failure broken(std::string message) {
    return {FailureKind::kBroken, std::move(message), 0};
}

Failure failure_of(const net::HttpResponse& response) {
    const json body = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    std::string message = "status " + std::to_string(response.status);
    if (body.is_object()) {
        const json said = body.value("/error/message"_json_pointer, json());
        if (said.is_string()) message = said.get<std::string>();
    }
    if (response.status == 401) message += "\n  Is TURNPIKE_API_KEY a key of this service?";
    if (const auto wait = response.headers.get("retry-after"); !wait.empty())
        message += "\n  Try again in " + std::string(wait) + " s.";
    const bool is_refusal = response.status >= 400 && response.status < 500;
    return {is_refusal ? FailureKind::kRefused : FailureKind::kBroken, std::move(message),
            response.status};
}

// Takes the bytes of a stream apart and remembers what went wrong.
class StreamReader {
  public:
    StreamReader(AnswerReader& answer, const ChatReaders& readers)
        : answer_(answer),
          readers_(readers),
          parser_([this](const net::SseEvent& event) { take(event); }, [](std::string_view) {}) {}

    // False: read no more.
    bool feed(std::string_view bytes) {
        has_bytes_ = true;
        parser_.feed(bytes);
        return !failure_;
    }

    bool has_bytes() const { return has_bytes_; }

    const std::optional<Failure>& failure() const { return failure_; }

  private:
    void take(const net::SseEvent& event) {
        if (failure_ || answer_.is_done()) return;
        const auto goes_on = answer_.take_event(event.data);
        if (!goes_on) {
            failure_ = broken(goes_on.error().message);
        } else if (!*goes_on || (!answer_.is_done() && !readers_.on_json(event.data))) {
            failure_ = Failure{FailureKind::kStopped, {}, 0};
        }
    }

    AnswerReader& answer_;
    const ChatReaders& readers_;
    net::SseParser parser_;
    bool has_bytes_ = false;
    std::optional<Failure> failure_;
};

}  // namespace

// One connection, known to cancel() for as long as it lives.
class PublicApi::Call {
  public:
    Call(PublicApi& api, std::chrono::milliseconds timeout)
        : api_(api), client_(options_of(api, timeout)) {
        const std::lock_guard lock(api_.mutex_);
        api_.current_ = &client_;
        api_.is_cancelled_ = false;
    }

    ~Call() {
        const std::lock_guard lock(api_.mutex_);
        api_.current_ = nullptr;
    }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    net::HttpClient& client() { return client_; }

    // What a failed exchange means; `has_begun`: some of the answer had come.
    Failure failure_of_transport(const Error& error, bool has_begun) {
        const std::lock_guard lock(api_.mutex_);
        if (api_.is_cancelled_) return {FailureKind::kCancelled, "cancelled", 0};
        return {has_begun ? FailureKind::kBroken : FailureKind::kUnreachable, error.message, 0};
    }

  private:
    static net::HttpClientOptions options_of(const PublicApi& api,
                                             std::chrono::milliseconds timeout) {
        net::HttpClientOptions options = api.service_.options;
        options.timeout = timeout;
        return options;
    }

    PublicApi& api_;
    net::HttpClient client_;
};

net::HttpRequest PublicApi::request_of(const char* method,
                                       const char* route,
                                       std::string body) const {
    net::HttpRequest request{method, service_.path + route, {}, std::move(body)};
    if (!service_.api_key.empty())
        request.headers.add("authorization", "Bearer " + service_.api_key.reveal());
    request.headers.add("user-agent", "turnpike-chat");
    if (!request.body.empty()) request.headers.add("content-type", "application/json");
    return request;
}

ChatOutcome PublicApi::chat(const engine::ChatRequest& request, const ChatReaders& readers) {
    const auto http = request_of("POST", "/chat/completions", engine::write_chat_request(request));
    AnswerReader answer(readers.on_piece);
    StreamReader stream(answer, readers);
    // An answer may think, or wait for its turn, for as long as the service allows.
    Call call(*this, limits::kRequestTimeout);
    const auto response =
        request.stream
            ? call.client().stream(http, [&](std::string_view bytes) { return stream.feed(bytes); })
            : call.client().send(http);
    ChatOutcome outcome;
    if (!response) {
        outcome.failure = call.failure_of_transport(response.error(), stream.has_bytes());
    } else if (response->status != 200) {
        outcome.failure = failure_of(*response);
    } else if (request.stream) {
        outcome.failure = stream.failure();
        if (!outcome.failure && !answer.is_done())
            outcome.failure = broken("the stream ended before the answer did");
    } else {
        const auto goes_on = answer.take_answer(response->body);
        if (!goes_on) outcome.failure = broken(goes_on.error().message);
        if (goes_on && (!*goes_on || !readers.on_json(response->body)))
            outcome.failure = Failure{FailureKind::kStopped, {}, 0};
    }
    outcome.facts = answer.facts();
    if (response) {
        const auto id = response->headers.get("x-request-id");
        if (!id.empty()) outcome.facts.request_id = id;
    }
    return outcome;
}

Result<PriceList> PublicApi::models() {
    Call call(*this, kListTimeout);
    const auto response = call.client().send(request_of("GET", "/models", {}));
    RETURN_IF_ERROR(response);
    if (response->status != 200) return Error{ErrorCode::kIo, failure_of(*response).message, {}};
    return PriceList::parse(response->body);
}

bool PublicApi::cancel() {
    const std::lock_guard lock(mutex_);
    if (current_ == nullptr) return false;
    is_cancelled_ = true;
    current_->cancel();
    return true;
}

}  // namespace turnpike::gateway::client
