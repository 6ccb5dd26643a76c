"""An engine that goes on where another one stopped: in a process of its own, as one lives at a time."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine.state import FILE, State, StateError

BEFORE = """
import json, sys
from pathlib import Path
from ledger_cli.engine import Engine
from ledger_cli.engine.state import State
from ledger_cli.samples import let_in_processors
payment = json.loads(open("events/start/01-success.json").read())
state = State(Path(sys.argv[1]))
with Engine(state=state) as engine:
    let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    revoked = engine.outputs["ProcessorSecrets"] + "deleted"
    engine.client("secretsmanager").create_secret(Name=revoked, SecretString="x")
    engine.client("secretsmanager").delete_secret(SecretId=revoked)
    assert engine.run(json.dumps(payment), "recorded").outcome == "RECORDED"
    assert engine.run(json.dumps({**payment, "Amount": "1"}), "conflict").outcome == "CONFLICT"
    engine.functions["PublishOutcome"].environment["EVENT_BUS_NAME"] = "gone"
    engine.functions["PublishOutcome"].restart()
    assert engine.run(json.dumps({**payment, "TransactionID": "failed"}), "failed").outcome is None
    state.write(engine)
"""
AFTER = """
import json, sys
from pathlib import Path
from ledger_cli.engine import Engine
from ledger_cli.engine.state import State
payment = json.loads(open("events/start/01-success.json").read())
state = State(Path(sys.argv[1]))
with Engine(state=state) as engine:
    states = engine.client("stepfunctions")
    prefix = engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
    told = {name: engine.ended(f"{prefix}:{name}") for name in ("recorded", "conflict", "failed")}
    request = {"TransactionID": "txn-2026-0001", "Reason": "after a restart", "Requester": "me"}
    revealed = json.loads(engine.functions["RevealSecureToken"].invoke(json.dumps(request).encode())[0])
    duplicate = engine.run(json.dumps(payment), "again").outcome
    try:
        states.start_execution(stateMachineArn=engine.outputs["WorkflowArn"], name="recorded", input="{}")
    except states.exceptions.ExecutionAlreadyExists:
        taken = True
    states.redrive_execution(executionArn=told["failed"].arn)
    redriven = engine.ended(told["failed"].arn)
    secrets = sorted(one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"])
    print(json.dumps({
        "outcomes": {name: execution.outcome for name, execution in told.items()},
        "states": [run.became for run in told["recorded"].states],
        "token": revealed["SecureToken"], "duplicate": duplicate, "taken": taken, "redriven": redriven.outcome,
        "items": [item["TransactionID"]["S"] for item in engine.items()], "secrets": secrets,
        "events": [event["detail-type"] for event in engine.published()],
    }))
    state.write(engine)
"""


def run(script: str, folder: Path) -> str:
    """Run it in the project's folder."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_engine_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """With its payments, keys, secrets, events and executions: a token is still opened, a name is still taken, and what
    failed can be redriven.
    """
    folder = tmp_path / "new/folder"
    run(BEFORE, folder)
    payment = json.loads((ROOT / "events/start/01-success.json").read_text())
    assert json.loads(run(AFTER, folder)) == {
        "outcomes": {"recorded": "RECORDED", "conflict": "CONFLICT", "failed": None},
        "states": ["succeeded"] * 4,
        "token": payment["SecureToken"],
        "duplicate": "DUPLICATE",
        "taken": True,
        "redriven": "RECORDED",
        "items": ["failed", "txn-2026-0001"],
        "secrets": ["payment-ledger/prod/processors/acme-pay", "payment-ledger/prod/processors/stripe"],
        "events": ["PaymentRecorded", "PaymentConflict", "PaymentDuplicate", "PaymentRecorded"],
    }
    kept = json.loads((folder / FILE).read_text())
    assert [one["name"] for one in kept["Executions"]] == ["recorded", "conflict", "failed", "again"]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """It holds keys and tokens, if only of a trial."""
    run(BEFORE, tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600
    assert {file.name for file in (tmp_path / "state").iterdir()} == {FILE, ".lock"}


def test_two_engines_do_not_share_a_folder(tmp_path: Path) -> None:
    """Each would write all of its own over the other's."""
    first = State(tmp_path)
    with pytest.raises(StateError, match="another `ledger serve` has it"):
        State(tmp_path)
    assert first.kept == {}


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"Version": 0}', "null and void", "\xff"])
def test_a_state_that_cannot_be_read_is_said(tmp_path: Path, content: Any) -> None:
    """And left as it is: somebody may want it."""
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    with pytest.raises(
        StateError, match="holds no state of this version: move it away, or choose another with --state"
    ):
        State(tmp_path)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == content


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    """In a line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file: file exists"):
        State(tmp_path / "file")
    with pytest.raises(StateError, match="not a directory"):
        State(tmp_path / "file/below")
