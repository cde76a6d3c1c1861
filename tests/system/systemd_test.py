#!/usr/bin/env python3
"""ops/install and the units of ops/systemd on a host that a real systemd runs: see tests/support/systemd_container.sh. The service
as an operator gets it, what each unit may, and what systemd does with one that hangs."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from stack import BIN_DIR, DEADLINE_S, SOURCE_DIR, wait_until

CONTAINER = SOURCE_DIR / "tests/support/systemd_container.sh"
ADMIN = "unix:/run/turnpike/admin/admin.sock"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def cgroup2():
    """Where it is mounted, or None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    return None


class Host:
    """The container. Its first process is systemd; with it everything ends."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tp-host-"))
        self.cgroup = cgroup2() / f"turnpike-test-{os.getpid()}"
        self.cgroup.mkdir()
        self.log = open(self.folder.with_suffix(".log"), "w+b")
        bound = sorted({str(SOURCE_DIR), str(BIN_DIR.parent)})
        self.process = subprocess.Popen([CONTAINER, self.cgroup, self.folder, *bound], stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)

    def pid(self):
        """Of systemd, as we see it."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def run(self, *command, **environment):
        """(status, what it said)"""
        variables = [f"{name}={value}" for name, value in {"PATH": PATH, "TURNPIKE_ADMIN": ADMIN, **environment}.items()]
        done = subprocess.run(["nsenter", "-t", str(self.pid()), "-a", "-r", "-w", "env", "-i", *variables, *map(str, command)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120)
        return done.returncode, done.stdout.strip()

    def is_up(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise unittest.SkipTest(f"no container can be made here: {self.log.read().decode().strip()}")
        return self.pid() is not None and self.run("systemctl", "is-active", "basic.target")[1] == "active"

    def end(self):
        self.process.kill()  # unshare takes systemd with it, and that all others
        self.process.wait()
        wait_until("every process is gone", lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text())
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(folder)
        self.log.close()
        self.folder.with_suffix(".log").unlink()
        shutil.rmtree(self.folder)


def why_not():
    programs = ("unshare", "nsenter", "runuser", "ip", "/usr/lib/systemd/systemd", "/usr/lib/polkit-1/polkitd", "dbus-daemon")
    if os.geteuid() != 0:
        return "only root can make a container"
    if cgroup2() is None:
        return "no cgroup2 is mounted"
    missing = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(missing)}: not here (ops/test installs what it needs)" if missing else None


@unittest.skipIf(why_not(), why_not())
class SystemdTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.end)
        wait_until("systemd is up", self.host.is_up)

    def run_well(self, *command, **environment):
        status, text = self.host.run(*command, **environment)
        self.assertEqual(status, 0, f"{command}: {text}\n{self.journal()}")
        return text

    def journal(self, unit="turnpike-*"):
        return self.host.run("journalctl", "--unit", unit, "--no-pager", "--output=cat", "--lines=30")[1]

    def show(self, unit, name):
        return self.run_well("systemctl", "show", f"--property={name}", "--value", "--", unit)

    def install(self):
        return self.run_well(SOURCE_DIR / "ops/install", "--name", "localhost", "--port", "8443", "--build", BIN_DIR.parent)

    def ready(self):
        self.run_well("turnpike", "health", "--wait", DEADLINE_S)

    def engine(self):
        return self.run_well("systemctl", "list-units", "turnpike-engine@*", "--no-legend", "--plain").split()[0]

    def signal(self, unit, signal):
        self.run_well("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", "--", unit)

    def api(self, method, path, body):
        return self.run_well("curl", "-sS", "--fail-with-body", "--unix-socket", ADMIN.removeprefix("unix:"), "-X", method, "--data", body,
                             f"http://localhost{path}")

    def test_the_service_as_an_operator_gets_it(self):
        self.install()
        self.run_well("systemctl", "enable", "--now", "turnpike-controlplane", "turnpike-gateway", "turnpike.target")
        self.ready()
        self.check_status()
        self.check_an_answer()
        self.check_what_units_see()
        self.check_what_the_user_may()
        self.check_a_gateway_that_is_killed()
        self.check_an_engine_that_hangs()
        self.check_an_upgrade()
        self.check_the_end()

    def check_status(self):
        for unit, status in (("turnpike-gateway", "serving"), ("turnpike-controlplane", "serving"), (self.engine(), "ready")):
            self.assertEqual((self.show(unit, "ActiveState"), self.show(unit, "StatusText")), ("active", status), unit)
            self.assertEqual(self.show(unit, "User"), "turnpike")

    def check_an_answer(self):
        self.api("POST", "/admin/v1/organisations", '{"name":"demo"}')
        self.api("POST", "/admin/v1/credit", '{"org":"demo","amount_usd":"5","note":"test","idempotency_key":"once"}')
        made = self.api("POST", "/admin/v1/keys", '{"org":"demo","name":"test"}')
        answer = self.run_well("turnpike", "chat", "--model", "turnpike/r1-nano", "--seed", "1", "What is 47 * 86?",
                               TURNPIKE_BASE_URL="https://localhost:8443/v1", TURNPIKE_CA_CERT="/etc/turnpike/tls/ca.crt",
                               TURNPIKE_API_KEY=re.search(r'"key": ?"([^"]+)"', made)[1])
        self.assertIn("\\boxed{4042}", answer)

    def sees(self, unit, path):
        """Whether a process of the unit could open it, by its user, mounts and rights."""
        return self.host.run("nsenter", "-t", self.show(unit, "MainPID"), "-m", "-r", "-w", "runuser", "-u", "turnpike", "--",
                             "test", "-r", path)[0] == 0

    def check_what_units_see(self):
        engine = self.engine()
        controlplane, gateway = "/var/lib/turnpike/controlplane", "/var/lib/turnpike/gateway"
        for unit, seen, unseen in (
                ("turnpike-gateway", [gateway], [controlplane, "/run/turnpike/admin", "/run/dbus"]),
                ("turnpike-controlplane", [controlplane, "/run/turnpike/admin", "/run/dbus"], [gateway]),
                (engine, [f"/run/turnpike/r/{engine.split('@')[1].removesuffix('.service')}"],
                 [controlplane, gateway, "/run/turnpike/admin", "/run/dbus"])):
            service = unit if unit.endswith(".service") else f"{unit}.service"
            for path in [*seen, f"/run/credentials/{service}/ca.crt"]:
                self.assertTrue(self.sees(unit, path), (unit, path))
            for path in [*unseen, "/etc/turnpike/tls/ca.key"]:
                self.assertFalse(self.sees(unit, path), (unit, path))

    def check_what_the_user_may(self):
        def may(*verb):
            return self.host.run("runuser", "-u", "turnpike", "--", "systemctl", "--no-ask-password", *verb)[0] == 0

        self.assertTrue(may("stop", "turnpike-engine@absent.service"))
        for verb in (("stop", "turnpike-gateway.service"), ("start", "turnpike-gateway.service"), ("stop", "dbus.socket"),
                     ("kill", "turnpike-controlplane.service"), ("enable", "turnpike-engine@absent.service"), ("daemon-reload",)):
            self.assertFalse(may(*verb), verb)

    def check_a_gateway_that_is_killed(self):
        self.signal("turnpike-gateway", "SIGKILL")
        wait_until("systemd has started the gateway again", lambda: (
            self.show("turnpike-gateway", "NRestarts"), self.show("turnpike-gateway", "ActiveState")) == ("1", "active"))

    def check_an_engine_that_hangs(self):
        """With a watchdog that is quicker than the unit's, and a stop of the whole process, which nothing inside can notice."""
        drop_in = "/etc/systemd/system/turnpike-engine@.service.d"
        self.run_well("sh", "-c", f"mkdir {drop_in} && printf '[Service]\\nWatchdogSec=3s\\n' >{drop_in}/watchdog.conf")
        self.run_well("systemctl", "daemon-reload")
        engine = self.engine()
        first = self.show(engine, "MainPID")
        self.signal(engine, "SIGKILL")
        second = wait_until("another engine runs", lambda: (pid := self.show(engine, "MainPID")) not in ("0", first) and pid)
        self.ready()
        self.signal(engine, "SIGSTOP")
        wait_until("the engine is replaced", lambda: self.show(engine, "MainPID") not in ("0", second))
        self.assertIn("no progress for too long (watchdog)", self.journal("turnpike-controlplane"))
        self.ready()

    def check_an_upgrade(self):
        engine = self.show(self.engine(), "MainPID")
        self.assertIn("kept       /etc/turnpike/peppers", self.install())
        self.run_well("systemctl", "restart", "turnpike-controlplane", "turnpike-gateway")
        self.ready()
        self.assertEqual(self.show(self.engine(), "MainPID"), engine)

    def check_the_end(self):
        self.run_well(SOURCE_DIR / "ops/install", "--uninstall")
        self.assertEqual(self.run_well("systemctl", "list-units", "--all", "--no-legend", "--plain", "turnpike*.service"), "")
        self.run_well("test", "-s", "/etc/turnpike/peppers", "-a", "-s", "/var/lib/turnpike/controlplane/control.db")
        self.assertNotEqual(self.host.run("test", "-e", "/usr/bin/turnpike")[0], 0)


if __name__ == "__main__":
    unittest.main()
