"""`ledger get`, `list`, `reveal`, `unpublished` and `republish`: the ledger as its functions tell of it."""

import csv
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from ledger_cli.stack.client import FunctionError, Stack, StackError
from ledger_cli.views.terminal import (
    Column,
    Entries,
    Entry,
    Rows,
    display,
    moment,
    money,
    note,
    progress,
    say,
    say_json,
    visible,
)

PAGE = 100
COLUMNS = ("TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp", "RecordedAt", "PublishedAt")

RULES = {
    "cursor": "that is no cursor of this command's: begin without one",
    "of_another_query": "that cursor belongs to another query: give the same options as for the page before it",
    "identifier": "is 1 to 64 of A-Z a-z 0-9 _ -",
    "not_before_to": "is not before --to",
    "timestamp": "is a date and time with an offset, such as 2026-11-24T00:00:00Z",
}
"""What a query's rule means to whoever typed it."""

TYPED = {"ProcessorID": "--processor", "TransactionID": "a TransactionID"}
"""What a query's field is on the command line, if it is not the option of that name."""


def ask(stack: Stack, query: dict[str, Any]) -> Any:
    """What the query function answers.

    Raises:
        StackError: the query breaks a rule, or AWS refuses.
    """
    try:
        return stack.invoke("QueryFunction", query)
    except FunctionError as error:
        if error.name == "UnreadableItemError":
            raise StackError(not_readable(json.loads(error.message))) from None
        if error.name != "InvalidQueryError":
            raise StackError(f"query_payment_ledger failed: {error}") from None
        broken = json.loads(error.message)["Violations"]
        fields = [TYPED.get(one["Field"], f"--{one['Field'].lower()}") for one in broken]
        lines = [f"{field} {RULES.get(one['Rule'], one['Rule'])}" for field, one in zip(fields, broken, strict=True)]
        raise StackError("; ".join(lines)) from None


def get(stack: Stack, transaction_id: str, *, as_json: bool) -> int:
    """Print one payment; returns the exit status."""
    payment = ask(stack, {"TransactionID": transaction_id})["Payment"]
    if payment is None:
        note(f"no payment under {transaction_id}; see what came of it: {stack.command('inspect', transaction_id)}")
        return 1
    if as_json:
        say_json(payment)
    else:
        display(details(payment))
    return 0


def details(payment: dict[str, Any]) -> Entries:
    """One payment, a line for each of its attributes."""
    values: dict[str, Text | str] = {}
    for name, value in payment.items():
        if name == "Metadata":
            value = ", ".join(f"{key}={text}" for key, text in value.items())  # noqa: PLW2901
        shown = "not yet" if name == "PublishedAt" and value is None else value or "-"
        values[name] = visible(shown)
    return Entries(values)


def listed(stack: Stack, query: dict[str, Any], *, most: int | None, cursor: str | None) -> Iterator[Any]:
    """Payments page by page, at most so many, and items that cannot be read; last, a cursor if there are more."""
    told = 0
    while True:
        limit = PAGE if most is None else min(PAGE, most - told)
        page = ask(stack, {**query, "Limit": limit, "Cursor": cursor})
        yield from page["Payments"]
        yield from page["Unreadable"]
        told, cursor = told + len(page["Payments"]), page["Cursor"]
        if cursor is None:
            return
        if told == most:
            yield cursor
            return


def show(stack: Stack, query: dict[str, Any], *, most: int | None, cursor: str | None, form: str) -> int:
    """Print payments as a table, as lines of JSON, or as CSV; returns the exit status."""
    payments, unreadable, rest = [], [], None
    writer = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore")
    if form == "csv":
        writer.writeheader()
    with progress("Reading payments") as track:
        for found in track.over(listed(stack, query, most=most, cursor=cursor), total=most):
            if isinstance(found, str):
                rest = found
            elif "Attribute" in found:
                unreadable.append(found)
            elif form == "json":
                say_json(found)
            elif form == "csv":
                writer.writerow({name: value and visible(value) for name, value in found.items()})
            else:
                payments.append(found)
    if form == "json":
        for line in [*({"Unreadable": one} for one in unreadable), *([{"Cursor": rest}] if rest else [])]:
            say_json(line)
    if form == "table":
        display(rows_of(payments, of_one_processor="ProcessorID" in query))
    if rest and form != "json":
        say("There are more: --limit with a larger number, or --all.", err=True)
    for one in unreadable:
        note(not_readable(one))
    return 1 if unreadable else 0


