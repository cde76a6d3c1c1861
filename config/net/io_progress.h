// IoNeed, IoProgress: what reading or writing without waiting did, and what has to be waited for.
#pragma once

#include <cstddef>

namespace turnpike::net {

// What the loop waits for before the stream is asked again.
enum class IoNeed { kNone, kReadable, kWritable };

struct IoProgress {
    std::size_t num_bytes = 0;
    IoNeed need = IoNeed::kNone;  // not kNone: trying again at once would find nothing
    bool is_end = false;          // of read(): the peer has closed
};

}  // namespace turnpike::net
