// The sampler's part of a KernelTable.
#pragma once

#include "kernels/cpu/fast/compact.h"
#include "kernels/cpu/fast/find_contender.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/odds.h"

namespace turnpike::kernels::fast {

// V: the vectors of an instruction set, see the headers above.
template <class V>
void add_sampler_loops(KernelTable& table) {
    table.max_of = max_of<V>;
    table.exp_all = exp_all<V>;
    table.mass_from = mass_from<V>;
    table.compact = compact<V>;
    table.find_contender = find_contender<V>;
}

}  // namespace turnpike::kernels::fast
