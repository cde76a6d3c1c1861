// Settings of `turnpike-engine serve`; see ops/docs/formats/settings.md.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/address.h"
#include "engine/model/partition.h"

namespace turnpike::engine {

struct EngineSettings {
    std::string model_dir;
    std::string card;  // path of the model card
    net::NetAddress listen;
    Epoch epoch{1};
    std::string lock_file;
    std::string meter_file;
    std::int64_t num_threads = 0;  // of all ranks together; 0 = all cores
    std::int64_t ranks = 1;        // processes that hold the model together
    AttentionLayout attention = AttentionLayout::kTensorParallel;  // of several ranks
    std::string isa = "auto";        // instruction set of the CPU kernels
    std::int64_t kv_tokens = 32768;  // of each rank's cache
    std::int64_t max_running = 8;
};

// num_ranks: instead of the file's, unless 0.
Result<EngineSettings> load_engine_settings(const std::string& path, std::int64_t num_ranks = 0);

// The effective settings as JSON.
std::string to_json(const EngineSettings& settings);

}  // namespace turnpike::engine
