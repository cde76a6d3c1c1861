#include "gateway/client/bench/load_driver.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"

namespace turnpike::gateway::client::bench {

using net::IoNeed;

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr double kRedialPauseS = 0.001;
constexpr double kSweepPeriodS = 0.25;
constexpr double kProgressPeriodS = 0.2;

}  // namespace

struct LoadDriver::Connection {
    explicit Connection(net::DialedStream dialed) : stream(std::move(dialed)) {}

    net::DialedStream stream;
    IoNeed armed = IoNeed::kNone;
    bool is_kept = false;  // has carried an exchange before
    Active* user = nullptr;
};

struct LoadDriver::Active {
    Active(RequestRecord& record, const LoadRequest& request)
        : index(static_cast<std::size_t>(record.index)),
          exchange(record, request.bytes, request.leave) {}

    std::size_t index;
    Exchange exchange;
    std::unique_ptr<Connection> connection;
    double last_activity_s = 0.0;
    bool has_leave_timer = false;
};

LoadDriver::LoadDriver(const net::ClientDialer& dialer,
                       LoadOptions options,
                       const Clock& clock,
                       std::function<void(const LoadProgress&)> on_progress)
    : dialer_(dialer),
      options_(options),
      clock_(clock),
      on_progress_(std::move(on_progress)),
      buffer_(kReadBytes) {}

LoadDriver::~LoadDriver() = default;

void LoadDriver::interrupt() {
    is_interrupted_ = true;
    poller_.wake();
}

std::vector<RequestRecord> LoadDriver::run(std::span<const LoadRequest> requests) {
    requests_ = requests;
    run_clock_.emplace(clock_);
    records_.assign(requests.size(), {});
    active_.clear();
    active_.resize(requests.size());
    timers_ = {};
    num_started_ = 0;
    progress_ = {};
    progress_.num_requests = requests.size();
    next_sweep_s_ = next_progress_s_ = 0.0;
    while (progress_.num_ended < requests.size() && !is_interrupted_) {
        start_due();
        fire_timers();
        sweep();
        tell_progress();
        if (progress_.num_ended == requests.size()) break;
        for (void* token : poller_.wait(run_clock_->at(next_moment_s()))) {
            auto& connection = *static_cast<Connection*>(token);
            if (connection.user != nullptr) {
                advance(*connection.user);
            } else {
                drop(connection);  // a server closes what is idle for long
            }
        }
    }
    abandon_all();
    records_.resize(num_started_);
    return std::move(records_);
}

double LoadDriver::next_moment_s() const {
    double next_s = std::min(next_sweep_s_, next_progress_s_);
    if (!timers_.empty()) next_s = std::min(next_s, timers_.top().at_s);
    const bool has_room =
        !options_.max_concurrency || progress_.num_running < *options_.max_concurrency;
    if (has_room && num_started_ < requests_.size())
        next_s = std::min(next_s, requests_[num_started_].arrival_s);
    return next_s;
}

void LoadDriver::start_due() {
    while (num_started_ < requests_.size() &&
           (!options_.max_concurrency || progress_.num_running < *options_.max_concurrency) &&
           requests_[num_started_].arrival_s <= run_clock_->now_s()) {
        start(num_started_++);
    }
}

void LoadDriver::start(std::size_t index) {
    RequestRecord& record = records_[index];
    record.index = static_cast<std::int64_t>(index);
    record.num_intended_input_tokens = requests_[index].num_intended_input_tokens;
    record.start_s = record.end_s = run_clock_->now_s();
    active_[index] = std::make_unique<Active>(record, requests_[index]);
    ++progress_.num_running;
    Active& active = *active_[index];
    active.last_activity_s = record.start_s;
    const std::optional<Leave>& leave = requests_[index].leave;
    if (leave && leave->after_start_s)
        timers_.push({record.start_s + *leave->after_start_s, index, TimerKind::kLeave});
    if (!idle_.empty()) {
        active.connection = std::move(idle_.back());
        idle_.pop_back();
        active.connection->user = &active;
        return advance(active);
    }
    connect(active);
}

