"""The chain of a payment's entries: how the table `PaymentEntries` keeps them, and the one write that appends one.

The key is the TransactionID and the entry's number within the payment: 1, 2, 3 and so on. To append, the ledger reads
all entries of the payment, decides, and puts the next number under the condition that nobody has taken it:

    read 1 … n ─▶ decide ─▶ put n + 1 if it is free ─▶ RECORDED
         ▲                        │ taken: another delivery was faster
         └────────────────────────┘

The number is free only while what was read is still all there is. So the condition makes the whole decision atomic,
with one write and no counter. Nothing that was written ever changes but the publication marker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.amounts import DECIMAL
from ledger.entry import FINGERPRINTED, STATE_NAMES, Entry
from ledger.item import UnreadableItemError, read_attribute, shard_of
from ledger.totals import Totals, after, opening, violations
from ledger.violations import InvalidEntryError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from ledger.payment import Payment

MAX_RACES = 5
"""How often one call reads again because another delivery has taken the number. The state machine then retries."""

TOTALS = {"captured": "Captured", "refunded": "Refunded", "disputed": "Disputed"}
"""Fields of `Totals`, and their attributes in the item."""


class EntryConflictError(Exception):
    """The chain has a different entry under the EntryID. A business error, which is never retried.

    The message is JSON. It names the fields that differ, never their values.
    """

    def __init__(self, entry: Entry, differs: list[str]) -> None:
        self.differs = differs
        refusal = {
            "TransactionID": entry.transaction_id,
            "EntryID": entry.entry_id,
            "ProcessorID": entry.processor_id,
            "Differs": differs,
            "Fingerprint": entry.fingerprint,
        }
        super().__init__(json.dumps(refusal))


class EntryContentionError(Exception):
    """Other deliveries took the next number each time. Nothing was written, so the state machine retries."""


class DeliveredEntry(NamedTuple):
    """An entry that is about to be appended, and the delivery that brought it.

    `execution` (an ARN) and `recorded_at` (the start of that execution, in UTC) identify the delivery: neither changes
    on a retry or a redrive.
    """

    entry: Entry
    execution: str
    recorded_at: str


class RecordedEntry(NamedTuple):
    """An entry in the chain.

    `totals` are the payment's totals after it. `previous` is the hash of the entry before it, and the payment's
    fingerprint for the first one. `execution` and `recorded_at` are those of the delivery that brought it.
    """

    number: int
    entry: Entry
    totals: Totals
    previous: str
    execution: str
    recorded_at: str

    def facts(self) -> dict[str, Any]:
        """Return everything about the entry that never changes, under the names of the item's attributes."""
        return {
            **self.entry.as_state(),
            "Entry": self.number,
            **{name: getattr(self.totals, field) for field, name in TOTALS.items()},
            "Fingerprint": self.entry.fingerprint,
            "Previous": self.previous,
            "Execution": self.execution,
            "RecordedAt": self.recorded_at,
        }

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the facts as JSON with sorted keys, no spaces, and ASCII only."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def as_item(self) -> dict[str, Any]:
        """Return the item of an entry that is not published yet."""
        facts = self.facts()
        texts = {name: {"S": value} for name, value in facts.items() if isinstance(value, str)}
        shard = shard_of(self.entry.transaction_id)
        return {
            **texts,
            "Entry": {"N": f"{self.number}"},
            "Metadata": {"M": {key: {"S": text} for key, text in self.entry.metadata.items()}},
            "ProcessorShard": {"S": f"{self.entry.processor_id}#{shard}"},
            "Unpublished": {"S": f"{shard}"},
        }


def read_chain(client: DynamoDBClient, table_name: str, payment: Payment) -> list[RecordedEntry]:
    """Return all entries of a payment, in order, as they are at this moment.

    Each number, each total and each hash is computed again. An entry that was changed, removed or added by other means
    would let money out twice, so nothing is read beyond it.

    Raises:
        UnreadableItemError: an entry is damaged, or is not the one that follows. The error has its number.
        ClientError: any DynamoDB error, unchanged.
    """
    chain: list[RecordedEntry] = []
    for number, item in enumerate(_items(client, table_name, payment.transaction_id), 1):
        try:
            chain.append(_entry_of(item, payment, chain))
        except UnreadableItemError as damaged:
            raise UnreadableItemError(payment.transaction_id, damaged.attribute, entry=number) from None
    return chain


