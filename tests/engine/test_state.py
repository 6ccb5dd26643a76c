"""The state of an engine, which another engine continues. Each runs in a process of its own: a process has only one."""

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
from ledger_cli.samples import PROCESSORS

BEFORE = """
import json, sys
from pathlib import Path
from ledger_cli.engine import Engine
from ledger_cli.engine.state import State
from ledger_cli.samples import register_sample_processors
payment = json.loads(open("events/start/01-success.json").read())
state = State(Path(sys.argv[1]))
with Engine(state=state) as engine:
    register_sample_processors(engine)
    revoked = engine.outputs["ProcessorSecrets"] + "deleted"
    engine.client("secretsmanager").create_secret(Name=revoked, SecretString="x")
    engine.client("secretsmanager").delete_secret(SecretId=revoked)
    assert engine.run(json.dumps(payment), "recorded").outcome == "RECORDED"
    assert engine.run(json.dumps({**payment, "Amount": "1"}), "conflict").outcome == "CONFLICT"
    engine.functions["PublishOutcome"].environment["EVENT_BUS_NAME"] = "gone"
    engine.functions["PublishOutcome"].restart()
    assert engine.run(json.dumps({**payment, "TransactionID": "failed"}), "failed").outcome is None
    state.write(engine.snapshot)
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
    before = {name: engine.wait_for(f"{prefix}:{name}") for name in ("recorded", "conflict", "failed")}
    request = {"TransactionID": "txn-2026-0001", "Reason": "after a restart", "Requester": "me"}
    revealed = json.loads(engine.functions["RevealSecureToken"].invoke(json.dumps(request).encode())[0])
    duplicate = engine.run(json.dumps(payment), "again").outcome
    try:
        states.start_execution(stateMachineArn=engine.outputs["WorkflowArn"], name="recorded", input="{}")
    except states.exceptions.ExecutionAlreadyExists:
        taken = True
    states.redrive_execution(executionArn=before["failed"].arn)
    redriven = engine.wait_for(before["failed"].arn)
    secrets = sorted(one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"])
    print(json.dumps({
        "outcomes": {name: execution.outcome for name, execution in before.items()},
        "states": [run.result for run in before["recorded"].states],
        "token": revealed["SecureToken"], "duplicate": duplicate, "taken": taken, "redriven": redriven.outcome,
        "items": [item["TransactionID"]["S"] for item in engine.items()], "secrets": secrets,
        "events": [event["detail-type"] for event in engine.published()],
    }))
    state.write(engine.snapshot)
"""


def run(script: str, folder: Path) -> str:
    """Run the script in the project's folder, and return what it prints."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_engine_continues_where_another_one_stopped(tmp_path: Path) -> None:
    """A restart loses nothing: a token can be decrypted, a name is still taken, and a failed execution is redriven."""
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
        "secrets": sorted(f"payment-ledger/processors/{processor_id}" for processor_id in PROCESSORS),
        "events": ["PaymentRecorded", "PaymentConflict", "PaymentDuplicate", "PaymentRecorded"],
    }
    kept = json.loads((folder / FILE).read_text())
    assert [one["name"] for one in kept["Executions"]] == ["recorded", "conflict", "failed", "again"]


def test_no_other_user_may_read_the_state(tmp_path: Path) -> None:
    """The state holds keys and tokens, if only for trying."""
    run(BEFORE, tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600
    assert {file.name for file in (tmp_path / "state").iterdir()} == {FILE, ".lock"}


def written(engine: Engine, folder: Path) -> Path:
    """Write the engine's state into the folder, and return the file."""
    state = State(folder)
    state.write(engine.snapshot)
    return state.file


def test_a_file_in_the_folder_is_replaced_and_a_link_is_not_followed(engine: Engine, tmp_path: Path) -> None:
    """Through a link, the state would overwrite another file. A file of another mode could be open to every user."""
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
    """Through a link, the lock would create a file outside the folder."""
    tmp_path.chmod(0o700)
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"\.lock: "):
        State(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722])
