"""`ledger get`, `list`, `entries`, `reveal`, `unpublished` and `republish`: what the ledger has."""

import csv
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from ledger.entry import KINDS
from ledger_cli.commands.options import NAME, all_option, json_option, limit_option, stack_command, transaction_argument
from ledger_cli.stack.client import FunctionError, Stack, StackError
from ledger_cli.stack.queries import describe_unreadable, is_unreadable, query_ledger, read_pages, require_readable
from ledger_cli.views import records, text
from ledger_cli.views.layout import Labelled
from ledger_cli.views.terminal import display, note, progress, say, say_as_it_is, say_json, visible

CSV_COLUMNS = (
    "TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp", "RecordedAt", "PublishedAt", "Import",
)  # fmt: skip
ENTRY_CSV_COLUMNS = (
    "TransactionID", "Entry", "EntryID", "Kind", "Amount", "Currency", "ProcessorID", "Timestamp", "Reverses",
    "RecordedAt", "PublishedAt", "Import",
)  # fmt: skip


@stack_command("0 the payment is shown, 1 there is no such payment, 2 it, or one of its entries, cannot be read")
@transaction_argument
@json_option
def get(stack: Stack, *, transaction_id: str, as_json: bool) -> int:
    """Show one recorded payment without its token, its entries, its totals, and what could still be refunded.

    \b
    Examples:
      ledger get txn-2026-0001
      ledger get txn-2026-0001 --json --stack payment-ledger-dev
    """
    answer = query_ledger(stack, {"TransactionID": transaction_id})
    payment = answer["Payment"]
    if payment is None:
        return _report_no_payment(stack, transaction_id)
    life = answer["Entries"], answer["Totals"], answer["Unreadable"]
    if as_json:
        say_json({**records.payment(payment), **records.life(*life)})
    else:
        display(text.payment(payment), *text.life(*life, payment["Currency"]))
    return 2 if answer["Unreadable"] else 0


def _report_no_payment(stack: Stack, transaction_id: str) -> int:
    """Print what to do if the ledger has no such payment, and return the exit status."""
    note(f"no payment under {transaction_id}; look for its executions: {stack.command('inspect', transaction_id)}")
    return 1


Option = Callable[[Callable[..., int]], Callable[..., int]]
"""A decorator that adds an option to a command."""

LISTED = "0 all are listed, 1 some are damaged and are named instead, 2 the list cannot be read to its end"


def _list_options(things: str, only: Option) -> Option:
    """Return a decorator that adds the options of a list of a processor's *things*, and one that leaves out some."""
    options: tuple[Option, ...] = (
        click.option(
            "--processor",
            "processor_id",
            required=True,
            type=NAME,
            metavar="PROCESSOR",
            help=f"List this processor's {things}.",
        ),
        click.option(
            "--from", "first", metavar="TIME", help=f"List {things} from this time on, such as 2026-11-24T00:00:00Z."
        ),
        click.option("--to", "last", metavar="TIME", help=f"List {things} before this time."),
        only,
        limit_option,
        all_option,
        click.option("--cursor", help="Continue after a page, whose --json ends with this cursor if there are more."),
        click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values."),
        json_option,
    )

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@stack_command(LISTED, name="list")
@_list_options(
    "payments",
    click.option("--status", type=click.Choice(["Success", "Failure"]), help="List only payments with this status."),
)
def list_(stack: Stack, *, status: str | None, **asked: Any) -> int:
    """List a processor's payments, the newest first.

    \b
    Examples:
      ledger list --processor acme-pay
      ledger list --processor acme-pay --status Failure --from 2026-11-24T00:00:00Z
      ledger list --processor acme-pay --all --csv > payments.csv
    """
    return _list_of_a_processor(stack, {"Status": status}, **asked)


@stack_command(LISTED)
@_list_options("entries", click.option("--kind", type=click.Choice(KINDS), help="List only entries of this kind."))
def entries(stack: Stack, *, kind: str | None, **asked: Any) -> int:
    """List a processor's entries (captures, refunds, disputes) across its payments, the newest first.

    \b
    Examples:
      ledger entries --processor acme-pay
      ledger entries --processor acme-pay --kind Disputed --from 2026-11-24T00:00:00Z
      ledger entries --processor acme-pay --all --csv > entries.csv
    """
    return _list_of_a_processor(stack, {"Entries": True, "Kind": kind}, **asked)


