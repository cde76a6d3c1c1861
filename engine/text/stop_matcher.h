// StopMatcher: finds stop strings in a stream of text, across any borders, and never lets one out.
// Of several, the one that is complete first counts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace turnpike::engine::text {

class StopMatcher {
  public:
    explicit StopMatcher(std::vector<std::string> stops);

    // The text that is certain not to belong to a stop string. After a match, what stood before it;
    // then nothing more.
    std::string push(std::string_view text);
    // At the end of the stream: what was held back.
    std::string flush();

    bool has_matched() const { return has_matched_; }

  private:
    std::vector<std::string> stops_;
    std::string held_;
    bool has_matched_ = false;
};

}  // namespace turnpike::engine::text
