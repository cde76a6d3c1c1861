// SeededRandom: numbers for property tests. The seed is fixed, or TURNPIKE_TEST_SEED's, and a
// failure prints it: put `SCOPED_TRACE(random.replay())` at the top of the test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/base/check.h"

namespace turnpike::test {

class SeededRandom {
  public:
    explicit SeededRandom(std::uint64_t default_seed) : seed_(chosen_seed(default_seed)) {
        state_ = seed_;
    }

    std::string replay() const { return "repeat with TURNPIKE_TEST_SEED=" + std::to_string(seed_); }

    std::uint64_t seed() const { return seed_; }

    // SplitMix64 (Steele, Lea, Flood 2014): the same numbers with every standard library.
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

    // Uniform enough for tests in [low, high].
    std::int64_t between(std::int64_t low, std::int64_t high) {
        CHECK(low <= high);
        const auto width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
        const std::uint64_t offset = width == 0 ? next() : next() % width;
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
    }

  private:
    static std::uint64_t chosen_seed(std::uint64_t fallback) {
        const char* text = std::getenv("TURNPIKE_TEST_SEED");
        return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
    }

    std::uint64_t seed_;
    std::uint64_t state_;
};

}  // namespace turnpike::test
