"""The report of `ledger run`: the executions, the payments, the entries and the events, each as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger.chain import entry_view
from ledger.item import published_at, recorded_facts
from ledger.outcome import SOURCE, reason
from ledger_cli.reading import StartInput
from ledger_cli.stack.execution import Execution
from ledger_cli.views.layout import Column, Labelled, Rows, glued
from ledger_cli.views.terminal import visible
from ledger_cli.views.text import entry_rows, format_amount, format_time, outcome_text, publication

MAX_ROWS = 50
"""Rows of each table. `--json` prints every execution."""


def run_report(
    executions: Sequence[tuple[StartInput, Execution]],
    items: Sequence[Mapping[str, Any]],
    entries: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> Iterator[RenderableType]:
    """Show each table, and last how many executions, payments, entries and events there are."""
    counts = ", ".join([
        _count(executions, "execution"), _count(items, "payment"),
        _count(entries, "entry", "entries"), _count(events, "event"),
    ])  # fmt: skip
    cut = f"; the first {MAX_ROWS} of each are shown, --json has every execution" if len(executions) > MAX_ROWS else ""
    yield _executions_table(executions[:MAX_ROWS])
    yield ""
    yield _items_table(items[:MAX_ROWS])
    yield ""
    if entries:
        yield _entries_table(entries[:MAX_ROWS])
        yield ""
    yield _events_table(events[:MAX_ROWS])
    yield ""
    yield Labelled("", counts + cut, 0)


def _count(things: Sequence[Any], noun: str, several: str = "") -> str:
    return f"{len(things):,} {noun if len(things) == 1 else several or f'{noun}s'}"


def _executions_table(executions: Sequence[tuple[StartInput, Execution]]) -> Rows:
    columns = (Column("Input"), Column("Outcome"), Column("States (ms)", wraps=True))
    rows = []
    for start_input, execution in executions:
        outcome = outcome_text(execution.outcome, execution.error or execution.status)
        states = Text(
            " ".join(
                glued(f"{state.name} {state.milliseconds:.0f}{' →' if state is not execution.states[-1] else ''}")
                for state in execution.states
            )
        )
        if execution.reason:
            states.append(f"\n{visible(execution.reason)}", outcome.style)
        payment = Text(f"{visible(start_input.file)}\n").append(execution.name, "dim")
        rows.append((payment, outcome, states))
    return Rows(columns, rows, "Executions")


def _items_table(items: Sequence[Mapping[str, Any]]) -> Rows:
    columns = (
        Column("TransactionID"),
        Column("Amount", right=True),
        Column("Processor", drop=2),
        Column("Status", drop=1),
        Column("Timestamp", drop=3),
        Column("Token", drop=5, right=True),
        Column("Published", drop=4),
    )
    rows = []
    for item in items:
        facts = recorded_facts(item)
        rows.append(
            (
                facts["TransactionID"],
                format_amount(facts),
                facts["ProcessorID"],
                facts["Status"],
                format_time(facts["Timestamp"]),
                f"{len(item['SecureToken']['B'])} bytes",
                publication({**facts, "PublishedAt": published_at(item)}, "no"),
            )
        )
    return Rows(columns, rows, "Payments in the ledger")


def _entries_table(items: Sequence[Mapping[str, Any]]) -> Rows:
    columns = (
        Column("TransactionID"),
        Column("#", right=True, drop=1),
        Column("Kind"),
        Column("Amount", right=True),
        Column("Refundable", right=True),
        Column("EntryID", drop=2),
        Column("Published", drop=3),
    )
    return entry_rows(columns, map(entry_view, items), "Entries", unpublished="no")


def _amount(detail: Mapping[str, Any]) -> str:
    return f"{detail['Kind']} {format_amount(detail)}" if "Kind" in detail else format_amount(detail)


def _events_table(events: Sequence[Mapping[str, Any]]) -> Rows:
    columns = (Column("Event"), Column("TransactionID"), Column("OutcomeID", drop=1), Column("Summary", wraps=True))
    rows = []
    for event in events:
        detail = event["detail"]
        summary = reason(detail) if {"Violations", "Differs"} & detail.keys() else _amount(detail)
        rows.append((event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], summary))
    return Rows(columns, rows, f"Events from {SOURCE}")
