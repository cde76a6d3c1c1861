// See weights.h.
#include "engine/model/weights.h"

#include <utility>

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

void run_mlp(kernels::Backend& backend,
             const GatedMlp& weights,
             kernels::MatrixView x,
             kernels::MatrixView gate,
             kernels::MatrixView up,
             kernels::MatrixView out) {
    backend.linear(x, *weights.gate, gate);
    backend.linear(x, *weights.up, up);
    backend.silu_mul(gate, up, gate);
    backend.linear_split_k(gate, *weights.down, out);
}

}  // namespace turnpike::engine