void LoadDriver::connect(Active& active) {
    auto stream = dialer_.dial();
    if (!stream && stream.error().code == ErrorCode::kUnavailable)
        return timers_.push(
            {run_clock_->now_s() + kRedialPauseS, active.index, TimerKind::kRedial});
    if (!stream) {
        active.exchange.fail(FailureKind::kConnect, stream.error().message, run_clock_->now_s());
        return end(active.index);
    }
    active.connection = std::make_unique<Connection>(std::move(*stream));
    active.connection->user = &active;
    poller_.watch(active.connection->stream.fd(), IoNeed::kNone, active.connection.get());
    advance(active);
}

void LoadDriver::advance(Active& active) {
    Connection& connection = *active.connection;
    const auto step =
        active.exchange.advance(connection.stream, buffer_, connection.is_kept, *run_clock_);
    active.last_activity_s = run_clock_->now_s();
    if (step == Exchange::Step::kEnded) return end(active.index);
    if (step == Exchange::Step::kRetry) {
        active.connection.reset();
        active.exchange.restart();
        return connect(active);
    }
    set_leave_timer(active);
    const IoNeed need =
        step == Exchange::Step::kWaitWritable ? IoNeed::kWritable : IoNeed::kReadable;
    if (connection.armed == need) return;
    connection.armed = need;
    poller_.change(connection.stream.fd(), need, &connection);
}

// The connection is closed, unless it can carry another exchange.
void LoadDriver::end(std::size_t index) {
    const std::unique_ptr<Active> active = std::move(active_[index]);
    const RequestRecord& record = records_[index];
    --progress_.num_running;
    ++progress_.num_ended;
    progress_.num_text_events += record.num_text_events;
    if (record.outcome == Outcome::kFailed) ++progress_.num_failed;
    if (active->connection == nullptr || !active->exchange.may_keep_connection()) return;
    active->connection->user = nullptr;
    active->connection->is_kept = true;
    idle_.push_back(std::move(active->connection));
}

void LoadDriver::drop(Connection& connection) {
    std::erase_if(idle_, [&](const auto& held) { return held.get() == &connection; });
}

void LoadDriver::set_leave_timer(Active& active) {
    const std::optional<Leave>& leave = requests_[active.index].leave;
    if (active.has_leave_timer || !leave || !leave->after_s || !active.exchange.sent_s()) return;
    active.has_leave_timer = true;
    timers_.push({*active.exchange.sent_s() + *leave->after_s, active.index, TimerKind::kLeave});
}

void LoadDriver::fire_timers() {
    const double now_s = run_clock_->now_s();
    while (!timers_.empty() && timers_.top().at_s <= now_s) {
        const Timer timer = timers_.top();
        timers_.pop();
        Active* active = active_[timer.index].get();
        if (active == nullptr) continue;
        if (timer.kind == TimerKind::kRedial) {
            connect(*active);
        } else {
            active->exchange.leave(now_s);
            end(timer.index);
        }
    }
}

void LoadDriver::sweep() {
    const double now_s = run_clock_->now_s();
    if (now_s < next_sweep_s_) return;
    next_sweep_s_ = now_s + kSweepPeriodS;
    const double limit_s = std::chrono::duration<double>(options_.silence_limit).count();
    for (std::size_t i = 0; i < num_started_; ++i) {
        if (active_[i] == nullptr || now_s - active_[i]->last_activity_s < limit_s) continue;
        active_[i]->exchange.fail(FailureKind::kTimeout, "no byte from the server in time", now_s);
        end(i);
    }
}

void LoadDriver::tell_progress() {
    progress_.now_s = run_clock_->now_s();
    if (progress_.now_s < next_progress_s_) return;
    next_progress_s_ = progress_.now_s + kProgressPeriodS;
    on_progress_(progress_);
}

void LoadDriver::abandon_all() {
    for (std::size_t i = 0; i < num_started_; ++i) {
        if (active_[i] == nullptr) continue;
        records_[i].end_s = run_clock_->now_s();
        active_[i].reset();
        --progress_.num_running;
    }
    progress_.now_s = run_clock_->now_s();
    on_progress_(progress_);
}

}  // namespace turnpike::gateway::client::bench
