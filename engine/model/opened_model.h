// OpenedModel: a checkpoint folder loaded onto a backend, before anybody schedules on it. Internal
// to this folder; load.h is the door.
#pragma once

#include <memory>

#include "engine/model/load.h"
#include "engine/model/model.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

struct OpenedModel {
    std::unique_ptr<kernels::Backend> backend;  // outlives what follows
    std::unique_ptr<Model> model;
    std::unique_ptr<kernels::KvCache> cache;
    std::int64_t num_blocks = 0;  // of each pool
    int num_pools = 1;            // one for each rank under data-parallel attention
    std::int64_t num_tokens = 0;  // rows of the head that may be sampled
    bool has_draft_layer = false;
};

// options.kv_tokens is at least 1 here.
Result<OpenedModel> open_model(const RunnerOptions& options);

}  // namespace turnpike::engine
