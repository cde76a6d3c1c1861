// See rank_options.h. As JSON, behind its length.
#include "engine/model/rank_options.h"

#include <nlohmann/json.hpp>

namespace turnpike::engine {
namespace {

NLOHMANN_JSON_SERIALIZE_ENUM(AttentionLayout,
                             {{AttentionLayout::kTensorParallel, "tensor"},
                              {AttentionLayout::kDataParallel, "data"}})

std::string to_json(const RunnerOptions& options) {
    return nlohmann::json{{"model_dir", options.model_dir},
                          {"is_w8a8", options.numerics == schema::Numerics::kW8A8Block},
                          {"num_threads", options.num_threads},
                          {"isa", options.isa},
                          {"is_deterministic", options.is_deterministic},
                          {"kv_tokens", options.kv_tokens},
                          {"num_tokens", options.num_tokens},
                          {"with_draft_layer", options.with_draft_layer},
                          {"attention", options.ranks.attention}}
        .dump();
}

}  // namespace

Status send_options(const RunnerOptions& options) {
    std::string text = to_json(options);
    std::uint64_t length = text.size();
    kernels::Communicator& communicator = *options.ranks.communicator;
    RETURN_IF_ERROR(communicator.broadcast(std::as_writable_bytes(std::span(&length, 1)), 0));
    return communicator.broadcast(std::as_writable_bytes(std::span(text)), 0);
}

Result<RunnerOptions> receive_options(const RankLink& link) {
    std::uint64_t length = 0;
    RETURN_IF_ERROR(link.communicator->broadcast(std::as_writable_bytes(std::span(&length, 1)), 0));
    std::string text(length, ' ');
    RETURN_IF_ERROR(link.communicator->broadcast(std::as_writable_bytes(std::span(text)), 0));
    const auto json = nlohmann::json::parse(text, nullptr, false);
    CHECK(json.is_object());  // of this very program
    RunnerOptions options;
    options.model_dir = json["model_dir"].get<std::string>();
    options.numerics =
        json["is_w8a8"].get<bool>() ? schema::Numerics::kW8A8Block : schema::Numerics::kW8A16;
    options.num_threads = json["num_threads"].get<int>();
    options.isa = json["isa"].get<std::string>();
    options.is_deterministic = json["is_deterministic"].get<bool>();
    options.kv_tokens = json["kv_tokens"].get<std::int64_t>();
    options.num_tokens = json["num_tokens"].get<std::int32_t>();
    options.with_draft_layer = json["with_draft_layer"].get<bool>();
    options.ranks = link;
    options.ranks.attention = json["attention"].get<AttentionLayout>();
    return options;
}

}  // namespace turnpike::engine
