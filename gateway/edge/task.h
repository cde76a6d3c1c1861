// Task<T>: a coroutine of one connection. It starts when it is awaited, runs at once as far as it
// can, and only suspends its caller when it had to wait itself, so that a loop over reads that
// succeed immediately keeps a flat stack. Destroying a task destroys what it awaits.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "config/base/check.h"

namespace turnpike::gateway {

template <class T>
class Task;

namespace detail {

struct ResumeCaller {
    bool await_ready() const noexcept { return false; }

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
        const std::coroutine_handle<> caller = self.promise().caller;
        return caller ? caller : std::noop_coroutine();
    }

    void await_resume() const noexcept {}
};

struct TaskPromiseBase {
    std::coroutine_handle<> caller;
    std::exception_ptr exception;

    std::suspend_always initial_suspend() const noexcept { return {}; }

    ResumeCaller final_suspend() const noexcept { return {}; }

    void unhandled_exception() { exception = std::current_exception(); }

    void rethrow() const {
        if (exception) std::rethrow_exception(exception);
    }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
    std::optional<T> value;

    Task<T> get_return_object();

    void return_value(T result) { value.emplace(std::move(result)); }

    T take() {
        rethrow();
        CHECK(value.has_value());
        return std::move(*value);
    }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
    Task<void> get_return_object();

    void return_void() const {}

    void take() const { rethrow(); }
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::TaskPromise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task() = default;

    explicit Task(Handle handle) : handle_(handle) {}

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            reset();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }

    ~Task() { reset(); }

    // For the root of a connection, which nobody awaits. True once it has finished.
    bool start() {
        handle_.resume();
        return handle_.done();
    }

    bool is_done() const { return !handle_ || handle_.done(); }

    void rethrow() const { handle_.promise().rethrow(); }

    void reset() {
        if (handle_) std::exchange(handle_, nullptr).destroy();
    }

    // Awaiting.
    bool await_ready() {
        handle_.resume();
        return handle_.done();
    }

    void await_suspend(std::coroutine_handle<> caller) { handle_.promise().caller = caller; }

    T await_resume() { return handle_.promise().take(); }

  private:
    Handle handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
    return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() {
    return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace detail

}  // namespace turnpike::gateway
