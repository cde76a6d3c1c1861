// LiveRequests: the generations in progress, so that time can be told to all of them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/serve/generation.h"

namespace turnpike::engine {

class LiveRequests {
  public:
    // Any thread.
    void add(const std::shared_ptr<Generation>& generation) {
        const std::lock_guard lock(mutex_);
        generations_.push_back(generation);
    }

    // By one thread.
    void tick(SteadyTime now) {
        for (const auto& generation : alive()) generation->tick(now);
    }

  private:
    std::vector<std::shared_ptr<Generation>> alive() {
        const std::lock_guard lock(mutex_);
        std::vector<std::shared_ptr<Generation>> found;
        std::erase_if(generations_, [&](const std::weak_ptr<Generation>& weak) {
            auto generation = weak.lock();
            if (generation == nullptr) return true;
            found.push_back(std::move(generation));
            return false;
        });
        return found;
    }

    std::mutex mutex_;
    std::vector<std::weak_ptr<Generation>> generations_;
};

}  // namespace turnpike::engine
