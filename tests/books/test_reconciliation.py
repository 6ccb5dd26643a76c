"""A reconciliation: counts, sums by currency, next steps, and the form of its output."""

from decimal import Decimal
from typing import Any

import pytest

from ledger_cli.books.matcher import VERDICTS, Finding, Period
from ledger_cli.books.reconciliation import (
    COLUMNS,
    CurrencySums,
    Reconciliation,
    by_size,
    next_step,
    reconcile,
    rows,
    summary,
)
from ledger_cli.books.record import Record
from ledger_cli.books.report import ReportLine

DAY = Period("2026-11-24T00:00:00.000000Z", "2026-11-25T00:00:00.000000Z", "2026-11-24T23:00:00.000000Z")


def record(transaction_id: str, amount: str, clock: str = "12:00", **changes: Any) -> Record:
    """Return a payment's record."""
    time = f"2026-11-24T{clock}:00.000000Z"
    of = Record(transaction_id, None, "Payment", Decimal(amount), "EUR", "acme-pay", time, "Success", None)
    return of._replace(**changes)


def line(number: int, transaction_id: str | None, amount: str, **changes: Any) -> ReportLine:
    """Return a report's line."""
    of = ReportLine(number, "sale", "Payment", transaction_id, None, Decimal(amount), "EUR", None, report="a.csv")
    return of._replace(**changes)


LINES = [
    line(2, "P1", "20.5"),
    line(3, "P2", "10"),
    line(4, None, "-1.25", kind="no_payment"),
    line(5, "P3", "7"),
    line(6, "P6", "800", currency="JPY"),
    line(7, "P7", "3", entry_id="R7", kind="Refunded"),
]
RECORDS = [
    record("P1", "20.50"),
    record("P2", "10.005"),
    record("P4", "4", "23:30"),
    record("P5", "5"),
    record("P6", "900", currency="JPY"),
    record("P8", "9", timestamp="2026-11-23T12:00:00.000000Z"),
]


@pytest.fixture(scope="module")
def result() -> Reconciliation:
    """A result with a finding of most kinds."""
    return reconcile("acme-pay", LINES, RECORDS, DAY)


def test_each_verdict_is_counted(result: Reconciliation) -> None:
    """The first thing that a person wants to know."""
    assert result.processor_id == "acme-pay"
    assert result.counts == {
        "matched": 1,
        "amount": 2,
        "no_payment": 1,
        "missing_in_ledger": 2,
        "not_yet": 1,
        "missing_in_report": 1,
    }


def test_sums_explain_the_difference_by_currency(result: Reconciliation) -> None:
    """What is explained and what needs a person add up to the difference, and nothing remains."""
    euros, yen = result.sums["EUR"], result.sums["JPY"]
    assert euros == CurrencySums(Decimal("39.25"), Decimal("39.505"), Decimal("-5.25"), Decimal(0))
    assert (euros.difference, euros.to_decide) == (Decimal("-0.255"), Decimal("4.995"))
    assert (yen.report, yen.ledger, yen.explained, yen.difference, yen.to_decide) == (800, 900, 0, -100, -100)
    assert list(result.sums) == ["EUR", "JPY"]


def test_to_decide_leaves_out_what_is_explained_and_what_remains() -> None:
    """A remainder is a fault of the matcher, and no decision of a person."""
    sums = CurrencySums(Decimal(10), Decimal(3), Decimal(2), Decimal(1))
    assert (sums.difference, sums.to_decide) == (7, 4)


def test_amounts_have_the_most_decimals_of_their_currency(result: Reconciliation) -> None:
    """Amounts that stand below each other have their points below each other."""
    assert result.decimals == {"EUR": 3, "JPY": 0}
    assert result.text(Decimal(1), "EUR") == "1.000"
    assert result.text(Decimal(1), "JPY") == "1"
    assert result.text(Decimal(1), "USD") == "1"
    lines = [line(2, "P1", "1.0000"), line(3, "P1", "1")]
    assert reconcile("acme-pay", lines, [record("P1", "2")], DAY).decimals == {"EUR": 4}


def test_some_verdicts_need_a_person(result: Reconciliation) -> None:
    """The others are what a true report has too."""
    assert [one.verdict for one in result.to_decide] == [
        "amount",
        "missing_in_ledger",
        "amount",
        "missing_in_ledger",
        "missing_in_report",
    ]
    assert not result.is_explained


def test_a_result_is_explained_if_nothing_needs_a_person_and_nothing_remains() -> None:
    """The exit status depends on it."""
    right = reconcile("acme-pay", [LINES[0], LINES[2]], [RECORDS[0], RECORDS[2]], DAY)
    assert right.is_explained
    sums = {"EUR": CurrencySums(Decimal(0), Decimal(0), Decimal(0), Decimal("0.01"))}
    assert not Reconciliation("acme-pay", DAY, [], {}, sums, {}).is_explained


def test_the_sums_of_a_verdict_are_those_of_its_lines_and_of_its_records(result: Reconciliation) -> None:
    """The page shows both beside each other."""
    assert result.sums_of("amount") == (
        {"EUR": Decimal(10), "JPY": Decimal(800)},
        {"EUR": Decimal("10.005"), "JPY": Decimal(900)},
    )
    assert result.sums_of("missing_in_report") == ({}, {"EUR": Decimal(5)})
    assert result.sums_of("no_payment") == ({"EUR": Decimal("-1.25")}, {})
    assert result.sums_of("status") == ({}, {})
    findings = [Finding("amount", line(2, "P1", "1", currency=name)) for name in ("USD", "EUR", "USD")]
    both = Reconciliation("acme-pay", DAY, findings, {}, {}, {}).sums_of("amount")[0]
    assert list(both.items()) == [("EUR", 1), ("USD", 2)]


