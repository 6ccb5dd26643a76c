"""The report of `ledger run`: the executions, the items in the ledger and the events, each as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger.item import recorded_facts
from ledger.outcome import SOURCE, reason
from ledger_cli.reading import StartInput
from ledger_cli.stack.execution import Execution
from ledger_cli.views.layout import Column, Entry, Rows, glued
from ledger_cli.views.terminal import visible
from ledger_cli.views.text import format_amount, format_time, outcome_text

MAX_ROWS = 50
"""Rows of each table. `--json` prints every payment."""


def run_report(
    executions: Sequence[tuple[StartInput, Execution]],
    items: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> Iterator[RenderableType]:
    """Show each table, and last how many payments, items and events there are."""
    counts = ", ".join([_count(len(executions), "payment"), _count(len(items), "item"), _count(len(events), "event")])
    cut = f"; the first {MAX_ROWS} of each are shown, --json has every payment" if len(executions) > MAX_ROWS else ""
    yield _executions_table(executions[:MAX_ROWS])
    yield ""
    yield _items_table(items[:MAX_ROWS])
    yield ""
    yield _events_table(events[:MAX_ROWS])
    yield ""
    yield Entry("", counts + cut, 0)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _executions_table(executions: Sequence[tuple[StartInput, Execution]]) -> Rows:
    columns = (Column("Payment"), Column("Outcome"), Column("States (ms)", wraps=True))
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
                "yes" if "PublishedAt" in item else "no",
            )
        )
    return Rows(columns, rows, "Items in the ledger")


def _events_table(events: Sequence[Mapping[str, Any]]) -> Rows:
    columns = (Column("Event"), Column("TransactionID"), Column("OutcomeID", drop=1), Column("Summary", wraps=True))
    rows = []
    for event in events:
        detail = event["detail"]
        summary = reason(detail) if {"Violations", "Differs"} & detail.keys() else format_amount(detail)
        rows.append((event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], summary))
    return Rows(columns, rows, f"Events from {SOURCE}")
