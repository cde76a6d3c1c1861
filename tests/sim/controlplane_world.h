// ControlplaneWorld: the real reconcile pass, autoscaler, minute billing and store of the control
// plane over a simulated cluster, with users, gateways and load, all by one seed and a clock of its
// own. The control plane dies at failpoints and in calls to its driver; requests and replies are
// lost, late and repeated; hosts die and are cut off. Whatever happens, what must never happen is
// looked for after each pass, and once it is calm the world must become what was asked.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "config/base/failpoint.h"
#include "config/base/log.h"
#include "controlplane/run/pass.h"
#include "controlplane/store/store.h"
#include "tests/sim/cluster.h"
#include "tests/sim/driver.h"
#include "tests/support/fake_clock.h"

namespace turnpike::sim {

struct WorldCounts {
    std::int64_t num_passes = 0;
    std::int64_t num_crashes = 0;
    std::int64_t num_starts = 0;
    std::int64_t num_requests = 0;  // that some engine took
    std::int64_t num_minutes = 0;   // booked
    std::array<std::int64_t, static_cast<std::size_t>(Failpoint::kNumFailpoints)> passed{};
    std::array<std::int64_t, static_cast<std::size_t>(Failpoint::kNumFailpoints)> died_at{};

    void add(const WorldCounts& other);
};

class ControlplaneWorld {
  public:
    // `data_dir` is empty or holds an unused store. One world at a time in a process: failpoints
    // are the process's.
    ControlplaneWorld(std::uint64_t seed, std::string data_dir, bool is_fenced);
    ~ControlplaneWorld();
    ControlplaneWorld(const ControlplaneWorld&) = delete;
    ControlplaneWorld& operator=(const ControlplaneWorld&) = delete;

    // What went wrong, in words; empty: nothing.
    const std::string& run();

    const WorldCounts& counts() const { return counts_; }

    // Of every state that was seen: the same seed has the same.
    std::uint64_t trace() const { return trace_; }

  private:
    using Minute = std::tuple<std::string, int, std::int64_t>;  // endpoint, place, minute

    struct Route {
        ReplicaId id;
        Epoch epoch;
        int start_number = 0;
    };

    void open_store();
    void open_control_plane();
    void make_accounts();
    void create_endpoint();
    void change_endpoint();
    void live_a_while();
    void disturb();
    // Whether something is on its way.
    bool pass();
    bool settle();
    void note_ready(std::set<Minute>& minutes) const;
    void check_rows();
    void check_edges(const std::vector<controlplane::Endpoint>& before);
    void check_start(const ReplicaId& id);
    void check_routes();
    void check_reached();
    void check_books();
    void fail(const std::string& what);
    void mix(std::string_view text);
    void maybe_crash(int one_in);
    void pass_point(Failpoint point);
    std::vector<controlplane::Endpoint> endpoints() const;
    std::vector<controlplane::Replica> rows() const;
    std::vector<controlplane::EndpointLoad> loads() const;
    const controlplane::Endpoint* endpoint_of(const std::vector<controlplane::Endpoint>& all,
                                              const ReplicaId& id) const;

    int pick(int end) { return static_cast<int>(random_.between(0, end - 1)); }

    WallTime now() const { return clock_.wall_now(); }

    test::SeededRandom random_;
    test::FakeClock clock_;
    Log log_;
    const std::string data_dir_;
    Cluster cluster_;
    std::unique_ptr<controlplane::Store> store_;
    std::unique_ptr<SimDriver> driver_;
    controlplane::LoopMetrics metrics_;
    std::unique_ptr<controlplane::ReconcilePass> pass_;
    const bool is_fenced_;
    bool is_calm_ = false;
    int num_created_ = 0;
    std::vector<OrgId> orgs_;
    std::map<EndpointId, int> load_;
    std::map<ReplicaId, Epoch> highest_;
    std::array<std::vector<Route>, 2> gateways_;
    std::set<Minute> may_be_booked_;
    std::set<Minute> must_be_booked_;
    WorldCounts counts_;
    std::uint64_t trace_ = 0;
    std::string fault_;
};

}  // namespace turnpike::sim
