"""The watch: an alarm for changes that the ledger never makes, and none for its own changes."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.dynamodb.models import dynamodb_backends

from ledger.item import ATTRIBUTES, EncryptedPayment, shard_of
from ledger.payment import Payment
from ledger_cli import REGION, ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.account import ACCOUNT_ID
from ledger_cli.samples import register_sample_processors
from tests.support.faults import Faults
from tools import sample_requests

PROTECTION = (ROOT / "events/functions/watch_ledger-protection.json").read_bytes()
ITEMS = (ROOT / "events/functions/watch_ledger-items.json").read_bytes()


@pytest.fixture(autouse=True)
def _stream(engine: Engine) -> Iterator[None]:
    """Add a stream to the table, which the engine leaves out."""
    table = table_of(engine)
    table.set_stream_specification({"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    yield
    table.set_stream_specification(None)
    table.stream_shard = None


def table_of(engine: Engine) -> Any:
    """Return moto's table."""
    return dynamodb_backends[ACCOUNT_ID][REGION].tables[engine.outputs["TableName"]]


def watched(engine: Engine) -> int:
    """Hand the new records of the table's stream to the watch, and return how many changes it found."""
    stream = table_of(engine).stream_shard.items
    records = [record.to_json() for record in stream]
    stream.clear()
    reply, raised = engine.functions["WatchLedger"].invoke(json.dumps({"Records": records}, default=str).encode())
    assert not raised
    return int(json.loads(reply)["Found"])


def log_of(engine: Engine) -> list[dict[str, Any]]:
    """Return the log lines of the watch that are not metrics."""
    lines = "".join(engine.functions["WatchLedger"].logs).splitlines()
    return [line for line in map(json.loads, lines) if "message" in line]


