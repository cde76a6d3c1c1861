"""Keeps processes running that tests kill."""
import contextlib
import pathlib
import signal
import subprocess
import threading


class Keeper:
    """Keeps one process running: what is killed starts again at once, anything else is a failure."""

    def __init__(self, name, command, log, environment):
        self.name, self.command, self.log, self.environment = name, command, log, environment
        self.process = None
        self.num_kills = 0
        self.unexpected = []
        self.is_stopping = False
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.started.wait()

    def run(self):
        while not self.is_stopping and len(self.unexpected) < 5:
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL, env=self.environment)
            self.started.set()
            status = self.process.wait()
            if self.is_stopping:
                break
            if status == -signal.SIGKILL:
                self.num_kills += 1
            else:
                last = pathlib.Path(self.log).read_text(errors="replace").splitlines()[-3:]
                self.unexpected.append(f"{self.name} ended with {status}: " + " | ".join(last))

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def stop(self, number=signal.SIGTERM, seconds=60):
        """How it ended."""
        self.is_stopping = True
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.thread.join(seconds)
        if self.thread.is_alive():
            self.process.kill()
            self.thread.join()
        return self.process.returncode
