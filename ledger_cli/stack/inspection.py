"""A payment under inspection: its executions, its item in the ledger, and what to do next."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.fields import IDENTIFIER
from ledger.intake import DIGITS, NAMED_CHARACTERS
from ledger.outcome import outcome_of
from ledger.payment import valid_id
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.execution import Execution
from ledger_cli.stack.queries import query_ledger

MAX_SEARCHED = 10_000
"""Executions of one status whose names are compared with one payment's. The newest come first."""

SEARCHED_STATUSES = ("RUNNING", "FAILED", "TIMED_OUT", "ABORTED")
"""Statuses of executions that may have left no item that names them."""

MAX_DESCRIBED = 100
"""Executions of each status whose input is read, since an event bus or a sender chose their name. Step Functions
describes only a few executions per second."""

PAGE_SIZE = 1000
"""Source: Step Functions API, ListExecutions, maxResults."""

MAX_OTHERS = 20


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """An execution as a list of executions describes it."""

    name: str
    arn: str
    status: str
    started_at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A payment's item in the ledger, the execution that decided its outcome, and its other executions.

    Attributes:
        requested_id: the ID as it was typed.
        searched_back_to: the time of the oldest execution that was searched; None if all were searched.
        read_error: why the ledger could not be read.
        redrive_command: the command line that redrives the payment's execution.
    """

    requested_id: str
    payment: dict[str, Any] | None = None
    execution: Execution | None = None
    other_executions: tuple[ExecutionSummary, ...] = ()
    searched_back_to: datetime | None = None
    read_error: str | None = None
    republish_after_minutes: str = "5"
    redrive_command: str = ""

    @property
    def is_published(self) -> bool:
        """Whether the payment is recorded and published. Nothing is left to do then, however its execution ended."""
        return self.payment is not None and self.payment["PublishedAt"] is not None

    @property
    def outcome(self) -> str:
        """The outcome in one word: one of the four, `RUNNING`, `FAILED` for a technical failure, or `UNKNOWN`."""
        if self.execution is None:
            return "RECORDED" if self.payment else "UNKNOWN"
        if self.execution.had_technical_failure:
            return "RECORDED" if self.is_published else "FAILED"
        return self.execution.outcome or "RUNNING"

    @property
    def next_step(self) -> str:
        """What the operator on duty does next: one sentence that begins with it, for each outcome."""
        if self.outcome == "RECORDED" and not self.is_published and self.payment:
            return (
                "Wait: the payment is recorded, but not published yet. The first sweep after it is "
                f"{self.republish_after_minutes} minutes old publishes it. If it is older, run `ledger republish`, "
                "which runs a sweep at once."
            )
        is_recorded = self.outcome in {"RECORDED", "DUPLICATE"}
        if self.read_error and is_recorded:
            return self._next_step_if_unknown
        if is_recorded and any(other.outcome == "CONFLICT" for other in self.other_executions):
            return (
                "Ask the processor which payment is right: one is recorded, and a different payment with the same ID "
                "was a conflict (docs/operate/runbook.md#conflicts)."
            )
        return {
            "RECORDED": "Nothing to do: the payment is recorded and published.",
            "DUPLICATE": "Nothing to do: the payment was recorded before, and this delivery changed nothing.",
            "REJECTED": "Tell the sender which rules the payment breaks (docs/integrate/contract.md#rules). The sender "
            "can correct it and send it again.",
            "CONFLICT": "Ask the processor which payment is right. A different payment needs a TransactionID of its "
            "own (docs/operate/runbook.md#conflicts).",
            "RUNNING": "Wait: the execution still runs.",
            "FAILED": self._next_step_if_failed,
            "UNKNOWN": self._next_step_if_unknown,
        }[self.outcome]

    @property
    def _next_step_if_failed(self) -> str:
        reason = self.execution.not_redrivable if self.execution else None
        if reason is None:
            return f"Fix the cause (docs/operate/runbook.md#technical-failures), then run: {self.redrive_command}"
        return f"Ask the sender to send the payment again: Step Functions cannot redrive this execution ({reason})."

    @property
    def _next_step_if_unknown(self) -> str:
        if self.read_error:
            return "Fix the error that keeps the ledger from being read, then run this command again."
        if self.searched_back_to:
            return (
                "Give the execution's name or ARN, or ask the sender when the payment was sent: no execution since "
                f"{self.searched_back_to:%Y-%m-%d %H:%M} has this ID, and older executions were not searched."
            )
        return (
            "Ask the sender when the payment was sent: no payment and no execution that Step Functions still keeps "
            "has this ID. If a payment was rejected without a valid TransactionID, its ProcessorID finds it: "
            "ledger inspect PROCESSORID"
        )


def list_executions(stack: Stack, *, status: str | None = None, limit: int) -> Iterator[ExecutionSummary]:
    """Yield the workflow's executions, the newest first."""
    paginator = stack.client("stepfunctions").get_paginator("list_executions")
    status_filter = {"statusFilter": status} if status else {}
    sizes = {"MaxItems": limit, "PageSize": min(limit, PAGE_SIZE)}
    for page in paginator.paginate(stateMachineArn=stack.state_machine, PaginationConfig=sizes, **status_filter):
        for one in page["executions"]:
            yield ExecutionSummary(one["name"], one["executionArn"], one["status"], one["startDate"])


