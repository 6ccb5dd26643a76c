"""Each verdict of the matcher, and each rule by which lines and records meet."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from ledger_cli.books.matcher import EXPLAINED, VERDICTS, Finding, Period, match, remainders
from ledger_cli.books.reconciliation import reconcile
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
@pytest.mark.parametrize("amount", ["8", "10.02"])
def test_what_differs_is_compared_with_a_record_that_the_report_must_have(kind: str, other: str, amount: str) -> None:
    """The refund of the last hour is not in this report, so the wrong amount is not its own."""
    sign = "-" if kind == "Refunded" else ""
    lines = [line(f"{sign}10.01", kind="Payment" if kind == "Captured" else kind)]
    records = [entry(kind, amount, "E1", timestamp=other), entry(kind, "10", "E2")]
    findings = match(lines, records, DAY)
    assert seen(findings) == [("amount", 2, "10"), *([("not_yet", None, amount)] if other == at("23:30") else [])]


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


def test_a_line_and_a_record_that_agree_are_matched() -> None:
    """The usual case."""
    findings = match([line("20.00")], [paid("20")], DAY)
    assert findings == [Finding("matched", line("20.00"), paid("20"))]
    assert (findings[0].report_amount, findings[0].ledger_amount) == (20, 20)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"amount": Decimal("20.01")}, "amount"),
        ({"amount": Decimal(-20)}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"currency": "USD", "amount": Decimal(21)}, "currency"),
        ({"status": "Failure"}, "status"),
        ({"status": "Pending"}, "status"),
        ({"status": "Pending", "currency": "USD"}, "status"),
    ],
)
def test_a_line_that_differs_says_in_what(changed: dict[str, Any], verdict: str) -> None:
    """A person looks elsewhere for a wrong amount than for a wrong status."""
    differing = line("20")._replace(**changed)
    assert match([differing], [paid("20")], DAY) == [Finding(verdict, differing, paid("20"))]


def test_a_line_without_a_record_is_missing_in_the_ledger() -> None:
    """The payment was never recorded, or only its refund was not."""
    lines = [line("20"), refund("-5", 3, entry_id="R1"), line("9", 4, transaction_id="P2")]
    findings = match(lines, [paid("20")], DAY)
    assert seen(findings) == [("matched", 2, "20"), ("missing_in_ledger", 3, None), ("missing_in_ledger", 4, None)]
    assert (findings[1].report_amount, findings[1].ledger_amount) == (-5, 0)


def test_a_line_without_any_id_is_missing_in_the_ledger() -> None:
    """Nothing says which record it is about."""
    findings = match([line("20", transaction_id=None)], [paid("20")], ALL_TIMES)
    assert seen(findings) == [("missing_in_ledger", 2, None), ("missing_in_report", None, "20")]


@pytest.mark.parametrize(
    ("timestamp", "verdicts"),
    [
        (at("23:59", 23), []),
        (at("00:00"), ["missing_in_report"]),
        (at("22:59"), ["missing_in_report"]),
        (at("23:00"), ["not_yet"]),
        (at("23:59"), ["not_yet"]),
        (at("00:00", 25), []),
    ],
)
def test_the_time_of_a_record_without_a_line_decides(timestamp: str, verdicts: list[str]) -> None:
    """It is missing, may come in the next report, or belongs to another report."""
    record = paid("20", timestamp=timestamp)
    findings = match([], [record], DAY)
    assert findings == [Finding(verdict, record=record) for verdict in verdicts]
    assert [(one.report_amount, one.ledger_amount) for one in findings] == [(0, 20) for _ in verdicts]


def test_without_a_period_every_record_must_be_in_the_report() -> None:
    """Nobody said where the reports begin or end."""
    assert seen(match([], [paid("20")], ALL_TIMES)) == [("missing_in_report", None, "20")]


def test_a_record_outside_the_period_counts_if_a_line_is_about_it() -> None:
    """A payment of one minute before midnight may be booked one minute after it."""
    record = paid("20", timestamp=at("23:59", 23))
    assert seen(match([line("20")], [record], DAY)) == [("matched", 2, "20")]
    assert seen(match([line("21")], [record], DAY)) == [("amount", 2, "20")]


@pytest.mark.parametrize(
    "record",
    [
        paid("20", status="Failure"),
        paid("0"),
        entry("Voided", "20", "V1"),
        entry("DisputeLost", "20", "L1", reverses="D1"),
    ],
)
def test_a_record_that_moved_no_money_needs_no_line(record: Record) -> None:
    """A payment that failed is in no settlement report."""
    assert match([], [record], DAY) == [Finding("matched", record=record)]
    assert not match([], [record._replace(timestamp=at("12:00", 23))], DAY)


def test_a_failed_payment_may_have_a_line() -> None:
    """PayPal's transaction report shows what was denied."""
    denied = line("20", status="Failure")
    findings = match([denied], [paid("20", status="Failure")], DAY)
    assert seen(findings) == [("matched", 2, "20")]
    assert (findings[0].report_amount, findings[0].ledger_amount) == (0, 0)


