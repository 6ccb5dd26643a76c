"""Every command's help: its examples are run as they stand there, and it says how it exits."""

import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ledger_cli import ROOT
from ledger_cli.cli import cli
from tests.support.cli import ledger

COMMANDS = sorted(cli.commands)
EXAMPLES = [
    (name, line.strip())
    for name in COMMANDS
    for line in (cli.commands[name].help or "").partition("Examples:")[2].splitlines()
    if line.strip()
]
ELSEWHERE = {"ledger serve", "ledger serve --sam env.json", "ledger serve --state ~/ledger-trial"}
"""They serve until they are stopped: tests/command/test_serve.py and the container tests run them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with what the examples name, and a served engine in the place of the stack that they name."""
    place = tmp_path_factory.mktemp("examples")
    (place / "events").symlink_to(ROOT / "events")
    sample = (ROOT / "events/start/01-success.json").read_text()
    (place / "payment.json").write_text((ROOT / "events/webhooks/acme-pay.json").read_text())
    (place / "payments.jsonl").write_text(sample.replace("\n", " ") + "\n")
    (place / "secret.txt").write_text("whsec_0123456789abcdef\n")
    (place / "home/.config/fish/completions").mkdir(parents=True)
    command = [sys.executable, "-m", "ledger_cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        printed = list(itertools.takewhile(lambda line: not line.startswith("Ready"), server.stdout))
        address = printed[0].removeprefix("Endpoint").split(",")[0].strip()
        environment = {
            "LEDGER_ENDPOINT_URL": address,
            "HOME": str(place / "home"),
            "LEDGER": f"{sys.executable} -m ledger_cli",
        }
        assert ledger("start", str(ROOT / "events/start/01-success.json"), LEDGER_ENDPOINT_URL=address).returncode == 0
        yield place, environment
        server.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("name", "line"), [one for one in EXAMPLES if one[1] not in ELSEWHERE and one[1].startswith("ledger")]
)
def test_an_example_works(folder: Any, name: str, line: str) -> None:
    """Word by word, but for whose stack it is."""
    place, environment = folder
    line = re.sub(r" --(stack|profile) [\w-]+", "", line)
    line = line.replace("--format stripe ", "--format stripe-test ").replace(
        "http://127.0.0.1:4510", environment["LEDGER_ENDPOINT_URL"]
    )
    script = re.sub(r"^ledger\b", environment["LEDGER"], line)
    everything = {**os.environ, **environment}
    done = subprocess.run(  # noqa: S603
        ["bash", "-c", script],  # noqa: S607
        cwd=place,
        env=everything,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Each sample that `ledger run` and `ledger start` take ends in an outcome; none has a technical failure.
    assert done.returncode == (1 if "redrive txn" in line else 0), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert shlex.split(line, comments=True)[1] == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_and_says_how_it_exits(name: str) -> None:
    """A person reads the example first; a script reads the status."""
    command: click.Command = cli.commands[name]
    assert [one for one in EXAMPLES if one[0] == name]
    assert str(command.epilog).startswith("Exit status: 0")
    assert all(
        isinstance(p, click.Argument) or p.help for p in command.params if isinstance(p, click.Option | click.Argument)
    )
