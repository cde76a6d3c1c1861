// Mutator: damages inputs from a seed: bits, bytes, lengths, digits, cuts, copies, splices and
// dictionary tokens. The same seed gives the same inputs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/random.h"

namespace turnpike::fuzz {

class Mutator {
  public:
    // `corpus` is not empty. `tokens` may be.
    Mutator(std::vector<std::string> corpus,
            std::vector<std::string> tokens,
            std::uint64_t default_seed);

    // One input of the corpus, damaged one to eight times.
    std::string next();

    // "repeat with TURNPIKE_TEST_SEED=...".
    std::string replay() const { return random_.replay(); }

    std::uint64_t seed() const { return random_.seed(); }

  private:
    void damage(std::string& input);
    void flip_bit(std::string& input);
    void set_byte(std::string& input);
    void truncate(std::string& input);
    void erase(std::string& input);
    void repeat(std::string& input);
    void splice(std::string& input);
    void insert_token(std::string& input);
    void overwrite_with_token(std::string& input);
    void tweak_length(std::string& input);
    void change_number(std::string& input);

    std::size_t below(std::size_t bound);  // 0 for bound 0
    const std::string& one_of(const std::vector<std::string>& list);

    std::vector<std::string> corpus_;
    std::vector<std::string> tokens_;
    test::SeededRandom random_;
    std::size_t max_bytes_ = 0;
};

// The tokens of a dictionary in libFuzzer's form: one `"text"` or `name="text"` a line, with \\, \"
// and \xNN inside; '#' begins a comment. A line that is none of these ends the process.
std::vector<std::string> parse_dictionary(const std::string& text);

}  // namespace turnpike::fuzz
