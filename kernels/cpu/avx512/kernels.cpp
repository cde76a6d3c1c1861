// KernelTable for AVX-512 without VBMI and BF16: f32 rows, groups of 64 output rows.
#include "kernels/cpu/avx512/vector.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/read_loop.h"
#include "kernels/cpu/fast/row_loops.h"
#include "kernels/cpu/fast/sampler_loops.h"
#include "kernels/cpu/fast/tile_f32.h"

namespace turnpike::kernels::fast {
namespace {

KernelTable make_table() {
    KernelTable table = RowLoops<Avx512>::table();
    table.isa = CpuIsa::kAvx512;
    table.vector_lanes = Avx512::kLanes;
    table.group_lanes = 4 * Avx512::kLanes;
    add_sampler_loops<Avx512>(table);
    table.tile = tile_f32<Avx512>;
    table.multiply = multiply_f32<Avx512>;
    table.read_all = read_loop<Avx512>;
    table.flops_per_round = std::int64_t{2} * kMultiplyChains * kMultiplySteps * Avx512::kLanes;
    return table;
}

}  // namespace

const KernelTable& avx512_kernels() {
    static const KernelTable kTable = make_table();
    return kTable;
}

}  // namespace turnpike::kernels::fast