def read_execution(stack: Stack, arn: str) -> Execution:
    """Return an execution with its whole history."""
    states = stack.client("stepfunctions")
    described = states.describe_execution(executionArn=arn)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return Execution.from_history(described, [event for page in pages for event in page["events"]])


def inspect(stack: Stack, requested_id: str) -> Inspection:
    """Find a payment and its executions by its TransactionID, or by the name or ARN of an execution.

    The name of an execution begins with its payment's ID if the sender follows docs/integrate/sending.md, or with the
    ProcessorID if the payment was rejected without a valid ID. The name has only 45 characters of a longer ID, so the
    execution's input decides. An execution that an event bus named is found by its input, or by the item that it wrote.
    """
    is_arn = requested_id.startswith("arn:")
    if is_arn and not requested_id.startswith(stack.executions_prefix):
        raise StackError(f"{requested_id}: is not an execution of this stack's workflow")
    named = _read_if_kept(stack, requested_id if is_arn else f"{stack.executions_prefix}{requested_id}")
    redrive_command = stack.command("redrive", requested_id)
    if named:
        return Inspection(requested_id=requested_id, execution=named, redrive_command=redrive_command)
    if is_arn:
        raise StackError(f"{requested_id}: there is no such execution, or it is no longer kept")
    payment, read_error = _read_payment(stack, requested_id)
    found, searched_back_to = _find_executions(stack, requested_id)
    recorder = payment["Execution"] if payment else None
    arn = recorder or (found[0].arn if found else "")
    others = [one for one in found if one.arn != arn][:MAX_OTHERS]
    return Inspection(
        requested_id=requested_id,
        payment=payment,
        execution=_read_if_kept(stack, arn) if arn else None,
        other_executions=tuple(_with_outcome(stack, one) for one in others),
        searched_back_to=searched_back_to,
        read_error=read_error,
        republish_after_minutes=stack.parameters["RepublishAfterMinutes"],
        redrive_command=redrive_command,
    )


def redrive_candidates(stack: Stack, requested_id: str | None) -> Iterator[str]:
    """Yield the ARNs of the executions of one ID, or of all, that may have had a technical failure."""
    if requested_id is None:
        for status in ("FAILED", "TIMED_OUT"):  # an aborted execution was stopped by a person, on purpose
            yield from (one.arn for one in list_executions(stack, status=status, limit=MAX_SEARCHED))
        return
    found = inspect(stack, requested_id)
    if found.execution:
        yield found.execution.arn
    yield from (one.arn for one in found.other_executions)


