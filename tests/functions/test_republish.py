"""The sweep publishes every recorded payment, whatever the outcome of its execution."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from ledger.fields import MAX_METADATA_PAIRS
from ledger.item import SHARDS, shard_of
from ledger.publication import MAX_BYTES, put_outcomes
from ledger.timestamps import utc_timestamp
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.faults import Faults

PERSIST = json.loads((ROOT / "events/functions/persist_payment_ledger.json").read_text())
SWEEP = json.loads((ROOT / "events/functions/republish_outcomes.json").read_text())
NOW = datetime.fromisoformat(SWEEP["ScheduledTime"])
AFTER = timedelta(minutes=5)


def overlooked(engine: Engine, transaction_id: str = "txn-1", recorded_at: str = PERSIST["StartTime"]) -> None:
    """Return a payment that is recorded and not published: its execution was stopped."""
    payment = {**PERSIST["Payment"], "TransactionID": transaction_id}
    engine.functions["PersistPaymentLedger"].invoke(
        json.dumps({**PERSIST, "Payment": payment, "StartTime": recorded_at}).encode()
    )


def sweep(engine: Engine) -> Any:
    """Return the reply of a sweep."""
    return json.loads(engine.functions["RepublishOutcomes"].invoke(json.dumps(SWEEP).encode())[0])


def published_ids(engine: Engine) -> list[str]:
    """Return the payments that were published, in order."""
    return [event["detail"]["TransactionID"] for event in engine.published()]


def test_an_overlooked_payment_is_published_and_marked(engine: Engine) -> None:
    """A recorded payment is published at least once, even if an operator stopped its execution before that."""
    overlooked(engine)
    assert sweep(engine) == {"Found": 1, "Published": 1, "OverdueSeconds": 1498.0, "Done": True}
    (item,) = engine.items()
    assert item["PublishedAt"] == {"S": "2026-11-23T09:00:00.000000Z"}
    assert "Unpublished" not in item
    assert sweep(engine) == {"Found": 0, "Published": 0, "OverdueSeconds": 0.0, "Done": True}
    assert published_ids(engine) == ["txn-1"]


def test_the_event_is_the_one_that_the_execution_owed(engine: Engine, payment: dict[str, Any], faults: Faults) -> None:
    """A consumer that gets both events drops one by its OutcomeID, and loses nothing by it."""
    payment["Amount"] = "10.50"
    faults.refuse("UpdateItem", "ResourceNotFoundException")
    assert engine.run(json.dumps(payment), "failed-after-publishing").status == "FAILED"
    shifted = {"ScheduledTime": engine.items()[0]["RecordedAt"]["S"].replace("2026", "2027")}
    reply, _ = engine.functions["RepublishOutcomes"].invoke(json.dumps(shifted).encode())
    assert json.loads(reply)["Published"] == 1
    by_execution, by_sweep = engine.published()
    for name in ("detail-type", "source", "resources", "detail"):
        assert by_execution[name] == by_sweep[name]


@pytest.mark.parametrize(
    ("age", "found"), [(AFTER - timedelta(seconds=1), 0), (AFTER, 0), (AFTER + timedelta(seconds=1), 1)]
)
def test_a_payment_is_given_time_first(engine: Engine, age: timedelta, found: int) -> None:
    """The payment's own execution will probably publish it soon."""
    overlooked(engine, recorded_at=utc_timestamp((NOW - age).isoformat()))
    assert sweep(engine)["Found"] == found


def test_a_backlog_is_paged_through(engine: Engine) -> None:
    """An outage leaves thousands of payments. The sweep finds each, whatever its shard and page."""
    ids = [f"txn-{n}" for n in range(120)]
    assert {shard_of(transaction_id) for transaction_id in ids} == set(range(SHARDS))
    for transaction_id in ids:
        overlooked(engine, transaction_id)
    assert sweep(engine)["Published"] == len(ids)
    assert sorted(published_ids(engine)) == sorted(ids)
    assert not [item for item in engine.items() if "Unpublished" in item]


