"""What became of a payment: its executions, its item, and what to do next."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.intake import DIGITS, NAMED_CHARACTERS
from ledger.outcome import outcome_of
from ledger.payment import IDENTIFIER, valid_id
from ledger_cli.commands.payments import ask
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.execution import Execution

MAX_SEARCHED = 10_000
"""Executions of one status whose names are looked at for one payment; the newest come first."""

SEARCHED = ("RUNNING", "FAILED", "TIMED_OUT", "ABORTED")
"""Statuses in which a payment may have no item that names its execution."""

MAX_DESCRIBED = 100
"""Executions of each status whose input is read for an ID: those that an event bus or a sender named itself. Few can
be described in a second."""

PAGE_SIZE = 1000
"""Source: Step Functions API, ListExecutions, maxResults."""

MAX_OTHERS = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """One execution as a list of them tells it."""

    name: str
    arn: str
    status: str
    started_at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A payment: what the ledger has, the execution that says most, and the others.

    `searched_back_to` is set where not all executions were looked at; `unread` says why the ledger could not be read;
    `redrive` is the command to type.
    """

    asked: str
    payment: dict[str, Any] | None = None
    execution: Execution | None = None
    others: tuple[Listed, ...] = ()
    searched_back_to: datetime | None = None
    unread: str | None = None
    republish_after_minutes: str = "5"
    redrive: str = ""

    @property
    def is_told(self) -> bool:
        """Whether it is recorded, and was told of: whatever an execution came to, nothing is owed."""
        return self.payment is not None and self.payment["PublishedAt"] is not None

    @property
    def outcome(self) -> str:
        """In a word: an outcome, `RUNNING`, `FAILED` technically, or `UNKNOWN`."""
        if self.execution is None:
            return "RECORDED" if self.payment else "UNKNOWN"
        if self.execution.failed_technically:
            return "RECORDED" if self.is_told else "FAILED"
        return self.execution.outcome or "RUNNING"

    @property
    def next_step(self) -> str:
        """What to do, for whoever is on duty."""
        if self.outcome == "FAILED" and self.execution and self.execution.not_redrivable:
            return f"It cannot be redriven ({self.execution.not_redrivable}): ask the sender to deliver it again."
        if self.outcome == "RECORDED" and not self.is_told and self.payment:
            return (
                f"It is recorded and not told of yet: the sweep does once it is {self.republish_after_minutes} minutes "
                "old, and `ledger republish` is a sweep."
            )
        if self.unread and self.outcome in {"RECORDED", "DUPLICATE"}:
            return self._unknown
        if self.outcome in {"RECORDED", "DUPLICATE"} and any(one.outcome == "CONFLICT" for one in self.others):
            return (
                "It is recorded, and another payment came under its id, which was refused: ask the processor which is "
                "right (docs/operate/runbook.md#conflicts)."
            )
        return {
            "RECORDED": "Nothing: it is recorded, and was told of.",
            "DUPLICATE": "Nothing: it was recorded before, and this delivery changed nothing.",
            "REJECTED": "Tell the sender which rules it breaks (docs/integrate/contract.md#rules); "
            "corrected, it can come again.",
            "CONFLICT": "Ask the processor which payment is right; another one needs a TransactionID of its own "
            "(docs/operate/runbook.md#conflicts).",
            "RUNNING": "Wait: it is under way.",
            "FAILED": f"Mend the cause (docs/operate/runbook.md#technical-failures), then: {self.redrive}",
            "UNKNOWN": self._unknown,
        }[self.outcome]

    @property
    def _unknown(self) -> str:
        if self.unread:
            return "Mend what keeps the ledger from being read, and ask again."
        if self.searched_back_to:
            return (
                f"Nothing came under this id since {self.searched_back_to:%Y-%m-%d %H:%M}, as far back as executions "
                "were looked at: give the execution's name or ARN, or ask the sender when it was sent."
            )
        return (
            "Nothing came under this id, as far as executions are kept. What was refused without a valid id is found "
            "by its ProcessorID (ledger inspect PROCESSORID). Ask the sender when it was sent."
        )


