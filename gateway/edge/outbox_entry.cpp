#include "gateway/edge/outbox_entry.h"

#include <array>
#include <limits>

namespace turnpike::gateway {

using controlplane::Outcome;
using controlplane::UsageRecord;

namespace {

constexpr char kOpenedKind = 'O';
constexpr char kClosedKind = 'C';
constexpr std::size_t kFrameBytes = 8;
constexpr std::size_t kMaxPayloadBytes = 1024 * 1024;

constexpr auto kCrcTable = [] {
    // Reflected polynomial of IEEE 802.3.
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
        table[i] = crc;
    }
    return table;
}();

std::uint32_t crc32(std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const char c : bytes) {
        crc = (crc >> 8U) ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU];
    }
    return ~crc;
}

void put_u32(std::string& out, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) {
        out += static_cast<char>(static_cast<unsigned char>(value >> static_cast<unsigned>(shift)));
    }
}

void put(std::string& out, std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    put_u32(out, static_cast<std::uint32_t>(bits));
    put_u32(out, static_cast<std::uint32_t>(bits >> 32U));
}

void put(std::string& out, std::string_view text) {
    put_u32(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

std::uint32_t read_u32(std::string_view bytes) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8U * i);
    }
    return value;
}

// Takes fields off a payload; `is_valid` turns false when it is too short.
class FieldReader {
  public:
    explicit FieldReader(std::string_view bytes) : bytes_(bytes) {}

    std::int64_t integer() {
        const std::string_view field = take(8);
        if (!is_valid_) return 0;
        const std::uint64_t high = read_u32(field.substr(4));
        return static_cast<std::int64_t>(high << 32U | read_u32(field));
    }

    // Out of range is as wrong as too short: a number must not wrap into another one.
    std::int64_t integer(std::int64_t low, std::int64_t high) {
        const std::int64_t value = integer();
        is_valid_ = is_valid_ && value >= low && value <= high;
        return is_valid_ ? value : low;
    }

    std::string text() {
        const std::string_view length = take(4);
        return std::string(is_valid_ ? take(read_u32(length)) : std::string_view());
    }

    bool is_finished() const { return is_valid_ && bytes_.empty(); }

  private:
    std::string_view take(std::size_t num_bytes) {
        is_valid_ = is_valid_ && num_bytes <= bytes_.size();
        if (!is_valid_) return {};
        const std::string_view taken = bytes_.substr(0, num_bytes);
        bytes_.remove_prefix(num_bytes);
        return taken;
    }

    std::string_view bytes_;
    bool is_valid_ = true;
};

void put_record(std::string& out, const UsageRecord& record) {
    put(out, record.request_id.value());
    put(out, record.org.value());
    put(out, record.key.value());
    put(out, record.model);
    put(out, record.served_model);
    put(out, record.endpoint.value());
    put(out, record.replica.value());
    put(out, record.epoch.value());
    put(out, record.price_version);
    put(out, static_cast<std::int64_t>(record.outcome));
    put(out, std::int64_t{record.http_status});
    put(out, record.usage.prompt_tokens);
    put(out, record.usage.cached_tokens);
    put(out, record.usage.completion_tokens);
    put(out, record.usage.reasoning_tokens);
    put(out, std::int64_t{record.is_provider_reported});
    put(out, to_unix_us(record.opened_at));
    put(out, to_unix_us(record.closed_at));
}

UsageRecord read_record(FieldReader& fields) {
    UsageRecord record;
    record.request_id = RequestId(fields.text());
    record.org = OrgId(fields.text());
    record.key = KeyId(fields.text());
    record.model = fields.text();
    record.served_model = fields.text();
    record.endpoint = EndpointId(fields.text());
    record.replica = ReplicaId(fields.text());
    record.epoch = Epoch(fields.integer());
    record.price_version = fields.integer();
    constexpr auto kFirst = static_cast<std::int64_t>(Outcome::kCompleted);
    constexpr auto kLast = static_cast<std::int64_t>(Outcome::kGatewayFailed);
    record.outcome = static_cast<Outcome>(fields.integer(kFirst, kLast));
    record.http_status = static_cast<int>(fields.integer(0, 999));
    record.usage.prompt_tokens = fields.integer();
    record.usage.cached_tokens = fields.integer();
    record.usage.completion_tokens = fields.integer();
    record.usage.reasoning_tokens = fields.integer();
    record.is_provider_reported = fields.integer(0, 1) != 0;
    record.opened_at = from_unix_us(fields.integer());
    record.closed_at = from_unix_us(fields.integer());
    return record;
}

std::string framed(const std::string& payload) {
    std::string entry;
    entry.reserve(kFrameBytes + payload.size());
    put_u32(entry, static_cast<std::uint32_t>(payload.size()));
    put_u32(entry, crc32(payload));
    return entry + payload;
}

}  // namespace

std::string encode(const OpenedEntry& entry) {
    std::string payload(1, kOpenedKind);
    put_record(payload, entry.record);
    put(payload, entry.address);
    return framed(payload);
}

std::string encode(const ClosedEntry& entry) {
    std::string payload(1, kClosedKind);
    put(payload, entry.sequence);
    put_record(payload, entry.record);
    return framed(payload);
}

DecodedEntry decode_entry(std::string_view bytes) {
    DecodedEntry decoded;
    if (bytes.size() < kFrameBytes) return decoded;
    const std::size_t payload_bytes = read_u32(bytes);
    const bool fits = payload_bytes > 0 && payload_bytes <= kMaxPayloadBytes &&
                      payload_bytes <= bytes.size() - kFrameBytes;
    if (!fits) return decoded;
    const std::string_view payload = bytes.substr(kFrameBytes, payload_bytes);
    if (crc32(payload) != read_u32(bytes.substr(4))) return decoded;
    FieldReader fields(payload.substr(1));
    if (payload.front() == kOpenedKind) {
        OpenedEntry entry;
        entry.record = read_record(fields);
        entry.address = fields.text();
        if (fields.is_finished()) decoded.opened = std::move(entry);
    } else if (payload.front() == kClosedKind) {
        ClosedEntry entry;
        entry.sequence = fields.integer(0, std::numeric_limits<std::int64_t>::max() - 1);
        entry.record = read_record(fields);
        if (fields.is_finished()) decoded.closed = std::move(entry);
    }
    if (decoded.opened || decoded.closed) decoded.num_bytes = kFrameBytes + payload_bytes;
    return decoded;
}

}  // namespace turnpike::gateway
