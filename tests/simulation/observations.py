"""What the invariants compare: what the ledger holds at one moment, and what a run has seen so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Item = Mapping[str, Any]
"""An item in DynamoDB's attribute form."""

Events = Sequence[Mapping[str, Any]]


class ViolationError(AssertionError):
    """A promise is broken; the message says which."""


class Moment(NamedTuple):
    """What the ledger holds: payments by TransactionID, each one's entries in order, events, and seals in order."""

    payments: Mapping[str, Item]
    entries: Mapping[str, Sequence[Item]]
    events: Events
    seals: Sequence[Item] = ()

    @property
    def items(self) -> dict[str, Item]:
        """All items: a payment's by its TransactionID, an entry's by that and its number."""
        entries = [item for chain in self.entries.values() for item in chain]
        return {**self.payments, **{key_of(item): item for item in entries}}


class Sealing(NamedTuple):
    """What a run knows of the sealed log from the deployed stack: its name, and the seal key's 32 public bytes."""

    origin: str
    public_key: bytes


class LastRead(NamedTuple):
    """What was there when an execution last read: whether its payment was, and how many entries."""

    has_payment: bool
    entries: int


@dataclass
class Observations:
    """What a run has seen. Executions are named by ARN and start."""

    token: str
    delivered: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """The start input of each execution."""
    accepted: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """Entries that an operator accepted, each with the ARN of the execution that had refused it."""
    first: dict[str, Item] = field(default_factory=dict)
    """Each item without its marker, as the first check saw it."""
    marked: dict[str, Any] = field(default_factory=dict)
    """The marker of each published item, as the first check saw it."""
    reads: dict[tuple[str, str], LastRead] = field(default_factory=dict)
    seals_of_others: set[str] = field(default_factory=set)
    """Sealed tokens that were delivered with a payment for which they were not sealed."""
    refused: set[tuple[str, str]] = field(default_factory=set)
    """Executions whose workflow got a business error."""
    log: Sealing | None = None
    due: set[str] = field(default_factory=set)
    """When each run of the sealer was due."""
    leaves: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """The hash of each record's leaf and that of its ciphertext, by the record's key."""
    sealed: dict[str, Any] = field(default_factory=dict)
    """The marker of each sealed record, as the first check saw it."""
    seals: dict[int, Item] = field(default_factory=dict)
    """Each seal without its checkpoint, as the first check saw it."""
    checkpoints: dict[int, Any] = field(default_factory=dict)
    """The checkpoint of each finished seal, as the first check saw it."""
    announced: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """The detail of each seal's event, as the first check saw it."""
    verified: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    """Size and root of each checkpoint whose signature was verified, by its note and the key that came with it."""
    from_before_the_log: set[str] = field(default_factory=set)
    """Records without a marker of the sealer: they were written before the ledger had a log."""
    tampered: set[str] = field(default_factory=set)
    """Records that somebody has removed or marked behind the ledger's back."""


def key_of(item: Item) -> str:
    """Return the key of a payment or an entry: its TransactionID, and after a `#` the entry's number."""
    number = f"#{item['Entry']['N']}" if "Entry" in item else ""
    return f"{item['TransactionID']['S']}{number}"


def is_written_by(item: Item, execution: tuple[str, str]) -> bool:
    """Return whether the execution with this ARN and this start has written the item."""
    return (item["Execution"]["S"], item["RecordedAt"]["S"][:23] + "Z") == execution


def import_of(item: Item) -> str | None:
    """Return whether an item says that it is imported, and how; None if it is news.

    A payment says it in its metadata, because the indexes of payments have these, and an entry by an attribute.
    """
    attribute = item.get("Import") if "EntryID" in item else item["Metadata"]["M"].get("ledger:import")
    form: str | None = attribute["S"] if attribute else None
    return form


def published(detail_type: str, events: Events, **about: str) -> list[Mapping[str, Any]]:
    """Return the published events of this type whose details have these values."""
    return [
        event for event in events if event["detail-type"] == detail_type and about.items() <= event["detail"].items()
    ]
