#include "tests/sim/cluster.h"

#include <algorithm>

namespace turnpike::sim {

using controlplane::Answer;
using controlplane::ObservedProcess;
using controlplane::Phase;

namespace {

using namespace std::chrono_literals;

bool serves(const Process& process, WallTime now) {
    return process.is_alive && process.has_booted && !process.is_hung && !process.has_failed &&
           now >= process.ready_at;
}

}  // namespace

void Cluster::add_host(const std::string& hardware, int num_slots) {
    hosts_.push_back({hardware, num_slots, true, true});
}

void Cluster::start(const Process& wanted, WallTime now) {
    processes_.push_back(wanted);
    place(processes_.back(), now);
}

void Cluster::place(Process& process, WallTime now) {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        const Host& host = hosts_[i];
        if (host.hardware != process.hardware || !host.is_up || !host.is_reachable) continue;
        const auto num_used =
            std::count_if(processes_.begin(), processes_.end(), [i](const Process& other) {
                return other.is_alive && other.host == static_cast<int>(i);
            });
        if (num_used >= host.num_slots) continue;
        process.host = static_cast<int>(i);
        process.boots_at = now + 100ms * pick(10);
        process.ready_at = process.boots_at + 500ms * pick(10);
        return;
    }
}

void Cluster::boot(Process& process) {
    process.has_booted = true;
    if (!is_calm_ && pick(12) == 0) return end(process, "exit status 1");
    if (!is_fenced_) return;
    if (process.epoch < highest_[process.id]) return end(process, "this epoch was given up");
    for (const Process& other : processes_) {
        const bool holds = &other != &process && other.id == process.id && other.is_alive &&
                           other.has_booted && !other.is_lost;
        if (holds) return end(process, "another process holds the lock");
    }
    highest_[process.id] = process.epoch;
}

void Cluster::end(Process& process, const std::string& reason) {
    process.is_alive = false;
    process.exit_reason = reason;
}

void Cluster::advance(WallTime now) {
    for (Process& process : processes_) {
        if (!process.is_alive) continue;
        if (process.host < 0) place(process, now);
        if (process.host < 0) continue;
        if (!process.has_booted && now >= process.boots_at) boot(process);
        if (process.is_alive && process.is_draining && !process.is_hung && now >= process.ends_at)
            end(process, "exit status 0");
    }
    drop_ended();
}

// The last one of a name is kept, for its reason.
void Cluster::drop_ended() {
    std::vector<Process> kept;
    for (const Process& process : processes_) {
        if (process.is_alive || find(process.id) == &process) kept.push_back(process);
    }
    processes_ = std::move(kept);
}

bool Cluster::is_seen(const Process& process) const {
    return process.host < 0 || hosts_[static_cast<std::size_t>(process.host)].is_reachable;
}

const Process* Cluster::find(const ReplicaId& id) const {
    const Process* found = nullptr;
    for (const Process& process : processes_) {
        if (process.id != id) continue;
        const bool is_live = process.is_alive && is_seen(process);
        const bool was_live = found != nullptr && found->is_alive && is_seen(*found);
        if (found == nullptr || is_live >= was_live) found = &process;
    }
    return found;
}

void Cluster::stop(const ReplicaId& id, bool drains, WallTime now) {
    for (Process& process : processes_) {
        if (process.id != id || !process.is_alive || !is_seen(process)) continue;
        if (!drains || process.host < 0) {
            end(process, "signal 9");
        } else if (!process.is_draining) {
            process.is_draining = true;
            process.ends_at = now + 1s * pick(20);
        }
    }
}

std::vector<ObservedProcess> Cluster::list() const {
    std::vector<ObservedProcess> listed;
    for (const Process& process : processes_) {
        if (find(process.id) != &process) continue;
        ObservedProcess one;
        one.id = process.id;
        one.epoch = process.epoch;
        one.is_running = process.is_alive && is_seen(process);
        one.phase = process.host < 0     ? Phase::kQueued
                    : process.has_booted ? Phase::kRunning
                                         : Phase::kPlaced;
        if (process.host < 0) one.wait_reason = "Resources";
        one.exit_reason = process.is_alive ? "node failed" : process.exit_reason;
        listed.push_back(std::move(one));
    }
    return listed;
}

Answer Cluster::answer_of(const ReplicaId& id, WallTime now) const {
    const Process* process = find(id);
    if (process == nullptr || !process->is_alive || !process->has_booted || process->is_hung)
        return Answer::kNone;
    if (process->has_failed) return Answer::kFailed;
    if (process->is_draining) return Answer::kDraining;
    return now >= process->ready_at ? Answer::kReady : Answer::kLoading;
}

std::vector<int> Cluster::serve(const ReplicaId& id, Epoch epoch, WallTime now) const {
    std::vector<int> served;
    for (const Process& process : processes_) {
        if (process.id != id || !serves(process, now)) continue;
        if (!is_fenced_ || process.epoch == epoch) served.push_back(process.start_number);
    }
    return served;
}

void Cluster::hurt_process() {
    if (processes_.empty()) return;
    Process& process =
        processes_[static_cast<std::size_t>(pick(static_cast<int>(processes_.size())))];
    if (!process.is_alive) return;
    switch (pick(4)) {
        case 0:
            return end(process, "signal 9");
        case 1:
            process.is_hung = true;
            return;
        case 2:
            process.is_hung = false;
            return;
        default:
            process.has_failed = true;
    }
}

void Cluster::cut_off(int host) {
    hosts_[static_cast<std::size_t>(host)].is_reachable = false;
    for (Process& process : processes_) process.is_lost |= process.host == host;
}

void Cluster::hurt_host(WallTime now) {
    const int chosen = pick(static_cast<int>(hosts_.size()));
    Host& host = hosts_[static_cast<std::size_t>(chosen)];
    if (!host.is_up || !host.is_reachable) {
        host.is_up = true;
        host.is_reachable = true;
        return take_back(now);
    }
    if (pick(2) == 0) return cut_off(chosen);
    host.is_up = false;
    for (Process& process : processes_) {
        if (process.host == chosen && process.is_alive) end(process, "node failed");
    }
}

// Nodes that are reachable again show what nobody replaced meanwhile.
void Cluster::take_back(WallTime now) {
    for (Process& process : processes_) {
        if (process.is_alive && is_seen(process) && find(process.id) == &process)
            process.is_lost = false;
    }
    advance(now);
}

// The manager ends what it gave up and replaced.
void Cluster::calm(WallTime now) {
    is_calm_ = true;
    for (Host& host : hosts_) {
        host.is_up = true;
        host.is_reachable = true;
    }
    for (Process& process : processes_) {
        const bool is_replaced = process.is_alive && find(process.id) != &process;
        if (is_replaced) end(process, "its node was given up");
    }
    take_back(now);
}

std::vector<std::string> Cluster::doubles() const {
    std::map<ReplicaId, int> holders;
    for (const Process& process : processes_) {
        if (process.is_alive && process.has_booted && !process.is_lost) ++holders[process.id];
    }
    std::vector<std::string> names;
    for (const auto& [id, num] : holders) {
        if (num > 1) names.push_back(id.value());
    }
    return names;
}

}  // namespace turnpike::sim
