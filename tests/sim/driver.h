// SimDriver: a driver of the simulated cluster whose requests and replies are lost, late and
// repeated, and during whose calls the control plane may die.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "controlplane/run/driver.h"
#include "tests/sim/cluster.h"

namespace turnpike::sim {

// Stands for the end of the control plane's process.
struct Crash {};

class SimDriver final : public controlplane::Driver {
  public:
    // `hardware_of` tells what a replica runs on. `crash` ends the control plane, now and then.
    struct Hooks {
        std::function<std::string(const ReplicaId&)> hardware_of;
        std::function<void()> crash;
        std::function<void(const ReplicaId&)> on_start;
        // Without the fence, listed processes have the epochs of these.
        std::function<std::vector<controlplane::Replica>()> rows;
    };

    SimDriver(Cluster& cluster, const Clock& clock, test::SeededRandom& random, Hooks hooks)
        : cluster_(cluster), clock_(clock), random_(random), hooks_(std::move(hooks)) {}

    Result<std::string> address_of(const ReplicaId& id) const override { return id.value(); }

    Status start(const controlplane::ReplicaSpec& spec) override;
    Status stop(const ReplicaId& id, controlplane::StopHow how) override;
    Result<std::vector<controlplane::ObservedProcess>> list() override;

    // How often a process of this name was asked for, whatever came of it.
    int num_starts(const ReplicaId& id) const;
    // What arrives late arrives now.
    void deliver();
    // From now on everything arrives, once, and is answered.
    void calm();

  private:
    enum class Fate { kDone, kLost, kReplyLost, kRepeated };

    Fate fate();

    Cluster& cluster_;
    const Clock& clock_;
    test::SeededRandom& random_;
    const Hooks hooks_;
    std::vector<Process> late_;
    std::map<ReplicaId, int> num_starts_;
    bool is_calm_ = false;
};

}  // namespace turnpike::sim
