"""What the webhook's answers claim, and what must then be true."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger.fast_lane import name_of_execution
from ledger.intake import execution_name
from ledger.payment import parse_payment
from tests.simulation.invariants import differing
from tests.simulation.observations import Item, Moment, ViolationError, published
from tests.simulation.step_functions import StepFunctions

ANSWERS = {200, 202, 400, 409}
"""The answers after which a sender need not send the payment again as it is."""


class Answer(NamedTuple):
    """The webhook's answer to a posted payment; its status is 500 if the function failed."""

    payment: Mapping[str, Any]
    status: int
    body: Mapping[str, Any]

    @classmethod
    def of(cls, payment: Mapping[str, Any], reply: Mapping[str, Any] | None) -> "Answer":
        """Read the function's reply; None if it failed."""
        if reply is None:
            return cls(payment, 500, {})
        return cls(payment, reply["statusCode"], json.loads(reply["body"]))

    @property
    def is_final(self) -> bool:
        """Whether the sender learns that the payment was taken, or why it never will be."""
        return self.status in ANSWERS


def check_posted(answer: Answer, moment: Moment, service: StepFunctions, seals_of_others: set[str]) -> None:
    """Require that an answer is true when it is given."""
    if not answer.is_final:
        return
    name = answer.body["Execution"]
    item = moment.payments.get(answer.payment["TransactionID"])
    _check_name(answer, name, item)
    taken_up = [execution for arn, execution in service.named.items() if arn.rpartition(":")[2] == name]
    if answer.status == 202:
        if not taken_up:
            raise ViolationError(f"{name}: was answered as started, and nothing was started under that name")
        return
    if answer.status == 400:
        if not taken_up:
            raise ViolationError(f"{name}: was answered as rejected, and nothing publishes it")
        _check_rejected(answer, name, item, seals_of_others)
        return
    if item is None:
        raise ViolationError(f"{name}: was answered as {answer.body['Outcome']}, and there is no item")
    differs = differing(item, parse_payment(answer.payment, default_currency="EUR")[0])
    if answer.status == 409:
        if not differs:
            raise ViolationError(f"{name}: was answered as a conflict, and is the recorded payment")
        if answer.body.get("Differs", differs) != differs:
            raise ViolationError(f"{name}: differs in {differs}, and other fields were answered")
        if not taken_up:
            raise ViolationError(f"{name}: was answered as a conflict, and nothing publishes it")
        return
    if differs:
        raise ViolationError(f"{name}: was answered as {answer.body['Outcome']}, and is a conflict")
    is_published = published("PaymentRecorded", moment.events, TransactionID=answer.payment["TransactionID"])
    names = [arn.rpartition(":")[2] for arn in service.named]
    if not is_published and not any(_is_named_after(answer.payment, each) for each in names):
        raise ViolationError(f"{name}: was answered as {answer.body['Outcome']}, and was not published")


def _check_rejected(answer: Answer, name: str, item: Item | None, seals_of_others: set[str]) -> None:
    """Require that a payment that was answered as rejected breaks a rule, and that the ledger does not have it."""
    if answer.payment.get("SealedToken") not in seals_of_others:
        raise ViolationError(f"{name}: was answered as rejected, and breaks no rule")
    if item is not None and not differing(item, parse_payment(answer.payment, default_currency="EUR")[0]):
        raise ViolationError(f"{name}: was answered as rejected, and the ledger has it")


def _check_name(answer: Answer, name: str, item: Item | None) -> None:
    """Require that the execution has the payment's own name: by it, a repeat and an operator find the execution.

    Or it is the one that recorded the payment, perhaps with another seal.
    """
    recorder = name_of_execution(item["Execution"]["S"]) if item else None
    if name != recorder and not _is_named_after(answer.payment, name):
        raise ViolationError(f"{name} is not the name of the payment's execution")


def _is_named_after(delivered: Mapping[str, Any], name: str) -> bool:
    payment, token = parse_payment(delivered, default_currency="EUR")
    own = execution_name(payment, token.text if token.field == "SealedToken" else None)
    return name == own or name.startswith(f"{own}-")


def check_everything_answered(answers: list[Answer]) -> None:
    """Require, once faults have stopped, that each posted payment was answered for good."""
    for answer in answers:
        if not answer.is_final:
            raise ViolationError(f"{answer.payment['TransactionID']}: is answered with {answer.status} without a fault")
