// Protocol numbers: what the processes of one service may differ in while they are upgraded one
// after the other. The owner of a wire has its number. See ops/docs/formats/versions.md.
#pragma once

#include <optional>
#include <string_view>

#include "config/base/result.h"

namespace turnpike {

// In requests and, where the wire has it, in answers. A process without it speaks 1.
inline constexpr std::string_view kProtocolHeader = "x-turnpike-protocol";
// HTTP's "Upgrade Required": no route answers a peer that speaks a number too far away.
inline constexpr int kProtocolStatus = 426;

// One end of a wire: "gateway", and the number that it speaks.
struct ProtocolEnd {
    std::string_view process;
    int number = 1;
};

// The value of kProtocolHeader; an empty one is 1. Nothing when it is no number of a protocol.
std::optional<int> parse_protocol(std::string_view text);

// kConflict unless the numbers are the same or neighbours: each release knows its own and the one
// before, so the newer end does what the older one expects. The message names both and says which
// to upgrade.
Status check_protocol(const ProtocolEnd& own, const ProtocolEnd& peer);
// The same for a peer's header; one that is no number is refused too.
Status check_protocol(const ProtocolEnd& own,
                      std::string_view peer_process,
                      std::string_view peer_header);

}  // namespace turnpike
