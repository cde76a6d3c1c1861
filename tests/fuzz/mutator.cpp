// See mutator.h.
#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <utility>

namespace turnpike::fuzz {
namespace {

constexpr std::size_t kMinRoomBytes = 4096;
constexpr std::int64_t kMaxDamages = 8;

// Where parsers of numbers and lengths go wrong.
constexpr std::array<std::string_view, 24> kNumbers{"0",
                                                    "1",
                                                    "-1",
                                                    "-0",
                                                    "2147483647",
                                                    "2147483648",
                                                    "4294967295",
                                                    "4294967296",
                                                    "4294967297",
                                                    "9223372036854775807",
                                                    "9223372036854775808",
                                                    "-9223372036854775808",
                                                    "-9223372036854775809",
                                                    "18446744073709551615",
                                                    "18446744073709551616",
                                                    "100000000000000000000",
                                                    "1e999",
                                                    "-1e999",
                                                    "1e-320",
                                                    "1e300",
                                                    "0.1",
                                                    "1.5",
                                                    "007",
                                                    "1e16"};
constexpr std::array<std::uint64_t, 12> kLengths{0,
                                                 1,
                                                 0x7F,
                                                 0xFF,
                                                 0x7FFF,
                                                 0xFFFF,
                                                 0x7FFFFFFF,
                                                 0x80000000,
                                                 0xFFFFFFFF,
                                                 0x100000000U,
                                                 0x7FFFFFFFFFFFFFFF,
                                                 0xFFFFFFFFFFFFFFFF};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The token between the quotes of one dictionary line.
std::string unquoted(std::string_view line) {
    const std::size_t begin = line.find('"');
    CHECK(begin != std::string_view::npos && line.size() > begin + 1 && line.back() == '"');
    std::string token;
    const std::string_view inner = line.substr(begin + 1, line.size() - begin - 2);
    for (std::size_t i = 0; i < inner.size(); ++i) {
        if (inner[i] != '\\') {
            token += inner[i];
        } else if (inner.substr(i).starts_with("\\x")) {
            unsigned byte = 0;
            const char* digits = inner.data() + i + 2;
            CHECK(i + 3 < inner.size());
            CHECK(std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2);
            token += static_cast<char>(byte);
            i += 3;
        } else {
            CHECK(++i < inner.size());
            token += inner[i];
        }
    }
    return token;
}

}  // namespace

Mutator::Mutator(std::vector<std::string> corpus,
                 std::vector<std::string> tokens,
                 std::uint64_t default_seed)
    : corpus_(std::move(corpus)), tokens_(std::move(tokens)), random_(default_seed) {
    CHECK(!corpus_.empty());
    for (const std::string& input : corpus_) max_bytes_ = std::max(max_bytes_, input.size());
    max_bytes_ += kMinRoomBytes;
}

std::string Mutator::next() {
    std::string input = one_of(corpus_);
    const std::int64_t times = random_.between(1, kMaxDamages);
    for (std::int64_t i = 0; i < times; ++i) damage(input);
    if (input.size() > max_bytes_) input.resize(max_bytes_);
    return input;
}

void Mutator::damage(std::string& input) {
    using Damage = void (Mutator::*)(std::string&);
    constexpr std::array<Damage, 10> kDamages{
        &Mutator::flip_bit,     &Mutator::set_byte,
        &Mutator::truncate,     &Mutator::erase,
        &Mutator::repeat,       &Mutator::splice,
        &Mutator::insert_token, &Mutator::overwrite_with_token,
        &Mutator::tweak_length, &Mutator::change_number};
    (this->*kDamages[below(kDamages.size())])(input);
}

void Mutator::flip_bit(std::string& input) {
    if (input.empty()) return;
    char& byte = input[below(input.size())];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << below(8)));
}

void Mutator::set_byte(std::string& input) {
    if (input.empty()) return;
    constexpr std::string_view kLikely = "{}[]\",:\\\r\n\t 0-/%;=&";
    const std::size_t choice = below(2 * kLikely.size());
    input[below(input.size())] =
        choice < kLikely.size() ? kLikely[choice] : static_cast<char>(below(256));
}

void Mutator::truncate(std::string& input) {
    // Mostly a little: what is left after a deep cut rarely gets far.
    const bool is_deep = below(4) == 0;
    const std::size_t most = is_deep ? input.size() : std::min<std::size_t>(input.size(), 16);
    input.resize(input.size() - below(most + 1));
}

void Mutator::erase(std::string& input) {
    input.erase(below(input.size() + 1), below(32));
}

void Mutator::repeat(std::string& input) {
    const std::string part = input.substr(below(input.size() + 1), below(64));
    const std::size_t times = 1 + below(below(8) == 0 ? 64 : 2);
    const std::size_t at = below(input.size() + 1);
    for (std::size_t i = 0; i < times; ++i) input.insert(at, part);
}

void Mutator::splice(std::string& input) {
    const std::string& other = one_of(corpus_);
    input.resize(below(input.size() + 1));
    input += other.substr(below(other.size() + 1));
}

void Mutator::insert_token(std::string& input) {
    if (tokens_.empty()) return;
    input.insert(below(input.size() + 1), one_of(tokens_));
}

void Mutator::overwrite_with_token(std::string& input) {
    if (tokens_.empty()) return;
    const std::string& token = one_of(tokens_);
    input.replace(below(input.size() + 1), token.size(), token);
}

// A little-endian number of 1, 2, 4 or 8 bytes; every other time where the input begins.
void Mutator::tweak_length(std::string& input) {
    const std::size_t width = std::size_t{1} << below(4);
    if (input.size() < width) return;
    const std::size_t at = below(2) == 0 ? 0 : below(input.size() - width + 1);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        value |= std::uint64_t{static_cast<unsigned char>(input[at + i])} << (8 * i);
    }
    value = below(2) == 0 ? kLengths[below(kLengths.size())] : value + below(33) - 16;
    for (std::size_t i = 0; i < width; ++i) input[at + i] = static_cast<char>(value >> (8 * i));
}

// A run of digits becomes another number.
void Mutator::change_number(std::string& input) {
    const std::size_t from = below(input.size() + 1);
    auto begin =
        std::find_if(input.begin() + static_cast<std::ptrdiff_t>(from), input.end(), is_digit);
    if (begin == input.end()) return;
    const auto end = std::find_if_not(begin, input.end(), is_digit);
    input.replace(begin, end, kNumbers[below(kNumbers.size())]);
}

std::size_t Mutator::below(std::size_t bound) {
    return bound == 0 ? 0 : static_cast<std::size_t>(random_.next() % bound);
}

const std::string& Mutator::one_of(const std::vector<std::string>& list) {
    return list[below(list.size())];
}

std::vector<std::string> parse_dictionary(const std::string& text) {
    std::vector<std::string> tokens;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        tokens.push_back(unquoted(line));
    }
    return tokens;
}

}  // namespace turnpike::fuzz
