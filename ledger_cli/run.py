"""`ledger run`: payments through the embedded engine, and what became of them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ledger.outcome import SOURCE
from ledger_cli.engine import Engine
from ledger_cli.engine.execution import Execution
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
    console.print(_executions_table(executions[:MAX_ROWS]))
    for _, execution in executions[:MAX_ROWS]:
        if execution.cause:
            console.print(
                f"  {execution.name}: {execution.error}: {execution.cause}",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )
    items, events = engine.items(), engine.published()
    console.print(_items_table(items[:MAX_ROWS]))
    console.print(_events_table(events[:MAX_ROWS]))
    counts = [f"{len(executions):,} payments", f"{len(items):,} items", f"{len(events):,} events"]
    console.print(
        ", ".join(counts) + (f"; the first {MAX_ROWS} of each are shown" if len(executions) > MAX_ROWS else "")
    )


def _executions_table(executions: list[tuple[StartInput, Execution]]) -> Table:
    table = Table(title="Executions", title_justify="left", title_style="bold")
    table.add_column("Payment", overflow="fold")
    table.add_column("Outcome")
    table.add_column("States it went through (ms)", overflow="fold")
    for start_input, execution in executions:
        states = " → ".join(f"{state.name} {state.milliseconds:.0f}" for state in execution.states)
        outcome = f"[{STYLES[execution.outcome]}]{execution.outcome or execution.error or execution.status}"
        table.add_row(f"{execution.name}\n[dim]{start_input.file}", outcome, states)
    return table


def _items_table(items: list[dict[str, Any]]) -> Table:
    table = Table(title="Items in the ledger", title_justify="left", title_style="bold")
    for name in ("TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp"):
        table.add_column(name, justify="right" if name == "Amount" else "left", overflow="fold")
    table.add_column("SecureToken", justify="right")
    table.add_column("Published")
    for item in items:
        plain = [
            item[name].get("S") or item[name]["N"]
            for name in ("TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp")
        ]
        table.add_row(*plain, f"{len(item['SecureToken']['B'])} bytes", "yes" if "PublishedAt" in item else "no")
    return table


def _events_table(events: list[dict[str, Any]]) -> Table:
    table = Table(title=f"Events from {SOURCE}", title_justify="left", title_style="bold")
    for name in ("Event", "TransactionID", "OutcomeID", "What it says"):
        table.add_column(name, overflow="fold")
    for event in events:
        detail = event["detail"]
        says = (
            "; ".join(f"{v['Field']}: {v['Rule']}" for v in detail["Violations"])
            if "Violations" in detail
            else f"differs in {', '.join(detail['Differs'])}"
            if "Differs" in detail
            else f"{detail['Amount']} {detail['Currency']}"
        )
        table.add_row(event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], says)
    return table
