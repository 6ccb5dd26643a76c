"""PayPal's settlement and transaction detail reports as lines: event codes, amounts, and the totals of the footers."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine
from ledger_cli.books.reports import read_report
from tests.support.reports import as_csv, rejection, written

NAMES = [
    "CH",
    "Transaction ID",
    "Invoice ID",
    "PayPal Reference ID",
    "PayPal Reference ID Type",
    "Transaction Event Code",
    "Transaction Initiation Date",
    "Transaction Completion Date",
    "Transaction  Debit or Credit",  # two spaces, as in old reports
    "Gross Transaction Amount",
    "Gross Transaction Currency",
    "Fee Debit or Credit",
    "Fee Amount",
    "Fee Currency",
]
BEGUN, COMPLETED = "2026/07/23 23:00:00 -0700", "2026/07/24 01:30:00 -0700"


class Transaction(NamedTuple):
    """One row of the type SB."""

    code: str = "T0006"
    side: str = "CR"
    amount: str = "1000"
    own_id: str = "TX1"
    reference: str = ""
    reference_type: str = "TXN"
    status: str | None = None
    fee: tuple[str, str, str] = ("", "", "")
    currency: str = "EUR"
    completed: str = COMPLETED

    def fields(self) -> list[str]:
        """Return the row."""
        reference_type = self.reference_type if self.reference else ""
        row = ["SB", self.own_id, "order", self.reference, reference_type, self.code, BEGUN, self.completed, self.side]
        return [*row, self.amount, self.currency, *self.fee, *([] if self.status is None else [self.status])]


def totals(row_type: str, transactions: Sequence[Transaction], currency: str = "EUR") -> list[str]:
    """Return a footer with the totals of one currency."""
    sums = [0, 0, 0, 0]
    for one in transactions:
        if one.currency == currency:
            sums[one.side == "DR"] += int(one.amount)
        if one.fee[2] == currency:
            sums[2 + (one.fee[0] == "DR")] += int(one.fee[1])
    return [row_type, currency, *map(str, sums), "CR", "0", "CR", "0"]


def report_of(*transactions: Transaction) -> list[list[str]]:
    """Return the rows of a report with one section."""
    status = [] if transactions[0].status is None else ["Transactional Status"]
    count = str(len(transactions))
    return [
        ["RH", "2026/07/25 02:00:00 -0700", "A", "SHOP", "010"],
        ["FH", "01"],
        ["SH", "2026/07/24 00:00:00 -0700", "2026/07/24 23:59:59 -0700", "SHOP", ""],
        [*NAMES, *status],
        *(one.fields() for one in transactions),
        totals("SF", transactions),
        ["SC", count],
        totals("RF", transactions),
        ["RC", count],
        ["FF", count],
    ]


def read(folder: Path, rows: Sequence[Sequence[str]]) -> Report:
    """Return the report with these rows."""
    return read_report(written(folder, as_csv(rows)), "paypal")


def line(folder: Path, **values: object) -> ReportLine:
    """Return the only line of a report."""
    (only,) = read(folder, report_of(Transaction(**values))).lines
    return only


def rejected(folder: Path, rows: Sequence[Sequence[str]]) -> str:
    """Return why the report with these rows is rejected."""
    path = written(folder, as_csv(rows))
    return rejection(lambda: read_report(path, "paypal"), path)


@pytest.mark.parametrize("code", ["T0000", "T0002", "T0003", "T0006", "T0013"])
def test_a_payment_has_its_own_id(code: str, tmp_path: Path) -> None:
    """Its reference is an order or a subscription, and no payment of the ledger."""
    read_line = line(tmp_path, code=code, reference="I-1", reference_type="SUB")
    assert (read_line.type, read_line.kind) == (code, "Payment")
    assert (read_line.transaction_id, read_line.entry_id) == ("TX1", None)
    assert (read_line.amount, read_line.currency) == (Decimal("10.00"), "EUR")
    assert (read_line.identity, read_line.status) == (f"TX1/{code}/Success", "Success")


@pytest.mark.parametrize(
    ("code", "side", "kind"),
    [
        ("T1107", "DR", "Refunded"),
        ("T1106", "DR", "Disputed"),
        ("T1201", "DR", "Disputed"),
        ("T1202", "CR", "DisputeWon"),
    ],
)
def test_what_undoes_a_payment_is_found_by_its_reference(code: str, side: str, kind: str, tmp_path: Path) -> None:
    """The reference is the payment, and its own ID is that of the refund or dispute."""
    read_line = line(tmp_path, code=code, side=side, own_id="TX2", reference="TX1")
    assert (read_line.kind, read_line.transaction_id, read_line.entry_id) == (kind, "TX1", "TX2")
    assert read_line.amount == Decimal("-10.00" if side == "DR" else "10.00")
    assert line(tmp_path, code=code, side=side, reference="I-1", reference_type="RP").transaction_id is None


def test_a_reversal_of_a_chargeback_of_the_file_names_the_chargeback(tmp_path: Path) -> None:
    """The ledger's entry reverses that one."""
    chargeback = Transaction("T1201", "DR", own_id="TX2", reference="TX1")
    won = Transaction("T1202", "CR", own_id="TX3", reference="TX2")
    first, second = read(tmp_path, report_of(chargeback, won)).lines
    assert (first.transaction_id, first.entry_id) == (second.transaction_id, second.entry_id) == ("TX1", "TX2")


