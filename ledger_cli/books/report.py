"""A processor's settlement report, after a reader of `reports` has read it."""

from decimal import Decimal
from typing import Literal, NamedTuple

from ledger_cli.errors import CommandError

NO_PAYMENT: Literal["no_payment"] = "no_payment"
"""Kind of a line that is about no payment: a fee, a payout, a correction."""

UNKNOWN_TYPE: Literal["unknown_type"] = "unknown_type"
"""Kind of a line whose type the reader does not know."""


class UnreadableReportError(CommandError):
    """A report cannot be read, or contradicts itself. The message names the file and the line, and says what to do."""


class ReportLine(NamedTuple):
    """One movement of money in a report.

    Attributes:
        number: the line of the file in which the row begins; the first line has the number 1.
        type: the report's own word for what happened.
        kind: `Payment` or one of `ledger.entry.KINDS`; otherwise `NO_PAYMENT` or `UNKNOWN_TYPE`. A capture is
            `Payment`, in parts too: the lines of one payment are added up.
        transaction_id: the payment's ID, mapped as the contract says if it does not fit; None if the line has none.
        entry_id: the ID of the capture, refund or dispute itself; of the refund or dispute that a line undoes, if the
            report names that one; None if the line has neither.
        amount: what the line adds to the merchant's balance before fees: negative for a refund or a dispute.
        currency: the amount's currency, in capital letters: the one that the customer paid in, if the report has it.
        timestamp: when it happened, in the ledger's form of UTC; None if the report does not show it for certain.
        identity: text that no other line of a right report has; None if the format has nothing of the kind.
        status: `Success`, `Failure` if no money moved, or `Pending` if that is open.
        report: the name of the file.
    """

    number: int
    type: str
    kind: str
    transaction_id: str | None
    entry_id: str | None
    amount: Decimal
    currency: str
    timestamp: str | None
    identity: str | None = None
    status: str = "Success"
    report: str = ""


class Report(NamedTuple):
    """A report that was read whole.

    Attributes:
        lines: its lines, in the order of the file.
        notes: what a person should know, one line each, such as an hour that is ambiguous in the report's zone.
    """

    lines: list[ReportLine]
    notes: list[str]
