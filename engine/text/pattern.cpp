#include "engine/text/pattern.h"

#include "engine/text/unicode_tables.h"

namespace turnpike::engine::text {
namespace {

constexpr std::string_view kCategories = "LMNPS";
constexpr std::string_view kControls = "rntfv";

bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

class Rewriter {
  public:
    explicit Rewriter(std::string_view pattern) : pattern_(pattern) {}

    Result<std::string> rewrite() {
        while (at_ < pattern_.size()) {
            const char c = pattern_[at_];
            if (c == '\\') {
                RETURN_IF_ERROR(escape());
                continue;
            }
            if (is_in_class_ && (c == '[' || pattern_.substr(at_).starts_with("&&")))
                return unsupported(pattern_.substr(at_, c == '[' ? 1 : 2));
            if (!is_in_class_ && c == '[') {
                open_class();
                continue;
            }
            if (!is_in_class_ && c == '(') RETURN_IF_ERROR(check_group());
            if (c == ']') is_in_class_ = false;
            take(1);
        }
        return std::move(out_);
    }

  private:
    Error unsupported(std::string_view what) const {
        return invalid_argument("'" + excerpt(what) + "' at byte " + std::to_string(at_) +
                                " of the pattern is not supported");
    }

    void take(std::size_t count) {
        out_ += pattern_.substr(at_, count);
        at_ += count;
    }

    // Groups that mean the same in both engines. Verbs such as (*LIMIT_MATCH=1) are PCRE2's alone,
    // and a recursion without an end would be found out while matching only.
    Status check_group() const {
        const std::string_view rest = pattern_.substr(at_);
        if (!rest.starts_with("(?") && !rest.starts_with("(*")) return {};
        for (const std::string_view group :
             {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)", "(?-i:", "(?-i)"}) {
            if (rest.starts_with(group)) return {};
        }
        return unsupported(rest.substr(0, 3));
    }

    // A bracket right after the opening one, or after its '^', is an ordinary character.
    void open_class() {
        is_in_class_ = true;
        take(pattern_.substr(at_).starts_with("[^") ? 2 : 1);
        if (at_ < pattern_.size() && pattern_[at_] == ']') take(1);
    }

    void add_class(bool is_negated, std::string_view members, std::size_t length) {
        if (is_in_class_) {
            out_ += members;
        } else {
            out_ += is_negated ? "[^" : "[";
            out_ += members;
            out_ += ']';
        }
        at_ += length;
    }

    Status escape() {
        const std::string_view rest = pattern_.substr(at_);
        if (rest.size() < 2) return unsupported(rest);
        const char kind = rest[1];
        const bool is_negated = kind == 'S' || kind == 'P';
        if (is_negated && is_in_class_) return unsupported(rest.substr(0, 2));
        if (kind == 's' || kind == 'S') {
            add_class(is_negated, white_space_members(), 2);
            return {};
        }
        if (kind == 'p' || kind == 'P') return property(rest, is_negated);
        const bool is_plain = !is_word(kind) || kControls.find(kind) != std::string_view::npos;
        if (!is_plain) return unsupported(rest.substr(0, 2));
        take(2);
        return {};
    }

    // \p{L}: one major general category.
    Status property(std::string_view rest, bool is_negated) {
        constexpr std::size_t kLength = 5;
        const bool is_category = rest.size() >= kLength && rest[2] == '{' && rest[4] == '}' &&
                                 kCategories.find(rest[3]) != std::string_view::npos;
        if (!is_category) return unsupported(rest.substr(0, rest.find('}') + 1));
        std::string members = "\\p{";
        members += rest[3];
        members += '}';
        members += members_since_unicode_14(rest[3]);
        add_class(is_negated, members, kLength);
        return {};
    }

    std::string_view pattern_;
    std::size_t at_ = 0;
    std::string out_;
    bool is_in_class_ = false;
};

}  // namespace

Result<std::string> to_pcre2_pattern(std::string_view pattern) {
    return Rewriter(pattern).rewrite();
}

}  // namespace turnpike::engine::text
