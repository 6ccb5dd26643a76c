"""Entries through the real workflow: recorded once and in order, published once, refused where they do not add up."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from ledger.intake import TooManyAttemptsError, execution_prefix
from ledger.item import SHARDS, shard_of
from ledger.violations import InvalidEntryError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.http_api import Request
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.execution import Execution
from ledger_cli.stack.webhook import signed
from tests.support.faults import Faults
from tests.support.functions import invoke, log_lines
from tests.support.intake import intake_of

AT_ONCE = int(os.environ.get("REFUNDS_AT_ONCE", "30"))  # `make simulate` delivers a hundred
JOIN_S = 240

Run = Callable[..., Execution]


@pytest.fixture
def run(engine: Engine, payment: dict[str, Any], refund: dict[str, Any]) -> Run:
    """Record the payment of 129.90, and return a function that delivers a refund of it, with changes."""
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"

    def deliver(**changes: Any) -> Execution:
        return engine.run(json.dumps({**refund, **changes}))

    return deliver


def events_of(engine: Engine, kind: str) -> list[dict[str, Any]]:
    """Return the details of the published events of one type."""
    return [event["detail"] for event in engine.published() if event["detail-type"] == kind]


def asked(engine: Engine, **query: Any) -> Any:
    """Return the answer of the query function."""
    return invoke(engine, "QueryPaymentLedger", query)


# ── Outcomes ────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_is_recorded_published_and_marked(engine: Engine, run: Run) -> None:
    """One write, one event that carries the totals, and the marker."""
    execution = run()
    assert (execution.outcome, execution.published and execution.published[0]) == ("RECORDED", "EntryRecorded")
    assert [state.name for state in execution.states] == ["Validate Entry", "Append Entry", "Publish Outcome"]
    (item,) = engine.entries()
    assert "Unpublished" not in item
    (detail,) = events_of(engine, "EntryRecorded")
    assert (detail["Entry"], detail["Execution"], detail["Fingerprint"]) == (1, execution.arn, item["Fingerprint"]["S"])
    assert detail["Totals"] == {
        "Captured": "129.90", "Refunded": "29.90", "Disputed": "0.00", "Refundable": "100.00", "AcceptedEntries": 0,
    }  # fmt: skip
    assert '"EntryRecorded"' in engine.logs()
    assert '"Kind":"Refunded"' in engine.logs().replace(" ", "")
    assert log_lines(engine, "outcome published")[-1]["entry_id"] == "re-2026-0001"


def test_the_payment_stays_as_it_was_written(engine: Engine, run: Run) -> None:
    """What happens to a payment later never changes its item."""
    before = engine.items()
    run()
    assert engine.items() == before


def test_a_twin_is_a_duplicate_that_names_the_first(engine: Engine, run: Run) -> None:
    """The second delivery of a refund moves no money."""
    first, second = run(), run(Metadata={"delivery": "2"})
    assert second.outcome == "DUPLICATE"
    (detail,) = events_of(engine, "EntryDuplicate")
    assert (detail["Execution"], detail["DuplicateExecution"]) == (first.arn, second.arn)
    assert len(engine.entries()) == 1


def test_another_entry_under_the_id_is_a_conflict(engine: Engine, run: Run) -> None:
    """The recorded entry stays, and a person decides."""
    run()
    conflict = run(Amount="30.00")
    assert (conflict.outcome, conflict.error) == ("CONFLICT", "EntryConflictError")
    assert conflict.cause == "differs from the recorded entry in: Amount"
    (detail,) = events_of(engine, "EntryConflict")
    assert detail["Differs"] == ["Amount"]
    assert "30.00" not in json.dumps(detail)


def test_what_does_not_add_up_is_refused_by_every_rule(engine: Engine, run: Run) -> None:
    """The sender and the operator see all of it at once."""
    refused = run(Amount="129.91", ProcessorID="other")
    assert (refused.outcome, refused.error) == ("REFUSED", "InvalidEntryError")
    assert refused.cause == "Amount: exceeds_captured; ProcessorID: processor"
    assert [state.name for state in refused.states][-2:] == ["Publish Refusal", "Refused"]
    (detail,) = events_of(engine, "EntryRefused")
    assert (detail["TransactionID"], detail["EntryID"]) == ("txn-2026-0001", "re-2026-0001")
    assert {violation["Rule"] for violation in detail["Violations"]} == {"exceeds_captured", "processor"}
    assert '"EntryRefused"' in engine.logs()
    assert engine.entries() == []


def test_an_entry_that_breaks_the_contract_reaches_no_table(engine: Engine, run: Run, faults: Faults) -> None:
    """Validate Entry calls nothing."""
    refused = run(Amount="1.001", Kind="refund", Reverse="x")
    assert refused.cause == "Amount: decimals; Kind: kind; Reverses: misspelled_field"
    assert {"Query", "GetItem", "PutItem"}.isdisjoint(faults.calls)


def test_refused_input_of_any_form_ends_in_a_refusal(engine: Engine, refund: dict[str, Any]) -> None:
    """Anybody who may start executions decides what their input is."""
    states, workflow = engine.client("stepfunctions"), engine.outputs["EntriesWorkflowArn"]
    hostile = {"Refused": {"Violations": [{"Field": "Amount", "Rule": "a secret"}]}}
    for number, start_input in enumerate(([], "x", 7, None, {}, hostile, {**refund, "Amount": 10**5000})):
        text = json.dumps(start_input) if not isinstance(start_input, dict) or "Amount" not in start_input else None
        if text is None:
            text = json.dumps({**refund, "Amount": 0}).replace("0,", "1" + "0" * 5000 + ",", 1)
        started = states.start_execution(stateMachineArn=workflow, name=f"hostile-{number}", input=text)
        assert engine.wait_for(started["executionArn"]).outcome == "REFUSED", start_input
    assert "a secret" not in json.dumps(engine.published())


# ── Order ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_waits_an_hour_for_its_payment(engine: Engine, refund: dict[str, Any], waits: list[float]) -> None:
    """A refund may overtake its payment. If the payment never comes, somebody must hear of it."""
    refused = engine.run(json.dumps(refund))
    assert (refused.outcome, refused.cause) == ("REFUSED", "TransactionID: unknown_payment")
    assert 3600 <= sum(waits) <= 4000
    assert len(events_of(engine, "EntryRefused")) == 1


def test_a_payment_that_comes_late_is_found(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any], waits: list[float]
) -> None:
    """The refund needs no second delivery."""
    engine.run(json.dumps(payment))
    table, (late,) = engine.outputs["TableName"], engine.items()
    dynamodb = engine.client("dynamodb")
    dynamodb.delete_item(TableName=table, Key={"TransactionID": late["TransactionID"]})
    append = engine.functions["AppendEntry"].module
    read_payment, reads = append.read_payment, iter(range(99))

    def read(*arguments: Any) -> Any:
        if next(reads) == 2:
            dynamodb.put_item(TableName=table, Item=late)
        return read_payment(*arguments)

    with patch.object(append, "read_payment", read):
        execution = engine.run(json.dumps(refund))
    assert (execution.outcome, waits) == ("RECORDED", [5, 10])
    assert events_of(engine, "EntryRefused") == []


def test_refunds_at_once_take_no_more_than_was_captured(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any]
) -> None:
    """A payment of 50.00 has room for fifty refunds of 1.00 out of a hundred, in whatever order they are written."""
    engine.run(json.dumps({**payment, "Amount": f"{AT_ONCE // 2}.00"}))
    outcomes: Counter[str | None] = Counter()

    def deliver(number: int) -> None:
        entry = {**refund, "EntryID": f"re-{number}", "Amount": "1.00"}
        outcomes[engine.run(json.dumps(entry), f"refund-{number}").outcome] += 1

    threads = [threading.Thread(target=deliver, args=[number]) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert outcomes == {"RECORDED": AT_ONCE // 2, "REFUSED": AT_ONCE // 2}
    answer = asked(engine, TransactionID="txn-2026-0001")
    assert [entry["Entry"] for entry in answer["Entries"]] == list(range(1, AT_ONCE // 2 + 1))
    assert (answer["Totals"]["Refunded"], answer["Totals"]["Refundable"]) == (f"{AT_ONCE // 2}.00", "0.00")


# ── Publication ─────────────────────────────────────────────────────────────────────────────────────


def overlooked(engine: Engine, refund: dict[str, Any], **changes: Any) -> None:
    """Append an entry whose execution is stopped before it publishes anything."""
    event: dict[str, Any] = {
        "Entry": {**refund, **changes},
        "Execution": "arn:stopped",
        "StartTime": "2026-11-24T10:00:00Z",
    }
    event["Entry"]["Timestamp"] = "2026-11-24T10:00:00.000000Z"
    assert invoke(engine, "AppendEntry", event)["Outcome"] == "RECORDED"


def sweep(engine: Engine) -> Any:
    """Run a sweep an hour later."""
    return invoke(engine, "RepublishOutcomes", {"ScheduledTime": "2026-11-24T11:00:00Z"})


@pytest.mark.usefixtures("run")
def test_a_duplicate_publishes_what_its_first_delivery_did_not(engine: Engine, refund: dict[str, Any]) -> None:
    """Nobody waits for a sweep if the processor sends again."""
    overlooked(engine, refund)
    assert engine.run(json.dumps(refund)).outcome == "DUPLICATE"
    assert [event["detail-type"] for event in engine.published()][1:] == ["EntryRecorded", "EntryDuplicate"]
    assert events_of(engine, "EntryRecorded")[0]["Execution"] == "arn:stopped"
    assert "Unpublished" not in engine.entries()[0]


@pytest.mark.usefixtures("run")
def test_the_sweep_publishes_entries_and_names_the_damaged_one(engine: Engine, refund: dict[str, Any]) -> None:
    """One bad entry holds up no other, and no payment."""
    for number in (1, 2):
        overlooked(engine, refund, EntryID=f"re-{number}", Amount="1.00")
    damaged, *_ = engine.entries()
    changed = {**damaged, "Amount": {"S": "2.00"}}
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=changed)
    assert sweep(engine) == {"Found": 2, "Published": 1, "OverdueSeconds": 3300.0, "Done": True}
    assert [detail["EntryID"] for detail in events_of(engine, "EntryRecorded")] == ["re-2"]
    (line,) = log_lines(engine, "outcome held back")
    assert (line["transaction_id"], line["entry"], line["named"]) == ("txn-2026-0001", 1, "Fingerprint")
    (line,) = log_lines(engine, "outcome republished")
    assert (line["transaction_id"], line["entry"]) == ("txn-2026-0001", 2)


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_is_read_with_its_entries_and_totals(engine: Engine, run: Run) -> None:
    """One answer says what happened to the payment, and what could still be refunded."""
    assert asked(engine, TransactionID="txn-2026-0001")["Totals"]["Refundable"] == "129.90"
    run()
    run(EntryID="dp-1", Kind="Disputed", Amount="100.00")
    answer = asked(engine, TransactionID="txn-2026-0001")
    assert [(entry["Entry"], entry["Kind"]) for entry in answer["Entries"]] == [(1, "Refunded"), (2, "Disputed")]
    assert answer["Entries"][0]["PublishedAt"] is not None
    assert answer["Totals"] == answer["Entries"][1]["Totals"]
    assert answer["Totals"]["Refundable"] == "0.00"
    assert "SecureToken" not in json.dumps(answer)


def test_a_damaged_entry_does_not_hide_the_payment(engine: Engine, run: Run) -> None:
    """The entries before it are shown, and no totals, since they would be wrong."""
    for number in (1, 2, 3):
        run(EntryID=f"re-{number}", Amount="1.00")
    item = {**engine.entries()[1], "Kind": {"S": "Disputed"}}
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=item)
    answer = asked(engine, TransactionID="txn-2026-0001")
    assert answer["Payment"]["Amount"] == "129.90"
    assert [entry["EntryID"] for entry in answer["Entries"]] == ["re-1"]
    assert answer["Totals"] is None
    assert answer["Unreadable"] == [{"TransactionID": "txn-2026-0001", "Entry": 2, "Attribute": "Fingerprint"}]
    (line,) = log_lines(engine, "item unreadable")
    assert (line["entry"], line["attribute"]) == (2, "Fingerprint")
    listed = asked(engine, Entries=True, ProcessorID="acme-pay")
    assert [entry["EntryID"] for entry in listed["Entries"]] == ["re-3", "re-1"]
    assert listed["Unreadable"] == answer["Unreadable"]
    # The chain must not grow on sand: the execution stays failed, for an operator.
    assert run(EntryID="re-4", Amount="1.00").error == "UnreadableItemError"


def test_entries_are_listed_across_payments(engine: Engine, run: Run, payment: dict[str, Any]) -> None:
    """A cursor continues behind the page, also among entries of one time and one payment."""
    engine.run(json.dumps({**payment, "TransactionID": "txn-2"}))
    for number in range(5):
        run(EntryID=f"re-{number}", Amount="1.00", Timestamp=f"2026-11-24T10:0{number // 2}:00Z")
    run(TransactionID="txn-2", EntryID="dp-1", Kind="Disputed", Amount="1.00", Timestamp="2026-11-24T12:00:00Z")
    seen, cursor = [], None
    while True:
        page = asked(engine, Entries=True, ProcessorID="acme-pay", Limit=2, Cursor=cursor)
        seen += [entry["EntryID"] for entry in page["Entries"]]
        cursor = page["Cursor"]
        if cursor is None:
            break
    assert sorted(seen) == ["dp-1", *(f"re-{number}" for number in range(5))]
    assert (seen[0], seen[1]) == ("dp-1", "re-4")
    assert [
        one["EntryID"] for one in asked(engine, Entries=True, ProcessorID="acme-pay", Kind="Disputed")["Entries"]
    ] == ["dp-1"]
    between = {"From": "2026-11-24T10:01:00Z", "To": "2026-11-24T10:02:00Z"}
    found = asked(engine, Entries=True, ProcessorID="acme-pay", **between)["Entries"]
    assert {one["EntryID"] for one in found} == {"re-2", "re-3"}
    assert asked(engine, Entries=True, ProcessorID="nobody")["Entries"] == []
    payments = asked(engine, ProcessorID="acme-pay", Limit=1)
    error = asked(engine, Entries=True, ProcessorID="acme-pay", Limit=1, Cursor=payments["Cursor"])
    assert json.loads(error["errorMessage"])["Violations"] == [{"Field": "Cursor", "Rule": "of_another_query"}]


@pytest.mark.parametrize("number", ["12345", "-1", "1.5", "0"])
def test_an_item_with_a_foreign_number_ends_no_list(engine: Engine, run: Run, number: str) -> None:
    """It is in another partition of the index, so each cursor names it."""
    for own in ("re-1", "re-2"):
        run(EntryID=own, Amount="1.00")
    last = engine.entries()[-1]
    shard = (int(last["ProcessorShard"]["S"].rpartition("#")[2]) + 1) % SHARDS
    foreign = {**last, "Entry": {"N": number}, "ProcessorShard": {"S": f"acme-pay#{shard}"}}
    foreign["Timestamp"] = {"S": "2026-12-01T00:00:00.000000Z"}
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=foreign)
    listed: list[Any] = []
    query = {"Entries": True, "ProcessorID": "acme-pay", "Limit": 1}
    page = asked(engine, **query)
    while page["Cursor"] is not None:
        listed += page["Entries"]
        page = asked(engine, **query, Cursor=page["Cursor"])
    assert sorted(entry["EntryID"] for entry in listed + page["Entries"]) == ["re-1", "re-2"]


@pytest.mark.usefixtures("run")
def test_unpublished_entries_are_listed_oldest_first(engine: Engine, refund: dict[str, Any]) -> None:
    """An operator sees what waits for the sweep."""
    overlooked(engine, refund)
    answer = asked(engine, Entries=True, Unpublished=True)
    assert [(entry["EntryID"], entry["PublishedAt"]) for entry in answer["Entries"]] == [("re-2026-0001", None)]
    assert asked(engine, Unpublished=True)["Payments"] == []


@pytest.mark.parametrize(
    ("query", "violation"),
    [
        ({"Entries": False, "ProcessorID": "x"}, ("Entries", "true")),
        ({"Entries": True, "ProcessorID": "x", "Kind": "refund"}, ("Kind", "kind")),
        ({"Entries": True, "ProcessorID": "x", "Status": "Success"}, ("Query", "unknown_field")),
        ({"ProcessorID": "x", "Kind": "Refunded"}, ("Query", "unknown_field")),
        ({"Entries": True, "TransactionID": "x"}, ("Query", "unknown_field")),
        ({"Entries": True, "Unpublished": True, "Kind": "Refunded"}, ("Query", "unknown_field")),
    ],
)
def test_a_wrong_query_is_answered_by_its_rule(engine: Engine, query: dict[str, Any], violation: Any) -> None:
    """A query that is understood in part would answer another question."""
    (found,) = json.loads(asked(engine, **query)["errorMessage"])["Violations"]
    assert (found["Field"], found["Rule"]) == violation


# ── The intake ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("run")
def test_a_sender_may_deliver_an_entry_again(engine: Engine, refund: dict[str, Any]) -> None:
    """The execution's name is made from the entry, so nothing runs twice."""
    intake = intake_of(engine)
    first = intake.deliver(refund)
    assert first.started
    assert engine.wait_for(first.execution).outcome == "RECORDED"
    assert intake.deliver(refund) == first.__class__(first.execution, started=False, outcome="RECORDED")
    again = intake.deliver(refund, again=True)
    assert engine.wait_for(again.execution).outcome == "DUPLICATE"
    other = intake.deliver({**refund, "Amount": "1.00"})
    assert engine.wait_for(other.execution).outcome == "CONFLICT"
    conflict = intake.deliver({**refund, "Amount": "1.00"})
    assert (conflict.outcome, conflict.execution) == ("CONFLICT", f"{other.execution}-c")