@pytest.mark.parametrize("kind", ["no_payment", "unknown_type"])
def test_a_line_about_no_payment_or_of_an_unknown_type_has_its_kind_as_verdict(kind: str) -> None:
    """Nothing is guessed, even if the ID of a payment stands beside it."""
    other = line("20", kind=kind)
    assert match([other], [paid("20")], DAY) == [Finding(kind, other), Finding("missing_in_report", record=paid("20"))]


def test_a_line_with_the_identity_of_another_is_a_duplicate() -> None:
    """The processor's own ID of the movement is there twice, in one file or in two."""
    first, second = line("20", 2, identity="txn_1"), line("20", 2, identity="txn_1", report="b.csv")
    findings = match([first, second], [paid("20")], DAY)
    assert findings == [Finding("matched", first, paid("20")), Finding("duplicate_line", second, first=first)]


def test_fees_and_unknown_lines_may_be_duplicates_too() -> None:
    """A fee that was taken twice is money."""
    lines = [line("-1", number, kind="no_payment", identity="txn_1") for number in (2, 3)]
    assert [one.verdict for one in match(lines, [], DAY)] == ["no_payment", "duplicate_line"]


def test_equal_lines_without_an_identity_are_a_duplicate_if_the_sum_fits_without_it() -> None:
    """A report that a user gives twice has every line twice."""
    lines = [line("12", 2), line("8", 3), line("12", 4)]
    findings = match(lines, [paid("20")], DAY)
    assert seen(findings) == [("matched", 2, "20"), ("matched", 3, None), ("duplicate_line", 4, None)]
    assert findings[2].first == lines[0]


def test_equal_lines_whose_sum_fits_are_no_duplicates() -> None:
    """Two partial captures may be of the same amount in the same second."""
    lines = [line("10", 2), line("10", 3)]
    assert seen(match(lines, [paid("20")], DAY)) == [("matched", 2, "20"), ("matched", 3, None)]


def test_the_captures_of_a_payment_are_summed() -> None:
    """A processor may report one capture in several lines, and several captures in one."""
    split = match([line("12", 2), line("8", 3)], [paid("20")], DAY)
    assert seen(split) == [("matched", 2, "20"), ("matched", 3, None)]
    records = [paid("8"), entry("Captured", "12", "C1")]
    assert seen(match([line("20")], records, DAY)) == [("matched", 2, "12"), ("matched", None, "8")]


@pytest.mark.parametrize("amounts", [("12.01", "8"), ("12", "7.99")])
def test_captures_with_another_sum_differ_in_each_line(amounts: tuple[str, str]) -> None:
    """Nothing says which of the lines is wrong."""
    lines = [line(amount, number) for number, amount in enumerate(amounts, 2)]
    assert seen(match(lines, [paid("20")], DAY)) == [("amount", 2, None), ("amount", 3, "20")]
    records = [paid("8"), entry("Captured", "12", "C1")]
    assert seen(match([line("20.01")], records, DAY)) == [("amount", 2, "8"), ("amount", None, "12")]


def test_of_captures_that_differ_only_those_are_named_that_have_no_partner() -> None:
    """The other capture is right."""
    records = [paid("12"), entry("Captured", "8", "C1")]
    lines = [line("12", 2), line("8.01", 3)]
    assert seen(match(lines, records, DAY)) == [("matched", 2, "12"), ("amount", 3, "8")]
    assert seen(match(lines[:1], records, DAY)) == [("matched", 2, "12"), ("missing_in_report", None, "8")]
    assert seen(match(lines, records[:1], DAY)) == [("matched", 2, "12"), ("missing_in_ledger", 3, None)]


def test_a_sum_has_one_currency() -> None:
    """Ten euros and ten dollars are not twenty of either."""
    lines = [line("10", 2), line("10", 3, currency="USD")]
    assert [one.verdict for one in match(lines, [paid("20")], DAY)] == ["amount", "currency"]
    records = [paid("10"), entry("Captured", "10", "C1", currency="USD")]
    assert [one.verdict for one in match([line("20")], records, DAY)] == ["amount", "currency"]


