#include "gateway/edge/upstream_call.h"

#include <algorithm>
#include <utility>

#include "config/base/limits.h"

namespace turnpike::gateway {

using Io = IoResult::Status;

namespace {

constexpr std::size_t kMinReadBytes = 4096;

}  // namespace

UpstreamCall::UpstreamCall(ThreadContext& context,
                           Connection& connection,
                           std::unique_ptr<Upstream> upstream,
                           std::size_t max_input_bytes)
    : context_(context),
      connection_(connection),
      upstream_(std::move(upstream)),
      max_input_bytes_(max_input_bytes) {
    connection_.listen_to(upstream_.get());
}

UpstreamCall::~UpstreamCall() {
    connection_.listen_to(nullptr);
}

Task<std::unique_ptr<Upstream>> UpstreamCall::connect(ThreadContext& context,
                                                      Connection& connection,
                                                      const std::string& address,
                                                      bool may_reuse) {
    std::unique_ptr<Upstream> upstream = may_reuse ? context.pool.take(address) : nullptr;
    if (upstream != nullptr) co_return upstream;
    auto opened = Upstream::connect(context.loop, address, context.upstream_tls);
    if (!opened) {
        context.log.warning("replica_unreachable",
                            {{"address", address}, {"reason", opened.error().message}});
        co_return nullptr;
    }
    upstream = std::move(*opened);
    if (!upstream->is_open() && !co_await finish_opening(context, connection, *upstream))
        co_return nullptr;
    co_return upstream;
}

Task<bool> UpstreamCall::finish_opening(ThreadContext& context,
                                        Connection& connection,
                                        Upstream& upstream) {
    const SteadyTime outer_deadline = connection.deadline();
    connection.set_deadline(context.clock.steady_now() + context.times.connect);
    connection.listen_to(&upstream);
    unsigned awaited = Connection::kUpstreamWritable;
    std::string problem;
    while (problem.empty() && !upstream.is_open()) {
        const unsigned happened = co_await connection.wait(awaited | Connection::kDeadline);
        if ((happened & Connection::kDeadline) != 0) {
            problem = "no answer in time";
            break;
        }
        const Result<Io> status = upstream.open();
        if (!status) problem = status.error().message;
        const bool wants_read = status && *status == Io::kWouldRead;
        awaited = wants_read ? Connection::kUpstreamReadable : Connection::kUpstreamWritable;
    }
    connection.listen_to(nullptr);
    connection.set_deadline(outer_deadline);
    if (!problem.empty()) {
        context.log.warning("replica_unreachable",
                            {{"address", upstream.address()}, {"reason", problem}});
    }
    co_return problem.empty();
}

unsigned UpstreamCall::client_events() const {
    const bool has_room = connection_.input().size() < max_input_bytes_;
    return watches_client_ && has_room ? Connection::kClientReadable : 0U;
}

Task<UpstreamCall::Event> UpstreamCall::send(std::string_view head, std::string_view body) {
    const std::size_t total = head.size() + body.size();
    std::size_t sent = 0;
    while (sent < total) {
        const IoResult result = upstream_->write(head, body, sent);
        if (result.status == Io::kOk) {
            sent += result.num_bytes;
            continue;
        }
        const bool wants_read = result.status == Io::kWouldRead;
        if (!wants_read && result.status != Io::kWouldWrite) co_return Event::kEnded;
        const unsigned awaited =
            wants_read ? Connection::kUpstreamReadable : Connection::kUpstreamWritable;
        const unsigned happened = co_await connection_.wait(awaited | Connection::kDeadline);
        if ((happened & Connection::kDeadline) != 0) co_return Event::kDeadline;
    }
    co_return Event::kOk;
}

Task<UpstreamCall::Event> UpstreamCall::read_more(std::size_t min_free) {
    for (;;) {
        const IoResult result = upstream_->read(std::max(min_free, kMinReadBytes));
        if (result.status == Io::kOk) {
            has_received_ = true;
            co_return Event::kOk;
        }
        const bool wants_write = result.status == Io::kWouldWrite;
        if (!wants_write && result.status != Io::kWouldRead) {
            if (result.status == Io::kFailed) log_failure();
            co_return Event::kEnded;
        }
        const unsigned awaited =
            wants_write ? Connection::kUpstreamWritable : Connection::kUpstreamReadable;
        const unsigned happened =
            co_await connection_.wait(awaited | Connection::kDeadline | client_events());
        if ((happened & Connection::kDeadline) != 0) co_return Event::kDeadline;
        const bool has_client_news = (happened & Connection::kClientReadable) != 0;
        if (has_client_news && !connection_.pull(max_input_bytes_)) co_return Event::kClientGone;
    }
}

// In TLS 1.3 an engine refuses our certificate after the handshake, to our first read.
void UpstreamCall::log_failure() const {
    if (!upstream_->is_tls()) return;
    context_.log.warning("replica_tls_failed",
                         {{"address", upstream_->address()}, {"reason", net::take_ssl_error()}});
}

Task<UpstreamCall::Event> UpstreamCall::read_head() {
    for (;;) {
        const std::string_view bytes = input().view();
        const std::size_t end = bytes.find("\r\n\r\n");
        if (end != std::string_view::npos) {
            auto head = parse_reply_head(bytes.substr(0, end + 4));
            if (!head) {
                context_.log.error("replica_reply_broken", {{"address", upstream_->address()},
                                                            {"reason", head.error().message}});
                co_return Event::kEnded;
            }
            input().consume(end + 4);
            head_ = *head;
            co_return Event::kOk;
        }
        if (bytes.size() > limits::kMaxHeadBytes) co_return Event::kEnded;
        const Event event = co_await read_more(kMinReadBytes);
        if (event != Event::kOk) co_return event;
    }
}

void UpstreamCall::cancel() {
    upstream_->half_close();
    watches_client_ = false;
    connection_.set_deadline(context_.clock.steady_now() + context_.times.cancel);
}

void UpstreamCall::give_back() {
    connection_.listen_to(nullptr);
    if (!head_ || !head_->keeps_alive || !input().empty()) return;
    context_.pool.give_back(std::move(upstream_), context_.clock.steady_now());
}

}  // namespace turnpike::gateway
