"""Outcomes: the content of each event, under an identity that only its repeats share."""

import json
from typing import Any

import pytest

from ledger.outcome import OUTCOME_BY_ERROR, Outcome, outcome_of, reason, refusal_of

PAYMENT = {"TransactionID": "txn-1", "Fingerprint": "f" * 64, "Execution": "arn:1"}
IMPORTED = {**PAYMENT, "Import": "published"}
REFUSAL = {"TransactionID": "txn-1", "Violations": [{"Field": "Amount", "Rule": "decimal"}]}
CONFLICT = {"TransactionID": "txn-1", "Differs": ["Amount"], "Fingerprint": "e" * 64}


def test_a_recorded_payment_has_one_identity_whichever_execution_publishes_it() -> None:
    """The execution, its redrive, a duplicate and the sweep may all publish it; a consumer keeps one."""
    assert (
        Outcome.from_recorded("RECORDED", PAYMENT, "arn:1").detail
        == Outcome.from_recorded("RECORDED", PAYMENT, "arn:2").detail
    )


def test_outcomes_have_identities_of_their_own() -> None:
    """A consumer that drops a repeat must not drop another outcome with it."""
    outcomes = [
        Outcome.from_recorded("RECORDED", PAYMENT, "arn:1"),
        Outcome.from_recorded("RECORDED", {**PAYMENT, "Fingerprint": "d" * 64}, "arn:1"),
        Outcome.from_recorded("DUPLICATE", PAYMENT, "arn:2"),
        Outcome.from_refusal("CONFLICT", CONFLICT, "arn:3"),
        Outcome.from_refusal("CONFLICT", {**CONFLICT, "Fingerprint": "c" * 64}, "arn:3"),
        Outcome.from_refusal("REJECTED", REFUSAL, "arn:4"),
        Outcome.from_refusal("REJECTED", REFUSAL, "arn:5"),
    ]
    assert len({outcome.detail["OutcomeID"] for outcome in outcomes}) == len(outcomes)


def test_the_size_of_an_event_is_that_of_its_texts() -> None:
    """PutEvents rejects a call that is too large, with every event in it."""
    outcome = Outcome.from_recorded("RECORDED", {**PAYMENT, "Metadata": {"name": "Zoë"}}, "arn:1")
    entry = outcome.as_entry("bus")
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *entry["Resources"]]
    assert outcome.size == sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize(("name", "refusal"), [("REJECTED", REFUSAL), ("CONFLICT", CONFLICT)])
def test_a_refusal_keeps_its_identity_on_a_retry(name: str, refusal: dict[str, object]) -> None:
    """Publish Rejection and Publish Conflict are retried and redriven as well."""
    first, again = (Outcome.from_refusal(name, refusal, "arn:1") for _ in range(2))
    assert first.detail == again.detail


def test_identities_never_change() -> None:
    """Consumers keep identities. If a release changed them, every outcome would be repeated to the consumers."""
    for name, identity in (
        ("RECORDED", "2e52e60412c292451b889cdf8229b3c1"),
        ("DUPLICATE", "86f0c4679a6f968f35a7507dc3923ffd"),
    ):
        assert Outcome.from_recorded(name, PAYMENT, "arn:1").detail["OutcomeID"] == identity
    assert Outcome.from_refusal("REJECTED", REFUSAL, "arn:4").detail["OutcomeID"] == "5e62d43fdae64fbdd520a886ad06252e"
    assert Outcome.from_refusal("CONFLICT", CONFLICT, "arn:3").detail["OutcomeID"] == "173847be6a3dedb6e59bb878132af29b"


@pytest.mark.parametrize(
    ("outcome", "kind", "expected"),
    [
        (Outcome.from_recorded("RECORDED", PAYMENT, "arn:1"), "PaymentRecorded", {"Outcome": "RECORDED", **PAYMENT}),
        (
            Outcome.from_recorded("RECORDED", IMPORTED, "arn:1"),
            "PaymentImported",
            {"Outcome": "RECORDED", **IMPORTED},
        ),
        (
            Outcome.from_recorded("RECORDED", {**IMPORTED, "EntryID": "re_1"}, "arn:1"),
            "EntryImported",
            {"Outcome": "RECORDED", **IMPORTED, "EntryID": "re_1"},
        ),
        (
            Outcome.from_recorded("DUPLICATE", IMPORTED, "arn:2"),
            "PaymentDuplicate",
            {"Outcome": "DUPLICATE", **IMPORTED, "DuplicateExecution": "arn:2"},
        ),
        (
            Outcome.from_recorded("DUPLICATE", PAYMENT, "arn:2"),
            "PaymentDuplicate",
            {"Outcome": "DUPLICATE", **PAYMENT, "DuplicateExecution": "arn:2"},
        ),
        (
            Outcome.from_refusal("REJECTED", REFUSAL, "arn:4"),
            "PaymentRejected",
            {"Outcome": "REJECTED", **REFUSAL, "Execution": "arn:4"},
        ),
        (
            Outcome.from_refusal("CONFLICT", CONFLICT, "arn:3"),
            "PaymentConflict",
            {"Outcome": "CONFLICT", **CONFLICT, "Execution": "arn:3"},
        ),
    ],
)
def test_an_entry_has_the_whole_outcome(outcome: Outcome, kind: str, expected: dict[str, Any]) -> None:
    """Consumers' rules match source and detail type by their text, and read nothing but the detail."""
    entry = outcome.as_entry("ledger")
    publisher = expected.get("DuplicateExecution", expected["Execution"])
    detail = json.loads(entry.pop("Detail"))
    assert len(detail.pop("OutcomeID")) == 32
    assert detail == {"Version": "1", **expected}
    assert entry == {
        "EventBusName": "ledger",
        "Source": "payment.ledger",
        "DetailType": kind,
        "Resources": [publisher],
    }


