"""The ledger's item: how the table `PaymentLedger` keeps one payment, in DynamoDB's attribute form.

The ledger writes business attributes once. Only two markers change later, each once: the update that sets `PublishedAt`
also removes `Unpublished`, and the update that sets `Seal` also removes `Unsealed`. A quiet import is never published,
so it has neither of the first two.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.amounts import from_dynamodb_number, to_dynamodb_number
from ledger.fields import IMPORT, PUBLISHED, QUIET
from ledger.payment import FINGERPRINTED, STATE_NAMES, Payment
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError

SHARDS = 8
"""Partitions for each processor, and for the unpublished payments. A partition accepts 1,000 writes a second, and a
busy index slows down the table itself. Source: DynamoDB Developer Guide, partitions and back-pressure of global
secondary indexes."""


ATTRIBUTES = frozenset(
    "TransactionID SecureToken Amount Currency ProcessorID Status Timestamp Metadata Fingerprint RecordedAt Execution "
    "TokenKey ProcessorShard".split()
)
"""Attributes of every item, without its markers."""

IMPORT_PAIR = "ledger:import"
"""Key in the map `Metadata` of an imported payment; the pair's text is the payment's `Import`. The attributes of an
index cannot be changed, and the sweep and the lists read indexes that have the map. No sender's key has a colon."""


class UnreadableItemError(Exception):
    """An item is damaged: an attribute is missing, or does not match the fingerprint.

    The message is JSON. It names the item and the attribute, never a value.
    """

    def __init__(self, transaction_id: str, attribute: str, *, entry: int | None = None) -> None:
        self.transaction_id, self.attribute, self.entry = transaction_id, attribute, entry
        super().__init__(json.dumps(self.as_dict()))

    def as_dict(self) -> dict[str, Any]:
        """Return the ID, the number of the entry if it is one, and the attribute: the form of messages and answers."""
        number = {} if self.entry is None else {"Entry": self.entry}
        return {"TransactionID": self.transaction_id, **number, "Attribute": self.attribute}


class EncryptedPayment(NamedTuple):
    """A payment that is about to be written, and the delivery that brought it.

    `execution` (an ARN) and `recorded_at` (the start of that execution, in UTC) identify the delivery: neither changes
    on a retry or a redrive. Both are needed, because the name of an execution is free again 90 days after the execution
    closed. Source: Step Functions API, StartExecution.
    """

    payment: Payment
    ciphertext: bytes
    token_key: str
    execution: str
    recorded_at: str

    def as_item(self) -> dict[str, Any]:
        """Return the item of a payment that is neither published nor sealed yet."""
        payment = self.payment
        shard = shard_of(payment.transaction_id)
        imported = {} if payment.imported is None else {IMPORT_PAIR: payment.imported}
        return {
            "TransactionID": {"S": payment.transaction_id},
            "SecureToken": {"B": self.ciphertext},
            "Amount": {"N": to_dynamodb_number(payment.amount)},
            "Currency": {"S": payment.currency},
            "ProcessorID": {"S": payment.processor_id},
            "Status": {"S": payment.status},
            "Timestamp": {"S": payment.timestamp},
            "Metadata": {"M": {key: {"S": text} for key, text in {**payment.metadata, **imported}.items()}},
            "Fingerprint": {"S": payment.fingerprint},
            "RecordedAt": {"S": self.recorded_at},
            "Execution": {"S": self.execution},
            "TokenKey": {"S": self.token_key},
            "ProcessorShard": {"S": f"{payment.processor_id}#{shard}"},
            **new_markers(shard, payment.imported),
        }

    def is_own_write(self, item: Mapping[str, Any]) -> bool:
        """Return whether this very delivery wrote *item*, and only lost the reply."""
        written = [read_attribute(item, name, "S", self.payment.transaction_id) for name in ("Execution", "RecordedAt")]
        return written == [self.execution, self.recorded_at]


def read_attribute(item: Mapping[str, Any], attribute: str, kind: str, transaction_id: str) -> Any:
    """Return an attribute's value of the DynamoDB type *kind*.

    Raises:
        UnreadableItemError: the item lacks the attribute, or has it with another type.
    """
    try:
        return item[attribute][kind]
    except KeyError:
        raise UnreadableItemError(transaction_id, attribute) from None


def differing_fields(item: Mapping[str, Any], payment: Payment) -> list[str]:
    """Return the contract's fields in which *item* and *payment* differ; an empty list if they are the same payment.

    Raises:
        UnreadableItemError: the item is damaged, so that no comparison is possible.
    """
    if as_recorded(payment, read_attribute(item, "Fingerprint", "S", payment.transaction_id)):
        return []
    values = payment.as_state()
    names = [STATE_NAMES[name] for name in FINGERPRINTED if name != "amount"]
    differs = [name for name in names if read_attribute(item, name, "S", payment.transaction_id) != values[name]]
    if Decimal(read_attribute(item, "Amount", "N", payment.transaction_id)) != Decimal(payment.amount):
        differs.append("Amount")
    # Equal fields with another fingerprint mean that the item was changed: that is never a DUPLICATE.
    return sorted(differs) or ["Fingerprint"]


