"""The contract of an entry: what a processor reports about a payment that the ledger has recorded already.

From an input to one canonical entry, or to every rule that the input breaks. What an entry does to the payment's totals
is in `totals`. This module knows nothing of AWS. No message contains a value of the input.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger.amounts import minor_unit, parse_amount
from ledger.currencies import FORMER_MINOR_UNITS
from ledger.fields import (
    IMPORT,
    FieldReader,
    card_violations,
    parse_currency,
    parse_identifier,
    parse_import,
    parse_metadata,
    parse_refused,
    unknown_fields,
)
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, InvalidEntryError, Violation

MAX_METADATA_BYTES = 1024
"""Of compact JSON in UTF-8. Each entry of a payment reads all entries before it, and one answer has them all."""

KINDS = ("Captured", "Voided", "Refunded", "RefundFailed", "Disputed", "DisputeWon", "DisputeLost")

KIND_BEFORE = {"RefundFailed": "Refunded", "DisputeWon": "Disputed", "DisputeLost": "Disputed"}
"""Kinds that undo or decide another entry, which `Reverses` names, and the kind of that entry."""

ENTRY_FIELDS = (
    "TransactionID",
    "EntryID",
    "Kind",
    "Amount",
    "Currency",
    "ProcessorID",
    "Timestamp",
    "Reverses",
    "Metadata",
)
"""Fields that a processor may send. A caller that may start executions may also send `Import`."""

STATE_NAMES = {
    "transaction_id": "TransactionID",
    "entry_id": "EntryID",
    "kind": "Kind",
    "amount": "Amount",
    "currency": "Currency",
    "processor_id": "ProcessorID",
    "timestamp": "Timestamp",
    "reverses": "Reverses",
    "metadata": "Metadata",
    "imported": IMPORT,
}
"""Attributes of `Entry`, and their names in the contract."""

FINGERPRINTED = tuple(name for name in STATE_NAMES if name not in {"metadata", "imported"})
"""Attributes that decide whether two entries are the same one."""


TOKENS = frozenset({"SecureToken", "SealedToken"})
"""Fields that only a payment has."""


def is_entry(start_input: object) -> bool:
    """Return whether an input is an entry and not a payment: only an entry says what kind it is, and has such an ID.

    What has a token is never taken for an entry, since only the contract of payments searches every field for it.
    """
    if not isinstance(start_input, dict) or TOKENS & start_input.keys():
        return False
    return "EntryID" in start_input or "Kind" in start_input


class Entry(NamedTuple):
    """An entry in canonical form: equal entries have equal fields.

    `entry_id` is the processor's own ID of the event, such as a refund's. `amount` is decimal text with the decimals
    that the currency had at the entry's time. `reverses` is the EntryID of another entry; None if the kind has none.
    `imported` is `quiet` or `published` if the entry is history from elsewhere, and None otherwise.
    """

    transaction_id: str
    entry_id: str
    kind: str
    amount: str
    currency: str
    processor_id: str
    timestamp: str
    reverses: str | None
    metadata: Mapping[str, str]
    imported: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the entry's identity: of every field but the metadata and the import."""
        identity = [getattr(self, name) for name in FINGERPRINTED]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def as_state(self) -> dict[str, Any]:
        """Return the entry as the workflow carries it, under the contract's names."""
        values = {STATE_NAMES[name]: value for name, value in self._asdict().items()}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Entry":
        """Return the entry that `as_state` wrote."""
        values: dict[str, Any] = {name: state.get(STATE_NAMES[name]) for name in cls._fields}
        return cls(**values)


def parse_entry(start_input: object, *, imports: bool = False) -> Entry:
    """Return the canonical entry, or report every violation at once.

    Args:
        start_input: parsed JSON of any form, as the Lambda runtime passes it on.
        imports: whether the sender may say that the entry is imported. A processor may not.

    Raises:
        InvalidEntryError: the input breaks at least one rule. Never retried.
    """
    if not isinstance(start_input, dict):
        raise InvalidEntryError([Violation("Entry", "not_an_object")])

    fields = FieldReader(start_input)
    violations = fields.violations
    unknown = (name for name in start_input if name not in ENTRY_FIELDS and name != IMPORT)
    violations.extend(unknown_fields(unknown, (*ENTRY_FIELDS, IMPORT) if imports else ENTRY_FIELDS, "Entry"))
    transaction_id = fields.required("TransactionID", parse_identifier)
    entry_id = fields.required("EntryID", parse_identifier)
    processor_id = fields.required("ProcessorID", parse_identifier)
    kind = fields.required("Kind", _parse_kind)
    timestamp = fields.required("Timestamp", utc_timestamp)
    currency = fields.required("Currency", _parse_currency, timestamp)
    amount = fields.required("Amount", _parse_amount, None if currency is None else _decimals(currency, timestamp))
    reverses = None
    if kind in KIND_BEFORE or (kind is None and "Reverses" in start_input):
        reverses = fields.required("Reverses", parse_identifier)
    elif "Reverses" in start_input:
        violations.append(Violation("Reverses", "not_for_this_kind"))
    metadata = fields.optional("Metadata", _parse_metadata, default={})
    if metadata is not None:  # and so within its lengths, which bound the cost of the search
        violations.extend(card_violations(metadata))
    imported = fields.required(IMPORT, parse_import, imports) if IMPORT in start_input else None
    if entry_id is not None and entry_id == transaction_id:
        violations.append(Violation("EntryID", "id_of_the_payment"))
    if violations:
        ids = {"transaction_id": transaction_id, "entry_id": entry_id, "processor_id": processor_id}
        # An ID could be the token: then no message may name it.
        raise InvalidEntryError(violations, **({} if TOKENS & start_input.keys() else ids))
    return Entry(
        transaction_id, entry_id, kind, amount, currency, processor_id, timestamp, reverses, metadata, imported
    )


def parse_refused_entry(start_input: object) -> InvalidEntryError | None:
    """Return the refusal of an entry that `refused_input` wrote; None for any other input."""
    return parse_refused(start_input, InvalidEntryError, {*ENTRY_FIELDS, IMPORT, "Entry"})


def _parse_kind(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if value not in KINDS:
        raise BrokenRuleError("kind")
    return value


def _parse_currency(value: object, timestamp: str | None) -> str:
    """Return the currency, which may be retired: a refund may come after the currency of its payment has ended."""
    if isinstance(value, str) and value in FORMER_MINOR_UNITS:
        return value
    return parse_currency(value, timestamp)


def _decimals(currency: str, timestamp: str | None) -> int:
    """Return how many decimals the currency had at that time; those that it had last, if it was retired before."""
    decimals = minor_unit(currency, timestamp)
    return FORMER_MINOR_UNITS[currency][-1][1] if decimals is None else decimals


def _parse_metadata(value: object) -> dict[str, str]:
    metadata = parse_metadata(value)
    if len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_METADATA_BYTES:
        raise BrokenRuleError("metadata_length")
    return metadata


def _parse_amount(value: object, decimals: int | None) -> str:
    """Return the amount, which is not zero: an entry of nothing says nothing."""
    amount = parse_amount(value, decimals)
    if not amount.strip("0."):
        raise BrokenRuleError("zero")
    return amount
