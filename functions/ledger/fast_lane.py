"""The fast lane: a payment in an Express workflow, which answers with the outcome.

It has the definition of the Standard workflow, and ends at the first error. What it does not record, the Standard
workflow takes up: `ledger.intake` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from ledger.outcome import outcome_of, refusal_of

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger, Metrics
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
        report: is called for each execution with its name, and with the error that is no outcome, or None.
    """

    states: SFNClient
    workflow: str
    report: Callable[[str, str | None], None] = lambda _name, _error: None

    def run(self, name: str, text: str) -> FastRun:
        """Run an execution to its end. Any number of executions may have one name."""
        found = self._run(name, text)
        self.report(name, found.error)
        return found

    def _run(self, name: str, text: str) -> FastRun:
        try:
            ended = self.states.start_sync_execution(stateMachineArn=self.workflow, name=name, input=text)
        except ClientError as failed:
            return FastRun(error=failed.response["Error"]["Code"])
        except (BotoCoreError, ResponseParserError) as failed:
            return FastRun(error=type(failed).__name__)
        try:
            return _read(ended)
        except (LookupError, TypeError, AttributeError, ValueError):  # an answer of another form says nothing
            return FastRun(error="UnreadableAnswer")


def _read(ended: Mapping[str, Any]) -> FastRun:
    """Read the answer. Source: Step Functions API, StartSyncExecution: it has the status 200 also after a failure."""
    execution, outcome, error = ended["executionArn"], outcome_of(ended), ended.get("error")
    if outcome is None:
        return FastRun(execution, error=error or ended["status"])
    return FastRun(execution, outcome, refusal_of(ended["cause"]) if error else None)


def count_fast_run(logger: Logger, metrics: Metrics, name: str, error: str | None) -> None:
    """Count an execution: as 1 if it decided nothing, and as 0 otherwise, so that the metric's average is a share.

    This happens before the Standard workflow is started, so that the metric also counts what cannot be started.
    """
    if error is not None:
        logger.warning("fast lane left", execution=name, error=error)
    metrics.add_metric(name="FastLaneLeft", unit="Count", value=int(error is not None))
    metrics.flush_metrics()


def is_fast(execution: str) -> bool:
    """Return whether an execution's ARN is one of the fast lane. No call of Step Functions describes such an execution.

    Source: Step Functions Developer Guide, ARNs of Express executions: `…:express:WORKFLOW:NAME:UUID`.
    """
    return execution.split(":")[5:6] == ["express"]


def name_of_execution(execution: str) -> str:
    """Return the name in an execution's ARN. In the ARN of an Express execution, a UUID follows it."""
    return execution.split(":")[7] if is_fast(execution) else execution.rpartition(":")[2]
