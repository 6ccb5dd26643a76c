"""`ledger run`: payments through the embedded engine, and what became of them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ledger.item import recorded_facts
from ledger.outcome import SOURCE, reason
from ledger_cli.engine import Engine
from ledger_cli.execution import Execution
from ledger_cli.reading import StartInput
from ledger_cli.samples import sealed_sample
from ledger_cli.terminal import Column, fitting, moment, visible, wrapped

MAX_ROWS = 50
"""Of each table for people; `--json` has them all."""

INDENT = 11
"""Cells before the lines of a payment behind its first, which begins with its outcome."""

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
    for part in (
        _executions(executions[:MAX_ROWS]),
        _items(items[:MAX_ROWS], console.width),
        _events(events[:MAX_ROWS], console.width),
    ):
        console.print(part, soft_wrap=True)
    counts = [_counted(len(executions), "payment"), _counted(len(items), "item"), _counted(len(events), "event")]
    cut = f"; the first {MAX_ROWS} of each are shown, --json has every payment" if len(executions) > MAX_ROWS else ""
    console.print(wrapped((", ".join(counts) + cut, "")), soft_wrap=True)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _executions(executions: list[tuple[StartInput, Execution]]) -> Text:
    """What became of each payment, and the states that it went through."""
    lines = []
    for start_input, execution in executions:
        style = STYLES[execution.outcome]
        states = " → ".join(f"{state.name} {state.milliseconds:.0f}" for state in execution.states)
        why = f"\n{execution.error}: {execution.cause}" if execution.cause else ""
        lines.append(
            wrapped(
                (f"{execution.outcome or execution.error or execution.status:<9}", style),
                (f"  {visible(start_input.file)}", ""),
                (f"  {execution.name}", "dim"),
                (f"\n{states}", "dim"),
                (why, style),
                indent=INDENT,
            )
        )
    return Text("\n").join([Text("Executions, and the milliseconds in each state\n", style="bold"), *lines, Text()])


ITEMS = (
    Column("TransactionID"),
    Column("Amount", right=True),
    Column("Processor", rank=3),
    Column("Status", rank=1),
    Column("Timestamp", rank=4),
    Column("Token", rank=5, right=True),
    Column("Published", rank=2),
)


def _items(items: list[dict[str, Any]], width: int) -> RenderableType:
    rows = []
    for item in items:
        facts = recorded_facts(item)
        rows.append(
            [
                facts["TransactionID"],
                f"{facts['Amount']} {facts['Currency']}",
                facts["ProcessorID"],
                facts["Status"],
                moment(facts["Timestamp"]),
                f"{len(item['SecureToken']['B'])} bytes",
                "yes" if "PublishedAt" in item else "no",
            ]
        )
    return fitting("Items in the ledger", ITEMS, rows, width)


EVENTS = (
    Column("Event"),
    Column("TransactionID"),
    Column("OutcomeID", rank=2),
    Column("Says", rank=1, words=True),
)


def _events(events: list[dict[str, Any]], width: int) -> RenderableType:
    rows = []
    for event in events:
        detail = event["detail"]
        refused = {"Violations", "Differs"} & detail.keys()
        says = reason(detail) if refused else f"{detail['Amount']} {detail['Currency']}"
        rows.append([event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], Text(says)])
    return fitting(f"Events from {SOURCE}", EVENTS, rows, width)