def not_readable(found: dict[str, str]) -> str:
    """One line about an item that the query function cannot read."""
    return (
        f"{found['TransactionID']}: its attribute {found['Attribute']} is not what the ledger has written; "
        "see docs/operate/runbook.md#held-back"
    )


def rows_of(payments: list[dict[str, Any]], *, of_one_processor: bool) -> Rows:
    """Payments for people, on a narrow terminal without what the command has said already."""
    columns = (
        Column("TransactionID"),
        Column("Amount", right=True),
        Column("Status", drop=1),
        Column("Happened" if of_one_processor else "Recorded", drop=2),
        Column("Told" if of_one_processor else "Processor", drop=3),
    )
    rows = []
    for payment in payments:
        told = "yes" if payment["PublishedAt"] else "not yet"
        rows.append(
            (
                payment["TransactionID"],
                money(payment),
                Text(payment["Status"], style="red" if payment["Status"] == "Failure" else ""),
                moment(payment["Timestamp" if of_one_processor else "RecordedAt"]),
                told if of_one_processor else payment["ProcessorID"],
            )
        )
    return Rows(columns, rows)


def reveal(stack: Stack, transaction_id: str, reason: str, *, as_json: bool) -> int:
    """Print the token of one payment; returns the exit status."""
    requester = stack.client("sts").get_caller_identity()["Arn"]
    try:
        revealed = stack.invoke(
            "RevealFunction", {"TransactionID": transaction_id, "Reason": reason, "Requester": requester}
        )
    except FunctionError as error:
        if error.name == "UnreadableItemError":
            raise StackError(not_readable(json.loads(error.message))) from None
        if error.name not in {"PaymentNotFoundError", "InvalidRevealError"}:
            raise StackError(f"reveal_secure_token failed: {error}") from None
        note(error.message)
        return 1 if error.name == "PaymentNotFoundError" else 2
    if as_json:
        say_json(revealed)
    elif "SecureToken" in revealed:
        if sys.stdout.isatty():
            say(revealed["SecureToken"])
        else:  # a program reads it, as it is
            click.echo(revealed["SecureToken"].encode())  # noqa: TID251
    else:
        note("the token is no text; this is base64 of it")
        say(revealed["SecureTokenBase64"])
    return 0


def republish(stack: Stack, *, dry_run: bool, as_json: bool) -> int:
    """Let the sweep publish what is overdue, or say what it would; returns the exit status."""
    if dry_run:
        minutes = int(stack.parameters["RepublishAfterMinutes"])
        now = datetime.now(UTC)
        found = list(listed(stack, {"Unpublished": True}, most=None, cursor=None))
        waiting = [one for one in found if "Attribute" not in one]
        held_back = [one for one in found if "Attribute" in one]
        overdue = [one for one in waiting if (now - _read(one["RecordedAt"])).total_seconds() > minutes * 60]
        told: dict[str, Any] = {"Unpublished": len(waiting), "Overdue": len(overdue), "OverdueAfterMinutes": minutes}
        line = f"{len(overdue)} of {len(waiting)} unpublished are overdue ({minutes} minutes) and would be published"
    else:
        try:
            told = stack.invoke("RepublishFunction", {"ScheduledTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
        except FunctionError as error:
            raise StackError(f"republish_outcomes failed: {error}; see docs/operate/runbook.md#unpublished") from None
        done = "" if told["Done"] else "; its time was not enough for all: call it again"
        if told["Published"] != told["Found"]:
            done += "; the log says why: see docs/operate/runbook.md#unpublished"
        line = f"{told['Published']} of {told['Found']} overdue payments published{done}"
    if as_json:
        say_json(told)
    else:
        display(Entry("", line, 0))
    if dry_run:
        for one in held_back:
            note(not_readable(one))
        return 1 if held_back else 0
    return 0 if told["Done"] and told["Published"] == told["Found"] else 1


def _read(timestamp: str) -> datetime:
    return datetime.fromisoformat(timestamp)
