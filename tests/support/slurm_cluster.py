#!/usr/bin/env python3
"""A real Slurm on loopback: munged, slurmctld and two slurmd, each node with eight GPUs that are none (character
devices that every machine has). Without root it runs as whoever starts it. As a program it prints
"SLURM_CONF=<path>" once `scontrol ping` answers, and ends everything when its standard input ends; "kill PROGRAM",
"start PROGRAM" on a line of it do that to slurmctld, n1 or n2, answered with "done"."""
import contextlib
import getpass
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 30
NODES = ("n1", "n2")

CONF = """ClusterName=turnpike
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.sock
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd-%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=6
MessageTimeout=3
KillWait=5
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=4000 Gres=gpu:h200:8
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=4000 Gres=gpu:h200:8
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
GRES = "".join(f"NodeName={node} Name=gpu Type=h200 File=/dev/tty[1-8]\n" for node in NODES)


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SlurmCluster:
    """`conf` is what SLURM_CONF is to name; close() ends it all."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tp-slurm-"))
        self.conf = self.dir / "slurm.conf"
        self.environment = dict(os.environ, SLURM_CONF=str(self.conf))
        try:
            self.write_files()
            self.start_munge()
            self.start_controller("-c")  # forgets what an earlier life saved: for the first start alone
            for node in NODES:
                self.start_node(node)
            self.wait("the nodes are idle", lambda: self.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2)
        except BaseException:
            self.print_logs()
            self.close()
            raise

    def write_files(self):
        self.dir.chmod(0o755)
        (self.dir / "munge.key").write_bytes(os.urandom(128))
        (self.dir / "munge.key").chmod(0o600)
        for name in ("state", *(f"spool/{node}" for node in NODES)):
            (self.dir / name).mkdir(parents=True)
        self.conf.write_text(CONF.format(host=socket.gethostname(), user=getpass.getuser(), dir=self.dir,
                                         ports=free_ports(3)))
        (self.dir / "gres.conf").write_text(GRES)
        (self.dir / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")

    def start_munge(self):
        names = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log",
                 "seed-file": "munge.seed"}
        # It wants directories that nobody else may write to; a temporary one of our own is such.
        subprocess.run(["munged", "--force", *(f"--{name}={self.dir / file}" for name, file in names.items())],
                       check=True, capture_output=True)

    def start_controller(self, *flags):
        subprocess.run(["slurmctld", *flags], env=self.environment, check=True, capture_output=True)
        self.wait("the controller answers", lambda: "UP" in self.run("scontrol", "ping", check=False))

    def start_node(self, node):
        subprocess.run(["slurmd", "-N", node], env=self.environment, check=True, capture_output=True)

    def start(self, program):
        if program == "slurmctld":
            self.start_controller()
        else:
            self.start_node(program)

    def kill(self, program):
        """SIGKILL; a node loses its jobs with it, as if its power failed."""
        name = "slurmctld.pid" if program == "slurmctld" else f"slurmd-{program}.pid"
        pids = [int((self.dir / name).read_text())]
        if program != "slurmctld":
            pids += self.steps_of(program)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def steps_of(self, node):
        """The processes that watch the node's jobs, and then the jobs, whose end these would tell."""
        found, jobs = [], []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes()
                is_job = f"SLURMD_NODENAME={node}".encode() in environment and \
                    f"SLURM_CONF={self.conf}".encode() in environment
                if b"slurmstepd" in command and str(self.dir).encode() in b"\0".join(environment):
                    found.append(int(folder.name))
                elif is_job:
                    jobs.append(int(folder.name))
        return found + jobs

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def wait(self, what, condition):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {DEADLINE_S} s: {what}")
            select.select([], [], [], 0.05)

    def print_logs(self):
        for log in sorted(self.dir.glob("*.log")):
            print(f"--- {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-30:]), file=sys.stderr)

    def close(self):
        with contextlib.suppress(OSError):
            self.run("scancel", "--full", "--signal=KILL", "-u", getpass.getuser(), check=False)
        for node in NODES:
            for pid in self.steps_of(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for file in self.dir.glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    cluster = SlurmCluster()
    try:
        print(cluster.run("scontrol", "ping").strip(), file=sys.stderr)
        print(f"SLURM_CONF={cluster.conf}", flush=True)
        for line in sys.stdin:
            verb, program = line.split()
            getattr(cluster, verb)(program)
            print("done", flush=True)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
