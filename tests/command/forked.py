"""Runs the `ledger` command under conditions that only a process of its own can have: `python -m tests.command.forked`.

Starting and importing takes seconds. This process does both once, then forks for each run. It reads lines of JSON: a
folder, and the runs to do at once. It answers each line with another: what every run printed, and how it ended.
"""

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import boto3

from ledger_cli import REGION
from ledger_cli.cli import cli

# The commands import these when they run.
from ledger_cli.engine import server  # noqa: F401
from ledger_cli.engine.moto_patches.core import sdk_data_parsed_once

PATIENCE_S = 300
AGAIN_S = 5


def become_the_command(job: dict[str, Any], folder: Path) -> None:
    """Set up the streams and the variables that the job asks for, in the child."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    os.environ.update(job["variables"])
    if job["encoding"]:  # as PYTHONIOENCODING does
        sys.stdout.reconfigure(encoding=job["encoding"], errors="strict")
    os.dup2(os.open(job["stdin"], os.O_RDONLY), 0)
    os.dup2(os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT), 2)
    if job["stdout"] == "unread":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    else:
        os.dup2(os.open(job["stdout"] or folder / "stdout", os.O_WRONLY | os.O_CREAT), 1)


def ended(job: dict[str, Any], child: int, folder: Path) -> dict[str, Any]:
    """Wait for a run, and interrupt it once it has printed the awaited text, or after a second if no text is awaited.

    Interrupt a run that goes on again, as a person does. Kill a run that does not end at all.
    """
    deadline = time.monotonic() + PATIENCE_S
    if job["interrupt"] is not None:
        time.sleep(1)
        while job["interrupt"] not in (folder / "stdout").read_text(errors="replace") and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(child, signal.SIGINT)
    again = time.monotonic() + AGAIN_S
    while True:
        process, code = os.waitpid(child, os.WNOHANG)
        if process:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        elif job["interrupt"] is not None and time.monotonic() > again:
            os.kill(child, signal.SIGINT)
            again += AGAIN_S
        time.sleep(0.01)
    status = os.waitstatus_to_exitcode(code)
    printed = {name: (folder / name).read_bytes().decode("latin-1") for name in ("stdout", "stderr")}
    return {"status": status, **printed}


def parse_what_commands_read() -> None:
    """Make one client of each service that a command calls. A child then finds the SDK's data parsed."""
    for service in ("cloudformation", "dynamodb", "kms", "lambda", "secretsmanager", "stepfunctions", "sts"):
        boto3.Session("any", "any", region_name=REGION).client(service)


def main() -> None:
    """Run what each line of standard input asks for."""
    parse_what_commands_read()
    gc.freeze()  # without it, each child looks through all imported objects when it ends, which takes a second
    for line in sys.stdin:
        asked = json.loads(line)
        children = []
        for number, job in enumerate(asked["jobs"]):
            folder = Path(asked["folder"]) / f"job-{number}"
            folder.mkdir()
            (folder / "stdout").touch()
            child = os.fork()
            if not child:
                become_the_command(job, folder)
                cli(job["arguments"], prog_name="ledger")
            children.append((job, child, folder))
        print(json.dumps([ended(*one) for one in children]), flush=True)  # noqa: T201


if __name__ == "__main__":
    with sdk_data_parsed_once():
        main()
