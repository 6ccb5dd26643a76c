"""`ledger executions`, `inspect` and `redrive`: what the workflow did, and what to do about it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.progress import Progress
from rich.text import Text

from ledger_cli import graph, page
from ledger_cli.deployed import Stack, StackError
from ledger_cli.execution import Execution, StateRun
from ledger_cli.inspection import MAX_SEARCHED, TECHNICAL_ENDS, Inspection, executions, inspect, read
from ledger_cli.payments import details

STYLES = {
    "RECORDED": "green", "DUPLICATE": "cyan", "REJECTED": "yellow", "CONFLICT": "magenta", "FAILED": "bold red",
    "RUNNING": "blue", "UNKNOWN": "dim", "succeeded": "green", "caught": "yellow", "failed": "bold red",
    "running": "blue", "not reached": "dim",
}  # fmt: skip


def show_executions(stack: Stack, *, status: str | None, most: int, as_json: bool) -> int:
    """Print the newest executions and what became of each; returns the exit status."""
    errors, console = Console(stderr=True), Console()
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for one in progress.track(list(executions(stack, status=status, most=most)), description="Reading executions"):
            execution = read(stack, one.arn)
            if as_json:
                click.echo(json.dumps(as_line(execution)))
            else:
                outcome = execution.outcome or execution.status
                when = f"{execution.started_at:%Y-%m-%d %H:%M:%S}  {took(execution)}"
                line = Text.assemble((f"{outcome:<10}", STYLES.get(outcome, "")), f" {one.name}  ", (when, "dim"))
                console.print(line, soft_wrap=True)
                if execution.refusal:
                    console.print(Text(f"{'':<10} {execution.refusal}", style=STYLES.get(outcome, "")), soft_wrap=True)
    return 0


def took(execution: Execution) -> str:
    """How long it ran, for people."""
    if execution.ended_at is None:
        return "-"
    seconds = (execution.ended_at - execution.started_at).total_seconds()
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


def as_line(execution: Execution) -> dict[str, Any]:
    """An execution for machines: no input, no output, no token."""
    kind, outcome_id = execution.published or (None, None)
    return {
        "Execution": execution.name,
        "Arn": execution.arn,
        "Status": execution.status,
        "Outcome": execution.outcome,
        "Error": execution.error,
        "Cause": execution.cause,
        "StartedAt": _time(execution.started_at),
        "EndedAt": None if execution.ended_at is None else _time(execution.ended_at),
        "States": [asdict(state) for state in execution.states],
        "Published": kind,
        "OutcomeID": outcome_id,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat()


def show_inspection(stack: Stack, asked: str, *, as_json: bool, html_file: Path | None) -> int:
    """Print what became of a payment, or write it as a page; returns the exit status."""
    found = inspect(stack, asked)
    if html_file:
        try:
            html_file.write_text(page.page(found), encoding="utf-8")
        except OSError as error:
            raise StackError(f"{html_file}: {(error.strerror or 'cannot be written').lower()}") from None
        click.echo(f"{html_file}: {found.outcome}")
    elif as_json:
        click.echo(json.dumps(inspection_as_json(found)))
    else:
        Console().print(*_for_people(found), sep="\n")
    return 1 if found.outcome == "UNKNOWN" else 0


def inspection_as_json(found: Inspection) -> dict[str, Any]:
    """The whole inspection for machines."""
    return {
        "Asked": found.asked,
        "Outcome": found.outcome,
        "NextStep": found.next_step,
        "Payment": found.payment,
        "Execution": None if found.execution is None else as_line(found.execution),
        "OtherExecutions": [
            {"Execution": one.name, "Arn": one.arn, "Status": one.status, "Outcome": one.outcome}
            for one in found.others
        ],
    }


def _for_people(found: Inspection) -> Iterable[Any]:
    yield Text.assemble((found.asked, "bold"), "  ", (found.outcome, STYLES.get(found.outcome, "")))
    execution = found.execution
    if execution:
        when = f"{execution.started_at:%Y-%m-%d %H:%M:%S}, {took(execution)}"
        yield Text.assemble(("Execution  ", "dim"), f"{execution.name}  {execution.status}  {when}")
        yield Text()
        yield Group(*states_of(execution))
        if execution.refusal:
            yield Text(f"\nWhy        {execution.refusal}", style=STYLES.get(found.outcome, ""))
        if execution.published:
            yield Text(f"Published  {execution.published[0]}, OutcomeID {execution.published[1]}")
    if found.payment:
        yield Text("\nIn the ledger", style="bold")
        yield details(found.payment)
    if found.others:
        yield Text("\nOther executions", style="bold")
        for one in found.others:
            when = f"  {one.started_at:%Y-%m-%d %H:%M:%S}"
            yield Text.assemble((f"{one.outcome:<10}", STYLES.get(one.outcome, "")), f" {one.name}", (when, "dim"))
    yield Text.assemble(("\nNext       ", "dim"), (found.next_step, "bold"))


def states_of(execution: Execution) -> Iterable[Text]:
    """The workflow's path with what became of each state, and the branch that was taken beside its state."""
    drawn = graph.read()
    runs = {run.name: run for run in execution.states}
    width = max(map(len, drawn.path))
    for name in drawn.path:
        run = runs.get(name)
        line = _state(name, run, width)
        for branch in drawn.branches[name]:
            if run is not None and run.became == "caught" and branch.states[0] in runs:
                line.append(f"  {branch.error}", STYLES["caught"])
                for step in branch.states:
                    line.append(" ─▶ ")
                    line.append_text(_state(step, runs.get(step), 0))
        yield line


