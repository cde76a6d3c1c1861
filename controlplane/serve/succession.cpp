#include "controlplane/serve/succession.h"

#include <algorithm>
#include <utility>

namespace turnpike::controlplane {

Result<std::unique_ptr<Succession>> Succession::begin(std::string path,
                                                      std::function<void()> wake,
                                                      Log& log) {
    std::unique_ptr<Succession> succession(new Succession(std::move(path), std::move(wake), log));
    if (succession->path_.empty()) return succession;
    auto predecessor = net::Predecessor::find(succession->path_);
    RETURN_IF_ERROR(predecessor);
    succession->predecessor_ = std::move(*predecessor);
    return succession;
}

Succession::~Succession() {
    end();
}

Status Succession::say_ready() {
    return predecessor_->say_ready();
}

Result<UniqueFd> Succession::find_listener(const net::NetAddress& address) {
    const std::string name = net::to_string(address);
    if (predecessor_) return predecessor_->take(name);
    const std::lock_guard lock(mutex_);
    const auto kept = std::find_if(kept_.begin(), kept_.end(),
                                   [&](const net::NamedFd& each) { return each.name == name; });
    if (kept == kept_.end()) return UniqueFd();
    return net::duplicate(kept->fd.get());
}

Status Succession::keep_listener(const net::NetAddress& address, Result<UniqueFd> listener) {
    RETURN_IF_ERROR(listener);
    const std::string name = net::to_string(address);
    const std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const net::NamedFd& each) { return each.name == name; });
    kept_.push_back({name, std::move(*listener)});
    return {};
}

Status Succession::say_serving() {
    if (path_.empty() || server_ != nullptr) return {};
    UniqueFd listener;
    if (predecessor_) {
        listener = predecessor_->take(net::HandoverServer::kName);
        RETURN_IF_ERROR(predecessor_->say_serving());
        predecessor_.reset();
    }
    net::HandoverHooks hooks;
    hooks.share = [this] { return share(); };
    hooks.let_go = [this] { return let_go(); };
    hooks.handed_over = [this] { set(State::kHandedOver); };
    hooks.go_on = [this] { set(State::kServing); };
    auto server = net::HandoverServer::start(path_, std::move(listener), std::move(hooks), log_);
    RETURN_IF_ERROR(server);
    server_ = std::move(*server);
    return {};
}

Result<net::NamedFds> Succession::share() {
    const std::lock_guard lock(mutex_);
    net::NamedFds fds;
    for (const net::NamedFd& each : kept_) {
        auto fd = net::duplicate(each.fd.get());
        RETURN_IF_ERROR(fd);
        fds.push_back({each.name, std::move(*fd)});
    }
    return fds;
}

Status Succession::let_go() {
    set(State::kWanted);
    wake_();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::kWanted; });
    if (state_ == State::kClosed) return {};
    return Error{ErrorCode::kUnavailable, "this process was told to end", {}};
}

void Succession::set(State state) {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnding) return;
    state_ = state;
    changed_.notify_all();
}

bool Succession::is_wanted() const {
    const std::lock_guard lock(mutex_);
    return state_ == State::kWanted;
}

bool Succession::hand_over() {
    set(State::kClosed);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::kClosed; });
    return state_ == State::kHandedOver;
}

void Succession::end() {
    set(State::kEnding);
    server_.reset();
    const std::lock_guard lock(mutex_);
    kept_.clear();
}

}  // namespace turnpike::controlplane
