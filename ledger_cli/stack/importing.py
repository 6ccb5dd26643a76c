"""History that is imported into a deployed stack: one payment after another with its entries, several payments at once.

The ledger itself is the record of the progress: what it has is not started again.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from ledger.fast_lane import is_fast
from ledger.fields import IMPORT
from ledger.intake import TooManyAttemptsError
from ledger.item import UnreadableItemError
from ledger.outcome import outcome_of, reason
from ledger.violations import InvalidInputError
from ledger_cli.books.history import Step
from ledger_cli.stack.client import Stack, StackError, explain
from ledger_cli.stack.execution import message_of
from ledger_cli.stack.many import Pace, in_order

FIRST_POLL_S, LONGEST_POLL_S = 0.1, 2.0
"""Waits between two looks into the table, which get longer."""

DESCRIBED_EVERY_S = 5.0
"""Step Functions describes few executions in a second, so the table is asked more often than the execution."""

STEP_S = 120
"""The longest wait for one payment or entry. A state that is retried to its end takes longer: the next command sees."""


class Imported(NamedTuple):
    """What came of one payment or entry of the history.

    Attributes:
        step: the payment or entry.
        outcome: `RECORDED`, `DUPLICATE` if the ledger had it before, `CONFLICT`, `REJECTED` or `REFUSED`; `RUNNING`,
            `FAILED` or `SKIPPED`, because the payment or an entry before it is not recorded.
        reason: why it is not recorded; None if it is.
    """

    step: Step
    outcome: str
    reason: str | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the ledger has it."""
        return self.outcome in {"RECORDED", "DUPLICATE"}


def import_histories(
    stack: Stack, histories: Iterable[list[Step]], *, mode: str, per_second: float
) -> Iterator[list[Imported]]:
    """Import each payment with its entries, and yield what came of them, in the order of the histories.

    Args:
        stack: the stack.
        histories: the payments with their entries.
        mode: `quiet` or `published`, the value of the field `Import`.
        per_second: how many executions are started in a second at most.

    Raises:
        StackError: AWS denies a call, or does not answer.
    """
    intake, pace = stack.intake, Pace(per_second)

    def import_one(history: list[Step]) -> list[Imported]:
        done: list[Imported] = []
        for step in history:
            if done and not done[-1].is_recorded:
                done.append(Imported(step, "SKIPPED", "the payment or an entry before it is not recorded"))
                continue
            try:
                done.append(_import_step(stack, intake, pace, step, mode))
            except (BotoCoreError, ClientError) as error:
                raise StackError(explain(error, f"line {step.line}")) from None
        return done

    yield from in_order(import_one, histories, stack.stopping)


def _import_step(stack: Stack, intake: Any, pace: Pace, step: Step, mode: str) -> Imported:
    start_input = {**step.start_input, IMPORT: mode}
    try:
        if intake.find(start_input) == "RECORDED":
            return Imported(step, "DUPLICATE")
        pace.wait()
        delivery = intake.deliver(start_input)
    except InvalidInputError as invalid:  # the seal is wrong, and nine executions found that out
        return Imported(step, "REJECTED", reason(json.loads(str(invalid))))
    except UnreadableItemError as damaged:
        return Imported(step, "FAILED", f"the ledger's item is damaged: {damaged.attribute}")
    except TooManyAttemptsError:
        return Imported(step, "FAILED", "nine executions recorded nothing")
    if is_fast(delivery.execution):
        return Imported(step, delivery.outcome or "RUNNING")
    return _wait(stack, intake, step, start_input, delivery.execution)


def _wait(stack: Stack, intake: Any, step: Step, start_input: dict[str, Any], execution: str) -> Imported:
    """Wait until the ledger has a payment or an entry, or its execution has ended without recording it."""
    begun = described = time.monotonic()
    poll_s = FIRST_POLL_S
    states = stack.client("stepfunctions")
    while True:
        if intake.find(start_input) == "RECORDED":
            return Imported(step, "RECORDED")
        now = time.monotonic()
        if now - described >= DESCRIBED_EVERY_S or poll_s == LONGEST_POLL_S:
            described = now
            found = states.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING" and intake.find(start_input) != "RECORDED":
                why = message_of(found.get("cause")) or found.get("error") or found["status"]
                return Imported(step, outcome_of(found) or "FAILED", why)
        if now - begun >= STEP_S or stack.stopping.wait(poll_s):
            return Imported(step, "RUNNING", "its execution still runs: give the same command again later")
        poll_s = min(poll_s * 2, LONGEST_POLL_S)