def test_a_capture_meets_the_record_that_has_its_id() -> None:
    """A processor names each capture, and the ledger may have recorded it as an entry of its own."""
    records = [paid("20"), entry("Captured", "5", "C1"), entry("Captured", "5", "C2")]
    lines = [line("5", 2, entry_id="C2"), line("6", 3, entry_id="C1"), line("20", 4, entry_id="C0")]
    findings = match(lines, records, DAY)
    assert [(one.verdict, one.record) for one in findings] == [
        ("matched", records[2]),
        ("amount", records[1]),
        ("matched", records[0]),
    ]


def test_refunds_meet_by_their_ids_and_not_by_their_amounts() -> None:
    """Two refunds whose amounts were swapped are two differences."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "6", "R2")]
    lines = [refund("-6", 2, entry_id="R1"), refund("-5", 3, entry_id="R2")]
    assert [(one.verdict, one.record) for one in match(lines, records, DAY)] == [
        ("amount", records[0]),
        ("amount", records[1]),
    ]


def test_lines_of_one_refund_are_summed_if_they_name_it() -> None:
    """A dispute may be won in parts."""
    records = [entry("DisputeWon", "20", "W1", reverses="D1")]
    lines = [line(amount, number, kind="DisputeWon", entry_id="D1") for number, amount in ((2, "12"), (3, "8"))]
    assert seen(match(lines, records, DAY)) == [("matched", 2, "20"), ("matched", 3, None)]


def test_refunds_without_ids_meet_by_their_amounts_and_are_not_summed() -> None:
    """One refund of 20 is not two of 10."""
    records = [entry("Refunded", "20", "R1"), entry("Refunded", "5", "R2")]
    lines = [refund("-5", 3), refund("-10", 4), refund("-10", 5, timestamp=at("12:01"))]
    assert seen(match(lines, records, DAY)) == [
        ("matched", 3, "5"),
        ("amount", 4, "20"),
        ("missing_in_ledger", 5, None),
    ]


def test_a_reversal_meets_its_record_by_its_own_id_or_by_that_of_what_it_undoes() -> None:
    """Stripe names the refund that failed, and another processor the failure."""
    record = entry("RefundFailed", "5", "F1", reverses="R1")
    for entry_id in ("F1", "R1"):
        failed = line("5", kind="RefundFailed", entry_id=entry_id)
        assert match([failed], [record], DAY) == [Finding("matched", failed, record)]


def test_entries_of_different_kinds_never_meet() -> None:
    """A refund of 5 does not explain a dispute of 5 that has the same ID."""
    findings = match([refund("-5", entry_id="E1")], [entry("Disputed", "5", "E1")], DAY)
    assert seen(findings) == [("missing_in_ledger", 3, None), ("missing_in_report", None, "5")]


def test_a_line_may_name_the_entry_alone() -> None:
    """Stripe's `source_id` may stand without a `charge_id`."""
    records = [paid("20"), entry("Refunded", "5", "R1")]
    findings = match([refund("-5", entry_id="R1", transaction_id=None)], records, DAY)
    assert seen(findings)[0] == ("matched", 3, "5")


