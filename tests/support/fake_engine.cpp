#include "tests/support/fake_engine.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <span>

#include "config/base/check.h"
#include "engine/api/meter_line.h"
#include "engine/api/status.h"

namespace turnpike::test {
namespace {

constexpr int kWaitMs = 20'000;

// At most 0 at the end, and when the peer is lost.
ssize_t receive(int fd, SSL* ssl, std::span<char> space) {
    if (ssl == nullptr) return ::recv(fd, space.data(), space.size(), 0);
    ERR_clear_error();
    return SSL_read(ssl, space.data(), static_cast<int>(space.size()));
}

}  // namespace

void Latch::set() {
    const std::lock_guard lock(mutex_);
    is_set_ = true;
    changed_.notify_all();
}

bool Latch::wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(kWaitMs), [this] { return is_set_; });
}

std::string EngineRequest::path() const {
    const std::size_t begin = head.find(' ') + 1;
    return head.substr(begin, head.find(' ', begin) - begin);
}

std::string EngineRequest::header(std::string_view name) const {
    const std::string wanted = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(wanted);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + wanted.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

bool EngineConnection::send(std::string_view bytes) {
    while (!bytes.empty()) {
        ERR_clear_error();
        const ssize_t sent = ssl_ != nullptr
                                 ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                 : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool EngineConnection::chunk(std::string_view payload) {
    std::array<char, 24> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", payload.size());
    return send(std::string(size.data()) + std::string(payload) + "\r\n");
}

bool EngineConnection::begin() {
    return send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
}

bool EngineConnection::meter(const TokenUsage& usage) {
    return chunk(engine::format_meter_line(usage));
}

bool EngineConnection::event(std::string_view json) {
    return chunk("data: " + std::string(json) + "\n\n");
}

bool EngineConnection::done() {
    return chunk("data: [DONE]\n\n");
}

bool EngineConnection::end() {
    return send("0\r\n\r\n");
}

bool EngineConnection::refuse(int status, std::string_view json) {
    return send("HTTP/1.1 " + std::to_string(status) +
                " Refused\r\ncontent-type: application/json\r\ncontent-length: " +
                std::to_string(json.size()) + "\r\n\r\n" + std::string(json));
}

bool EngineConnection::has_room() {
    pollfd watched{fd_, POLLOUT, 0};
    return ::poll(&watched, 1, 100) == 1;
}

bool EngineConnection::wait_for_fin() {
    pollfd watched{fd_, POLLIN, 0};
    const bool has_pending = ssl_ != nullptr && SSL_has_pending(ssl_) == 1;
    if (!has_pending && ::poll(&watched, 1, kWaitMs) != 1) return false;
    char byte = 0;
    if (ssl_ != nullptr) {
        ERR_clear_error();
        const int result = SSL_peek(ssl_, &byte, 1);
        return SSL_get_error(ssl_, result) == SSL_ERROR_ZERO_RETURN;
    }
    return ::recv(fd_, &byte, 1, MSG_PEEK) <= 0;
}

FakeEngine::FakeEngine(std::string socket_path, Script script)
    : socket_path_(std::move(socket_path)),
      address_("unix:" + socket_path_),
      script_(std::move(script)) {
    listen_unix();
    accept_thread_ = std::thread([this] { accept_all(); });
}

FakeEngine::FakeEngine(const net::TlsFiles& files, Script script)
    : tls_(net::make_server_context(files).value()), script_(std::move(script)) {
    // It insists on close_notify, which a real engine does not.
    SSL_CTX_clear_options(tls_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    listen_tcp();
    accept_thread_ = std::thread([this] { accept_all(); });
}

void FakeEngine::listen_tcp() {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener_.get(), raw, size) == 0);
    CHECK(::listen(listener_.get(), 128) == 0);
    CHECK(::getsockname(listener_.get(), raw, &size) == 0);
    address_ = "tls:127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

void FakeEngine::listen_unix() {
    ::unlink(socket_path_.c_str());
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHECK(socket_path_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
    CHECK(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
          0);
    CHECK(::listen(listener_.get(), 128) == 0);
}

FakeEngine::~FakeEngine() {
    die();
}

void FakeEngine::die() {
    if (!accept_thread_.joinable()) return;
    ::shutdown(listener_.get(), SHUT_RDWR);
    accept_thread_.join();
    listener_.reset();
    if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
    drop_connections();
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
    connections_.clear();
}

void FakeEngine::drop_connections() {
    const std::lock_guard lock(mutex_);
    for (const UniqueFd& fd : connections_) ::shutdown(fd.get(), SHUT_RDWR);
}

void FakeEngine::accept_all() {
    for (;;) {
        UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd.is_open()) return;
        ++num_connections_;
        const std::lock_guard lock(mutex_);
        const int raw = fd.get();
        connections_.push_back(std::move(fd));
        threads_.emplace_back([this, raw] { serve(raw); });
    }
}

void FakeEngine::serve(int fd) {
    const net::Ssl ssl(tls_ == nullptr ? nullptr : SSL_new(tls_.get()));
    const bool is_open =
        ssl == nullptr || (SSL_set_fd(ssl.get(), fd) == 1 && SSL_accept(ssl.get()) == 1);
    std::string buffer;
    while (is_open && serve_one(fd, ssl.get(), buffer)) {
    }
    // The descriptor itself is closed with the engine, so that its number stays taken.
    ::shutdown(fd, SHUT_RDWR);
}

bool FakeEngine::serve_one(int fd, SSL* ssl, std::string& buffer) {
    EngineRequest request;
    std::size_t head_end = std::string::npos;
    std::size_t total = std::string::npos;
    std::array<char, 16 * 1024> bytes;
    while (buffer.size() < total) {
        const ssize_t taken = receive(fd, ssl, bytes);
        if (taken <= 0) return false;
        buffer.append(bytes.data(), static_cast<std::size_t>(taken));
        head_end = buffer.find("\r\n\r\n");
        if (head_end == std::string::npos) continue;
        request.head = buffer.substr(0, head_end + 4);
        total = head_end + 4 + std::strtoul(request.header("content-length").c_str(), nullptr, 10);
    }
    request.body = buffer.substr(head_end + 4, total - head_end - 4);
    buffer.erase(0, total);
    EngineConnection connection(fd, ssl);
    constexpr std::string_view kMeterPath = "/meter/";
    if (request.path().starts_with(kMeterPath)) {
        answer_meter(request.path().substr(kMeterPath.size()), connection);
        return true;
    }
    Script script;
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
        script = script_;
    }
    script(request, connection);
    return !connection.is_closed();
}

void FakeEngine::answer_meter(const std::string& request_id, EngineConnection& connection) {
    engine::MeterEntry entry;
    {
        const std::lock_guard lock(mutex_);
        const auto known = meters_.find(request_id);
        if (known == meters_.end()) {
            connection.refuse(404, "{}");
            return;
        }
        entry.request_id = request_id;
        entry.usage = known->second.first;
        entry.is_final = known->second.second;
    }
    connection.refuse(200, engine::write_meter_entry(entry));
}

void FakeEngine::set_script(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
}

void FakeEngine::set_meter(const std::string& request_id, const TokenUsage& usage, bool is_final) {
    const std::lock_guard lock(mutex_);
    meters_[request_id] = {usage, is_final};
}

std::vector<EngineRequest> FakeEngine::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

void answer_briefly(const EngineRequest& request, EngineConnection& connection) {
    const bool is_stream = request.body.find("\"stream\":true") != std::string::npos;
    connection.begin();
    connection.meter({12, 0, 0, 0});
    if (is_stream) {
        connection.meter({12, 0, 1, 0});
        connection.event(R"({"choices":[{"index":0,"delta":{"content":"He"}}]})");
    }
    connection.meter({12, 0, 2, 0});
    connection.event(is_stream ? R"({"choices":[{"index":0,"delta":{"content":"y"}}]})"
                               : R"({"object":"chat.completion","choices":[]})");
    if (is_stream) connection.done();
    connection.end();
}

}  // namespace turnpike::test