def _state(name: str, run: StateRun | None, width: int) -> Text:
    became = "not reached" if run is None else run.became
    line = Text(f"{graph.MARKS[became]} {name:<{width}}", style=STYLES[became])
    if run is not None:
        line.append(f" {run.milliseconds:>6,.0f} ms" if width else f" {run.milliseconds:,.0f} ms", "dim")
        if run.attempts > 1:
            line.append(f"  {run.attempts} attempts: {', '.join(dict.fromkeys(run.errors))}", "yellow")
    return line


def redrive(stack: Stack, asked: str | None, *, dry_run: bool, as_json: bool) -> int:
    """Redrive the executions of a payment (or all) that failed technically; returns the exit status."""
    errors = Console(stderr=True)
    redriven = 0
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        for one in progress.track(list(_candidates(stack, asked)), description="Looking at executions"):
            execution = read(stack, one)
            if not execution.failed_technically:
                continue
            redriven += 1
            if not dry_run:
                stack.client("stepfunctions").redrive_execution(executionArn=execution.arn)
            state = execution.states[-1].name if execution.states else "-"
            told = {"Execution": execution.name, "State": state, "Error": execution.error, "Redriven": not dry_run}
            verb = "would be redriven" if dry_run else "is redriven"
            line = f"{execution.name} {verb} from {state} ({execution.refusal or execution.status})"
            click.echo(json.dumps(told) if as_json else line)
    if redriven == 0:
        click.echo(
            f"ledger: no execution{f' of {asked}' if asked else ''} failed technically: nothing to redrive",
            err=True,
        )
    return 0 if redriven or asked is None else 1


def _candidates(stack: Stack, asked: str | None) -> Iterable[str]:
    """ARNs of the executions that may have failed technically."""
    if asked is None:
        for status in TECHNICAL_ENDS[:2]:  # one that was aborted, somebody has aborted
            yield from (one.arn for one in executions(stack, status=status, most=MAX_SEARCHED))
        return
    found = inspect(stack, asked)
    if found.execution:
        yield found.execution.arn
    yield from (one.arn for one in found.others if one.status in TECHNICAL_ENDS)
