"""`ledger run`: payments through the embedded engine, and what became of them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ledger.outcome import SOURCE, reason
from ledger_cli.engine import Engine
from ledger_cli.execution import Execution
from ledger_cli.reading import StartInput
from ledger_cli.samples import sealed_sample

MAX_ROWS = 50
"""Of each table for people; `--json` has them all."""

STYLES = {"RECORDED": "green", "DUPLICATE": "cyan", "REJECTED": "yellow", "CONFLICT": "magenta", None: "bold red"}


def run_payments(inputs: list[StartInput], *, as_json: bool, with_sealed_sample: bool) -> int:
    """Run each payment to its end, in order, and print; returns the command's exit status."""
    errors = Console(stderr=True)
    with errors.status("Deploying template.yaml into the embedded engine"):
        engine = Engine()
    with engine:
        if with_sealed_sample:
            inputs = [*inputs, sealed_sample(engine.client("kms"), engine.outputs["IntakeKeyArn"])]
        executions = []
        for start_input, execution in _run_each(engine, inputs, errors):
            executions.append((start_input, execution))
            if as_json:
                print(json.dumps(_as_json(start_input, execution)), flush=True)  # noqa: T201
        if not as_json:
            _print_for_people(engine, executions)
    return 0 if all(execution.outcome for _, execution in executions) else 1


def _run_each(engine: Engine, inputs: list[StartInput], errors: Console) -> Iterator[tuple[StartInput, Execution]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for start_input in progress.track(inputs, description="Running payments"):
            yield start_input, engine.run(start_input.text)


def _as_json(start_input: StartInput, execution: Execution) -> dict[str, Any]:
    return {
        "file": start_input.file,
        "execution": execution.name,
        "status": execution.status,
        "outcome": execution.outcome,
        "error": execution.error,
        "cause": execution.cause,
        "states": [asdict(state) for state in execution.states],
    }


def _print_for_people(engine: Engine, executions: list[tuple[StartInput, Execution]]) -> None:
    console = Console()
    items, events = engine.items(), engine.published()
    console.print(_executions_table(executions[:MAX_ROWS]))
    console.print(_items_table(items[:MAX_ROWS]))
    console.print(_events_table(events[:MAX_ROWS]))
    counts = [_counted(len(executions), "payment"), _counted(len(items), "item"), _counted(len(events), "event")]
    cut = f"; the first {MAX_ROWS} of each are shown, --json has every payment" if len(executions) > MAX_ROWS else ""
    console.print(", ".join(counts) + cut, highlight=False)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_lines=False)
    for name in columns:
        table.add_column(name, justify="right" if name in {"Amount", "Token"} else "left", overflow="fold")
    return table


def _executions_table(executions: list[tuple[StartInput, Execution]]) -> Table:
    table = _table("Executions", "Payment", "Outcome", "States it went through (ms)")
    for start_input, execution in executions:
        states = " → ".join(f"{state.name} {state.milliseconds:.0f}" for state in execution.states)
        why = f"\n{execution.error}: {execution.cause}" if execution.cause else ""
        table.add_row(
            Text(f"{start_input.file}\n").append(execution.name, style="dim"),
            Text(execution.outcome or execution.error or execution.status, style=STYLES[execution.outcome]),
            Text(states).append(why, style=STYLES[execution.outcome]),
        )
    return table


def _items_table(items: list[dict[str, Any]]) -> Table:
    table = _table(
        "Items in the ledger", "TransactionID", "Amount", "Processor", "Status", "Timestamp", "Token", "Published"
    )
    for item in items:
        table.add_row(
            item["TransactionID"]["S"],
            f"{item['Amount']['N']} {item['Currency']['S']}",
            item["ProcessorID"]["S"],
            item["Status"]["S"],
            item["Timestamp"]["S"].replace(".000000", ""),
            f"{len(item['SecureToken']['B'])} bytes",
            "yes" if "PublishedAt" in item else "no",
        )
    return table


def _events_table(events: list[dict[str, Any]]) -> Table:
    table = _table(f"Events from {SOURCE}", "Event", "TransactionID", "OutcomeID", "Says")
    for event in events:
        detail = event["detail"]
        says = (
            reason(detail) if {"Violations", "Differs"} & detail.keys() else f"{detail['Amount']} {detail['Currency']}"
        )
        table.add_row(event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], Text(says))
    return table
