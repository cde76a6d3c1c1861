// Completion: a shell's script for the tree of verbs and flags, made from that tree itself, so that
// it knows a new verb as soon as there is one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace turnpike::controlplane::cli {

// For bash 4.2 and newer: to be sourced, or put into bash-completion's folder. `app` is named as
// the program is.
std::string bash_completion(const CLI::App& app);

// For zsh: to be sourced after compinit, or put into a folder of fpath as "_<name>".
std::string zsh_completion(const CLI::App& app);

}  // namespace turnpike::controlplane::cli
