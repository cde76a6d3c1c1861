// Settings of `turnpike-engine serve`; see ops/docs/formats/settings.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/address.h"
#include "config/net/tls_files.h"
#include "engine/model/partition.h"

namespace turnpike::engine {

struct EngineSettings {
    std::string model_dir;
    std::string card;  // path of the model card
    net::NetAddress listen;
    std::optional<net::TlsFiles> tls;  // of a "tls:" address to listen on, and of no other
    std::string address_file;          // gets the address once it is listened on; empty: none
    std::string replica;               // its id; empty: whichever the sender means
    Epoch epoch{1};
    std::string lock_file;
    std::string meter_file;
    std::int64_t num_threads = 0;  // of all ranks together; 0 = all cores
    std::int64_t ranks = 1;        // processes that hold the model together
    AttentionLayout attention = AttentionLayout::kTensorParallel;  // of several ranks
    std::string isa = "auto";        // instruction set of the CPU kernels
    bool is_deterministic = false;   // see kernels::BackendOptions
    std::int64_t kv_tokens = 32768;  // of each rank's cache
    std::int64_t max_running = 8;
    std::int64_t max_step_tokens = 512;  // rows of one step, of prompts and of answers
    bool has_prefix_cache = true;
    std::int64_t speculative_tokens = 0;  // drafts of a sequence in a step, at most
    std::int64_t max_speculating = 8;     // no drafts while more sequences run
    // A step that takes longer ends the process; 0 = never. A step of 512 prompt tokens of an 8B
    // model takes over a minute on a laptop.
    std::int64_t watchdog_seconds = 300;
    std::int64_t keep_alive_seconds = 10;  // of silence on a stream before a comment; 0 = none
};

// num_ranks: instead of the file's, unless 0.
Result<EngineSettings> load_engine_settings(const std::string& path, std::int64_t num_ranks = 0);

// The effective settings as JSON.
std::string to_json(const EngineSettings& settings);

}  // namespace turnpike::engine
