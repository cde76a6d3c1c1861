// apply: performs a plan. Whatever touches a process is written as a step before it is done and
// ended afterwards; every action may be repeated.
#pragma once

#include <map>
#include <string>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "controlplane/plan/reconcile.h"
#include "controlplane/run/driver.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// What a replica of a model runs from.
struct ServedModel {
    std::string card_file;  // absolute
    std::string model_dir;  // absolute
    int speculative_tokens = 0;
};

using ServedModels = std::map<std::string, ServedModel>;  // by the model card's id

struct ApplyTo {
    Store& store;
    Driver& driver;
    const ServedModels& models;
    const Clock& clock;
    Log& log;
};

// The error says why this action could not be performed; the next pass sees what came of it.
Status apply(const ApplyTo& to, const Action& action);

}  // namespace turnpike::controlplane
