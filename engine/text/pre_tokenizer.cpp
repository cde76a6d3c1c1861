// Runs the pre-tokenizer's regular expressions with PCRE2's 8-bit library.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/text/pre_tokenizer.h"

#include <pcre2.h>

#include <limits>
#include <utility>

#include "config/base/check.h"
#include "config/base/unique_handle.h"
#include "engine/text/pattern.h"
#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

using Code = UniqueHandle<pcre2_code*, &pcre2_code_free>;
using MatchData = UniqueHandle<pcre2_match_data*, &pcre2_match_data_free>;
using MatchContext = UniqueHandle<pcre2_match_context*, &pcre2_match_context_free>;

}  // namespace

// One regular expression. Match data is made per split() and serves all of its pieces.
class PreTokenizer::Stage {
  public:
    explicit Stage(Code code) : code_(std::move(code)), context_(pcre2_match_context_create({})) {
        CHECK(context_ != nullptr);
        // A piece is at most one request's text, whose size is bounded; backtracking is not a risk.
        constexpr auto kNoLimit = std::numeric_limits<std::uint32_t>::max();
        CHECK(pcre2_set_match_limit(context_.get(), kNoLimit) == 0);
        CHECK(pcre2_set_depth_limit(context_.get(), kNoLimit) == 0);
    }

    MatchData make_match_data() const {
        MatchData data(pcre2_match_data_create(1, nullptr));
        CHECK(data != nullptr);
        return data;
    }

    // Appends what the expression makes of one piece. `text` is valid UTF-8.
    void split(std::string_view text,
               pcre2_match_data* match,
               std::vector<std::string_view>& pieces) const {
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match);
        std::size_t gap_begin = 0;
        std::size_t at = 0;
        while (at < text.size() && finds(text, at, match)) {
            const std::size_t begin = span[0];
            const std::size_t end = span[1];
            if (end == begin) {  // an empty match splits nothing
                at = end < text.size() ? end + next_utf8(text.substr(end)).length : end;
                continue;
            }
            if (begin > gap_begin) pieces.push_back(text.substr(gap_begin, begin - gap_begin));
            pieces.push_back(text.substr(begin, end - begin));
            gap_begin = at = end;
        }
        if (gap_begin < text.size()) pieces.push_back(text.substr(gap_begin));
    }

  private:
    bool finds(std::string_view text, std::size_t at, pcre2_match_data* match) const {
        const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
        int found =
            pcre2_jit_match(code_.get(), subject, text.size(), at, 0, match, context_.get());
        if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
            // No JIT on this machine, or its small stack is full: the interpreter has neither need.
            found = pcre2_match(code_.get(), subject, text.size(), at,
                                PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, context_.get());
        }
        CHECK(found >= 0 || found == PCRE2_ERROR_NOMATCH);
        return found >= 0;
    }

    Code code_;
    MatchContext context_;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

Status PreTokenizer::add_split(const std::string& pattern) {
    const auto rewritten = to_pcre2_pattern(pattern);
    RETURN_IF_ERROR(rewritten);
    int problem = 0;
    PCRE2_SIZE offset = 0;
    Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten->data()), rewritten->size(),
                            PCRE2_UTF | PCRE2_UCP, &problem, &offset, nullptr));
    if (code == nullptr) {
        PCRE2_UCHAR message[256];
        pcre2_get_error_message(problem, message, sizeof message);
        return invalid_argument("pre-tokenizer pattern, byte " + std::to_string(offset) + ": " +
                                reinterpret_cast<const char*>(message));
    }
    // Without JIT (not built in) matching still works, only slower.
    (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
    stages_.emplace_back(std::move(code));
    return {};
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
    std::vector<std::string_view> pieces;
    while (!text.empty()) {
        const std::size_t valid = valid_utf8_prefix(text);
        if (valid > 0) split_valid(text.substr(0, valid), pieces);
        text.remove_prefix(valid);
        std::size_t broken = 0;
        while (broken < text.size()) {
            const Utf8Step step = next_utf8(text.substr(broken));
            if (step.is_valid) break;
            broken += step.length;
        }
        if (broken > 0) pieces.push_back(text.substr(0, broken));
        text.remove_prefix(broken);
    }
    return pieces;
}

void PreTokenizer::split_valid(std::string_view text, std::vector<std::string_view>& pieces) const {
    std::vector<std::string_view> current{text};
    std::vector<std::string_view> next;
    for (const Stage& stage : stages_) {
        const MatchData match = stage.make_match_data();
        next.clear();
        for (const std::string_view piece : current) stage.split(piece, match.get(), next);
        current.swap(next);
    }
    pieces.insert(pieces.end(), current.begin(), current.end());
}

}  // namespace turnpike::engine::text
