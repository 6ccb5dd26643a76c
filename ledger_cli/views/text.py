"""Text for people: outcomes in colour, payments, entries, executions, inspections and registrations."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger.fast_lane import is_fast, name_of_execution
from ledger.fields import IMPORT
from ledger.formats import Format
from ledger.item import is_quiet
from ledger_cli.stack.deliveries import DeliveryResult
from ledger_cli.stack.execution import Execution, StateRun
from ledger_cli.stack.inspection import Inspection
from ledger_cli.stack.processors import Registration
from ledger_cli.stack.queries import describe_unreadable
from ledger_cli.stack.refusals import described_entry
from ledger_cli.views import graph
from ledger_cli.views.layout import Column, Labelled, Labels, Rows, glued
from ledger_cli.views.terminal import visible

STYLES = {
    "RECORDED": "green",
    "DUPLICATE": "cyan",
    "REJECTED": "yellow",
    "REFUSED": "yellow",
    "CONFLICT": "magenta",
    "FAILED": "bold red",
    "RUNNING": "blue",
    "UNKNOWN": "dim",
    "succeeded": "green",
    "caught": "yellow",
    "failed": "bold red",
    "running": "blue",
    "not reached": "dim",
}
"""The styles of an execution's outcomes and of its states."""

INDENT = 11
"""Cells of an outcome or of a short name, with the space behind it."""


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────


def outcome_text(outcome: str | None, otherwise: str = "FAILED") -> Text:
    """Return the outcome in its colour, or another word in the colour of a failure if there is no outcome."""
    return Text(outcome or otherwise, STYLES.get(outcome or "FAILED", ""))


def format_time(at: datetime | str) -> str:
    """Return a time or a canonical timestamp in UTC, to the second."""
    timestamp = at if isinstance(at, str) else at.astimezone(UTC).isoformat()
    return f"{timestamp[:10]} {timestamp[11:19]}Z"


def format_duration(execution: Execution) -> str:
    """Return how long the execution ran."""
    if execution.ended_at is None:
        return "-"
    seconds = (execution.ended_at - execution.started_at).total_seconds()
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


def format_amount(payment: Mapping[str, Any]) -> str:
    """Return a payment's amount with its currency. It is the same text in every view."""
    return f"{payment['Amount']} {payment['Currency']}"


def payment_attributes(payment: Mapping[str, Any]) -> dict[str, str]:
    """Return each attribute of a recorded payment as text."""
    attributes = {}
    for name, value in payment.items():
        if name == "Metadata":
            attributes[name] = ", ".join(f"{key}={text}" for key, text in value.items()) or "-"
        elif name == "PublishedAt":
            attributes[name] = value or ("never: a quiet import" if is_quiet(payment) else "not yet")
        elif name == "Seal":
            attributes[name] = f"{value}" if value else "not yet"
        else:
            attributes[name] = value or "-"
    return attributes


def publication(recorded: Mapping[str, Any], unpublished: str) -> str:
    """Return whether a recorded payment or entry was published; *unpublished* is the word for no."""
    if is_quiet(recorded):
        return "no, imported"
    return "yes" if recorded["PublishedAt"] else unpublished


def totals_attributes(totals: Mapping[str, Any], currency: str) -> dict[str, str]:
    """Return each total of a payment as text. The number of accepted entries is shown only if there are some."""
    attributes = {name: f"{totals[name]} {currency}" for name in ("Captured", "Refunded", "Disputed", "Refundable")}
    if totals["AcceptedEntries"]:
        attributes["AcceptedEntries"] = f"{totals['AcceptedEntries']}"
    return attributes


def entry_kind(entry: Mapping[str, Any]) -> str:
    """Return an entry's kind, and whether an operator accepted the entry or it was imported."""
    notes = [note for name, note in (("Acceptance", "accepted"), (IMPORT, "imported")) if name in entry]
    return f"{entry['Kind']} ({', '.join(notes)})" if notes else str(entry["Kind"])


def acceptance(entry: Mapping[str, Any]) -> str:
    """Return who had an entry recorded that did not add up, and why."""
    accepted = entry["Acceptance"]
    return f"Entry {entry['Entry']} was accepted by {accepted['Requester']}: {accepted['Reason']}"


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def payment(recorded: Mapping[str, Any]) -> Labels:
    """Show one payment, with a line for each attribute."""
    return Labels({name: visible(value) for name, value in payment_attributes(recorded).items()})


def life(
    entries: Sequence[Mapping[str, Any]],
    totals: Mapping[str, Any] | None,
    unreadable: Iterable[dict[str, Any]],
    currency: str,
) -> Iterator[RenderableType]:
    """Show what happened to a payment after it was recorded: its entries, the damaged one, and the totals."""
    if entries:
        yield ""
        yield _entries_of_a_payment(entries)
    for one in entries:
        if "Acceptance" in one:
            yield Labelled("", visible(acceptance(one)), 0)
    for damaged in unreadable:
        yield Labelled("", Text(f"\n{visible(describe_unreadable(damaged))}", style="red"), 0)
    if totals is not None:
        yield Text("\nTotals", style="bold")
        yield Labels({name: visible(value) for name, value in totals_attributes(totals, currency).items()})


