// PublicApi: the calls of the public API that a chat needs, each on a connection of its own, and
// what went wrong when one fails.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "config/net/http_client.h"
#include "engine/api/request.h"
#include "gateway/client/answer_reader.h"
#include "gateway/client/price_list.h"
#include "gateway/client/service.h"

namespace turnpike::gateway::client {

enum class FailureKind {
    kUnreachable,  // no answer ever began
    kRefused,      // the API said no: a status of 4xx
    kBroken,       // it began and did not end, or the server is at fault: 5xx
    kStopped,      // the reader of the pieces wanted no more
    kCancelled
};

struct Failure {
    FailureKind kind = FailureKind::kBroken;
    std::string message;  // may hold the server's words: not yet harmless for a terminal
    int status = 0;       // of the response, 0 when there was none
};

struct ChatOutcome {
    AnswerFacts facts;  // as far as they came
    std::optional<Failure> failure;
};

struct ChatReaders {
    OnPiece on_piece;
    // Each JSON text of the answer as the server sent it; false as for on_piece.
    std::function<bool(std::string_view)> on_json;
};

class PublicApi {
  public:
    explicit PublicApi(Service service) : service_(std::move(service)) {}

    // Blocks until the answer has ended; the readers are called as it comes.
    ChatOutcome chat(const engine::ChatRequest& request, const ChatReaders& readers);
    Result<PriceList> models();

    // From any thread: ends the call in progress soon. False when there is none.
    bool cancel();

    const std::string& base_url() const { return service_.base_url; }

  private:
    class Call;

    net::HttpRequest request_of(const char* method, const char* route, std::string body) const;

    const Service service_;
    std::mutex mutex_;  // guards the rest
    net::HttpClient* current_ = nullptr;
    bool is_cancelled_ = false;
};

}  // namespace turnpike::gateway::client
