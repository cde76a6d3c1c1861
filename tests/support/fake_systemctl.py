#!/usr/bin/env python3
"""Stands for systemctl where no systemd runs: show, start, stop, kill and reset-failed of instances of the unit file
$FAKE_SYSTEMD_UNIT, whose ExecStart is really run, with $FAKE_SYSTEMD_ENGINE in place of its program and
$FAKE_SYSTEMD_RUN_DIR in place of /run/turnpike. What it prints has the form of systemd 252's. Each unit has a process
that watches it and keeps its state in a file."""
import fnmatch
import json
import os
import pathlib
import signal
import subprocess
import sys

RUN_DIR = pathlib.Path(os.environ["FAKE_SYSTEMD_RUN_DIR"])
STATES = RUN_DIR / "units"


def settings_of_unit():
    settings = {}
    for line in pathlib.Path(os.environ["FAKE_SYSTEMD_UNIT"]).read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(name, value)
    return settings


def read(unit):
    try:
        return json.loads((STATES / unit).read_text())
    except FileNotFoundError:
        return None


def write(unit, **state):
    STATES.mkdir(exist_ok=True)
    new = STATES / f".{unit}.new"
    new.write_text(json.dumps(state))
    new.rename(STATES / unit)


def instance_of(unit):
    return unit.partition("@")[2].removesuffix(".service")


def show(arguments):
    names = arguments[0].removeprefix("--property=").split(",")
    blocks = []
    for path in sorted(STATES.glob("[!.]*")) if STATES.exists() else []:
        state = read(path.name)
        # A unit that has ended well is not kept in memory.
        if not fnmatch.fnmatch(path.name, arguments[-1]) or state is None or state["ActiveState"] == "inactive":
            continue
        blocks.append("".join(f"{name}={state[name]}\n" for name in names))
    print("\n".join(blocks), end="")


def start(unit):
    state = read(unit)
    if state and state["ActiveState"] in ("active", "activating", "deactivating"):
        return
    write(unit, Id=unit, ActiveState="activating", MainPID=0, Result="success", ExecMainCode=0, ExecMainStatus=0)
    if os.fork() == 0:
        os.setsid()
        watch(unit)
        os._exit(0)


def watch(unit):
    """Runs it to its end, as systemd would."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    command = settings_of_unit()["ExecStart"].replace("%i", instance_of(unit)).replace("/run/turnpike", str(RUN_DIR))
    words = [os.environ["FAKE_SYSTEMD_ENGINE"], *command.split()[1:]]
    with open(RUN_DIR / "r" / instance_of(unit) / "engine.log", "ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    write(unit, Id=unit, ActiveState="active", MainPID=process.pid, Result="success", ExecMainCode=0, ExecMainStatus=0)
    status = process.wait()
    is_failed = status != 0
    write(unit, Id=unit, ActiveState="failed" if is_failed else "inactive", MainPID=0,
          Result="success" if not is_failed else "signal" if status < 0 else "exit-code",
          ExecMainCode=2 if status < 0 else 1, ExecMainStatus=abs(status))


def send(unit, number):
    state = read(unit)
    if state and state["MainPID"]:
        os.kill(state["MainPID"], number)


def main():
    verb, *arguments = sys.argv[1:]
    unit = arguments[-1]
    flags = arguments[:arguments.index("--")]
    if verb == "show":
        show([*flags, unit])
    elif verb == "start":
        assert flags == ["--no-block"], flags
        start(unit)
    elif verb == "stop":
        assert flags == ["--no-block"], flags
        send(unit, getattr(signal, settings_of_unit().get("KillSignal", "SIGTERM")))
    elif verb == "kill":
        (name,) = flags
        send(unit, getattr(signal, name.removeprefix("--signal=")))
    elif verb == "reset-failed":
        state = read(unit)
        if state is None:
            sys.exit(f"Failed to reset failed state of unit {unit}: Unit {unit} not loaded.")
        if state["ActiveState"] == "failed":
            (STATES / unit).unlink()
    else:
        sys.exit(f"Unknown command verb {verb}.")


if __name__ == "__main__":
    main()