def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path, mode: int) -> None:
    """Another user could replace the state by a file of their own."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(StateError, match="open: others may write it: chmod go-w it, or choose another folder with"):
        State(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can give a folder away")
@pytest.mark.parametrize("what", ["", FILE])
def test_a_folder_or_file_of_another_user_is_not_used(tmp_path: Path, what: str) -> None:
    """The owner of a folder or file may read and change it."""
    (tmp_path / FILE).write_text(json.dumps(KEPT))
    os.chown(tmp_path / what, 65534, 65534)
    with pytest.raises(StateError, match="belongs to another user: choose another folder with --state"):
        State(tmp_path)


def test_a_state_file_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    """Another user may have put keys and payments into it."""
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
    """A caller that publishes an event must not make the state unreadable, or turn a text of it into a time."""
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
    """A caller that knew the marker could publish an object that is read as a time."""
    folders = [tmp_path / "one", tmp_path / "two"]
    one, two = (json.loads(written(engine, folder).read_bytes())["Marker"] for folder in folders)
    assert one != two


def again(folder: Path) -> State:
    """Return the state as the next process reads it. The lock of this process is on a file that no longer exists."""
    (folder / ".lock").unlink()
    return State(folder)


def test_a_state_of_version_1_stays_readable(tmp_path: Path) -> None:
    """In version 1, times and bytes had no marker. An event that only looks like a time must not make it unreadable."""
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
    """A caller may create a secret with bytes or with no value. No processor has such a secret, so it is not kept."""
    engine.client("secretsmanager").create_secret(Name="bytes", SecretBinary=b"b")
    engine.client("secretsmanager").create_secret(Name="nothing")
    engine.client("secretsmanager").create_secret(Name="text", SecretString="t")
    assert json.loads(written(engine, tmp_path).read_bytes())["Secrets"] == {"text": "t"}


def ask(service: str, operation: str, body: str) -> int:
    """Call moto as the server does, with a request that an SDK would not send, and return the status."""
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
    """Return an attribute of *levels* maps."""
    return '"deep": ' + '{"M": {"m": ' * levels + '{"S": "x"}' + "}}" * levels


ODD: dict[str, tuple[str, str, str]] = {
    "a truth value that is text": ("dynamodb", "PutItem", PUT % '"Odd": {"BOOL": "x"}'),
    "a text that is a number": ("dynamodb", "PutItem", PUT % '"Odd": {"S": 7}'),
    "a number that is text": ("dynamodb", "PutItem", PUT % '"Odd": {"N": "x"}'),
    "bytes that are not Base64": ("dynamodb", "PutItem", PUT % '"Odd": {"B": "%%"}'),
    "bytes": ("dynamodb", "PutItem", PUT % '"Odd": {"B": "AAAA"}'),
    "sets of bytes": ("dynamodb", "PutItem", PUT % '"Odd": {"BS": ["AAAA", "%%", "AB=="]}'),
    "a null": ("dynamodb", "PutItem", PUT % '"Odd": {"NULL": "x"}'),
    "an empty name": ("dynamodb", "PutItem", PUT % '"": {"S": "x"}'),
    "an empty name in a map": ("dynamodb", "PutItem", PUT % '"Odd": {"M": {"": {"S": "x"}}}'),
    "30 maps": ("dynamodb", "PutItem", PUT % deep(30)),
    "an index's key that is empty": ("dynamodb", "UpdateItem", UPDATE % ("SET Unpublished = :v", '{"S": ""}')),
    "an index's key of null": ("dynamodb", "UpdateItem", UPDATE % ("SET Unpublished = :v", '{"NULL": true}')),
    "an empty set": ("dynamodb", "UpdateItem", UPDATE % ("SET PublishedAt = :v", '{"SS": []}')),
    "a detail that is an array": ("events", "PutEvents", EVENT % "[1]"),
    "a detail that is null": ("events", "PutEvents", EVENT % "null"),
    "a detail that is not a number": ("events", "PutEvents", EVENT % "NaN"),
    "a long integer": ("events", "PutEvents", EVENT % (r"{\"i\": " + "9" * 4301 + "}")),
    "a secret without a name": ("secretsmanager", "CreateSecret", SECRET % ('""', '"s"')),
    "a secret that is a number": ("secretsmanager", "CreateSecret", SECRET % ('"s"', "7")),
}
"""Calls that the server passes on. moto accepts most of them."""


@pytest.mark.parametrize(("service", "operation", "body"), ODD.values(), ids=ODD)
def test_no_call_makes_the_state_unreadable(
    engine: Engine, tmp_path: Path, service: str, operation: str, body: str, request: pytest.FixtureRequest
) -> None:
    """An unreadable state would lose every payment. So a thing that cannot be kept is named, and the rest is kept."""
    engine.client("secretsmanager").create_secret(Name="other", SecretString="text")
    engine.client("dynamodb").put_item(TableName="PaymentLedger", Item={"TransactionID": {"S": "other"}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto warns about a detail that is not an object
        names = {"BUS": engine.outputs["EventBusName"], "WORKFLOW": engine.outputs["WorkflowArn"]}
        ask(service, operation, re.sub("BUS|WORKFLOW", lambda name: names[name[0]], body))
    for arn in engine.executions():
        engine.wait_for(arn)
    table: Any = dynamodb_backends[engine.account_id][REGION].tables["PaymentLedger"].items
    before = {key.value: repr(item.attrs) for key, item in table.items()}
    file = written(engine, tmp_path)
    engine.clear()
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(4300)  # as in the next process, before its engine lifts the limit
    request.addfinalizer(lambda: sys.set_int_max_str_digits(limit))
    state = again(tmp_path)
    sys.set_int_max_str_digits(limit)
    engine.restore(state)
    assert {key.value: repr(item.attrs) for key, item in table.items()} == before
    assert "other" in {one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"]}
    (tmp_path / "again").mkdir(mode=0o700)
    assert json.loads(written(engine, tmp_path / "again").read_bytes())["Events"] == state.kept["Events"]
    assert file.exists()


@pytest.mark.parametrize("levels", [300])
def test_a_thing_that_is_nested_too_deeply_is_named_once_and_the_rest_is_kept(
    engine: Engine, tmp_path: Path, levels: int
) -> None:
    """Reading it would exhaust Python's stack, and AWS would not have accepted it."""
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
    state.write(engine.snapshot)
    state.write(engine.snapshot)
    assert notes == [f"{state.file}: the payment odd is left out (it is nested too deeply)"]
    assert json.loads(state.file.read_bytes())["Items"] == [{"TransactionID": {"S": "other"}}]


