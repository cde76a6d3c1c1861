// Weights that architectures share the shape of: taking one into a backend, and the gated MLP.
#pragma once

#include <memory>
#include <string>

#include "config/base/result.h"
#include "engine/model/checkpoint.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

using Weight = std::unique_ptr<kernels::PreparedWeight>;

// Errors: kCorrupt for values that are not finite.
Status load_weight(const Checkpoint& checkpoint,
                   const std::string& name,
                   kernels::Backend& backend,
                   Weight& out);

// down(silu(gate(x)) * up(x)).
struct GatedMlp {
    Weight gate, up, down;  // [width, hidden], [width, hidden], [hidden, width]

    kernels::MlpWeights view() const { return {gate.get(), up.get(), down.get()}; }

    std::int64_t width() const { return gate->rows(); }
};

// prefix + "gate_proj.weight" and its sisters. Errors as load_weight.
Status load_mlp(const Checkpoint& checkpoint,
                const std::string& prefix,
                kernels::Backend& backend,
                GatedMlp& out);

// gate and up: scratch of [x.rows, width].
void run_mlp(kernels::Backend& backend,
             const GatedMlp& weights,
             kernels::MatrixView x,
             kernels::MatrixView gate,
             kernels::MatrixView up,
             kernels::MatrixView out);

}  // namespace turnpike::engine