def test_a_refused_entry_is_attempted_again_up_to_nine_times(
    engine: Engine, refund: dict[str, Any], payment: dict[str, Any]
) -> None:
    """Its cause may be gone by then, and a sender that never stops must not start executions without end."""
    engine.run(json.dumps({**payment, "Amount": "1.00"}))
    intake = intake_of(engine)
    for _ in range(9):
        assert engine.wait_for(intake.deliver(refund).execution).outcome == "REFUSED"
    with pytest.raises(TooManyAttemptsError):
        intake.deliver(refund)
    engine.run(json.dumps({**refund, "EntryID": "cap-1", "Kind": "Captured", "Amount": "100.00"}))
    assert engine.wait_for(intake.deliver(refund, again=True).execution).outcome == "RECORDED"


def test_an_invalid_entry_starts_nothing_and_is_published(engine: Engine, refund: dict[str, Any]) -> None:
    """The refusal names the IDs and the rules, and no value."""
    intake = intake_of(engine)
    with pytest.raises(InvalidEntryError) as error:
        intake.deliver({**refund, "Amount": "0.00"})
    assert engine.executions() == []
    arn = intake.reject(error.value, "message 1")
    assert engine.wait_for(arn).cause == "Amount: zero"
    assert intake.reject(error.value, "message 1") == arn
    assert len(engine.executions()) == 1
    (detail,) = events_of(engine, "EntryRefused")
    assert (detail["EntryID"], detail["ProcessorID"]) == ("re-2026-0001", "acme-pay")


