// The engines' own counts, asked over their sockets: what the books are held against.
#pragma once

#include <optional>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/http_client.h"
#include "controlplane/run/engine_access.h"
#include "engine/api/status.h"

namespace turnpike::controlplane {

// One engine; keeps its connection. Blocks for at most the access's time-out per question.
class EngineMeter {
  public:
    // Errors as engine_options().
    static Result<EngineMeter> at(const std::string& address,
                                  const ReplicaId& replica,
                                  const EngineAccess& access);

    Result<engine::MeterTotals> ask_totals();
    // Empty when the engine never saw the request.
    Result<std::optional<engine::MeterEntry>> ask_request(const RequestId& id);

  private:
    EngineMeter(ReplicaId replica, net::HttpClientOptions options)
        : replica_(std::move(replica)), client_(std::move(options)) {}

    ReplicaId replica_;
    net::HttpClient client_;
};

}  // namespace turnpike::controlplane
