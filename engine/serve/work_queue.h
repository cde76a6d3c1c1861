// WorkQueue: one thread that turns tokens into text and JSON, so that neither the step thread nor
// the HTTP threads do. Tasks run in the order in which they were pushed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace turnpike::engine {

class WorkQueue {
  public:
    WorkQueue();

    ~WorkQueue() { stop(); }

    // Runs what is queued, then joins; what is pushed later is dropped. By one thread; idempotent.
    void stop();

    // Any thread; never blocks. The queue is bounded by the tokens of the running sequences.
    void push(std::function<void()> task);

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    bool is_stopping_ = false;
    bool is_stopped_ = false;
    std::thread thread_;
};

}  // namespace turnpike::engine
