// See nccl_communicator.h.
#include "engine/parallel/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>

#include "config/base/check.h"
#include "config/base/clock.h"

namespace turnpike::engine {
namespace {

constexpr long kPollNs = 20'000;

Error unavailable(const std::string& what, const char* problem) {
    return {ErrorCode::kUnavailable, what + ": " + problem, {}};
}

Status check_cuda(cudaError_t result, const std::string& what) {
    if (result == cudaSuccess) return {};
    return unavailable(what, cudaGetErrorString(result));
}

// In a communicator that does not block, work in progress is no error.
Status check_nccl(ncclResult_t result, const std::string& what) {
    if (result == ncclSuccess || result == ncclInProgress) return {};
    return unavailable(what, ncclGetErrorString(result));
}

// Device memory for what comes from the host or goes there.
class Staging {
  public:
    Staging() = default;

    ~Staging() { (void)cudaFree(data_); }

    Staging(const Staging&) = delete;

    Status reserve(std::size_t num_bytes) {
        if (num_bytes <= capacity_) return {};
        (void)cudaFree(std::exchange(data_, nullptr));
        capacity_ = 0;
        RETURN_IF_ERROR(check_cuda(cudaMalloc(&data_, num_bytes), "allocating device memory"));
        capacity_ = num_bytes;
        return {};
    }

    void* data() const { return data_; }

  private:
    void* data_ = nullptr;
    std::size_t capacity_ = 0;
};

class NcclCommunicator final : public kernels::Communicator {
  public:
    NcclCommunicator(const NcclOptions& options, ncclComm_t comm)
        : options_(options), stream_(static_cast<cudaStream_t>(options.stream)), comm_(comm) {}

    ~NcclCommunicator() override {
        // Not ncclCommDestroy: it waits for ranks that may be gone.
        if (comm_ != nullptr) (void)ncclCommAbort(comm_);
    }

    int rank() const override { return options_.rank; }

    int size() const override { return options_.size; }

    Status all_gather(void* data, std::span<const std::size_t> part_bytes) override {
        CHECK(static_cast<int>(part_bytes.size()) == size());
        {
            const std::lock_guard lock(mutex_);
            RETURN_IF_ERROR(own_status());
            RETURN_IF_ERROR(settle(enqueue_gather(static_cast<std::byte*>(data), part_bytes)));
        }
        return wait_until_enqueued();
    }

    Status broadcast(std::span<std::byte> data, int root) override {
        CHECK(root >= 0 && root < size());
        {
            const std::lock_guard lock(mutex_);
            RETURN_IF_ERROR(own_status());
            RETURN_IF_ERROR(settle(enqueue_broadcast(data, root)));
        }
        RETURN_IF_ERROR(wait_until_enqueued());
        if (rank() != root) {
            const std::lock_guard lock(mutex_);
            RETURN_IF_ERROR(
                settle(check_cuda(cudaMemcpyAsync(data.data(), staging_.data(), data.size(),
                                                  cudaMemcpyDeviceToHost, stream_),
                                  "copying from the device")));
        }
        return wait_for_stream(rank() == root);
    }

    // Everybody gives and takes one byte.
    Status barrier() override {
        {
            const std::lock_guard lock(mutex_);
            RETURN_IF_ERROR(own_status());
            const auto count = static_cast<std::size_t>(size());
            RETURN_IF_ERROR(settle(staging_.reserve(count)));
            auto* all = static_cast<std::byte*>(staging_.data());
            RETURN_IF_ERROR(settle(check_nccl(
                ncclAllGather(all + rank(), all, 1, ncclUint8, comm_, stream_), "ncclAllGather")));
        }
        RETURN_IF_ERROR(wait_until_enqueued());
        return wait_for_stream(false);
    }

    void abort(const std::string& reason) override {
        const std::lock_guard lock(mutex_);
        fail({ErrorCode::kUnavailable, reason, {}});
    }

    Status status() const override {
        const std::lock_guard lock(mutex_);
        return own_status();
    }

    // Until NCCL has taken the last call, which a communicator that does not block returns from
    // before.
    Status wait_until_enqueued() {
        return poll_until(true, [this]() -> Result<bool> {
            ncclResult_t state = ncclSuccess;
            RETURN_IF_ERROR(check_nccl(ncclCommGetAsyncError(comm_, &state), "NCCL"));
            RETURN_IF_ERROR(check_nccl(state, "NCCL"));
            return state == ncclSuccess;
        });
    }

  private:
    Status own_status() const {
        if (failure_) return *failure_;
        return {};
    }

    void fail(const Error& error) {
        if (failure_) return;
        failure_ = error;
        // Ends what the device waits for.
        if (comm_ != nullptr) (void)ncclCommAbort(std::exchange(comm_, nullptr));
    }

    Status settle(const Status& status) {
        if (!status) fail(status.error());
        return own_status();
    }

    Status enqueue_gather(std::byte* data, std::span<const std::size_t> part_bytes) {
        const std::size_t first = part_bytes.front();
        const bool is_even = std::all_of(part_bytes.begin(), part_bytes.end(),
                                         [&](std::size_t bytes) { return bytes == first; });
        if (is_even) {
            const std::byte* own = data + first * static_cast<std::size_t>(rank());
            return check_nccl(ncclAllGather(own, data, first, ncclUint8, comm_, stream_),
                              "ncclAllGather");
        }
        RETURN_IF_ERROR(check_nccl(ncclGroupStart(), "ncclGroupStart"));
        Status status;
        for (int root = 0; root < size() && status; ++root) {
            const std::size_t num_bytes = part_bytes[static_cast<std::size_t>(root)];
            if (num_bytes > 0) {
                status = check_nccl(
                    ncclBroadcast(data, data, num_bytes, ncclUint8, root, comm_, stream_),
                    "ncclBroadcast");
            }
            data += num_bytes;
        }
        const Status ended = check_nccl(ncclGroupEnd(), "ncclGroupEnd");
        return status ? ended : status;
    }

    Status enqueue_broadcast(std::span<std::byte> data, int root) {
        RETURN_IF_ERROR(staging_.reserve(std::max<std::size_t>(data.size(), 1)));
        if (rank() == root) {
            RETURN_IF_ERROR(check_cuda(cudaMemcpyAsync(staging_.data(), data.data(), data.size(),
                                                       cudaMemcpyHostToDevice, stream_),
                                       "copying to the device"));
        }
        return check_nccl(ncclBroadcast(staging_.data(), staging_.data(), data.size(), ncclUint8,
                                        root, comm_, stream_),
                          "ncclBroadcast");
    }

    Status wait_for_stream(bool is_bounded) {
        return poll_until(is_bounded, [this]() -> Result<bool> {
            ncclResult_t state = ncclSuccess;
            RETURN_IF_ERROR(check_nccl(ncclCommGetAsyncError(comm_, &state), "NCCL"));
            RETURN_IF_ERROR(check_nccl(state, "NCCL"));
            const cudaError_t result = cudaStreamQuery(stream_);
            if (result == cudaErrorNotReady) return false;
            RETURN_IF_ERROR(check_cuda(result, "the device's stream"));
            return true;
        });
    }

    // `is_done` is asked under the lock, while there is no failure.
    template <class IsDone>
    Status poll_until(bool is_bounded, const IsDone& is_done) {
        const auto limit = std::chrono::milliseconds(options_.wait_limit_ms);
        const SteadyTime deadline = clock_.steady_now() + limit;
        while (true) {
            {
                const std::lock_guard lock(mutex_);
                RETURN_IF_ERROR(own_status());
                const Result<bool> done = is_done();
                if (!done) return settle(done.error());
                if (*done) return {};
                if (is_bounded && clock_.steady_now() >= deadline) {
                    return settle(Error{ErrorCode::kTimeout,
                                        "the other ranks did not answer within " +
                                            std::to_string(options_.wait_limit_ms) + " ms",
                                        {}});
                }
            }
            const timespec pause{0, kPollNs};
            (void)::nanosleep(&pause, nullptr);
        }
    }

    const NcclOptions options_;
    const cudaStream_t stream_;
    const SystemClock clock_;
    Staging staging_;
    mutable std::mutex mutex_;  // guards the rest, and calls to NCCL
    ncclComm_t comm_;           // null once aborted
    std::optional<Error> failure_;
};

}  // namespace

Result<std::string> new_nccl_id() {
    ncclUniqueId id{};
    RETURN_IF_ERROR(check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId"));
    return std::string(id.internal, sizeof id.internal);
}

Result<std::unique_ptr<kernels::Communicator>> join_nccl(const NcclOptions& options) {
    ncclUniqueId id{};
    if (options.id.size() != sizeof id.internal) {
        return invalid_argument("expected an NCCL id of " + std::to_string(sizeof id.internal) +
                                " bytes, found " + std::to_string(options.id.size()));
    }
    std::memcpy(id.internal, options.id.data(), sizeof id.internal);
    RETURN_IF_ERROR(check_cuda(cudaSetDevice(options.device),
                               "choosing GPU " + std::to_string(options.device)));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // so that waits can be bounded and aborted
    ncclComm_t comm = nullptr;
    const Status begun =
        check_nccl(ncclCommInitRankConfig(&comm, options.size, id, options.rank, &config),
                   "joining the ranks over NCCL");
    if (!begun) return begun.error();
    auto joined = std::make_unique<NcclCommunicator>(options, comm);
    RETURN_IF_ERROR(joined->wait_until_enqueued());
    return std::unique_ptr<kernels::Communicator>(std::move(joined));
}

}  // namespace turnpike::engine
