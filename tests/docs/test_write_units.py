"""The bytes and units of the items of a payment and an entry follow DynamoDB's rules."""

from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine, template
from tests.support.functions import invoke, sample
from tools import write_units
from tools.write_units import Index

DECLARED = template.load(ROOT / "template.yaml")


def padded(size_bytes: int, *, is_sealed_later: bool = False) -> dict[str, Any]:
    """Return an unpublished item that has that size in all."""
    item = {"TransactionID": {"S": "t"}, "RecordedAt": {"S": "2026-11-24T00:00:00.000000Z"}, "Unpublished": {"S": "3"}}
    item["Metadata"] = {"S": ""}
    if is_sealed_later:
        item["Unsealed"] = {"S": "3"}
    return {**item, "Metadata": {"S": "x" * (size_bytes - write_units.item_bytes(item))}}


@pytest.mark.parametrize(
    ("item", "size_bytes"),
    [
        ({}, 0),
        ({"ab": {"S": "xyz"}}, 2 + 3),
        ({"ü": {"S": "ü"}}, 2 + 2),
        ({"a": {"B": b"12345"}}, 1 + 5),
        ({"a": {"N": "129.9"}}, 1 + 2 + 1),  # four digits
        ({"a": {"N": "12900"}}, 1 + 2 + 1),  # three significant digits
        ({"a": {"N": "0"}}, 1 + 1),
        ({"m": {"M": {}}}, 1 + 3),
        ({"m": {"M": {"k": {"S": "v"}, "l": {"S": "w"}}}}, 1 + 3 + 2 * (1 + 1 + 1)),
    ],
)
def test_an_items_size(item: dict[str, Any], size_bytes: int) -> None:
    """DynamoDB counts names too, and a number has a byte for two digits."""
    assert write_units.item_bytes(item) == size_bytes


SPARSE = Index("sparse", frozenset({"Unpublished"}), frozenset({"Unpublished", "TransactionID", "Metadata"}))
MARKED = Index("marked", frozenset({"RecordedAt"}), frozenset({"RecordedAt", "TransactionID", "PublishedAt"}))
UNMARKED = Index("unmarked", frozenset({"RecordedAt"}), frozenset({"RecordedAt", "TransactionID"}))
ABSENT = Index("absent", frozenset({"Absent"}), frozenset({"Absent", "TransactionID"}))
ALL = Index("all", frozenset({"RecordedAt"}), None)


@pytest.mark.parametrize(
    ("size_bytes", "table", "sparse"),
    [
        (300, 1 + 1, 1 + 1),
        (1000, 1 + 2, 1 + 1),  # the publication's time makes it larger than 1,024 bytes
        (1024, 1 + 2, 1 + 1),
        (1025, 2 + 2, 1 + 1),
        (2048, 2 + 3, 2 + 2),
    ],
)
def test_write_units_of_a_payment(size_bytes: int, table: int, sparse: int) -> None:
    """A payment's put and update write the table. An index pays only for entries that appear, change or disappear."""
    units = write_units.units_of_an_item(padded(size_bytes), [SPARSE, MARKED, UNMARKED, ABSENT, ALL])
    assert units == {"table": table, "sparse": sparse, "marked": 1 + 1, "unmarked": 1, "absent": 0, "all": table}


UNSEALED = Index("unsealed", frozenset({"Unsealed"}), frozenset({"Unsealed", "TransactionID"}))


@pytest.mark.parametrize(("size_bytes", "table"), [(300, 1 + 1 + 1), (1024, 1 + 2 + 2), (1025, 2 + 2 + 2)])
def test_write_units_of_a_payment_that_is_sealed(size_bytes: int, table: int) -> None:
    """The update of the sealer's marker writes the table, its own index, and an index that has every attribute."""
    item = padded(size_bytes, is_sealed_later=True)
    units = write_units.units_of_an_item(item, [SPARSE, MARKED, UNMARKED, UNSEALED, ALL])
    assert units == {"table": table, "sparse": 2, "marked": 2, "unmarked": 1, "unsealed": 2, "all": table}
    without = write_units.units_of_an_item(write_units.unmarked(item), [SPARSE, MARKED, UNMARKED, UNSEALED, ALL])
    assert without["unsealed"] == 0
    assert without["sparse"] == 2


