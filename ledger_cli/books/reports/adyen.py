"""Adyen's settlement details report.

| type | kind | entry_id |
|---|---|---|
| `Settled` | `Payment` | the capture |
| `Refunded` | `Refunded` | the refund |
| `RefundedReversed` | `RefundFailed` | the refund that failed |
| `Chargeback` | `Disputed` | the chargeback |
| `SecondChargeback` | `Disputed` | the first chargeback, with the suffix of `ledger.formats.adyen` |
| `ChargebackReversed` | `DisputeWon` | the chargeback that was won |

`Psp Reference` is the ledger's TransactionID, and `Modification Reference` the reference of the capture, refund or
chargeback. A line that undoes another one has the other one's reference. The gross amount is in the currency that the
customer paid in; the net amount is in the settlement's. Lines without a payment have a net amount only.

All net amounts of a batch sum to zero with its `MerchantPayout`, for each merchant account and net currency: a payout
is a debit. It is so in every public report that was not shortened by hand. Whether net is gross less the four fees
is not checked: public reports contradict it (batches 2 and 1128 below), and newer ones have more columns of fees.

`TimeZone` is an abbreviation such as `PDT`, which changes with the season.

Source: Adyen's pages "Settlement details report" and "Settlement detail report structure" (columns, types, forms,
examples), and "Time zone setting". Reports: wikimedia/wikimedia-fundraising-crm,
ext/wmf-civicrm/tests/phpunit/Civi/WMFAudit/data/Adyen, and wikimedia/wikimedia-fundraising-SmashPig,
PaymentProviders/Adyen/Tests/Data.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from sys import intern

from ledger.formats.adyen import ENTRY_SUFFIXES
from ledger.identifiers import mapped_identifier
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine
from ledger_cli.books.reports.rows import Columns, Lines, Row, Table, opened
from ledger_cli.books.reports.times import Clock

COLUMNS = Columns(
    "adyen",
    "an Adyen settlement details report",
    (
        "Psp Reference",
        "Creation Date",
        "TimeZone",
        "Type",
        "Modification Reference",
        "Gross Currency",
        "Gross Debit (GC)",
        "Gross Credit (GC)",
        "Net Currency",
        "Net Debit (NC)",
        "Net Credit (NC)",
        "Batch Number",
    ),
    ("Merchant Account",),
)

KINDS: Mapping[str, str] = {
    "Settled": "Payment",
    "Refunded": "Refunded",
    "RefundedReversed": "RefundFailed",
    "Chargeback": "Disputed",
    "SecondChargeback": "Disputed",
    "ChargebackReversed": "DisputeWon",
    **dict.fromkeys(
        (
            "Balancetransfer",
            "DepositCorrection",
            "Fee",
            "InvoiceDeduction",
            "MerchantPayout",
            "MiscCosts",
            "PaymentCost",
        ),
        NO_PAYMENT,
    ),
}
"""Kind of each type. Any other one is unknown, and is not guessed: Adyen documents more, such as `ManualCorrected`,
whose references say nothing certain."""

ZERO = Decimal(0)


def read(path: Path, *, zone: str | None = None) -> Report:
    """Return a settlement details report.

    Args:
        path: the file.
        zone: the zone of times whose `TimeZone` is an unknown abbreviation.

    Raises:
        UnreadableReportError: the file is not such a report, or a batch does not sum to its payout.
    """
    with opened(path) as lines:
        clock = Clock()
        batches = _Batches()
        read_lines = []
        for row in Table(lines, COLUMNS):
            net = row.amount("Net Credit (NC)", ZERO) - row.amount("Net Debit (NC)", ZERO)
            batches.add(row, net)
            read_lines.append(_line(row, net, clock, zone))
        batches.check(lines)
        return Report(read_lines, clock.notes() + batches.notes())


def _line(row: Row, net: Decimal, clock: Clock, zone: str | None) -> ReportLine:
    type_, reference = row["Type"], row["Modification Reference"]
    kind = KINDS.get(type_, UNKNOWN_TYPE)
    transaction_id = entry_id = identity = None
    amount, currency = net, "Net Currency"
    if kind != NO_PAYMENT:
        transaction_id = row.id("Psp Reference")
        suffix = ENTRY_SUFFIXES["SECOND_CHARGEBACK"] if type_ == "SecondChargeback" else ""
        entry_id = mapped_identifier(f"{reference}{suffix}") if reference else None
        if row["Gross Debit (GC)"] or row["Gross Credit (GC)"] or kind != UNKNOWN_TYPE:
            amount = row.amount("Gross Credit (GC)", ZERO) - row.amount("Gross Debit (GC)", ZERO)
            currency = "Gross Currency"
        if reference and kind != UNKNOWN_TYPE:
            identity = f"{row['Psp Reference']}/{reference}/{type_}"
    elif reference:
        identity = f"{row['Batch Number']}/{reference}/{type_}"
    return ReportLine(
        row.number,
        intern(type_),
        kind,
        transaction_id,
        entry_id,
        amount,
        intern(row.currency(currency)),
        clock.abbreviated(row, "Creation Date", "TimeZone", zone),
        identity,
    )


class _Batches:
    """Net sums of each batch of a merchant account, in each net currency."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        self._payouts: set[tuple[str, str, str]] = set()
        self._closed: set[tuple[str, str]] = set()

    def add(self, row: Row, net: Decimal) -> None:
        """Add a line."""
        batch = row["Merchant Account"], row["Batch Number"]
        key = (*batch, row.currency("Net Currency"))
        self._sums[key] += net
        if row["Type"] == "MerchantPayout":
            self._payouts.add(key)
        if row["Type"] in {"MerchantPayout", "Balancetransfer"}:
            self._closed.add(batch)

    def check(self, lines: Lines) -> None:
        """Raise an error if a batch does not sum to its payout."""
        for key in self._payouts:
            if self._sums[key] != ZERO:
                _, number, currency = key
                message = "is not the sum of its lines, so lines are missing or were changed"
                raise lines.error(f"the payout of batch {_named(number)} in {currency} {message}")

    def notes(self) -> list[str]:
        """Return a note for each batch that nothing closes."""
        numbers = dict.fromkeys(number for account, number, _ in self._sums if (account, number) not in self._closed)
        return [f"batch {_named(number)} has no payout: if one was made, the file is cut off" for number in numbers]


def _named(number: str) -> str:
    """Return the number of a batch for a message."""
    return number if number.isascii() and number.isdigit() else "(without a number)"