def test_an_import_is_distinguished_by_its_type() -> None:
    """Its metric and its event are not those of what happens now; its identity is that of the payment."""
    entry = {"EntryID": "re_1"}
    recorded = [Outcome.from_recorded("RECORDED", facts, "arn:1") for facts in (PAYMENT, {**PAYMENT, **entry})]
    imported = [Outcome.from_recorded("RECORDED", facts, "arn:1") for facts in (IMPORTED, {**IMPORTED, **entry})]
    duplicate = Outcome.from_recorded("DUPLICATE", IMPORTED, "arn:1")
    assert [one.is_import for one in (*recorded, *imported, duplicate)] == [False, False, True, True, False]
    assert [one.is_entry for one in (*recorded, *imported, duplicate)] == [False, True, False, True, False]
    assert [one.detail["OutcomeID"] for one in imported] == [one.detail["OutcomeID"] for one in recorded]
    assert imported[0].as_result() == {
        "Outcome": "RECORDED",
        "TransactionID": "txn-1",
        "Import": "published",
        "OutcomeID": recorded[0].detail["OutcomeID"],
    }


def test_an_outcome_cannot_be_changed() -> None:
    """Two outcomes are made of the same facts if a duplicate also publishes the missed event of its payment."""
    field = "name"
    with pytest.raises(AttributeError):
        setattr(Outcome.from_recorded("RECORDED", PAYMENT, "arn:1"), field, "DUPLICATE")


def test_a_refusal_comes_out_of_the_cause_as_it_went_in() -> None:
    """A Catch passes on the runtime's error as JSON text, whose message is the refusal's JSON text."""
    assert refusal_of(json.dumps({"errorType": "E", "errorMessage": json.dumps(REFUSAL)})) == REFUSAL


def test_a_refusal_is_recognised_by_its_errors_name() -> None:
    """An execution that ended in a Fail state carries that name alone; anything else is a technical failure."""
    assert OUTCOME_BY_ERROR == {
        "InvalidPaymentError": "REJECTED",
        "PaymentConflictError": "CONFLICT",
        "InvalidEntryError": "REFUSED",
        "EntryConflictError": "CONFLICT",
    }


@pytest.mark.parametrize(
    ("described", "outcome"),
    [
        ({"status": "RUNNING"}, None),
        ({"status": "SUCCEEDED", "output": '{"Outcome": "DUPLICATE"}'}, "DUPLICATE"),
        ({"status": "FAILED", "error": "InvalidPaymentError"}, "REJECTED"),
        ({"status": "FAILED", "error": "PaymentConflictError"}, "CONFLICT"),
        ({"status": "FAILED", "error": "States.Timeout"}, None),
        ({"status": "TIMED_OUT"}, None),
    ],
)
def test_an_execution_with_a_technical_failure_has_no_outcome(described: dict[str, Any], outcome: str | None) -> None:
    """A sender delivers such a payment again, and no other, because a rejection or a conflict is final."""
    assert outcome_of(described) == outcome


@pytest.mark.parametrize(
    ("refusal", "line"),
    [
        ({"Violations": [{"Field": "Amount", "Rule": "decimal"}]}, "Amount: decimal"),
        (
            {"Violations": [{"Field": "Amount", "Rule": "decimal"}, {"Field": "Status", "Rule": "status"}]},
            "Amount: decimal; Status: status",
        ),
        ({"Differs": ["Amount", "Status"]}, "differs from the recorded payment in: Amount, Status"),
    ],
)
def test_the_reason_is_one_line(refusal: dict[str, Any], line: str) -> None:
    """The console and the execution's cause show this line, and an operator searches for it."""
    assert reason(refusal) == line
