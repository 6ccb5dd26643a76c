"""A payment under inspection: its executions, its item and entries in the ledger, and what to do next."""

import heapq
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ledger.entry import Entry, parse_entry
from ledger.fast_lane import is_fast, name_of_execution
from ledger.fields import IDENTIFIER
from ledger.intake import DIGITS, NAMED_CHARACTERS
from ledger.item import is_quiet
from ledger.outcome import outcome_of
from ledger.payment import valid_id
from ledger.violations import InvalidEntryError
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.execution import Execution, is_entry_execution
from ledger_cli.stack.fast_lane import read_fast_execution
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

MAX_OUTCOMES = 100
"""Other executions whose outcome is read, the newest first."""

MAX_OTHERS = 20
"""Other executions that are shown. Those that refused an entry come first."""


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """An execution as a list of executions describes it.

    Attributes:
        outcome: its outcome, or its status if it has none; empty until `_with_outcome` has described it.
        reason: why it was refused or conflicts.
        entry: the entry of its input; None if its input is no entry, or one that breaks the contract.
        entry_id: the EntryID of its input, if that is a valid one.
    """

    name: str
    arn: str
    status: str
    started_at: datetime
    outcome: str = ""
    reason: str | None = None
    entry: Entry | None = None
    entry_id: str | None = None

    @property
    def is_entry(self) -> bool:
        """Whether it belongs to the entries' workflow."""
        return is_entry_execution(self.arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A payment's item in the ledger, the execution that decided its outcome, and its other executions.

    Attributes:
        requested_id: the ID as it was typed.
        entries: its recorded entries, in order.
        totals: its totals after them; None if there is no payment, or an entry is damaged.
        unreadable: the damaged entry, if there is one.
        searched_back_to: the time of the oldest execution that was searched; None if all were searched.
        read_error: why the ledger could not be read.
        log_error: what is not known of an execution in the fast lane, and why.
        redrive_command: the command line that redrives the payment's execution.
        retry_command: the command line that delivers a refused entry again.
    """

    requested_id: str
    payment: dict[str, Any] | None = None
    entries: Sequence[dict[str, Any]] = ()
    totals: dict[str, Any] | None = None
    unreadable: Sequence[dict[str, Any]] = ()
    execution: Execution | None = None
    other_executions: tuple[ExecutionSummary, ...] = ()
    searched_back_to: datetime | None = None
    read_error: str | None = None
    log_error: str | None = None
    republish_after_minutes: str = "5"
    redrive_command: str = ""
    retry_command: str = ""

    @property
    def is_quiet_import(self) -> bool:
        """Whether the payment was imported, and nothing ever publishes it."""
        return self.payment is not None and is_quiet(self.payment)

    @property
    def is_settled(self) -> bool:
        """Whether the payment is recorded, and is published or never will be: then no execution has anything to do."""
        return self.payment is not None and (self.payment["PublishedAt"] is not None or self.is_quiet_import)

    @property
    def undecided(self) -> list[ExecutionSummary]:
        """The newest execution of each entry that was refused and is still not recorded, newest first."""
        recorded = {entry["Fingerprint"] for entry in self.entries}
        newest: dict[str, ExecutionSummary] = {}
        for one in self.other_executions:
            if one.outcome == "REFUSED" and one.entry and one.entry.fingerprint not in recorded:
                newest.setdefault(one.entry.fingerprint, one)
        return list(newest.values())

    @property
    def shown_executions(self) -> list[ExecutionSummary]:
        """The other executions that a view shows: those to decide about, then the newest."""
        undecided = self.undecided
        rest = [one for one in self.other_executions if one not in undecided]
        return [*undecided, *rest][:MAX_OTHERS]

    @property
    def outcome(self) -> str:
        """The outcome in one word: one of the five, `RUNNING`, `FAILED` for a technical failure, or `UNKNOWN`."""
        if self.execution is None:
            return "RECORDED" if self.payment else "UNKNOWN"
        if is_fast(self.execution.arn):  # it recorded the payment, whatever its log says or lacks
            return "RECORDED"
        if self.execution.had_technical_failure:
            return "RECORDED" if self.is_settled else "FAILED"
        return self.execution.outcome or "RUNNING"

    @property
    def next_step(self) -> str:
        """What the operator on duty does next: one sentence that begins with it, for each outcome."""
        if self.outcome == "RECORDED" and not self.is_settled and self.payment:
            return (
                "Wait: the payment is recorded, but not published yet. The first sweep after it is "
                f"{self.republish_after_minutes} minutes old publishes it. If it is older, run `ledger republish`, "
                "which runs a sweep at once."
            )
        if self.outcome in {"RECORDED", "DUPLICATE"} and (step := self._next_step_beside_the_payment):
            return step
        settled = "it was imported, and is not published" if self.is_quiet_import else "it is recorded and published"
        return {
            "RECORDED": f"Nothing to do: {settled}.",
            "DUPLICATE": "Nothing to do: it was recorded before, and this delivery changed nothing.",
            "REFUSED": self._next_step_if_refused,
            "REJECTED": "Tell the sender which rules the payment breaks (docs/integrate/contract.md#rules). The sender "
            "can correct it and send it again.",
            "CONFLICT": self._next_step_if_conflict,
            "RUNNING": "Wait: the execution still runs.",
            "FAILED": self._next_step_if_failed,
            "UNKNOWN": self._next_step_if_unknown,
        }[self.outcome]

    @property
    def _next_step_beside_the_payment(self) -> str | None:
        """What is left to do about a recorded payment's entries and other executions; None if nothing is."""
        if self.read_error:
            return self._next_step_if_unknown
        if self.unreadable:
            return "Find out who changed the entry: see docs/operate/runbook.md#changed-items."
        if self.undecided:
            refused = ", ".join(one.entry_id or one.name for one in self.undecided)
            return (
                f"Decide about the refused entry {refused} (docs/operate/runbook.md#refused-entries). Once its cause "
                f"is gone, run: {self.retry_command}"
            )
        conflicts = [other for other in self.other_executions if other.outcome == "CONFLICT"]
        if conflicts:
            what = "entry" if conflicts[0].is_entry else "payment"
            return (
                f"Ask the processor which {what} is right: one is recorded, and a different {what} with the same ID "
                "was a conflict (docs/operate/runbook.md#conflicts)."
            )
        if self.searched_back_to:
            return (
                "It is recorded. Whether one of its entries was refused is not known for all of its executions: those "
                f"from before {self.searched_back_to:%Y-%m-%d %H:%M} were not searched."
            )
        return None

    @property
    def _next_step_if_conflict(self) -> str:
        what, own = (
            ("entry", "an EntryID") if self.execution and self.execution.is_entry else ("payment", "a TransactionID")
        )
        return (
            f"Ask the processor which {what} is right. A different {what} needs {own} of its own "
            "(docs/operate/runbook.md#conflicts)."
        )

    @property
    def _next_step_if_refused(self) -> str:
        judged = self.execution is not None and any(state.name == "Append Entry" for state in self.execution.states)
        if not judged:
            return (
                "Tell the sender which rules the entry breaks (docs/integrate/entries.md#rules). The sender can "
                "correct it and send it again."
            )
        return (
            "Find out why it does not fit its payment (docs/operate/runbook.md#refused-entries). Once the cause is "
            f"gone, run: {self.retry_command}"
        )

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
    """Yield the executions of both workflows, the newest first."""
    lists = [_executions_of(stack, machine, status, limit) for machine in stack.state_machines]
    merged = heapq.merge(*lists, key=lambda one: one.started_at, reverse=True)
    yield from itertools.islice(merged, limit)


def _executions_of(stack: Stack, machine: str, status: str | None, limit: int) -> Iterator[ExecutionSummary]:
    paginator = stack.client("stepfunctions").get_paginator("list_executions")
    status_filter = {"statusFilter": status} if status else {}
    sizes = {"MaxItems": limit, "PageSize": min(limit, PAGE_SIZE)}
    for page in paginator.paginate(stateMachineArn=machine, PaginationConfig=sizes, **status_filter):
        for one in page["executions"]:
            yield ExecutionSummary(one["name"], one["executionArn"], one["status"], one["startDate"])


def read_execution(stack: Stack, arn: str) -> Execution:
    """Return an execution with its whole history."""
    states = stack.client("stepfunctions")
    described = states.describe_execution(executionArn=arn)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return Execution.from_history(described, [event for page in pages for event in page["events"]])


def inspect(stack: Stack, requested_id: str) -> Inspection:
    """Find a payment, its entries and its executions by its TransactionID, or by the name or ARN of an execution.

    The name of an execution begins with its payment's ID if the sender follows docs/integrate/sending.md, or with the
    ProcessorID if the payment was rejected without a valid ID. The name has only 45 characters of a longer ID, so the
    execution's input decides. An execution that an event bus named is found by its input, or by the item that it wrote.
    """
    is_arn = requested_id.startswith("arn:")
    if is_arn and is_fast(requested_id):
        raise StackError(f"{requested_id}: ran in the fast lane, without a history: give the payment's TransactionID")
    if is_arn and not requested_id.startswith(stack.executions_prefixes):
        raise StackError(f"{requested_id}: is not an execution of this stack's workflows")
    arns = [requested_id] if is_arn else [f"{prefix}{requested_id}" for prefix in stack.executions_prefixes]
    named = next(filter(None, (_read_if_kept(stack, arn) for arn in arns)), None)
    redrive, retry = stack.command("redrive", requested_id), stack.command("retry", requested_id)
    if named:
        return Inspection(requested_id=requested_id, execution=named, redrive_command=redrive, retry_command=retry)
    if is_arn:
        raise StackError(f"{requested_id}: there is no such execution, or it is no longer kept")
    answer, read_error = _read_payment(stack, requested_id)
    if answer["Payment"] is None and (of_payment := _recorded_fast(stack, requested_id)):
        return inspect(stack, of_payment)
    payment = answer["Payment"]
    found, searched_back_to = _find_executions(stack, requested_id)
    recorder = payment["Execution"] if payment else None
    payments_first = sorted(found, key=lambda one: one.is_entry)  # the newest of each first, since the sort is stable
    arn = recorder or (payments_first[0].arn if found else "")
    execution, log_error = None, None
    if payment and is_fast(arn):
        if taken_over := _taken_over(stack, payment, payments_first):
            arn = taken_over
        else:
            execution, log_error = _read_fast(stack, payment)
    if arn and not is_fast(arn):
        execution = _read_if_kept(stack, arn)
    others = [one for one in found if one.arn != arn]
    if len(others) > MAX_OUTCOMES:
        searched_back_to = max(filter(None, (searched_back_to, others[MAX_OUTCOMES - 1].started_at)))
    described = [_with_outcome(stack, one) for one in others[:MAX_OUTCOMES]]
    return Inspection(
        requested_id=requested_id,
        payment=payment,
        entries=answer["Entries"],
        totals=answer["Totals"],
        unreadable=answer["Unreadable"],
        execution=execution,
        other_executions=tuple(described),
        searched_back_to=searched_back_to,
        read_error=read_error,
        log_error=log_error,
        republish_after_minutes=stack.parameters["RepublishAfterMinutes"],
        redrive_command=redrive,
        retry_command=retry,
    )


def redrive_candidates(stack: Stack, requested_id: str | None) -> Iterator[str]:
    """Yield the ARNs of the executions of one ID, or of all, that may have had a technical failure."""
    if requested_id is None:
        for status in ("FAILED", "TIMED_OUT"):  # an aborted execution was stopped by a person, on purpose
            yield from (one.arn for one in list_executions(stack, status=status, limit=MAX_SEARCHED))
        return
    found = inspect(stack, requested_id)
    if found.execution and not is_fast(found.execution.arn):
        yield found.execution.arn
    yield from (one.arn for one in found.other_executions)


def _read_payment(stack: Stack, requested_id: str) -> tuple[dict[str, Any], str | None]:
    """Return the answer of the query function, and why there is none: the executions can be read all the same."""
    nothing: dict[str, Any] = {"Payment": None, "Entries": [], "Totals": None, "Unreadable": []}
    if not IDENTIFIER.fullmatch(requested_id):
        return nothing, None
    try:
        answer: dict[str, Any] = query_ledger(stack, {"TransactionID": requested_id})
    except StackError as error:
        return nothing, str(error)
    return answer, None


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
    start_input = _input_of(stack.client("stepfunctions").describe_execution(executionArn=execution.arn))
    return valid_id(start_input, "TransactionID") or valid_id(start_input, "ProcessorID")


def _input_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return an execution's input, or the refusal in it. A sender may write any text: then it is empty."""
    try:
        start_input = json.loads(described["input"])
    except (ValueError, RecursionError):
        return {}
    if isinstance(start_input, dict) and isinstance(start_input.get("Refused"), dict):
        start_input = start_input["Refused"]
    return start_input if isinstance(start_input, dict) else {}


def _with_outcome(stack: Stack, execution: ExecutionSummary) -> ExecutionSummary:
    described = stack.client("stepfunctions").describe_execution(executionArn=execution.arn)
    outcome, start_input = outcome_of(described), _input_of(described)
    try:
        entry = parse_entry(start_input, imports=True) if execution.is_entry else None
    except InvalidEntryError:
        entry = None
    return replace(
        execution,
        outcome=outcome or execution.status,
        reason=described.get("cause") if outcome else None,
        entry=entry,
        entry_id=valid_id(start_input, "EntryID"),
    )


def _recorded_fast(stack: Stack, name: str) -> str | None:
    """Return the TransactionID of the payment that an execution of this name recorded in the fast lane, if one did.

    The webhook answers and logs the name, and Step Functions does not know it.
    """
    named = NAMED_BY_INTAKE.fullmatch(name)
    payment = _read_payment(stack, named[1])[0]["Payment"] if named else None
    is_its = payment is not None and is_fast(payment["Execution"]) and name_of_execution(payment["Execution"]) == name
    return named[1] if named and is_its else None


def _taken_over(stack: Stack, payment: Mapping[str, Any], found: Iterable[ExecutionSummary]) -> str | None:
    """Return the execution to which the fast lane left an unpublished payment: it runs, or an operator can redrive it.

    A payment that is published, or never will be, needs none.
    """
    if payment["PublishedAt"] is not None or is_quiet(payment):
        return None
    described = (_with_outcome(stack, one) for one in found if not one.is_entry)
    return next((one.arn for one in itertools.islice(described, MAX_OUTCOMES) if one.outcome == one.status), None)


def _read_fast(stack: Stack, payment: Mapping[str, Any]) -> tuple[Execution | None, str | None]:
    """Return the execution of the fast lane that recorded a payment, and what is not known of it."""
    try:
        return read_fast_execution(stack, payment)
    except StackError as error:
        return None, str(error)


def _read_if_kept(stack: Stack, arn: str) -> Execution | None:
    """Return the execution; None if it does not exist, or is so old that Step Functions no longer keeps it."""
    states = stack.client("stepfunctions")
    try:
        return read_execution(stack, arn)
    except (states.exceptions.ExecutionDoesNotExist, states.exceptions.InvalidArn):
        return None
