// The entries of the outbox's log: how usage records lie in its segment files. Pure. An entry is
//   u32 payload bytes | u32 CRC-32 of the payload | payload        (little-endian)
// and a payload is a kind byte, then fields: integers as u64, texts as u32 length and bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/api/usage_record.h"

namespace turnpike::gateway {

// A request was dispatched. Without a closed entry of the same request, it is an orphan.
struct OpenedEntry {
    controlplane::UsageRecord record;  // outcome, counts and closed_at mean nothing yet
    std::string address;               // of the replica, to ask for its count after a crash
};

// The final record. Sequences count closed entries over the life of an outbox.
struct ClosedEntry {
    std::int64_t sequence = 0;
    controlplane::UsageRecord record;
};

std::string encode(const OpenedEntry& entry);
std::string encode(const ClosedEntry& entry);

// The entry at the start of `bytes`. `num_bytes` 0: the bytes end inside an entry or break its
// checksum or form, which cannot be told apart in a file that a crash has cut.
struct DecodedEntry {
    std::size_t num_bytes = 0;
    std::optional<OpenedEntry> opened;
    std::optional<ClosedEntry> closed;
};

DecodedEntry decode_entry(std::string_view bytes);

}  // namespace turnpike::gateway