def test_each_finding_is_a_row(result: Reconciliation) -> None:
    """A script reads these keys."""
    found = list(rows(result))
    assert all(tuple(row) == COLUMNS for row in found)
    assert [tuple(row.values())[:-1] for row in found] == [
        ("matched", "P1", None, "a.csv", 2, "20.500", "20.500", "EUR"),
        ("amount", "P2", None, "a.csv", 3, "10.000", "10.005", "EUR"),
        ("no_payment", None, None, "a.csv", 4, "-1.250", None, "EUR"),
        ("missing_in_ledger", "P3", None, "a.csv", 5, "7.000", None, "EUR"),
        ("amount", "P6", None, "a.csv", 6, "800", "900", "JPY"),
        ("missing_in_ledger", "P7", "R7", "a.csv", 7, "3.000", None, "EUR"),
        ("missing_in_report", "P5", None, None, None, None, "5.000", "EUR"),
        ("not_yet", "P4", None, None, None, None, "4.000", "EUR"),
    ]
    assert [row["next"] is None for row in found] == [row["verdict"] in {"matched", "no_payment"} for row in found]


def test_the_row_of_an_entry_has_its_id() -> None:
    """The ledger's IDs count, if the ledger has a record."""
    refunded = record("P1", "5", entry_id="R1", kind="Refunded", currency="USD")
    findings = [Finding("currency", line(2, "X", "-5", entry_id="Y"), refunded), Finding("not_yet", record=refunded)]
    found = list(rows(Reconciliation("acme-pay", DAY, findings, {}, {}, {"EUR": 2, "USD": 3})))
    assert [(row["transaction_id"], row["entry_id"], row["currency"]) for row in found] == [
        ("P1", "R1", "EUR"),
        ("P1", "R1", "USD"),
    ]
    assert (found[0]["report_amount"], found[0]["ledger_amount"]) == ("-5.00", "-5.000")


def test_the_summary_has_every_verdict_and_every_sum(result: Reconciliation) -> None:
    """A verdict that no finding has is 0, so that a script need not ask."""
    found = summary(result)["summary"]
    assert list(found) == [*VERDICTS, "report", "ledger", "explained", "to_decide", "remainder"]
    assert {verdict: number for verdict in VERDICTS if (number := found[verdict])} == result.counts
    assert found["report"] == {"EUR": "39.250", "JPY": "800"}
    assert found["ledger"] == {"EUR": "39.505", "JPY": "900"}
    assert found["explained"] == {"EUR": "-5.250", "JPY": "0"}
    assert found["to_decide"] == {"EUR": "4.995", "JPY": "-100"}
    assert found["remainder"] == {"EUR": "0.000", "JPY": "0"}


@pytest.mark.parametrize(
    ("verdict", "step"),
    [
        ("amount", "compare the amount with the processor's own page, then see: ledger inspect P1"),
        ("currency", "the ledger has EUR: compare with the processor's own page"),
        ("status", "the ledger and the report disagree on whether it succeeded: ledger inspect P1"),
        (
            "missing_in_ledger",
            "if the ledger refused it, decide about it; if it never came, start it: ledger inspect P1",
        ),
        ("missing_in_report", "look in the next report; if it is not there, ask the processor"),
        ("not_yet", "look in the next report"),
        ("unknown_type", "this type is not known: look at the line, and decide what it is"),
        ("matched", None),
        ("no_payment", None),
    ],
)
def test_each_verdict_has_its_next_step(verdict: str, step: str | None) -> None:
    """A finding without a next step is a riddle."""
    assert next_step(Finding(verdict, line(2, "P2", "1"), record("P1", "1"))) == step


def test_a_next_step_names_what_is_known() -> None:
    """The record's ID, otherwise the line's, otherwise the line itself; and the line that a duplicate repeats."""
    missing = Finding("missing_in_ledger", line(2, "P2", "1"))
    assert str(next_step(missing)).endswith("ledger inspect P2")
    nameless = Finding("missing_in_ledger", line(2, None, "1"))
    assert str(next_step(nameless)).endswith("look for the line's ID at the processor")
    assert str(next_step(Finding("currency", line(2, "P2", "1")))).startswith("the ledger has another currency: ")
    twice = Finding("duplicate_line", line(3, "P2", "1"), first=line(2, "P2", "1"))
    assert next_step(twice) == "line 2 says the same: ask the processor whether it settled this twice"
    assert next_step(Finding("duplicate_line", line(3, "P2", "1"))) is None
    assert next_step(Finding("amount", line(3, "P2", "1"), first=line(2, "P2", "1"))) != next_step(twice)
    assert str(next_step(Finding("amount"))).endswith("look for the line's ID at the processor")


def test_the_largest_difference_comes_first() -> None:
    """A controller begins with what is worth most."""
    small = Finding("amount", line(2, "P1", "100"), record("P1", "99"))
    large = Finding("missing_in_report", record=record("P2", "7"))
    middle = Finding("missing_in_ledger", line(3, "P3", "-5"))
    assert by_size([small, middle, large]) == [large, middle, small]


def test_an_id_that_looks_like_an_option_comes_behind_two_hyphens() -> None:
    """A person copies the command."""
    assert next_step(Finding("amount", line(2, "-rf", "1"))).endswith("ledger inspect -- -rf")