@pytest.mark.parametrize(
    ("records", "key", "units"),
    [(1, ("t", 0), 1 + 2), (3000, ("t", 0), 195 + 195), (3000, ("T" * 64, 1000), 394 + 394)],
)
def test_write_units_of_a_seal(records: int, key: tuple[str, int], units: int) -> None:
    """A record takes 64 bytes, its key and a line's end: 66 to 134. The checkpoint's update writes all of it again."""
    seal = write_units.sample_seal([key] * records)
    assert write_units.units_of_a_seal(seal) == units
    each = len(f"{key[0]}#{key[1]}") if key[1] else len(key[0])
    assert write_units.item_bytes(seal) - write_units.item_bytes(write_units.sample_seal([("", 0)])) == pytest.approx(
        records * (64 + each + 1), abs=70
    )


@pytest.mark.parametrize(("size_bytes", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (600_000, 147)])
def test_read_units(size_bytes: int, units: int) -> None:
    """A query of a payment's entries is paid by all that it reads, and one that finds none is not free."""
    assert write_units.read_units(size_bytes) == units


def test_an_index_has_the_tables_key_too() -> None:
    """DynamoDB projects the key even if the template does not. Without it, an entry would seem smaller."""
    assert all("TransactionID" in (index.attributes or ()) for index in write_units.indexes(DECLARED))


def test_the_indexes_of_entries_have_every_attribute() -> None:
    """An operator's list of entries has no second read for each."""
    entries = write_units.indexes(DECLARED, "PaymentEntriesTable")
    assert [index.name for index in entries] == ["EntriesByProcessor", "UnpublishedEntries", "UnsealedEntries"]
    item = write_units.sample_entry()
    assert all(write_units.entry_of(item, index) == item for index in entries[:2])


@pytest.mark.parametrize("table_id", ["PaymentLedgerTable", "PaymentEntriesTable"])
def test_the_indexes_of_the_sealer_have_keys_only(table_id: str) -> None:
    """It reads the records themselves from the table. An attribute more would be paid with every record."""
    unsealed = write_units.indexes(DECLARED, table_id)[2]
    of_entry = {"Entry"} if table_id == "PaymentEntriesTable" else set()
    assert unsealed.attributes == {"Unsealed", "RecordedAt", "TransactionID"} | of_entry


def test_the_item_is_the_one_that_is_written(engine: Engine) -> None:
    """The item's size decides what a write costs: every attribute must be there, and no other."""
    engine.run((ROOT / "events/start/01-success.json").read_text())
    engine.run((ROOT / "events/start/10-refund.json").read_text())
    (item,), (entry,) = engine.items(), engine.entries()
    assert write_units.published(write_units.sample_item(10)).keys() == item.keys()
    made = write_units.published(write_units.sample_entry())
    assert made.keys() == entry.keys()
    assert {name for name in made if made[name] != entry[name]} <= {"Execution", "RecordedAt", "PublishedAt"}
    invoke(engine, "SealLedger", sample("seal_ledger"))
    (sealed_item,), (sealed_entry,), (seal,) = engine.items(), engine.entries(), engine.seals()
    assert write_units.sealed(item).keys() == sealed_item.keys()
    assert write_units.sealed(entry).keys() == sealed_entry.keys()
    sampled = write_units.finished(write_units.sample_seal([("txn-2026-0001", 0), ("txn-2026-0001", 1)]))
    assert sampled.keys() == seal.keys()
    assert sampled["Keys"] == seal["Keys"]
    for name in seal.keys() - {"Seal", "Size", "Peaks", "Note"}:  # these grow with the log
        ((_, ours),), ((_, theirs),) = sampled[name].items(), seal[name].items()
        assert len(ours) == len(theirs), name
