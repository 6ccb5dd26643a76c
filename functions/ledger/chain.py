"""The chain of a payment's entries: how the table `PaymentEntries` keeps them, and the one write that appends one.

The key is the TransactionID and the entry's number within the payment: 1, 2, 3 and so on. To append, the ledger reads
all entries of the payment, decides, and puts the next number under the condition that nobody has taken it:

    read 1 … n ─▶ decide ─▶ put n + 1 if it is free ─▶ RECORDED
         ▲                        │ taken: another delivery was faster
         └────────────────────────┘

The number is free only while what was read is still all there is. So the condition makes the whole decision atomic,
with one write and no counter. Nothing that was written ever changes but the two markers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ledger.amounts import DECIMAL
from ledger.entry import FINGERPRINTED, STATE_NAMES, Entry
from ledger.fields import IMPORT
from ledger.item import (
    UnreadableItemError,
    check_import,
    new_markers,
    published_at,
    read_attribute,
    read_metadata,
    read_timestamp,
    recorded_payment,
    seal_of,
    shard_of,
)
from ledger.totals import Totals, after, opening, violations
from ledger.violations import EntryConflictError, EntryTooEarlyError, InvalidEntryError, Violation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from ledger.payment import Payment

AppendOutcome = Literal["RECORDED", "DUPLICATE"]

MAX_RACES = 3
"""How often one call reads again because another delivery has taken the number. The state machine then retries."""

COMES_LATER = frozenset({"unknown_payment", "unknown_entry"})
"""Rules that an entry may keep later, since what it needs may still be on its way."""

TOTAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
"""Form of a total. After an accepted entry it may be negative."""

NEVER_ACCEPTED = frozenset({"currency", "processor", "too_many_entries"})
"""Rules that an operator cannot waive: an amount in another currency cannot be added, another processor knows nothing
of the payment, and a chain has an end."""


class EntryContentionError(Exception):
    """Other deliveries took the next number each time. Nothing was written, so the state machine retries."""


class DeliveredEntry(NamedTuple):
    """An entry that is about to be appended, and the delivery that brought it.

    `execution` (an ARN) and `recorded_at` (the start of that execution, in UTC) identify the delivery: neither changes
    on a retry or a redrive. `acceptance` says why and for whom an operator had the entry appended although it breaks
    rules; it is None if no operator did.
    """

    entry: Entry
    execution: str
    recorded_at: str
    acceptance: Mapping[str, str] | None = None


class RecordedEntry(NamedTuple):
    """An entry in the chain.

    `totals` are the payment's totals after it. `previous` is the hash of the entry before it, and the payment's
    fingerprint for the first one. `published_at` and `seal` are its markers: None if it is not published or sealed yet.
    The other fields are those of the delivery that brought it.
    """

    number: int
    entry: Entry
    totals: Totals
    previous: str
    execution: str
    recorded_at: str
    acceptance: Mapping[str, str] | None = None
    published_at: str | None = None
    seal: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return everything about the entry that never changes: what an outcome event and a query show of it."""
        acceptance = {} if self.acceptance is None else {"Acceptance": dict(self.acceptance)}
        return {
            **self.entry.as_state(),
            "Entry": self.number,
            "Totals": self.totals.as_dict(),
            **acceptance,
            "Fingerprint": self.entry.fingerprint,
            "Previous": self.previous,
            "Execution": self.execution,
            "RecordedAt": self.recorded_at,
        }

    def view(self) -> dict[str, Any]:
        """Return the facts, when the entry was published, and the seal that has it: null if that is still to come."""
        return {**self.facts(), "PublishedAt": self.published_at, "Seal": self.seal}

    @property
    def hash(self) -> str:
        """The hash of the facts, which the next entry has as `Previous`."""
        return facts_hash(self.facts())

    def as_item(self) -> dict[str, Any]:
        """Return the item of an entry that is neither published nor sealed yet."""
        shard = shard_of(self.entry.transaction_id)
        return {
            **{name: _attribute(value) for name, value in self.facts().items()},
            "ProcessorShard": {"S": f"{self.entry.processor_id}#{shard}"},
            **new_markers(shard, self.entry.imported),
        }


