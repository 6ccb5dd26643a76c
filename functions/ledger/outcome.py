"""The outcome of a payment or an entry, and the event that publishes it.

A schema in `events/schemas/` describes each event's detail. No detail ever holds a token or a ciphertext.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.fields import IMPORT

if TYPE_CHECKING:
    from ledger.seal import Seal

SOURCE = "payment.ledger"
VERSION = "1"

DETAIL_TYPES = {
    "RECORDED": "PaymentRecorded",
    "DUPLICATE": "PaymentDuplicate",
    "REJECTED": "PaymentRejected",
    "CONFLICT": "PaymentConflict",
    "IMPORTED": "PaymentImported",
}
"""Types of the events about payments, by outcome. `IMPORTED` stands for the outcome `RECORDED` of an import."""

ENTRY_DETAIL_TYPES = {
    "RECORDED": "EntryRecorded",
    "DUPLICATE": "EntryDuplicate",
    "REFUSED": "EntryRefused",
    "CONFLICT": "EntryConflict",
    "IMPORTED": "EntryImported",
}

SEALED = "LedgerSealed"
"""Type of the event about a seal."""

OUTCOME_BY_ERROR = {
    "InvalidPaymentError": "REJECTED",
    "PaymentConflictError": "CONFLICT",
    "InvalidEntryError": "REFUSED",
    "EntryConflictError": "CONFLICT",
}
"""The outcome of an execution that ended in one of a workflow's Fail states, by the error name of that state."""


class Outcome(NamedTuple):
    """One outcome event: the name of the outcome, the execution that publishes it, and the event's detail."""

    name: str
    execution: str
    detail: Mapping[str, Any]

    @classmethod
    def from_recorded(cls, name: str, recorded: Mapping[str, Any], execution: str) -> "Outcome":
        """Return the outcome `RECORDED` or `DUPLICATE` of a payment or an entry that is in the ledger.

        Args:
            name: the outcome.
            recorded: the facts that `recorded_facts` reads from a payment's item, or `RecordedEntry.facts` returns.
            execution: the execution that publishes the event. A duplicate's is the one that brought it again.
        """
        facts = {**recorded, "DuplicateExecution": execution} if name == "DUPLICATE" else recorded
        return cls._identified(name, recorded["Fingerprint"], execution, facts)

    @classmethod
    def from_refusal(cls, name: str, refusal: Mapping[str, Any], execution: str) -> "Outcome":
        """Return the outcome `REJECTED`, `REFUSED` or `CONFLICT` of what the execution did not record.

        Args:
            name: the outcome.
            refusal: the message of an `InvalidInputError` or a `ConflictError`.
            execution: the execution that publishes the event.
        """
        # An invalid input has no identity of its own, so its execution stands for it.
        identity = refusal["Fingerprint"] if name == "CONFLICT" else execution
        return cls._identified(name, identity, execution, {**refusal, "Execution": execution})

    @classmethod
    def from_seal(cls, seal: "Seal", key_arn: str) -> "Outcome":
        """Return the event of a finished seal. A consumer that keeps these events is a witness of the log.

        Args:
            seal: the seal, with its checkpoint.
            key_arn: the key that signed it.
        """
        facts = {"Seal": seal.number, "SealedAt": seal.sealed_at, "Records": len(seal.records), "Size": seal.tree.size}
        signed = {"Checkpoint": seal.note, "VerifierKey": seal.key}
        return cls._identified("SEALED", f"{seal.origin}\n{seal.number}", key_arn, {**facts, **signed})

    @property
    def is_entry(self) -> bool:
        """Whether the outcome is an entry's."""
        return self.detail_type in ENTRY_DETAIL_TYPES.values()

    @property
    def is_import(self) -> bool:
        """Whether the event publishes history from elsewhere."""
        return self.detail_type in {"PaymentImported", "EntryImported"}

    @property
    def detail_type(self) -> str:
        """The event's type, which is also the name of the metric that counts it."""
        return detail_type_of(self.name, self.detail)

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
            "DetailType": self.detail_type,
            "Resources": [self.execution],
            "Detail": json.dumps(self.detail),
        }

    def as_result(self) -> dict[str, Any]:
        """Return the result of the publishing state. If nothing was recorded, `Cause` says why in one line."""
        result: dict[str, Any] = {"Outcome": self.name}
        if self.name in OUTCOME_BY_ERROR.values():
            result["Cause"] = reason(self.detail)
        shown = ("TransactionID", "EntryID", "Entry", IMPORT, "OutcomeID")
        return result | {key: self.detail[key] for key in shown if key in self.detail}

    @property
    def size(self) -> int:
        """Size in bytes, as PutEvents counts it. Source: EventBridge User Guide, PutEvents event entry size."""
        entry = self.as_entry("")
        return sum(len(text) for text in (entry["Source"], entry["DetailType"], entry["Detail"], self.execution))


def detail_type_of(outcome: str, facts: Mapping[str, Any]) -> str:
    """Return the type of the event that publishes an outcome. A refused entry may lack a valid EntryID."""
    if outcome == "SEALED":
        return SEALED
    is_entry = outcome == "REFUSED" or "EntryID" in facts
    is_import = outcome == "RECORDED" and IMPORT in facts
    return (ENTRY_DETAIL_TYPES if is_entry else DETAIL_TYPES)["IMPORTED" if is_import else outcome]


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
    subject = "entry" if "EntryID" in refusal else "payment"
    return f"differs from the recorded {subject} in: {', '.join(refusal['Differs'])}"
