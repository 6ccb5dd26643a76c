"""The `ledger` command, as tests run it: in their own process, or in one of its own."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

from click.testing import CliRunner

from ledger_cli import ROOT
from ledger_cli.cli import cli
from ledger_cli.engine import Engine
from ledger_cli.engine.lambda_runtime import handlers_turn, route_stdout
from ledger_cli.environment import changing_the_environment

WIDTH = {"COLUMNS": "120"}

TIMEOUT_S = 300
"""The longest that a process may take on a machine that does much else."""


def ledger(
    *arguments: str, stdin: str = "", folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `ledger` command in this process, which takes milliseconds.

    It calls a served engine over HTTP, as it would from a process of its own: `tests.support.faults` meets a call when
    the engine answers it. `ledger_process` is for what only a process has.
    """
    with _variables({**WIDTH, **environment}), contextlib.chdir(folder):
        done = Runner().invoke(cli, arguments, input=stdin, catch_exceptions=False, prog_name="ledger")
    return subprocess.CompletedProcess(["ledger", *arguments], done.exit_code, done.stdout, done.stderr)


class Runner(CliRunner):
    """A runner that replaces the standard output only while no handler of this process's engine runs.

    Otherwise the output of the command could have what a handler of another thread prints.
    """

    @contextlib.contextmanager
    def isolation(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        """Replace the streams until the end of the block."""
        with contextlib.ExitStack() as stack:
            with handlers_turn:
                streams = stack.enter_context(super().isolation(*arguments, **named))
                route_stdout()
            try:
                yield streams
            finally:
                with handlers_turn:
                    stack.close()
                    route_stdout()


@contextlib.contextmanager
def _variables(environment: dict[str, str]) -> Iterator[None]:
    """Add variables to this process's environment, and never while its engine loads a function."""
    changed = patch.dict(os.environ, environment)
    with changing_the_environment:
        changed.start()
    try:
        yield
    finally:
        with changing_the_environment:
            changed.stop()


@contextlib.contextmanager
def lent(engine: Engine) -> Iterator[None]:
    """Empty this process's engine, and let `ledger run` use it: a process has one engine, so it can deploy no other."""
    engine.clear()
    stand_in = MagicMock(wraps=engine, outputs=engine.outputs)
    stand_in.__enter__.return_value, stand_in.__exit__.return_value = stand_in, None
    numbers = patch.object(engine, "_numbers", itertools.count(1))  # of the executions' names
    with patch("ledger_cli.engine.Engine", lambda **_: stand_in), numbers:
        yield


def ledger_process(
    *arguments: str, stdin: str = "", folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `ledger` command in a process of its own: for its beginning, its streams, and an engine of its own."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ledger_cli", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, **WIDTH, **environment},
    )


@dataclass(frozen=True)
class Serving:
    """A `ledger serve` that is ready, and the values that it has printed, by their names."""

    process: subprocess.Popen[str]
    printed: dict[str, str]

    @property
    def address(self) -> str:
        """The endpoint on loopback."""
        return self.printed["Endpoint"].partition(",")[0]


@contextlib.contextmanager
def ledger_serve(*options: str) -> Iterator[Serving]:
    """Run `ledger serve` at a free port, in a process of its own, until the end of the block.

    Ctrl-C then ends it, unless the block has ended it: its status must be 0, and it must print nothing more.
    """
    command = [sys.executable, "-m", "ledger_cli", "serve", "--port", "0", *options]
    environment = {**os.environ, "COLUMNS": "1000"}
    with subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = {}
        for line in process.stdout:
            printed[line[:11].strip()] = line[11:].strip()
            if line.startswith("Ready"):
                break
        yield Serving(process, printed)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
