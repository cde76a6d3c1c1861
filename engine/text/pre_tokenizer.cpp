// Runs the pre-tokenizer's regular expressions with PCRE2's 8-bit library.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/text/pre_tokenizer.h"

#include <pcre2.h>

#include "config/base/check.h"
#include "config/base/unique_handle.h"

namespace turnpike::engine::text {

using Code = UniqueHandle<pcre2_code*, &pcre2_code_free>;
using MatchData = UniqueHandle<pcre2_match_data*, &pcre2_match_data_free>;

struct PreTokenizer::Stage {
    Code code;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

Status PreTokenizer::add_split(const std::string& pattern) {
    int problem = 0;
    PCRE2_SIZE offset = 0;
    constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
    Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions,
                            &problem, &offset, nullptr));
    if (code == nullptr) {
        PCRE2_UCHAR message[256];
        pcre2_get_error_message(problem, message, sizeof message);
        return invalid_argument("pre-tokenizer pattern, byte " + std::to_string(offset) + ": " +
                                reinterpret_cast<const char*>(message));
    }
    // Without JIT (not built in) matching still works, only slower.
    (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
    stages_.push_back({std::move(code)});
    return {};
}

void PreTokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)>& on_piece) const {
    if (!text.empty()) split_from(0, text, on_piece);
}

void PreTokenizer::split_from(std::size_t stage,
                              std::string_view text,
                              const std::function<void(std::string_view)>& on_piece) const {
    if (stage == stages_.size()) return on_piece(text);
    const pcre2_code* code = stages_[stage].code.get();
    const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr));
    CHECK(match != nullptr);
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    std::size_t gap_begin = 0;
    std::size_t at = 0;
    while (at < text.size()) {
        const int found = pcre2_match(code, subject, text.size(), at, 0, match.get(), nullptr);
        if (found < 0) break;  // no match; the bounds on backtracking are far above any piece
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match.get());
        if (span[1] == span[0]) {  // an empty match splits nothing
            at = span[1] + 1;
            continue;
        }
        if (span[0] > gap_begin)
            split_from(stage + 1, text.substr(gap_begin, span[0] - gap_begin), on_piece);
        split_from(stage + 1, text.substr(span[0], span[1] - span[0]), on_piece);
        gap_begin = at = span[1];
    }
    if (gap_begin < text.size()) split_from(stage + 1, text.substr(gap_begin), on_piece);
}

}  // namespace turnpike::engine::text
