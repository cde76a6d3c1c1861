// Secret: bytes that must not reach a log. They show themselves only when asked by name.
#pragma once

#include <ostream>
#include <string>
#include <utility>

namespace turnpike {

class Secret {
  public:
    Secret() = default;

    explicit Secret(std::string value) : value_(std::move(value)) {}

    const std::string& reveal() const { return value_; }

    bool empty() const { return value_.empty(); }

    friend std::ostream& operator<<(std::ostream& out, const Secret&) { return out << "***"; }

  private:
    std::string value_;
};

}  // namespace turnpike