def test_nothing_that_the_ledger_does_is_found(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """If the ledger's own work raised the alarm, operators would soon ignore it."""
    for start_input in (payment, payment, {**payment, "Amount": "1"}, {**payment, "Amount": "x"}):
        assert engine.run(json.dumps(start_input)).outcome
    # The sweep publishes this payment, because its own execution failed after the write.
    faults.refuse("PutEvents", "ResourceNotFoundException")
    overlooked = {**payment, "TransactionID": "overlooked"}
    assert engine.run(json.dumps(overlooked)).status == "FAILED"
    sweep = {"ScheduledTime": "2100-01-01T00:00:00Z"}
    assert json.loads(engine.functions["RepublishOutcomes"].invoke(json.dumps(sweep).encode())[0])["Published"] == 1
    register_sample_processors(engine)
    posted = json.dumps(sample_requests.event_of("acme-pay")).encode()
    name = json.loads(json.loads(engine.functions["ReceivePayment"].invoke(posted)[0])["body"])["Execution"]
    engine.wait_for(f"{engine.outputs['WorkflowArn'].replace(':stateMachine:', ':execution:')}:{name}")
    assert len(engine.items()) == 3
    assert all("PublishedAt" in item for item in engine.items())
    assert watched(engine) == 0
    assert log_of(engine) == []


def put(**changes: Any) -> Any:
    """Replace the item by one with these changes; None removes an attribute."""

    def attack(table: Any, item: dict[str, Any]) -> None:
        merged = {name: value for name, value in {**item, **changes}.items() if value is not None}
        table.client.put_item(TableName=table.name, Item=merged)

    return attack


def update(expression: str, key: str | None = None, **values: Any) -> Any:
    """Update the item, or the one under another ID, past the policies."""

    def attack(table: Any, item: dict[str, Any]) -> None:
        given = {f":{name}": value for name, value in values.items()}
        table.client.update_item(
            TableName=table.name,
            Key={"TransactionID": {"S": key} if key else item["TransactionID"]},
            UpdateExpression=expression,
            **({"ExpressionAttributeValues": given} if given else {}),
        )

    return attack


def delete(table: Any, item: dict[str, Any]) -> None:
    """Delete the item."""
    table.client.delete_item(TableName=table.name, Key={"TransactionID": item["TransactionID"]})


class Table:
    """Return the ledger's table without its protection."""

    def __init__(self, engine: Engine) -> None:
        self.client = engine.client("dynamodb")
        self.name = engine.outputs["TableName"]


OTHER_SHARD = {"S": f"{(shard_of('txn-2') + 1) % 8}"}
KEYS = {"TransactionID": {"S": "txn-1"}}
AT = {"S": "2026-11-23T09:00:00.000000Z"}

ATTACKS = {
    "deleted": (delete, "removed", []),
    "amount changed": (update("SET Amount = :a", a={"N": "1"}), "replaced", ["Amount"]),
    "replaced by another payment": (
        put(Amount={"N": "1"}, Fingerprint={"S": "0" * 64}), "replaced", ["Amount", "Fingerprint"]
    ),
    "token replaced": (put(SecureToken={"B": b"another"}), "replaced", ["SecureToken"]),
    "attribute added": (put(Note={"S": "x"}), "replaced", ["Note"]),
    "marker put back": (
        update("SET Unpublished = :u REMOVE PublishedAt", u={"S": "1"}), "replaced", ["PublishedAt", "Unpublished"]
    ),
    "marker moved on": (update("SET PublishedAt = :p", p=AT), "replaced", ["PublishedAt"]),
    "shard of the sweep changed": (update("SET Unpublished = :u", u={"S": "99"}), "replaced", ["Unpublished"]),
    "a free ID taken": (
        update("SET PublishedAt = :p", key="txn-2", p=AT), "added",
        sorted(ATTRIBUTES - {"TransactionID"} | {"Unpublished", "Unsealed"}),
    ),
    "added where no sweep looks": (
        put(TransactionID={"S": "txn-1"}, PublishedAt=None, Unpublished={"S": "99"}), "replaced",
        ["PublishedAt", "Unpublished"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_goes_past_the_ledger_is_found(engine: Engine, payment: dict[str, Any], attack: str) -> None:
    """A PutItem that replaces an item looks to every policy like one that adds an item."""
    assert engine.run(json.dumps(payment | {"TransactionID": "txn-1"})).outcome == "RECORDED"
    assert watched(engine) == 0
    (item,) = engine.items()
    act, change, attributes = ATTACKS[attack]
    act(Table(engine), item)
    assert watched(engine) > 0  # moto adds an item that an update makes, and then changes it
    line = log_of(engine)[0]
    assert (line["message"], line["change"], line["attributes"]) == ("item changed", change, attributes)
    assert line["level"] == "ERROR"
    assert '"ItemChanged"' in "".join(engine.functions["WatchLedger"].logs)


FORGED = {
    "marked as published": ({"PublishedAt": AT}, ["PublishedAt"]),
    "with a note": ({"Note": {"S": "x"}}, ["Note"]),
    "without a key": ({"TokenKey": None}, ["TokenKey"]),
    "under no key": ({"TokenKey": {"S": "mine"}}, ["TokenKey"]),
    "where no sweep looks": ({"Unpublished": OTHER_SHARD}, ["Unpublished"]),
    "where no list looks": ({"ProcessorShard": {"S": "acme-pay#9"}}, ["ProcessorShard"]),
    "without a token": ({"SecureToken": None}, ["SecureToken"]),
    "of another amount": ({"Amount": {"N": "7"}}, ["Fingerprint"]),
    "without an execution": ({"Execution": {"S": ""}}, ["Execution"]),
    "of no execution": ({"Execution": {"S": "by hand"}}, ["Execution"]),
}


@pytest.mark.parametrize("forged", FORGED)
def test_an_item_that_the_ledger_would_not_write_is_found(
    engine: Engine, payment: dict[str, Any], faults: Faults, forged: str
) -> None:
    """An item that was added by hand is a payment that is never published, or that nobody can read."""
    faults.refuse("PutEvents", "ResourceNotFoundException")
    assert engine.run(json.dumps(payment | {"TransactionID": "txn-2"})).status == "FAILED"
    (item,) = engine.items()
    changes, attributes = FORGED[forged]
    table = Table(engine)
    delete(table, item)
    watched(engine)
    engine.functions["WatchLedger"].logs.clear()
    put(**changes)(table, item)
    assert watched(engine) == 1
    (line,) = log_of(engine)
    assert (line["change"], line["attributes"]) == ("added", attributes)


def marked(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the images of an item before and after its marking.

    *changes* are those of the second image; None removes an attribute.
    """
    payment = Payment("txn-1", "1.00", "EUR", "acme-pay", "Success", "2026-11-23T08:30:00.000000Z", {"k": "v"})
    before = EncryptedPayment(payment, b"", "arn:aws:kms:key", "arn:aws:states:execution", AT["S"]).as_item()
    before["SecureToken"] = {"B": "Y2lwaGVydGV4dA=="}
    after = {**before, "PublishedAt": AT, "Unpublished": None, **changes}
    return before, {name: value for name, value in after.items() if value is not None}


MARKED = {
    "as the ledger marks": ({}, None),
    "at no time": ({"PublishedAt": {"S": "now"}}, ("marked", ["PublishedAt"])),
    "and left unpublished": ({"Unpublished": {"S": f"{shard_of('txn-1')}"}}, ("replaced", ["PublishedAt"])),
    "with an empty token": ({"SecureToken": {"B": ""}}, ("replaced", ["PublishedAt", "SecureToken", "Unpublished"])),
    "and changed": ({"Amount": {"N": "2"}}, ("replaced", ["Amount", "PublishedAt", "Unpublished"])),
}


@pytest.mark.parametrize("case", MARKED)
def test_a_marking_is_judged(engine: Engine, case: str) -> None:
    """Publish and the sweep mark each item once, and change nothing else of it."""
    changes, expected = MARKED[case]
    before, after = marked(**changes)
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    found = unexpected("MODIFY", {"Keys": KEYS, "OldImage": before, "NewImage": after})
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "attributes"),
    [({"SecureToken": {"B": ""}}, ["SecureToken"]), ({"Metadata": {"M": {"k": {"S": "v", "N": "1"}}}}, ["Metadata"])],
    ids=["an empty token", "metadata of two types"],
)
def test_values_that_the_ledger_does_not_write_are_found(
    engine: Engine, changes: dict[str, Any], attributes: list[str]
) -> None:
    """DynamoDB accepts both values."""
    before, _ = marked()
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    assert unexpected("INSERT", {"Keys": KEYS, "NewImage": before}) is None
    assert unexpected("INSERT", {"Keys": KEYS, "NewImage": before | changes}) == ("added", attributes)


def test_a_second_marking_is_found(engine: Engine) -> None:
    """The first time must stay. A change of it hides when consumers got the payment."""
    _, once = marked()
    twice = {**once, "PublishedAt": {"S": "2026-11-24T09:00:00.000000Z"}}
    again = {**once, "Unpublished": {"S": "4"}}
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    assert unexpected("MODIFY", {"Keys": KEYS, "OldImage": once, "NewImage": twice}) == ("replaced", ["PublishedAt"])
    assert unexpected("MODIFY", {"Keys": KEYS, "OldImage": again, "NewImage": twice}) == (
        "replaced",
        ["PublishedAt", "Unpublished"],
    )


def test_a_damaged_item_is_found_when_it_is_marked(engine: Engine) -> None:
    """The item was added in the time of an earlier version, or while the watch was off."""
    before, after = marked()
    for image in (before, after):
        image["Amount"] = {"N": "7"}
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    assert unexpected("MODIFY", {"Keys": KEYS, "OldImage": before, "NewImage": after}) == ("marked", ["Fingerprint"])


QUIET_ITEM = ROOT / "tests/items/2-imported-quiet.json"


@pytest.mark.parametrize(
    "file", sorted({*(ROOT / "tests/items").glob("*.json")} - {QUIET_ITEM}), ids=lambda file: file.stem
)
def test_items_of_every_version_are_known(engine: Engine, file: Path) -> None:
    """An item that an earlier version wrote is no alarm when it is marked."""
    item = json.loads(file.read_text())["Item"]
    assert item.keys() - {"PublishedAt", "Unpublished", "Seal", "Unsealed"} == ATTRIBUTES
    new = {name: value for name, value in item.items() if name != "Unpublished"} | {"PublishedAt": AT}
    old = {name: value for name, value in item.items() if name != "PublishedAt"} | {"Unpublished": {"S": "0"}}
    assert (
        engine.functions["WatchLedger"].module.unexpected_change(
            "MODIFY", {"Keys": KEYS, "OldImage": old, "NewImage": new}
        )
        is None
    )


def test_imports_are_found_by_nobody(engine: Engine, payment: dict[str, Any], refund: dict[str, Any]) -> None:
    """The alarm must not ring for each of a million imported items."""
    tables = [dynamodb_backends[ACCOUNT_ID][REGION].tables[engine.outputs["EntriesTableName"]], table_of(engine)]
    tables[0].set_stream_specification({"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    for form in ("quiet", "published"):
        ids = {"TransactionID": f"txn-{form}", "Import": form}
        assert engine.run(json.dumps(payment | ids)).outcome == "RECORDED"
        assert engine.run(json.dumps(refund | ids)).outcome == "RECORDED"
    records = [record.to_json() for table in tables for record in table.stream_shard.items]
    tables[0].set_stream_specification(None)
    tables[0].stream_shard = None
    assert len(records) == 6  # each item is added, and each of the published form is marked
    reply, _ = engine.functions["WatchLedger"].invoke(json.dumps({"Records": records}, default=str).encode())
    assert json.loads(reply) == {"Found": 0}


def quiet_payment() -> dict[str, Any]:
    """Return the item of a payment that was imported quietly."""
    item: dict[str, Any] = json.loads(QUIET_ITEM.read_text())["Item"]
    return {**item, "Unsealed": {"S": f"{shard_of('txn-2026-0001')}"}}


def quiet_entry() -> dict[str, Any]:
    """Return the item of an entry that was imported quietly."""
    _, recorded = sample_requests.recorded_entry()
    return recorded._replace(entry=recorded.entry._replace(imported="quiet")).as_item()


@pytest.mark.parametrize("item", [quiet_payment(), quiet_entry()], ids=["payment", "entry"])
def test_a_quiet_import_has_no_publication_marker_and_gets_none(engine: Engine, item: dict[str, Any]) -> None:
    """A person who marks one by hand makes the sweep publish history, or hides that it was never published."""
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    keys = {name: item[name] for name in ("TransactionID", "Entry") if name in item}
    waiting, marked = {"Unpublished": {"S": f"{shard_of('txn-2026-0001')}"}}, {"PublishedAt": AT}
    assert unexpected("INSERT", {"Keys": keys, "NewImage": item}) is None
    for marker in (waiting, marked):
        (name,) = marker
        assert unexpected("INSERT", {"Keys": keys, "NewImage": item | marker}) == ("added", [name])
        assert unexpected("MODIFY", {"Keys": keys, "OldImage": item, "NewImage": item | marker}) == ("replaced", [name])
    images = {"OldImage": item | waiting, "NewImage": item | marked}
    assert unexpected("MODIFY", {"Keys": keys, **images}) == ("marked", ["PublishedAt"])


def test_an_item_that_lost_its_marker_is_not_taken_for_an_import(engine: Engine) -> None:
    """Nothing would ever publish it."""
    before, _ = marked()
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    lost = {name: value for name, value in before.items() if name != "Unpublished"}
    assert unexpected("INSERT", {"Keys": KEYS, "NewImage": lost}) == ("added", ["Unpublished"])
    loud = lost | {"Metadata": {"M": {"ledger:import": {"S": "loud"}}}, "Unpublished": before["Unpublished"]}
    assert unexpected("INSERT", {"Keys": KEYS, "NewImage": loud}) == ("added", ["Metadata"])
    _, recorded = sample_requests.recorded_entry()
    entry = recorded.as_item() | {"Import": {"S": "loud"}}
    keys = {name: entry[name] for name in ("TransactionID", "Entry")}
    assert unexpected("INSERT", {"Keys": keys, "NewImage": entry}) == ("added", ["Import"])


def test_no_value_is_in_the_log(engine: Engine, payment: dict[str, Any]) -> None:
    """If the ledger did not write an item, any text may stand in it, also as its ID."""
    assert engine.run(json.dumps(payment | {"TransactionID": "txn-1"})).outcome == "RECORDED"
    hostile = "secret value\x1b[31m"
    (item,) = engine.items()
    put(TransactionID={"S": hostile}, Metadata={"M": {"k": {"S": hostile}}})(Table(engine), item)
    put(**{hostile: {"S": hostile}})(Table(engine), item)
    assert watched(engine) == 2
    assert "secret value" not in "".join(engine.functions["WatchLedger"].logs)
    added, replaced = log_of(engine)
    assert "transaction_id" not in added
    assert added["stream_event_id"]
    assert replaced["attributes"] == ["another"]


def test_a_call_that_weakens_the_ledgers_protection_is_reported(engine: Engine) -> None:
    """Scheduling the deletion of a key leaves at least seven days, also to those who get the alarm."""
    reply, raised = engine.functions["WatchLedger"].invoke(PROTECTION)
    assert (json.loads(reply), raised) == ({"Found": 1}, False)
    (line,) = log_of(engine)
    assert line["message"] == "protection changed"
    assert line["call"] == "ScheduleKeyDeletion"
    assert line["caller"] == "arn:aws:sts::123456789012:assumed-role/Admin/somebody"
    assert line["cloudtrail_event_id"] == json.loads(PROTECTION)["detail"]["eventID"]
    assert '"ProtectionChanged"' in "".join(engine.functions["WatchLedger"].logs)


def test_the_sample_is_a_replaced_item(engine: Engine) -> None:
    """The sample shows the purpose of the watch."""
    reply, _ = engine.functions["WatchLedger"].invoke(ITEMS)
    assert json.loads(reply) == {"Found": 1}
    (line,) = log_of(engine)
    assert (line["transaction_id"], line["change"], line["attributes"]) == ("txn-2026-0001", "replaced", ["Amount"])


def seal_images(engine: Engine) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the key of a seal, and its images before and after it was finished, as a stream has them."""
    engine.run((ROOT / "events/start/01-success.json").read_text())
    engine.functions["SealLedger"].invoke(b'{"ScheduledTime": "2100-01-01T00:00:00Z"}')
    (item,) = engine.seals()
    after = {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()
    }
    before = {name: value for name, value in after.items() if name not in {"Note", "VerifierKey"}}
    return {name: item[name] for name in ("Log", "Seal")}, before, after


def test_the_seals_are_watched(engine: Engine) -> None:
    """A seal that is removed, changed or added by others would break the proof of all records behind it."""
    keys, before, after = seal_images(engine)
    unexpected = engine.functions["WatchLedger"].module.unexpected_change

    def modified(old: dict[str, Any], new: dict[str, Any]) -> Any:
        return unexpected("MODIFY", {"Keys": keys, "OldImage": old, "NewImage": new})

    assert unexpected("INSERT", {"Keys": keys, "NewImage": before}) is None
    assert modified(before, after) is None
    assert unexpected("REMOVE", {"Keys": keys, "OldImage": after}) == ("removed", [])
    assert unexpected("INSERT", {"Keys": keys, "NewImage": after}) == ("added", ["Note", "VerifierKey"])
    assert modified(after, {**after, "Note": {"S": "another"}}) == ("replaced", ["Note"])
    assert modified(after, before) == ("replaced", ["Note", "VerifierKey"])
    assert modified(before, {**after, "Extra": {"S": "x"}}) == ("replaced", ["Extra", "Note", "VerifierKey"])
    damaged = {"Root": {"B": base64.b64encode(bytes(32)).decode()}}
    assert unexpected("INSERT", {"Keys": keys, "NewImage": before | damaged}) == ("added", ["Root"])
    assert modified(before | damaged, after | damaged) == ("marked", ["Root"])
    assert unexpected("INSERT", {"Keys": keys, "NewImage": before | {"Extra": {"S": "x"}}}) == ("added", ["Extra"])


def test_a_changed_seal_is_reported_by_its_number(engine: Engine) -> None:
    """The operator looks at that seal, and runs `ledger verify`."""
    keys, _, after = seal_images(engine)
    images = {"Keys": keys, "OldImage": after, "NewImage": {**after, "Size": {"N": "7"}}}
    record = {"eventName": "MODIFY", "eventID": "1", "dynamodb": images}
    reply, _ = engine.functions["WatchLedger"].invoke(json.dumps({"Records": [record]}).encode())
    assert json.loads(reply) == {"Found": 1}
    (line,) = log_of(engine)
    assert (line["seal"], line["change"], line["attributes"]) == ("1", "replaced", ["Size"])


SEALED = {
    "as the sealer marks": ({}, None),
    "and still unsealed": ({"Unsealed": {"S": f"{shard_of('txn-1')}"}}, ("marked", ["Unsealed"])),
    "under no number": ({"Seal": {"N": "1.5"}}, ("marked", ["Seal"])),
    "and changed": ({"Amount": {"N": "2"}}, ("replaced", ["Amount", "Seal", "Unsealed"])),
    "and published": (
        {"PublishedAt": AT, "Unpublished": None},
        ("replaced", ["PublishedAt", "Seal", "Unpublished", "Unsealed"]),
    ),
}


@pytest.mark.parametrize("case", SEALED)
def test_a_mark_of_a_seal_is_judged(engine: Engine, case: str) -> None:
    """The sealer moves its own marker, once, and changes nothing else."""
    changes, expected = SEALED[case]
    before, _ = marked()
    after = {**before, "Seal": {"N": "3"}, "Unsealed": None, **changes}
    after = {name: value for name, value in after.items() if value is not None}
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    found = unexpected("MODIFY", {"Keys": KEYS, "OldImage": before, "NewImage": after})
    assert found == expected


def test_an_older_record_gets_the_number_of_its_seal(engine: Engine) -> None:
    """It has no marker that could leave. A second number is found."""
    before, _ = marked()
    old = {name: value for name, value in before.items() if name != "Unsealed"}
    unexpected = engine.functions["WatchLedger"].module.unexpected_change
    sealed = old | {"Seal": {"N": "3"}}
    assert unexpected("MODIFY", {"Keys": KEYS, "OldImage": old, "NewImage": sealed}) is None
    again = {"OldImage": sealed, "NewImage": old | {"Seal": {"N": "4"}}}
    assert unexpected("MODIFY", {"Keys": KEYS, **again}) == ("replaced", ["Seal"])
    assert unexpected("MODIFY", {"Keys": KEYS, "OldImage": sealed, "NewImage": old}) == ("replaced", ["Seal"])
