"""What became of a payment, as the event that tells the rest of the world.

Each detail is described by a schema in `events/schemas/`. No token and no ciphertext is ever in one.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

SOURCE = "payment.ledger"
VERSION = "1"

DETAIL_TYPES = {
    "RECORDED": "PaymentRecorded",
    "DUPLICATE": "PaymentDuplicate",
    "REJECTED": "PaymentRejected",
    "CONFLICT": "PaymentConflict",
}

REFUSED_BY = {"InvalidPaymentError": "REJECTED", "PaymentConflictError": "CONFLICT"}
"""The outcome of an execution that ended in one of the workflow's Fail states, by its error name."""


class Outcome(NamedTuple):
    """One event: its detail, and what it is about (the execution that told of it)."""

    name: str
    execution: str
    detail: Mapping[str, Any]

    def as_entry(self, event_bus: str) -> dict[str, Any]:
        """The entry for `events:PutEvents`."""
        return {
            "EventBusName": event_bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPES[self.name],
            "Resources": [self.execution],
            "Detail": json.dumps(self.detail),
        }

    @property
    def size(self) -> int:
        """In bytes, as PutEvents counts them. Source: EventBridge User Guide, PutEvents event entry size."""
        entry = self.as_entry("")
        return sum(len(text) for text in (entry["Source"], entry["DetailType"], entry["Detail"], self.execution))


def outcome_of(described: Mapping[str, Any]) -> str | None:
    """What an execution came to, from `DescribeExecution`; None while it runs, or where it failed technically."""
    if described["status"] == "SUCCEEDED":
        return str(json.loads(described["output"])["Outcome"])
    return REFUSED_BY.get(described.get("error") or "")


def recorded(recorded_payment: Mapping[str, Any], execution: str) -> Outcome:
    """`PaymentRecorded`: the payment is in the ledger."""
    return _outcome("RECORDED", recorded_payment["Fingerprint"], execution, recorded_payment)


def duplicate(recorded_payment: Mapping[str, Any], execution: str) -> Outcome:
    """`PaymentDuplicate`: *execution* brought the recorded payment once more."""
    facts = {**recorded_payment, "DuplicateExecution": execution}
    return _outcome("DUPLICATE", recorded_payment["Fingerprint"], execution, facts)


def rejected(refusal: Mapping[str, Any], execution: str) -> Outcome:
    """`PaymentRejected`: the contract was broken; *refusal* is an `InvalidPaymentError`'s message."""
    # An invalid payment has no identity of its own, so the execution stands for it.
    return _outcome("REJECTED", execution, execution, {**refusal, "Execution": execution})


def conflict(refusal: Mapping[str, Any], execution: str) -> Outcome:
    """`PaymentConflict`: a different payment has the id; *refusal* is a `PaymentConflictError`'s message."""
    return _outcome("CONFLICT", refusal["Fingerprint"], execution, {**refusal, "Execution": execution})


def refusal_of(cause: str) -> dict[str, Any]:
    """The JSON message of the error that a function raised, from the `Cause` that a Catch hands on.

    Source: Step Functions Developer Guide, error handling: Lambda errors carry `errorMessage` and `errorType`.
    """
    refusal: dict[str, Any] = json.loads(json.loads(cause)["errorMessage"])
    return refusal


def reason(refusal: Mapping[str, Any]) -> str:
    """One line for the console: every broken rule, or the fields that differ."""
    if "Violations" in refusal:
        return "; ".join(f"{violation['Field']}: {violation['Rule']}" for violation in refusal["Violations"])
    return f"differs from the recorded payment in: {', '.join(refusal['Differs'])}"


def _outcome(name: str, identity: str, execution: str, facts: Mapping[str, Any]) -> Outcome:
    """The identity is the payment's or the execution's, so that every repeat is told under the same OutcomeID."""
    outcome_id = hashlib.sha256(json.dumps([name, identity]).encode()).hexdigest()[:32]
    return Outcome(name, execution, {"Version": VERSION, "OutcomeID": outcome_id, "Outcome": name, **facts})
