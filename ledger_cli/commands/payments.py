"""`ledger get`, `list`, `reveal`, `unpublished` and `republish`: the payments in the ledger."""

import csv
import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from ledger_cli.commands.options import NAME, all_option, json_option, limit_option, stack_command, transaction_argument
from ledger_cli.stack.client import FunctionError, Stack, StackError
from ledger_cli.stack.queries import describe_unreadable, is_unreadable, list_payments, query_ledger
from ledger_cli.views import records, text
from ledger_cli.views.layout import Entry
from ledger_cli.views.terminal import display, note, progress, say, say_as_it_is, say_json, visible

CSV_COLUMNS = (
    "TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp", "RecordedAt", "PublishedAt",
)  # fmt: skip


@stack_command("0 the payment is shown, 1 there is no such payment, 2 it cannot be read")
@transaction_argument
@json_option
def get(stack: Stack, *, transaction_id: str, as_json: bool) -> int:
    """Show one recorded payment, without its token.

    \b
    Examples:
      ledger get txn-2026-0001
      ledger get txn-2026-0001 --json --stack payment-ledger-dev
    """
    payment = query_ledger(stack, {"TransactionID": transaction_id})["Payment"]
    if payment is None:
        return _report_no_payment(stack, transaction_id)
    if as_json:
        say_json(records.payment(payment))
    else:
        display(text.payment(payment))
    return 0


def _report_no_payment(stack: Stack, transaction_id: str) -> int:
    """Print what to do if the ledger has no such payment, and return the exit status."""
    note(f"no payment under {transaction_id}; look for its executions: {stack.command('inspect', transaction_id)}")
    return 1


LISTED = "0 all are listed, 1 some are damaged and are named instead, 2 the list cannot be read to its end"


