// The verbs of turnpike-engine. Each returns the process's exit code: 0, or 1 after one clear line
// on stderr.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/error.h"

namespace turnpike::engine {

int serve(const std::string& config_file, bool only_checks_config);
int synth(const std::string& config_file, std::uint64_t seed, const std::string& out_dir);
int check(const std::string& model_dir);
// `tokens_file` holds token ids separated by white space; `out_file` becomes a NumPy array
// [positions, vocabulary].
int logits(const std::string& model_dir,
           const std::string& tokens_file,
           const std::string& out_file);
// Text on stdin to ids on stdout, and back.
int tokenize(const std::string& model_dir);
int detokenize(const std::string& model_dir);
// {"messages": [...], "tools": [...]} on stdin to the prompt's text and ids as JSON.
int render(const std::string& model_dir);

// "turnpike-engine: <message>" on stderr; returns 1.
int fail(const Error& error);

}  // namespace turnpike::engine
