// StrongType<Tag, T>: a value that does not convert to or from its representation by accident.
#pragma once

#include <compare>
#include <functional>
#include <utility>

namespace turnpike {

template <class Tag, class T>
class StrongType {
  public:
    using Rep = T;

    StrongType() = default;

    constexpr explicit StrongType(T value) : value_(std::move(value)) {}

    constexpr const T& value() const { return value_; }

    friend auto operator<=>(const StrongType&, const StrongType&) = default;
    friend bool operator==(const StrongType&, const StrongType&) = default;

  private:
    T value_{};
};

}  // namespace turnpike

template <class Tag, class T>
struct std::hash<turnpike::StrongType<Tag, T>> {
    std::size_t operator()(const turnpike::StrongType<Tag, T>& id) const {
        return std::hash<T>{}(id.value());
    }
};