def test_an_entry_that_two_payments_have_names_neither() -> None:
    """IDs of entries are unique within a payment only."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "5", "R1", transaction_id="P2")]
    findings = match([refund("-5", entry_id="R1", transaction_id=None)], records, DAY)
    assert [one.verdict for one in findings] == ["missing_in_ledger", "missing_in_report", "missing_in_report"]


def test_findings_are_in_the_order_of_the_reports_and_then_of_time() -> None:
    """A person goes through the report from its top to its end."""
    lines = [
        line("1", 3, report="b.csv", transaction_id="P5"),
        line("1", 2, report="b.csv", transaction_id="P6"),
        line("1", 4, report="a.csv", transaction_id="P7"),
    ]
    records = [
        paid("3", "P3", timestamp=at("13:00")),
        paid("2", "P2", timestamp=at("11:00")),
        paid("1", "P1", timestamp=at("13:00")),
    ]
    findings = match(lines, records, DAY)
    assert [one.line.number for one in findings if one.line] == [4, 2, 3]
    assert [one.record.transaction_id for one in findings if one.record] == ["P2", "P1", "P3"]


def test_lines_meet_records_in_the_order_of_time() -> None:
    """Which line stands beside which record depends on the report alone, and not on the order of its rows."""
    lines = [line("12", 3, timestamp=at("12:05")), line("8", 2, timestamp=at("12:10"))]
    assert seen(match(lines, [paid("20")], DAY)) == [("matched", 2, None), ("matched", 3, "20")]


@pytest.mark.parametrize("kind", ["Payment", "Refunded"])
def test_the_smallest_of_what_differs_is_compared_with_the_smallest(kind: str) -> None:
    """Amounts that are near each other are the likelier pair."""
    sign = -1 if kind == "Refunded" else 1
    lines = [line(f"{sign * amount}", number, kind=kind) for number, amount in enumerate((31, 11, 21), 2)]
    records = [entry("Captured" if kind == "Payment" else kind, f"{amount}", f"E{amount}") for amount in (20, 30, 10)]
    assert seen(match(lines, records, DAY)) == [("amount", 2, "30"), ("amount", 3, "10"), ("amount", 4, "20")]


REMAINDER_LINES = [line("20"), line("7", 3, transaction_id="P2"), line("3", 4, kind="no_payment", currency="USD")]
REMAINDER_RECORDS = [paid("21"), paid("4", "P3"), paid("9", "P4", timestamp=at("12:00", 23))]


def test_nothing_remains() -> None:
    """Each line and each record of the period is in exactly one finding."""
    findings = match(REMAINDER_LINES, REMAINDER_RECORDS, DAY)
    assert remainders(findings, REMAINDER_LINES, REMAINDER_RECORDS, DAY) == {"EUR": 0, "USD": 0}
    assert list(remainders(findings, REMAINDER_LINES, REMAINDER_RECORDS, DAY)) == ["EUR", "USD"]


def test_a_finding_that_was_lost_or_counts_twice_remains() -> None:
    """The remainder is made without the findings, so that it can show their faults."""
    findings = match(REMAINDER_LINES, REMAINDER_RECORDS, DAY)
    expected = {2: (-1, 0), 3: (7, 0), 4: (0, 3), None: (-4, 0)}
    for finding in findings:
        number = None if finding.line is None else finding.line.number
        euros, dollars = expected[number]
        lost = [one for one in findings if one is not finding]
        remainder = remainders(lost, REMAINDER_LINES, REMAINDER_RECORDS, DAY)
        assert remainder == {"EUR": euros, "USD": dollars}
        twice = remainders([*findings, finding], REMAINDER_LINES, REMAINDER_RECORDS, DAY)
        assert twice == {"EUR": -euros, "USD": -dollars}


def test_a_record_outside_the_period_is_part_of_the_remainder_if_a_line_is_about_it() -> None:
    """Then its finding has both amounts."""
    lines, records = [line("20")], [paid("20", timestamp=at("23:59", 23))]
    assert remainders(match(lines, records, DAY), lines, records, DAY) == {"EUR": 0}


def test_the_verdicts_and_those_that_need_nobody_are_these() -> None:
    """Scripts and pages name them."""
    assert VERDICTS == (
        "matched",
        "missing_in_ledger",
        "missing_in_report",
        "amount",
        "currency",
        "status",
        "duplicate_line",
        "not_yet",
        "no_payment",
        "unknown_type",
    )
    assert {"matched", "not_yet", "no_payment"} == EXPLAINED


def test_lines_with_identities_of_their_own_are_no_duplicates() -> None:
    """They differ in nothing else."""
    lines = [line("10", number, identity=f"txn_{number}") for number in (2, 3)]
    assert [one.verdict for one in match(lines, [paid("20")], DAY)] == ["matched", "matched"]


def test_of_lines_of_one_time_the_first_of_the_reports_stands_beside_the_record() -> None:
    """Those without a time come first, then the file and the line decide."""
    late = line("5", 2, report="a.csv")
    other, same = line("5", 9, report="a.csv"), line("5", 2, report="b.csv", type="sale of b")
    timeless = line("5", 9, report="z.csv", timestamp=None)
    for count, first in ((4, timeless), (3, late), (2, other)):
        lines = [same, other, late, timeless]
        for order in permutations([*lines[:count]]):
            findings = match(order, [paid(f"{5 * count}")], DAY)
            assert [one.line for one in findings if one.record] == [first]


def test_of_records_of_one_time_the_one_with_the_first_id_comes_first() -> None:
    """A payment comes before its entries."""
    records = [paid("10"), entry("Captured", "10", "C1"), entry("Captured", "10", "C2")]
    for order in permutations(records):
        findings = match([line("10", timestamp=None)], order, DAY)
        assert [one.record for one in findings] == records


def test_earlier_records_come_first_whatever_their_ids_are() -> None:
    """The time decides before the ID."""
    records = [entry("Refunded", "5", "R2", timestamp=at("11:00")), entry("Refunded", "5", "R1")]
    for order in permutations(records):
        findings = match([refund("-5", timestamp=None)], order, DAY)
        assert [one.record for one in findings] == records


def test_a_payment_that_is_recorded_comes_before_an_entry_of_the_same_id() -> None:
    """A sender may give an entry the ID of another payment."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "5", "P1", transaction_id="P2")]
    assert seen(match([refund("-5", entry_id="R1")], records, DAY))[0] == ("matched", 3, "5")


