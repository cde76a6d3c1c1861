// Shared-memory tiles for mma.sync: rows of 16-byte chunks, the chunk's number mixed with the row
// so that eight rows of one column lie in different banks, and the copies and loads that go with
// them.
#pragma once

#include <cstdint>

namespace turnpike::kernels::cuda {

__device__ inline std::uint32_t shared_address(const void* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Byte offset of a chunk in a tile whose rows are `chunks_per_row` chunks, a multiple of 8.
template <int kChunksPerRow>
__device__ inline std::uint32_t chunk_offset(int row, int chunk) {
    static_assert(kChunksPerRow % 8 == 0);
    return static_cast<std::uint32_t>((row * kChunksPerRow + (chunk ^ (row & 7))) * 16);
}

// 16 bytes from global to shared memory in the background; zeros when not `is_there`.
__device__ inline void copy_async(std::uint32_t to, const void* from, bool is_there) {
    const int num_bytes = is_there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;"
                 :
                 : "r"(to), "l"(from), "r"(num_bytes)
                 : "memory");
}

__device__ inline void commit_copies() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Until at most kPending of this thread's groups are under way.
template <int kPending>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8x8 matrices of 16-bit values, lane i giving the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(std::uint32_t (&out)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}

__device__ inline void load_transposed(std::uint32_t (&out)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(address)
                 : "memory");
}

// A barrier of some of the block's threads; ids 1 to 15.
__device__ inline void named_barrier(int id, int num_threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(num_threads) : "memory");
}

// Of those of them that do not wait.
__device__ inline void pass_barrier(int id, int num_threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(num_threads) : "memory");
}

}  // namespace turnpike::kernels::cuda
