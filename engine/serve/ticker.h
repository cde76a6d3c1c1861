// Ticker: a thread that calls a function again and again. What the function decides takes the time
// as an argument, so that only this thread waits for real time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace turnpike::engine {

class Ticker {
  public:
    Ticker(std::chrono::milliseconds period, std::function<void()> on_tick);

    ~Ticker() { stop(); }

    // No call runs or begins after it returns. By one thread, not by on_tick; idempotent.
    void stop();

  private:
    void run();

    const std::chrono::milliseconds period_;
    const std::function<void()> on_tick_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool is_stopping_ = false;
    std::thread thread_;
};

}  // namespace turnpike::engine
