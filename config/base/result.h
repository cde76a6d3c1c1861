// Result<T>: a value or an Error. Named like std::expected, which g++ 12 does not offer under
// C++20, so that a later swap is mechanical. Functions return it by value; [[nodiscard]] makes a
// lost error a compiler warning.
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "config/base/check.h"
#include "config/base/error.h"

namespace turnpike {

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}

    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const { return state_.index() == 0; }

    explicit operator bool() const { return has_value(); }

    T& value() & {
        CHECK(has_value());
        return std::get<0>(state_);
    }

    const T& value() const& {
        CHECK(has_value());
        return std::get<0>(state_);
    }

    T&& value() && {
        CHECK(has_value());
        return std::get<0>(std::move(state_));
    }

    T& operator*() & { return value(); }

    const T& operator*() const& { return value(); }

    T&& operator*() && { return std::move(*this).value(); }

    T* operator->() { return &value(); }

    const T* operator->() const { return &value(); }

    const Error& error() const& {
        CHECK(!has_value());
        return std::get<1>(state_);
    }

    Error&& error() && {
        CHECK(!has_value());
        return std::get<1>(std::move(state_));
    }

  private:
    std::variant<T, Error> state_;
};

// Success without a value.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;

    Result(Error error) : error_(std::move(error)) {}

    bool has_value() const { return !error_.has_value(); }

    explicit operator bool() const { return has_value(); }

    void value() const { CHECK(has_value()); }

    const Error& error() const& {
        CHECK(!has_value());
        return *error_;
    }

  private:
    std::optional<Error> error_;
};

using Status = Result<void>;

inline Error invalid_argument(std::string message, std::string param = {}) {
    return Error{ErrorCode::kInvalidArgument, std::move(message), std::move(param)};
}

}  // namespace turnpike

// Returns the error of a Result expression from the enclosing function, else goes on. Each use has
// a name of its own, so that the expression may hold a lambda that uses it too.
#define RETURN_IF_ERROR(expression) \
    TURNPIKE_RETURN_IF_ERROR_(expression, TURNPIKE_JOIN_(turnpike_status_, __COUNTER__))
#define TURNPIKE_JOIN_(a, b) TURNPIKE_JOIN_EXPANDED_(a, b)
#define TURNPIKE_JOIN_EXPANDED_(a, b) a##b
#define TURNPIKE_RETURN_IF_ERROR_(expression, name) \
    do {                                            \
        if (auto&& name = (expression); !name) {    \
            return name.error();                    \
        }                                           \
    } while (false)
