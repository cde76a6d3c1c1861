// Checkpoint: the safetensors files of one folder as one set of tensors. The index says which file
// holds a tensor; a weight and its scales may lie in different files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"
#include "engine/model/safetensors.h"
#include "engine/model/tensor_plan.h"
#include "kernels/api/tensor.h"

namespace turnpike::engine {

class Checkpoint {
  public:
    // Opens model.safetensors.index.json with its files, or else model.safetensors.
    // Errors: kNotFound when there is neither, kCorrupt, kIo.
    static Result<Checkpoint> open(const std::string& dir);

    // Every required tensor there, every planned one with an allowed dtype and the planned shape,
    // and nothing that the plan does not know, but for layers at and beyond first_ignored_layer.
    // Errors: kCorrupt.
    Status check(const std::vector<TensorSpec>& plan, std::int64_t first_ignored_layer) const;

    // A tensor that check() has passed, with its scales when it is FP8. A vector reads as one row.
    kernels::WeightSource weight(const std::string& name) const;

  private:
    struct Place {
        std::size_t file_index = 0;
        const StoredTensor* tensor = nullptr;
    };

    Status add_indexed_files(const std::string& dir, std::string_view index_text);
    Status add_single_file(const std::string& path);
    Status check_tensor(const TensorSpec& spec, const Place& place) const;

    std::vector<SafetensorsFile> files_;
    std::map<std::string, Place, std::less<>> places_;
};

}  // namespace turnpike::engine
