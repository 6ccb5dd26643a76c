"""The outcome of a payment, and the event that publishes it.

A schema in `events/schemas/` describes each event's detail. No detail ever holds a token or a ciphertext.
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

OUTCOME_BY_ERROR = {"InvalidPaymentError": "REJECTED", "PaymentConflictError": "CONFLICT"}
"""The outcome of an execution that ended in one of the workflow's Fail states, by the error name of that state."""


class Outcome(NamedTuple):
    """One outcome event: the name of the outcome, the execution that publishes it, and the event's detail."""

    name: str
    execution: str
    detail: Mapping[str, Any]

    @classmethod
    def from_payment(cls, name: str, payment: Mapping[str, Any], execution: str) -> "Outcome":
        """Return the outcome `RECORDED` or `DUPLICATE` of a payment that is in the ledger.

        Args:
            name: the outcome.
            payment: the facts that `recorded_facts` reads from the item.
            execution: the execution that publishes the event. A duplicate's is the one that brought the payment again.
        """
        facts = {**payment, "DuplicateExecution": execution} if name == "DUPLICATE" else payment
        return cls._identified(name, payment["Fingerprint"], execution, facts)

    @classmethod
    def from_refusal(cls, name: str, refusal: Mapping[str, Any], execution: str) -> "Outcome":
        """Return the outcome `REJECTED` or `CONFLICT` of a payment that the execution did not record.

        Args:
            name: the outcome.
            refusal: the message of the `InvalidPaymentError` or the `PaymentConflictError`.
            execution: the execution that publishes the event.
        """
        # An invalid payment has no identity of its own, so its execution stands for it.
        identity = execution if name == "REJECTED" else refusal["Fingerprint"]
        return cls._identified(name, identity, execution, {**refusal, "Execution": execution})

    @classmethod
    def _identified(cls, name: str, identity: str, execution: str, facts: Mapping[str, Any]) -> "Outcome":
        """Add the OutcomeID. It is a hash of the name and the identity, so that every repeat has the same one."""
        outcome_id = hashlib.sha256(json.dumps([name, identity]).encode()).hexdigest()[:32]
        return cls(name, execution, {"Version": VERSION, "OutcomeID": outcome_id, "Outcome": name, **facts})

    def as_entry(self, event_bus: str) -> dict[str, Any]:
        """Return the entry for `events:PutEvents`."""
        return {
            "EventBusName": event_bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPES[self.name],
            "Resources": [self.execution],
            "Detail": json.dumps(self.detail),
        }

    def as_result(self) -> dict[str, Any]:
        """Return the result of the publishing state. If the payment was not recorded, `Cause` says why in one line."""
        result: dict[str, Any] = {"Outcome": self.name}
        if self.name in OUTCOME_BY_ERROR.values():
            result["Cause"] = reason(self.detail)
        return result | {key: self.detail[key] for key in ("TransactionID", "OutcomeID") if key in self.detail}

    @property
    def size(self) -> int:
        """Size in bytes, as PutEvents counts it. Source: EventBridge User Guide, PutEvents event entry size."""
        entry = self.as_entry("")
        return sum(len(text) for text in (entry["Source"], entry["DetailType"], entry["Detail"], self.execution))


def outcome_of(described: Mapping[str, Any]) -> str | None:
    """Return the outcome of the execution that `DescribeExecution` described.

    Returns:
        None while the execution runs, or if it had a technical failure.
    """
    if described["status"] == "SUCCEEDED":
        return str(json.loads(described["output"])["Outcome"])
    return OUTCOME_BY_ERROR.get(described.get("error") or "")


def refusal_of(cause: str) -> dict[str, Any]:
    """Return the JSON message of the error that a function raised, from the `Cause` that a Catch passes on.

    Source: Step Functions Developer Guide, error handling: Lambda errors carry `errorMessage` and `errorType`.
    """
    refusal: dict[str, Any] = json.loads(json.loads(cause)["errorMessage"])
    return refusal


def reason(refusal: Mapping[str, Any]) -> str:
    """Return one line for the console: every broken rule, or the fields that differ."""
    if "Violations" in refusal:
        return "; ".join(f"{violation['Field']}: {violation['Rule']}" for violation in refusal["Violations"])
    return f"differs from the recorded payment in: {', '.join(refusal['Differs'])}"
