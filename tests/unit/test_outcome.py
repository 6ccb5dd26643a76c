"""Outcome identities: the same for every repeat, another for every other outcome."""

import pytest

from ledger.outcome import conflict, duplicate, recorded, rejected

PAYMENT = {"TransactionID": "txn-1", "Fingerprint": "f" * 64, "Execution": "arn:1"}
REFUSAL = {"TransactionID": "txn-1", "Violations": [{"Field": "Amount", "Rule": "decimal"}]}
CONFLICT = {"TransactionID": "txn-1", "Differs": ["Amount"], "Fingerprint": "e" * 64}


def test_a_recorded_payment_has_one_identity_whoever_tells_it() -> None:
    """The execution, its redrive, a duplicate and the sweep may all publish it; a consumer keeps one."""
    assert recorded(PAYMENT, "arn:1").detail == recorded(PAYMENT, "arn:2").detail


def test_outcomes_have_identities_of_their_own() -> None:
    """A consumer that drops a repeat must not drop another outcome with it."""
    outcomes = [
        recorded(PAYMENT, "arn:1"),
        recorded({**PAYMENT, "Fingerprint": "d" * 64}, "arn:1"),
        duplicate(PAYMENT, "arn:2"),
        conflict(CONFLICT, "arn:3"),
        conflict({**CONFLICT, "Fingerprint": "c" * 64}, "arn:3"),
        rejected(REFUSAL, "arn:4"),
        rejected(REFUSAL, "arn:5"),
    ]
    assert len({outcome.detail["OutcomeID"] for outcome in outcomes}) == len(outcomes)


@pytest.mark.parametrize(("make", "about"), [(rejected, REFUSAL), (conflict, CONFLICT)])
def test_a_refusal_keeps_its_identity_on_a_retry(make: object, about: dict[str, object]) -> None:
    """Publish Rejection and Publish Conflict are retried and redriven as well."""
    assert callable(make)
    assert make(about, "arn:1").detail == make(about, "arn:1").detail


def test_identities_never_change() -> None:
    """Consumers keep them: a release that made them otherwise would repeat every outcome to them."""
    assert recorded(PAYMENT, "arn:1").detail["OutcomeID"] == "2e52e60412c292451b889cdf8229b3c1"
    assert rejected(REFUSAL, "arn:4").detail["OutcomeID"] == "5e62d43fdae64fbdd520a886ad06252e"
