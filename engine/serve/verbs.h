// The verbs of turnpike-engine. Each returns the process's exit code: 0, or 1 after one clear line
// on stderr.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "config/base/error.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "engine/model/memory_plan.h"

namespace turnpike::engine {

// num_ranks: instead of the settings', unless 0.
int serve(const std::string& config_file, std::int64_t num_ranks, bool only_checks_config);

struct SynthRequest {
    std::string config_file;
    std::uint64_t seed = 1;
    std::string out_dir;
    int num_shards = 3;
    bool is_sparse = false;  // sizes without values
};

int synth(const SynthRequest& request);
// checksums_file: as sha256sum writes it, with names of files in the folder; empty = none.
int check(const std::string& model_dir, const std::string& checksums_file);
// What goes where on so many GPUs; 0 when a layout fits, else 1.
int plan(const std::string& model_dir, const PlanRequest& request);

struct LogitsRequest {
    std::string model_dir;
    std::string tokens_file;       // token ids separated by white space
    std::string out_file;          // becomes a NumPy array [positions, vocabulary]
    std::string numerics;          // "w8a16" or "w8a8_block"
    std::string isa;               // a name of kernels/api/cpu.h, or "auto"
    bool is_draft = false;         // of the multi-token-prediction layer: one position fewer
    std::int64_t prompt_rows = 0;  // rows from here on are computed as generated rows
};

int logits(const LogitsRequest& request);

struct BenchRequest {
    std::string model_dir;
    std::string isa = "auto";
    int num_threads = 1;
    int repeats = 5;
    std::int64_t num_prompt = 512;
    std::int64_t num_generated = 128;
    std::int64_t depth = 0;
};

// Speeds beside what the machine can do, as JSON on stdout.
int bench(const BenchRequest& request);
// Token ids separated by white space. kInvalidArgument for anything else.
Result<std::vector<TokenId>> read_tokens(std::istream& stream);

// Text on stdin to ids; `is_plain` reads added tokens as ordinary text. With `is_json` here and
// below one JSON object is written, else what people read.
int tokenize(const std::string& model_dir, bool is_plain, bool is_json);
// Ids on stdin to text; bytes that are no UTF-8 come out as U+FFFD.
int detokenize(const std::string& model_dir, bool is_json);
// {"messages": [...], "tools": [...]} on stdin to the prompt, with its ids as JSON.
int render(const std::string& model_dir, bool is_json);
// The fields of one prompt as JSON on stdin to the prompt, in the words of `wording_file`. `kind`
// is "system", "file" or "web".
int prompt(const std::string& wording_file, const std::string& kind, bool is_json);

// "turnpike-engine: <message>" on stderr; returns 1.
int fail(const Error& error);

}  // namespace turnpike::engine
