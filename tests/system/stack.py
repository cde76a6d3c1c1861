"""A complete private Turnpike for one test: its state is made by the functions that ops/quickstart
uses, `turnpike up` runs it, and a guard ends every process of it and removes its folders, however
the test ends. Also the clients that the system tests share."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE_DIR = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
BIN_DIR = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
DEADLINE_S = 60
R1 = "deepseek-ai/DeepSeek-R1"
R1_INPUT_NANO_USD, R1_OUTPUT_NANO_USD = 3000, 7000  # 3 and 7 USD per million tokens

PARTS = 'for part in packages state processes demo; do . "$root/ops/lib/$part.sh"; done; '
MAKE_STATE = ("make_folders; make_certificates; write_gateway_settings; "
              "write_controlplane_settings; make_model; init_stores")
# Waits on its standard input, which ends with the test; its standard output says when it is done.
GUARD = PARTS + """
cat >/dev/null
deadline=$((SECONDS + 30))
while [ -n "$(processes)" ] && [ "$SECONDS" -lt "$deadline" ]; do
    processes | xargs -r kill -KILL 2>/dev/null
done
rm -rf "$(run_dir)" "$state" "$@"
"""


def wait_until(what, condition, seconds=DEADLINE_S):
    """What `condition` returns, as soon as that is true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()  # never set: between two looks, the machine is others'
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(0.02)