# ── The watch ───────────────────────────────────────────────────────────────────────────────────────


def watched(engine: Engine, event_name: str, **images: Any) -> Any:
    """Return the change that the watch finds in one record of the entries' stream."""
    keys = {name: next(iter(images.values()))[name] for name in ("TransactionID", "Entry")}
    return engine.functions["WatchLedger"].module.unexpected_change(event_name, {"Keys": keys, **images})


@pytest.mark.usefixtures("run")
def test_the_watch_knows_what_the_ledger_writes(engine: Engine, refund: dict[str, Any]) -> None:
    """Anything else is an alarm: the append, the marker, and nothing more."""
    overlooked(engine, refund)
    (added,) = engine.entries()
    sweep(engine)
    (marked,) = engine.entries()
    assert watched(engine, "INSERT", NewImage=added) is None
    assert watched(engine, "MODIFY", OldImage=added, NewImage=marked) is None
    assert watched(engine, "REMOVE", OldImage=marked) == ("removed", [])
    assert watched(engine, "MODIFY", OldImage=marked, NewImage=added) == ("replaced", ["PublishedAt", "Unpublished"])
    other_shard = {"S": f"{(shard_of('txn-2026-0001') + 1) % 8}"}
    for changes, named in (
        ({"Unpublished": other_shard}, ["Unpublished"]),
        ({"Extra": {"S": "x"}}, ["Extra"]),
        ({"Amount": {"S": "1.00"}}, ["Fingerprint"]),
        ({"Execution": {"S": "x"}}, ["Execution"]),
        ({"PublishedAt": marked["PublishedAt"]}, ["PublishedAt"]),
    ):
        assert watched(engine, "INSERT", NewImage={**added, **changes}) == ("added", named)
        changed = watched(engine, "MODIFY", OldImage=added, NewImage={**marked, **changes})
        assert (changed is None) == ("PublishedAt" in changes)
    both = {**added, "Extra": {"S": "x"}}, {**marked, "Extra": {"S": "x"}}
    assert watched(engine, "MODIFY", OldImage=both[0], NewImage=both[1]) == ("marked", ["Extra"])