def test_a_capture_may_name_its_entry_alone() -> None:
    """As a refund may."""
    named = line("20", transaction_id=None, entry_id="C1")
    assert seen(match([named], [entry("Captured", "20", "C1")], DAY)) == [("matched", 2, "20")]


def test_a_refund_that_names_another_id_is_not_met_by_its_amount() -> None:
    """The report names a refund that the ledger lacks, and lacks one that the ledger has."""
    findings = match([refund("-5", entry_id="R9")], [entry("Refunded", "5", "R1")], DAY)
    assert seen(findings) == [("missing_in_ledger", 3, None), ("missing_in_report", None, "5")]


def test_a_reversal_meets_the_line_of_its_own_id_first() -> None:
    """The line that names what it undoes is then about another one."""
    own, other = (line("5", number, kind="RefundFailed", entry_id=name) for number, name in ((2, "F1"), (3, "R1")))
    record = entry("RefundFailed", "5", "F1", reverses="R1")
    findings = match([other, own], [record], DAY)
    assert findings == [Finding("matched", own, record), Finding("missing_in_ledger", other)]


def test_a_repeated_line_does_not_hide_a_capture_of_the_next_report() -> None:
    """All three have their verdicts."""
    records = [paid("6"), entry("Captured", "8", "C1", timestamp=at("23:30"))]
    findings = match([line("6", 2), line("6", 3)], records, DAY)
    assert seen(findings) == [("matched", 2, "6"), ("duplicate_line", 3, None), ("not_yet", None, "8")]


def test_equal_lines_that_the_ledger_lacks_are_missing() -> None:
    """Nothing that is in the ledger is there twice."""
    lines = [refund("-5", 3, entry_id="R1"), refund("-5", 4, entry_id="R1"), line("5", 5), line("-5", 6)]
    assert {one.verdict for one in match(lines, [], DAY)} == {"missing_in_ledger"}


@pytest.mark.parametrize(
    ("amount", "summed"),
    [("55", {"30", "10", "8", "7"}), ("25", {"10", "8", "7"}), ("18", {"10", "8"}), ("8", {"8"})],
)
def test_a_line_is_the_sum_of_all_captures_or_of_those_that_the_report_may_or_must_have(
    amount: str, summed: set[str]
) -> None:
    """The payment is of yesterday, two captures are of today, and one is of the last hour."""
    records = [
        paid("30", timestamp=at("12:00", 23)),
        entry("Captured", "10", "C1"),
        entry("Captured", "8", "C2"),
        entry("Captured", "7", "C3", timestamp=at("23:30")),
    ]
    findings = match([line(amount)], records, DAY)
    assert {f"{one.record.amount:f}" for one in findings if one.verdict == "matched" and one.record} == summed
    others = {"10", "8"} - summed
    assert {f"{one.record.amount:f}" for one in findings if one.verdict == "missing_in_report"} == others


def test_of_two_captures_with_the_sum_of_the_lines_one_is_missing() -> None:
    """The lines are not about both."""
    records = [paid("10"), entry("Captured", "10", "C1")]
    findings = match([line("6", 2), line("4", 3)], records, DAY)
    assert seen(findings) == [("matched", 2, "10"), ("matched", 3, None), ("missing_in_report", None, "10")]
    assert findings[0].record == records[0]


def test_a_repetition_in_another_report_is_a_duplicate() -> None:
    """A user gives two reports whose days overlap."""
    first, second = line("20", 2, report="a.csv"), line("20", 7, report="b.csv")
    findings = match([second, first], [paid("20")], DAY)
    assert findings == [Finding("matched", first, paid("20")), Finding("duplicate_line", second, first=first)]


@pytest.mark.parametrize("other", [{"type": "sale again"}, {"status": "Pending"}])
def test_a_line_that_differs_in_anything_is_no_repetition(other: dict[str, str]) -> None:
    """It says something else."""
    findings = match([line("20"), line("20", 3, **other)], [paid("20")], DAY)
    assert "duplicate_line" not in {one.verdict for one in findings}


