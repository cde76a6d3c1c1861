#include "gateway/edge/cold_wait.h"

#include <algorithm>
#include <utility>

namespace turnpike::gateway {
namespace {

// Most replicas of small models are there before a client's patience wants a sign.
constexpr auto kFirstComment = std::chrono::seconds(2);
constexpr auto kCommentPeriod = std::chrono::seconds(5);
constexpr std::string_view kComment = ": a replica of this model is starting\n\n";

const Error kTooLong{
    ErrorCode::kUnavailable, "a replica of this model is starting: try again in some seconds", {}};
const Error kNone{ErrorCode::kUnavailable, "no replica of this model is ready: try again", {}};

}  // namespace

ColdWait::ColdWait(ThreadContext& context,
                   Connection& connection,
                   Admission& admission,
                   ResponseHead head,
                   bool is_stream,
                   std::size_t max_input_bytes)
    : context_(context),
      connection_(connection),
      admission_(admission),
      head_(head),
      is_stream_(is_stream),
      max_input_bytes_(max_input_bytes),
      listening_(std::make_shared<Connection*>(&connection)) {}

ColdWait::Look ColdWait::look() {
    const DirectoryHolder::Shared& newest = context_.directory.current();
    const auto* endpoint = newest->find_endpoint(admission_.endpoint->id);
    if (endpoint == nullptr) return Look::kNever;
    if (endpoint->replicas.empty()) return endpoint->wakes ? Look::kWait : Look::kNever;
    admission_.endpoint_directory = newest;
    admission_.endpoint = endpoint;
    return Look::kReady;
}

// One question at a time: the answer may be long in coming.
void ColdWait::ask_for_news() {
    const std::uint64_t version = context_.directory.version();
    if (is_asking_ && version == asked_version_) return;
    is_asking_ = true;
    asked_version_ = version;
    auto report = [&loop = context_.loop, weak = std::weak_ptr<Connection*>(listening_)] {
        loop.post([weak] {
            const auto still_waiting = weak.lock();
            if (still_waiting != nullptr) (*still_waiting)->notify(Connection::kDirectory);
        });
    };
    context_.directory.when_changed(version, std::move(report));
}

Task<> ColdWait::comment() {
    std::string out;
    ResponseHead head = head_;
    head.date = context_.http_date;
    if (!is_head_sent_) append_head(out, head);
    is_head_sent_ = true;
    append_chunk(out, kComment);
    const auto outcome = co_await connection_.write(out, context_.times.client_stall);
    is_client_gone_ = outcome != Connection::Outcome::kOk;
}

Task<std::optional<Error>> ColdWait::run() {
    const SteadyTime begin = context_.clock.steady_now();
    const auto patience = is_stream_ ? context_.times.cold_stream : context_.times.cold_unary;
    SteadyTime next_comment = is_stream_ ? begin + kFirstComment : SteadyTime::max();
    for (;;) {
        const Look found = look();
        if (found == Look::kReady) co_return std::nullopt;
        if (found == Look::kNever) co_return kNone;
        const SteadyTime now = context_.clock.steady_now();
        if (now >= begin + patience) co_return kTooLong;
        if (now >= next_comment) {
            next_comment = now + kCommentPeriod;
            connection_.set_deadline(now + context_.times.client_stall);
            co_await comment();
            if (is_client_gone_) co_return kNone;
        }
        ask_for_news();
        connection_.set_deadline(std::min(next_comment, begin + patience));
        const unsigned events = co_await connection_.wait(
            Connection::kDirectory | Connection::kClientReadable | Connection::kDeadline);
        const bool has_input = (events & Connection::kClientReadable) != 0;
        if (has_input && !connection_.pull(max_input_bytes_)) {
            is_client_gone_ = true;
            co_return kNone;
        }
    }
}

std::string write_stream_end(std::string_view error_body) {
    std::string event = "data: ";
    event += error_body;
    event += "\n\n";
    std::string out;
    append_chunk(out, event);
    out += kLastChunk;
    return out;
}

}  // namespace turnpike::gateway
