"""`ledger accept` and `retry`: what an operator decides about an entry that the ledger refused."""

import click

from ledger_cli.commands.options import NAME, json_option, stack_command
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.deliveries import deliver
from ledger_cli.stack.refusals import NothingRefusedError, RefusedEntry, find_refused
from ledger_cli.stack.refusals import accept as accept_entry
from ledger_cli.views import records, text
from ledger_cli.views.terminal import display, note, say_json

id_argument = click.argument("requested_id", metavar="ID", type=NAME)


@stack_command("0 the entry is recorded, 1 nothing is refused under ID, 2 it cannot be recorded")
@id_argument
@click.option(
    "--reason", required=True, help="The reason. It is recorded with the entry, and logged with your identity."
)
@json_option
def accept(stack: Stack, *, requested_id: str, reason: str, as_json: bool) -> int:
    """Have a refused entry recorded, although it breaks rules about its payment and the totals.

    ID is a TransactionID, or the name or ARN of the execution that refused the entry. The totals say from then on that
    they contain an accepted entry. The stack has this function only if its parameter AcceptEntries allows it, and each
    use raises an alarm.

    \b
    Examples:
      ledger accept txn-2026-0001 --reason "the bank confirmed both refunds, ticket 4711"
    """
    refused = _find(stack, requested_id)
    if refused is None:
        return 1
    requester = stack.client("sts").get_caller_identity()["Arn"]
    reply = accept_entry(stack, refused, reason, requester)
    with report_if_stopped(lambda: f"the entry of {requested_id} is recorded"):
        if as_json:
            say_json({"outcome": reply["Outcome"], "entry": records.entry(reply["Entry"])})
        else:
            display(text.accepted(reply["Outcome"], reply["Entry"]))
    return 0


@stack_command("0 the entry is recorded, or still runs; 1 it is refused again, or nothing is refused under ID")
@id_argument
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the execution has ended.")
@json_option
def retry(stack: Stack, *, requested_id: str, wait: bool, as_json: bool) -> int:
    """Deliver a refused entry again, as it was sent, once the cause of the refusal is gone.

    ID is a TransactionID, or the name or ARN of the execution that refused the entry.

    \b
    Examples:
      ledger retry txn-2026-0001
    """
    refused = _find(stack, requested_id)
    if refused is None:
        return 1
    with report_if_stopped(lambda: f"the entry of {requested_id} may be started; `ledger inspect` shows it"):
        result = deliver(stack, refused.start_input, 1, wait=wait, again=True)
        if as_json:
            say_json(records.delivery(result))
        else:
            display(text.delivery(result))
    return 1 if result.is_failure else 0


def _find(stack: Stack, requested_id: str) -> RefusedEntry | None:
    try:
        return find_refused(stack, requested_id)
    except NothingRefusedError as nothing:
        note(str(nothing))
        return None
