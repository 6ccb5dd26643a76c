"""One payment or entry that is delivered to its workflow, and the result of its delivery."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ledger.fast_lane import is_fast, name_of_execution
from ledger.intake import Delivery, TooManyAttemptsError
from ledger.item import UnreadableItemError
from ledger.outcome import OUTCOME_BY_ERROR, outcome_of, reason
from ledger.strict_json import loads
from ledger.violations import InvalidInputError
from ledger_cli.reading import StartInput
from ledger_cli.stack.client import Stack, StackError, explain
from ledger_cli.stack.execution import is_entry_execution, message_of
from ledger_cli.stack.queries import describe_unreadable

WAIT_S = 300
"""The longest wait for a payment's execution to end. One state needs less, even if it is retried to its end and each
attempt lasts until its function's timeout."""

ENTRY_WAIT_S = 60
"""The longest wait for an entry's execution to end. It may itself wait an hour for the entry's payment to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """The result of one delivery.

    Attributes:
        file: the file that holds the payment or the entry.
        execution_arn: the execution that decides, or that publishes a rejection; None if there is none.
        started: whether this delivery started the execution.
        status: the execution's status, `NOT_STARTED` or `NOT_KEPT`.
        outcome: its outcome; None if there is none, or none yet.
        error: the name of the error.
        cause: the error's message.
        left_fast_lane: the name of the error for which the payment left the fast lane; None if it did not.
    """

    file: str
    execution_arn: str | None = None
    started: bool = False
    status: str
    outcome: str | None
    error: str | None = None
    cause: str | None = None
    left_fast_lane: str | None = None

    @property
    def execution(self) -> str | None:
        """The execution's name."""
        return self.execution_arn and name_of_execution(self.execution_arn)

    @property
    def waits_for_payment(self) -> bool:
        """Whether its execution is an entry's, which may wait for the entry's payment."""
        return is_entry_execution(self.execution_arn or "")

    @property
    def is_failure(self) -> bool:
        """Whether nothing is recorded, and nothing runs that may still record it."""
        if self.outcome is None:
            return self.status != "RUNNING"
        return self.outcome in OUTCOME_BY_ERROR.values()


def deliver(stack: Stack, start_input: StartInput, number: int, *, wait: bool, again: bool) -> DeliveryResult:
    """Deliver the *number*-th start input of a command to its workflow.

    Args:
        stack: the stack of the workflow.
        start_input: the payment or the entry.
        number: its place among all start inputs of the command.
        wait: wait until the execution has ended.
        again: start an execution under a name of its own, even if there is one already.

    Raises:
        StackError: AWS denies a call, or does not answer.
    """
    file, content = start_input.file, loads(start_input.text)
    try:
        delivery = stack.intake.deliver(content, again=again)
        if is_fast(delivery.execution):
            described: dict[str, Any] = {"status": "SUCCEEDED", "output": json.dumps({"Outcome": delivery.outcome})}
        elif delivery.started and not wait:
            described = {"status": "RUNNING"}
        else:
            wait_s = ENTRY_WAIT_S if is_entry_execution(delivery.execution) else WAIT_S
            described = _wait_for(stack, delivery, wait_s if wait else 0)
    except InvalidInputError as invalid:
        error = type(invalid).__name__
        return DeliveryResult(
            file=file,
            execution_arn=_publish_rejection(stack, invalid, content, f"{file} {number}"),
            status="NOT_STARTED",
            outcome=OUTCOME_BY_ERROR[error],
            error=error,
            cause=reason(json.loads(str(invalid))),
        )
    except UnreadableItemError as error:
        cause = describe_unreadable(json.loads(str(error)))
        return DeliveryResult(file=file, status="NOT_STARTED", outcome=None, error="UnreadableItemError", cause=cause)
    except TooManyAttemptsError as error:
        return DeliveryResult(
            file=file, status="NOT_STARTED", outcome=None, error="TooManyAttemptsError", cause=str(error)
        )
    except (BotoCoreError, ClientError) as error:
        raise StackError(explain(error, file)) from None
    return DeliveryResult(
        file=file,
        execution_arn=delivery.execution,
        started=delivery.started,
        status=described["status"],
        outcome=outcome_of(described) or delivery.outcome,
        error=described.get("error"),
        cause=message_of(described.get("cause")) or (reason(delivery.refusal) if delivery.refusal else None),
        left_fast_lane=delivery.left_fast_lane,
    )


def _publish_rejection(stack: Stack, invalid: InvalidInputError, content: Any, place: str) -> str:
    """Publish the rejection as the webhook does, since a job that sends invalid payments must raise an alarm too.

    Without a TransactionID, inputs are identified by their place and by fields that hold no token. A repeat of the
    same command does not publish the rejection again.

    Returns:
        The ARN of the execution that publishes it.
    """
    fields = content if isinstance(content, dict) else {}
    identity = {name: fields.get(name) for name in ("Amount", "Currency", "Status", "Timestamp")}
    try:
        return stack.intake.reject(invalid, json.dumps([place, identity]))
    except (BotoCoreError, ClientError) as error:
        raise StackError(explain(error, place)) from None


def _wait_for(stack: Stack, delivery: Delivery, wait_s: float) -> dict[str, Any]:
    """Describe the deciding execution when it has ended. Step Functions may no longer keep one that recorded."""
    states = stack.client("stepfunctions")
    try:
        return stack.wait_for(delivery.execution, wait_s)
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        if delivery.outcome is None:
            raise
        return {"status": "NOT_KEPT"}
