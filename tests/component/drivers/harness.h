// DriverHarness: one kind of driver with all that it needs, for the contract that every driver
// keeps. A shell script stands for the engine.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "controlplane/run/driver.h"

namespace turnpike::controlplane::test {

class DriverHarness {
  public:
    virtual ~DriverHarness() = default;
    // A driver that knows nothing but what an earlier one left; made anew by each call.
    virtual Result<std::unique_ptr<Driver>> open() = 0;

    // Where the replicas' directories are: <run_dir>/r/<id>/.
    const std::string& run_dir() const { return run_dir_; }

    // What its driver tells of one that ended by itself with status 0, of one that was killed, and
    // of one that was killed after the driver was opened anew.
    virtual std::string clean_exit() const { return "exit status 0"; }

    virtual std::string killed() const { return "signal 9"; }

    virtual std::string stranger_killed() const { return killed(); }

  protected:
    // A temporary directory with an executable `engine` in it.
    explicit DriverHarness(const std::string& prefix);

    std::string engine() const { return run_dir_ + "/engine"; }

    std::string run_dir_;
};

std::unique_ptr<DriverHarness> make_process_harness();
// With ops/systemd's own unit, and a systemctl that stands for systemd's: fake_systemctl.py.
std::unique_ptr<DriverHarness> make_systemd_harness();
// With a real cluster on loopback: slurm_cluster.py.
std::unique_ptr<DriverHarness> make_slurm_harness();

// The cluster of the harnesses, which starts with the first of them and ends with the process.
class SlurmCluster {
  public:
    static SlurmCluster& get();
    // "kill slurmctld", "start n1": see slurm_cluster.py.
    void command(const std::string& line);

  private:
    SlurmCluster();
    ~SlurmCluster();

    int to_ = -1;
    int from_ = -1;
    int pid_ = 0;
};

}  // namespace turnpike::controlplane::test
