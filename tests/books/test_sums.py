"""Exact amounts, what a record moves, and the totals of a day."""

from datetime import date
from decimal import Decimal, Inexact, InvalidOperation, Overflow
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ledger_cli.books.amounts import decimals_of, text, total
from ledger_cli.books.record import Record
from ledger_cli.books.totals import Sums, day_in, totals

FACTS: dict[str, Any] = {
    "TransactionID": "P1",
    "Amount": "20.50",
    "Currency": "EUR",
    "ProcessorID": "acme-pay",
    "Timestamp": "2026-11-24T12:00:00.000000Z",
}


def payment(**changes: str) -> Record:
    """Return a payment's record."""
    return Record.of({**FACTS, "Status": "Success", **changes})


def entry(kind: str, **changes: str) -> Record:
    """Return an entry's record."""
    return Record.of({**FACTS, "EntryID": "E1", "Kind": kind, **changes})


def test_a_sum_is_exact() -> None:
    """Ten times a tenth is one, and the largest amount and the smallest are both in the sum."""
    assert total([Decimal("0.1")] * 10) == 1
    assert str(total([Decimal("1.20"), Decimal("0.8")])) == "2.00"
    assert str(total([Decimal("9" * 38), Decimal("0." + "0" * 37 + "1")])) == "9" * 38 + "." + "0" * 37 + "1"
    assert str(total([])) == "0"


def test_a_sum_that_would_be_rounded_is_an_error() -> None:
    """Money is never rounded, however long the numbers are."""
    digits = Decimal(10) ** 199
    assert str(total([digits, Decimal(1)])) == f"1{'0' * 198}1"
    with pytest.raises(Inexact):
        total([Decimal(10) ** 200, Decimal(1)])


@pytest.mark.parametrize(
    ("amount", "decimals", "expected"),
    [
        ("1.5", 0, "1.5"),
        ("1.5", 2, "1.50"),
        ("1.50", 0, "1.50"),
        ("-3", 3, "-3.000"),
        ("1E+3", 0, "1000"),
        ("-0", 2, "0.00"),
        ("0.00", 0, "0.00"),
        ("150", 0, "150"),
    ],
)
def test_an_amount_is_decimal_text_with_at_least_some_decimals(amount: str, decimals: int, expected: str) -> None:
    """Every amount of a currency has the same number of decimals on a page, and zero has no sign."""
    assert text(Decimal(amount), decimals) == expected
    assert (text(Decimal("1.5")), text(Decimal(3))) == ("1.5", "3")


def test_decimals_are_counted_as_written() -> None:
    """1.50 has two, and a number that is not finite has none."""
    assert [decimals_of(Decimal(one)) for one in ("1.50", "3", "1E+3", "NaN")] == [2, 0, 0, 0]


def test_a_record_has_the_facts_of_a_payment_or_an_entry() -> None:
    """An entry has no status of its own: it happened."""
    assert payment() == Record(
        "P1", None, "Payment", Decimal("20.50"), "EUR", "acme-pay", FACTS["Timestamp"], "Success", None
    )
    assert entry("RefundFailed", Reverses="R1") == Record(
        "P1", "E1", "RefundFailed", Decimal("20.50"), "EUR", "acme-pay", FACTS["Timestamp"], "Success", "R1"
    )


@pytest.mark.parametrize(
    ("record", "total_", "change", "moved"),
    [
        (payment(), "captured", "20.50", "20.50"),
        (payment(Status="Failure"), None, "0", "0"),
        (entry("Captured"), "captured", "20.50", "20.50"),
        (entry("Refunded"), "refunded", "20.50", "-20.50"),
        (entry("RefundFailed"), "refunded", "-20.50", "20.50"),
        (entry("Disputed"), "disputed", "20.50", "-20.50"),
        (entry("DisputeWon"), "disputed", "-20.50", "20.50"),
        (entry("DisputeLost"), None, "0", "0"),
        (entry("Voided"), None, "0", "0"),
    ],
)
def test_each_kind_changes_its_total_and_moves_money(
    record: Record, total_: str | None, change: str, moved: str
) -> None:
    """The merchant has less after a refund or a dispute, and again more if it is undone."""
    assert (record.total, record.change, record.moved) == (total_, Decimal(change), Decimal(moved))


def test_totals_are_by_currency_and_status() -> None:
    """Each has its own sums, in this order, and a failed payment is counted without an amount."""
    records = [
        payment(Currency="USD"),
        payment(),
        payment(Status="Failure"),
        entry("Captured", Amount="4"),
        entry("Refunded", Amount="5"),
        entry("RefundFailed", Amount="2"),
        entry("Disputed", Amount="7"),
        entry("DisputeWon", Amount="1"),
        entry("Voided"),
    ]
    found = totals(records)
    assert list(found.items()) == [
        (("EUR", "Failure"), Sums(payments=1)),
        (("EUR", "Success"), Sums(1, 6, Decimal("24.50"), Decimal(3), Decimal(6))),
        (("USD", "Success"), Sums(1, 0, Decimal("20.50"))),
    ]
    assert found["EUR", "Success"].net == Decimal("15.50")
    assert Sums() == Sums(0, 0, Decimal(0), Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("day", "zone", "first", "last"),
    [
        ("2026-11-24", "UTC", "2026-11-24T00:00:00.000000Z", "2026-11-25T00:00:00.000000Z"),
        ("2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00.000000Z", "2026-10-25T23:00:00.000000Z"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00.000000Z", "2026-03-29T22:00:00.000000Z"),
    ],
)
def test_a_day_is_that_of_the_zone(day: str, zone: str, first: str, last: str) -> None:
    """It has 23 or 25 hours if the clocks change in it."""
    assert day_in(ZoneInfo(zone), date.fromisoformat(day)) == (first, last)


def test_the_last_day_has_no_next() -> None:
    """The command then says that the day is too late."""
    with pytest.raises(OverflowError):
        day_in(ZoneInfo("UTC"), date.max)


def test_a_sum_of_what_is_not_a_number_is_an_error() -> None:
    """Such an amount would hide every other one."""
    with pytest.raises(InvalidOperation):
        total([Decimal("Infinity"), Decimal("-Infinity")])
    with pytest.raises(Overflow):
        total([Decimal("9E+999999"), Decimal("9E+999999")])


def test_a_day_before_the_zones_of_today_has_its_own_offset() -> None:
    """Berlin was 53 minutes and 28 seconds ahead of UTC until 1893."""
    assert day_in(ZoneInfo("Europe/Berlin"), date(1880, 1, 2))[0] == "1880-01-01T23:06:32.000000Z"