def reserve_port():
    """A bound socket that does not listen: nobody else is given its port, and a gateway, which
    listens with SO_REUSEPORT, can take it and lose it as often as the test likes."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("0.0.0.0", 0))
    return holder


class Guard:
    """Ends what belongs to a state directory and removes it, also when this process is killed: it
    is not among our descendants, so that whoever ends those does not end it."""

    def __init__(self, state, *more_folders):
        self.process = subprocess.Popen(
            ["setsid", "--fork", "bash", "-c", f'root=$1 state=$2; shift 2; {GUARD}', "guard",
             SOURCE_DIR, state, *more_folders],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def finish(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Stack:
    """A running service of one model, by default one of random weights, whose answers are as long as
    they may be: `url`, `key`, `ca`, `port`, `dir`, `run_dir`. `gateway_settings`: from the run_dir, more
    settings of the gateway. `controlplane_settings` works on the control plane's."""

    def __init__(self, model="tiny-random", gateway_settings=None, controlplane_settings=None):
        self.model = model
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-system-"))
        self.guard = Guard(self.dir)
        self.holder = reserve_port()
        self.port = self.holder.getsockname()[1]
        self.up = None
        try:
            self.run_dir = pathlib.Path(self.shell("run_dir"))
            self.shell(MAKE_STATE)
            if gateway_settings is not None:
                self.edit("gateway.json", lambda settings: settings.update(gateway_settings(self.run_dir)))
            if controlplane_settings is not None:
                self.edit("controlplane.json", controlplane_settings)
            self.start_up()
            self.shell("make_demo")
        except BaseException:
            print(self.log_tails(), file=sys.stderr)
            self.remove()
            raise
        self.ca = self.dir / "ca.crt"
        self.url = f"https://localhost:{self.port}/v1"
        self.key = re.search("API_KEY='(.*)'", (self.dir / "env").read_text())[1]
        self.tls = ssl.create_default_context(cafile=self.ca)

    def shell(self, script):
        """Runs `script` with the functions of ops/lib on this state directory."""
        variables = {"root": SOURCE_DIR, "state": self.dir, "bin": BIN_DIR, "port": self.port,
                     "model": self.model,
                     "up": self.up.pid if self.up else ""}
        words = "".join(f"{name}={value!s}; " for name, value in variables.items())
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", words + PARTS + script],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"'{script}' failed: {done.stdout}{done.stderr}")
        return done.stdout

    def edit(self, name, change, to=None):
        """Lets `change` work on the settings in file `name`; the result goes to file `to`."""
        settings = json.loads((self.dir / name).read_text())
        change(settings)
        (self.dir / (to or name)).write_text(json.dumps(settings, indent=4))

    def start_up(self):
        with open(self.dir / "logs/up.log", "ab") as log:
            self.up = subprocess.Popen([BIN_DIR / "turnpike", "up", "--dir", self.dir], stdout=log,
                                       stderr=log, stdin=subprocess.DEVNULL)
        self.shell("wait_ready")

    def stop(self):
        """Ends it as Ctrl-C would, and fails if anything is left."""
        try:
            self.up.terminate()
            status = self.up.wait(DEADLINE_S)
            left = self.shell("processes").split()
        finally:
            self.remove()
        if status != 0 or left:
            raise AssertionError(f"`turnpike up` ended with {status}; left behind: {left}")

    def remove(self):
        if self.up is not None and self.up.poll() is None:
            self.up.kill()
            self.up.wait()
        self.guard.finish()
        self.holder.close()

    def log_tails(self, lines=40):
        logs = [*self.dir.glob("logs/*.log"), *self.dir.glob("run/r/*/engine.log")]
        return "\n".join(f"--- {log}\n" + "\n".join(log.read_text().splitlines()[-lines:])
                         for log in logs if log.stat().st_size > 0)

    def pids(self, program):
        """The processes of `program` whose arguments name a path of this stack."""
        own, found = (f"{self.dir}/", f"{self.run_dir}/"), []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended under our eyes; a zombie has no exe
                arguments = (folder / "cmdline").read_text().split("\0")
                is_own = any(argument.startswith(own) for argument in arguments)
                if is_own and pathlib.Path(os.readlink(folder / "exe")).name == program:
                    found.append(int(folder.name))
        return found

    def kill(self, program, number=signal.SIGKILL):
        """Sends a signal to the one process of `program`; its id."""
        (pid,) = self.pids(program)
        os.kill(pid, number)
        return pid

    def run_cli(self, *arguments, check=True):
        done = subprocess.run(
            [BIN_DIR / "turnpike", "--admin", f"unix:{self.run_dir}/admin.sock", *arguments],
            capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"turnpike {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def wait_controlplane(self):
        wait_until("the control plane answers",
                   lambda: self.run_cli("org", "list", check=False).returncode == 0)

    def cli_json(self, *arguments):
        return json.loads(self.run_cli(*arguments, "--json").stdout)

    def usage(self):
        return self.cli_json("usage", "--org", "demo", "--limit", "1000")

    def usage_of(self, request_id):
        """The row of a request, which the gateway delivers after its answer."""
        def find():
            return [row for row in self.usage()["data"] if row["request_id"] == request_id]
        (row,) = wait_until(f"{request_id} is in the usage", find)
        return row

    def billing(self):
        """Demo's account once every delivered record is in the ledger, and the whole answer."""
        def settled():
            answer = self.cli_json("billing")
            return answer if answer["unposted_events"] == 0 else None
        answer = wait_until("every usage record is posted", settled)
        (account,) = [row for row in answer["data"] if row["name"] == "demo"]
        return account, answer

    def usage_rows(self):
        rows = {}
        for path in (self.dir / "data").glob("usage-*.db"):
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                database.row_factory = sqlite3.Row
                for row in database.execute("SELECT * FROM events"):
                    assert row["request_id"] not in rows, f"{row['request_id']} has two rows"
                    rows[row["request_id"]] = dict(row)
        return rows

    def query(self, sql):
        path = self.dir / "data/control.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def engines(self):
        """The socket of each replica, by the replica's id."""
        return {path.parent.name: path for path in self.run_dir.glob("r/*/engine.sock")}

    def engine_get(self, path, replica=None):
        """GET of an engine's own socket; without a name, of the only one."""
        engines = self.engines()
        if replica is None:
            (replica,) = engines
        with contextlib.closing(UnixConnection(engines[replica])) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def connect(self):
        """A TLS connection to the gateway, checked against the stack's own CA."""
        plain = socket.create_connection(("localhost", self.port), timeout=DEADLINE_S)
        return self.tls.wrap_socket(plain, server_hostname="localhost")

    def wrong_key(self):
        """The key with another last character."""
        return self.key[:-1] + ("1" if self.key.endswith("0") else "0")

    def chat(self, model=R1, **fields):
        """A unary chat: (status, answer)."""
        with contextlib.closing(http.client.HTTPSConnection(
                "localhost", self.port, timeout=DEADLINE_S, context=self.tls)) as connection:
            connection.request("POST", "/v1/chat/completions", chat_body(model, **fields),
                               {"authorization": f"Bearer {self.key}",
                                "content-type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def models(self):
        """The rows of GET /v1/models."""
        with contextlib.closing(http.client.HTTPSConnection(
                "localhost", self.port, timeout=DEADLINE_S, context=self.tls)) as connection:
            connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {self.key}"})
            return json.loads(connection.getresponse().read())["data"]

    def open_stream(self, **fields):
        return ChatStream(self, **fields)


def chat_body(model=R1, **fields):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]} | fields)


