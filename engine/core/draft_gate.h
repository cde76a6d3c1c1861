// DraftGate: whether a sequence is worth drafting for, judged by how its drafts fared. A pure
// function of what it was told: no clocks, and the same for the same history on any machine.
//
// A step that checks a draft and makes the next one gives 1 + a tokens, where `a` is the share of
// drafts that is accepted, and costs 1 + c plain steps. It pays when a > c. With few sequences a
// step's time is the bytes it reads, so c is what it reads twice or in addition: of R1 about 0.57
// (20 GB of experts for the second row, 1.9 GB of the head and 0.7 GB of the draft layer, beside
// 39 GB of a plain step), of the small shapes of tests/bench up to 0.8. Drafts of text that the
// layer was trained for are accepted at 0.8 and more; where they are not, hardly any is.
//
// Open: every step is asked for a draft. The estimate of `a` moves by an eighth of each draft's
// surprise, so that four refused drafts in a row close it: once in 2,000 steps at a = 0.85, for
// nine steps. Closed: one step in 8, then 16, then 32 is asked, as a probe; one probe in 32 costs
// c / 32, less than 3 %. An accepted probe is followed by another at once, and two of them open it.
//
// Of several drafts in a step, the i-th counts only when those before it were right too, which
// `a`^i of them are: as many are asked for as still pay by themselves.
#pragma once

#include <cstdint>

namespace turnpike::engine {

class DraftGate {
  public:
    static constexpr double kFirstEstimate = 0.85;  // drafts are tried before they are judged
    static constexpr double kCloseBelow = 0.5;
    static constexpr double kOpenFrom = 0.6;  // above kCloseBelow: it does not flap
    static constexpr std::int32_t kFirstInterval = 8;
    static constexpr std::int32_t kLongestInterval = 32;

    // `is_adaptive`: false = always open.
    explicit DraftGate(bool is_adaptive) : is_adaptive_(is_adaptive) {}

    // Whether the next step that can be asked for a draft is to be asked.
    bool is_due() const { return is_open_ || num_unasked_ + 1 >= interval_; }

    // Counts a step that can be asked for a draft. Returns is_due() as it was before.
    bool take_step();

    // How many drafts a step that is due is worth, 1 to `most`.
    std::int32_t depth(std::int32_t most) const;

    // A draft was checked, and so were those before it in the step, which were right.
    void learn(bool was_accepted);

    bool is_open() const { return is_open_; }

    // Share of drafts that is expected to be accepted.
    double estimate() const { return estimate_; }

  private:
    void learn_open();
    void learn_closed(bool was_accepted);

    bool is_adaptive_;
    bool is_open_ = true;
    double estimate_ = kFirstEstimate;
    std::int32_t interval_ = kFirstInterval;  // steps from probe to probe
    std::int32_t num_unasked_ = 0;            // steps since the last probe
};

}  // namespace turnpike::engine
