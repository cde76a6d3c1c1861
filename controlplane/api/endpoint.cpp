// Names of states, as they stand in databases and on the wire.
#include "controlplane/api/endpoint.h"

#include <array>
#include <utility>

#include "config/base/check.h"

namespace turnpike::controlplane {
namespace {

template <class Enum, std::size_t kCount>
using Names = std::array<std::pair<Enum, std::string_view>, kCount>;

constexpr Names<EndpointType, 2> kTypes{
    {{EndpointType::kServerless, "serverless"}, {EndpointType::kDedicated, "dedicated"}}};
constexpr Names<DesiredState, 2> kDesired{
    {{DesiredState::kStarted, "STARTED"}, {DesiredState::kStopped, "STOPPED"}}};
constexpr Names<EndpointState, 6> kEndpointStates{{{EndpointState::kPending, "PENDING"},
                                                   {EndpointState::kStarting, "STARTING"},
                                                   {EndpointState::kStarted, "STARTED"},
                                                   {EndpointState::kStopping, "STOPPING"},
                                                   {EndpointState::kStopped, "STOPPED"},
                                                   {EndpointState::kError, "ERROR"}}};
constexpr Names<ReplicaState, 8> kReplicaStates{{{ReplicaState::kPending, "PENDING"},
                                                 {ReplicaState::kPlaced, "PLACED"},
                                                 {ReplicaState::kStarting, "STARTING"},
                                                 {ReplicaState::kLoading, "LOADING"},
                                                 {ReplicaState::kReady, "READY"},
                                                 {ReplicaState::kDraining, "DRAINING"},
                                                 {ReplicaState::kStopped, "STOPPED"},
                                                 {ReplicaState::kFailed, "FAILED"}}};

template <class Enum, std::size_t kCount>
std::string_view name_of(const Names<Enum, kCount>& names, Enum wanted) {
    for (const auto& [value, name] : names) {
        if (value == wanted) return name;
    }
    CHECK(false && "an enumerator without a name");
}

template <class Enum, std::size_t kCount>
Result<Enum> parse(const Names<Enum, kCount>& names, std::string_view text) {
    std::string expected;
    for (const auto& [value, name] : names) {
        if (name == text) return value;
        expected += (expected.empty() ? "" : ", ") + std::string(name);
    }
    return invalid_argument("expected one of " + expected + "; found '" + excerpt(text) + "'");
}

}  // namespace

std::string_view to_string(EndpointType type) {
    return name_of(kTypes, type);
}

std::string_view to_string(DesiredState state) {
    return name_of(kDesired, state);
}

std::string_view to_string(EndpointState state) {
    return name_of(kEndpointStates, state);
}

std::string_view to_string(ReplicaState state) {
    return name_of(kReplicaStates, state);
}

Result<EndpointType> parse_endpoint_type(std::string_view text) {
    return parse(kTypes, text);
}

Result<DesiredState> parse_desired_state(std::string_view text) {
    return parse(kDesired, text);
}

Result<EndpointState> parse_endpoint_state(std::string_view text) {
    return parse(kEndpointStates, text);
}

Result<ReplicaState> parse_replica_state(std::string_view text) {
    return parse(kReplicaStates, text);
}

}  // namespace turnpike::controlplane
