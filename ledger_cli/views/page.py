"""An inspection as one page that needs no network, no script and no other file."""

import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from ledger.fast_lane import is_fast
from ledger_cli.stack.execution import Event, Execution
from ledger_cli.stack.inspection import ExecutionSummary, Inspection
from ledger_cli.stack.queries import describe_unreadable
from ledger_cli.views import graph
from ledger_cli.views.terminal import visible
from ledger_cli.views.text import (
    acceptance,
    entry_kind,
    format_amount,
    format_time,
    payment_attributes,
    totals_attributes,
)

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --soft: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --succeeded: #1a7f37; --on-succeeded: #dafbe1; --caught: #9a6700; --on-caught: #fff8c5; --failed: #cf222e;
  --on-failed: #ffebe9; --running: #0969da; --on-running: #ddf4ff }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1;
  --line: #30363d; --panel: #161b22; --succeeded: #3fb950; --on-succeeded: #12261e; --caught: #d29922;
  --on-caught: #272115; --failed: #f85149; --on-failed: #25171c; --running: #4493f8; --on-running: #121d2f } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.05rem; margin: 2.25rem 0 .5rem }
p { margin: .35rem 0 } .soft { color: var(--soft) }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
.outcome { display: inline-block; margin: .6rem 0; padding: .15rem .7rem; border: 1.5px solid; border-radius: 1rem;
  font-weight: 600 }
