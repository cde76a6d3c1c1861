// A reply of a route that answers at once, kept for the test to look at.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "controlplane/serve/router.h"

namespace turnpike::controlplane {

class OneReply final : public net::HttpReply {
  public:
    void respond(net::HttpResponse answer) override { response = std::move(answer); }

    void start(int, net::HttpHeaders) override { ADD_FAILURE(); }

    bool write(std::string) override { return false; }

    void finish() override { ADD_FAILURE(); }

    void on_client_gone(std::function<void()>) override {}

    bool is_client_gone() const override { return false; }

    std::size_t backlog_bytes() const override { return 0; }

    std::optional<net::HttpResponse> response;
};

}  // namespace turnpike::controlplane