def _entries_of_a_payment(entries: Iterable[Mapping[str, Any]]) -> Rows:
    columns = (
        Column("#", right=True),
        Column("Kind"),
        Column("Amount", right=True),
        Column("Refundable", right=True, drop=1),
        Column("Timestamp", drop=3),
        Column("EntryID"),
        Column("Published", drop=2),
    )
    return entry_rows(columns, entries, "Entries")


def entries(listed: Iterable[Mapping[str, Any]]) -> Rows:
    """Show entries of several payments as a table."""
    columns = (
        Column("TransactionID"),
        Column("#", right=True, drop=2),
        Column("Kind"),
        Column("Amount", right=True),
        Column("EntryID", drop=1),
        Column("Timestamp", drop=3),
        Column("Published", drop=4),
    )
    return entry_rows(columns, listed)


def entry_rows(
    columns: Sequence[Column], entries: Iterable[Mapping[str, Any]], title: str = "", *, unpublished: str = "not yet"
) -> Rows:
    """Return a table of entries, whose columns are named as here; *unpublished* is the word for no."""
    rows = []
    for one in entries:
        cells = {
            "TransactionID": one["TransactionID"],
            "#": f"{one['Entry']}",
            "Kind": entry_kind(one),
            "Amount": format_amount(one),
            "Refundable": one["Totals"]["Refundable"],
            "Timestamp": format_time(one["Timestamp"]),
            "EntryID": one["EntryID"],
            "Published": publication(one, unpublished),
        }
        rows.append(tuple(cells[column.name] for column in columns))
    return Rows(columns, rows, title)


def payments(listed: Iterable[Mapping[str, Any]], *, of_one_processor: bool) -> Rows:
    """Show payments as a table. A list of one processor's payments does not repeat the processor."""
    if of_one_processor:
        last = Column("Timestamp", drop=2), Column("Published", drop=3)
    else:
        last = Column("Recorded", drop=2), Column("Processor", drop=3)
    columns = (Column("TransactionID"), Column("Amount", right=True), Column("Status", drop=1), *last)
    rows = []
    for one in listed:
        status = Text(one["Status"], "red" if one["Status"] == "Failure" else "")
        if of_one_processor:
            last_values = format_time(one["Timestamp"]), publication(one, "not yet")
        else:
            last_values = format_time(one["RecordedAt"]), one["ProcessorID"]
        rows.append((one["TransactionID"], format_amount(one), status, *last_values))
    return Rows(columns, rows)


def accepted(outcome: str, entry: Mapping[str, Any]) -> Labelled:
    """Show an entry that an operator accepted, in a line."""
    line = (
        f"{entry['EntryID']} is entry {entry['Entry']} of {entry['TransactionID']}: {entry_kind(entry)} "
        f"{format_amount(entry)}, refundable {entry['Totals']['Refundable']}"
    )
    return Labelled(outcome_text(outcome), visible(line), INDENT)


def delivery(result: DeliveryResult) -> Labelled:
    """Show the result of one delivery in a line."""
    is_running = result.status == "RUNNING"
    outcome = outcome_text(result.outcome or ("RUNNING" if is_running else None), result.error or result.status)
    line = Text(visible(result.file))
    if result.status != "NOT_STARTED":
        line = Text(visible(result.execution))
        if not result.started:
            line.append("  its execution was started before", "dim")
        if result.left_fast_lane:
            line.append(f"  it left the fast lane: {visible(result.left_fast_lane)}", "dim")
        if is_running and result.waits_for_payment:
            line.append("  an entry waits up to an hour for its payment", "dim")
    if result.cause:
        line.append(f"  {visible(result.cause)}", outcome.style)
    return Labelled(outcome, line, INDENT)


def formats(described: Mapping[str, Format]) -> Rows:
    """Show the formats of processors."""
    columns = [Column("Format"), Column("Signs, and not", wraps=True), Column("Secret", wraps=True)]
    rows = [
        (name, f"{one.scheme.signs}; not {one.scheme.leaves_unsigned}", one.scheme.secret.description)
        for name, one in described.items()
    ]
    return Rows(columns, rows)


def registration(changed: Registration) -> Labels:
    """Show a processor that was registered or changed."""
    lines = {"Processor": f"{changed.processor_id} ({changed.format})", "Webhook": changed.webhook}
    if changed.secret:
        lines["Secret"] = f"{changed.secret}  (shown only once)"
    if changed.prefix:
        lines["Prefix"] = f"{changed.prefix}  (its TransactionIDs must begin with this)"
    if changed.older_until:
        lines["Active"] = f"2 within {changed.within_minutes} minutes; the older one ends at {changed.older_until}"
    else:
        lines["Active"] = f"1 within {changed.within_minutes} minutes; any other one ends by then"
    return Labels(lines)


