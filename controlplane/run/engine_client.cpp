#include "controlplane/run/engine_client.h"

#include <utility>

#include "engine/api/protocol.h"
#include "engine/api/status.h"

namespace turnpike::controlplane {
namespace {

Answer answer_of(engine::EngineState state) {
    switch (state) {
        case engine::EngineState::kLoading:
            return Answer::kLoading;
        case engine::EngineState::kReady:
            return Answer::kReady;
        case engine::EngineState::kDraining:
            return Answer::kDraining;
        case engine::EngineState::kFailed:
            return Answer::kFailed;
    }
    return Answer::kNone;
}

}  // namespace

EngineAnswer ask_health(const std::string& address,
                        const ReplicaId& replica,
                        const EngineAccess& access) {
    Result<net::HttpClientOptions> options = engine_options(address, access);
    if (!options) return {};
    net::HttpClient client(*std::move(options));
    const Result<net::HttpResponse> response = client.send(engine_request("/health", replica));
    if (!response) return {};
    const Result<engine::Health> health = engine::parse_health(response->body);
    if (!health) return {};
    const Status understood = check_protocol({"control plane", engine::kProtocol},
                                             {engine::kEngineEnd.process, health->protocol});
    if (!understood) return {Answer::kFailed, understood.error().message, 0.0};
    EngineAnswer answer{answer_of(health->state), health->reason, 0.0};
    if (answer.answer != Answer::kReady) return answer;
    const auto load_response = client.send(engine_request("/load", replica));
    if (!load_response) return answer;
    const Result<engine::Load> load = engine::parse_load(load_response->body);
    if (load) answer.kv_usage = load->kv_usage();
    return answer;
}

}  // namespace turnpike::controlplane
