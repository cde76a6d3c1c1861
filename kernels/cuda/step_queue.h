// Launches held back until the host waits for them. A run of launches that came before, the same
// kernels on the same memory, goes out as one CUDA graph: a decode step is a thousand kernels of a
// few microseconds each, more than a CPU launches in that time.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <unordered_map>
#include <vector>

#include "kernels/cuda/signature.h"

namespace turnpike::kernels::cuda {

class StepQueue {
  public:
    // Graphs that are kept; the one that was not used for longest goes.
    static constexpr std::size_t kMaxGraphs = 64;
    // Fewer launches than this are not worth one.
    static constexpr std::size_t kFewestLaunches = 8;

    explicit StepQueue(cudaStream_t stream) : stream_(stream) {}

    ~StepQueue();
    StepQueue(const StepQueue&) = delete;
    StepQueue& operator=(const StepQueue&) = delete;

    // op(arguments..., stream), later. It launches kernels and does nothing else: what it launches
    // depends on its arguments alone, and memory that they point to is not freed before flush().
    template <class... Parameters, class... Arguments>
    void put(void (*op)(Parameters...), const Arguments&... arguments) {
        signature_.add(op);
        signature_.add_all(arguments...);
        launches_.emplace_back([=, stream = stream_] { op(arguments..., stream); });
    }

    // Everything that was put is on the stream behind this.
    void flush();

  private:
    struct Seen {
        Signature signature;
        cudaGraphExec_t graph = nullptr;  // from the second time on
    };

    struct Hash {
        std::size_t operator()(const Signature& signature) const { return signature.hash(); }
    };

    void launch_all();
    cudaGraphExec_t record();
    Seen& find();

    cudaStream_t stream_;
    Signature signature_;
    std::vector<std::function<void()>> launches_;
    std::list<Seen> seen_;  // the last used first
    std::unordered_map<Signature, std::list<Seen>::iterator, Hash> places_;
};

}  // namespace turnpike::kernels::cuda
