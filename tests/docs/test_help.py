"""The help of each command: its examples work as they are printed, and it names the exit status."""

import json
import re
import shlex
import subprocess
from contextlib import nullcontext
from pathlib import Path

import click
import pytest

from ledger.chain import entry_facts
from ledger.item import recorded_facts
from ledger_cli import ROOT
from ledger_cli.cli import cli
from ledger_cli.engine import Engine
from ledger_cli.samples import register_sample_processors
from tests.support.books import exported
from tests.support.cli import ledger, lent
from tests.support.dynamodb_exports import write_export

COMMANDS = sorted(cli.commands)
EXAMPLES = [
    (name, line.strip())
    for name in COMMANDS
    for line in (cli.commands[name].help or "").partition("Examples:")[2].splitlines()
    if line.strip()
]
ENTRIES = ("10-refund", "11-refund-refused")
"""Samples that the engine has run before an example: the second is what the examples decide about."""

ELSEWHERE = {"ledger serve", "ledger serve --sam env.json", "ledger serve --state ~/ledger-trial"}
"""Examples that serve until somebody stops them: tests/command/test_serve.py and the container tests run them."""


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """Make the files that the examples name, and what the engine must have: a payment, its entries, and processors."""
    (tmp_path / "events").symlink_to(ROOT / "events")
    sample = (ROOT / "events/start/01-success.json").read_text()
    (tmp_path / "payment.json").write_text((ROOT / "events/webhooks/acme-pay.json").read_text())
    refund = json.loads((ROOT / "events/start/10-refund.json").read_text()) | {"TransactionID": "txn-2026-0101"}
    (tmp_path / "refund.json").write_text(json.dumps(refund))
    (tmp_path / "payments.jsonl").write_text(sample.replace("\n", " ") + "\n")
    for name in ("acme-pay.csv", "acme-pay.toml"):
        (tmp_path / name).write_text((ROOT / "events/reports" / name).read_text())
    (tmp_path / "history.jsonl").write_text((ROOT / "events/history.jsonl").read_text())
    (tmp_path / "secret.txt").write_text("whsec_0123456789abcdef\n")
    (tmp_path / "home/.config/fish/completions").mkdir(parents=True)
    register_sample_processors(engine)
    outcomes = [engine.run(sample).outcome]
    outcomes += [engine.run((ROOT / f"events/start/{name}.json").read_text()).outcome for name in ENTRIES]
    assert outcomes == ["RECORDED", "RECORDED", "REFUSED"]
    write_export(tmp_path / "payments", "PaymentLedger", engine.items())
    write_export(tmp_path / "entries", "PaymentEntries", engine.entries())
    engine.functions["SealLedger"].invoke((ROOT / "events/functions/seal_ledger.json").read_bytes())
    (sealed,) = engine.seals()
    for name in ("checkpoint.txt", "older.txt"):
        (tmp_path / name).write_text(sealed["Note"]["S"])
    (tmp_path / "key.txt").write_text(sealed["VerifierKey"]["S"] + "\n")
    exported(tmp_path / "ledger.jsonl", [*map(recorded_facts, engine.items()), *map(entry_facts, engine.entries())])
    return tmp_path


def run_line(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell in a folder does: a command, and at most one file that it reads from or writes to."""
    words = shlex.split(line.replace("~/", f"{environment['HOME']}/"), comments=True)
    file = Path()
    operator = next((word for word in ("<", ">", ">>") if word in words), "")
    if operator:
        *words, _, name = words
        file = folder / name
    done = ledger(*words[1:], stdin=file.read_text() if operator == "<" else "", folder=folder, **environment)
    if operator in {">", ">>"}:
        with file.open("w" if operator == ">" else "a") as written:
            written.write(done.stdout)
    return done


@pytest.mark.parametrize(
    ("name", "line"), [one for one in EXAMPLES if one[1] not in ELSEWHERE and one[1].startswith("ledger")]
)
def test_an_example_works(folder: Path, engine: Engine, endpoint: str, name: str, line: str) -> None:
    """People copy an example word by word, except for the name of the stack."""
    line = re.sub(r" --(stack|profile) [\w-]+", "", line)
    if name == "export":  # which never overwrites a file
        (folder / "ledger.jsonl").unlink()
    if name == "verify":
        run_line("ledger export sealed.jsonl --as-of-seal last", folder, LEDGER_ENDPOINT_URL=endpoint, HOME=str(folder))
    line = line.replace("--format stripe ", "--format stripe-test ").replace("http://127.0.0.1:4510", endpoint)
    with lent(engine) if name == "run" else nullcontext():
        done = run_line(line, folder, LEDGER_ENDPOINT_URL=endpoint, HOME=str(folder / "home"))
    # Each sample that `ledger run` and `ledger start` read has an outcome; no execution here had a technical failure.
    # The refused entry is refused again, because its cause is still there.
    no_success = "redrive txn" in line or name == "retry"
    assert done.returncode == (1 if no_success else 0), done.stdout + done.stderr
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