class ChatStream:
    """A streamed chat as the bytes that a client sees; the head and the chunk framing too."""

    def __init__(self, stack, **fields):
        body = chat_body(stream=True, **fields)
        self.bytes = b""
        self.sock = stack.connect()
        self.sock.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
                           f"authorization: Bearer {stack.key}\r\n"
                           "content-type: application/json\r\n"
                           f"content-length: {len(body)}\r\n\r\n{body}").encode())

    def read_some(self, limit=65536):
        """False once the other side has ended, whichever way."""
        try:
            piece = self.sock.recv(limit)
        except (ssl.SSLError, ConnectionError):
            piece = b""
        self.bytes += piece
        if not piece:
            self.close()
        return bool(piece)

    def read_to(self, offset):
        """Until `offset` bytes are here, or the end."""
        while len(self.bytes) < offset and self.read_some(offset - len(self.bytes)):
            pass
        return self

    def read_events(self, number):
        while self.num_events() < number and self.read_some():
            pass
        return self

    def read_done(self):
        """Until the end of the body, as its last chunk says it, or of the connection; closes."""
        while not self.bytes.endswith(b"\r\n0\r\n\r\n") and self.read_some():
            pass
        self.close()
        return self

    def num_events(self):
        return self.bytes.count(b"\r\ndata: ")

    def is_whole(self):
        return b"\r\ndata: [DONE]\n\n" in self.bytes

    def status(self):
        return int(self.bytes.split(b" ", 2)[1])

    def events(self):
        """The JSON events so far; one that is cut in two is left out."""
        texts = re.findall(rb"\r\ndata: (\{.*\})\n\n\r\n", self.bytes)
        return [json.loads(text) for text in texts]

    def request_id(self):
        """The id that this client has seen; none when nothing came."""
        found = re.search(rb"x-request-id: (\w+)\r\n", self.bytes)
        return found[1].decode() if found else None

    def close(self):
        self.sock.close()


class SystemTest(unittest.TestCase):
    """A class of tests on one stack; what the processes said is shown when a test fails."""

    @classmethod
    def make_stack(cls):
        return Stack()

    @classmethod
    def setUpClass(cls):
        cls.stack = cls.make_stack()
        cls.addClassCleanup(cls.stack.stop)

    def bench(self, name, **options):
        """`turnpike bench` over random prompts; how many requests completed. None may fail."""
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        report = self.stack.dir / "report.json"
        done = subprocess.run(
            [BIN_DIR / "turnpike", "bench", "--model", name, "--random-input-len", "8", "--json", report, *words],
            env=os.environ | {"TURNPIKE_BASE_URL": self.stack.url, "TURNPIKE_API_KEY": self.stack.key,
                              "TURNPIKE_CA_CERT": str(self.stack.ca)},
            capture_output=True, text=True, timeout=180, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        requests = json.loads(report.read_text())["requests"]
        self.assertEqual(requests["failures"], {})
        return requests["completed"]

    def run(self, result=None):
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(self.stack.log_tails(), file=sys.stderr)
        return result