def facts_hash(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of an entry's facts as JSON with sorted keys, no spaces, and ASCII only.

    The import is no part of it: the same entry has the same hash, however the ledger learned of it.
    """
    hashed = {name: value for name, value in facts.items() if name != IMPORT}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _attribute(value: Any) -> dict[str, Any]:
    """Return one of the facts in DynamoDB's attribute form."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": f"{value}"}
    return {"M": {name: _attribute(part) for name, part in value.items()}}


def read_payment(client: DynamoDBClient, table_name: str, entry: Entry) -> Payment:
    """Return the payment of an entry as the ledger has it, without its metadata.

    Raises:
        EntryTooEarlyError: the ledger has no payment under the ID. It may still be on its way.
        UnreadableItemError: the item is damaged.
        ClientError: any DynamoDB error, unchanged.
    """
    reply = client.get_item(
        TableName=table_name,
        Key={"TransactionID": {"S": entry.transaction_id}},
        ProjectionExpression="TransactionID, Amount, Currency, ProcessorID, #s, #t, Fingerprint",
        ExpressionAttributeNames={"#s": "Status", "#t": "Timestamp"},
        ConsistentRead=True,
    )
    if "Item" not in reply:
        raise refusal(entry, [Violation("TransactionID", "unknown_payment")])
    return recorded_payment(reply["Item"], {})


def read_chain(client: DynamoDBClient, table_name: str, payment: Payment) -> list[RecordedEntry]:
    """Return all entries of a payment, in order, as they are at this moment.

    Raises:
        UnreadableItemError: an entry is damaged, or is not the one that follows. The error has its number.
        ClientError: any DynamoDB error, unchanged.
    """
    return list(walk_chain(client, table_name, payment))


def walk_chain(client: DynamoDBClient, table_name: str, payment: Payment) -> Iterator[RecordedEntry]:
    """Yield all entries of a payment, in order, as they are at this moment.

    Each number, each total and each hash is computed again. An entry that was changed, removed or added by other means
    would let money out twice, so nothing is read beyond it.

    Raises:
        UnreadableItemError: an entry is damaged, or is not the one that follows. The error has its number.
        ClientError: any DynamoDB error, unchanged.
    """
    chain: list[RecordedEntry] = []
    for number, item in enumerate(items_of(client, table_name, payment.transaction_id), 1):
        try:
            chain.append(_entry_of(item, payment, chain))
        except UnreadableItemError as damaged:
            raise UnreadableItemError(payment.transaction_id, damaged.attribute, entry=number) from None
        yield chain[-1]


def _entry_of(item: Mapping[str, Any], payment: Payment, chain: Sequence[RecordedEntry]) -> RecordedEntry:
    """Return the entry that `as_item` wrote after those of *chain*.

    Raises:
        UnreadableItemError: an attribute is missing, or is not what follows.
    """
    read = _entry_in(item)
    delivered = DeliveredEntry(read.entry, read.execution, read.recorded_at, read.acceptance)
    following = _following(payment, chain, delivered)
    for name, field in (("Entry", "number"), ("Previous", "previous"), ("Totals", "totals")):
        if getattr(read, field) != getattr(following, field):
            raise UnreadableItemError(payment.transaction_id, name)
    if any(one.entry.entry_id == read.entry.entry_id for one in chain):
        raise UnreadableItemError(payment.transaction_id, "EntryID")
    return read


def read_entry(item: Mapping[str, Any]) -> RecordedEntry:
    """Return the entry that an item has, in the table or in one of its indexes.

    It does not know the entries before, so it cannot tell whether the totals follow from them: `read_chain` does.

    Raises:
        UnreadableItemError: an attribute is missing, or is not what the ledger has written. The error has the number.
    """
    try:
        return _entry_in(item)
    except UnreadableItemError as damaged:
        number = _read_number(item["Entry"]["N"])
        raise UnreadableItemError(damaged.transaction_id, damaged.attribute, entry=number) from None


def _entry_in(item: Mapping[str, Any]) -> RecordedEntry:
    transaction_id = item["TransactionID"]["S"]

    def value(attribute: str, kind: str = "S") -> Any:
        return read_attribute(item, attribute, kind, transaction_id)

    texts = {name: value(STATE_NAMES[name]) for name in FINGERPRINTED if name != "reverses"}
    reverses = value("Reverses") if "Reverses" in item else None
    imported = value(IMPORT) if IMPORT in item else None
    if imported is not None:
        check_import(imported, transaction_id, IMPORT)
    entry = Entry(**texts, reverses=reverses, metadata=read_metadata(item), imported=imported)
    if entry.fingerprint != value("Fingerprint"):
        raise UnreadableItemError(transaction_id, "Fingerprint")
    if not DECIMAL.fullmatch(entry.amount):
        raise UnreadableItemError(transaction_id, "Amount")
    read = RecordedEntry(
        number=_read_number(value("Entry", "N")),
        entry=entry,
        totals=_read_totals(value("Totals", "M"), transaction_id),
        previous=value("Previous"),
        execution=value("Execution"),
        recorded_at=read_timestamp(item, "RecordedAt"),
        acceptance=_read_texts(value("Acceptance", "M")) if "Acceptance" in item else None,
        published_at=published_at(item),
        seal=seal_of(item),
    )
    # Whatever was read is written again: so no attribute has another form, and no total a form that no amount has.
    for name, attribute in read.as_item().items():
        if name not in {"Unpublished", "Unsealed"} and item.get(name) != attribute:
            raise UnreadableItemError(transaction_id, name)
    return read


def entry_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the entry that an item has, as `recorded_facts` does for a payment."""
    return read_entry(item).facts()


def entry_view(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry that an item has, with its markers."""
    return read_entry(item).view()


def _read_number(text: str) -> int:
    """Return a number that counts from 1; 0 if it is none, so that it differs from what the item has."""
    return int(text) if text.isdecimal() else 0


def _read_texts(attribute: Mapping[str, Any]) -> dict[str, str]:
    return {name: text["S"] for name, text in attribute.items() if "S" in text}


def _read_totals(attribute: Mapping[str, Any], transaction_id: str) -> Totals:
    texts = _read_texts(attribute)
    accepted = attribute.get("AcceptedEntries", {}).get("N", "")
    if not accepted.isdecimal() or not all(map(TOTAL.fullmatch, texts.values())):
        raise UnreadableItemError(transaction_id, "Totals")
    try:
        return Totals(texts["Captured"], texts["Refunded"], texts["Disputed"], int(accepted))
    except KeyError:
        raise UnreadableItemError(transaction_id, "Totals") from None


def items_of(
    client: DynamoDBClient, table_name: str, transaction_id: str, **projection: Any
) -> Iterator[Mapping[str, Any]]:
    """Yield the items of a payment's entries, in order, as they are at this moment."""
    start: dict[str, Any] = {}
    while True:
        reply = client.query(
            TableName=table_name,
            KeyConditionExpression="TransactionID = :id",
            ExpressionAttributeValues={":id": {"S": transaction_id}},
            ConsistentRead=True,
            **projection,
            **start,
        )
        yield from reply["Items"]
        if "LastEvaluatedKey" not in reply:
            return
        start = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


def append_once(
    client: DynamoDBClient, table_name: str, payment: Payment, delivered: DeliveredEntry
) -> tuple[AppendOutcome, RecordedEntry]:
    """Append the entry to its payment's chain, unless the chain has it already.

    Args:
        client: a client of DynamoDB.
        table_name: the table of entries.
        payment: the recorded payment, which never changes.
        delivered: the entry and its delivery.

    Returns:
        `RECORDED` or `DUPLICATE`, and the entry as the chain has it.

    Raises:
        EntryTooEarlyError: the entry needs another one that may still be on its way. Retried for an hour.
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

    An acceptance is kept only if the entry breaks a rule: so the totals count the entries that needed one.

    Raises:
        EntryTooEarlyError: the entry needs another one that may still be on its way.
        InvalidEntryError: the entry does not fit the payment or its totals.
    """
    entry = delivered.entry
    broken = violations(payment, [one.entry for one in chain], totals_of(payment, chain), entry)
    if not broken:
        return _following(payment, chain, delivered._replace(acceptance=None))
    final = broken if delivered.acceptance is None else [one for one in broken if one.rule in NEVER_ACCEPTED]
    if final:
        raise refusal(entry, final)
    return _following(payment, chain, delivered)


def refusal(entry: Entry, broken: list[Violation]) -> InvalidEntryError:
    """Return the error for an entry that breaks these rules. It is retried if time alone can heal all of them."""
    may_come = COMES_LATER.issuperset(violation.rule for violation in broken)
    error = EntryTooEarlyError if may_come else InvalidEntryError
    return error(broken, transaction_id=entry.transaction_id, entry_id=entry.entry_id, processor_id=entry.processor_id)


def totals_of(payment: Payment, chain: Sequence[RecordedEntry]) -> Totals:
    """Return the payment's totals after all entries of the chain."""
    return chain[-1].totals if chain else opening(payment)


def _following(payment: Payment, chain: Sequence[RecordedEntry], delivered: DeliveredEntry) -> RecordedEntry:
    """Return what an entry is as the next one of the chain: its number, the totals after it, and the hash before it."""
    previous = chain[-1].hash if chain else payment.fingerprint
    entry, execution, recorded_at, acceptance = delivered
    totals = after(totals_of(payment, chain), entry, accepted=acceptance is not None)
    return RecordedEntry(len(chain) + 1, entry, totals, previous, execution, recorded_at, acceptance)


def _repeated(chain: Sequence[RecordedEntry], delivered: DeliveredEntry) -> tuple[AppendOutcome, RecordedEntry] | None:
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
