// Blueprint: a checked config.json, whatever its architecture: which tensors a checkpoint must
// hold, how they spread over ranks, and the way to a running Model. An architecture is one
// Blueprint, one Model and one line in architectures.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"
#include "engine/model/checkpoint.h"
#include "engine/model/model.h"
#include "engine/model/partition.h"
#include "engine/model/rank_ops.h"
#include "engine/model/tensor_plan.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

class Blueprint {
  public:
    virtual ~Blueprint() = default;
    virtual ModelInfo info() const = 0;
    virtual ServingShape serving_shape() const = 0;
    // In the order of the layers, each weight before its scale.
    virtual std::vector<TensorSpec> tensors() const = 0;
    virtual std::int64_t hidden_size() const = 0;
    // Layers of this index on are extras that a checkpoint may lack or hold more of.
    virtual std::int64_t num_main_layers() const = 0;
    // Loads the share of one rank. The checkpoint has passed its check against tensors(); it is not
    // needed afterwards. with_draft_layer: only where info().num_draft_layers > 0. Errors: kCorrupt
    // for values that are not finite.
    virtual Result<std::unique_ptr<Model>> load(const Checkpoint& checkpoint,
                                                RankOps ranks,
                                                bool with_draft_layer) const = 0;
};

// Finds the architecture that config.json names. Errors: kCorrupt for text that is no JSON object,
// kInvalidArgument for an unknown architecture or a config that is not supported, naming the key.
Result<std::unique_ptr<Blueprint>> parse_blueprint(std::string_view json_text,
                                                   const std::string& file_name);
// Errors also: kNotFound, kIo, kTooLarge.
Result<std::unique_ptr<Blueprint>> load_blueprint(const std::string& config_path);

}  // namespace turnpike::engine
