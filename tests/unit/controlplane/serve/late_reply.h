// LateReply: waits for the one response, which may come from another thread.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "config/base/check.h"
#include "config/net/http_server.h"

namespace turnpike::controlplane {

class LateReply final : public net::HttpReply {
  public:
    void respond(net::HttpResponse response) override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(response_.has_value()) << "answered twice";
        response_ = std::move(response);
        changed_.notify_all();
    }

    void start(int, net::HttpHeaders) override { ADD_FAILURE(); }

    bool write(std::string) override { return false; }

    void finish() override { ADD_FAILURE(); }

    void on_client_gone(std::function<void()>) override {}

    bool is_client_gone() const override { return false; }

    std::size_t backlog_bytes() const override { return 0; }

    bool is_answered() {
        const std::lock_guard lock(mutex_);
        return response_.has_value();
    }

    net::HttpResponse wait() {
        std::unique_lock lock(mutex_);
        CHECK(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return !!response_; }));
        return *response_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<net::HttpResponse> response_;
};

}  // namespace turnpike::controlplane