def _read_payment(stack: Stack, requested_id: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the payment, and why it could not be read: the executions can be read all the same."""
    if not IDENTIFIER.fullmatch(requested_id):
        return None, None
    try:
        payment: dict[str, Any] | None = query_ledger(stack, {"TransactionID": requested_id})["Payment"]
    except StackError as error:
        return None, str(error)
    return payment, None


NAMED_BY_INTAKE = re.compile(rf"([A-Za-z0-9_-]{{1,{NAMED_CHARACTERS}}})-[0-9a-f]{{{DIGITS}}}(-[0-9c])?")
"""Names of executions that begin with an ID: see `ledger.intake.execution_name` and `rejection_name`."""

NAMED_BEFORE = re.compile(r"([A-Za-z0-9_-]{1,64})-[0-9a-f]{12}(-[0-9])?")
"""Names that releases before December 2026 gave: the whole ID, and 12 digits."""

NAMED_BY_AWS = re.compile(r".*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Names that end with a UUID, which an event bus and Step Functions give. A UUID looks like the names above."""


def _find_executions(stack: Stack, requested_id: str) -> tuple[list[ExecutionSummary], datetime | None]:
    """Return the executions of an ID, newest first, and the time back to which they were searched, if not all were."""
    found: list[ExecutionSummary] = []
    limits: list[datetime] = []
    for status in SEARCHED_STATUSES:
        named_otherwise: list[ExecutionSummary] = []
        named_in_part: list[ExecutionSummary] = []
        searched = 0
        for one in list_executions(stack, status=status, limit=MAX_SEARCHED):
            searched += 1
            last = one
            named = NAMED_BY_INTAKE.fullmatch(one.name) or NAMED_BEFORE.fullmatch(one.name)
            if named and named.re is NAMED_BY_INTAKE and len(named[1]) == NAMED_CHARACTERS:
                if requested_id.startswith(named[1]):
                    named_in_part.append(one)
            elif named and named[1] == requested_id:
                found.append(one)
            elif not named or NAMED_BY_AWS.fullmatch(one.name):
                named_otherwise.append(one)
        for unsure in (named_in_part, named_otherwise):
            found += [one for one in unsure[:MAX_DESCRIBED] if _id_of_input(stack, one) == requested_id]
            if len(unsure) > MAX_DESCRIBED:
                limits.append(unsure[MAX_DESCRIBED - 1].started_at)
        if searched == MAX_SEARCHED:
            limits.append(last.started_at)
    return sorted(found, key=lambda one: one.started_at, reverse=True), max(limits, default=None)


def _id_of_input(stack: Stack, execution: ExecutionSummary) -> str | None:
    """Return the TransactionID of an execution's input, or its ProcessorID if the TransactionID is not valid."""
    described = stack.client("stepfunctions").describe_execution(executionArn=execution.arn)
    try:
        start_input = json.loads(described["input"])
    except (ValueError, RecursionError):  # anyone who may start executions decides what their input is
        return None
    if isinstance(start_input, dict) and isinstance(start_input.get("Refused"), dict):
        start_input = start_input["Refused"]
    if not isinstance(start_input, dict):
        return None
    return valid_id(start_input, "TransactionID") or valid_id(start_input, "ProcessorID")


def _with_outcome(stack: Stack, execution: ExecutionSummary) -> ExecutionSummary:
    described = stack.client("stepfunctions").describe_execution(executionArn=execution.arn)
    return replace(execution, outcome=outcome_of(described) or execution.status)


def _read_if_kept(stack: Stack, arn: str) -> Execution | None:
    """Return the execution; None if it does not exist, or is so old that Step Functions no longer keeps it."""
    states = stack.client("stepfunctions")
    try:
        return read_execution(stack, arn)
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        return None
