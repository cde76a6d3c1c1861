// Settings of `turnpike-engine serve`; see ops/docs/formats/settings.md.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/address.h"

namespace turnpike::engine {

struct EngineSettings {
    std::string model_dir;
    std::string card;  // path of the model card
    net::NetAddress listen;
    Epoch epoch{1};
    std::string lock_file;
    std::string meter_file;
    std::int64_t num_threads = 0;  // 0 = all cores
    std::string isa = "auto";      // instruction set of the CPU kernels
    std::int64_t kv_tokens = 32768;
    std::int64_t max_running = 8;
};

Result<EngineSettings> load_engine_settings(const std::string& path);

// The effective settings as JSON.
std::string to_json(const EngineSettings& settings);

}  // namespace turnpike::engine
