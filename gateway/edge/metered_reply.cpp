#include "gateway/edge/metered_reply.h"

#include "engine/api/meter_line.h"
#include "gateway/edge/chunk_reader.h"
#include "gateway/edge/response_text.h"

namespace turnpike::gateway {
namespace {

// A whole unary answer is one chunk: 128 choices of 32,768 tokens are some 20 MB of JSON.
constexpr std::size_t kMaxChunkBytes = 64 * 1024 * 1024;
constexpr std::string_view kData = "data: ";
constexpr std::string_view kMeter = ": meter ";
constexpr std::string_view kDone = "data: [DONE]";
// Never inside a JSON string, where the second quote would be escaped.
constexpr std::string_view kUsage = "\"usage\":{";

// The end of an event.
std::string_view without_line_ends(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    return text;
}

}  // namespace

bool is_error_event(std::string_view json) {
    constexpr std::string_view kError = "\"error\"";
    constexpr std::string_view kId = "\"id\":\"";
    if (!json.starts_with('{')) return false;
    json.remove_prefix(1);
    if (json.starts_with(kError)) return true;
    if (!json.starts_with(kId)) return false;
    const std::size_t id_end = json.find('"', kId.size());
    if (id_end == std::string_view::npos) return false;
    json.remove_prefix(id_end + 1);
    return json.starts_with(',') && json.substr(1).starts_with(kError);
}

std::size_t MeteredReply::feed(std::string_view input, std::string& out) {
    std::size_t taken = 0;
    missing_bytes_ = 1;
    while (!has_ended_ && !is_broken_) {
        const ChunkView chunk = next_chunk(input.substr(taken), kMaxChunkBytes);
        switch (chunk.kind) {
            case ChunkView::Kind::kNeedMore:
                missing_bytes_ = chunk.missing_bytes;
                return taken;
            case ChunkView::Kind::kData:
                take(chunk.payload, chunk.framed, out);
                break;
            case ChunkView::Kind::kEnd:
                has_ended_ = true;
                break;
            case ChunkView::Kind::kTooBig:
            case ChunkView::Kind::kBad:
                is_broken_ = true;
                return taken;
        }
        taken += chunk.framed.size();
    }
    return taken;
}

void MeteredReply::take(std::string_view payload, std::string_view framed, std::string& out) {
    if (payload.starts_with(kMeter)) {
        const auto usage = engine::parse_meter_line(payload);
        // A line that cannot be read must not be mistaken for the bill of the line before it.
        const bool is_late = is_complete_ && meter_ != usage;
        is_broken_ = is_broken_ || !usage || is_late;
        if (usage) meter_ = usage;
        return;
    }
    if (mode_ == Mode::kUnary) {
        take_unary(payload);
    } else {
        take_stream(payload, framed, out);
    }
}

std::string MeteredReply::with_cost(std::string_view text) const {
    const std::size_t at = text.rfind(kUsage);
    if (at == std::string_view::npos || !meter_) return std::string(text);
    const std::size_t inside = at + kUsage.size();
    const bool is_empty = text.substr(inside).starts_with('}');
    return std::string(text.substr(0, inside)) +
           "\"cost\":" + format_usd(cost_of(*price_, *meter_)) + (is_empty ? "" : ",") +
           std::string(text.substr(inside));
}

void MeteredReply::take_unary(std::string_view payload) {
    if (payload.starts_with(':')) return;  // nobody reads comments of a unary answer
    if (!payload.starts_with(kData) || is_complete_ || has_error_) {
        is_broken_ = true;
        return;
    }
    body_ = without_line_ends(payload.substr(kData.size()));
    has_error_ = is_error_event(body_);
    if (price_ && !has_error_) body_ = with_cost(body_);
    is_complete_ = !has_error_;
    has_output_ = true;
}

void MeteredReply::take_stream(std::string_view payload,
                               std::string_view framed,
                               std::string& out) {
    if (is_complete_) {  // nothing may follow [DONE]
        is_broken_ = true;
        return;
    }
    if (payload.starts_with(kDone)) {
        is_complete_ = !has_error_;
        done_offset_ = out.size();
    } else if (payload.starts_with(kData)) {
        const std::string_view json = without_line_ends(payload.substr(kData.size()));
        if (is_error_event(json)) {
            has_error_ = true;
            body_ = json;
        } else {
            has_event_ = true;
            if (price_ && json.find(kUsage) != std::string_view::npos) {
                const std::string priced = with_cost(payload);
                has_output_ = true;
                if (mode_ == Mode::kStream) {
                    append_chunk(out, priced);
                } else {
                    out += priced;
                }
                return;
            }
        }
    }
    has_output_ = true;
    out += mode_ == Mode::kStream ? framed : payload;
}

}  // namespace turnpike::gateway
