"""The ledger's item: what one payment is in the table `PaymentLedger`, in DynamoDB's attribute form.

Business attributes are written once. Only the publication marker changes later: `Unpublished` is
removed in the same update that sets `PublishedAt`.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.payment import FINGERPRINTED, MAX_DIGITS, STATE_NAMES, BrokenRuleError, Payment, utc_timestamp

SHARDS = 8
"""Partitions per processor (and for the unpublished): one takes 1,000 writes/s, and a busy index pushes back
on the table itself. Source: DynamoDB Developer Guide, partitions and back-pressure of global secondary indexes."""


ATTRIBUTES = frozenset(
    "TransactionID SecureToken Amount Currency ProcessorID Status Timestamp Metadata Fingerprint RecordedAt Execution "
    "TokenKey ProcessorShard".split()
)
"""Of every item; beside them, an item has `Unpublished`, or `PublishedAt` once it is marked."""


class PaymentConflictError(Exception):
    """The TransactionID is taken by a different payment. A business refusal: never retried.

    The message is JSON and names the fields that differ, never their values.
    """

    def __init__(self, payment: Payment, differs: list[str]) -> None:
        self.differs = differs
        refusal = {
            "TransactionID": payment.transaction_id,
            "ProcessorID": payment.processor_id,
            "Differs": differs,
            "Fingerprint": payment.fingerprint,
        }
        super().__init__(json.dumps(refusal))


class UnreadableItemError(Exception):
    """An item is not what this ledger has written: an attribute is missing, or is not what the fingerprint is of.

    The message is JSON and names the item and the attribute, never a value.
    """

    def __init__(self, transaction_id: str, attribute: str) -> None:
        self.transaction_id, self.attribute = transaction_id, attribute
        super().__init__(json.dumps({"TransactionID": transaction_id, "Attribute": attribute}))


class EncryptedPayment(NamedTuple):
    """A payment about to be written down, with the delivery that brought it.

    `execution` (an ARN) and `recorded_at` (that execution's start, UTC) identify the delivery: neither
    changes on a retry or a redrive. Both are needed, since a name is free again 90 days after its
    execution closed. Source: Step Functions API, StartExecution.
    """

    payment: Payment
    ciphertext: bytes
    token_key: str
    execution: str
    recorded_at: str

    def as_item(self) -> dict[str, Any]:
        """The item of a payment that is not yet published."""
        payment = self.payment
        shard = shard_of(payment.transaction_id)
        return {
            "TransactionID": {"S": payment.transaction_id},
            "SecureToken": {"B": self.ciphertext},
            "Amount": {"N": number(payment.amount)},
            "Currency": {"S": payment.currency},
            "ProcessorID": {"S": payment.processor_id},
            "Status": {"S": payment.status},
            "Timestamp": {"S": payment.timestamp},
            "Metadata": {"M": {key: {"S": text} for key, text in payment.metadata.items()}},
            "Fingerprint": {"S": payment.fingerprint},
            "RecordedAt": {"S": self.recorded_at},
            "Execution": {"S": self.execution},
            "TokenKey": {"S": self.token_key},
            "ProcessorShard": {"S": f"{payment.processor_id}#{shard}"},
            "Unpublished": {"S": f"{shard}"},
        }

    def wrote(self, item: Mapping[str, Any]) -> bool:
        """Whether *item* is this very delivery's own write, whose reply was lost."""
        written = [stored(item, name, "S", self.payment.transaction_id) for name in ("Execution", "RecordedAt")]
        return written == [self.execution, self.recorded_at]


def stored(item: Mapping[str, Any], attribute: str, kind: str, transaction_id: str) -> Any:
    """Return an attribute's value of the DynamoDB type *kind*.

    Raises:
        UnreadableItemError: the item has no such attribute, or one of another type.
    """
    try:
        return item[attribute][kind]
    except KeyError:
        raise UnreadableItemError(transaction_id, attribute) from None


def differing_fields(item: Mapping[str, Any], payment: Payment) -> list[str]:
    """The contract's fields in which *item* is another payment; empty where it is the same one.

    Raises:
        UnreadableItemError: the item is not what this ledger has written, so that nobody can tell.
    """
    if as_recorded(payment, stored(item, "Fingerprint", "S", payment.transaction_id)):
        return []
    values = payment.as_state()
    names = [STATE_NAMES[name] for name in FINGERPRINTED if name != "amount"]
    differs = [name for name in names if stored(item, name, "S", payment.transaction_id) != values[name]]
    if Decimal(stored(item, "Amount", "N", payment.transaction_id)) != Decimal(payment.amount):
        differs.append("Amount")
    # Equal fields under another fingerprint cannot be, unless the item was changed: never a DUPLICATE.
    return sorted(differs) or ["Fingerprint"]


def recorded_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """The payment as it stands in the ledger or in an index of it: what an outcome event tells.

    Raises:
        UnreadableItemError: the item is not what this ledger has written.
    """
    transaction_id = item["TransactionID"]["S"]

    def value(attribute: str, kind: str) -> Any:
        return stored(item, attribute, kind, transaction_id)

    try:
        metadata = {key: text["S"] for key, text in value("Metadata", "M").items()}
    except KeyError:
        raise UnreadableItemError(transaction_id, "Metadata") from None
    payment = Payment(
        transaction_id=transaction_id,
        amount=value("Amount", "N"),
        currency=value("Currency", "S"),
        processor_id=value("ProcessorID", "S"),
        status=value("Status", "S"),
        timestamp=value("Timestamp", "S"),
        metadata=metadata,
    )
    facts = {name: value(name, "S") for name in ("Fingerprint", "RecordedAt", "Execution")}
    recorded = as_recorded(payment, facts["Fingerprint"])
    if recorded is None:
        raise UnreadableItemError(transaction_id, "Fingerprint")
    if not facts["Execution"]:
        raise UnreadableItemError(transaction_id, "Execution")
    return {**recorded.as_state(), **facts, "RecordedAt": _moment(item, "RecordedAt")}


def published_at(item: Mapping[str, Any]) -> str | None:
    """Return when the item was marked as published; None if it is not yet.

    Raises:
        UnreadableItemError: the marker is not what this ledger has written.
    """
    return _moment(item, "PublishedAt") if "PublishedAt" in item else None


def _moment(item: Mapping[str, Any], attribute: str) -> str:
    """Return a canonical timestamp, whose text order is time order."""
    transaction_id = item["TransactionID"]["S"]
    text: str = stored(item, attribute, "S", transaction_id)
    try:
        is_canonical = utc_timestamp(text) == text
    except BrokenRuleError:
        is_canonical = False
    if not is_canonical:
        raise UnreadableItemError(transaction_id, attribute)
    return text


def as_recorded(payment: Payment, fingerprint: str) -> Payment | None:
    """Return *payment* with its amount as the text that was recorded; None if the fingerprint is of another payment.

    DynamoDB keeps a number and not how many decimals it was written with. The fingerprint is of the text, so it tells,
    whatever ISO 4217 says of the currency's decimals today.
    """
    whole, _, fraction = format(Decimal(payment.amount), "f").partition(".")
    fraction = fraction.rstrip("0")
    for decimals in range(len(fraction), MAX_DIGITS + 1):
        text = f"{whole}.{fraction:0<{decimals}}" if decimals else whole
        recorded = payment._replace(amount=text)
        if recorded.fingerprint == fingerprint:
            return recorded
    return None


def shard_of(transaction_id: str) -> int:
    """The payment's shard, from 0 to `SHARDS` - 1, the same for ever."""
    return hashlib.sha256(transaction_id.encode()).digest()[0] % SHARDS


def number(amount: str) -> str:
    """Decimal text as DynamoDB gives it back: at most 38 digits, no superfluous zeros."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount
