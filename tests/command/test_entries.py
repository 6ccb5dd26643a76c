"""Entries from the command line: sent, shown with their payment, listed, retried and accepted."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger.intake import execution_prefix
from ledger_cli.engine import Engine
from ledger_cli.stack import deliveries, inspection
from ledger_cli.stack.client import Stack
from tests.support.cli import ledger
from tests.support.functions import invoke

REASON = "the bank confirmed it, ticket 4711"


@pytest.fixture
def at(endpoint: str) -> Any:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*arguments, LEDGER_ENDPOINT_URL=endpoint, **more)


@pytest.fixture
def start(at: Any, payment: dict[str, Any], refund: dict[str, Any]) -> Any:
    """Record the payment, and return a function that starts a refund of it, with changes, by the command."""
    assert at("start", "-", stdin=json.dumps(payment)).returncode == 0
    return lambda **changes: at("start", "-", "--json", stdin=json.dumps({**refund, **changes}))


def test_entries_are_started_as_payments_are(start: Any) -> None:
    """The exit status tells a script whether the entry is recorded."""
    first = start()
    report = json.loads(first.stdout)
    assert (first.returncode, report["outcome"], report["started"]) == (0, "RECORDED", True)
    again = json.loads(start().stdout)
    assert (again["outcome"], again["started"], again["execution"]) == ("RECORDED", False, report["execution"])
    refused = start(EntryID="re-2", Amount="100.01")
    report = json.loads(refused.stdout)
    assert (refused.returncode, report["outcome"], report["cause"]) == (1, "REFUSED", "Amount: exceeds_captured")


def test_an_entry_that_breaks_the_contract_is_not_started_and_counted(start: Any, engine: Engine) -> None:
    """A job that sends nonsense raises an alarm."""
    before = len(engine.executions())
    refused = start(Kind="refund")
    report = json.loads(refused.stdout)
    assert (refused.returncode, report["status"], report["outcome"]) == (1, "NOT_STARTED", "REFUSED")
    assert (report["error"], report["cause"]) == ("InvalidEntryError", "Kind: kind")
    assert len(engine.executions()) == before + 1  # it publishes the refusal
    engine.wait_for(report["execution_arn"])
    assert engine.published()[-1]["detail-type"] == "EntryRefused"


def test_a_payment_is_shown_with_its_entries_and_what_is_left(at: Any, start: Any) -> None:
    """A person sees in one place what could still be refunded."""
    nothing = at("get", "txn-2026-0001").stdout
    assert "Entries" not in nothing
    assert re.search(r"^Refundable +129\.90 EUR$", nothing, re.MULTILINE)
    start()
    shown = at("get", "txn-2026-0001").stdout
    assert re.search(r"^1 +Refunded +29\.90 EUR +100\.00 +2026-11-24 10:00:00Z +re-2026-0001 +yes", shown, re.MULTILINE)
    assert re.search(r"^Refunded +29\.90 EUR$", shown, re.MULTILINE)
    assert "AcceptedEntries" not in shown
    report = json.loads(at("get", "txn-2026-0001", "--json").stdout)
    assert (report["entries"][0]["entry_id"], report["totals"]["refundable"]) == ("re-2026-0001", "100.00")
    assert report["entries"][0]["totals"]["accepted_entries"] == 0


def test_a_damaged_entry_is_named_and_the_rest_is_shown(at: Any, start: Any, engine: Engine) -> None:
    """The exit status says that not all of it could be read."""
    start()
    start(EntryID="re-2", Amount="1.00")
    item = {**engine.entries()[1], "Amount": {"S": "2.00"}}
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=item)
    shown = at("get", "txn-2026-0001")
    assert shown.returncode == 2
    assert "txn-2026-0001 entry 2: its attribute Fingerprint is not what the ledger has written" in shown.stdout
    assert "re-2026-0001" in shown.stdout
    assert "Totals" not in shown.stdout
    inspected = json.loads(at("inspect", "txn-2026-0001", "--json").stdout)
    assert inspected["unreadable"] == [{"transaction_id": "txn-2026-0001", "entry": 2, "attribute": "Fingerprint"}]
    assert "who changed the entry" in inspected["next_step"]
    listed = at("entries", "--processor", "acme-pay")
    assert (listed.returncode, "entry 2: its attribute" in listed.stderr) == (1, True)


def test_a_refused_entry_is_found_with_its_payment(at: Any, start: Any, tmp_path: Path) -> None:
    """The operator reads what broke, and what to do."""
    start()
    start(EntryID="re-2", Amount="100.01")
    inspected = json.loads(at("inspect", "txn-2026-0001", "--json").stdout)
    (other,) = inspected["other_executions"]
    assert (other["outcome"], other["entry_id"], other["reason"]) == ("REFUSED", "re-2", "Amount: exceeds_captured")
    assert "Decide about the refused entry re-2" in inspected["next_step"]
    assert "ledger retry txn-2026-0001" in inspected["next_step"]
    shown = at("inspect", "txn-2026-0001").stdout
    assert re.search(r"^REFUSED +txn-2026-0001-[0-9a-f]{32}", shown, re.MULTILINE)
    page = tmp_path / "page.html"
    assert at("inspect", "txn-2026-0001", "--html", str(page)).returncode == 0
    assert "Amount: exceeds_captured" in page.read_text()
    assert '<table id="entries">' in page.read_text()
    one = at("inspect", other["execution"]).stdout
    assert re.search(r"! Append Entry +\d+ ms\s+InvalidEntryError\s+─▶ ✓ Publish Refusal", one)
    assert one.count("Publish Refusal") == 1
    assert "Published  EntryRefused" in one
    # Recorded after all, it needs no decision any more.
    start(EntryID="cap-1", Kind="Captured", Amount="50.00")
    assert at("retry", "txn-2026-0001").returncode == 0
    assert "Nothing to do" in json.loads(at("inspect", "txn-2026-0001", "--json").stdout)["next_step"]


def test_a_refused_entry_is_retried_by_its_payment_or_its_execution(at: Any, start: Any) -> None:
    """While its cause is there, it is refused again; then it is recorded."""
    report = json.loads(start(Amount="130.00").stdout)
    again = at("retry", "txn-2026-0001", "--json")
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (1, "REFUSED")
    start(EntryID="cap-1", Kind="Captured", Amount="50.00")
    done = at("retry", report["execution"], "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "RECORDED")
    nothing = at("retry", "txn-2026-0001")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == "ledger: txn-2026-0001: no entry of it is refused: ledger inspect txn-2026-0001\n"


def test_an_operator_accepts_a_refused_entry(at: Any, start: Any, engine: Engine) -> None:
    """The line says which entry it is, and what is left; the ledger says who accepted it and why."""
    start(Amount="130.00")
    done = at("accept", "txn-2026-0001", "--reason", REASON)
    assert (done.returncode, done.stderr) == (0, "")
    line = "RECORDED re-2026-0001 is entry 1 of txn-2026-0001: Refunded (accepted) 130.00 EUR, refundable -0.10"
    assert " ".join(done.stdout.split()) == line
    report = json.loads(at("get", "txn-2026-0001", "--json").stdout)
    assert report["entries"][0]["acceptance"]["reason"] == REASON
    assert report["entries"][0]["acceptance"]["requester"].startswith("arn:aws:")
    assert report["totals"]["accepted_entries"] == 1
    shown = " ".join(at("get", "txn-2026-0001").stdout.split())
    assert "AcceptedEntries 1" in shown
    assert f"Entry 1 was accepted by {report['entries'][0]['acceptance']['requester']}: {REASON}" in shown
    assert REASON in engine.logs()
    assert at("accept", "txn-2026-0001", "--reason", REASON).returncode == 1  # nothing is left to accept


def test_several_refused_entries_have_to_be_named(at: Any, start: Any) -> None:
    """Nothing is accepted by mistake."""
    names = [json.loads(start(EntryID=f"re-{number}", Amount="130.00").stdout)["execution"] for number in (1, 2)]
    several = at("accept", "txn-2026-0001", "--reason", REASON)
    assert several.returncode == 2
    assert all(name in several.stderr for name in names)
    done = at("accept", names[1], "--reason", REASON, "--json")
    assert (done.returncode, json.loads(done.stdout)["entry"]["entry_id"]) == (0, "re-2")


def test_another_refusal_under_one_id_is_never_taken_for_it(at: Any, start: Any, engine: Engine) -> None:
    """Somebody else's entry under the same EntryID must not be the one that is accepted."""
    mine = json.loads(start(Amount="130.00").stdout)["execution"]
    start(Kind="Captured", Amount="9999.00", ProcessorID="evil")
    several = at("accept", "txn-2026-0001", "--reason", REASON)
    assert several.returncode == 2
    assert "re-2026-0001: Captured 9999.00 EUR from evil" in several.stderr
    assert "re-2026-0001: Refunded 130.00 EUR from acme-pay" in several.stderr
    assert at("accept", mine, "--reason", REASON).returncode == 0
    left = at("accept", "txn-2026-0001", "--reason", REASON)
    assert (left.returncode, "another entry is recorded under its EntryID" in left.stderr) == (2, True)
    assert [entry["Kind"]["S"] for entry in engine.entries()] == ["Refunded"]


