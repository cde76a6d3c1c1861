#include "engine/text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "config/base/check.h"
#include "engine/text/unicode_tables.h"
#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

// Below U+0300 every code point is its own NFC, and none combines with what stands before it.
constexpr unsigned char kFirstLeadThatMatters = 0xCC;

void append_nfc(std::string_view text, std::string& out) {
    if (text.empty()) return;
    utf8proc_uint8_t* mapped = nullptr;
    const auto length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                     static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
    CHECK(length >= 0);  // the text is UTF-8, so only memory can be wanting
    out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
}

}  // namespace

std::string to_nfc(std::string_view text) {
    const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < kFirstLeadThatMatters;
    });
    if (is_plain) return std::string(text);
    std::string out;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Step step = next_utf8(text.substr(at));
        if (is_unknown_to_normalizer(step.code_point)) {
            // It neither combines nor moves, so what stands around it is normalised alone.
            append_nfc(text.substr(begin, at - begin), out);
            out += text.substr(at, step.length);
            begin = at + step.length;
        }
        at += step.length;
    }
    append_nfc(text.substr(begin), out);
    return out;
}

}  // namespace turnpike::engine::text
