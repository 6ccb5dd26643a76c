"""PayPal's settlement report (STL) and transaction detail report (TRR).

The first field of a row is its type. A report has files (`FH` to `FF`), a file has sections (`SH` to `SC`), and a
section has one row of column names (`CH`) and the transactions (`SB`). Footers have control totals: `SF` and `RF` those
of one currency, `SC`, `RC` and `FF` counts of transactions. A file without its `FF` is cut off.

| event code | kind | TransactionID | EntryID |
|---|---|---|---|
| T00nn, credit | `Payment` | its own ID | |
| T1107 (refund), debit | `Refunded` | the reference | its own ID |
| T1106 (reversal by PayPal), T1201 (chargeback), debit | `Disputed` | the reference | its own ID |
| T1202 (chargeback reversal), credit | `DisputeWon` | the reference | its own ID |

If the reference of a reversal is a chargeback of the same file, then that chargeback is the EntryID, and its reference
the TransactionID. A debit of T00nn is a payment to someone else. A hold and its release (T1110, T1111, T15nn, T21nn)
move money within the account. An authorisation (T13nn) moves none.

Amounts are whole numbers of hundredths in every currency: 15000 is 150 yen. The time is that of the completion, when
the balance changed. A pending or denied transaction is in a TRR only, with its `Transactional Status`; `V` stands for
one that succeeded, and whose reversal has a line of its own.

Source: PayPal's pages "Settlement Report Specification" and "Transaction Detail Report Specification" (row types,
amounts without a separator, encoding) and "Transaction event codes"; its API "Transaction search"
(`transaction_status`). The order of the totals (credits, debits, fee credits, fee debits) and that withdrawals are in
them: wikimedia/wikimedia-fundraising-SmashPig, PaymentProviders/PayPal/Audit and its test data. Somebody shortened some
of these files by hand. A currency that is converted at once has no `SF`. The counts at the end of `SF` and `RF` agree
in no two of these files, and are not read.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from sys import intern
from typing import NamedTuple

from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine
from ledger_cli.books.reports.rows import (
    DELIMITERS,
    PAYPAL_ROW_TYPES,
    Columns,
    Header,
    Lines,
    Row,
    first_row,
    opened,
    recognised,
    split,
)
from ledger_cli.books.reports.times import with_offset

COLUMNS = Columns(
    "paypal",
    "a PayPal report",
    (
        "Transaction ID",
        "PayPal Reference ID",
        "PayPal Reference ID Type",
        "Transaction Event Code",
        "Transaction Initiation Date",
        "Transaction Completion Date",
        "Transaction Debit or Credit",
        "Gross Transaction Amount",
        "Gross Transaction Currency",
        "Fee Debit or Credit",
        "Fee Amount",
        "Fee Currency",
    ),
    ("Transactional Status",),
)

REVERSALS: Mapping[str, tuple[str, bool]] = {
    "T1106": ("Disputed", False),
    "T1107": ("Refunded", False),
    "T1201": ("Disputed", False),
    "T1202": ("DisputeWon", True),
}
"""Kind of each event that undoes something of a payment that was received, and whether it is a credit."""

OWN_PAYMENTS = frozenset({"T1106", "T1107"})
"""Events that are a credit if they give back a payment to someone else."""

NO_PAYMENT_GROUPS = frozenset(
    "T01 T02 T03 T04 T05 T06 T07 T08 T09 T10 T13 T14 T15 T16 T17 T18 T19 T20 T21 T22 T50 T97 T98".split()  # noqa: SIM905
)
"""Groups of event codes: fees, conversions, deposits, withdrawals, PayPal's cards, bonuses, incentives, bills,
authorisations, dividends, holds, buyers' credit, corrections, transfers, reserves, disbursements, payables, and what is
only displayed."""

NO_PAYMENT_CODES = frozenset(
    "T1101 T1102 T1103 T1104 T1105 T1108 T1109 T1110 T1111 T1112 T1113 T1114 T1115 T1117 T1200 T1203 T1204".split()  # noqa: SIM905
)
"""Reversals of withdrawals, deposits, fees, holds and payouts, a credit without a payment, and adjustments of the
account. The other reversals and adjustments (T1100, T1116, T1118, T1119, T1205, T1207, T1208), T30nn and T99nn are
unknown: their descriptions do not say what happens to a payment."""

UNMOVED_GROUPS = frozenset({"T13", "T98"})
"""Groups of event codes that move no money, whatever their amount."""

STATUSES: Mapping[str, str] = {"S": "Success", "V": "Success", "P": "Pending", "D": "Failure"}

WHOLE = re.compile(r"[0-9]{1,38}")
"""For `fullmatch`: an amount in hundredths, or a count. [0-9], because `\\d` accepts the digits of any script."""

SIGNS: Mapping[str, int] = {"CR": 1, "DR": -1}
TOTALS = ("gross credits", "gross debits", "fee credits", "fee debits")
"""Totals of a footer, which follow its currency."""

ZERO = Decimal(0)


def read(path: Path) -> Report:
    """Return a settlement report or a transaction detail report.

    Raises:
        UnreadableReportError: the file is not such a report or is cut off, or a total or a count of a footer is another
            one than that of the transactions.
    """
    with opened(path) as lines:
        reading = _Reading(lines)
        for number, fields in _rows(lines):
            reading.take(number, fields)
        return Report(_with_reversed(reading.finished()), reading.notes)


def _rows(lines: Lines) -> Iterator[tuple[int, list[str]]]:
    """Yield each row, and the line in which it begins; the first row decides what delimits fields."""
    text = first_row(lines)
    first_line = lines.number - len(text) + 1
    fields_by = {delimiter: split(text, delimiter) for delimiter in DELIMITERS}
    for delimiter, fields in fields_by.items():
        if fields and fields[0] in PAYPAL_ROW_TYPES:
            yield first_line, fields
            yield from lines.rows(delimiter)
            return
    other = recognised(fields_by.values(), COLUMNS)
    raise lines.error(f"this is not {COLUMNS.title}: the first row has no type, such as RH or CH{other}")


class _Money(NamedTuple):
    """An amount in hundredths, negative for a debit, and its currency."""

    hundredths: int
    currency: str


class _Sums:
    """What the footers of a section, of a file or of a report count and sum."""

    def __init__(self) -> None:
        self.count = 0
        self._all: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(TOTALS))
        self._moved: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(TOTALS))

    def add(self, gross: _Money, fee: _Money | None, *, is_moved: bool) -> None:
        """Add a transaction."""
        self.count += 1
        for sums in (self._all, self._moved) if is_moved else (self._all,):
            for offset, money in ((0, gross), (2, fee)):
                if money is not None:
                    sums[money.currency][offset + (money.hundredths < 0)] += abs(money.hundredths)

    def difference(self, currency: str, totals: Sequence[int]) -> str | None:
        """Return the name of a total that differs; None if none does.

        The totals may be those of all transactions, or of those that moved money: PayPal does not document which of the
        two a TRR has, and in an STL they are the same.
        """
        expected = self._all[currency]
        if list(totals) in (expected, self._moved[currency]):
            return None
        return next(name for name, one, other in zip(TOTALS, totals, expected, strict=True) if one != other)


class _Reading:
    """The state of reading one file."""

    def __init__(self, lines: Lines) -> None:
        self.notes: list[str] = []
        self._lines = lines
        self._read: list[ReportLine] = []
        self._header: Header | None = None
        self._section, self._file = _Sums(), _Sums()
        self._is_part = False
        self._is_complete = False

    def take(self, number: int, fields: list[str]) -> None:
        """Take one row.

        Raises:
            UnreadableReportError: the row is wrong, or contradicts those before it.
        """
        if self._is_complete:
            raise self._lines.error("a row follows the file footer FF", number)
        row_type = fields[0]
        if row_type == "SB":
            self._take_transaction(number, fields)
        elif row_type == "CH":
            names = ["CH", *(" ".join(name.split()) for name in fields[1:])]
            self._header = Header(self._lines, COLUMNS, names)
        elif row_type == "SH":
            self._section = _Sums()
        elif row_type == "FH":
            self._is_part = self._count(number, fields) > 1
        elif row_type in {"SF", "RF"}:
            self._check_totals(number, fields, self._section if row_type == "SF" else self._file)
        elif row_type in {"SC", "RC", "FF"}:
            self._check_count(number, fields, self._section if row_type == "SC" else self._file)
            self._is_complete = row_type == "FF"
        elif row_type != "RH":
            raise self._lines.error("the row has no known type, such as SB or FF", number)

    def finished(self) -> list[ReportLine]:
        """Return the lines of the file.

        Raises:
            UnreadableReportError: the file has no footer.
        """
        if not self._is_complete:
            raise self._lines.error("the file footer FF is missing, so the file is cut off", self._lines.number)
        return self._read

    def _take_transaction(self, number: int, fields: list[str]) -> None:
        if self._header is None:
            raise self._lines.error("a transaction stands before the row of column names CH", number)
        row = self._header.row(number, fields)
        gross = _money(row, "Transaction Debit or Credit", "Gross Transaction Amount", "Gross Transaction Currency")
        has_fee = row["Fee Amount"] or row["Fee Debit or Credit"]
        fee = _money(row, "Fee Debit or Credit", "Fee Amount", "Fee Currency") if has_fee else None
        line = _line(row, gross, has_status="Transactional Status" in self._header.index)
        is_moved = line.status == "Success" and row["Transaction Event Code"][:3] not in UNMOVED_GROUPS
        for sums in (self._section, self._file):
            sums.add(gross, fee, is_moved=is_moved)
        self._read.append(line)

    def _check_totals(self, number: int, fields: list[str], sums: _Sums) -> None:
        """Check a footer of one currency. In a report of several files, `RF` is about all of them."""
        if fields[0] == "RF" and self._is_part:
            self._note_part()
            return
        is_detail_report = self._header is not None and "Transactional Status" in self._header.index
        totals = fields[2 : 2 + len(TOTALS)]
        if len(totals) < len(TOTALS) or not all(map(WHOLE.fullmatch, totals)):
            if is_detail_report:  # PayPal documents these footers of a TRR in less detail than those of an STL.
                return
            raise self._lines.error(f"the footer {fields[0]} has no totals; the file may be cut off", number)
        name = sums.difference(fields[1], [int(total) for total in totals])
        if name is not None:
            message = f"the {name} of the footer {fields[0]} are not those of the transactions"
            raise self._lines.error(f"{message}, so rows are missing or were changed", number)

    def _check_count(self, number: int, fields: list[str], sums: _Sums) -> None:
        """Check a footer with a count. In a report of several files, `RC` counts all of them."""
        count = self._count(number, fields)
        if fields[0] == "RC" and self._is_part:
            self._note_part()
        elif count != sums.count:
            message = f"the footer {fields[0]} counts {count} transactions and there are {sums.count}"
            raise self._lines.error(f"{message}, so rows are missing or were added", number)

    def _count(self, number: int, fields: list[str]) -> int:
        text = fields[1] if len(fields) > 1 else ""
        if not WHOLE.fullmatch(text):
            raise self._lines.error(f"the row {fields[0]} has no count; the file may be cut off", number)
        return int(text)

    def _note_part(self) -> None:
        note = "the report has several files, and this is one of them: the report's own totals were not checked"
        if note not in self.notes:
            self.notes.append(note)


def _money(row: Row, sign: str, amount: str, currency: str) -> _Money:
    """Return an amount that is a whole number of hundredths, signed by its column of debit or credit."""
    text = row[amount]
    if not WHOLE.fullmatch(text):
        raise row.error("this is not a whole number of hundredths, as PayPal writes amounts", amount)
    if row[sign] not in SIGNS:
        raise row.error("this is neither CR nor DR", sign)
    return _Money(int(text) * SIGNS[row[sign]], row.currency(currency))


def _line(row: Row, gross: _Money, *, has_status: bool) -> ReportLine:
    code = row["Transaction Event Code"]
    kind = _kind(code, is_credit=row["Transaction Debit or Credit"] == "CR")
    status, type_ = "Success", code
    if has_status:
        known = STATUSES.get(row["Transactional Status"])
        if known is None:
            kind, type_ = UNKNOWN_TYPE, f"{code} {row['Transactional Status']}"
        status = known or status
    own_id = row.id("Transaction ID")
    reference = row.id("PayPal Reference ID") if row["PayPal Reference ID Type"] in {"TXN", ""} else None
    transaction_id = entry_id = None
    amount = Decimal(gross.hundredths).scaleb(-2)
    if kind == NO_PAYMENT:
        if status != "Success" or code[:3] in UNMOVED_GROUPS:
            amount = ZERO
    elif kind == "Payment":
        transaction_id = own_id
    else:
        transaction_id, entry_id = reference, own_id
    completed = "Transaction Completion Date"
    return ReportLine(
        row.number,
        intern(type_),
        kind,
        transaction_id,
        entry_id,
        amount,
        intern(gross.currency),
        with_offset(row, completed if row[completed] else "Transaction Initiation Date"),
        f"{row['Transaction ID']}/{code}/{status}" if own_id else None,
        status,
    )


def _kind(code: str, *, is_credit: bool) -> str:
    """Return the kind of an event code, which the side of the amount may decide."""
    if code in REVERSALS:
        kind, is_usually_credit = REVERSALS[code]
        if is_credit is is_usually_credit:
            return kind
        return NO_PAYMENT if code in OWN_PAYMENTS else UNKNOWN_TYPE
    if code.startswith("T00"):
        return "Payment" if is_credit else NO_PAYMENT
    return NO_PAYMENT if code in NO_PAYMENT_CODES or code[:3] in NO_PAYMENT_GROUPS else UNKNOWN_TYPE


def _with_reversed(read: list[ReportLine]) -> list[ReportLine]:
    """Return the lines so that a reversal of a chargeback of this file names the chargeback, and its payment."""
    payments = {line.entry_id: line.transaction_id for line in read if line.kind == "Disputed" and line.entry_id}
    return [
        line._replace(transaction_id=payments[line.transaction_id], entry_id=line.transaction_id)
        if line.kind == "DisputeWon" and line.transaction_id in payments
        else line
        for line in read
    ]
