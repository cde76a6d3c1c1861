// See weights.h.
#include "engine/model/weights.h"

#include <utility>

#include "engine/model/weight_slice.h"
#include "kernels/api/segments.h"

namespace turnpike::engine {

Status load_weight(const Checkpoint& checkpoint,
                   const std::string& name,
                   kernels::Backend& backend,
                   Weight& out) {
    auto weight = backend.prepare(checkpoint.weight(name));
    if (!weight) return weight.error();
    out = std::move(*weight);
    return {};
}

Status load_mlp(const Checkpoint& checkpoint,
                const std::string& prefix,
                kernels::Backend& backend,
                GatedMlp& out) {
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "gate_proj.weight", backend, out.gate));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "up_proj.weight", backend, out.up));
    return load_weight(checkpoint, prefix + "down_proj.weight", backend, out.down);
}

Status load_rows(const Checkpoint& checkpoint,
                 const std::string& name,
                 Range rows,
                 kernels::Backend& backend,
                 Weight& out) {
    if (rows.is_empty()) return {};
    auto weight = backend.prepare(row_slice(checkpoint.weight(name), rows));
    if (!weight) return weight.error();
    out = std::move(*weight);
    return {};
}

Status load_split(const Checkpoint& checkpoint,
                  const std::string& name,
                  const SplitK& split,
                  kernels::Backend& backend,
                  SplitLinear& out) {
    out.split = split;
    if (split.is_whole()) return load_weight(checkpoint, name, backend, out.whole);
    const kernels::WeightSource whole = checkpoint.weight(name);
    for (std::int64_t s = split.own_segments.begin; s < split.own_segments.end; ++s) {
        const kernels::Segment segment = kernels::segment_of(whole.cols, s);
        const ColumnSlice slice = column_slice(whole, {segment.begin, segment.end});
        auto weight = backend.prepare(slice.source);
        if (!weight) return weight.error();
        out.segments.push_back(std::move(*weight));
    }
    return {};
}

Status load_split_mlp(const Checkpoint& checkpoint,
                      const std::string& prefix,
                      const SplitK& split,
                      kernels::Backend& backend,
                      SplitMlp& out) {
    RETURN_IF_ERROR(
        load_rows(checkpoint, prefix + "gate_proj.weight", split.own_columns, backend, out.gate));
    RETURN_IF_ERROR(
        load_rows(checkpoint, prefix + "up_proj.weight", split.own_columns, backend, out.up));
    return load_split(checkpoint, prefix + "down_proj.weight", split, backend, out.down);
}

}  // namespace turnpike::engine