def test_a_foreign_attribute_of_a_payment_does_not_confuse_the_watch(engine: Engine, run: Run) -> None:
    """Somebody who adds an attribute `Entry` to a payment must not pass for an entry."""
    assert run().outcome == "RECORDED"
    (item,) = engine.items()
    changed = {**item, "Entry": {"S": "x"}}
    images = {"Keys": {"TransactionID": item["TransactionID"]}, "OldImage": item, "NewImage": changed}
    assert engine.functions["WatchLedger"].module.unexpected_change("MODIFY", images) == ("replaced", ["Entry"])


# ── The webhook ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def posted(engine: Engine) -> Callable[..., tuple[int, Any]]:
    """Return a function that posts a message as a sample processor, and returns the answer's status and JSON."""
    register_sample_processors(engine)

    def post(message: Any, processor: str = "acme-pay") -> tuple[int, Any]:
        body = json.dumps(message).encode()
        headers = signed(PROCESSORS[processor], body, round(time.time()))
        answer = engine.answer(Request("POST", f"/processors/{processor}/payments", headers, body))
        assert answer is not None
        return answer[0], json.loads(answer[2])

    return post


def message(name: str) -> Any:
    """Return a sample message of a processor."""
    return json.loads((ROOT / f"events/webhooks/{name}.json").read_text())


