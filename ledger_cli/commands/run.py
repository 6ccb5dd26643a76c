"""`ledger run`: payments through the embedded engine, and what became of them."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ledger.item import recorded_facts
from ledger.outcome import SOURCE, reason
from ledger_cli.engine import Engine
from ledger_cli.reading import StartInput
from ledger_cli.samples import sealed_sample
from ledger_cli.stack.execution import Execution
from ledger_cli.views.terminal import Column, Entry, Rows, display, glued, moment, money, say_json, visible

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
                say_json(_as_json(start_input, execution))
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
    items, events = engine.items(), engine.published()
    counts = [_counted(len(executions), "payment"), _counted(len(items), "item"), _counted(len(events), "event")]
    cut = f"; the first {MAX_ROWS} of each are shown, --json has every payment" if len(executions) > MAX_ROWS else ""
    display(_executions_table(executions[:MAX_ROWS]), "")
    display(_items_table(items[:MAX_ROWS]), "")
    display(_events_table(events[:MAX_ROWS]), "")
    display(Entry("", ", ".join(counts) + cut, 0))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _executions_table(executions: list[tuple[StartInput, Execution]]) -> Rows:
    columns = (Column("Payment"), Column("Outcome"), Column("States (ms)", wraps=True))
    rows = []
    for start_input, execution in executions:
        style = STYLES[execution.outcome]
        states = " ".join(
            glued(f"{state.name} {state.milliseconds:.0f}{' →' if state is not execution.states[-1] else ''}")
            for state in execution.states
        )
        why = f"\n{visible(execution.refusal)}" if execution.refusal else ""
        rows.append(
            (
                Text(f"{visible(start_input.file)}\n").append(execution.name, style="dim"),
                Text(execution.outcome or execution.error or execution.status, style=style),
                Text(states).append(why, style=style),
            )
        )
    return Rows(columns, rows, "Executions")


def _items_table(items: list[dict[str, Any]]) -> Rows:
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
        token = f"{len(item['SecureToken']['B'])} bytes"
        published = "yes" if "PublishedAt" in item else "no"
        rows.append(
            (
                facts["TransactionID"],
                money(facts),
                facts["ProcessorID"],
                facts["Status"],
                moment(facts["Timestamp"]),
                token,
                published,
            )
        )
    return Rows(columns, rows, "Items in the ledger")


def _events_table(events: list[dict[str, Any]]) -> Rows:
    columns = (Column("Event"), Column("TransactionID"), Column("OutcomeID", drop=1), Column("Says", wraps=True))
    rows = []
    for event in events:
        detail = event["detail"]
        says = reason(detail) if {"Violations", "Differs"} & detail.keys() else money(detail)
        rows.append((event["detail-type"], detail.get("TransactionID", "—"), detail["OutcomeID"], says))
    return Rows(columns, rows, f"Events from {SOURCE}")