def _list_of_a_processor(
    stack: Stack,
    fields: dict[str, Any],
    *,
    processor_id: str,
    first: str | None,
    last: str | None,
    limit: int,
    everything: bool,
    cursor: str | None,
    as_csv: bool,
    as_json: bool,
) -> int:
    """Print what a query with these *fields* and the options of `_list_options` finds; return the exit status."""
    query = {**fields, "ProcessorID": processor_id, "From": first, "To": last}
    form = "json" if as_json else "csv" if as_csv else "table"
    return _print_pages(stack, query, limit=None if everything else limit, cursor=cursor, form=form)


@stack_command(LISTED)
@click.option("--entries", "of_entries", is_flag=True, help="List entries instead of payments.")
@limit_option
@all_option
@json_option
def unpublished(stack: Stack, *, of_entries: bool, limit: int, everything: bool, as_json: bool) -> int:
    """List recorded payments, or entries, that are not published yet, the oldest first.

    \b
    Examples:
      ledger unpublished
      ledger unpublished --entries --all --json
    """
    form = "json" if as_json else "table"
    query = {"Unpublished": True, **({"Entries": True} if of_entries else {})}
    return _print_pages(stack, query, limit=None if everything else limit, cursor=None, form=form)


def _print_pages(stack: Stack, query: dict[str, Any], *, limit: int | None, cursor: str | None, form: str) -> int:
    """Print payments or entries as a table, as lines of JSON, or as CSV, and return the exit status."""
    of_entries = "Entries" in query
    listed, unreadable, next_cursor = [], [], None
    writer = csv.DictWriter(sys.stdout, ENTRY_CSV_COLUMNS if of_entries else CSV_COLUMNS, extrasaction="ignore")
    if form == "csv":
        writer.writeheader()
    with progress("Reading entries" if of_entries else "Reading payments") as track:
        for found in track.over(read_pages(stack, query, limit=limit, cursor=cursor), total=limit):
            if isinstance(found, str):
                next_cursor = found
            elif is_unreadable(found):
                unreadable.append(found)
            elif form == "table":
                listed.append(found)
            elif form == "json":
                say_json(records.entry(found) if of_entries else records.payment(found))
            else:
                writer.writerow({name: value and visible(value) for name, value in found.items()})
    if form == "json":
        rest = [{"unreadable": records.snake_case(item)} for item in unreadable]
        for record in [*rest, {"cursor": next_cursor}] if next_cursor else rest:
            say_json(record)
    elif next_cursor:
        say("There are more: --limit with a larger number, or --all.", err=True)
    if form == "table":
        of_one_processor = "ProcessorID" in query
        display(text.entries(listed) if of_entries else text.payments(listed, of_one_processor=of_one_processor))
    for item in unreadable:
        note(describe_unreadable(item))
    return 1 if unreadable else 0


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
        require_readable(error)
        if error.name == "PaymentNotFoundError":
            return _report_no_payment(stack, transaction_id)
        if error.name != "InvalidRequestError":
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
    "0 all that is overdue is published, or with --dry-run counted; 1 some is not, "
    "2 the sweep failed, or did not answer"
)
@click.option("--dry-run", is_flag=True, help="Show how many outcomes would be published, and publish none.")
@json_option
def republish(stack: Stack, *, dry_run: bool, as_json: bool) -> int:
    """Publish the outcomes of overdue payments and entries now, as the scheduled sweep does every five minutes.

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
    line = f"{sweep['Published']} of {sweep['Found']} overdue outcomes published"
    if not sweep["Done"]:
        line += "; its time was not enough for all: run this command again"
    if sweep["Published"] != sweep["Found"]:
        line += "; the log says why: see docs/operate/runbook.md#unpublished"
    if as_json:
        say_json(records.snake_case(sweep))
    else:
        display(Labelled("", line, 0))
    return 0 if sweep["Done"] and sweep["Published"] == sweep["Found"] else 1


def _count_overdue(stack: Stack, *, as_json: bool) -> int:
    minutes = int(stack.parameters["RepublishAfterMinutes"])
    now = datetime.now(UTC)
    queries: list[dict[str, Any]] = [{"Unpublished": True}, {"Unpublished": True, "Entries": True}]
    found = [one for query in queries for one in read_pages(stack, query, limit=None)]
    waiting = [one for one in found if not is_unreadable(one)]
    ages_s = [(now - datetime.fromisoformat(one["RecordedAt"])).total_seconds() for one in waiting]
    overdue = sum(age_s > minutes * 60 for age_s in ages_s)
    if as_json:
        say_json({"unpublished": len(waiting), "overdue": overdue, "overdue_after_minutes": minutes})
    else:
        line = f"{overdue} of {len(waiting)} unpublished are overdue ({minutes} minutes) and would be published"
        display(Labelled("", line, 0))
    held_back = list(filter(is_unreadable, found))
    for item in held_back:
        note(describe_unreadable(item))
    return 1 if held_back else 0