# ── Executions ──────────────────────────────────────────────────────────────────────────────────────


def execution(shown: Execution) -> Labelled:
    """Show an execution with its outcome in a line, and below it why the payment was rejected or failed."""
    outcome = outcome_text(shown.outcome or ("RUNNING" if shown.status == "RUNNING" else None), shown.status)
    when = f"{glued(format_time(shown.started_at))}  {glued(format_duration(shown))}"
    line = Text.assemble(shown.name, "  ", (when, "dim"))
    if shown.reason:
        line.append(f"\n{visible(shown.reason)}", outcome.style)
    return Labelled(outcome, line, INDENT)


def redrive(failed: Execution, not_redrivable: str | None, *, dry_run: bool) -> Labelled:
    """Show what the command does to an execution that had a technical failure."""
    if not_redrivable is not None:
        line = f"{failed.name} cannot be redriven: {visible(not_redrivable)}: ask the sender to send the payment again"
    else:
        verb = "would be redriven" if dry_run else "is redriven"
        line = f"{failed.name} {verb} from {failed_state(failed)} ({visible(failed.reason or failed.status)})"
    return Labelled("", line, 0)


def failed_state(failed: Execution) -> str:
    """Return the name of the state in which the execution failed."""
    return failed.states[-1].name if failed.states else "-"


def inspection(found: Inspection) -> Iterable[RenderableType]:
    """Show the outcome of a payment, the states of its execution, its item, and the next step."""
    style = STYLES.get(found.outcome, "")
    yield Labelled("", Text.assemble((visible(found.requested_id), "bold"), "  ", (found.outcome, style)), 0)
    if found.execution:
        yield from _inspected_execution(found.execution, style)
    if found.log_error and found.execution:
        yield Labelled("Log", Text(visible(found.log_error)), INDENT)
    elif found.log_error and found.payment:
        name = name_of_execution(found.payment["Execution"])
        yield Labelled("Execution", f"{name}  in the fast lane; {visible(found.log_error)}", INDENT)
    if found.payment:
        yield Text("\nIn the ledger", style="bold")
        yield payment(found.payment)
        yield from life(found.entries, found.totals, found.unreadable, found.payment["Currency"])
    if found.read_error:
        yield ""
        yield Labelled("", Text(f"The ledger could not be read: {visible(found.read_error)}", style="red"), 0)
    if found.other_executions:
        yield Text("\nOther executions", style="bold")
        for other in found.shown_executions:
            line = Text.assemble(other.name, "  ", (glued(format_time(other.started_at)), "dim"))
            if other.entry:
                line.append(f"\n{visible(described_entry(other.entry))}")
            if other.reason:
                line.append(f"\n{visible(other.reason)}", STYLES.get(other.outcome, ""))
            yield Labelled(Text(other.outcome, STYLES.get(other.outcome, "")), line, INDENT)
    yield ""
    yield Labelled("Next", Text(visible(found.next_step), style="bold"), INDENT)


def _inspected_execution(shown: Execution, style: str) -> Iterable[RenderableType]:
    when = glued(f"{format_time(shown.started_at)}, {format_duration(shown)}")
    lane = "in the fast lane  " if is_fast(shown.arn) else ""
    yield Labelled("Execution", f"{shown.name}  {shown.status}  {lane}{when}", INDENT)
    yield ""
    yield from (Labelled(state[:1], state[2:], 2) for state in states(shown))
    if shown.reason or shown.published:
        yield ""
    if shown.reason:
        yield Labelled(Text("Why", style), Text(visible(shown.reason), style), INDENT)
    if shown.published:
        yield Labelled("Published", f"{shown.published[0]}, OutcomeID {shown.published[1]}", INDENT)


def states(shown: Execution) -> Iterable[Text]:
    """Show the workflow's path with the result of each state, and the branch that was taken beside its state."""
    drawn = graph.of_execution(shown)
    runs = {run.name: run for run in shown.states}
    width = max(map(len, drawn.path))
    for name in drawn.path:
        run = runs.get(name)
        line = _state(name, run, width)
        for branch in drawn.branches[name]:
            if run is not None and run.result == "caught" and run.errors[-1:] == [branch.error]:
                line.append(f"  {branch.error}", STYLES["caught"])
                for step in branch.states:
                    line.append(f" {glued('─▶ ')}")
                    line.append_text(_state(step, runs.get(step), 0))
        yield line


def _state(name: str, run: StateRun | None, width: int) -> Text:
    result = "not reached" if run is None else run.result
    line = Text(glued(f"{graph.MARKS[result]} {name:<{width}}"), style=STYLES[result])
    if run is not None:
        line.append(glued(f" {run.milliseconds:>6,.0f} ms" if width else f" {run.milliseconds:,.0f} ms"), "dim")
        if run.attempts > 1:
            line.append(f"  {run.attempts} attempts: {', '.join(dict.fromkeys(run.errors))}", "yellow")
    return line