def test_a_processor_posts_a_refund_to_its_one_address(engine: Engine, posted: Any) -> None:
    """The message decides whether it is a payment or an entry."""
    for name in ("acme-pay", "acme-pay-refund"):
        status, first = posted(message(name))
        assert status == 202
        workflow = "EntriesWorkflowArn" if name == "acme-pay-refund" else "WorkflowArn"
        prefix = execution_prefix(engine.outputs[workflow])
        assert engine.wait_for(f"{prefix}:{first['Execution']}").outcome == "RECORDED"
        assert posted(message(name)) == (200, {**first, "Outcome": "RECORDED"})
    assert [entry["EntryID"]["S"] for entry in engine.entries()] == ["rf-2026-0007"]
    (line, _) = log_lines(engine, "entry received")
    assert (line["processor_id"], line["started"]) == ("acme-pay", True)


def test_the_webhook_answers_a_wrong_entry_by_its_rules(engine: Engine, posted: Any) -> None:
    """The refusal is published as the workflow's own."""
    whole = message("acme-pay-refund")
    status, answer = posted({**whole, "data": {**whole["data"], "Amount": "0.00", "Kind": "refund"}})
    assert (status, answer["Violations"]) == (
        400,
        [{"Field": "Amount", "Rule": "zero"}, {"Field": "Kind", "Rule": "kind"}],
    )
    prefix = execution_prefix(engine.outputs["EntriesWorkflowArn"])
    assert engine.wait_for(f"{prefix}:{answer['Execution']}").outcome == "REFUSED"
    (detail,) = events_of(engine, "EntryRefused")
    assert (detail["EntryID"], detail["ProcessorID"]) == ("rf-2026-0007", "acme-pay")


