#include "tests/component/drivers/harness.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/base/check.h"
#include "controlplane/run/process_driver.h"
#include "controlplane/run/slurm_driver.h"
#include "controlplane/run/systemd_driver.h"

extern char** environ;  // POSIX declares it nowhere

namespace turnpike::controlplane::test {
namespace {

namespace fs = std::filesystem;

// Ends by SIGTERM with status 0, or at once with 7 where there is a file "fail"; says where it
// "listens" as an engine does that was given a port to choose. It waits in `read` on a pipe that
// nobody writes, so that no child of its own is left behind.
constexpr const char* kFakeEngine = R"(#!/bin/sh
dir=${3%/engine.json}
trap 'echo drained; exit 0' TERM
echo "started on ${SLURM_NODEID:-0} of ${SLURM_JOB_NODELIST:-here}"
[ -e "$dir/fail" ] && exit 7
echo "tls:0.0.0.0:4242" > "$dir/address"
fifo=$dir/never.${SLURM_NODEID:-0}
mkfifo "$fifo" 2>/dev/null
while :; do read -r line <>"$fifo"; done
)";

class ProcessHarness final : public DriverHarness {
  public:
    ProcessHarness() : DriverHarness("tp-process-") {}

    ~ProcessHarness() override { fs::remove_all(run_dir_); }

    Result<std::unique_ptr<Driver>> open() override {
        auto driver = ProcessDriver::open({run_dir_, engine()}, [] {});
        RETURN_IF_ERROR(driver);
        return std::unique_ptr<Driver>(std::move(*driver));
    }

    std::string stranger_killed() const override { return "gone"; }
};

class SystemdHarness final : public DriverHarness {
  public:
    SystemdHarness() : DriverHarness("tp-systemd-") {
        const std::string source = TURNPIKE_SOURCE_DIR;
        ::setenv("FAKE_SYSTEMD_UNIT", (source + "/ops/systemd/turnpike-engine@.service").c_str(),
                 1);
        ::setenv("FAKE_SYSTEMD_ENGINE", engine().c_str(), 1);
        ::setenv("FAKE_SYSTEMD_RUN_DIR", run_dir_.c_str(), 1);
        options_ = {run_dir_, source + "/tests/support/fake_systemctl.py",
                    source + "/tests/support/fake_journalctl.py"};
    }

    ~SystemdHarness() override { fs::remove_all(run_dir_); }

    Result<std::unique_ptr<Driver>> open() override {
        auto driver = SystemdDriver::open(options_);
        RETURN_IF_ERROR(driver);
        return std::unique_ptr<Driver>(std::move(*driver));
    }

    std::string clean_exit() const override { return "it ended, or its host did"; }

  private:
    SystemdDriverOptions options_;
};

class SlurmHarness final : public DriverHarness {
  public:
    SlurmHarness() : DriverHarness("tp-jobs-") { SlurmCluster::get(); }

    ~SlurmHarness() override { fs::remove_all(run_dir_); }

    Result<std::unique_ptr<Driver>> open() override {
        SlurmDriverOptions options;
        options.run_dir = run_dir_;
        options.engine_binary = engine();
        options.job_prefix = fs::path(run_dir_).filename().string();
        options.tls = {"/etc/engine.crt", "/etc/engine.key", "/etc/ca.crt"};
        options.hardware["1x"] = {"gpu:h200:1", 1, {"--mem=10"}};
        options.hardware["8x"] = {"gpu:h200:8", 1, {"--mem=10"}};
        options.hardware["16x"] = {"gpu:h200:8", 2, {"--mem=10"}};
        auto driver = SlurmDriver::open(options);
        RETURN_IF_ERROR(driver);
        return std::unique_ptr<Driver>(std::move(*driver));
    }

    // Slurm's word for whatever scancel did.
    std::string killed() const override { return "cancelled"; }
};

}  // namespace

DriverHarness::DriverHarness(const std::string& prefix) {
    std::string pattern = "/tmp/" + prefix + "XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    run_dir_ = pattern;
    std::ofstream(engine()) << kFakeEngine;
    CHECK(::chmod(engine().c_str(), 0700) == 0);
}

std::unique_ptr<DriverHarness> make_process_harness() {
    return std::make_unique<ProcessHarness>();
}

std::unique_ptr<DriverHarness> make_systemd_harness() {
    return std::make_unique<SystemdHarness>();
}

std::unique_ptr<DriverHarness> make_slurm_harness() {
    return std::make_unique<SlurmHarness>();
}

SlurmCluster& SlurmCluster::get() {
    static SlurmCluster cluster;
    return cluster;
}

SlurmCluster::SlurmCluster() {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    CHECK(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    std::string script = std::string(TURNPIKE_SOURCE_DIR) + "/tests/support/slurm_cluster.py";
    std::array<char*, 2> argv{script.data(), nullptr};
    CHECK(::posix_spawn(&pid_, script.c_str(), &files, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&files);
    ::close(in[0]);
    ::close(out[1]);
    to_ = in[1];
    from_ = out[0];
    std::string line;
    for (char c = 0; ::read(from_, &c, 1) == 1 && c != '\n';) line += c;
    CHECK(line.starts_with("SLURM_CONF="));
    ::setenv("SLURM_CONF", line.substr(line.find('=') + 1).c_str(), 1);
}

SlurmCluster::~SlurmCluster() {
    ::close(to_);
    ::waitpid(pid_, nullptr, 0);
    ::close(from_);
}

void SlurmCluster::command(const std::string& line) {
    const std::string text = line + "\n";
    CHECK(::write(to_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    for (char c = 0; c != '\n';) CHECK(::read(from_, &c, 1) == 1);
}

}  // namespace turnpike::controlplane::test
