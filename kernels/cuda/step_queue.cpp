// See step_queue.h.
#include "kernels/cuda/step_queue.h"

#include "kernels/cuda/error.h"

namespace turnpike::kernels::cuda {

// At exit the driver may be gone; there is nobody to tell then.
StepQueue::~StepQueue() {
    for (const Seen& seen : seen_) {
        if (seen.graph != nullptr) (void)cudaGraphExecDestroy(seen.graph);
    }
}

void StepQueue::flush() {
    if (launches_.empty()) return;
    if (launches_.size() < kFewestLaunches) {
        launch_all();
    } else {
        const std::size_t known = seen_.size();
        Seen& seen = find();
        const bool is_new = seen_.size() > known;
        if (!is_new && seen.graph == nullptr) seen.graph = record();
        if (seen.graph != nullptr)
            CUDA_CHECK(cudaGraphLaunch(seen.graph, stream_));
        else
            launch_all();
        if (seen_.size() > kMaxGraphs) {
            const Seen& oldest = seen_.back();
            if (oldest.graph != nullptr) CUDA_CHECK(cudaGraphExecDestroy(oldest.graph));
            places_.erase(oldest.signature);
            seen_.pop_back();
        }
    }
    launches_.clear();
    signature_ = {};
}

void StepQueue::launch_all() {
    for (const auto& launch : launches_) launch();
}

// This run's entry, at the front.
StepQueue::Seen& StepQueue::find() {
    const auto place = places_.find(signature_);
    if (place != places_.end()) {
        seen_.splice(seen_.begin(), seen_, place->second);
    } else {
        seen_.push_front({signature_, nullptr});
        places_[signature_] = seen_.begin();
    }
    return seen_.front();
}

cudaGraphExec_t StepQueue::record() {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t runnable = nullptr;
    CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    launch_all();
    CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&runnable, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
    return runnable;
}

}  // namespace turnpike::kernels::cuda