def test_an_entry_outside_the_processors_prefix_is_refused_by_its_ids(engine: Engine, posted: Any) -> None:
    """An operator finds the refusal by its EntryID."""
    name = f"{engine.outputs['ProcessorSecrets']}acme-pay"
    text = json.dumps({**PROCESSORS["acme-pay"], "Prefix": "acme-"})
    engine.client("secretsmanager").put_secret_value(SecretId=name, SecretString=text)
    status, answer = posted(message("acme-pay-refund"))
    assert (status, answer["Violations"]) == (400, [{"Field": "TransactionID", "Rule": "id_prefix"}])
    engine.wait_for(f"{execution_prefix(engine.outputs['EntriesWorkflowArn'])}:{answer['Execution']}")
    (refused,) = events_of(engine, "EntryRefused")
    assert (refused["EntryID"], refused["ProcessorID"]) == ("rf-2026-0007", "acme-pay")


def test_another_entry_under_the_id_is_answered_409(engine: Engine, posted: Any) -> None:
    """The processor that repeats it hears that the ledger has another one."""
    whole = message("acme-pay-refund")
    for one in (message("acme-pay"), whole):
        posted(one)
        for arn in engine.executions():
            engine.wait_for(arn)
    changed = {**whole, "data": {**whole["data"], "Amount": "1.00"}}
    _, first = posted(changed)
    prefix = execution_prefix(engine.outputs["EntriesWorkflowArn"])
    assert engine.wait_for(f"{prefix}:{first['Execution']}").outcome == "CONFLICT"
    status, answer = posted(changed)
    assert (status, answer["Outcome"]) == (409, "CONFLICT")


