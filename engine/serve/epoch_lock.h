// EpochLock: one engine per lock file, and never an older one than has run before. The file is
// locked for the life of the object and holds the highest epoch that was ever started.
#pragma once

#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::engine {

class EpochLock {
  public:
    // kConflict when another process holds the lock or a higher epoch has run; kIo, kCorrupt.
    static Result<EpochLock> acquire(const std::string& path, Epoch epoch);

  private:
    explicit EpochLock(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

}  // namespace turnpike::engine
