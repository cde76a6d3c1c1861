#!/usr/bin/env python3
"""Stands for journalctl beside fake_systemctl.py: the last lines of one unit."""
import os
import pathlib
import sys

flags = dict(argument.removeprefix("--").partition("=")[::2] for argument in sys.argv[1:])
replica = flags["unit"].partition("@")[2].removesuffix(".service")
log = pathlib.Path(os.environ["FAKE_SYSTEMD_RUN_DIR"]) / "r" / replica / "engine.log"
print("\n".join(log.read_text().splitlines()[-int(flags["lines"]):]))
