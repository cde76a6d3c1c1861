// RankLink: how a model reaches its other ranks, and what becomes of it when it cannot.
#pragma once

#include <functional>

#include "config/base/error.h"
#include "config/base/result.h"
#include "engine/model/partition.h"
#include "kernels/api/communicator.h"

namespace turnpike::engine {

struct RankLink {
    kernels::Communicator* communicator = nullptr;  // null: one rank. Outlives the model
    AttentionLayout attention = AttentionLayout::kTensorParallel;
    // A rank is lost within a step, which cannot be finished: ends the process and does not return.
    // On the thread that computes.
    std::function<void(const Error&)> on_failure;

    int rank() const { return communicator == nullptr ? 0 : communicator->rank(); }

    int size() const { return communicator == nullptr ? 1 : communicator->size(); }

    // Goes on only when the status is good.
    void require(const Status& status) const;
};

}  // namespace turnpike::engine
