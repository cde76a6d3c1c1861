// compute_logits and compute_draft_logits of load.h: one sequence through a freshly opened model.
#include <numeric>
#include <utility>

#include "config/base/limits.h"
#include "engine/model/load.h"
#include "engine/model/model_runner.h"
#include "engine/model/opened_model.h"

namespace turnpike::engine {
namespace {

Status check_tokens(const OpenedModel& opened, std::span<const TokenId> tokens) {
    const ModelInfo& info = opened.model->info();
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (count > info.max_positions || count > opened.num_blocks * limits::kKvBlockTokens) {
        return invalid_argument("more tokens than positions: " + std::to_string(count), "tokens");
    }
    for (const TokenId token : tokens) {
        if (token >= 0 && token < info.vocab_size) continue;
        return invalid_argument("expected token ids below " + std::to_string(info.vocab_size) +
                                    ", found " + std::to_string(token),
                                "tokens");
    }
    return {};
}

Result<OpenedModel> open_for(const RunnerOptions& options, std::span<const TokenId> tokens) {
    RunnerOptions sized = options;
    if (sized.kv_tokens == 0) sized.kv_tokens = static_cast<std::int64_t>(tokens.size());
    auto opened = open_model(sized);
    if (!opened) return opened.error();
    RETURN_IF_ERROR(check_tokens(*opened, tokens));
    return opened;
}

std::vector<BlockId> first_blocks(const OpenedModel& opened) {
    std::vector<BlockId> blocks(static_cast<std::size_t>(opened.num_blocks));
    std::iota(blocks.begin(), blocks.end(), 0);
    return blocks;
}

ForwardRows sequence_rows(std::span<const TokenId> tokens,
                          std::int64_t num_prompt_rows,
                          std::span<const BlockId> blocks) {
    StepRows step;
    step.add_rows(tokens, 0, num_prompt_rows, blocks);
    step.rows.logit_rows.resize(tokens.size());
    std::iota(step.rows.logit_rows.begin(), step.rows.logit_rows.end(), 0);
    return std::move(step.rows);
}

std::vector<float> download(OpenedModel& opened, kernels::MatrixView logits) {
    std::vector<float> values(static_cast<std::size_t>(logits.rows * logits.cols));
    opened.backend->download(logits, values);
    return values;
}

}  // namespace

Result<std::vector<float>> compute_logits(const RunnerOptions& options,
                                          std::span<const TokenId> tokens,
                                          std::int64_t num_prompt_rows) {
    if (tokens.empty()) {
        return invalid_argument("expected at least one token, found none", "tokens");
    }
    auto opened = open_for(options, tokens);
    if (!opened) return opened.error();
    const std::vector<BlockId> blocks = first_blocks(*opened);
    const ForwardRows rows = sequence_rows(tokens, num_prompt_rows, blocks);
    return download(*opened, opened->model->forward(rows, *opened->cache));
}

Result<std::vector<float>> compute_draft_logits(const RunnerOptions& options,
                                                std::span<const TokenId> tokens,
                                                std::int64_t num_prompt_rows) {
    if (tokens.size() < 2) {
        return invalid_argument("expected at least two tokens, found fewer", "tokens");
    }
    RunnerOptions with_draft = options;
    with_draft.with_draft_layer = true;
    auto opened = open_for(with_draft, tokens);
    if (!opened) return opened.error();
    const std::vector<BlockId> blocks = first_blocks(*opened);
    ForwardRows main_rows = sequence_rows(tokens, num_prompt_rows, blocks);
    main_rows.logit_rows.clear();
    opened->model->forward(main_rows, *opened->cache);
    DraftRows draft{sequence_rows(tokens.subspan(1), num_prompt_rows, blocks), {}};
    draft.hidden_rows = draft.rows.logit_rows;  // row i continues the main model's row i
    return download(*opened, opened->model->draft(draft, *opened->cache));
}

}  // namespace turnpike::engine