def executions(stack: Stack, *, status: str | None = None, most: int) -> Iterator[Listed]:
    """The workflow's executions, the newest first."""
    machine = stack.outputs["WorkflowArn"].removesuffix(":live")
    paginator = stack.client("stepfunctions").get_paginator("list_executions")
    narrowed = {"statusFilter": status} if status else {}
    sizes = {"MaxItems": most, "PageSize": min(most, PAGE_SIZE)}
    for page in paginator.paginate(stateMachineArn=machine, PaginationConfig=sizes, **narrowed):
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

    An execution's name begins with its payment's ID if the sender follows docs/integrate/sending.md, or with the
    ProcessorID if the payment was refused without a valid ID. It has 45 characters of a longer ID: the input decides.
    One that an event bus named is found by its input, or by what the ledger says of its payment.
    """
    if asked.startswith("arn:") and not asked.startswith(stack.executions_prefix):
        raise StackError(f"{asked}: is no execution of this stack's workflow")
    arn = asked if asked.startswith("arn:") else f"{stack.executions_prefix}{asked}"
    named = _read_if_kept(stack, arn)
    if named or asked.startswith("arn:"):
        if named is None:
            raise StackError(f"{asked}: there is no such execution, or it is no longer kept")
        return Inspection(asked=asked, execution=named, redrive=stack.command("redrive", asked))
    payment, unread = _payment(stack, asked)
    found, searched_back_to = _about(stack, asked)
    recorder = payment["Execution"] if payment else None
    arn = recorder or (found[0].arn if found else "")
    others = [one for one in found if one.arn != arn][:MAX_OTHERS]
    return Inspection(
        asked=asked,
        payment=payment,
        execution=_read_if_kept(stack, arn) if arn else None,
        others=tuple(_with_outcome(stack, one) for one in others),
        searched_back_to=searched_back_to,
        unread=unread,
        republish_after_minutes=stack.parameters["RepublishAfterMinutes"],
        redrive=stack.command("redrive", asked),
    )


def _payment(stack: Stack, asked: str) -> tuple[dict[str, Any] | None, str | None]:
    """The payment, and why it could not be read: the executions can be looked at all the same."""
    if not IDENTIFIER.fullmatch(asked):
        return None, None
    try:
        payment: dict[str, Any] | None = ask(stack, {"TransactionID": asked})["Payment"]
    except StackError as error:
        return None, str(error)
    return payment, None


NAMED_BY_INTAKE = re.compile(rf"([A-Za-z0-9_-]{{1,{NAMED_CHARACTERS}}})-[0-9a-f]{{{DIGITS}}}(-[0-9c])?")
"""Names of executions that begin with an ID: see `ledger.intake.execution_name` and `rejection_name`."""

NAMED_BEFORE = re.compile(r"([A-Za-z0-9_-]{1,64})-[0-9a-f]{12}(-[0-9])?")
"""Names that releases before December 2026 gave: the whole ID, and 12 digits."""

NAMED_BY_AWS = re.compile(r".*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A UUID at the end, which looks like the above: an event bus and Step Functions give such names."""


def _about(stack: Stack, asked: str) -> tuple[list[Listed], datetime | None]:
    """Return the executions of an ID, newest first, and the time back to which they were searched, if not all were."""
    found: list[Listed] = []
    reached: list[datetime] = []
    for status in SEARCHED:
        named_otherwise: list[Listed] = []
        named_in_part: list[Listed] = []
        looked_at = 0
        for one in executions(stack, status=status, most=MAX_SEARCHED):
            looked_at += 1
            last = one
            named = NAMED_BY_INTAKE.fullmatch(one.name) or NAMED_BEFORE.fullmatch(one.name)
            if named and named.re is NAMED_BY_INTAKE and len(named[1]) == NAMED_CHARACTERS:
                if asked.startswith(named[1]):
                    named_in_part.append(one)
            elif named and named[1] == asked:
                found.append(one)
            elif not named or NAMED_BY_AWS.fullmatch(one.name):
                named_otherwise.append(one)
        for unsure in (named_in_part, named_otherwise):
            found += [one for one in unsure[:MAX_DESCRIBED] if asked in _ids_of_input(stack, one)]
            if len(unsure) > MAX_DESCRIBED:
                reached.append(unsure[MAX_DESCRIBED - 1].started_at)
        if looked_at == MAX_SEARCHED:
            reached.append(last.started_at)
    return sorted(found, key=lambda one: one.started_at, reverse=True), max(reached, default=None)


def _ids_of_input(stack: Stack, one: Listed) -> list[Any]:
    """Return the TransactionID of an execution's input, or its ProcessorID if that is not valid."""
    described = stack.client("stepfunctions").describe_execution(executionArn=one.arn)
    try:
        start_input = json.loads(described["input"])
    except (ValueError, RecursionError):  # whoever may start executions decides what it is
        return []
    if isinstance(start_input, dict) and isinstance(start_input.get("Refused"), dict):
        start_input = start_input["Refused"]
    if not isinstance(start_input, dict):
        return []
    return [valid_id(start_input, "TransactionID") or valid_id(start_input, "ProcessorID")]


def _with_outcome(stack: Stack, one: Listed) -> Listed:
    described = stack.client("stepfunctions").describe_execution(executionArn=one.arn)
    return replace(one, outcome=outcome_of(described) or one.status)


def _read_if_kept(stack: Stack, arn: str) -> Execution | None:
    """The execution; None where there is none, or where it is too old for Step Functions to have kept it."""
    states = stack.client("stepfunctions")
    try:
        return read(stack, arn)
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        return None
