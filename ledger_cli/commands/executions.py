"""`ledger executions`, `inspect` and `redrive`: executions of both workflows, and what to do about them."""

from pathlib import Path

import click

from ledger.outcome import outcome_of
from ledger_cli.commands.options import NAME, json_option, stack_command, write_text
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.inspection import inspect as inspect_payment
from ledger_cli.stack.inspection import list_executions, read_execution, redrive_candidates
from ledger_cli.views import records, text
from ledger_cli.views.page import page
from ledger_cli.views.terminal import display, note, progress, say, say_json


@stack_command("0 the executions are listed, 2 they cannot be read, or not all of them")
@click.option(
    "--status",
    type=click.Choice(["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]),
    help="List only executions with this status.",
)
@click.option(
    "--limit", default=25, show_default=True, type=click.IntRange(1, 10_000), help="List at most this number."
)
@json_option
def executions(stack: Stack, *, status: str | None, limit: int, as_json: bool) -> int:
    """List the executions of both workflows, the newest first, with the outcome of each.

    \b
    Examples:
      ledger executions
      ledger executions --status FAILED --limit 100
    """
    with progress("Reading executions") as track:
        listed = list(list_executions(stack, status=status, limit=limit))
        for summary in track.over(listed, total=len(listed)):
            execution = read_execution(stack, summary.arn)
            if as_json:
                say_json(records.execution(execution))
            else:
                display(text.execution(execution), console=track.console)
    return 0


@stack_command("0 the payment is shown, 1 nothing has this ID, 2 it cannot be read")
@click.argument("requested_id", metavar="ID", type=NAME)
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to FILE instead. It needs no other file.",
)
@json_option
def inspect(stack: Stack, *, requested_id: str, html_file: Path | None, as_json: bool) -> int:
    """Show a payment's outcome, its states, its record in the ledger, its entries, and what to do next.

    It shows why a payment was rejected, and which of its entries were refused and why. ID is a TransactionID, or the
    name or ARN of an execution, of a payment or of an entry. No token is shown.

    \b
    Examples:
      ledger inspect txn-2026-0001
      ledger inspect txn-2026-0001 --html payment.html
    """
    found = inspect_payment(stack, requested_id)
    if html_file:
        write_text(html_file, page(found))
        say(f"{html_file}: {found.outcome}")
    elif as_json:
        say_json(records.inspection(found))
    else:
        display(*text.inspection(found))
    if found.outcome != "UNKNOWN":
        return 0
    return 2 if found.read_error else 1


@stack_command(
    "0 all are redriven (with --all, also if there are none), 1 ID has nothing to redrive, "
    "or an execution cannot be redriven, 2 the command stopped: its line says after how many executions"
)
@click.argument("requested_id", metavar="ID", type=NAME, required=False)
@click.option("--all", "everything", is_flag=True, help="Redrive all that had a technical failure, not one payment's.")
@click.option("--dry-run", is_flag=True, help="Show what would be redriven, and redrive nothing.")
@json_option
def redrive(stack: Stack, *, requested_id: str | None, everything: bool, dry_run: bool, as_json: bool) -> int:
    """Continue executions that had a technical failure, from the state that failed.

    Fix the cause first. Step Functions can redrive an execution for 14 days. It does not repeat the states that
    succeeded.

    \b
    Examples:
      ledger redrive txn-2026-0001
      ledger redrive --all --dry-run
    """
    if (requested_id is None) is not everything:
        raise click.UsageError("name an ID, or say --all")
    redriven = failed = 0

    def describe_progress() -> str:
        done = "would be redriven" if dry_run else "redriven"
        return (
            f"before it stopped, {redriven} were {done}. "
            "Give the same command again: an execution that runs is not redriven"
        )

    with report_if_stopped(describe_progress), progress("Looking at executions") as track:
        for arn in track.over(redrive_candidates(stack, requested_id)):
            if outcome_of(stack.client("stepfunctions").describe_execution(executionArn=arn)):
                continue
            execution = read_execution(stack, arn)
            if not execution.had_technical_failure:
                continue
            not_redrivable = execution.not_redrivable
            if not dry_run and not_redrivable is None:
                not_redrivable = _redrive(stack, arn)
            if not_redrivable is None:
                redriven += 1
            else:
                failed += 1
            if as_json:
                say_json(records.redrive(execution, not_redrivable, dry_run=dry_run))
            else:
                display(text.redrive(execution, not_redrivable, dry_run=dry_run), console=track.console)
    if redriven + failed == 0:
        whose = f" of {requested_id}" if requested_id else ""
        note(f"no execution{whose} had a technical failure: nothing to redrive")
    return 1 if failed or (requested_id and not redriven) else 0


def _redrive(stack: Stack, arn: str) -> str | None:
    """Redrive one execution, or return why Step Functions cannot."""
    states = stack.client("stepfunctions")
    try:
        states.redrive_execution(executionArn=arn)
    except states.exceptions.ExecutionNotRedrivable as error:
        message: str = error.response["Error"]["Message"]
        return message
    return None
