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
    """What the ledger holds: payments by TransactionID, the entries of each in order, and the published events."""

    payments: Mapping[str, Item]
    entries: Mapping[str, Sequence[Item]]
    events: Events

    @property
    def items(self) -> dict[str, Item]:
        """All items: a payment's by its TransactionID, an entry's by that and its number."""
        entries = [item for chain in self.entries.values() for item in chain]
        return {**self.payments, **{f"{item['TransactionID']['S']}#{item['Entry']['N']}": item for item in entries}}


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
    refused: set[tuple[str, str]] = field(default_factory=set)
    """Executions whose workflow got a business error."""


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
