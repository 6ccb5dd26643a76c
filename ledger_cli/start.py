"""`ledger start`: seal and start payments on a deployed stack, and say what became of them."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from ledger.intake import TooManyAttemptsError
from ledger.outcome import outcome_of, reason
from ledger.payment import InvalidPaymentError
from ledger.strict_json import loads
from ledger_cli.deployed import Stack, StackError, why
from ledger_cli.reading import StartInput
from ledger_cli.run import STYLES
from ledger_cli.terminal import Entry, display, progress, visible

WAIT_S = 300
"""For one execution to end: all retries of one state take less."""


def start_payments(stack: Stack, inputs: list[StartInput], *, wait: bool, as_json: bool) -> int:
    """Deliver each payment, in order, and print; returns the command's exit status.

    Raises:
        StackError: AWS refuses what every payment needs; those before are started.
    """
    refused = 0
    with progress("Starting payments") as track:
        for start_input in track.over(inputs, total=len(inputs)):
            told = _told(stack, start_input, wait=wait)
            refused += told["outcome"] in {None, "REJECTED", "CONFLICT"} and told["status"] != "RUNNING"
            if as_json:
                print(json.dumps(told), flush=True)  # noqa: T201
            else:
                display(_entry(told), console=track.console)
    return 1 if refused else 0


def _told(stack: Stack, start_input: StartInput, *, wait: bool) -> dict[str, Any]:
    """What is to be said of one payment."""
    told: dict[str, Any] = {"file": start_input.file, "execution": None, "started": False}
    try:
        delivery = stack.intake.deliver(loads(start_input.text))
        under_way = delivery.started and not wait
        described = {"status": "RUNNING"} if under_way else stack.ended(delivery.execution, WAIT_S if wait else 0)
    except InvalidPaymentError as refusal:
        rules = reason(json.loads(str(refusal)))
        return {**told, "status": "NOT_STARTED", "outcome": "REJECTED", "error": "InvalidPaymentError", "cause": rules}
    except TooManyAttemptsError as failure:
        return {
            **told,
            "status": "NOT_STARTED",
            "outcome": None,
            "error": "TooManyAttemptsError",
            "cause": str(failure),
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


def _entry(told: dict[str, Any]) -> Entry:
    what = told["outcome"] or (told["status"] if told["status"] == "RUNNING" else told["error"] or told["status"])
    style = STYLES[told["outcome"]] if told["status"] != "RUNNING" else "cyan"
    name = str(told["execution"] or told["file"]).rpartition(":")[2]
    met = "" if told["started"] or not told["execution"] else "  met its execution, which was there already"
    cause = f"  {visible(told['cause'])}" if told["cause"] else ""
    return Entry(Text(what, style), Text.assemble(visible(name), (met, "dim"), (cause, style)), 11)