@pytest.mark.parametrize("status", ["Success", "Failure"])
def test_what_was_pending_ends_in_another_line(status: str) -> None:
    """PayPal reports a payment as pending, and on a later day its end. Only the end moves money."""
    lines = [line("20", 2, status="Pending"), line("20", 3, status=status)]
    findings = match(lines, [paid("20", status=status)], DAY)
    assert seen(findings) == [("matched", 2, None), ("matched", 3, "20")]


def test_what_is_pending_has_no_record_yet() -> None:
    """The ledger learns of a payment when it has ended."""
    assert seen(match([line("20", status="Pending")], [], DAY)) == [("not_yet", 2, None)]
    assert seen(match([line("20", status="Pending")], [paid("20")], DAY)) == [("status", 2, "20")]


def test_a_line_of_two_reports_meets_no_second_record() -> None:
    """Two refunds of one amount: the report has the first twice, since its days overlap, and lacks the second."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "5", "R2", timestamp=at("13:00"))]
    lines = [refund("-5", 3, report="a.csv"), refund("-5", 2, report="b.csv")]
    assert seen(match(lines, records, ALL_TIMES)) == [
        ("matched", 3, "5"), ("duplicate_line", 2, None), ("missing_in_report", None, "5")
    ]  # fmt: skip
    twice = [refund("-5", 3, report="a.csv"), refund("-5", 4, report="a.csv")]
    assert {one.verdict for one in match(twice, records, ALL_TIMES)} == {"matched"}


def test_a_fee_of_two_reports_counts_once() -> None:
    """Without a time, nothing distinguishes the fees of two days."""
    fees = [line("-1.45", 2, kind="no_payment", transaction_id=None, report=name) for name in ("a.csv", "b.csv")]
    assert [one.verdict for one in match(fees, [], ALL_TIMES)] == ["no_payment", "duplicate_line"]
    timeless = [one._replace(timestamp=None) for one in fees]
    assert [one.verdict for one in match(timeless, [], ALL_TIMES)] == ["no_payment", "no_payment"]


def test_an_identity_that_comes_again_with_something_else_is_another_line() -> None:
    """Some processors number the rows of each file from 1."""
    lines = [
        line("20", 2, identity="1", report="a.csv"),
        line("7", 2, identity="1", transaction_id="P2", report="b.csv"),
    ]
    findings = match(lines, [paid("20"), paid("7", "P2")], ALL_TIMES)
    assert [one.verdict for one in findings] == ["matched", "matched"]


def test_a_line_may_name_what_it_undoes_in_the_place_of_the_payment() -> None:
    """PayPal's reversal of a chargeback names the chargeback, which is in an earlier report."""
    records = [paid("20"), entry("Disputed", "20", "D1"), entry("DisputeWon", "20", "D1_won", reverses="D1")]
    lines = [
        line("20", 2), line("-20", 3, kind="Disputed", entry_id="D1"),
        line("20", 4, kind="DisputeWon", transaction_id="D1", entry_id="W1"),
    ]  # fmt: skip
    assert {one.verdict for one in match(lines, records, ALL_TIMES)} == {"matched"}


def test_the_next_report_may_have_what_is_new_and_no_more() -> None:
    """An old report, or one that was cut off, does not explain the payments of the days after it."""
    period = Period(open_from=at("11:00"), open_until=at("13:00"))
    times = ("10:59", "11:00", "12:59", "13:00")
    records = [paid("1", f"P{number}", timestamp=at(time)) for number, time in enumerate(times)]
    assert [one.verdict for one in match([], records, period)] == [
        "missing_in_report", "not_yet", "not_yet", "missing_in_report"
    ]  # fmt: skip


def test_money_that_went_again_fits_no_sum_with_a_success() -> None:
    """Only a payment that failed as a whole is undone."""
    records = [paid("20", status="Failure"), entry("Captured", "5", "C1"), entry("Captured", "3", "C2")]
    findings = match([line("28", 2), line("-20", 3)], records, DAY)
    assert {one.verdict for one in findings if one.line} != {"matched"}


@pytest.mark.parametrize(("day", "clock"), [(23, None), (24, "09:00"), (24, "10:00"), (24, "10:59")])
def test_of_equal_records_a_line_before_both_or_without_a_time_meets_the_first(day: int, clock: str | None) -> None:
    """Clocks of two systems differ."""
    records = [entry("Refunded", "5", f"R{hour}", timestamp=at(f"{hour}:00", day)) for hour in (10, 12)]
    timestamp = None if clock is None else at(clock)
    assert match([refund("-5", timestamp=timestamp)], records, DAY)[0].record == records[0]


