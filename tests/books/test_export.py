"""The file of an export: what it says, and that nothing changed in it goes unnoticed."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ledger.leaf import canonical
from ledger_cli.books.export import Export, UnreadableExportError
from tests.support.books import entry, exported, life, payment
from tests.support.schema import schema_of

FACTS = [
    *life(payment("a-1", metadata={"note": "naïve ☕ \u2028"}), entry("Refunded", "40.00"), entry("Disputed", "60.00")),
    *life(payment("a-2", "7", currency="JPY", status="Failure")),
    *life(payment("b"), entry("Captured", "1.50")),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an export of some payments and entries."""
    return exported(tmp_path / "ledger.jsonl", FACTS)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all records of an export."""
    return list(Export.open(path).records())


def why(path: Path) -> str:
    """Return why an export cannot be read, without the name of its file."""
    with pytest.raises(UnreadableExportError) as error:
        read(path)
    return str(error.value).removeprefix(str(path))


def test_what_is_written_is_read(path: Path) -> None:
    """Each payment is followed by its entries, whatever the order in which they came."""
    assert read(path) == FACTS
    assert read(exported(path, reversed(FACTS))) == FACTS


def test_the_last_line_counts_the_records_and_has_the_hash_of_all_bytes_before_it(path: Path) -> None:
    """Any program can check it: `head -n -1 FILE | sha256sum`."""
    *lines, last = path.read_bytes().splitlines(keepends=True)
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    assert json.loads(last) == {"record": "end", "payments": 3, "entries": 3, "sha256": digest}


def test_each_line_is_as_its_schema_says(path: Path) -> None:
    """Other systems read exports by the schema."""
    validator = Draft202012Validator(schema_of("export"))
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        validator.validate(json.loads(line))
    for wrong in ({}, {"record": "refund"}, {**FACTS[0], "record": "entry"}, {**FACTS[0], "record": "payment", "x": 1}):
        assert not validator.is_valid(wrong)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(0, 2**53) | st.none(), max_size=4))
def test_canonical_json_is_that_of_rfc_8785(value: dict[str, Any]) -> None:
    """Whatever program writes a record again, it gets the same bytes. A library of others is the judge.

    A key beyond the Basic Multilingual Plane is sorted otherwise: no record has one.
    """
    if all(ord(char) < 0x10000 for key in value for char in key):
        try:
            expected = rfc8785.dumps(value)
        except rfc8785.CanonicalizationError:  # half a surrogate pair
            return
        assert canonical(value).encode() == expected


def test_every_changed_byte_is_noticed(path: Path) -> None:
    """An auditor relies on it. Only a hash that was made again could hide a change, and each record has one too."""
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert why(path)


def test_an_export_that_was_cut_off_anywhere_is_noticed(path: Path) -> None:
    """A full disk, or a download that broke."""
    whole = path.read_bytes()
    for end in range(0, len(whole), 5):
        path.write_bytes(whole[:end])
        assert why(path)


def rewritten(path: Path, facts: list[dict[str, Any]], **header: Any) -> str:
    """Return why an export is refused whose hash and counts belong to these facts, in their order."""
    exported(path, facts, **header)
    return why(path)


def changed(place: int, **fields: Any) -> list[dict[str, Any]]:
    """Return the facts with one record changed."""
    return [{**one, **fields} if number == place else one for number, one in enumerate(FACTS)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (changed(0, Amount="100.01"), ":2: not a record as the ledger has written it"),
        (changed(0, Status="success"), ":2: not a record as the ledger has written it"),
        (changed(0, Metadata=None), ":2: not a record as the ledger has written it"),
        (changed(1, Kind="Refund"), ":3: not a record as the ledger has written it"),
        (changed(0, Import=[]), ":2: not a record as the ledger has written it"),
        (changed(1, Reverses=[]), ":3: not a record as the ledger has written it"),
        (changed(1, Entry=True), ":3: not a record as the ledger has written it"),
        (changed(1, Totals={}), ":4: its hash of the record before is another one"),
        (changed(1, Previous="0" * 64), ":3: its hash of the record before is another one"),
        (changed(1, Metadata={"a": "b"}), ":4: its hash of the record before is another one"),
        (FACTS[:1] + FACTS[2:], ":3: the record before it is missing"),
        (FACTS[1:], ":2: the record before it is missing"),
        ([*FACTS, FACTS[0]], ":3: out of order, or there twice"),
    ],
)
def test_a_record_that_was_changed_is_noticed_although_the_files_hash_was_made_again(
    path: Path, facts: list[dict[str, Any]], expected: str
) -> None:
    """Each record has its fingerprint, and each entry the hash of the record before it."""
    assert rewritten(path, facts) == expected


def test_an_export_of_a_period_may_lack_the_payment_of_an_entry(path: Path) -> None:
    """A refund comes weeks after its payment. What follows one another is checked all the same."""
    assert read(exported(path, FACTS[1:], **{"from": "2026-11-23T00:00:00.000000Z"})) == FACTS[1:]
    assert read(exported(path, FACTS[2:], to="2026-11-24T00:00:00.000000Z")) == FACTS[2:]
    assert rewritten(path, changed(1, Previous="0" * 64), to="2026-11-24T00:00:00.000000Z")


def test_a_damaged_record_leaves_a_gap_that_is_named(path: Path) -> None:
    """The first line names it, so that nobody takes the gap for a manipulation."""
    damaged = [{"TransactionID": "a-1", "Entry": 1, "Attribute": "Amount"}]
    assert read(exported(path, FACTS[:1] + FACTS[2:], unreadable=damaged)) == FACTS[:1] + FACTS[2:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: not a line of an export, or cut off"),
        ("[]\n", ":1: not a line of an export, or cut off"),
        ('{"record":"export"', ":1: not a line of an export, or cut off"),
        ('{"record":"payment"}\n', ": not an export of `ledger export`"),
        ('{"record":"export","format":3}\n', ": another format than 1 and 2: use the `ledger` that wrote it"),
        ('{"record":"export","format":1}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[1]}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[{"TransactionID":[]}]}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[],"processors":5}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[],"processors":[[]]}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[],"from":1}\n', ":1: not the first line of an export"),
        ('{"record":"export","format":1,"unreadable":[]}\n', ": cut off: the last line is missing; export again"),
        ("\xff\n", ":1: not a line of an export, or cut off"),
    ],
)
def test_what_is_no_export_is_one_line(path: Path, text: str, expected: str) -> None:
    """The line says what is wrong with the file."""
    path.write_bytes(text.encode("latin-1"))
    assert why(path) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"transaction_id": "=cmd|'/C'!A0"},
        {"currency": "eur"},
        {"processor_id": "a b"},
        {"timestamp": "2026-11-23"},
    ],
)
def test_a_record_that_no_ledger_takes_is_in_no_export(path: Path, fields: dict[str, str]) -> None:
    """Somebody who makes an export can make its hashes too. A spreadsheet would calculate such an ID."""
    values = {"transaction_id": "a", **fields}
    assert rewritten(path, life(payment(**values))) == ":2: not a record as the ledger has written it"


def test_an_export_is_a_regular_file(tmp_path: Path) -> None:
    """It is read twice, and a pipe only once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for file in (pipe, tmp_path):
        assert why(file) == ": not a regular file: save what it has in one"


def test_lines_behind_the_last_one_are_noticed(path: Path) -> None:
    """Somebody could append what nothing counts."""
    path.write_bytes(path.read_bytes() + b"\n")
    assert why(path) == ": has lines behind its last line"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As every command does."""
    assert why(tmp_path / "none.jsonl") == ": no such file or directory"
