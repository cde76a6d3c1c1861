// Workspace: what the ops of a step share on the device: the stream, what goes up and down, what is
// held back, and the memory between two kernels of an op. The base of the CUDA backend.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/attention.h"
#include "kernels/api/moe.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/step_queue.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

class Stream {
  public:
    Stream() { CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

    ~Stream() { (void)cudaStreamDestroy(stream_); }

    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    operator cudaStream_t() const { return stream_; }

  private:
    cudaStream_t stream_ = nullptr;
};

// What one call attends with, on the device.
struct UploadedSlices {
    const AttentionRow* rows = nullptr;
    std::int64_t num_rows = 0;
    const std::int32_t* tables = nullptr;
    std::int64_t max_tokens = 0;
};

class Workspace {
  protected:
    // A buffer each.
    enum Use : std::size_t {
        kCodes,
        kScales,
        kGatheredCodes,
        kGatheredScales,
        kHighParts,
        kLowParts,
        kRouterLogits,
        kExpertHidden,
        kExpertOut,
        kSharedGate,
        kSharedUp,
        kSharedOut,
        kLatentQueries,
        kAttended,
        kPartials,
        kRouting,
        kSlots,
        kSampleWork,
        kSampleResults,
        kNumUses,
    };

    Workspace();

    // A use's buffer, of at least num_bytes; what it held is lost when it was too small.
    void* room(Use use, std::size_t num_bytes);
    // In the uploads, for all that one op puts.
    void make_room(std::size_t num_bytes);
    // Everything that was put is on the stream behind this.
    void flush();
    // For what was flushed.
    void wait();

    template <class T>
    void copy_down(const T* from, std::vector<T>& to) {
        CUDA_CHECK(cudaMemcpyAsync(to.data(), from, to.size() * sizeof(T), cudaMemcpyDeviceToHost,
                                   stream_));
    }

    // f32.
    MatrixView scratch(Use use, std::int64_t rows, std::int64_t cols);
    // Room for codes of rows, until the uses are taken again.
    CodedRows codes(Use codes_use, Use scales_use, std::int64_t rows, std::int64_t cols);
    // x quantised, until the next call.
    CodedRows coded(MatrixView x);
    // x in two BF16 parts, until the next call.
    SplitRows split_rows(MatrixView x);
    // Room for the routing of a call, until the next.
    RoutingView routing_view(std::int64_t rows, std::int64_t num_chosen, std::int64_t num_experts);

    UploadedSlices upload(std::span<const AttentionSlice> slices, std::int64_t num_rows);
    RoutingView upload(const Routing& routing, std::int64_t num_experts);

    Stream stream_;
    UploadBuffer uploads_;
    StepQueue queue_;

  private:
    std::int32_t* upload_words(const std::vector<std::int32_t>& words);

    GrowingBuffer buffers_[kNumUses];
};

}  // namespace turnpike::kernels::cuda
