"""The totals of a day, and exact sums."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_cli.books.amounts import text, total
from ledger_cli.books.record import Record
from ledger_cli.books.totals import Sums, day_in, totals
from tests.support.books import entry, life, payment


def test_each_kind_counts_where_it_belongs() -> None:
    """The kinds are those of docs/integrate/entries.md, with their effects."""
    facts = life(
        payment("a"),
        entry("Captured", "20.00"), entry("Refunded", "30.00"), entry("RefundFailed", "5.00", reverses="refunded-1"),
        entry("Disputed", "50.00"), entry("DisputeWon", "10.00", reverses="disputed-1"),
        entry("DisputeLost", "40.00", reverses="disputed-1"), entry("Voided", "1.00"),
    )  # fmt: skip
    facts += [*life(payment("b", status="Failure")), *life(payment("c", "500", currency="JPY"))]
    found = totals(map(Record.of, facts))
    assert found == {
        ("EUR", "Failure"): Sums(payments=1),
        ("EUR", "Success"): Sums(1, 7, Decimal("120.00"), Decimal("25.00"), Decimal("40.00")),
        ("JPY", "Success"): Sums(1, 0, Decimal(500)),
    }
    assert found["EUR", "Success"].net == Decimal("55.00")


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3, max_value=10**30, min_value=-(10**30))))
def test_a_sum_is_exact(amounts: list[Decimal]) -> None:
    """Whole numbers of the smallest unit are the judge."""
    units = [int(text(amount, 3).replace(".", "")) for amount in amounts]
    assert int(text(total(amounts), 3).replace(".", "")) == sum(units)


def test_the_largest_and_the_smallest_amount_add_up() -> None:
    """An amount has up to 38 digits, on either side of the point. Nothing is rounded in between."""
    large, small = Decimal("9" * 38), Decimal(f"0.{'0' * 37}1")
    assert total([large, small, large.copy_negate()]) == small
    assert text(total([large, small])) == f"{'9' * 38}.{'0' * 37}1"


def test_text_has_the_decimals_that_are_asked_for_and_zero_has_no_sign() -> None:
    """-0.00 in a table would make a person look twice."""
    assert [text(Decimal(one), 2) for one in ("25", "-0", "1.005", "-3.1")] == ["25.00", "0.00", "1.005", "-3.10"]


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        ("UTC", date(2026, 11, 24), "2026-11-24T00:00:00", "2026-11-25T00:00:00"),
        ("Europe/Berlin", date(2026, 11, 24), "2026-11-23T23:00:00", "2026-11-24T23:00:00"),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00:00", "2026-11-02T05:00:00"),
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00:00", "2026-04-24T21:00:00"),
        ("Pacific/Kiritimati", date(2026, 1, 1), "2025-12-31T10:00:00", "2026-01-01T10:00:00"),
    ],
)
def test_a_day_is_that_of_its_zone(zone: str, day: date, first: str, last: str) -> None:
    """A day has 23 or 25 hours if the clocks change, and in Cairo its first hour may not exist."""
    assert day_in(ZoneInfo(zone), day) == (f"{first}.000000Z", f"{last}.000000Z")