@pytest.mark.parametrize(
    ("code", "side", "kind"),
    [
        ("T0001", "DR", NO_PAYMENT),
        ("T1107", "CR", NO_PAYMENT),
        ("T1106", "CR", NO_PAYMENT),
        ("T0106", "DR", NO_PAYMENT),
        ("T0200", "CR", NO_PAYMENT),
        ("T0400", "DR", NO_PAYMENT),
        ("T1108", "CR", NO_PAYMENT),
        ("T1110", "DR", NO_PAYMENT),
        ("T1111", "CR", NO_PAYMENT),
        ("T1900", "CR", NO_PAYMENT),
        ("T2103", "DR", NO_PAYMENT),
        ("T1201", "CR", UNKNOWN_TYPE),
        ("T1202", "DR", UNKNOWN_TYPE),
        ("T1205", "CR", UNKNOWN_TYPE),
        ("T9900", "CR", UNKNOWN_TYPE),
        ("T4200", "CR", UNKNOWN_TYPE),
        ("", "CR", UNKNOWN_TYPE),
    ],
)
def test_the_side_of_an_event_matters(code: str, side: str, kind: str, tmp_path: Path) -> None:
    """A debit of a payment's code is a payment to someone else; a code that is not documented is not guessed."""
    read_line = line(tmp_path, code=code, side=side, reference="TX0")
    assert read_line.kind == kind
    assert read_line.amount == Decimal("10.00" if side == "CR" else "-10.00")
    assert (read_line.transaction_id is None) == (kind == NO_PAYMENT)


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected", "amount"),
    [
        ("S", "T0006", "Payment", "Success", "10.00"),
        ("V", "T0006", "Payment", "Success", "10.00"),
        ("P", "T0006", "Payment", "Pending", "10.00"),
        ("D", "T0006", "Payment", "Failure", "10.00"),
        ("D", "T0400", NO_PAYMENT, "Failure", "0"),
        ("S", "T1300", NO_PAYMENT, "Success", "0"),
        ("V", "T1302", NO_PAYMENT, "Success", "0"),
        ("F", "T0006", UNKNOWN_TYPE, "Success", "10.00"),
        ("", "T0006", UNKNOWN_TYPE, "Success", "10.00"),
    ],
)
def test_a_detail_report_has_a_status(
    status: str, code: str, kind: str, expected: str, amount: str, tmp_path: Path
) -> None:
    """A denied payment moved nothing, and an authorisation never does: neither may be in a sum."""
    read_line = line(tmp_path, status=status, code=code)
    assert (read_line.kind, read_line.status, read_line.amount) == (kind, expected, Decimal(amount))


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "150.00"), ("EUR", "150.00"), ("HUF", "150.00")])
def test_amounts_are_hundredths_in_every_currency(currency: str, amount: str, tmp_path: Path) -> None:
    """PayPal's own example is that 100 yen and 100 dollars are both 10000."""
    rows = report_of(Transaction(amount="15000", currency=currency))
    assert read(tmp_path, rows).lines[0].amount == Decimal(amount)


@pytest.mark.parametrize("amount", ["10.00", "10,00", "-1000", "+1000", "1e3", "", "١٠", "9" * 39])
def test_an_amount_is_a_whole_number(amount: str, tmp_path: Path) -> None:
    """A point would be a hundred times the amount."""
    rows = report_of(Transaction())
    rows[4][9] = amount
    message = rejected(tmp_path, rows)
    assert message.startswith("line 5, column Gross Transaction Amount: this is not a whole number of hundredths")


def test_a_side_is_credit_or_debit(tmp_path: Path) -> None:
    """The amount has no other sign."""
    rows = report_of(Transaction())
    rows[4][8] = "CREDIT"
    assert rejected(tmp_path, rows) == "line 5, column Transaction Debit or Credit: this is neither CR nor DR"


def test_the_time_is_that_of_the_completion(tmp_path: Path) -> None:
    """Then the balance changed. A pending transaction has only begun."""
    assert line(tmp_path).timestamp == "2026-07-24T08:30:00.000000Z"
    assert line(tmp_path, completed="", status="P").timestamp == "2026-07-24T06:00:00.000000Z"
    rows = report_of(Transaction(completed="2026/07/24 01:30:00"))
    assert "line 5, column Transaction Completion Date: this is not a time with an offset" in rejected(tmp_path, rows)


FEE = ("DR", "50", "EUR")
MANY = (
    Transaction(fee=FEE),
    Transaction("T1107", "DR", "300", "TX2", "TX1", fee=("CR", "9", "EUR")),
    Transaction("T0200", "CR", "500", "TX3", "TX1", currency="USD"),
)


