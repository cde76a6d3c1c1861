// FakeEngine: a scripted replica on a Unix socket, or on a TCP port with mutual TLS. Each
// connection has a thread of its own; a test gives the script of a completion, and the counts that
// /meter tells.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "config/base/money.h"
#include "config/base/unique_handle.h"
#include "config/net/tls_context.h"

namespace turnpike::test {

// Set once, waited for by other threads; gives up after 20 s.
class Latch {
  public:
    void set();
    bool wait();

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_set_ = false;
};

struct EngineRequest {
    std::string head;
    std::string body;

    std::string path() const;
    std::string header(std::string_view name) const;
};

// What a script can do with a connection.
class EngineConnection {
  public:
    // `ssl` null: plain.
    EngineConnection(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}

    // False when the peer has gone.
    bool send(std::string_view bytes);
    bool chunk(std::string_view payload);
    // A metered reply's head.
    bool begin();
    bool meter(const TokenUsage& usage);
    bool event(std::string_view json);
    bool done();
    bool end();
    bool refuse(int status, std::string_view json);

    // Whether a send would go through within 100 ms.
    bool has_room();
    // Blocks until the peer sends FIN or resets, over TLS close_notify and nothing else; false
    // after 20 s, or when it sent bytes.
    bool wait_for_fin();

    // Ends the connection when the script returns.
    void close() { is_closed_ = true; }

    bool is_closed() const { return is_closed_; }

  private:
    int fd_;
    SSL* ssl_;
    bool is_closed_ = false;
};

class FakeEngine {
  public:
    using Script = std::function<void(const EngineRequest&, EngineConnection&)>;

    FakeEngine(std::string socket_path, Script script);
    // On a port of 127.0.0.1. Clients show a certificate of files.ca.
    FakeEngine(const net::TlsFiles& files, Script script);
    ~FakeEngine();
    FakeEngine(const FakeEngine&) = delete;
    FakeEngine& operator=(const FakeEngine&) = delete;

    const std::string& address() const { return address_; }

    void set_script(Script script);
    // What GET /meter/<id> says; without it, 404.
    void set_meter(const std::string& request_id, const TokenUsage& usage, bool is_final);

    // The completion requests so far.
    std::vector<EngineRequest> requests() const;

    std::size_t num_connections() const { return num_connections_; }

    // Closes the listening socket and every connection, like a crash.
    void die();
    // Closes every connection, as an engine does with those that are idle.
    void drop_connections();

  private:
    void listen_unix();
    void listen_tcp();
    void accept_all();
    void serve(int fd);
    bool serve_one(int fd, SSL* ssl, std::string& buffer);
    void answer_meter(const std::string& request_id, EngineConnection& connection);

    const std::string socket_path_;  // empty: TLS
    net::SslContext tls_;
    std::string address_;
    UniqueFd listener_;
    std::atomic<std::size_t> num_connections_{0};
    mutable std::mutex mutex_;  // guards the rest
    Script script_;
    std::vector<EngineRequest> requests_;
    std::map<std::string, std::pair<TokenUsage, bool>> meters_;
    std::list<UniqueFd> connections_;
    std::vector<std::thread> threads_;
    std::thread accept_thread_;
};

// A unary or streamed answer of two tokens to whatever is asked: prompt 12, completion 2.
void answer_briefly(const EngineRequest& request, EngineConnection& connection);

}  // namespace turnpike::test
