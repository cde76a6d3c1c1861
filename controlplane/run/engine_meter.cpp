#include "controlplane/run/engine_meter.h"

#include <utility>

namespace turnpike::controlplane {
namespace {

Error unexpected(const net::HttpResponse& response) {
    return Error{ErrorCode::kIo,
                 "expected 200 from the engine's meter, found " + std::to_string(response.status),
                 {}};
}

}  // namespace

Result<EngineMeter> EngineMeter::at(const std::string& address,
                                    const ReplicaId& replica,
                                    const EngineAccess& access) {
    auto options = engine_options(address, access);
    RETURN_IF_ERROR(options);
    return EngineMeter(replica, std::move(*options));
}

Result<engine::MeterTotals> EngineMeter::ask_totals() {
    const auto response = client_.send(engine_request("/meter", replica_));
    RETURN_IF_ERROR(response);
    if (response->status != 200) return unexpected(*response);
    return engine::parse_meter_totals(response->body);
}

Result<std::optional<engine::MeterEntry>> EngineMeter::ask_request(const RequestId& id) {
    const auto response = client_.send(engine_request("/meter/" + id.value(), replica_));
    RETURN_IF_ERROR(response);
    if (response->status == 404) return std::optional<engine::MeterEntry>();
    if (response->status != 200) return unexpected(*response);
    auto entry = engine::parse_meter_entry(response->body);
    RETURN_IF_ERROR(entry);
    return std::optional<engine::MeterEntry>(std::move(*entry));
}

}  // namespace turnpike::controlplane
