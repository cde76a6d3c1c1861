#include "config/base/protocol.h"

#include <charconv>
#include <cstdlib>
#include <string>

namespace turnpike {
namespace {

constexpr int kMaxNumber = 1'000'000;

}  // namespace

std::optional<int> parse_protocol(std::string_view text) {
    if (text.empty()) return 1;
    int number = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    const bool is_number = problem == std::errc() && rest == end;
    if (!is_number || number < 1 || number > kMaxNumber) return std::nullopt;
    return number;
}

Status check_protocol(const ProtocolEnd& own, const ProtocolEnd& peer) {
    if (std::abs(own.number - peer.number) <= 1) return {};
    const ProtocolEnd& older = own.number < peer.number ? own : peer;
    return Error{ErrorCode::kConflict,
                 "this " + std::string(own.process) + " speaks protocol " +
                     std::to_string(own.number) + " and the " + std::string(peer.process) + " " +
                     std::to_string(peer.number) +
                     ", which may differ by one at most: upgrade the " + std::string(older.process),
                 {}};
}

Status check_protocol(const ProtocolEnd& own,
                      std::string_view peer_process,
                      std::string_view peer_header) {
    const auto number = parse_protocol(peer_header);
    if (number) return check_protocol(own, ProtocolEnd{peer_process, *number});
    return Error{ErrorCode::kConflict,
                 "expected the number of a protocol from the " + std::string(peer_process) +
                     ", found '" + excerpt(peer_header) + "'",
                 {}};
}

}  // namespace turnpike
