// NcclCommunicator: the communicator of ranks on GPUs, over NCCL. Built where CUDA and NCCL are
// found; its header needs neither.
//
// Gathering is put in line on the device's stream and not waited for. What a lost peer leaves
// unfinished there is noticed by broadcast(), which opens every step, or ended by abort() from a
// thread that watches. NCCL carries no reason between ranks: a rank's own abort() has the one it
// was given, the others' errors are NCCL's.
#pragma once

#include <memory>
#include <string>

#include "kernels/api/communicator.h"

namespace turnpike::engine {

struct NcclOptions {
    int rank = 0;
    int size = 1;
    int device = 0;          // of this host
    void* stream = nullptr;  // cudaStream_t of the backend; outlives the communicator
    std::string id;          // of new_nccl_id(), the same on all ranks
    int wait_limit_ms = 120'000;
};

// What the ranks find each other by: made by one, handed to the others as bytes. Errors:
// kUnavailable.
Result<std::string> new_nccl_id();

// Waits for all ranks. Errors: kInvalidArgument for an id of another length, kUnavailable with
// NCCL's or CUDA's words, kTimeout.
Result<std::unique_ptr<kernels::Communicator>> join_nccl(const NcclOptions& options);

}  // namespace turnpike::engine
