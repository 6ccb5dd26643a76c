"""Text for people, and records for machines: totals and reconciliations."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger_cli.books.amounts import decimals_of, difference, text
from ledger_cli.books.matcher import AMOUNT, EXPLAINED, VERDICTS, Finding
from ledger_cli.books.reconciliation import Reconciliation, by_size, next_step
from ledger_cli.books.totals import Sums
from ledger_cli.views.layout import Column, Labelled, Rows, glued
from ledger_cli.views.terminal import visible

MAX_SHOWN = 50
"""Findings that the terminal shows. `--json`, `--csv` and `--html` have all of them."""

NAMES = ("captured", "refunded", "disputed", "net")

MEANINGS = {
    "matched": "in both, alike",
    "missing_in_ledger": "in the report, not in the ledger",
    "missing_in_report": "in the ledger, not in the report",
    "amount": "in both, with different amounts",
    "currency": "in both, in different currencies",
    "status": "succeeded in one, not in the other",
    "duplicate_line": "twice in the report",
    "not_yet": "so new that the next report may have it",
    "no_payment": "fees, payouts, corrections",
    "unknown_type": "of a type that is not known",
}
"""What each verdict says, for people."""


def totals(found: Mapping[tuple[str, str], Sums], day: date, zone: str) -> Rows | Labelled:
    """Show the totals of a day, a row for each currency and status."""
    if not found:
        return Labelled("", f"Nothing is recorded for {day} ({zone}).", 0)
    columns = (
        Column("Currency"), Column("Status"), Column("Payments", drop=2, right=True),
        Column("Entries", drop=3, right=True), Column("Captured", right=True), Column("Refunded", right=True),
        Column("Disputed", right=True), Column("Net", right=True),
    )  # fmt: skip
    rows = [
        [one["currency"], one["status"], f"{one['payments']:,}", f"{one['entries']:,}", *(one[name] for name in NAMES)]
        for one in totals_records(found)
    ]
    return Rows(columns, rows, f"Totals of {day} ({zone})")


def totals_records(found: Mapping[tuple[str, str], Sums]) -> Iterator[dict[str, Any]]:
    """Yield the totals of each currency and status, with keys in snake case and amounts as decimal text."""
    for (currency, status), sums in found.items():
        decimals = max(decimals_of(getattr(sums, name)) for name in NAMES)
        amounts = {name: text(getattr(sums, name), decimals) for name in NAMES}
        yield {
            "currency": currency, "status": status, "payments": sums.payments, "entries": sums.entries, **amounts
        }  # fmt: skip


def reconciliation(result: Reconciliation) -> Iterator[RenderableType]:
    """Show the sums, then the verdicts, then what needs a person, the largest difference first."""
    yield _sums(result)
    yield ""
    yield _verdicts(result)
    to_decide = by_size(result.to_decide)
    if to_decide:
        yield Text(f"\nTo decide: {len(to_decide):,}", style="bold")
    for finding in to_decide[:MAX_SHOWN]:
        yield from _finding(result, finding)
    if len(to_decide) > MAX_SHOWN:
        yield Labelled("", f"{len(to_decide) - MAX_SHOWN:,} more: --csv, --json or --html FILE has all of them.", 0)


def _sums(result: Reconciliation) -> Rows:
    columns = (
        Column("Currency"), Column("Report", right=True), Column("Ledger", right=True),
        Column("Explained", right=True), Column("To decide", right=True), Column("Remainder", right=True),
    )  # fmt: skip
    rows = [
        [
            currency,
            *(
                result.text(getattr(sums, name), currency)
                for name in ("report", "ledger", "explained", "to_decide", "remainder")
            ),
        ]
        for currency, sums in result.sums.items()
    ]
    return Rows(columns, rows, f"Reconciliation of {visible(result.processor_id)}")


def _verdicts(result: Reconciliation) -> Rows:
    columns = (Column("Verdict"), Column("Number", right=True), Column("Meaning", drop=1, wraps=True))
    rows: list[list[Text | str]] = [
        [Text(verdict, "" if verdict in EXPLAINED else "bold yellow"), f"{number:,}", MEANINGS[verdict]]
        for verdict in VERDICTS
        if (number := result.counts.get(verdict, 0))
    ]
    return Rows(columns, rows)


def _finding(result: Reconciliation, finding: Finding) -> Iterator[RenderableType]:
    yield Labelled(Text(finding.verdict, "yellow"), described(result, finding), 4)
    yield Labelled("", Text(f"{next_step(finding)}", style="dim"), 4)


def described(result: Reconciliation, finding: Finding) -> str:
    """Return what a finding is about: the IDs, the line, and the amounts of the report and of the ledger."""
    line, record = finding.line, finding.record
    parts = []
    if record is not None:
        parts.append(" ".join(filter(None, (record.transaction_id, record.entry_id))))
    elif line is not None:
        parts.append(" ".join(filter(None, (line.transaction_id, line.entry_id))) or line.type)
    if line is not None:
        amount = result.text(finding.report_amount, line.currency)
        parts.append(f"{result.place_of(line)}: {glued(f'{amount} {line.currency}')}")
    if record is not None:
        parts.append(f"ledger: {glued(f'{result.text(finding.ledger_amount, record.currency)} {record.currency}')}")
    if finding.verdict == AMOUNT and line is not None:
        more = result.text(difference(finding.report_amount, finding.ledger_amount), line.currency)
        parts.append(f"difference: {glued(f'{more} {line.currency}')}")
    return ", ".join(parts)
