// Cluster: hosts with slots, and the engine processes on them, for the simulation of the control
// plane. Time is an argument; what happens by chance follows from the seed alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "controlplane/plan/reconcile.h"
#include "tests/support/random.h"

namespace turnpike::sim {

struct Host {
    std::string hardware;
    int num_slots = 0;
    bool is_up = true;         // else it lost its processes, and takes none
    bool is_reachable = true;  // else its processes run on, unseen by the cluster's manager
};

struct Process {
    ReplicaId id;
    std::string hardware;
    Epoch epoch;
    int start_number = 0;  // of the starts of this name that the control plane ever asked for
    int host = -1;         // -1: it waits for a slot
    bool is_alive = true;
    bool is_lost = false;     // its host was out of reach: the manager gave it up
    bool has_booted = false;  // it has the lock of its name
    bool is_hung = false;
    bool has_failed = false;
    bool is_draining = false;
    WallTime boots_at;
    WallTime ready_at;
    WallTime ends_at;  // of one that drains
    std::string exit_reason;
};

class Cluster {
  public:
    // Without the fence, engines do not look at epochs: neither at those that ran before nor at a
    // request's.
    Cluster(test::SeededRandom& random, bool is_fenced) : random_(random), is_fenced_(is_fenced) {}

    void add_host(const std::string& hardware, int num_slots);

    std::vector<Host>& hosts() { return hosts_; }

    const std::vector<Process>& processes() const { return processes_; }

    // A process of this name, hardware, epoch and number, at once or once a slot is free.
    void start(const Process& wanted, WallTime now);
    // Whatever the manager knows under this name.
    void stop(const ReplicaId& id, bool drains, WallTime now);
    // What happens by itself until `now`: placing, booting, ending.
    void advance(WallTime now);

    // The process that the manager shows under this name: one at most, alive or the last that was.
    const Process* find(const ReplicaId& id) const;
    std::vector<controlplane::ObservedProcess> list() const;
    controlplane::Answer answer_of(const ReplicaId& id, WallTime now) const;

    // The start numbers of the processes that take a request of this epoch which a gateway sends to
    // this name: it reaches lost ones too.
    std::vector<int> serve(const ReplicaId& id, Epoch epoch, WallTime now) const;

    // Something bad happens to one process.
    void hurt_process();
    // A host dies, is cut off, or comes back.
    void hurt_host(WallTime now);
    // From now on nothing bad happens: hosts are back, and engines start. What hangs, hangs.
    void calm(WallTime now);

    // Names of which more than one process holds the lock; empty under the fence.
    std::vector<std::string> doubles() const;

  private:
    void place(Process& process, WallTime now);
    void boot(Process& process);
    void end(Process& process, const std::string& reason);
    void cut_off(int host);
    void take_back(WallTime now);
    void drop_ended();
    bool is_seen(const Process& process) const;

    int pick(int end) { return static_cast<int>(random_.between(0, end - 1)); }

    test::SeededRandom& random_;
    const bool is_fenced_;
    bool is_calm_ = false;
    std::vector<Host> hosts_;
    std::vector<Process> processes_;
    std::map<ReplicaId, Epoch> highest_;  // in the lock file of each name
};

}  // namespace turnpike::sim