def test_stripes_events_become_a_payment_and_its_entries(engine: Engine, posted: Any) -> None:
    """The totals are right, whatever comes twice and in whatever order."""
    names = ("stripe-refund.created", "stripe-charge.succeeded", "stripe-charge.dispute.funds_withdrawn")
    charge = message("stripe-charge.succeeded")
    assert posted(charge, "stripe")[0] == 202
    for arn in engine.executions():
        engine.wait_for(arn)
    for name in (*names, *names):
        assert posted(message(name), "stripe")[0] in {200, 202}
        for arn in engine.executions():
            engine.wait_for(arn)
    updated = {**message("stripe-refund.created"), "type": "refund.updated", "id": "evt_another"}
    posted(updated, "stripe")
    answer = asked(engine, TransactionID=charge["data"]["object"]["id"])
    assert [entry["Kind"] for entry in answer["Entries"]] == ["Refunded", "Disputed"]
    assert answer["Totals"]["AcceptedEntries"] == 0


# ── The event bus ───────────────────────────────────────────────────────────────────────────────────


def test_an_event_of_the_bus_starts_its_entry(engine: Engine, payment: dict[str, Any]) -> None:
    """The event's detail is the start input."""
    (sample,) = json.loads((ROOT / "events/bus/put-entry-events.json").read_text())
    detail = json.loads(sample["Detail"])
    engine.run(json.dumps({**payment, "TransactionID": detail["TransactionID"]}))
    assert engine.client("events").put_events(Entries=[sample])["FailedEntryCount"] == 0
    (arn,) = [arn for arn in engine.executions() if ":PaymentEntries:" in arn]
    assert engine.wait_for(arn).outcome == "RECORDED"
    assert [entry["EntryID"]["S"] for entry in engine.entries()] == [detail["EntryID"]]
