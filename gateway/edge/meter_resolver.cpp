#include "gateway/edge/meter_resolver.h"

#include <algorithm>
#include <utility>

#include "config/base/failpoint.h"
#include "engine/api/meter_line.h"
#include "engine/api/protocol.h"
#include "engine/api/status.h"

namespace turnpike::gateway {

using controlplane::UsageRecord;

namespace {

constexpr auto kQuestionTimeout = std::chrono::seconds(2);
constexpr auto kIdlePeriod = std::chrono::seconds(1);

net::HttpClientOptions client_options(const std::string& address,
                                      const MeterResolverOptions& resolver) {
    net::HttpClientOptions options;
    // A bad address was refused before dispatch. One that needs files which the settings no longer
    // name cannot be asked: its requests stay open.
    if (auto known = net::peer_options(address, resolver.tls, engine::kEngineServerName))
        options = std::move(*known);
    options.connect_timeout = kQuestionTimeout;
    options.timeout = kQuestionTimeout;
    return options;
}

}  // namespace

MeterResolver::MeterResolver(Outbox& outbox,
                             const Clock& clock,
                             Log& log,
                             MeterResolverOptions options)
    : outbox_(outbox), clock_(clock), log_(log), options_(std::move(options)) {
    thread_ = std::thread([this] { run(); });
}

MeterResolver::~MeterResolver() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
        if (client_ != nullptr) client_->cancel();
    }
    changed_.notify_all();
    thread_.join();
}

void MeterResolver::resolve(UsageRecord record,
                            std::string address,
                            std::shared_ptr<CreditHold> hold) {
    Item item;
    item.record = std::move(record);
    item.address = std::move(address);
    item.hold = std::move(hold);
    item.due = clock_.steady_now();
    item.delay = options_.first_retry;
    {
        const std::lock_guard lock(mutex_);
        items_.push_back(std::move(item));
    }
    changed_.notify_all();
}

std::size_t MeterResolver::num_pending() const {
    const std::lock_guard lock(mutex_);
    return items_.size() + num_asking_;
}

bool MeterResolver::drain(std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return items_.empty() && num_asking_ == 0; });
}

bool MeterResolver::take_due(Item& item, std::unique_lock<std::mutex>& lock) {
    const auto first = std::min_element(items_.begin(), items_.end(),
                                        [](const Item& a, const Item& b) { return a.due < b.due; });
    const SteadyTime now = clock_.steady_now();
    if (first == items_.end() || first->due > now) {
        const SteadyTime::duration wait = first == items_.end() ? kIdlePeriod : first->due - now;
        changed_.wait_for(lock, std::min<SteadyTime::duration>(wait, kIdlePeriod));
        return false;
    }
    item = std::move(*first);
    *first = std::move(items_.back());
    items_.pop_back();
    num_asking_ = 1;
    return true;
}

void MeterResolver::run() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
        Item item;
        if (!take_due(item, lock)) continue;
        if (options_.address_of) {
            std::string address = options_.address_of(item.record);
            if (!address.empty()) item.address = std::move(address);
        }
        if (client_ == nullptr || client_address_ != item.address) {
            client_ = std::make_shared<net::HttpClient>(client_options(item.address, options_));
            client_address_ = item.address;
        }
        lock.unlock();
        const bool is_closed = ask(item);
        lock.lock();
        num_asking_ = 0;
        if (!is_closed) put_back(std::move(item));
        changed_.notify_all();
    }
}

void MeterResolver::put_back(Item item) {
    item.due = clock_.steady_now() + (item.was_unknown ? options_.confirm_delay : item.delay);
    item.delay = std::min(item.delay * 2, options_.last_retry);
    items_.push_back(std::move(item));
}

bool MeterResolver::ask(Item& item) {
    net::HttpRequest request;
    request.method = "GET";
    request.target = "/meter/" + item.record.request_id.value();
    // Another replica at this address must not say that it never saw the request.
    request.headers.add(std::string(engine::kReplicaHeader), item.record.replica.value());
    request.headers.add(std::string(kProtocolHeader), std::to_string(engine::kProtocol));
    const auto response = client_->send(request);
    const bool is_unknown = response && response->status == 404;
    if (is_unknown && std::exchange(item.was_unknown, true)) {
        item.record.usage = TokenUsage();
        close(item);
        return true;
    }
    if (is_unknown) return false;
    item.was_unknown = false;
    if (!response || response->status != 200) return false;
    const auto entry = engine::parse_meter_entry(response->body);
    const bool is_answer =
        entry && entry->is_final && entry->request_id == item.record.request_id.value();
    if (!is_answer) return false;
    item.record.usage = entry->usage;
    close(item);
    return true;
}

void MeterResolver::close(const Item& item) {
    UsageRecord closed = item.record;
    closed.closed_at = clock_.wall_now();
    log_.info("usage_resolved", {{"request_id", closed.request_id.value()},
                                 {"replica", closed.replica.value()},
                                 {"outcome", to_string(closed.outcome)},
                                 {"prompt_tokens", closed.usage.prompt_tokens},
                                 {"completion_tokens", closed.usage.completion_tokens}});
    pass_failpoint(Failpoint::kCountResolved);
    const auto written = outbox_.append_closed(closed);
    if (item.hold != nullptr) item.hold->note_usage(item.record.usage);
    if (!written) outbox_.close_later(std::move(closed));
}

}  // namespace turnpike::gateway
