// Grouped-query attention of the reference backend, over the paged f32 cache of attention.h.
// Ainslie et al. 2023, GQA.
#pragma once

#include <span>

#include "kernels/api/attention.h"
#include "kernels/cpu/reference/attention.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::reference {

struct GroupedCall {
    MatrixView queries;
    std::span<const AttentionSlice> slices;
    GqaShape shape;
    std::int64_t layer = 0;
    const PagedCache& cache;
    MatrixView out;
};

void attend_grouped(ThreadPool& threads, const GroupedCall& call);

}  // namespace turnpike::kernels::reference
