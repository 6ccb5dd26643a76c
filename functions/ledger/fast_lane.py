"""The fast lane: a payment in an Express workflow, which answers with the outcome.

It has the definition of the Standard workflow, and ends at the first error. What it does not record, the Standard
workflow takes up: `ledger.intake` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from ledger.outcome import outcome_of, refusal_of

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class FastRun(NamedTuple):
    """What a client learns of an execution in the fast lane.

    Attributes:
        execution: its ARN; empty without an answer. Then it may still run.
        outcome: `RECORDED` or `DUPLICATE`; `REJECTED` or `CONFLICT`, which the execution has not published; None if it
            decided nothing, or without an answer.
        refusal: the broken rules, or the fields that differ.
        error: the name of the error that is no outcome.
    """

    execution: str = ""
    outcome: str | None = None
    refusal: Mapping[str, Any] | None = None
    error: str | None = None


class FastLane(NamedTuple):
    """The fast lane of one stack.

    Args:
        states: a client of Step Functions that makes one attempt, since another one would run a second execution.
        workflow: the ARN of the Express workflow's alias (the stack's output `FastWorkflowArn`).
    """

    states: SFNClient
    workflow: str

    def run(self, name: str, text: str) -> FastRun:
        """Run an execution to its end. Any number of executions may have one name.

        Source: Step Functions API, StartSyncExecution: the call succeeds even if the execution fails.
        """
        try:
            ended = self.states.start_sync_execution(stateMachineArn=self.workflow, name=name, input=text)
        except ClientError as failed:
            return FastRun(error=failed.response["Error"]["Code"])
        except BotoCoreError as failed:
            return FastRun(error=type(failed).__name__)
        execution, outcome, error = ended["executionArn"], outcome_of(ended), ended.get("error")
        if outcome is None:
            return FastRun(execution, error=error or ended["status"])
        return FastRun(execution, outcome, refusal_of(ended["cause"]) if error else None)


def is_fast(execution: str) -> bool:
    """Return whether an execution's ARN is one of the fast lane. No call of Step Functions describes such an execution.

    Source: Step Functions Developer Guide, ARNs of Express executions: `…:express:WORKFLOW:NAME:UUID`.
    """
    return execution.split(":")[5:6] == ["express"]


def name_of_execution(execution: str) -> str:
    """Return the name in an execution's ARN. In the ARN of an Express execution, a UUID follows it."""
    return execution.split(":")[7] if is_fast(execution) else execution.rpartition(":")[2]
