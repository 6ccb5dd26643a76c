"""Each verdict of the matcher, and each rule by which lines and records meet."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from ledger_cli.books.matcher import Finding, Period, match
from ledger_cli.books.record import Record
from ledger_cli.books.report import ReportLine

NOON = "2026-11-24T12:00:00.000000Z"
ALL_TIMES = Period()
DAY = Period("2026-11-24T00:00:00.000000Z", "2026-11-25T00:00:00.000000Z", "2026-11-24T23:00:00.000000Z")


def at(clock: str, day: int = 24) -> str:
    """Return a time of November 2026."""
    return f"2026-11-{day}T{clock}:00.000000Z"


def paid(amount: str, transaction_id: str = "P1", **changes: Any) -> Record:
    """Return a payment's record."""
    record = Record(transaction_id, None, "Payment", Decimal(amount), "EUR", "acme-pay", NOON, "Success", None)
    return record._replace(**changes)


def entry(kind: str, amount: str, entry_id: str, **changes: Any) -> Record:
    """Return an entry's record."""
    return paid(amount)._replace(entry_id=entry_id, kind=kind, **changes)


def line(amount: str, number: int = 2, **changes: Any) -> ReportLine:
    """Return a report's line about the payment `P1`."""
    return ReportLine(number, "sale", "Payment", "P1", None, Decimal(amount), "EUR", NOON)._replace(**changes)


def refund(amount: str, number: int = 3, **changes: Any) -> ReportLine:
    """Return a report's line about a refund of the payment `P1`."""
    return line(amount, number, **{"kind": "Refunded", "type": "refund", **changes})


def seen(findings: list[Finding]) -> list[tuple[str, int | None, str | None]]:
    """Return the verdict, the line's number, and the record's amount of each finding."""
    return [
        (
            finding.verdict,
            None if finding.line is None else finding.line.number,
            None if finding.record is None else f"{finding.record.amount:f}",
        )
        for finding in findings
    ]


def test_a_payment_whose_money_came_and_went_again_fits_a_failure() -> None:
    """A bank debit that fails after days has two lines in Stripe's reports: nobody needs to look."""
    lines = [line("20", 2), line("-20", 3)]
    records = [paid("20", status="Failure")]
    assert seen(match(lines, records, ALL_TIMES)) == [("matched", 2, "20"), ("matched", 3, None)]


@pytest.mark.parametrize("amounts", [["20"], ["20", "-19.99"], ["0"]])
def test_money_that_stayed_fits_no_failure(amounts: list[str]) -> None:
    """The ledger says that the payment failed, and the processor has settled it."""
    lines = [line(amount, number) for number, amount in enumerate(amounts)]
    assert {finding.verdict for finding in match(lines, [paid("20", status="Failure")], ALL_TIMES)} == {"status"}


def test_a_capture_that_is_not_recorded_is_missing_and_differs_from_no_authorisation() -> None:
    """Under Adyen's manual capture, the payment itself is recorded with an amount of 0: nothing was taken yet."""
    lines = [line("20", entry_id="C1"), line("30", 3, entry_id="C2")]
    records = [paid("0"), entry("Captured", "30", "C2")]
    findings = match(lines, records, ALL_TIMES)
    assert seen(findings) == [("missing_in_ledger", 2, None), ("matched", 3, "30"), ("matched", None, "0")]


def test_a_line_that_names_an_entry_as_its_payment_belongs_to_the_payment_of_that_entry() -> None:
    """PayPal's reversal of a chargeback refers to the chargeback, which may be in an earlier report."""
    won = line("20", kind="DisputeWon", transaction_id="CB1", entry_id="W1")
    record = entry("DisputeWon", "20", "W1", reverses="CB1")
    for records in ([paid("20"), entry("Disputed", "20", "CB1"), record], [paid("20"), record]):
        findings = match([won], records, Period("2027-01-01T00:00:00.000000Z"))
        assert seen(findings) == [("matched", 2, "20")]


def test_a_line_meets_no_entry_of_another_payment() -> None:
    """The IDs of entries are the sender's, so two payments may have entries of one ID."""
    findings = match(
        [refund("-5", entry_id="R1", transaction_id="P2")], [paid("20"), entry("Refunded", "5", "R1")], DAY
    )
    assert [finding.verdict for finding in findings] == ["missing_in_ledger", "missing_in_report", "missing_in_report"]


def test_a_payment_meets_no_entry_that_has_its_id() -> None:
    """A payment that the ledger lacks is missing, whatever a sender has called an entry."""
    findings = match([line("5", transaction_id="R1")], [paid("20"), entry("Captured", "5", "R1")], DAY)
    assert seen(findings)[0] == ("missing_in_ledger", 2, None)