def _entry_of(item: Mapping[str, Any], payment: Payment, chain: Sequence[RecordedEntry]) -> RecordedEntry:
    """Return the entry that `as_item` wrote after those of *chain*.

    Raises:
        UnreadableItemError: an attribute is missing, or is not what follows.
    """

    def value(attribute: str, kind: str = "S") -> Any:
        return read_attribute(item, attribute, kind, payment.transaction_id)

    texts = {name: value(STATE_NAMES[name]) for name in FINGERPRINTED if name != "reverses"}
    try:
        metadata = {key: text["S"] for key, text in value("Metadata", "M").items()}
    except KeyError:
        raise UnreadableItemError(payment.transaction_id, "Metadata") from None
    reverses = value("Reverses") if "Reverses" in item else None
    entry = Entry(**texts, reverses=reverses, metadata=metadata)
    if entry.fingerprint != value("Fingerprint"):
        raise UnreadableItemError(payment.transaction_id, "Fingerprint")
    if not DECIMAL.fullmatch(entry.amount):
        raise UnreadableItemError(payment.transaction_id, "Amount")
    following = _following(payment, chain, DeliveredEntry(entry, value("Execution"), value("RecordedAt")))
    expected = following.as_item()
    for name in ("Entry", "Previous", *TOTALS.values()):
        if item.get(name) != expected[name]:
            raise UnreadableItemError(payment.transaction_id, name)
    if any(one.entry.entry_id == entry.entry_id for one in chain):
        raise UnreadableItemError(payment.transaction_id, "EntryID")
    return following


def _items(client: DynamoDBClient, table_name: str, transaction_id: str) -> Iterator[Mapping[str, Any]]:
    start: dict[str, Any] = {}
    while True:
        reply = client.query(
            TableName=table_name,
            KeyConditionExpression="TransactionID = :id",
            ExpressionAttributeValues={":id": {"S": transaction_id}},
            ConsistentRead=True,
            **start,
        )
        yield from reply["Items"]
        if "LastEvaluatedKey" not in reply:
            return
        start = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


def append_once(
    client: DynamoDBClient, table_name: str, payment: Payment, delivered: DeliveredEntry
) -> tuple[str, RecordedEntry]:
    """Append the entry to its payment's chain, unless the chain has it already.

    Args:
        client: a client of DynamoDB.
        table_name: the table of entries.
        payment: the recorded payment, which never changes.
        delivered: the entry and its delivery.

    Returns:
        `RECORDED` or `DUPLICATE`, and the entry as the chain has it.

    Raises:
        InvalidEntryError: the entry does not fit the payment or its totals. Never retried.
        EntryConflictError: the chain has another entry under this EntryID. Never retried.
        EntryContentionError: other deliveries were faster each time. Retried.
        UnreadableItemError: the chain is damaged.
        ClientError: any DynamoDB error, unchanged; the state machine retries what may pass.
    """
    if delivered.entry.transaction_id != payment.transaction_id:
        raise ValueError("the entry belongs to another payment")
    for _ in range(MAX_RACES):
        chain = read_chain(client, table_name, payment)
        if repeated := _repeated(chain, delivered):
            return repeated
        following = next_entry(payment, chain, delivered)
        try:
            client.put_item(
                TableName=table_name,
                Item=following.as_item(),
                ConditionExpression="attribute_not_exists(TransactionID)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            continue
        return "RECORDED", following
    # A write that lost its reply is sent again by the SDK, and then finds its own number taken.
    if repeated := _repeated(read_chain(client, table_name, payment), delivered):
        return repeated
    raise EntryContentionError(f"others were faster {MAX_RACES} times")


def next_entry(payment: Payment, chain: Sequence[RecordedEntry], delivered: DeliveredEntry) -> RecordedEntry:
    """Return the next entry of the chain.

    Raises:
        InvalidEntryError: the entry does not fit the payment or its totals.
    """
    entry = delivered.entry
    if broken := violations(payment, [one.entry for one in chain], _totals_of(payment, chain), entry):
        raise InvalidEntryError(
            broken, transaction_id=entry.transaction_id, entry_id=entry.entry_id, processor_id=entry.processor_id
        )
    return _following(payment, chain, delivered)


def _totals_of(payment: Payment, chain: Sequence[RecordedEntry]) -> Totals:
    """Return the payment's totals after all entries of the chain."""
    return chain[-1].totals if chain else opening(payment)


def _following(payment: Payment, chain: Sequence[RecordedEntry], delivered: DeliveredEntry) -> RecordedEntry:
    """Return what an entry is as the next one of the chain: its number, the totals after it, and the hash before it."""
    previous = chain[-1].hash if chain else payment.fingerprint
    entry, execution, recorded_at = delivered
    return RecordedEntry(
        len(chain) + 1, entry, after(_totals_of(payment, chain), entry), previous, execution, recorded_at
    )


def _repeated(chain: Sequence[RecordedEntry], delivered: DeliveredEntry) -> tuple[str, RecordedEntry] | None:
    """Return the outcome of an entry whose EntryID the chain has already, and that entry; None if it has none.

    The outcome is `DUPLICATE`, or `RECORDED` if this very delivery wrote the entry and only lost the reply.

    Raises:
        EntryConflictError: the chain has another entry under this EntryID.
    """
    entry = delivered.entry
    for one in chain:
        if one.entry.entry_id != entry.entry_id:
            continue
        if one.entry.fingerprint != entry.fingerprint:
            names = [name for name in FINGERPRINTED if getattr(one.entry, name) != getattr(entry, name)]
            raise EntryConflictError(entry, sorted(STATE_NAMES[name] for name in names))
        is_own_write = (one.execution, one.recorded_at) == (delivered.execution, delivered.recorded_at)
        return ("RECORDED" if is_own_write else "DUPLICATE"), one
    return None