@stack_command(LISTED, name="list")
@click.option(
    "--processor", "processor_id", required=True, type=NAME, metavar="PROCESSOR", help="List this processor's payments."
)
@click.option("--from", "first", metavar="TIME", help="List payments from this time on, such as 2026-11-24T00:00:00Z.")
@click.option("--to", "last", metavar="TIME", help="List payments before this time.")
@click.option("--status", type=click.Choice(["Success", "Failure"]), help="List only payments with this status.")
@limit_option
@all_option
@click.option("--cursor", help="Continue after a page, whose --json ends with this cursor if there are more.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@json_option
def list_(
    stack: Stack,
    *,
    processor_id: str,
    first: str | None,
    last: str | None,
    status: str | None,
    limit: int,
    everything: bool,
    cursor: str | None,
    as_csv: bool,
    as_json: bool,
) -> int:
    """List a processor's payments, the newest first.

    \b
    Examples:
      ledger list --processor acme-pay
      ledger list --processor acme-pay --status Failure --from 2026-11-24T00:00:00Z
      ledger list --processor acme-pay --all --csv > payments.csv
    """
    query = {"ProcessorID": processor_id, "From": first, "To": last, "Status": status}
    form = "json" if as_json else "csv" if as_csv else "table"
    return _print_payments(stack, query, limit=None if everything else limit, cursor=cursor, form=form)


@stack_command(LISTED)
@limit_option
@all_option
@json_option
def unpublished(stack: Stack, *, limit: int, everything: bool, as_json: bool) -> int:
    """List recorded payments that are not published yet, the oldest first.

    \b
    Examples:
      ledger unpublished
      ledger unpublished --all --json
    """
    form = "json" if as_json else "table"
    return _print_payments(stack, {"Unpublished": True}, limit=None if everything else limit, cursor=None, form=form)


def _print_payments(stack: Stack, query: dict[str, Any], *, limit: int | None, cursor: str | None, form: str) -> int:
    """Print payments as a table, as lines of JSON, or as CSV, and return the exit status."""
    payments, unreadable, next_cursor = [], [], None
    if form == "csv":
        _csv_writer().writeheader()
    with progress("Reading payments") as track:
        for found in track.over(list_payments(stack, query, limit=limit, cursor=cursor), total=limit):
            if isinstance(found, str):
                next_cursor = found
            elif is_unreadable(found):
                unreadable.append(found)
            elif form == "table":
                payments.append(found)
            elif form == "json":
                say_json(records.payment(found))
            else:
                _csv_writer().writerow({name: value and visible(value) for name, value in found.items()})
    if form == "json":
        rest = [{"unreadable": records.snake_case(item)} for item in unreadable]
        for record in [*rest, {"cursor": next_cursor}] if next_cursor else rest:
            say_json(record)
    elif next_cursor:
        say("There are more: --limit with a larger number, or --all.", err=True)
    if form == "table":
        display(text.payments(payments, of_one_processor="ProcessorID" in query))
    for item in unreadable:
        note(describe_unreadable(item))
    return 1 if unreadable else 0


def _csv_writer() -> "csv.DictWriter[str]":
    return csv.DictWriter(sys.stdout, CSV_COLUMNS, extrasaction="ignore")


@stack_command("0 the token is shown, 1 there is no such payment, 2 the token cannot be shown")
@transaction_argument
@click.option("--reason", required=True, help="The reason. It is logged, with your identity.")
@json_option
def reveal(stack: Stack, *, transaction_id: str, reason: str, as_json: bool) -> int:
    """Show the token of one payment, in plaintext.

    The stack has this function only if its parameter RevealTokens allows it, and each use raises an alarm.

    \b
    Examples:
      ledger reveal txn-2026-0001 --reason "refund, ticket 4711"
    """
    requester = stack.client("sts").get_caller_identity()["Arn"]
    request = {"TransactionID": transaction_id, "Reason": reason, "Requester": requester}
    try:
        revealed = stack.invoke("RevealFunction", request)
    except FunctionError as error:
        if error.name == "UnreadableItemError":
            raise StackError(describe_unreadable(json.loads(error.message))) from None
        if error.name == "PaymentNotFoundError":
            return _report_no_payment(stack, transaction_id)
        if error.name != "InvalidRevealError":
            raise StackError(f"reveal_secure_token failed: {error}") from None
        note(error.message)
        return 2
    if as_json:
        say_json(records.snake_case(revealed))
    elif "SecureTokenBase64" in revealed:
        note("the token is not text; this is base64 of it")
        say(revealed["SecureTokenBase64"])
    elif sys.stdout.isatty():
        say(revealed["SecureToken"])
    else:  # a program reads the exact bytes
        say_as_it_is(revealed["SecureToken"].encode())
    return 0


@stack_command(
    "0 all overdue payments are published, or with --dry-run listed; 1 some are not, "
    "2 the sweep failed, or did not answer"
)
@click.option("--dry-run", is_flag=True, help="Show how many payments would be published, and publish none.")
@json_option
def republish(stack: Stack, *, dry_run: bool, as_json: bool) -> int:
    """Publish the overdue payments now, as the scheduled sweep does every five minutes.

    \b
    Examples:
      ledger republish --dry-run
      ledger republish
    """
    return _count_overdue(stack, as_json=as_json) if dry_run else _run_sweep(stack, as_json=as_json)


def _run_sweep(stack: Stack, *, as_json: bool) -> int:
    try:
        sweep = stack.invoke("RepublishFunction", {"ScheduledTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    except FunctionError as error:
        raise StackError(f"republish_outcomes failed: {error}; see docs/operate/runbook.md#unpublished") from None
    line = f"{sweep['Published']} of {sweep['Found']} overdue payments published"
    if not sweep["Done"]:
        line += "; its time was not enough for all: run this command again"
    if sweep["Published"] != sweep["Found"]:
        line += "; the log says why: see docs/operate/runbook.md#unpublished"
    if as_json:
        say_json(records.snake_case(sweep))
    else:
        display(Entry("", line, 0))
    return 0 if sweep["Done"] and sweep["Published"] == sweep["Found"] else 1


def _count_overdue(stack: Stack, *, as_json: bool) -> int:
    minutes = int(stack.parameters["RepublishAfterMinutes"])
    now = datetime.now(UTC)
    found = list(list_payments(stack, {"Unpublished": True}, limit=None))
    waiting = [payment for payment in found if not is_unreadable(payment)]
    ages_s = [(now - datetime.fromisoformat(payment["RecordedAt"])).total_seconds() for payment in waiting]
    overdue = sum(age_s > minutes * 60 for age_s in ages_s)
    if as_json:
        say_json({"unpublished": len(waiting), "overdue": overdue, "overdue_after_minutes": minutes})
    else:
        line = f"{overdue} of {len(waiting)} unpublished are overdue ({minutes} minutes) and would be published"
        display(Entry("", line, 0))
    held_back = list(filter(is_unreadable, found))
    for item in held_back:
        note(describe_unreadable(item))
    return 1 if held_back else 0