def test_the_order_of_records_decides_nothing() -> None:
    """An export and a stack give the same records in other orders."""
    lines = [refund("-5", 3), refund("-7", 4), line("20", 5)]
    records = [
        paid("12"),
        entry("Captured", "8", "C1", timestamp=at("13:00")),
        *(entry("Refunded", "5", f"R{number}", timestamp=at(f"1{number}:30")) for number in range(3)),
    ]
    first = match(lines, records, DAY)
    assert all(match(lines, list(order), DAY) == first for order in permutations(records))


def test_of_equal_records_a_line_meets_the_one_nearest_in_time() -> None:
    """A refund of yesterday's report must not take the place of today's, which has the same amount."""
    records = [
        entry("Refunded", "5", "R1", timestamp=at("10:00", 23)),
        entry("Refunded", "5", "R2", timestamp=at("10:00")),
        entry("Refunded", "5", "R3", timestamp=at("23:30")),
    ]
    for clock, entry_id in (("10:05", "R2"), ("09:55", "R2"), ("23:35", "R3"), ("23:25", "R3")):
        matched = match([refund("-5", timestamp=at(clock))], records, DAY)[0]
        assert matched.record is not None
        assert matched.record.entry_id == entry_id, clock


def test_without_a_time_a_line_meets_a_record_that_the_report_must_have() -> None:
    """A record of another day, or of the last hour, may be in another report."""
    records = [
        entry("Refunded", "5", "R1", timestamp=at("10:00", 23)),
        entry("Refunded", "5", "R2", timestamp=at("23:30")),
        entry("Refunded", "5", "R3", timestamp=at("10:00")),
    ]
    findings = match([refund("-5", timestamp=None)], records, DAY)
    assert seen(findings) == [("matched", 3, "5"), ("not_yet", None, "5")]
    assert findings[0].record == records[2]


@pytest.mark.parametrize("other", [at("10:00", 23), at("23:30"), at("10:00", 25)])
def test_a_capture_of_another_report_does_not_spoil_the_sum_of_this_one(other: str) -> None:
    """The lines of a format without IDs of captures are one sum, and the report may have a part of them only."""
    lines = [line("6", 2), line("4", 3)]
    records = [paid("10"), entry("Captured", "8", "C1", timestamp=other)]
    verdicts = [finding.verdict for finding in match(lines, records, DAY)]
    assert verdicts == ["matched", "matched", *(["not_yet"] if other == at("23:30") else [])]


@pytest.mark.parametrize("other", [at("10:00", 23), at("23:30")])
@pytest.mark.parametrize("kind", ["Captured", "Refunded"])
def test_what_differs_is_compared_with_a_record_that_the_report_must_have(kind: str, other: str) -> None:
    """The refund of the last hour is not in this report, so the wrong amount is not its own."""
    sign = "-" if kind == "Refunded" else ""
    lines = [line(f"{sign}10.01", kind="Payment" if kind == "Captured" else kind)]
    records = [entry(kind, "8", "E1", timestamp=other), entry(kind, "10", "E2")]
    findings = match(lines, records, DAY)
    assert seen(findings) == [("amount", 2, "10"), *([("not_yet", None, "8")] if other == at("23:30") else [])]


def test_lines_that_sum_to_one_record_are_about_that_record() -> None:
    """The other capture is missing: that does not make the sum of this one wrong."""
    lines = [line("6", 2), line("4", 3)]
    records = [paid("30"), entry("Captured", "10", "C1")]
    expected = [("matched", 2, "10"), ("matched", 3, None), ("missing_in_report", None, "30")]
    assert seen(match(lines, records, DAY)) == expected


def test_the_repetition_of_a_line_that_fits_is_a_duplicate_whatever_else_is_missing() -> None:
    """A line that says the same to the second is not about the other refund, whose amount it does not have."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "6", "R2")]
    findings = match([refund("-5", 3), refund("-5", 4)], records, DAY)
    assert seen(findings) == [("matched", 3, "5"), ("duplicate_line", 4, None), ("missing_in_report", None, "6")]
    assert findings[1].first == refund("-5", 3)


def test_what_differs_is_compared_with_the_record_nearest_in_amount() -> None:
    """One refund is missing and another has the wrong currency: a person must see which."""
    records = [entry("Refunded", "600", "R1"), entry("Refunded", "10", "R2"), entry("Refunded", "1", "R3")]
    findings = match([refund("-10", currency="USD")], records, DAY)
    assert seen(findings) == [
        ("currency", 3, "10"),
        ("missing_in_report", None, "600"),
        ("missing_in_report", None, "1"),
    ]
