// Tasks: values, exceptions, suspension, flat stacks, destruction half-way.
#include "gateway/edge/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace turnpike::gateway {
namespace {

struct Pause {
    explicit Pause(std::coroutine_handle<>& slot) : slot_(slot) {}

    bool await_ready() const { return false; }

    void await_suspend(std::coroutine_handle<> handle) { slot_ = handle; }

    void await_resume() const {}

  private:
    std::coroutine_handle<>& slot_;
};

Task<std::string> text_after_pause(std::coroutine_handle<>& slot) {
    co_await Pause(slot);
    co_return std::string("text");
}

Task<int> ready_value(int value) {
    co_return value;
}

Task<int> thrower() {
    throw std::runtime_error("expected");
    co_return 0;
}

Task<> collect(std::coroutine_handle<>& slot, std::string& out) {
    out = co_await text_after_pause(slot);
}

TEST(Task, ResumesItsCallerAfterAPause) {
    std::coroutine_handle<> slot;
    std::string out;
    Task<> root = collect(slot, out);
    EXPECT_FALSE(root.start());
    slot.resume();
    EXPECT_TRUE(root.is_done());
    EXPECT_EQ(out, "text");
}

Task<> add_up(long& sum) {
    for (int i = 0; i < 1'000'000; ++i) sum += co_await ready_value(1);
}

TEST(Task, ManyReadyAwaitsKeepTheStackFlat) {
    long sum = 0;
    EXPECT_TRUE(add_up(sum).start());
    EXPECT_EQ(sum, 1'000'000);
}

Task<> catcher(bool& was_caught) {
    try {
        co_await thrower();
    } catch (const std::runtime_error&) {
        was_caught = true;
    }
}

TEST(Task, ExceptionsReachTheCaller) {
    bool was_caught = false;
    EXPECT_TRUE(catcher(was_caught).start());
    EXPECT_TRUE(was_caught);
}

Task<> hold(std::coroutine_handle<>& slot, std::shared_ptr<int> held, std::string& out) {
    co_await collect(slot, out);
    *held = 1;
}

TEST(Task, DestructionUnwindsWhatIsSuspended) {
    std::coroutine_handle<> slot;
    std::string out;
    const auto held = std::make_shared<int>(0);
    {
        Task<> root = hold(slot, held, out);
        EXPECT_FALSE(root.start());
        EXPECT_EQ(held.use_count(), 2);
    }
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace turnpike::gateway
