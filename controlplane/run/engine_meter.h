// The engines' own counts, asked over their sockets: what the books are held against.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/http_client.h"
#include "engine/api/status.h"

namespace turnpike::controlplane {

// One engine; keeps its connection. Blocks for at most `timeout` per question.
class EngineMeter {
  public:
    // kInvalidArgument for an address that is none.
    static Result<EngineMeter> at(const std::string& address, std::chrono::milliseconds timeout);

    Result<engine::MeterTotals> ask_totals();
    // Empty when the engine never saw the request.
    Result<std::optional<engine::MeterEntry>> ask_request(const RequestId& id);

  private:
    explicit EngineMeter(net::HttpClientOptions options) : client_(std::move(options)) {}

    net::HttpClient client_;
};

}  // namespace turnpike::controlplane
