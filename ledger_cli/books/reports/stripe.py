"""Stripe's itemized reports: payout reconciliation, ending balance, and balance change from activity.

| reporting category | kind | entry_id |
|---|---|---|
| `charge`, and `partial_capture_reversal` and `charge_failure`, which are negative | `Payment` | |
| `refund` | `Refunded` | the refund |
| `refund_failure` | `RefundFailed` | the refund that failed |
| `dispute` | `Disputed` | the dispute |
| `dispute_reversal` | `DisputeWon` | the dispute that was won |

The user chooses the columns of a report, and their order. `charge_id` is the ledger's TransactionID, also for refunds
and disputes; `source_id` is the object that moved the money. A partial capture has two lines: the full authorisation,
and what was not captured. A bank debit that fails after days has two lines too, and their sum is zero.

An amount is compared in the currency that the customer paid in, if the report has it: `gross` is in the settlement's.
`customer_facing_amount` has the sign of `gross` in every public report; the sign is taken from `gross`, so that it does
not depend on that.

`created_utc` is preferred to `created`, which is in the zone of the report. `available_on` is never read: a payment is
available on other days than it was made.

Source: Stripe's pages "Payout reconciliation report type" and "Balance report type" (columns, `timezone`,
`decimal_separator`) and "Reporting categories and types"; its API reference, balance transaction (`net` is the amount
less the fee) and report run (`reporting_category`). Reports: wikimedia/wikimedia-fundraising-SmashPig,
PaymentProviders/Stripe/Tests/Data (payout lines there are invented: one has another net than its gross less its fee).
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from sys import intern

from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine
from ledger_cli.books.reports.rows import Columns, Lines, Row, Table, named_lines, opened
from ledger_cli.books.reports.times import Clock

COLUMNS = Columns(
    "stripe",
    "a Stripe report",
    ("balance_transaction_id", "source_id", "currency", "gross", "fee", "net", "reporting_category"),
    (
        "created",
        "created_utc",
        "charge_id",
        "automatic_payout_id",
        "customer_facing_amount",
        "customer_facing_currency",
    ),
    "run the report with a point as its decimal_separator",
)

KINDS: Mapping[str, str] = {
    "charge": "Payment",
    "partial_capture_reversal": "Payment",
    "charge_failure": "Payment",
    "refund": "Refunded",
    "refund_failure": "RefundFailed",
    "dispute": "Disputed",
    "dispute_reversal": "DisputeWon",
    **dict.fromkeys(
        (
            "advance",
            "advance_funding",
            "anticipation_repayment",
            "climate_order_purchase",
            "climate_order_refund",
            "connect_collection_transfer",
            "connect_reserved_funds",
            "contribution",
            "currency_conversion",
            "fee",
            "financing_paydown",
            "financing_paydown_reversal",
            "financing_payout",
            "financing_payout_reversal",
            "issuing_authorization_hold",
            "issuing_authorization_release",
            "issuing_dispute",
            "issuing_transaction",
            "minimum_balance_hold",
            "network_cost",
            "other_adjustment",
            "payout",
            "payout_reversal",
            "platform_earning",
            "platform_earning_refund",
            "risk_reserved_funds",
            "tax",
            "topup",
            "topup_reversal",
            "transfer",
            "transfer_reversal",
        ),
        NO_PAYMENT,
    ),
}
"""Kind of each documented category. Any other one is unknown, and is not guessed."""

PAYOUT, PAYOUT_REVERSAL = "payout", "payout_reversal"
ZERO = Decimal(0)


def read(path: Path, *, zone: str | None = None) -> Report:
    """Return an itemized report.

    Args:
        path: the file.
        zone: the zone of `created`, if the report was run with a `timezone`; UTC without it, as Stripe's default is.

    Raises:
        UnreadableReportError: the file is not such a report, `net` is not `gross` less `fee`, or the lines of a payout
            do not sum to it.
    """
    with opened(path) as lines:
        table = Table(lines, COLUMNS)
        if "created" not in table and "created_utc" not in table:
            raise lines.error(f"this is not {COLUMNS.title}: it has no column created or created_utc")
        clock = Clock()
        payouts = _Payouts()
        read_lines = []
        for row in table:
            net = _net(row)
            payouts.add(row, net)
            read_lines.append(_line(row, clock, zone))
        payouts.check(lines)
        return Report(read_lines, clock.notes() + _notes(table, zone))


def _notes(table: Table, zone: str | None) -> list[str]:
    """Return what columns are missing, without which less can be matched."""
    notes = []
    if "created_utc" not in table and zone is None:
        notes.append("the times have no zone and are read as UTC; if the report was run in another zone, give --zone")
    if "charge_id" not in table:
        notes.append("the report has no column charge_id: add it, so that refunds and disputes have their payment")
    if "customer_facing_amount" not in table or "customer_facing_currency" not in table:
        notes.append(
            "the report has no columns customer_facing_amount and customer_facing_currency: add them if customers pay "
            "in another currency than the settlement's"
        )
    return notes


def _net(row: Row) -> Decimal:
    """Return the net amount, which is the gross amount less the fee."""
    net = row.amount("net")
    if row.amount("gross") - row.amount("fee") != net:
        raise row.error("net is not gross less fee, so the report was changed or is damaged", "net")
    return net


def _line(row: Row, clock: Clock, zone: str | None) -> ReportLine:
    category = row["reporting_category"]
    kind = KINDS.get(category, UNKNOWN_TYPE)
    amount, currency = row.amount("gross"), row.currency("currency")
    transaction_id = entry_id = None
    if kind != NO_PAYMENT:
        if row["customer_facing_amount"] and row["customer_facing_currency"]:
            amount = _signed(row.amount("customer_facing_amount"), amount)
            currency = row.currency("customer_facing_currency")
        transaction_id = row.id("charge_id")
        if kind != "Payment":
            entry_id = row.id("source_id")
        elif category == "charge" and transaction_id is None:
            transaction_id = row.id("source_id")
    column = "created_utc" if row["created_utc"] else "created"
    return ReportLine(
        row.number,
        intern(category),
        kind,
        transaction_id,
        entry_id,
        amount,
        intern(currency),
        clock.in_zone(row, column, zone or "UTC" if column == "created" else "UTC"),
        row["balance_transaction_id"] or None,
    )


def _signed(amount: Decimal, gross: Decimal) -> Decimal:
    """Return the amount with the sign of the gross amount; unchanged if that is zero."""
    return amount if gross == ZERO else abs(amount) if gross > ZERO else -abs(amount)


class _Payouts:
    """Sums of each automatic payout, whose own line is negative, so that all of its lines sum to zero.

    A report of one category has a payout's line alone, or the others without it: then there is nothing to check. A
    payout that failed has a `payout_reversal`, and Stripe documents no payout to which that belongs.
    """

    def __init__(self) -> None:
        self._sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._own_lines: defaultdict[str, list[int]] = defaultdict(list)
        self._others: set[str] = set()
        self._reversed: set[str] = set()

    def add(self, row: Row, net: Decimal) -> None:
        """Add a line."""
        payout = row["automatic_payout_id"]
        if not payout:
            return
        category = row["reporting_category"]
        self._sums[payout] += net
        if category == PAYOUT:
            self._own_lines[payout].append(row.number)
        elif category == PAYOUT_REVERSAL:
            self._reversed.add(payout)
        else:
            self._others.add(payout)

    def check(self, lines: Lines) -> None:
        """Raise an error if a payout is not the sum of its lines."""
        for payout, numbers in self._own_lines.items():
            if payout in self._others and payout not in self._reversed and self._sums[payout] != ZERO:
                message = "the payout is not the sum of its lines, so lines are missing or were changed"
                raise lines.error(f"{named_lines(numbers)}: {message}")