def recorded_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payment as the table or one of its indexes has it: the facts that an outcome event publishes.

    Raises:
        UnreadableItemError: the item is damaged.
    """
    transaction_id = item["TransactionID"]["S"]
    metadata = read_metadata(item)
    imported = metadata.pop(IMPORT_PAIR, None)
    if imported is not None:
        check_import(imported, transaction_id, "Metadata")
    recorded = recorded_payment(item, metadata)._replace(imported=imported)
    facts = {name: read_attribute(item, name, "S", transaction_id) for name in ("Fingerprint", "Execution")}
    if not facts["Execution"]:
        raise UnreadableItemError(transaction_id, "Execution")
    return {**recorded.as_state(), **facts, "RecordedAt": read_timestamp(item, "RecordedAt")}


def recorded_payment(item: Mapping[str, Any], metadata: Mapping[str, str]) -> Payment:
    """Return the payment as it was recorded, with *metadata*, which is no part of its identity.

    Raises:
        UnreadableItemError: the item is damaged.
    """
    transaction_id = item["TransactionID"]["S"]

    def value(attribute: str, kind: str = "S") -> Any:
        return read_attribute(item, attribute, kind, transaction_id)

    payment = Payment(
        transaction_id=transaction_id,
        amount=value("Amount", "N"),
        currency=value("Currency"),
        processor_id=value("ProcessorID"),
        status=value("Status"),
        timestamp=value("Timestamp"),
        metadata=metadata,
    )
    recorded = as_recorded(payment, value("Fingerprint"))
    if recorded is None:
        raise UnreadableItemError(transaction_id, "Fingerprint")
    return recorded


def read_metadata(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a payment or an entry. Those of an imported payment have the pair `IMPORT_PAIR` as well.

    Raises:
        UnreadableItemError: it is damaged.
    """
    transaction_id = item["TransactionID"]["S"]
    try:
        return {key: text["S"] for key, text in read_attribute(item, "Metadata", "M", transaction_id).items()}
    except KeyError:
        raise UnreadableItemError(transaction_id, "Metadata") from None


def new_markers(shard: int, imported: str | None) -> dict[str, Any]:
    """Return the markers of a new item: by them the sweep and the sealer find it. No sweep looks for a quiet import."""
    unpublished = {} if imported == QUIET else {"Unpublished": {"S": f"{shard}"}}
    return {**unpublished, "Unsealed": {"S": f"{shard}"}}


def seal_of(item: Mapping[str, Any]) -> int | None:
    """Return the number of the seal that has the record; None if no seal has it yet.

    Raises:
        UnreadableItemError: the marker is damaged.
    """
    if "Seal" not in item:
        return None
    transaction_id = item["TransactionID"]["S"]
    number = read_attribute(item, "Seal", "N", transaction_id)
    if not number.isdecimal():
        raise UnreadableItemError(transaction_id, "Seal")
    return int(number)


def check_import(imported: str, transaction_id: str, attribute: str) -> None:
    """Return if the text is one that the ledger writes for an import.

    Raises:
        UnreadableItemError: it is not, so that the attribute is damaged.
    """
    if imported not in (QUIET, PUBLISHED):
        raise UnreadableItemError(transaction_id, attribute)


def is_quiet(facts: Mapping[str, Any]) -> bool:
    """Return whether the facts of a payment or an entry are those of a quiet import, which nothing ever publishes."""
    return facts.get(IMPORT) == QUIET


def publication_of(outcome: str, facts: Mapping[str, Any], *, is_marked: bool, is_import: bool) -> bool | None:
    """Return whether the ledger has published what it recorded, and None if this delivery publishes nothing.

    That is a quiet import, or an import of what the ledger had before. History must not wake consumers: if what it had
    is not published yet, the sweep publishes it.

    Args:
        outcome: `RECORDED` or `DUPLICATE`.
        facts: those of the recorded payment or entry.
        is_marked: whether its item says that it was published.
        is_import: whether this delivery is an import, whatever the recorded one was.
    """
    if is_import and (outcome == "DUPLICATE" or is_quiet(facts)):
        return None
    return is_marked or is_quiet(facts)


def published_at(item: Mapping[str, Any]) -> str | None:
    """Return when the item was marked as published; None if it is not marked yet.

    Raises:
        UnreadableItemError: the marker is damaged.
    """
    return read_timestamp(item, "PublishedAt") if "PublishedAt" in item else None


def read_timestamp(item: Mapping[str, Any], attribute: str) -> str:
    """Return a canonical timestamp, whose text order is time order.

    Raises:
        UnreadableItemError: it is damaged.
    """
    transaction_id = item["TransactionID"]["S"]
    text: str = read_attribute(item, attribute, "S", transaction_id)
    try:
        is_canonical = utc_timestamp(text) == text
    except BrokenRuleError:
        is_canonical = False
    if not is_canonical:
        raise UnreadableItemError(transaction_id, attribute)
    return text


def as_recorded(payment: Payment, fingerprint: str) -> Payment | None:
    """Return *payment* with its amount as it was recorded; None if the fingerprint belongs to another payment.

    DynamoDB does not keep how many decimals an amount was recorded with. The fingerprint shows it, because it is a hash
    of the amount's text. So the result does not depend on the decimals that ISO 4217 gives the currency today.
    """
    for amount in from_dynamodb_number(payment.amount):
        recorded = payment._replace(amount=amount)
        if recorded.fingerprint == fingerprint:
            return recorded
    return None


def shard_of(transaction_id: str) -> int:
    """Return the payment's shard, from 0 to `SHARDS` - 1. It never changes."""
    return hashlib.sha256(transaction_id.encode()).digest()[0] % SHARDS
