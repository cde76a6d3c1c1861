// A ring of stages in shared memory that one thread fills with bulk copies and the block's warps
// read: a barrier a stage for what has arrived and one for what was read (PTX ISA, mbarrier and
// cp.async.bulk). Also the cluster's barrier and reads of another block's shared memory.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace turnpike::kernels::cuda {

__device__ inline void barrier_init(std::uint32_t barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals)
                 : "memory");
}

// Initialised barriers are seen by the copy engine and the cluster.
__device__ inline void fence_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void barrier_arrive(std::uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives, and makes the barrier wait for `num_bytes` of copies besides.
__device__ inline void barrier_expect(std::uint32_t barrier, std::uint32_t num_bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
                 "r"(num_bytes)
                 : "memory");
}

// Until the phase of this parity has completed.
__device__ inline void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
    std::uint32_t is_done = 0;
    do {
        asm volatile(
            "{\n\t.reg .pred done;\n\t"
            "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, done;\n\t}"
            : "=r"(is_done)
            : "r"(barrier), "r"(parity)
            : "memory");
    } while (is_done == 0);
}

// num_bytes, a multiple of 16, from global to shared memory; the barrier hears of it.
__device__ inline void bulk_copy(std::uint32_t to,
                                 const void* from,
                                 std::uint32_t num_bytes,
                                 std::uint32_t barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(to),
        "l"(from), "r"(num_bytes), "r"(barrier)
        : "memory");
}

// A box of the matrix that strips_map() describes: of unit `unit`, strips from this one on.
__device__ inline void copy_strips(
    std::uint32_t to, const CUtensorMap& map, int unit, int first_strip, std::uint32_t barrier) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%2, %3, %4}], [%5];" ::"r"(to),
        "l"(&map), "r"(0), "r"(unit), "r"(first_strip), "r"(barrier)
        : "memory");
}

// The same for what is read once: it leaves L2 first.
__device__ inline void bulk_copy_once(std::uint32_t to,
                                      const void* from,
                                      std::uint32_t num_bytes,
                                      std::uint32_t barrier) {
    std::uint64_t policy = 0;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
        "[%1], "
        "%2, [%3], %4;" ::"r"(to),
        "l"(from), "r"(num_bytes), "r"(barrier), "l"(policy)
        : "memory");
}

// What this thread wrote to shared memory is done before the copy engine writes there again.
__device__ inline void fence_copies() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline std::uint32_t cluster_rank() {
    std::uint32_t rank = 0;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// All threads of the cluster; shared memory written before is seen after.
__device__ inline void cluster_barrier() {
    __syncwarp();
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::
            : "memory");
}

// A float at this address of shared memory in the block of that rank.
__device__ inline float read_cluster(std::uint32_t address, std::uint32_t rank) {
    std::uint32_t there = 0;
    float value = 0.0F;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(there) : "memory");
    return value;
}

}  // namespace turnpike::kernels::cuda