def test_of_equal_records_a_line_between_both_meets_the_first_if_it_is_as_near() -> None:
    """A line is booked after its record, and not before."""
    records = [entry("Refunded", "5", f"R{hour}", timestamp=at(f"{hour}:00")) for hour in (10, 12)]
    assert match([refund("-5", timestamp=at("11:00"))], records, DAY)[0].record == records[0]
    assert match([refund("-5", timestamp=at("11:01"))], records, DAY)[0].record == records[1]
    assert match([refund("-5", timestamp=at("13:00"))], records, DAY)[0].record == records[1]


def test_what_is_left_over_of_a_sum_is_compared_with_the_largest() -> None:
    """Each part of a sum has the verdict of its own difference."""
    lines = [line("1", 2), line("2", 3), line("3", 4), line("4", 5, currency="USD")]
    records = [paid("10", currency="USD"), entry("Captured", "20", "C1")]
    found = [one.verdict for one in match(lines, records, DAY)]
    assert found == ["currency", "amount", "amount", "currency"]
    records += [entry("Captured", "30", "C2"), entry("Captured", "40", "C3", currency="USD")]
    found = [one.verdict for one in match(lines[:1] + lines[3:], records, DAY)]
    assert found == ["currency", "currency", "currency", "amount"]


def test_what_differs_by_the_same_amount_is_compared_in_the_order_of_time() -> None:
    """The order of the rows and of the records decides nothing."""
    lines = [refund("-7", 2, timestamp=at("12:30")), refund("-7", 3, timestamp=at("12:20"))]
    records = [entry("Refunded", "5", "R2"), entry("Refunded", "5", "R1", timestamp=at("12:10"))]
    for order in permutations(records):
        assert [one.record for one in match(lines, order, DAY)] == [records[1], records[0]]


def test_the_captures_of_the_next_report_may_come_later_if_one_of_this_report_is_doubled() -> None:
    """Nothing is left to compare them with."""
    records = [paid("20"), entry("Captured", "5", "C1"), entry("Captured", "6", "C2", timestamp=at("23:30"))]
    findings = match([line("20"), line("20", 3)], records, DAY)
    assert seen(findings) == [
        ("matched", 2, "20"),
        ("duplicate_line", 3, None),
        ("missing_in_report", None, "5"),
        ("not_yet", None, "6"),
    ]


def test_the_longest_amounts_are_exact() -> None:
    """An amount has up to 38 digits, and a minus sign of Python rounds to 28."""
    large, larger = "9" * 36 + ".98", "9" * 36 + ".99"
    records = [paid(large), entry("Refunded", large, "R1"), entry("Disputed", larger, "D1")]
    lines = [
        line(larger, 2),
        refund(f"-{large}", 3, entry_id="R1"),
        line(f"-{large}", 4, kind="Disputed", entry_id="D1"),
    ]
    findings = match(lines, records, ALL_TIMES)
    assert seen(findings) == [("amount", 2, large), ("matched", 3, large), ("amount", 4, larger)]
    assert remainders(findings, lines, records, ALL_TIMES) == {"EUR": 0}
    result = reconcile("acme-pay", lines, records, ALL_TIMES)
    assert result.sums["EUR"].to_decide == Decimal("0.02")