@pytest.mark.parametrize("footer", ["SF", "RF"])
@pytest.mark.parametrize(
    ("position", "name"), [(2, "gross credits"), (3, "gross debits"), (4, "fee credits"), (5, "fee debits")]
)
def test_each_total_of_a_footer_is_checked(footer: str, position: int, name: str, tmp_path: Path) -> None:
    """A transaction that is missing, doubled or changed changes one of them."""
    rows = report_of(*MANY)
    assert len(read(tmp_path, rows).lines) == 3
    (row,) = (row for row in rows if row[0] == footer)
    row[position] = str(int(row[position]) + 1)
    message = rejected(tmp_path, rows)
    number = rows.index(row) + 1
    assert message.startswith(f"line {number}: the {name} of the footer {footer} are not those of the transactions")


@pytest.mark.parametrize("footer", ["SC", "RC", "FF"])
@pytest.mark.parametrize("count", ["2", "4", "", "three", "0" * 39])
def test_each_count_of_a_footer_is_checked(footer: str, count: str, tmp_path: Path) -> None:
    """A currency without a footer has no other control."""
    rows = report_of(*MANY)
    (row,) = (row for row in rows if row[0] == footer)
    row[1] = count
    assert f" {footer} " in rejected(tmp_path, rows)


def test_a_transaction_that_is_missing_is_noticed(tmp_path: Path) -> None:
    """Whichever it is, also one whose currency has no footer."""
    for position in (4, 5, 6):
        rows = report_of(*MANY)
        del rows[position]
        rejected(tmp_path, rows)


def test_sections_are_counted_one_by_one(tmp_path: Path) -> None:
    """A report of several accounts has a section for each."""
    rows = report_of(MANY[0])
    second = report_of(MANY[1])[2:7]
    whole = [*rows[:7], *second, totals("RF", MANY), ["RC", "2"], ["FF", "2"]]
    assert [one.number for one in read(tmp_path, whole).lines] == [5, 10]
    for row in (whole[6], whole[11]):
        right, row[1] = row[1], "2"
        assert "the footer SC counts 2 transactions and there are 1" in rejected(tmp_path, whole)
        row[1] = right


def test_a_file_of_several_is_read_without_the_reports_totals(tmp_path: Path) -> None:
    """They are about the other files, too. The note says that nobody checked them."""
    rows = report_of(*MANY)
    rows[1][1] = "02"
    for row in rows:
        if row[0] in {"RF", "RC"}:
            row[1:3] = ["3000000", "9"] if row[0] == "RC" else [row[1], "9"]
    assert read(tmp_path, rows).notes == [
        "the report has several files, and this is one of them: the report's own totals were not checked"
    ]


def test_a_detail_report_may_sum_only_what_moved(tmp_path: Path) -> None:
    """PayPal does not document whether denied transactions and authorisations are in its totals."""
    denied = Transaction(status="D", own_id="TX9", amount="77")
    moved = Transaction(status="S")
    for summed in ([moved], [moved, denied]):
        rows = report_of(moved, denied)
        for row in rows:
            if row[0] in {"SF", "RF"}:
                row[:] = totals(row[0], summed)
        assert len(read(tmp_path, rows).lines) == 2
    held = Transaction("T1300", status="S", own_id="TX8", amount="55")
    rows = report_of(moved, held)
    for row in rows:
        if row[0] in {"SF", "RF"}:
            row[:] = totals(row[0], [moved])
    assert len(read(tmp_path, rows).lines) == 2
    rows[6][2] = "78"
    assert "the gross credits of the footer SF" in rejected(tmp_path, rows)
    rows[6][2:] = []
    assert len(read(tmp_path, rows).lines) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "line 9: the file footer FF is missing, so the file is cut off"),
        (lambda rows: [*rows, ["SB"]], "line 11: a row follows the file footer FF"),
        (lambda rows: [*rows[:3], *rows[4:]], "line 4: a transaction stands before the row of column names CH"),
        (lambda rows: [*rows[:3], ["XX"], *rows[3:]], "line 4: the row has no known type, such as SB or FF"),
        (lambda rows: [*rows[:5], ["SF", "EUR", "1"], *rows[6:]], "line 6: the footer SF has no totals"),
        (lambda rows: [*rows[:4], rows[4][:-1], *rows[5:]], "line 5: the row has 13 fields"),
        (lambda rows: [*rows[:4], [*rows[4], ""], *rows[5:]], "line 5: the row has 15 fields"),
        (
            lambda rows: [*rows[:3], rows[3][:-1], *rows[4:]],
            "this is not a PayPal report: it has no column Fee Currency",
        ),
    ],
)
def test_a_report_of_another_structure_is_rejected(
    change: Callable[[list[list[str]]], list[list[str]]], message: str, tmp_path: Path
) -> None:
    """The rows stand in the order that PayPal documents."""
    assert rejected(tmp_path, change(report_of(Transaction()))).startswith(message)


def test_a_subscription_report_is_another_report(tmp_path: Path) -> None:
    """PayPal's other reports have the same row types."""
    message = rejected(tmp_path, [["CH", "Subscription ID", "Subscription Action Type"], ["SB", "S-1", "S0200"]])
    assert message.startswith("this is not a PayPal report: it has no column Transaction ID, PayPal Reference ID, ")