def test_a_refusal_is_found_behind_many_other_failures(
    at: Any, start: Any, engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails later must not hide that somebody has to decide."""
    start(Amount="130.00")
    for number in range(25):
        engine.run(json.dumps({**payment, "Amount": "x"}), f"txn-2026-0001-{number:032x}")
    assert "Decide about the refused entry" in json.loads(at("inspect", "txn-2026-0001", "--json").stdout)["next_step"]
    assert at("inspect", "txn-2026-0001").stdout.count("REFUSED") == 1
    monkeypatch.setattr(inspection, "MAX_OUTCOMES", 5)
    step = json.loads(at("inspect", "txn-2026-0001", "--json").stdout)["next_step"]
    assert "is not known for all of its executions" in step


def test_an_input_that_cannot_be_repeated_is_one_line(
    at: Any, start: Any, engine: Engine, refund: dict[str, Any]
) -> None:
    """Anybody who may start executions chooses their input."""
    assert start
    states, workflow = engine.client("stepfunctions"), engine.outputs["EntriesWorkflowArn"]
    twice = json.dumps({**refund, "Amount": "130.00"})[:-1] + ', "Amount": "131.00"}'
    long = json.dumps({**refund, "Amount": 1}).replace('"Amount": 1', f'"Amount": 1{"0" * 5000}')
    for name, text, line in (
        ("twice", twice, "its input cannot be repeated (duplicate_name)"),
        ("long", long, "these rules: digits"),
        ("list", "[]", "it has no entry to repeat"),
    ):
        states.start_execution(stateMachineArn=workflow, name=name, input=text)
        arn = execution_prefix(workflow) + f":{name}"
        assert engine.wait_for(arn).outcome == "REFUSED"
        done = at("accept", name, "--reason", REASON)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert line in done.stderr
    assert "digits" in at("inspect", "txn-2026-0001").stdout


def test_a_token_in_an_entry_is_named_nowhere(at: Any, start: Any, engine: Engine, payment: dict[str, Any]) -> None:
    """A payment with an entry's field stays a payment, whose contract searches every field for the token."""
    assert start
    token = "tok_live_9f8e7d6c5b4a"
    mixed = {**payment, "Kind": "sale", "TransactionID": token, "SecureToken": token}
    done = at("start", "-", "--json", stdin=json.dumps(mixed))
    assert json.loads(done.stdout)["outcome"] == "REJECTED"
    states, workflow = engine.client("stepfunctions"), engine.outputs["EntriesWorkflowArn"]
    states.start_execution(stateMachineArn=workflow, name="direct", input=json.dumps(mixed))
    for arn in engine.executions():
        engine.wait_for(arn)
    assert token not in done.stdout + engine.logs() + json.dumps(engine.published())


def test_next_steps_of_entries_say_entry(at: Any, start: Any) -> None:
    """A false next step sends the operator to the wrong person."""
    start()
    conflict = json.loads(start(Amount="1.00").stdout)["execution"]
    assert "which entry is right" in json.loads(at("inspect", conflict, "--json").stdout)["next_step"]
    assert "which entry is right" in json.loads(at("inspect", "txn-2026-0001", "--json").stdout)["next_step"]
    broken = json.loads(start(EntryID="re-9", Amount="1.001").stdout)["execution"]
    assert "Tell the sender which rules" in json.loads(at("inspect", broken, "--json").stdout)["next_step"]


@pytest.mark.parametrize(
    ("changes", "reason", "line"),
    [
        ({"Currency": "USD"}, REASON, "nobody can waive these rules: currency"),
        ({"Amount": "130.00"}, "short", "Reason is text of 8 to 256 characters"),
        ({"Amount": "130.00"}, "card 4111111111111111", "Reason and Requester hold no card number"),
    ],
)
def test_what_cannot_be_accepted_is_one_clear_line(
    at: Any, start: Any, engine: Engine, changes: dict[str, Any], reason: str, line: str
) -> None:
    """Nothing is recorded, and no value is repeated."""
    start(**changes)
    refused = at("accept", "txn-2026-0001", "--reason", reason)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(rf"ledger: .*{line}\n", refused.stderr)
    assert engine.entries() == []


def test_a_technical_failure_of_a_retry_is_one_line(at: Any, start: Any, engine: Engine) -> None:
    """Its message says what is damaged. A stack trace says nothing more to an operator."""
    start()
    start(EntryID="re-2", Amount="100.01")
    item = {**engine.entries()[0], "Amount": {"S": "2.00"}}
    engine.client("dynamodb").put_item(TableName=engine.outputs["EntriesTableName"], Item=item)
    failed = at("retry", "txn-2026-0001", "--json")
    report = json.loads(failed.stdout)
    assert (failed.returncode, report["outcome"], report["error"]) == (1, None, "UnreadableItemError")
    assert json.loads(report["cause"]) == {"TransactionID": "txn-2026-0001", "Entry": 1, "Attribute": "Fingerprint"}


def test_a_refusal_from_before_the_workflow_cannot_be_repeated(at: Any, start: Any) -> None:
    """Its execution has no message, only the rules."""
    report = json.loads(start(Amount="1.001").stdout)
    refused = at("retry", report["execution"])
    assert refused.returncode == 2
    assert "it has no entry to repeat: ask the sender to correct it" in refused.stderr


def test_entries_are_listed_for_people_and_for_programs(at: Any, start: Any) -> None:
    """A finance team filters by kind and time."""
    start()
    start(EntryID="dp-1", Kind="Disputed", Amount="50.00", Timestamp="2026-11-25T00:00:00Z")
    shown = at("entries", "--processor", "acme-pay").stdout
    assert [line.split()[2] for line in shown.splitlines()[2:]] == ["Disputed", "Refunded"]
    (record,) = map(
        json.loads, at("entries", "--processor", "acme-pay", "--kind", "Disputed", "--json").stdout.splitlines()
    )
    assert (record["entry_id"], record["entry"], record["totals"]["disputed"]) == ("dp-1", 2, "50.00")
    table = at("entries", "--processor", "acme-pay", "--csv", "--to", "2026-11-25T00:00:00Z").stdout.splitlines()
    assert table[0].startswith("TransactionID,Entry,EntryID,Kind,Amount")
    assert len(table) == 2
    first = [
        json.loads(line)
        for line in at("entries", "--processor", "acme-pay", "--limit", "1", "--json").stdout.splitlines()
    ]
    rest = at("entries", "--processor", "acme-pay", "--limit", "1", "--json", "--cursor", first[1]["cursor"]).stdout
    assert json.loads(rest.splitlines()[0])["entry_id"] == "re-2026-0001"


def test_unpublished_entries_are_listed_and_counted(
    at: Any, start: Any, engine: Engine, refund: dict[str, Any]
) -> None:
    """The sweep publishes them."""
    assert start
    event = {
        "Entry": {**refund, "Timestamp": "2026-11-24T10:00:00.000000Z"},
        "Execution": "arn:x",
        "StartTime": "2026-11-24T10:00:00Z",
    }
    invoke(engine, "AppendEntry", event)
    assert "re-2026-0001" in at("unpublished", "--entries").stdout
    assert json.loads(at("republish", "--dry-run", "--json").stdout)["overdue"] == 1
    done = at("republish")
    assert (done.returncode, done.stdout.strip()) == (0, "1 of 1 overdue outcomes published")


def test_executions_of_both_workflows_are_listed_by_time(at: Any, start: Any) -> None:
    """An operator sees what happened, in order."""
    start()
    start(EntryID="re-2", Amount="130.00")
    listed = [json.loads(line) for line in at("executions", "--json").stdout.splitlines()]
    assert [one["outcome"] for one in listed] == ["REFUSED", "RECORDED", "RECORDED"]
    assert [one["states"][0]["name"] for one in listed] == ["Validate Entry", "Validate Entry", "Validate Payment"]
    assert len(at("executions", "--limit", "2", "--json").stdout.splitlines()) == 2


def test_an_entry_that_failed_is_redriven(at: Any, start: Any, engine: Engine, faults: Any) -> None:
    """A technical failure of an entry is found and continued as a payment's is."""
    faults.refuse("PutEvents", "ResourceNotFoundException")
    failed = start()
    assert (failed.returncode, json.loads(failed.stdout)["status"]) == (1, "FAILED")
    done = at("redrive", "--all", "--json")
    (record,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, record["state"], record["redriven"]) == (0, "Publish Outcome", True)
    assert engine.wait_for(record["execution_arn"]).outcome == "RECORDED"


def test_an_entry_without_its_payment_is_not_waited_for(
    at: Any, refund: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take an hour. The line says so, and a script sees that it runs."""
    waits: list[float] = []

    def wait_for(_stack: Stack, _execution: str, wait_s: float) -> dict[str, Any]:
        waits.append(wait_s)
        return {"status": "RUNNING"}

    monkeypatch.setattr(Stack, "wait_for", wait_for)
    done = at("start", "-", stdin=json.dumps(refund))
    assert (done.returncode, done.stdout.split()[0]) == (0, "RUNNING")
    assert "an entry waits up to an hour for its payment" in " ".join(done.stdout.split())
    assert waits == [deliveries.ENTRY_WAIT_S]
