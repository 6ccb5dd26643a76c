"""`ledger import`: history from elsewhere, checked whole before anything starts."""

from collections import Counter, deque
from pathlib import Path

import click

from ledger.fields import PUBLISHED, QUIET
from ledger_cli.books.history import Summary, check, histories
from ledger_cli.commands.options import FILE, json_option, rate_option, stack_command
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.importing import Imported, import_histories
from ledger_cli.views.terminal import note, progress, say, say_json

OUTCOMES = {
    "RECORDED": "imported",
    "DUPLICATE": "in the ledger before",
    "CONFLICT": "in conflict",
    "REJECTED": "rejected",
    "REFUSED": "refused",
    "FAILED": "failed",
    "RUNNING": "still running",
    "SKIPPED": "skipped",
}
"""What can come of an imported record, and the words for people."""


@stack_command("0 all is imported, 1 some of it is not, 2 nothing was started, or the command stopped", name="import")
@click.argument("file", metavar="FILE", type=FILE)
@click.option("--publish", is_flag=True, help="Publish each record as PaymentImported or EntryImported.")
@rate_option(
    50, "Start at most this number of executions a second. Payments of today share the account's quota with them."
)
@click.option("--dry-run", is_flag=True, help="Check the file, and import nothing.")
@json_option
def import_(stack: Stack, *, file: Path, publish: bool, rate: int, dry_run: bool, as_json: bool) -> int:
    """Import history from elsewhere: payments with their entries, from an export or from lines of JSON.

    The whole file is checked before anything starts. Consumers learn nothing of what is imported, unless you give
    --publish. If the command stops, give it again: what the ledger has is not imported again.

    \b
    Examples:
      ledger import history.jsonl --dry-run
      ledger import history.jsonl --rate 20
    """
    with progress("Checking") as track:
        checked = track.over(check(file, default_currency=stack.parameters["DefaultCurrency"]))
        summary = deque(checked, maxlen=1).pop()
    if summary.accepted:
        note(f"{summary.accepted:,} entries break rules about the totals, so that the ledger refuses them")
    counts: Counter[str] = Counter()
    failed = 0

    def where() -> str:
        return f"{counts.total():,} of {summary.records:,} records were handled: give the same command again"

    if not dry_run:
        results = import_histories(stack, histories(file), mode=PUBLISHED if publish else QUIET, per_second=rate)
        with report_if_stopped(where), progress("Importing") as track:
            for one in track.over((one for history in results for one in history), total=summary.records):
                counts[one.outcome] += 1
                if not one.is_recorded:
                    failed += 1
                    _print_not_imported(one, as_json=as_json)
    if as_json:
        say_json({"summary": {**summary._asdict(), **{name.lower(): counts[name] for name in OUTCOMES}}})
    else:
        say(f"{file}: {summary.payments:,} payments and {summary.entries:,} entries, {_described(counts, summary)}")
    return 1 if failed else 0


def _described(counts: Counter[str], summary: Summary) -> str:
    """Return what came of the records, or that nothing was imported."""
    if not counts:
        return f"all keep the contract, {summary.without_token:,} without a token; nothing was imported"
    return ", ".join(f"{counts[name]:,} {word}" for name, word in OUTCOMES.items() if counts[name])


def _print_not_imported(one: Imported, *, as_json: bool) -> None:
    ids = {"transaction_id": one.step.start_input["TransactionID"], "entry_id": one.step.start_input.get("EntryID")}
    if as_json:
        say_json({"line": one.step.line, **ids, "outcome": one.outcome, "reason": one.reason})
    else:
        named = " ".join(filter(None, ids.values()))
        say(f"{one.outcome:<10} line {one.step.line}, {named}: {one.reason}")
