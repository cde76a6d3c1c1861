// Communicator: what the ranks of one model say to each other. Ranks are numbered 0 .. size() - 1
// and call the same operations in the same order.
//
// It moves bytes and adds nothing: sums of floats have one order (segments.h), which each rank
// applies to what it received.
//
// Failure is a state: when a rank ends or aborts, or an operation does not come to its end in time,
// every operation of every rank returns the same error from then on, and leaves its output
// undefined. Methods are called by one thread at a time, but for abort() and status().
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "config/base/result.h"

namespace turnpike::kernels {

class Communicator {
  public:
    virtual ~Communicator() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;

    // `data`: memory of this rank's backend that holds a part of every rank one after another, the
    // part of rank r being part_bytes[r] bytes long. This rank's part is read, the others are
    // written. part_bytes is the same on all ranks. Bounded in time.
    virtual Status all_gather(void* data, std::span<const std::size_t> part_bytes) = 0;

    // `data`: host memory, of one size on all ranks; the root's is copied to the others. The root's
    // wait is bounded in time; the others wait for as long as the root lives, as an idle engine's
    // ranks do.
    virtual Status broadcast(std::span<std::byte> data, int root) = 0;

    // Waits until every rank is here, for as long as all live.
    virtual Status barrier() = 0;

    // Any thread: every rank fails with this reason, unless there is one already.
    virtual void abort(const std::string& reason) = 0;

    // Any thread: the error that operations return, if they do.
    virtual Status status() const = 0;
};

}  // namespace turnpike::kernels
