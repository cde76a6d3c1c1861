"""What the services tell systemd over NOTIFY_SOCKET: that they are ready, how they are, that they get on and that they end."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from engine_fixture import SOURCE, EngineFixture, UnixConnection, poll

BIN = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
# The gateway's loops turn once a second, the control plane's every two.
WATCHDOG_S = 9
# Each comes after at most a third of the period and a turn of the loop.
PATIENCE_S = 60


class Manager:
    """The socket of a service manager; messages in order."""

    def __init__(self, folder, watchdog_s=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify")}
        if watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))

    def next(self, seconds=PATIENCE_S):
        """One message, without the process's id, which READY=1 must have."""
        self.socket.settimeout(seconds)
        message = self.socket.recv(4096).decode()
        without, number = re.subn(r"\nMAINPID=\d+", "", message)
        assert number == message.startswith("READY=1"), message
        return without

    def is_silent(self, seconds):
        try:
            return not self.next(seconds)
        except (TimeoutError, BlockingIOError):
            return True

    def skip_feeding(self):
        """The next message that is no WATCHDOG=1."""
        return next(message for message in iter(self.next, None) if message != "WATCHDOG=1")

    def forget(self):
        self.socket.setblocking(False)
        try:
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            pass


class EngineNotifyTest(EngineFixture):
    def setUp(self):
        self.run = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        self.socket = str(self.run / "s")

    def begin(self, watchdog_s=None, **more):
        self.manager = Manager(self.run, watchdog_s)
        self.addCleanup(self.manager.socket.close)
        self.launch(1, environment=self.manager.environment, **more)

    def test_its_states(self):
        self.begin()
        self.assertEqual(self.manager.next(), "READY=1\nSTATUS=loading")
        self.assertEqual(self.manager.next(), "STATUS=ready")
        self.assertTrue(self.is_ready())
        response, _ = self.open_stream("A", max_tokens=400)
        self.drain()
        self.assertEqual(self.manager.next(), "STOPPING=1\nSTATUS=draining")
        response.read()
        self.assertEqual(self.engine.wait(60), 0)
        self.assertTrue(self.manager.is_silent(0))

    def test_an_engine_that_waits_is_fed(self):
        self.begin(watchdog_s=0.6)
        self.assertEqual(self.manager.next(), "READY=1\nSTATUS=loading")
        self.assertEqual(self.manager.skip_feeding(), "STATUS=ready")
        for _ in range(5):
            self.assertEqual(self.manager.next(), "WATCHDOG=1")

    def test_an_engine_whose_step_hangs_is_not_fed(self):
        """A rank that is stopped holds up the step of all."""
        self.begin(watchdog_s=0.6, ranks=2)
        self.assertEqual(self.manager.next(), "READY=1\nSTATUS=loading")
        self.assertEqual(self.manager.skip_feeding(), "STATUS=ready")
        children = pathlib.Path(f"/proc/{self.engine.pid}/task/{self.engine.pid}/children").read_text().split()
        self.assertEqual(len(children), 1)
        rank = int(children[0])
        os.kill(rank, signal.SIGSTOP)
        self.addCleanup(lambda: self.engine.poll() is None and os.kill(rank, signal.SIGCONT))
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.post(self.chat(max_tokens=4))))
        asking.start()
        poll(lambda: self.get("/load")["running"] == 1, "the request to run")
        # What was due within a third of the period is sent; then nothing, for as long as it hangs.
        poll(lambda: self.manager.is_silent(0.6), "the feeding to end")
        self.assertTrue(self.manager.is_silent(1.2))
        os.kill(rank, signal.SIGCONT)
        self.assertEqual(self.manager.next(), "WATCHDOG=1")
        asking.join()
        self.assertEqual(answers[0][0], 200)

    def test_its_ranks_do_not_speak_for_it(self):
        self.begin(watchdog_s=0.6, ranks=2)
        self.assertEqual(self.manager.next(), "READY=1\nSTATUS=loading")
        child = pathlib.Path(f"/proc/{self.engine.pid}/task/{self.engine.pid}/children").read_text().split()[0]
        environment = pathlib.Path(f"/proc/{child}/environ").read_text()
        self.assertIn("PATH=", environment)
        self.assertNotIn("NOTIFY_SOCKET", environment)
        self.assertNotIn("WATCHDOG_USEC", environment)


class ServiceNotifyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tp-notify-")
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)
        self.manager = Manager(self.dir, WATCHDOG_S)
        self.addCleanup(self.manager.socket.close)
        (self.dir / "peppers").write_text("1 " + "ab" * 32 + "\n")
        (self.dir / "peppers").chmod(0o600)

    def launch(self, settings, *command):
        config = self.dir / "settings.json"
        config.write_text(json.dumps(settings))
        process = subprocess.Popen([*command, "--config", config], stderr=subprocess.DEVNULL, env=self.manager.environment)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def follow(self, process, state, last):
        """The life of a service of several loops, one of them stopped and gone on."""
        self.assertEqual(self.manager.next(), f"READY=1\nSTATUS={state}")
        for _ in range(2):
            self.assertEqual(self.manager.next(), "WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        self.manager.forget()
        process.send_signal(signal.SIGCONT)
        self.assertEqual(self.manager.next(), "WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.manager.skip_feeding(), f"STOPPING=1\nSTATUS={last}")
        self.assertEqual(process.wait(60), 0)

    def test_the_gateway(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-keyout", self.dir / "server.key", "-out", self.dir / "server.crt"],
                       check=True, capture_output=True)
        gateway = self.launch({
            "listen": ["tcp:127.0.0.1:0"], "tls_certificate": f"{self.dir}/server.crt", "tls_key": f"{self.dir}/server.key",
            "controlplane": f"unix:{self.dir}/internal.sock", "pepper_file": f"{self.dir}/peppers",
            "outbox_dir": f"{self.dir}/outbox", "snapshot_file": f"{self.dir}/snapshot.json", "num_threads": 2},
            BIN / "turnpike-gateway")
        self.follow(gateway, "serving", "draining")

    def controlplane(self, **more):
        return self.launch({
            "data_dir": f"{self.dir}/data", "pepper_file": f"{self.dir}/peppers", "run_dir": f"{self.dir}/run",
            "listen_internal": f"unix:{self.dir}/run/internal.sock", "listen_admin": f"unix:{self.dir}/run/admin.sock",
            "cards_dir": str(SOURCE / "config/files/models"), "engine_binary": str(BIN / "turnpike-engine"),
            "models": [], "serverless": [], "hardware": []} | more, BIN / "turnpike-controlplane", "serve")

    def test_the_control_plane(self):
        self.follow(self.controlplane(), "serving", "ending")

    def test_a_control_plane_whose_reconcile_loop_hangs_is_not_fed(self):
        """In a systemctl that waits for us. Its other threads live: it still answers."""
        systemctl = self.dir / "systemctl"
        systemctl.write_text(f"#!/bin/sh\nif [ -e {self.dir}/hang ]; then read -r _ <{self.dir}/gate; fi\n")
        systemctl.chmod(0o755)
        os.mkfifo(self.dir / "gate")
        self.manager.environment["PATH"] = f"{self.dir}:{os.environ['PATH']}"
        self.controlplane(driver="systemd")
        self.assertEqual(self.manager.next(), "READY=1\nSTATUS=serving")
        self.assertEqual(self.manager.next(), "WATCHDOG=1")
        (self.dir / "hang").touch()
        with open(self.dir / "gate", "wb") as gate:  # waits until systemctl reads
            self.manager.forget()
            self.assertTrue(self.manager.is_silent(WATCHDOG_S * 2 / 3))
            self.assertEqual(self.health(), 200)
            (self.dir / "hang").unlink()
            gate.write(b"\n")
        self.assertEqual(self.manager.next(), "WATCHDOG=1")

    def health(self):
        connection = UnixConnection(f"{self.dir}/run/admin.sock")
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        connection.close()
        return status


if __name__ == "__main__":
    unittest.main()
