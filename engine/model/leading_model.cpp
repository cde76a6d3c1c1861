// See leading_model.h.
#include "engine/model/leading_model.h"

#include <utility>

#include "config/base/check.h"
#include "engine/model/step_message.h"

namespace turnpike::engine {

LeadingModel::LeadingModel(std::unique_ptr<Model> model, RankLink link)
    : model_(std::move(model)), link_(std::move(link)) {
    CHECK(link_.communicator != nullptr && link_.communicator->rank() == 0);
}

LeadingModel::~LeadingModel() {
    // Who cannot be told any more has failed already.
    (void)send_step(*link_.communicator, StepKind::kStop, {}, {});
}

kernels::MatrixView LeadingModel::forward(const ForwardRows& rows, kernels::KvCache& cache) {
    link_.require(send_step(*link_.communicator, StepKind::kForward, rows, {}));
    return model_->forward(rows, cache);
}

kernels::MatrixView LeadingModel::draft(const DraftRows& rows, kernels::KvCache& cache) {
    const StepKind kind = rows.is_chained ? StepKind::kChainedDraft : StepKind::kDraft;
    link_.require(send_step(*link_.communicator, kind, rows.rows, rows.hidden_rows));
    return model_->draft(rows, cache);
}

Status follow(Model& model, kernels::KvCache& cache, kernels::Communicator& communicator) {
    while (true) {
        const auto step = receive_step(communicator);
        if (!step) return step.error();
        switch (step->kind) {
            case StepKind::kStop:
                return {};
            case StepKind::kForward:
                model.forward(step->rows.rows, cache);
                break;
            case StepKind::kDraft:
            case StepKind::kChainedDraft:
                model.draft(step->rows, cache);
                break;
        }
    }
}

}  // namespace turnpike::engine