def test_an_event_that_is_not_accepted_does_not_delay_the_others(engine: Engine, faults: Faults) -> None:
    """A payment that the bus does not accept must not delay the payments after it."""
    first, second = [f"txn-{n}" for n in range(60) if shard_of(f"txn-{n}") == 0][:2]
    overlooked(engine, first, "2026-11-23T08:00:00Z")
    overlooked(engine, second, "2026-11-23T08:00:01Z")
    entries = [{"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "x"}, {"EventId": "1"}]
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": entries})
    ended = sweep(engine)
    assert (ended["Found"], ended["Published"]) == (2, 1)
    assert [item["TransactionID"]["S"] for item in engine.items() if "Unpublished" in item] == [first]
    assert "NotAuthorizedForSourceException" in engine.logs()


def test_it_stops_cleanly_before_its_time_is_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Lambda ended the sweep in the middle, no log would say so. The next sweep does the rest."""
    for n in range(30):
        overlooked(engine, f"txn-{n}")
    function = engine.functions["RepublishOutcomes"]
    module = function.module
    left = iter([60_000] * 12)
    monkeypatch.setattr(module.Sweep, "has_time", lambda _: next(left, 0) > module.LAST_CALL_MS)
    ended = sweep(engine)
    assert not ended["Done"]
    assert 0 < ended["Published"] < 30
    monkeypatch.undo()
    assert sweep(engine)["Done"]
    assert set(published_ids(engine)) == {f"txn-{n}" for n in range(30)}


def test_no_time_means_no_call(engine: Engine, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cut off may have taken effect, and no log would say so."""
    overlooked(engine)
    faults.calls.clear()
    monkeypatch.setattr(engine.functions["RepublishOutcomes"], "timeout_s", 5)
    assert sweep(engine) == {"Found": 0, "Published": 0, "OverdueSeconds": 0.0, "Done": False}
    assert not faults.calls


@pytest.mark.parametrize("operation", ["Query", "PutEvents", "UpdateItem"])
def test_an_error_of_aws_is_seen_and_the_next_sweep_goes_on(engine: Engine, faults: Faults, operation: str) -> None:
    """The sweep fails where operators look, and reports nevertheless what it had found."""
    overlooked(engine)
    faults.refuse(operation, "AccessDeniedException")
    assert sweep(engine)["errorType"] in {"ClientError", "AccessDeniedException"}
    assert '"UnpublishedOverdue"' in engine.logs()
    assert sweep(engine)["Done"]
    assert set(published_ids(engine)) == {"txn-1"}


def test_the_backlog_is_counted(engine: Engine) -> None:
    """Alarms on age and number read these metrics.

    If they are missing, the sweep does not run: that is an alarm too.
    """
    overlooked(engine)
    sweep(engine)
    sweep(engine)
    values: dict[str, list[float]] = {}
    for line in engine.logs().splitlines():
        if '"_aws"' in line:
            emf = json.loads(line)
            for directive in emf["_aws"]["CloudWatchMetrics"]:
                for metric in directive["Metrics"]:
                    if directive["Dimensions"] == [["service"]]:
                        values.setdefault(metric["Name"], []).extend(emf[metric["Name"]])
    assert values == {
        "UnpublishedOutcomes": [1.0, 0.0],
        "UnpublishedOverdue": [1498.0, 0.0],
        "OutcomesHeldBack": [0.0, 0.0],
    }


DAMAGES = {
    "amount": ("SET Amount = :new", {":new": {"N": "4711"}}),
    "no fingerprint": ("REMOVE Fingerprint", None),
    "metadata": ("SET Metadata = :new", {":new": {"M": {"a": {"N": "1"}}}}),
    "no currency": ("REMOVE Currency", None),
    "time": ("SET RecordedAt = :new", {":new": {"S": "2026-11-23T08:00:00z"}}),
    "more metadata than an event may have": ("SET Metadata = :new", {":new": {"M": {"a": {"S": "x" * 300_000}}}}),
    "a longer execution than an event may have": ("SET Execution = :new", {":new": {"S": "x" * 300_000}}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_item_does_not_keep_the_others(engine: Engine, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged item is named, counted and alarmed. Everything behind it, in all shards, is published."""

    def put(client: Any, bus: str, outcomes: list[Any]) -> Any:  # moto's takes any size
        assert sum(len(json.dumps(outcome.as_entry(bus))) for outcome in outcomes) < MAX_BYTES + 4096
        return put_outcomes(client, bus, outcomes)

    monkeypatch.setattr(engine.functions["RepublishOutcomes"].module, "put_outcomes", put)
    ids = [f"txn-{n}" for n in range(40)]
    for n, transaction_id in enumerate(ids):
        overlooked(engine, transaction_id, f"2026-11-23T08:00:{n:02}Z")
    expression, values = DAMAGES[damage]
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-0"}},
        UpdateExpression=expression,
        **({"ExpressionAttributeValues": values} if values else {}),
    )
    for found, published in ((40, 39), (1, 0)):
        ended = sweep(engine)
        assert (ended["Found"], ended["Published"], ended["Done"]) == (found, published, True)
    assert sorted(published_ids(engine)) == sorted(ids[1:])
    held_back = [json.loads(line) for line in engine.logs().splitlines() if '"outcome held back"' in line]
    assert [line["transaction_id"] for line in held_back] == ["txn-0", "txn-0"]
    assert '"OutcomesHeldBack":[1.0]' in engine.logs().replace(" ", "")


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "ValidationException"])
def test_an_item_that_cannot_be_marked_does_not_keep_the_others(engine: Engine, faults: Faults, code: str) -> None:
    """The index may still have an item that was removed from the table."""
    for n in range(3):
        overlooked(engine, f"txn-{n}", f"2026-11-23T08:00:0{n}Z")
    faults.refuse("UpdateItem", code)
    ended = sweep(engine)
    assert (ended["Found"], ended["Published"], ended["Done"]) == (3, 2, True)
    assert '"not_marked"' in engine.logs()


def test_a_call_is_no_larger_than_the_bus_takes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten payments with all the metadata that the contract allows are more than a call may have."""
    metadata = {f"key-{n}": "\U0001f4b3" * 256 for n in range(MAX_METADATA_PAIRS)}
    first = [f"txn-{n}" for n in range(200) if shard_of(f"txn-{n}") == 0][:10]
    for transaction_id in first:
        payment = {**PERSIST["Payment"], "TransactionID": transaction_id, "Metadata": metadata}
        engine.functions["PersistPaymentLedger"].invoke(json.dumps({**PERSIST, "Payment": payment}).encode())
    module = engine.functions["RepublishOutcomes"].module
    calls: list[int] = []

    def put(client: Any, bus: str, outcomes: list[Any]) -> Any:
        calls.append(sum(len(o.as_entry("")["Detail"]) for o in outcomes))
        return put_outcomes(client, bus, outcomes)

    monkeypatch.setattr(module, "put_outcomes", put)
    assert sweep(engine)["Published"] == 10
    assert sum(calls) > MAX_BYTES
    assert max(calls) < MAX_BYTES


def test_a_missing_time_is_an_error(engine: Engine) -> None:
    """A schedule without its time must not be mistaken for one that ran long ago."""
    reply, raised = engine.functions["RepublishOutcomes"].invoke(b"{}")
    assert (raised, json.loads(reply)["errorType"]) == (True, "KeyError")
