#include "tests/sim/driver.h"

#include <utility>

namespace turnpike::sim {

using controlplane::ObservedProcess;
using controlplane::ReplicaSpec;
using controlplane::StopHow;

namespace {

Error lost_reply() {
    return {ErrorCode::kTimeout, "no answer from the cluster's manager", {}};
}

}  // namespace

SimDriver::Fate SimDriver::fate() {
    if (is_calm_) return Fate::kDone;
    switch (random_.between(0, 15)) {
        case 0:
            return Fate::kLost;
        case 1:
            return Fate::kReplyLost;
        case 2:
            return Fate::kRepeated;
        default:
            return Fate::kDone;
    }
}

// A manager that loses what it acknowledged (Slurm's, when it is killed right after) is kLost with
// a good answer; one that does not answer may have done it or not.
Status SimDriver::start(const ReplicaSpec& spec) {
    hooks_.crash();
    const Process* found = cluster_.find(spec.id);
    for (const ObservedProcess& process : cluster_.list()) {
        if (process.id != spec.id || !process.is_running) continue;
        if (found->epoch == spec.epoch) return {};
        return Error{ErrorCode::kConflict, "it still runs", {}};
    }
    const Fate fate = this->fate();
    Process wanted;
    wanted.id = spec.id;
    wanted.hardware = hooks_.hardware_of(spec.id);
    wanted.epoch = spec.epoch;
    wanted.start_number = ++num_starts_[spec.id];
    if (fate != Fate::kLost) {
        cluster_.start(wanted, clock_.wall_now());
        hooks_.on_start(spec.id);
    }
    if (fate == Fate::kRepeated) late_.push_back(wanted);
    hooks_.crash();
    if (fate == Fate::kReplyLost) return lost_reply();
    return {};
}

Status SimDriver::stop(const ReplicaId& id, StopHow how) {
    hooks_.crash();
    const Fate fate = this->fate();
    if (fate != Fate::kLost) cluster_.stop(id, how == StopHow::kDrain, clock_.wall_now());
    hooks_.crash();
    if (fate == Fate::kReplyLost) return lost_reply();
    return {};
}

Result<std::vector<ObservedProcess>> SimDriver::list() {
    hooks_.crash();
    const Fate fate = this->fate();
    if (fate == Fate::kLost || fate == Fate::kReplyLost) return lost_reply();
    std::vector<ObservedProcess> listed = cluster_.list();
    for (const controlplane::Replica& row : hooks_.rows()) {
        for (ObservedProcess& process : listed) {
            if (process.id == row.id) process.epoch = row.epoch;
        }
    }
    return listed;
}

void SimDriver::deliver() {
    const std::vector<Process> late = std::exchange(late_, {});
    for (const Process& one : late) cluster_.start(one, clock_.wall_now());
}

int SimDriver::num_starts(const ReplicaId& id) const {
    const auto found = num_starts_.find(id);
    return found == num_starts_.end() ? 0 : found->second;
}

void SimDriver::calm() {
    is_calm_ = true;
    late_.clear();
}

}  // namespace turnpike::sim
