"""`ledger start`: payments, whose tokens are sealed, and entries, started on a deployed stack."""

import click

from ledger.strict_json import loads
from ledger_cli.commands.options import json_option, rate_option, stack_command
from ledger_cli.reading import StartInput, read
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.deliveries import DeliveryResult, deliver
from ledger_cli.stack.many import WORKERS, Pace, in_order
from ledger_cli.views import records, text
from ledger_cli.views.terminal import display, progress, say_json


@stack_command("0 all are recorded, or still run; 1 one is not, 2 the command stopped: its line says at which one")
@click.argument("files", nargs=-1, required=True, metavar="FILE…|-")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until each execution has ended.")
@rate_option(100, "Start at most this number a second. All starts of the account share its quota.")
@click.option("--again", is_flag=True, help="Start an execution under a new name, even if there is one already.")
@json_option
def start(stack: Stack, *, files: tuple[str, ...], wait: bool, rate: int, again: bool, as_json: bool) -> int:
    """Start payments, and entries (refunds, captures, disputes), on a deployed stack.

    Several are started at once, but what is about one payment is started in its order. If the command stops, give it
    again: it goes on where it stopped.

    Tokens are sealed before they leave this machine. Each execution has a name that is made from its payment or entry.
    If you start one again, you get the outcome of the execution that it has, and nothing runs twice. If that execution
    recorded nothing, it is attempted again, up to nine times. With --again it runs even after that; the ledger records
    it once, however often it runs.

    \b
    Examples:
      ledger start payment.json refund.json --stack payment-ledger-dev --profile sandbox
      ledger start --json - < payments.jsonl
      ledger start --no-wait --rate 200 payments.jsonl
      ledger start events/start/01-success.json --endpoint-url http://127.0.0.1:4510
    """
    inputs = [start_input for file in files for start_input in read(file)]
    failed = handled = 0
    pace = Pace(rate)

    def start_one(numbered: tuple[int, StartInput]) -> DeliveryResult:
        number, start_input = numbered
        pace.wait()
        return deliver(stack, start_input, number, wait=wait, again=again)

    results = in_order(start_one, enumerate(inputs, 1), stack.stopping, key=lambda numbered: _payment_of(numbered[1]))
    with report_if_stopped(lambda: _where_stopped(handled, inputs, again=again)), progress("Starting") as track:
        for result in track.over(results, total=len(inputs)):
            handled += 1
            failed += result.is_failure
            if as_json:
                say_json(records.delivery(result))
            else:
                display(text.delivery(result), console=track.console)
    return 1 if failed else 0


def _payment_of(start_input: StartInput) -> str | None:
    """Return the TransactionID of an input, whose inputs are started one after another; None if it has none."""
    content = loads(start_input.text)
    transaction_id = content.get("TransactionID") if isinstance(content, dict) else None
    return transaction_id if isinstance(transaction_id, str) else None


def _where_stopped(handled: int, inputs: list[StartInput], *, again: bool) -> str:
    """Say at which input the command stopped. That one may have been started, since a reply can be lost."""
    number = min(handled + 1, len(inputs))
    last = min(handled + WORKERS, len(inputs))
    which = f"input {number}" if number == last else f"inputs {number} to {last}"
    repeated = "the ledger recognises what it has" if again else "what is started does not start twice"
    return (
        f"stopped at input {number} of {len(inputs)} ({inputs[number - 1].file}): {number - 1} were handled before "
        f"it, {which} may be started, and none after that. Give the same command again: {repeated}"
    )
