// What the command lines of the programs here have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "gateway/client/service.h"

namespace turnpike::gateway::client {

// Accepts a text that is a number as a whole and for which `is_fine` holds; else says what was
// `expected`: "a whole number of at least 1".
CLI::Validator number(const std::function<bool(double)>& is_fine, const std::string& expected);

// --base-url, --api-key and --ca-cert.
void declare_service(CLI::App& app, ServiceFlags& service);

// The value of an environment variable of this process, empty when it is not set.
std::string environment_value(const char* name);

}  // namespace turnpike::gateway::client
