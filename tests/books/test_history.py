"""History from elsewhere: the whole file is checked before anything starts."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger_cli.books.export import UnreadableExportError
from ledger_cli.books.history import NO_TOKEN, InvalidHistoryError, Summary, check, histories
from tests.support.books import entry, exported, life, payment

PAYMENT = {
    "record": "payment", "TransactionID": "old-1", "Amount": "100.00", "Currency": "EUR", "ProcessorID": "acme-pay",
    "Status": "Success", "Timestamp": "2019-11-24T10:00:00Z", "Metadata": {"shop": "7"}, "SecureToken": "tok_12345678",
}  # fmt: skip
REFUND = {
    "record": "entry", "TransactionID": "old-1", "EntryID": "re-1", "Kind": "Refunded", "Amount": "40.00",
    "Currency": "EUR", "ProcessorID": "acme-pay", "Timestamp": "2019-11-25T10:00:00Z",
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the name of a file."""
    return tmp_path / "history.jsonl"


def written(path: Path, *lines: dict[str, Any]) -> Path:
    """Write lines of JSON."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def checked(path: Path) -> Summary:
    """Check a file whole, and return what it holds."""
    return list(check(path, default_currency="USD"))[-1]


def why(path: Path) -> str:
    """Return why a file cannot be imported, without its name."""
    with pytest.raises((InvalidHistoryError, UnreadableExportError)) as error:
        checked(path)
    return str(error.value).removeprefix(f"{path}:").strip()


def test_a_payment_comes_with_its_entries(path: Path) -> None:
    """The payment must be recorded before them, and each entry before the next."""
    other = {**PAYMENT, "TransactionID": "old-2"}
    second = {**REFUND, "EntryID": "re-2"}
    written(path, PAYMENT, REFUND, second, other)
    found = [[(step.line, step.is_entry) for step in history] for history in histories(path)]
    assert found == [[(1, False), (2, True), (3, True)], [(4, False)]]
    first = next(histories(path))[0].start_input
    assert first == {name: value for name, value in PAYMENT.items() if name != "record"}
    assert checked(path) == Summary(payments=2, entries=2, without_token=0, accepted=0)
    assert checked(path).records == 4


def test_an_export_is_history(path: Path) -> None:
    """What the other ledger did to a record, this one does itself. The token never was in the export."""
    made = payment("a", metadata={"note": "ü"})
    exported(path, life(made, entry("Refunded", "40.00", "re-1"), entry("RefundFailed", "40.00", reverses="re-1")))
    (history,) = histories(path)
    assert [step.line for step in history] == [2, 3, 4]
    assert history[0].start_input == {
        "TransactionID": "a", "Amount": "100.00", "Currency": "EUR", "ProcessorID": "acme-pay", "Status": "Success",
        "Timestamp": "2026-11-23T08:30:00.000000Z", "Metadata": {"note": "ü"}, "SecureToken": NO_TOKEN,
    }  # fmt: skip
    assert history[2].start_input == {
        "TransactionID": "a", "EntryID": "refundfailed-1", "Kind": "RefundFailed", "Amount": "40.00", "Currency": "EUR",
        "ProcessorID": "acme-pay", "Timestamp": "2026-11-23T08:30:00.000000Z", "Reverses": "re-1", "Metadata": {},
    }  # fmt: skip
    assert checked(path) == Summary(payments=1, entries=2, without_token=1, accepted=0)


def test_an_export_that_was_changed_is_no_history(path: Path) -> None:
    """Nothing of it is imported."""
    exported(path, life(payment("a")))
    path.write_bytes(path.read_bytes().replace(b"100.00", b"100.01"))
    assert why(path) == "2: not a record as the ledger has written it"


def test_an_entry_that_an_operator_had_accepted_is_counted(path: Path) -> None:
    """The ledger will refuse it again, and the person should know that before."""
    written(path, PAYMENT, {**REFUND, "Amount": "100.01"})
    assert checked(path).accepted == 1


def test_entries_of_a_payment_that_is_not_in_the_file_may_be_imported(path: Path) -> None:
    """The payment may be in the ledger already: only the ledger knows."""
    assert checked(written(path, REFUND)) == Summary(payments=0, entries=1, without_token=0, accepted=0)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "holds no payment and no entry"),
        ([{"record": "refund"}], "1: `record` is neither payment nor entry, or does not fit"),
        ([{**PAYMENT, "record": "entry"}], "1: `record` is neither payment nor entry, or does not fit"),
        ([{**REFUND, "record": "payment"}], "1: `record` is neither payment nor entry, or does not fit"),
        ([PAYMENT, PAYMENT], "2: the lines of a payment do not stand together, the payment first"),
        ([REFUND, PAYMENT], "2: the lines of a payment do not stand together, the payment first"),
        (
            [PAYMENT, {**PAYMENT, "TransactionID": "b"}, REFUND],
            "3: the lines of a payment do not stand together, the payment first",
        ),
        ([{**PAYMENT, "Amount": "1.001"}], "nothing was imported: line 1: Amount: decimals"),
        ([{**PAYMENT, "Import": "quiet"}], "nothing was imported: line 1: Import: not_for_processors"),
        ([{**PAYMENT, "Fingerprint": "0"}], "nothing was imported: line 1: Payment: unknown_field"),
        (
            [{**PAYMENT, "Status": "paid"}, {**REFUND, "Kind": "Refund", "Amount": "0"}],
            "nothing was imported: line 1: Status: status; line 2: Amount: zero, Kind: kind",
        ),
    ],
)
def test_every_broken_line_is_named(path: Path, lines: list[dict[str, Any]], expected: str) -> None:
    """By its number and its rules, and never by a value."""
    assert why(written(path, *lines)) == expected


def test_of_many_broken_lines_the_first_are_named(path: Path) -> None:
    """One line of a terminal says enough."""
    written(path, *({**PAYMENT, "TransactionID": f"t-{number}", "Status": ""} for number in range(30)))
    assert why(path).count("Status: status") == 20


@pytest.mark.parametrize("text", ["{", "[]\n", '{"a": 1, "a": 2}\n', '{"record": "payment"', "\xff\n"])
def test_a_line_that_is_no_object_is_named(path: Path, text: str) -> None:
    """Whatever stands in it."""
    path.write_bytes(f"\n{text}".encode("latin-1"))
    assert why(path) == "2: not one object of JSON"


def test_an_export_with_a_gap_is_no_history(path: Path) -> None:
    """The chain would have other totals here than there."""
    facts = life(payment("a"), entry("Refunded", "10.00", "r1"), entry("Refunded", "20.00", "r2"))
    damaged = [{"TransactionID": "a", "Entry": 1, "Attribute": "Amount"}]
    exported(path, [facts[0], facts[2]], unreadable=damaged)
    assert why(path) == "3: the entry before this one is not in the export"
    exported(path, [facts[2]], **{"from": "2026-11-23T00:00:00.000000Z"})
    assert why(path) == "2: the entry before this one is not in the export"


def test_ids_that_are_none_are_broken_rules(path: Path) -> None:
    """Two of them belong to two payments."""
    nobody = {**PAYMENT, "TransactionID": []}
    written(path, nobody, nobody, {"record": "entry", "EntryID": {}})
    faults = "line 1: TransactionID: type; line 2: TransactionID: type; line 3: "
    assert why(path).startswith(f"nothing was imported: {faults}")
    assert why(written(path, {"record": []})) == "1: `record` is neither payment nor entry, or does not fit"


def test_a_history_is_a_regular_file(tmp_path: Path) -> None:
    """It is read twice, and a pipe only once."""
    assert why(tmp_path) == f"{tmp_path}: not a regular file: save what it has in one".removeprefix(f"{tmp_path}: ")


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    """As every command does."""
    assert why(path) == "no such file or directory"
