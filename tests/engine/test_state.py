"""An engine that goes on where another one stopped: in a process of its own, as one lives at a time."""

import json
import os
import re
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from ledger_cli import REGION, ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.state import FILE, State, StateError

BEFORE = """
import json, sys
from pathlib import Path
from ledger_cli.engine import Engine
from ledger_cli.engine.state import State
from ledger_cli.samples import register_sample_processors
payment = json.loads(open("events/start/01-success.json").read())
state = State(Path(sys.argv[1]))
with Engine(state=state) as engine:
    register_sample_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
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
        "states": [run.result for run in told["recorded"].states],
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


def written(engine: Engine, folder: Path) -> Path:
    """Write the engine's state into the folder; returns the file."""
    state = State(folder)
    state.write(engine)
    return state.file


def test_what_lies_in_the_folder_is_replaced_and_not_followed(engine: Engine, tmp_path: Path) -> None:
    """A link would overwrite what it leads to, and a file of another mode would be the state for all to read."""
    tmp_path.chmod(0o755)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "ledger.unfinished").symlink_to(precious)
    file = written(engine, tmp_path)
    assert (precious.read_text(), file.is_symlink(), stat.S_IMODE(file.stat().st_mode)) == ("mine", False, 0o600)

    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    kept = tmp_path / "kept"
    kept.write_bytes(file.read_bytes())
    kept.chmod(0o644)
    (other / FILE).symlink_to(kept)
    (other / "ledger.unfinished").write_text("")
    (other / "ledger.unfinished").chmod(0o666)
    before = kept.read_bytes()
    file = written(engine, other)
    assert (kept.read_bytes(), file.is_symlink(), stat.S_IMODE(file.stat().st_mode)) == (before, False, 0o600)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """It would create a file elsewhere."""
    tmp_path.chmod(0o700)
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"\.lock: "):
        State(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put a file of theirs in the place of the state."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StateError, match="open: others may write it: chmod go-w it, or choose another folder with"):
        State(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can give a folder away")
@pytest.mark.parametrize("what", ["", FILE])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, what: str) -> None:
    """Whose it is may read and change it."""
    (tmp_path / FILE).write_text(json.dumps(KEPT))
    os.chown(tmp_path / what, 65534, 65534)
    with pytest.raises(StateError, match="belongs to another user: choose another folder with --state"):
        State(tmp_path)


def test_a_state_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    """Its keys and payments may be anybody's."""
    (tmp_path / FILE).write_text(json.dumps(KEPT))
    (tmp_path / FILE).chmod(0o666)
    with pytest.raises(StateError, match=r"ledger\.json: others may write it: chmod go-w it"):
        State(tmp_path)


FORGED = [
    {"$time": "x"},
    {"$time": "2026-11-26T00:00:00Z"},
    {"$bytes": "AAAA"},
    {"$bytes": 7},
    {"$time": {"$bytes": 7}},
]


@pytest.mark.parametrize("detail", FORGED, ids=json.dumps)
def test_an_event_is_kept_as_it_was_published(engine: Engine, tmp_path: Path, detail: Any) -> None:
    """Whoever may publish must not make the state unreadable, or a time of what is text."""
    entry = {"Source": "payment.ledger", "DetailType": "d", "Detail": json.dumps({"deep": [detail]})}
    bus = engine.outputs["EventBusName"]
    engine.client("events").put_events(
        Entries=[{**entry, "EventBusName": bus}, {**entry, "EventBusName": bus, "Detail": json.dumps(detail)}]
    )
    file = written(engine, tmp_path)
    kept = json.loads(file.read_bytes())
    assert [event["detail"] for event in kept["Events"]] == [{"deep": [detail]}, detail]
    assert [event["detail"] for event in again(tmp_path).kept["Events"]] == [{"deep": [detail]}, detail]


def test_each_state_has_a_marker_of_its_own(engine: Engine, tmp_path: Path) -> None:
    """A caller that knew it could publish what is read as a time."""
    folders = [tmp_path / "one", tmp_path / "two"]
    one, two = (json.loads(written(engine, folder).read_bytes())["Marker"] for folder in folders)
    assert one != two


def again(folder: Path) -> State:
    """The state as the next process reads it: the lock of this one is a file that is gone."""
    (folder / ".lock").unlink()
    return State(folder)


def test_a_state_of_version_1_stays_readable(tmp_path: Path) -> None:
    """Times and bytes had no marker; what a caller had published under their names, and is none, was unreadable."""
    material = {"$bytes": "A" * 43 + "="}
    execution = {**ENDED, "start_date": {"$time": "2026-11-26T02:31:27+00:00"}}
    before = {**KEPT, "Version": 1, "Keys": {"k": {"Id": "i", "Material": material}}, "Executions": [execution]}
    del before["Marker"]
    (tmp_path / FILE).write_text(json.dumps({**before, "Events": [{"detail": {"$time": "x"}}]}))
    kept = State(tmp_path).kept
    assert kept["Keys"]["k"]["Material"] == bytes(32)
    assert kept["Executions"][0]["start_date"].isoformat() == "2026-11-26T02:31:27+00:00"
    assert kept["Events"] == [{"detail": {"$time": "x"}}]


def test_a_secret_without_text_does_not_keep_the_state_from_being_written(engine: Engine, tmp_path: Path) -> None:
    """A caller may give a secret bytes, or nothing: no processor has such a one."""
    engine.client("secretsmanager").create_secret(Name="bytes", SecretBinary=b"b")
    engine.client("secretsmanager").create_secret(Name="nothing")
    engine.client("secretsmanager").create_secret(Name="text", SecretString="t")
    assert json.loads(written(engine, tmp_path).read_bytes())["Secrets"] == {"text": "t"}


def ask(service: str, operation: str, body: str) -> int:
    """Ask moto as the server does, with what an SDK would not let pass; returns the status."""
    headers = HTTPHeaders()
    for name, value in {
        "X-Amz-Target": f"{TARGETS[service]}.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(body)),
        "Authorization": f"AWS4-HMAC-SHA256 Credential=any/20260101/{REGION}/{service}/aws4_request",
    }.items():
        headers[name] = value
    request = AWSPreparedRequest(
        "POST", f"https://{service}.{REGION}.amazonaws.com/", headers, body.encode(), stream_output=False
    )
    return int(botocore_stubber("request", request).status_code)


TARGETS = {
    "dynamodb": "DynamoDB_20120810",
    "events": "AWSEvents",
    "secretsmanager": "secretsmanager",
}
PUT = '{"TableName": "PaymentLedger", "Item": {"TransactionID": {"S": "odd"}, %s}}'
UPDATE = (
    '{"TableName": "PaymentLedger", "Key": {"TransactionID": {"S": "odd"}}, "UpdateExpression": "%s",'
    ' "ExpressionAttributeValues": {":v": %s}}'
)
EVENT = '{"Entries": [{"EventBusName": "BUS", "Source": "payment.ledger", "DetailType": "d", "Detail": "%s"}]}'
SECRET = '{"Name": %s, "SecretString": %s, "ClientRequestToken": "00000000-0000-0000-0000-000000000000"}'


def deep(levels: int) -> str:
    """Return an attribute of so many maps."""
    return '"deep": ' + '{"M": {"m": ' * levels + '{"S": "x"}' + "}}" * levels


ODD: dict[str, tuple[str, str, str]] = {
    "a truth that is text": ("dynamodb", "PutItem", PUT % '"Odd": {"BOOL": "x"}'),
    "a text that is a number": ("dynamodb", "PutItem", PUT % '"Odd": {"S": 7}'),
    "a number that is text": ("dynamodb", "PutItem", PUT % '"Odd": {"N": "x"}'),
    "bytes that are no Base64": ("dynamodb", "PutItem", PUT % '"Odd": {"B": "%%"}'),
    "bytes": ("dynamodb", "PutItem", PUT % '"Odd": {"B": "AAAA"}'),
    "sets of bytes": ("dynamodb", "PutItem", PUT % '"Odd": {"BS": ["AAAA", "%%", "AB=="]}'),
    "a null": ("dynamodb", "PutItem", PUT % '"Odd": {"NULL": "x"}'),
    "an empty name": ("dynamodb", "PutItem", PUT % '"": {"S": "x"}'),
    "an empty name in a map": ("dynamodb", "PutItem", PUT % '"Odd": {"M": {"": {"S": "x"}}}'),
    "30 maps": ("dynamodb", "PutItem", PUT % deep(30)),
    "an index's key of no text": ("dynamodb", "UpdateItem", UPDATE % ("SET Unpublished = :v", '{"S": ""}')),
    "an index's key of null": ("dynamodb", "UpdateItem", UPDATE % ("SET Unpublished = :v", '{"NULL": true}')),
    "an empty set": ("dynamodb", "UpdateItem", UPDATE % ("SET PublishedAt = :v", '{"SS": []}')),
    "a detail that is an array": ("events", "PutEvents", EVENT % "[1]"),
    "a detail that is null": ("events", "PutEvents", EVENT % "null"),
    "a detail that is no number": ("events", "PutEvents", EVENT % "NaN"),
    "a long integer": ("events", "PutEvents", EVENT % (r"{\"i\": " + "9" * 4301 + "}")),
    "a secret without a name": ("secretsmanager", "CreateSecret", SECRET % ('""', '"s"')),
    "a secret that is a number": ("secretsmanager", "CreateSecret", SECRET % ('"s"', "7")),
}
"""What the server passes on, and moto mostly takes."""


@pytest.mark.parametrize(("service", "operation", "body"), ODD.values(), ids=ODD)
def test_no_call_makes_the_state_unreadable(
    engine: Engine, tmp_path: Path, service: str, operation: str, body: str, request: pytest.FixtureRequest
) -> None:
    """One would lose every payment. What cannot be kept is named, and the rest is kept."""
    engine.client("secretsmanager").create_secret(Name="other", SecretString="text")
    engine.client("dynamodb").put_item(TableName="PaymentLedger", Item={"TransactionID": {"S": "other"}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto's, about a detail that is no object
        names = {"BUS": engine.outputs["EventBusName"], "WORKFLOW": engine.outputs["WorkflowArn"]}
        ask(service, operation, re.sub("BUS|WORKFLOW", lambda name: names[name[0]], body))
    for arn in engine.executions():
        engine.ended(arn)
    table = dynamodb_backends[engine.account_id][REGION].tables["PaymentLedger"].items
    before = {key.value: repr(item.attrs) for key, item in table.items()}
    file = written(engine, tmp_path)
    engine.clear()
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(4300)  # as in the next process, whose engine has not lifted it yet
    request.addfinalizer(lambda: sys.set_int_max_str_digits(limit))
    state = again(tmp_path)
    sys.set_int_max_str_digits(limit)
    state.restore(engine)
    assert {key.value: repr(item.attrs) for key, item in table.items()} == before
    assert "other" in {one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"]}
    (tmp_path / "again").mkdir(mode=0o700)
    assert json.loads(written(engine, tmp_path / "again").read_bytes())["Events"] == state.kept["Events"]
    assert file.exists()


@pytest.mark.parametrize("levels", [300])
def test_what_is_nested_too_deeply_is_named_once_and_the_rest_is_kept(
    engine: Engine, tmp_path: Path, levels: int
) -> None:
    """Reading it back would exhaust Python's stack, and AWS would not have taken it."""
    engine.client("dynamodb").put_item(TableName="PaymentLedger", Item={"TransactionID": {"S": "other"}})
    nested: dict[str, Any] = {"S": "x"}
    for _ in range(levels):
        nested = {"M": {"m": nested}}
    item = Item(DynamoType({"S": "odd"}), None, {})
    dict.__setitem__(item.attrs, "deep", DynamoType(nested))
    table: Any = dynamodb_backends[engine.account_id][REGION].tables["PaymentLedger"]
    table.items[item.hash_key] = item
    notes: list[str] = []
    state = State(tmp_path, notes.append)
    state.write(engine)
    state.write(engine)
    assert notes == [f"{state.file}: the payment odd is left out (it is nested too deeply)"]
    assert json.loads(state.file.read_bytes())["Items"] == [{"TransactionID": {"S": "other"}}]


def test_what_cannot_be_restored_is_named_and_the_rest_is_restored(engine: Engine, tmp_path: Path) -> None:
    """An older state may hold what moto no longer takes."""
    items = [{"TransactionID": {"S": "odd"}, "Odd": {}}, {"TransactionID": {"S": "other"}}]
    (tmp_path / FILE).write_text(json.dumps({**KEPT, "Items": items, "Secrets": {"": "s", "other": "s"}}))
    notes: list[str] = []
    State(tmp_path, notes.append).restore(engine)
    assert [item["TransactionID"]["S"] for item in engine.items()] == ["other"]
    assert [one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"]] == ["other"]
    assert [note.partition(": the ")[2].partition(" is left out")[0] for note in notes] == ["payment odd", "secret "]


def test_an_execution_of_another_workflow_is_said(engine: Engine, tmp_path: Path) -> None:
    """Its ARN is what everybody asks by: another one would fail only then."""
    (tmp_path / FILE).write_text(json.dumps({**KEPT, "Executions": [{**ENDED, "execution_arn": "nonsense"}]}))
    with pytest.raises(StateError, match="holds no state of this version"):
        State(tmp_path).restore(engine)
    assert engine.executions() == []


def test_the_state_is_written_between_calls(engine: Engine, tmp_path: Path) -> None:
    """Else a call that comes meanwhile changes what is being read, which ended the server."""
    state, done = State(tmp_path), threading.Event()

    def write() -> None:
        state.write(engine)
        done.set()

    with engine.between_calls:
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert done.is_set()


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, RecursionError, KeyError])
def test_a_state_that_cannot_be_written_is_said(
    engine: Engine, tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line that `ledger serve` prints before it goes on serving; anything else would end it."""

    def published(_: Engine) -> Any:
        raise error

    monkeypatch.setattr(Engine, "published", published)
    with pytest.raises(StateError, match=rf"ledger\.json: cannot be written \({error.__name__}\)"):
        State(tmp_path).write(engine)


def test_two_engines_do_not_share_a_folder(tmp_path: Path) -> None:
    """Each would write all of its own over the other's."""
    first = State(tmp_path)
    with pytest.raises(StateError, match="another `ledger serve` has it"):
        State(tmp_path)
    assert first.kept == {}


KEPT: dict[str, Any] = {
    "Version": 2, "Marker": "m", "Keys": {}, "Items": [], "Secrets": {}, "Events": [], "Executions": [],
}  # fmt: skip
MATERIAL = {"$bytesm": "A" * 43 + "="}
STARTED = {"$timem": "2026-11-26T02:31:27+00:00"}
ENDED = {
    "name": "n", "execution_arn": "a", "start_date": STARTED, "execution_input": "{}", "status": "FAILED",
    "history": [],
}  # fmt: skip
HOSTILE = {
    "no JSON": "{",
    "an array": "[]",
    "a number": "7",
    "another version": json.dumps({**KEPT, "Version": 0}),
    "words": "null and void",
    "bytes": "\xff",
    "a missing section": json.dumps({"Version": 2}),
    "brackets": "[" * 200_000,
    "a deep state": json.dumps({**KEPT, "Items": "x"}).replace('"x"', "[" * 5000 + "]" * 5000),
    "a huge number": '{"Version": ' + "9" * 5000 + "}",
    "no time": json.dumps({**KEPT, "Items": [{"$timem": "yesterday"}]}),
    "a time of another type": json.dumps({**KEPT, "Items": [{"$timem": 7}]}),
    "no bytes": json.dumps({**KEPT, "Items": [{"$bytesm": "A"}]}),
    "bytes of another type": json.dumps({**KEPT, "Items": [{"$bytesm": {}}]}),
    "keys of another type": json.dumps({**KEPT, "Keys": []}),
    "a key without material": json.dumps({**KEPT, "Keys": {"k": {"Id": "i"}}}),
    "a short key": json.dumps({**KEPT, "Keys": {"k": {"Id": "i", "Material": {"$bytesm": "AAAA"}}}}),
    "a key's id of another type": json.dumps({**KEPT, "Keys": {"k": {"Id": 7, "Material": MATERIAL}}}),
    "items of another type": json.dumps({**KEPT, "Items": {}}),
    "an item that is text": json.dumps({**KEPT, "Items": ["text"]}),
    "an item without a key": json.dumps({**KEPT, "Items": [{}]}),
    "an item's key of another type": json.dumps({**KEPT, "Items": [{"TransactionID": {"N": "1"}}]}),
    "an item's key that is a number": json.dumps({**KEPT, "Items": [{"TransactionID": {"S": 7}}]}),
    "a secret of another type": json.dumps({**KEPT, "Secrets": {"s": 7}}),
    "secrets of another type": json.dumps({**KEPT, "Secrets": []}),
    "events of another type": json.dumps({**KEPT, "Events": [7]}),
    "an event without detail": json.dumps({**KEPT, "Events": [{}]}),
    "executions of another type": json.dumps({**KEPT, "Executions": [7]}),
    "an execution without a name": json.dumps({**KEPT, "Executions": [{**ENDED, "name": None}]}),
    "an execution with more": json.dumps({**KEPT, "Executions": [{**ENDED, "to_history_output": "x"}]}),
    "an execution without a start": json.dumps({**KEPT, "Executions": [{**ENDED, "start_date": "today"}]}),
    "a history of another type": json.dumps({**KEPT, "Executions": [{**ENDED, "history": [7]}]}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
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
