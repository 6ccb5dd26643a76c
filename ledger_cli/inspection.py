"""What became of a payment: its executions, its item, and what to do next."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.outcome import outcome_of
from ledger.payment import IDENTIFIER
from ledger_cli.deployed import Stack
from ledger_cli.execution import Execution

MAX_SEARCHED = 10_000
"""Executions whose names are looked at for one payment; the newest come first."""

TECHNICAL_ENDS = ("FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True, slots=True)
class Listed:
    """One execution as a list of them tells it."""

    name: str
    arn: str
    status: str
    started_at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A payment: what the ledger has, the execution that says most, and the others."""

    asked: str
    payment: dict[str, Any] | None
    execution: Execution | None
    others: tuple[Listed, ...]

    @property
    def outcome(self) -> str:
        """In a word: an outcome, `RUNNING`, `FAILED` technically, or `UNKNOWN`."""
        if self.execution is None:
            return "RECORDED" if self.payment else "UNKNOWN"
        return self.execution.outcome or ("FAILED" if self.execution.failed_technically else self.execution.status)

    @property
    def next_step(self) -> str:
        """What to do, for whoever is on duty."""
        if self.payment and self.payment["PublishedAt"] is None and self.outcome != "FAILED":
            return "It is recorded and not told of yet: the sweep does within ten minutes, `ledger republish` at once."
        return {
            "RECORDED": "Nothing: it is recorded, and was told of.",
            "DUPLICATE": "Nothing: it was recorded before, and this delivery changed nothing.",
            "REJECTED": "Tell the sender which rules it breaks (docs/contract.md#rules); corrected, it can come again.",
            "CONFLICT": "Ask the processor which payment is right; another one needs a TransactionID of its own "
            "(docs/runbook.md#conflicts).",
            "RUNNING": "Wait: it is under way.",
            "FAILED": f"Mend the cause (docs/runbook.md#technical-failures), then: ledger redrive {self.asked}",
            "UNKNOWN": "Nothing came under this id, as far as executions are kept: ask the sender when it was sent.",
        }[self.outcome]


def executions(stack: Stack, *, status: str | None = None, most: int) -> Iterator[Listed]:
    """The workflow's executions, the newest first."""
    machine = stack.outputs["WorkflowArn"].removesuffix(":live")
    paginator = stack.client("stepfunctions").get_paginator("list_executions")
    narrowed = {"statusFilter": status} if status else {}
    pages = paginator.paginate(stateMachineArn=machine, PaginationConfig={"MaxItems": most}, **narrowed)
    for page in pages:
        for one in page["executions"]:
            yield Listed(one["name"], one["executionArn"], one["status"], one["startDate"])


def read(stack: Stack, arn: str) -> Execution:
    """An execution, whole."""
    states = stack.client("stepfunctions")
    described = states.describe_execution(executionArn=arn)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return Execution.from_history(described, [event for page in pages for event in page["events"]])


def inspect(stack: Stack, asked: str) -> Inspection:
    """Find what there is of a payment, by its TransactionID, or by an execution's name or ARN.

    An execution's name begins with its payment's id where the sender follows docs/sending.md; one that an event bus
    has named is found by what the ledger says of its payment.
    """
    if asked.startswith("arn:"):
        return Inspection(asked, None, read(stack, asked), ())
    payment = (
        stack.invoke("QueryFunction", {"TransactionID": asked})["Payment"] if IDENTIFIER.fullmatch(asked) else None
    )
    named = re.compile(rf"{re.escape(asked)}(-[0-9a-f]{{12}}(-[0-9])?)?")  # see `ledger.intake.execution_name`
    found = [one for one in executions(stack, most=MAX_SEARCHED) if named.fullmatch(one.name)]
    recorder = payment["Execution"] if payment else None
    arn = recorder or (found[0].arn if found else None)
    others = tuple(_with_outcome(stack, one) for one in found if one.arn != arn)
    return Inspection(asked, payment, _read_if_kept(stack, arn, recorder), others)


def _with_outcome(stack: Stack, one: Listed) -> Listed:
    described = stack.client("stepfunctions").describe_execution(executionArn=one.arn)
    return replace(one, outcome=outcome_of(described) or one.status)


def _read_if_kept(stack: Stack, arn: str | None, recorder: str | None) -> Execution | None:
    """The execution; None where there is none, or where it is too old for Step Functions to have kept it."""
    if arn is None:
        return None
    states = stack.client("stepfunctions")
    try:
        states.describe_execution(executionArn=arn, includedData="METADATA_ONLY")
    except states.exceptions.ExecutionDoesNotExist:
        if arn == recorder:
            return None
        raise
    return read(stack, arn)
