"""What the items of payments, entries and seals take in DynamoDB: their bytes, and the units of tables and indexes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from ledger.chain import DeliveredEntry, next_entry
from ledger.checkpoint import SIGNATURE_BYTES, checkpoint_text, signed_note, verifier_key
from ledger.entry import parse_entry
from ledger.intake import execution_name, execution_prefix
from ledger.item import EncryptedPayment
from ledger.merkle import HASH_BYTES, Tree
from ledger.payment import parse_payment
from ledger.seal import Key, Seal, SealedRecord
from ledger_cli import REGION, ROOT


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table: the attributes that form its keys, and every attribute that its entries have; None for all.

    A payment's table projects some attributes, without the ciphertext; the table of entries projects all. The sealer's
    indexes have the keys alone.
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
        projected = frozenset(index["Projection"].get("NonKeyAttributes", []))
        has_all = index["Projection"]["ProjectionType"] == "ALL"
        found.append(Index(index["IndexName"], keys, None if has_all else keys | of_table | projected))
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


SEALED_RECORDS = 2**20 - 1
"""Records of the log that the sample seal ends: about a million, and the number with most peaks."""

SAMPLE_SEAL_NUMBER = 10**5 - 1
"""Five digits, as the seals of a year have."""


def sample_seal(keys: Iterable[Key]) -> dict[str, Any]:
    """Return the item of a seal of these records that is not finished yet, in a log of a million records."""
    some, machine = bytes(HASH_BYTES), f"{'0' * 12}/{REGION}/PaymentLedger"
    records, tree = [SealedRecord(key, some, some) for key in keys], Tree(SEALED_RECORDS, [some] * 20)
    return Seal(
        f"payment-ledger/{machine}", SAMPLE_SEAL_NUMBER, "2026-11-23T09:00:00.000000Z", records, tree, some
    ).as_item()


def finished(seal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item of a seal with its checkpoint."""
    origin, key = seal["Log"]["S"], bytes(HASH_BYTES)
    text = checkpoint_text(origin, int(seal["Size"]["N"]), seal["Root"]["B"])
    note = signed_note(text, origin, key, bytes(SIGNATURE_BYTES))
    return {**seal, "Note": {"S": note}, "VerifierKey": {"S": verifier_key(origin, key)}}


def published(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item as the publication of its outcome leaves it."""
    return {**{name: item[name] for name in item if name != "Unpublished"}, "PublishedAt": item["RecordedAt"]}


def unmarked(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item without the marker that puts it on the sealer's list: what it would be without a sealed log."""
    return {name: item[name] for name in item if name != "Unsealed"}


def sealed(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item as the sealer leaves it."""
    return {**unmarked(item), "Seal": {"N": f"{SAMPLE_SEAL_NUMBER}"}}


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
    """Return the write units of an item's put and of all its updates, of the table and of each index.

    The updates are the publication's, and the sealer's if the item has the marker for it.

    Source: DynamoDB Developer Guide, global secondary indexes, write capacity units: a new entry, a changed projected
    attribute and a removed entry cost one write each.
    """
    after = published(item)
    steps = [{}, item, after, *([sealed(after)] if "Unsealed" in item else [])]
    return {
        "table": _units_of_steps(steps),
        **{index.name: _units_of_steps([entry_of(step, index) for step in steps]) for index in declared},
    }


def units_of_a_seal(seal: Mapping[str, Any]) -> Decimal:
    """Return the write units of a seal's put and of the update that adds its checkpoint, which both write all of it."""
    return _units_of_steps([{}, seal, finished(seal)])


def _units_of_steps(steps: Sequence[Mapping[str, Any]]) -> Decimal:
    """Return the units of the writes that lead from one state of an item, or of its entry, to the next."""
    changes = [(item_bytes(before), item_bytes(after)) for before, after in pairwise(steps) if before != after]
    return sum((write_units(*sizes) for sizes in changes), Decimal())
