"""`ledger executions`, `inspect` and `redrive`: what the workflow did, and what to do about it."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger.outcome import outcome_of
from ledger_cli.commands.payments import details
from ledger_cli.stack.client import Stack, StackError, stopping_says
from ledger_cli.stack.execution import Execution, StateRun
from ledger_cli.stack.inspection import MAX_SEARCHED, Inspection, executions, inspect, read
from ledger_cli.views import graph, page
from ledger_cli.views.terminal import Entry, display, glued, note, progress, say, say_json, visible

STYLES = {
    "RECORDED": "green", "DUPLICATE": "cyan", "REJECTED": "yellow", "CONFLICT": "magenta", "FAILED": "bold red",
    "RUNNING": "blue", "UNKNOWN": "dim", "succeeded": "green", "caught": "yellow", "failed": "bold red",
    "running": "blue", "not reached": "dim",
}  # fmt: skip

INDENT = 11
"""Of what stands beside an outcome or a short name."""


def show_executions(stack: Stack, *, status: str | None, most: int, as_json: bool) -> int:
    """Print the newest executions and what became of each; returns the exit status."""
    with progress("Reading executions") as track:
        listed = list(executions(stack, status=status, most=most))
        for one in track.over(listed, total=len(listed)):
            execution = read(stack, one.arn)
            if as_json:
                say_json(as_line(execution))
                continue
            outcome = execution.outcome or execution.status
            when = f"{glued(moment(execution.started_at))}  {glued(took(execution))}"
            line = Text.assemble(one.name, "  ", (when, "dim"))
            if execution.refusal:
                line.append(f"\n{visible(execution.refusal)}", STYLES.get(outcome, ""))
            display(Entry(Text(outcome, STYLES.get(outcome, "")), line, INDENT), console=track.console)
    return 0


def moment(at: datetime) -> str:
    """A time for people, in UTC to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


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
        say(f"{html_file}: {found.outcome}")
    elif as_json:
        say_json(inspection_as_json(found))
    else:
        display(*_for_people(found))
    if found.outcome != "UNKNOWN":
        return 0
    return 2 if found.unread else 1


def inspection_as_json(found: Inspection) -> dict[str, Any]:
    """The whole inspection for machines."""
    return {
        "Asked": found.asked,
        "Outcome": found.outcome,
        "NextStep": found.next_step,
        "Unread": found.unread,
        "SearchedBackTo": None if found.searched_back_to is None else _time(found.searched_back_to),
        "Payment": found.payment,
        "Execution": None if found.execution is None else as_line(found.execution),
        "OtherExecutions": [
            {"Execution": one.name, "Arn": one.arn, "Status": one.status, "Outcome": one.outcome}
            for one in found.others
        ],
    }


def _for_people(found: Inspection) -> Iterable[RenderableType]:
    style = STYLES.get(found.outcome, "")
    yield Entry("", Text.assemble((visible(found.asked), "bold"), "  ", (found.outcome, style)), 0)
    execution = found.execution
    if execution:
        when = glued(f"{moment(execution.started_at)}, {took(execution)}")
        yield Entry("Execution", f"{execution.name}  {execution.status}  {when}", INDENT)
        yield ""
        yield from (Entry(state[:1], state[2:], 2) for state in states_of(execution))
        if execution.refusal or execution.published:
            yield ""
        if execution.refusal:
            yield Entry(Text("Why", style), Text(visible(execution.refusal), style), INDENT)
        if execution.published:
            yield Entry("Published", f"{execution.published[0]}, OutcomeID {execution.published[1]}", INDENT)
    if found.payment:
        yield Text("\nIn the ledger", style="bold")
        yield details(found.payment)
    if found.unread:
        yield ""
        yield Entry("", Text(f"The ledger could not be read: {visible(found.unread)}", style="red"), 0)
    if found.others:
        yield Text("\nOther executions", style="bold")
        for one in found.others:
            line = Text.assemble(one.name, "  ", (glued(moment(one.started_at)), "dim"))
            yield Entry(Text(one.outcome, STYLES.get(one.outcome, "")), line, INDENT)
    yield ""
    yield Entry("Next", Text(visible(found.next_step), style="bold"), INDENT)


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
                    line.append(f" {glued('─▶ ')}")
                    line.append_text(_state(step, runs.get(step), 0))
        yield line


def _state(name: str, run: StateRun | None, width: int) -> Text:
    became = "not reached" if run is None else run.became
    line = Text(glued(f"{graph.MARKS[became]} {name:<{width}}"), style=STYLES[became])
    if run is not None:
        line.append(glued(f" {run.milliseconds:>6,.0f} ms" if width else f" {run.milliseconds:,.0f} ms"), "dim")
        if run.attempts > 1:
            line.append(f"  {run.attempts} attempts: {', '.join(dict.fromkeys(run.errors))}", "yellow")
    return line


def redrive(stack: Stack, asked: str | None, *, dry_run: bool, as_json: bool) -> int:
    """Redrive the executions of a payment (or all) that failed technically; returns the exit status."""
    states = stack.client("stepfunctions")
    redriven = refused = 0

    def how_far() -> str:
        done = "would be redriven" if dry_run else "redriven"
        return f"before it stopped, {redriven} were {done}. Give the same command again: what runs is not redriven"

    with stopping_says(how_far), progress("Looking at executions") as track:
        for arn in track.over(_candidates(stack, asked)):
            if outcome_of(states.describe_execution(executionArn=arn)):
                continue
            execution = read(stack, arn)
            if not execution.failed_technically:
                continue
            reason = execution.not_redrivable
            if not dry_run and reason is None:
                try:
                    states.redrive_execution(executionArn=arn)
                except states.exceptions.ExecutionNotRedrivable as error:
                    reason = error.response["Error"]["Message"]
            redriven, refused = redriven + (reason is None), refused + (reason is not None)
            line = _told_of_redrive(execution, reason, dry_run=dry_run, as_json=as_json)
            if as_json:
                say(line)
            else:
                display(Entry("", line, 0), console=track.console)
    if redriven + refused == 0:
        whose = f" of {asked}" if asked else ""
        note(f"no execution{whose} failed technically: nothing to redrive")
    return 1 if refused or (asked and not redriven) else 0


def _told_of_redrive(execution: Execution, reason: str | None, *, dry_run: bool, as_json: bool) -> str:
    state = execution.states[-1].name if execution.states else "-"
    if as_json:
        redriven = reason is None and not dry_run
        told = {"Execution": execution.name, "State": state, "Error": execution.error, "Redriven": redriven}
        return json.dumps({**told, "NotRedrivable": reason})
    if reason is not None:
        return f"{execution.name} cannot be redriven: {visible(reason)}: ask the sender to deliver it again"
    verb = "would be redriven" if dry_run else "is redriven"
    return f"{execution.name} {verb} from {state} ({visible(execution.refusal or execution.status)})"


def _candidates(stack: Stack, asked: str | None) -> Iterable[str]:
    """ARNs of the executions that may have failed technically."""
    if asked is None:
        for status in ("FAILED", "TIMED_OUT"):  # one that was aborted, somebody has aborted
            yield from (one.arn for one in executions(stack, status=status, most=MAX_SEARCHED))
        return
    found = inspect(stack, asked)
    if found.execution:
        yield found.execution.arn
    yield from (one.arn for one in found.others)
