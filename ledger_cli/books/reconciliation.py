"""A reconciliation: the findings of the matcher, their sums, and the next step for each."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ledger_cli.books.amounts import decimals_of, difference, text, total
from ledger_cli.books.matcher import (
    AMOUNT,
    CURRENCY,
    DUPLICATE_LINE,
    EXPLAINED,
    MISSING_IN_LEDGER,
    MISSING_IN_REPORT,
    NOT_YET,
    STATUS,
    VERDICTS,
    Finding,
    Period,
    match,
    moved,
    remainders,
)
from ledger_cli.books.record import Record
from ledger_cli.books.report import UNKNOWN_TYPE, ReportLine


class CurrencySums(NamedTuple):
    """The sums of one currency.

    Attributes:
        report: what the lines add to the merchant's balance.
        ledger: what the records add to it.
        explained: the part of the difference that needs nobody: fees, payouts, and what is not in the report yet.
        remainder: the part of the difference that no finding explains: always 0.
    """

    report: Decimal
    ledger: Decimal
    explained: Decimal
    remainder: Decimal

    @property
    def difference(self) -> Decimal:
        """What the reports have more than the ledger."""
        return difference(self.report, self.ledger)

    @property
    def to_decide(self) -> Decimal:
        """The part of the difference that needs a person."""
        return difference(difference(self.difference, self.explained), self.remainder)


class Reconciliation(NamedTuple):
    """The result of a comparison.

    Attributes:
        processor_id: the processor.
        period: the time that the reports cover.
        findings: every finding, those of the lines first.
        counts: how many findings each verdict has.
        sums: the sums by currency.
        decimals: by currency, the most decimals that one of its amounts has.
        has_several_reports: whether the lines are of several reports.
    """

    processor_id: str
    period: Period
    findings: Sequence[Finding]
    counts: dict[str, int]
    sums: dict[str, CurrencySums]
    decimals: dict[str, int]
    has_several_reports: bool = False

    @property
    def to_decide(self) -> list[Finding]:
        """The findings that need a person."""
        return [finding for finding in self.findings if finding.verdict not in EXPLAINED]

    @property
    def is_explained(self) -> bool:
        """Whether nothing needs a person."""
        return not self.to_decide and not any(one.remainder for one in self.sums.values())

    def place_of(self, line: ReportLine) -> str:
        """Return where a line is: its number, and its report if there are several."""
        return f"line {line.number} of {line.report}" if self.has_several_reports else f"line {line.number}"

    def text(self, amount: Decimal, currency: str) -> str:
        """Return an amount as text, with the decimals that its currency has here."""
        return text(amount, self.decimals.get(currency, 0))

    def sums_of(self, verdict: str) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """Return what the lines of one verdict add up to by currency, and what its records do."""
        lines, records = _Sums(), _Sums()
        for finding in self.findings:
            if finding.verdict == verdict and finding.line is not None:
                lines.add(finding.line.currency, finding.report_amount)
            if finding.verdict == verdict and finding.record is not None:
                records.add(finding.record.currency, finding.ledger_amount)
        return lines.by_currency(), records.by_currency()


def reconcile(
    processor_id: str, lines: Sequence[ReportLine], records: Sequence[Record], period: Period
) -> Reconciliation:
    """Compare the lines of reports with the records of one processor: see `matcher.match`."""
    findings = match(lines, records, period)
    remainder = remainders(findings, lines, records, period)
    report, ledger, explained = _Sums(), _Sums(), _Sums()
    decimals: dict[str, int] = defaultdict(int)
    for line in lines:
        report.add(line.currency, moved(line))
        decimals[line.currency] = max(decimals[line.currency], decimals_of(line.amount))
    for finding in findings:
        if finding.record is not None:
            ledger.add(finding.record.currency, finding.ledger_amount)
            decimals[finding.record.currency] = max(
                decimals[finding.record.currency], decimals_of(finding.record.amount)
            )
        if finding.verdict in EXPLAINED and finding.line is not None:
            explained.add(finding.line.currency, finding.report_amount)
        if finding.verdict in EXPLAINED and finding.record is not None:
            explained.add(finding.record.currency, finding.ledger_amount.copy_negate())
    return Reconciliation(
        processor_id=processor_id,
        period=period,
        findings=findings,
        counts=dict(Counter(finding.verdict for finding in findings)),
        sums={
            currency: CurrencySums(report.of(currency), ledger.of(currency), explained.of(currency), left)
            for currency, left in remainder.items()
        },
        decimals=dict(decimals),
        has_several_reports=len({line.report for line in lines}) > 1,
    )


class _Sums:
    """A sum for each currency."""

    def __init__(self) -> None:
        self._sums: dict[str, Decimal] = defaultdict(Decimal)

    def add(self, currency: str, amount: Decimal) -> None:
        self._sums[currency] = total((self._sums[currency], amount))

    def of(self, currency: str) -> Decimal:
        return self._sums[currency]

    def by_currency(self) -> dict[str, Decimal]:
        return dict(sorted(self._sums.items()))


def next_step(finding: Finding) -> str | None:
    """Return what a person does about a finding; None if there is nothing to do."""
    transaction_id = transaction_id_of(finding)
    look = "look for the line's ID at the processor"
    if transaction_id is not None:
        look = f"ledger inspect {'-- ' if transaction_id.startswith('-') else ''}{transaction_id}"
    steps = {
        AMOUNT: f"compare the amount with the processor's own page, then see: {look}",
        CURRENCY: f"the ledger has {finding.record.currency if finding.record else 'another currency'}: "
        "compare with the processor's own page",
        STATUS: f"the ledger and the report disagree on whether it succeeded: {look}",
        MISSING_IN_LEDGER: f"if the ledger refused it, decide about it; if it never came, start it: {look}",
        MISSING_IN_REPORT: "look in the next report; if it is not there, ask the processor",
        NOT_YET: "look in the next report",
        UNKNOWN_TYPE: "this type is not known: look at the line, and decide what it is",
    }
    if finding.verdict == DUPLICATE_LINE and finding.first is not None:
        other = finding.line is not None and finding.line.report != finding.first.report
        where = f"line {finding.first.number}{f' of {finding.first.report}' if other else ''}"
        return f"{where} says the same: ask the processor whether it settled this twice"
    return steps.get(finding.verdict)


def transaction_id_of(finding: Finding) -> str | None:
    """Return the payment that a finding is about, as the ledger names it if it has it; None if none is named."""
    if finding.record is not None:
        return finding.record.transaction_id
    return finding.line.transaction_id if finding.line is not None else None


COLUMNS = (
    "verdict", "transaction_id", "entry_id", "report", "line", "report_amount", "ledger_amount", "currency", "next",
)  # fmt: skip
"""The keys of a finding in `--json`, and the columns of `--csv`."""


def rows(result: Reconciliation) -> Iterator[dict[str, Any]]:
    """Yield each finding with the keys of `COLUMNS`. Amounts are decimal text."""
    for finding in result.findings:
        line, record = finding.line, finding.record
        currency = line.currency if line is not None else record.currency if record is not None else ""
        yield {
            "verdict": finding.verdict,
            "transaction_id": transaction_id_of(finding),
            "entry_id": record.entry_id if record is not None else line.entry_id if line is not None else None,
            "report": None if line is None else line.report,
            "line": None if line is None else line.number,
            "report_amount": None if line is None else result.text(finding.report_amount, currency),
            "ledger_amount": None if record is None else result.text(finding.ledger_amount, record.currency),
            "currency": currency,
            "next": next_step(finding),
        }


def summary(result: Reconciliation) -> dict[str, Any]:
    """Return the last record of `--json`: how often each verdict was given, and the sums."""

    def amounts(name: str) -> dict[str, str]:
        return {currency: result.text(getattr(sums, name), currency) for currency, sums in result.sums.items()}

    return {
        "summary": {
            **{verdict: result.counts.get(verdict, 0) for verdict in VERDICTS},
            "report": amounts("report"),
            "ledger": amounts("ledger"),
            "explained": amounts("explained"),
            "to_decide": amounts("to_decide"),
            "remainder": amounts("remainder"),
        }
    }


def by_size(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the largest difference first."""
    return sorted(findings, key=lambda one: difference(one.report_amount, one.ledger_amount).copy_abs(), reverse=True)