def test_a_thing_that_cannot_be_restored_is_named_and_the_rest_is_restored(engine: Engine, tmp_path: Path) -> None:
    """An older state may hold a thing that moto no longer accepts."""
    items = [{"TransactionID": {"S": "odd"}, "Odd": {}}, {"TransactionID": {"S": "other"}}]
    (tmp_path / FILE).write_text(json.dumps({**KEPT, "Items": items, "Secrets": {"": "s", "other": "s"}}))
    notes: list[str] = []
    engine.restore(State(tmp_path, notes.append))
    assert [item["TransactionID"]["S"] for item in engine.items()] == ["other"]
    assert [one["Name"] for one in engine.client("secretsmanager").list_secrets()["SecretList"]] == ["other"]
    assert [note.partition(": the ")[2].partition(" is left out")[0] for note in notes] == ["payment odd", "secret "]


def test_an_execution_of_another_workflow_is_an_error(engine: Engine, tmp_path: Path) -> None:
    """Callers ask for an execution by its ARN. With another workflow's ARN, their calls would fail later."""
    (tmp_path / FILE).write_text(json.dumps({**KEPT, "Executions": [{**ENDED, "execution_arn": "nonsense"}]}))
    with pytest.raises(StateError, match="holds no state of this version"):
        engine.restore(State(tmp_path))
    assert engine.executions() == []


def test_the_state_is_written_between_calls(engine: Engine, tmp_path: Path) -> None:
    """A call that came during the write would change the data that is being read. That once ended the server."""
    state, done = State(tmp_path), threading.Event()

    def write() -> None:
        state.write(engine.snapshot)
        done.set()

    with engine.between_calls:
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert done.is_set()


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, RecursionError, KeyError])
def test_a_state_that_cannot_be_written_is_an_error_in_one_line(
    engine: Engine, tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ledger serve` prints this line and continues. Any other error would end it."""

    def published(_: Engine) -> Any:
        raise error

    monkeypatch.setattr(Engine, "published", published)
    with pytest.raises(StateError, match=rf"ledger\.json: cannot be written \({error.__name__}\)"):
        State(tmp_path).write(engine.snapshot)


def test_two_engines_do_not_share_a_folder(tmp_path: Path) -> None:
    """Each engine would overwrite everything that the other one has written."""
    first = State(tmp_path)
    with pytest.raises(StateError, match="another `ledger serve` uses it"):
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
    "not JSON": "{",
    "an array": "[]",
    "a number": "7",
    "another version": json.dumps({**KEPT, "Version": 0}),
    "words": "null and void",
    "bytes": "\xff",
    "a missing section": json.dumps({"Version": 2}),
    "brackets": "[" * 200_000,
    "a deep state": json.dumps({**KEPT, "Items": "x"}).replace('"x"', "[" * 5000 + "]" * 5000),
    "a huge number": '{"Version": ' + "9" * 5000 + "}",
    "not a time": json.dumps({**KEPT, "Items": [{"$timem": "yesterday"}]}),
    "a time of another type": json.dumps({**KEPT, "Items": [{"$timem": 7}]}),
    "not bytes": json.dumps({**KEPT, "Items": [{"$bytesm": "A"}]}),
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
    "an execution with another attribute": json.dumps({**KEPT, "Executions": [{**ENDED, "to_history_output": "x"}]}),
    "an execution without a start": json.dumps({**KEPT, "Executions": [{**ENDED, "start_date": "today"}]}),
    "a history of another type": json.dumps({**KEPT, "Executions": [{**ENDED, "history": [7]}]}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_state_that_cannot_be_read_is_an_error_in_one_line(tmp_path: Path, content: Any) -> None:
    """The file must stay as it is, since somebody may want it."""
    (tmp_path / FILE).write_text(content, encoding="latin-1")
    with pytest.raises(
        StateError, match="holds no state of this version: move it away, or choose another with --state"
    ):
        State(tmp_path)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == content


def test_a_file_in_the_place_of_the_folder_is_an_error_in_one_line(tmp_path: Path) -> None:
    """The person who gave the wrong path must see why, and no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file: file exists"):
        State(tmp_path / "file")
    with pytest.raises(StateError, match="not a directory"):
        State(tmp_path / "file/below")
