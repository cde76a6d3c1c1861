// LeadingModel: the model of rank 0, which tells the other ranks of each step before it computes
// its own share. To its caller a model like any other.
#pragma once

#include <memory>

#include "engine/model/model.h"
#include "engine/model/rank_link.h"

namespace turnpike::engine {

class LeadingModel final : public Model {
  public:
    // The link has a communicator.
    LeadingModel(std::unique_ptr<Model> model, RankLink link);
    // Tells the others that there are no more steps.
    ~LeadingModel() override;

    const ModelInfo& info() const override { return model_->info(); }

    std::unique_ptr<kernels::KvCache> make_kv_cache(std::int64_t num_blocks) override {
        return model_->make_kv_cache(num_blocks);
    }

    kernels::MatrixView forward(const ForwardRows& rows, kernels::KvCache& cache) override;
    kernels::MatrixView draft(const DraftRows& rows, kernels::KvCache& cache) override;

  private:
    std::unique_ptr<Model> model_;
    RankLink link_;
};

// What the other ranks do: computes steps with rank 0 until there are no more. Errors: rank 0 was
// lost between two steps.
Status follow(Model& model, kernels::KvCache& cache, kernels::Communicator& communicator);

}  // namespace turnpike::engine
