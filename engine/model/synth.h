// Random checkpoints of any supported config, for tests, demonstrations and benchmarks without
// weights. Every value is an integer hash of (seed, tensor name, element), so the same seed gives
// the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

struct SynthOptions {
    std::string config_path;  // a config.json
    std::uint64_t seed = 0;
    std::string out_dir;  // made when it does not exist; files of the same names are replaced
    int num_shards = 3;   // 1 writes model.safetensors without an index
    // Headers and sizes only: every value reads as zero and the files take almost no disk, so that
    // the largest models can be checked and planned anywhere.
    bool is_sparse = false;
};

// Writes config.json (normalised), the shards and model.safetensors.index.json; never a tokenizer.
// Each file appears whole under its name, the index last. The FP8 scales vary from block to block,
// one block is all zero, some scales lie in another shard than their weight. Errors:
// kInvalidArgument for a config that is not supported, kIo.
Status synthesize_checkpoint(const SynthOptions& options);

}  // namespace turnpike::engine
