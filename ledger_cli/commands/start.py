"""`ledger start`: seal and start payments on a deployed stack, and say what became of them."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from ledger.intake import Delivery, TooManyAttemptsError
from ledger.item import UnreadableItemError
from ledger.outcome import outcome_of, reason
from ledger.strict_json import loads
from ledger.violations import InvalidPaymentError
from ledger_cli.commands.payments import not_readable
from ledger_cli.commands.run import STYLES
from ledger_cli.reading import StartInput
from ledger_cli.stack.client import Stack, StackError, stopping_says, why
from ledger_cli.views.terminal import Entry, display, progress, say_json, visible

WAIT_S = 300
"""For one execution to end: all retries of one state take less."""


def start_payments(stack: Stack, inputs: list[StartInput], *, wait: bool, again: bool, as_json: bool) -> int:
    """Deliver each payment, in order, and print; returns the command's exit status.

    Raises:
        CommandError: it was stopped, by AWS, by Ctrl-C or by what takes the output: the message says at which payment.
    """
    refused = number = 0
    with stopping_says(lambda: _stopped_at(number, inputs, again=again)), progress("Starting payments") as track:
        for start_input in track.over(inputs, total=len(inputs)):
            number += 1
            told = _told(stack, start_input, number, wait=wait, again=again)
            under_way = told["outcome"] is None and told["status"] == "RUNNING"
            refused += told["outcome"] in {None, "REJECTED", "CONFLICT"} and not under_way
            if as_json:
                say_json(told)
            else:
                display(_entry(told), console=track.console)
    return 1 if refused else 0


def _stopped_at(number: int, inputs: list[StartInput], *, again: bool) -> str:
    """That payment may have been started: a reply that is lost says nothing."""
    number = max(number, 1)
    met = "the ledger recognises what it has" if again else "what is started meets its execution"
    return (
        f"stopped at payment {number} of {len(inputs)} ({inputs[number - 1].file}): {number - 1} were handled before "
        f"it, it may be started, and none after it is. Give the same command again: {met}"
    )


def _told(stack: Stack, start_input: StartInput, number: int, *, wait: bool, again: bool) -> dict[str, Any]:
    """What is to be said of one payment, the *number*-th of all."""
    told: dict[str, Any] = {"file": start_input.file, "execution": None, "started": False}
    payment = loads(start_input.text)
    try:
        delivery = stack.intake.deliver(payment, again=again)
        under_way = delivery.started and not wait
        described = {"status": "RUNNING"} if under_way else _ended(stack, delivery, WAIT_S if wait else 0)
    except InvalidPaymentError as refusal:
        return {
            **told,
            "execution": _published(stack, refusal, payment, f"{start_input.file} {number}"),
            "status": "NOT_STARTED",
            "outcome": "REJECTED",
            "error": "InvalidPaymentError",
            "cause": reason(json.loads(str(refusal))),
        }
    except (TooManyAttemptsError, UnreadableItemError) as failure:
        cause = not_readable(json.loads(str(failure))) if isinstance(failure, UnreadableItemError) else str(failure)
        return {
            **told,
            "status": "NOT_STARTED",
            "outcome": None,
            "error": type(failure).__name__,
            "cause": cause,
        }
    except (BotoCoreError, ClientError) as error:
        raise StackError(why(error, start_input.file)) from None
    return {
        **told,
        "execution": delivery.execution,
        "started": delivery.started,
        "status": described["status"],
        "outcome": outcome_of(described) or delivery.outcome,
        "error": described.get("error"),
        "cause": described.get("cause"),
    }


def _published(stack: Stack, refusal: InvalidPaymentError, payment: Any, place: str) -> str:
    """Have the refusal published, as the webhook does: a job that sends invalid payments must ring an alarm too.

    Returns the execution's ARN. Without a TransactionID, payments are told apart by their place and by fields that hold
    no token. The same command again publishes no refusal again.
    """
    fields = payment if isinstance(payment, dict) else {}
    told_apart = {name: fields.get(name) for name in ("Amount", "Currency", "Status", "Timestamp")}
    try:
        return stack.intake.reject(refusal, json.dumps([place, told_apart]))
    except (BotoCoreError, ClientError) as error:
        raise StackError(why(error, place)) from None


def _ended(stack: Stack, delivery: Delivery, wait_s: float) -> dict[str, Any]:
    """Describe the execution that decides, once it has ended. One that recorded the payment may no longer be kept."""
    states = stack.client("stepfunctions")
    try:
        return stack.ended(delivery.execution, wait_s)
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        if delivery.outcome is None:
            raise
        return {"status": "NOT_KEPT"}


def _entry(told: dict[str, Any]) -> Entry:
    what = told["outcome"] or (told["status"] if told["status"] == "RUNNING" else told["error"] or told["status"])
    style = STYLES[told["outcome"]] if told["status"] != "RUNNING" else "cyan"
    invalid = told["status"] == "NOT_STARTED"
    name = told["file"] if invalid else told["execution"].rpartition(":")[2]
    met = "" if told["started"] or invalid else "  met its execution, which was there already"
    cause = f"  {visible(told['cause'])}" if told["cause"] else ""
    return Entry(Text(what, style), Text.assemble(visible(name), (met, "dim"), (cause, style)), 11)