.RECORDED, .DUPLICATE { color: var(--succeeded); background: var(--on-succeeded) }
.REJECTED, .REFUSED, .CONFLICT { color: var(--caught); background: var(--on-caught) }
.FAILED, .TIMED_OUT, .ABORTED { color: var(--failed); background: var(--on-failed) }
.RUNNING { color: var(--running); background: var(--on-running) } .UNKNOWN { color: var(--soft) }
.next { border-left: 4px solid var(--running); background: var(--panel); padding: .6rem .9rem; margin: 1rem 0 }
.why { border-left: 4px solid var(--failed); background: var(--panel); padding: .6rem .9rem; margin: 1rem 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600; white-space: nowrap } .number { text-align: right; white-space: nowrap }
.facts th { width: 1% } .facts td { overflow-wrap: anywhere } tr.error td { color: var(--failed) }
.end { margin-top: 2rem }
.whole code { white-space: nowrap; overflow-wrap: normal }
svg { display: block; max-width: 100%; height: auto; margin: .5rem auto }
svg text { fill: var(--ink); font: 14px system-ui, sans-serif; text-anchor: middle }
svg text.error { fill: var(--soft); font-size: 11px }
.box { fill: var(--panel); stroke: var(--line); stroke-width: 1.5 }
.box.not-reached { stroke-dasharray: 5 4 }
.box.succeeded { fill: var(--on-succeeded); stroke: var(--succeeded) }
.box.caught { fill: var(--on-caught); stroke: var(--caught) }
.box.failed { fill: var(--on-failed); stroke: var(--failed); stroke-width: 2.5 }
.box.running { fill: var(--on-running); stroke: var(--running) }
.edge { stroke: var(--line); fill: none; stroke-width: 1.5; stroke-dasharray: 5 4 }
.edge.taken { stroke: var(--ink); stroke-dasharray: none } .head { fill: var(--soft) }
@media print { body { padding: 0; max-width: none } .scroll { overflow: visible } tr, svg { break-inside: avoid } }
"""


def page(found: Inspection, now: datetime | None = None) -> str:
    """Return the page of one inspection. It holds no token, and no input or output of a state."""
    parts = [*_head(found), *_graph(found.execution), *_ledger(found), *_others(found.shown_executions)]
    if found.execution:
        parts += _events(found.execution.events)
    made = format_time(now or datetime.now(UTC))
    parts.append(
        f'<p class="soft">Made {made} by <code>ledger inspect</code>. ✓ succeeded, ! refused or conflict, ✗ failed, '
        "… running,\n· not reached. Times are in UTC.</p>"
    )
    return document(f"{found.requested_id}: {found.outcome}", "\n".join(parts))


def document(title: str, body: str) -> str:
    """Return a whole page with the body, in which all text of others is escaped already."""
    # The policy holds even if the text of a sender were not escaped.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def escaped(value: object) -> str:
    """Return a value as text of a page, with each control character spelled out."""
    return html.escape(visible(value))


def _head(found: Inspection) -> Iterable[str]:
    yield f"<h1>{escaped(found.requested_id)}</h1>"
    yield f'<span class="outcome {found.outcome}">{found.outcome}</span>'
    execution = found.execution
    if execution:
        ended = "" if execution.ended_at is None else f", ended {format_time(execution.ended_at)}"
        ended += ", in the fast lane" if is_fast(execution.arn) else ""
        yield (
            f'<p class="soft">Execution <code>{escaped(execution.name)}</code>, {escaped(execution.status)}, started '
            f"{format_time(execution.started_at)}{ended}</p>"
        )
        if execution.reason:
            yield f'<p class="why"><strong>Why:</strong> {escaped(execution.reason)}</p>'
    if found.log_error:
        yield f'<p class="soft">Its execution ran in the fast lane; {escaped(found.log_error)}</p>'
    yield f'<p class="next"><strong>Next:</strong> {escaped(found.next_step)}</p>'


def _graph(execution: Execution | None) -> Iterable[str]:
    if execution is None:
        return
    yield '<h2>States</h2><div class="scroll">'
    yield graph.svg(graph.of_execution(execution), execution)
    yield "</div>"
    if execution.published:
        kind, outcome_id = execution.published
        yield f"<p>Published: <code>{kind}</code>, OutcomeID <code>{escaped(outcome_id)}</code></p>"


def _ledger(found: Inspection) -> Iterable[str]:
    if found.payment is None:
        return
    yield from _facts("In the ledger", payment_attributes(found.payment))
    currency = found.payment["Currency"]
    if found.entries:
        yield '<h2>Entries</h2><div class="scroll"><table id="entries">'
        yield (
            '<tr><th class="number">#</th><th>Kind</th><th class="number">Amount</th>'
            '<th class="number">Refundable after it</th><th>Time</th><th>EntryID</th></tr>'
        )
        for one in found.entries:
            left = f"{one['Totals']['Refundable']} {currency}"
            yield (
                f'<tr><td class="number">{one["Entry"]}</td><td>{escaped(entry_kind(one))}</td>'
                f'<td class="number">{escaped(format_amount(one))}</td><td class="number">{escaped(left)}</td>'
                f"<td>{format_time(one['Timestamp'])}</td><td><code>{escaped(one['EntryID'])}</code></td></tr>"
            )
        yield "</table></div>"
    for one in found.entries:
        if "Acceptance" in one:
            yield f"<p>{escaped(acceptance(one))}</p>"
    for damaged in found.unreadable:
        yield f'<p class="why">{escaped(describe_unreadable(damaged))}</p>'
    if found.totals is not None:
        yield from _facts("Totals", totals_attributes(found.totals, currency))


def _facts(title: str, values: Mapping[str, str]) -> Iterable[str]:
    yield f'<h2>{title}</h2><table class="facts">'
    for name, value in values.items():
        yield f"<tr><th>{name}</th><td>{escaped(value)}</td></tr>"
    yield "</table>"


def _others(others: Iterable[ExecutionSummary]) -> Iterable[str]:
    rows = [
        f"<tr><td><code>{escaped(one.name)}</code></td><td>{escaped(one.outcome)}</td>"
        f"<td>{escaped(one.reason or '')}</td><td>{format_time(one.started_at)}</td></tr>"
        for one in others
    ]
    if rows:
        yield '<h2>Other executions</h2><div class="scroll"><table>'
        yield "<tr><th>Execution</th><th>Outcome</th><th>Why</th><th>Started</th></tr>"
        yield from rows
        yield "</table></div>"


def _events(events: Iterable[Event]) -> Iterable[str]:
    yield '<h2>Events</h2><div class="scroll"><table id="events">'
    yield "<tr><th>#</th><th>Time</th><th>Event</th><th>State</th><th>Error</th></tr>"
    for event in events:
        css = ' class="error"' if event.error else ""
        yield (
            f'<tr{css}><td class="number">{event.number}</td><td>{_clock_time(event.at)}</td>'
            f"<td>{escaped(event.type)}</td><td>{escaped(event.state)}</td><td>{escaped(event.error or '')}</td></tr>"
        )
    yield "</table></div>"


def _clock_time(at: datetime) -> str:
    return at.astimezone(UTC).time().isoformat("milliseconds")