def test_the_second_of_two_equal_lines_is_no_duplicate_of_another_report_that_has_one() -> None:
    """The other report lacks it, or its payment was booked there on another day."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "5", "R2")]
    lines = [refund("-5", 3, report="a.csv"), refund("-5", 2, report="b.csv"), refund("-5", 3, report="b.csv")]
    assert seen(match(lines, records, ALL_TIMES)) == [
        ("matched", 3, "5"), ("duplicate_line", 2, None), ("matched", 3, "5")
    ]  # fmt: skip


def test_the_duplicate_is_the_later_line_whatever_the_order_in_which_they_are_given() -> None:
    """And each identity has a first line of its own."""
    first, other = line("20", 2, identity="1"), line("7", 3, identity="2", transaction_id="P2")
    again, later = other._replace(number=9), first._replace(number=7)
    findings = match([later, again, other, first], [paid("20"), paid("7", "P2")], ALL_TIMES)
    assert [(one.verdict, one.line and one.line.number, one.first and one.first.number) for one in findings] == [
        ("matched", 2, None), ("matched", 3, None), ("duplicate_line", 7, 2), ("duplicate_line", 9, 3)
    ]  # fmt: skip


def test_the_same_identity_with_another_status_is_another_line() -> None:
    """What was pending has an end."""
    lines = [line("20", 2, identity="1", status="Pending"), line("20", 3, identity="1")]
    assert [one.verdict for one in match(lines, [paid("20")], ALL_TIMES)] == ["matched", "matched"]


def test_a_pending_part_that_has_ended_is_no_part_of_the_sum() -> None:
    """The parts that have ended are."""
    lines = [line("12", 2, status="Pending"), line("12", 3), line("8", 4)]
    assert {one.verdict for one in match(lines, [paid("20")], ALL_TIMES)} == {"matched"}


def test_a_capture_that_bears_the_id_of_a_refund_is_a_capture() -> None:
    """IDs of two kinds may be alike."""
    records = [paid("20"), entry("Refunded", "5", "X")]
    findings = match([line("20", entry_id="X"), refund("-5", entry_id="X")], records, ALL_TIMES)
    assert {one.verdict for one in findings} == {"matched"}


def test_a_line_that_names_only_the_refund_meets_no_other_refund() -> None:
    """Its amount is wrong, and would fit another one."""
    records = [entry("Refunded", "5", "R1"), entry("Refunded", "7", "R2")]
    findings = match([refund("-5", entry_id="R2", transaction_id=None)], records, ALL_TIMES)
    assert seen(findings) == [("amount", 3, "7"), ("missing_in_report", None, "5")]


def test_the_number_decides_before_the_turn() -> None:
    """Only the currency of the newer refund is wrong, and the older one is missing."""
    records = [entry("Refunded", "18", "R1", timestamp=at("23:30")), entry("Refunded", "17", "R2")]
    findings = match([refund("-18", currency="USD")], records, DAY)
    assert seen(findings) == [("currency", 3, "18"), ("missing_in_report", None, "17")]


def test_the_nearest_amount_may_be_larger_or_smaller() -> None:
    """A cent too much is nearer than three too few."""
    for amounts, nearest in ((("8", "13"), "8"), (("7", "12"), "12")):
        records = [entry("Refunded", amount, f"R{amount}") for amount in amounts]
        assert ("amount", 3, nearest) in seen(match([refund("-10")], records, ALL_TIMES))


def test_a_failure_beside_money_that_came_and_went_is_looked_at() -> None:
    """Three lines that disagree are no whole that failed."""
    lines = [line("20", 2), line("-20", 3), line("5", 4, status="Failure")]
    findings = match(lines, [paid("20", status="Failure")], ALL_TIMES)
    assert {one.verdict for one in findings} != {"matched"}


def test_a_fee_that_comes_again_is_a_duplicate() -> None:
    """It is no payment's, so its identity alone shows it."""
    fee = line("-1.45", 3, identity="2", kind="no_payment", transaction_id=None)
    findings = match([line("20", 2, identity="1"), fee, fee._replace(number=4)], [paid("20")], ALL_TIMES)
    assert [one.verdict for one in findings] == ["matched", "no_payment", "duplicate_line"]


def test_a_doubled_line_that_names_its_payment_otherwise_is_a_duplicate() -> None:
    """PayPal's reversal names the payment or the chargeback, whichever is in the same file."""
    first = line("20", 4, kind="DisputeWon", entry_id="D1", identity="W1", report="a.csv")
    records = [paid("20"), entry("DisputeWon", "20", "W1", reverses="D1")]
    again = first._replace(transaction_id="D1", entry_id="W1", report="b.csv")
    assert [one.verdict for one in match([first, again], records, DAY) if one.line] == ["matched", "duplicate_line"]


@pytest.mark.parametrize("other", [{"currency": "USD"}, {"timestamp": at("13:00")}, {"type": "sale again"}])
def test_an_identity_comes_again_with_another_movement(other: dict[str, str]) -> None:
    """Rows that are numbered within their file say something else under the same number."""
    first = line("20", 2, identity="1", report="a.csv")
    second = first._replace(report="b.csv", transaction_id="P2", **other)
    records = [paid("20"), paid("20", "P2", currency=second.currency)]
    assert [one.verdict for one in match([first, second], records, ALL_TIMES)] == ["matched", "matched"]


def test_a_line_with_another_status_is_no_repetition() -> None:
    """A payment that succeeded and one that failed under the same ID are looked at."""
    lines = [line("20", 2), line("20", 3, status="Failure")]
    assert [one.verdict for one in match(lines, [paid("20")], ALL_TIMES)] == ["matched", "missing_in_ledger"]
