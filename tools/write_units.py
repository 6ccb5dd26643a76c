"""What the item of a payment or an entry takes in DynamoDB: its bytes, and the units of its table and indexes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger.chain import DeliveredEntry, next_entry
from ledger.entry import parse_entry
from ledger.intake import execution_name, execution_prefix
from ledger.item import EncryptedPayment
from ledger.payment import parse_payment
from ledger_cli import REGION, ROOT


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table: the attributes that form its keys, and every attribute that its entries have; None for all.

    A payment's table projects some attributes, without the ciphertext; the table of entries projects all.
    """

    name: str
    keys: frozenset[str]
    attributes: frozenset[str] | None


def indexes(declared: Mapping[str, Any], table_id: str = "PaymentLedgerTable") -> list[Index]:
    """Return the indexes that the template *declared* gives the table with this logical ID.

    DynamoDB projects the table's key into each index, although the template does not say so.
    """
    table = declared["Resources"][table_id]["Properties"]
    of_table = {key["AttributeName"] for key in table["KeySchema"]}
    found = []
    for index in table["GlobalSecondaryIndexes"]:
        keys = frozenset(key["AttributeName"] for key in index["KeySchema"])
        projected = index["Projection"].get("NonKeyAttributes")
        found.append(
            Index(index["IndexName"], keys, None if projected is None else keys | of_table | frozenset(projected))
        )
    return found


def sample_item(ciphertext_bytes: int) -> dict[str, Any]:
    """Return the unpublished item of the first sample payment, with a ciphertext of that length."""
    start_input = json.loads((ROOT / "events/start/01-success.json").read_text(encoding="utf-8"))
    payment, _ = parse_payment(start_input, default_currency="USD")
    machine = f"arn:aws:states:{REGION}:{'0' * 12}:stateMachine:PaymentLedger:live"
    return EncryptedPayment(
        payment=payment,
        ciphertext=bytes(ciphertext_bytes),
        token_key=f"arn:aws:kms:{REGION}:{'0' * 12}:key/{'0' * 36}",
        execution=f"{execution_prefix(machine)}:{execution_name(payment)}",
        recorded_at=payment.timestamp,
    ).as_item()


def sample_entry() -> dict[str, Any]:
    """Return the unpublished item of the sample refund, which is the first entry of the first sample payment."""
    payment, refund = (
        json.loads((ROOT / f"events/start/{name}.json").read_text(encoding="utf-8"))
        for name in ("01-success", "10-refund")
    )
    entry = parse_entry(refund)
    machine = f"arn:aws:states:{REGION}:{'0' * 12}:stateMachine:PaymentEntries:live"
    execution = f"{execution_prefix(machine)}:{execution_name(entry)}"
    delivered = DeliveredEntry(entry, execution, entry.timestamp)
    return next_entry(parse_payment(payment, default_currency="USD")[0], [], delivered).as_item()


def published(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item as the publication of its outcome leaves it."""
    return {**{name: item[name] for name in item if name != "Unpublished"}, "PublishedAt": item["RecordedAt"]}


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the item's size. Source: DynamoDB Developer Guide, item sizes and formats."""
    return sum(len(name.encode()) + _value_bytes(*value.items()) for name, value in item.items())


def _value_bytes(typed: tuple[str, Any]) -> int:
    kind, content = typed
    if kind == "N":  # one byte for every two significant digits, and one byte more
        return (len(content.replace(".", "").strip("0")) + 1) // 2 + 1
    if kind == "M":  # three bytes, and one for each element
        return 3 + len(content) + item_bytes(content)
    return len(content) if kind == "B" else len(content.encode())


def write_units(*sizes_bytes: int) -> Decimal:
    """Return the units of one write, from the item's sizes before and after it: the larger size counts."""
    return Decimal(-(-max(sizes_bytes) // 1024))


def read_units(size_bytes: int) -> Decimal:
    """Return the units of one consistent read of items of this size in all. A read that finds nothing takes one.

    Source: DynamoDB Developer Guide, capacity unit consumption for read operations.
    """
    return Decimal(max(1, -(-size_bytes // 4096)))


def entry_of(item: Mapping[str, Any], index: Index) -> dict[str, Any]:
    """Return the item's entry in the index. It is empty if the item lacks a key of the index."""
    if not index.keys <= item.keys():
        return {}
    return {name: item[name] for name in item if index.attributes is None or name in index.attributes}


def units_of_an_item(item: Mapping[str, Any], declared: Iterable[Index]) -> dict[str, Decimal]:
    """Return the write units of the put and of the marker's update together, of the table and of each index.

    Source: DynamoDB Developer Guide, global secondary indexes, write capacity units: a new entry, a changed projected
    attribute and a removed entry cost one write each.
    """
    after = published(item)
    units = {"table": write_units(item_bytes(item)) + write_units(item_bytes(item), item_bytes(after))}
    for index in declared:
        entry, entry_after = entry_of(item, index), entry_of(after, index)
        update = write_units(item_bytes(entry), item_bytes(entry_after)) if entry != entry_after else Decimal()
        units[index.name] = write_units(item_bytes(entry)) + update
    return units
