"""An execution of the workflow, read from its history."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ledger.outcome import detail_type_of, outcome_of

StateResult = Literal["succeeded", "caught", "failed", "running"]


@dataclass(slots=True)
class StateRun:
    """One state that an execution went through.

    Attributes:
        name: the state's name.
        milliseconds: the time that the execution was in the state.
        attempts: the number of invocations of the state's task.
        errors: the names of the errors with which attempts failed.
        result: how the state ended. `caught` is a state whose rejection or conflict a Catch took, `failed` the state in
            which the execution ended.
    """

    name: str
    milliseconds: float
    attempts: int
    errors: list[str] = field(default_factory=list)
    result: StateResult = "running"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a history, without its input and output."""

    number: int
    at: datetime
    type: str
    state: str
    error: str | None


def is_entry_execution(arn: str) -> bool:
    """Return whether an execution belongs to the entries' workflow, whose name in the ARN may have a suffix."""
    return ":execution:PaymentEntries" in arn


def message_of(cause: str | None) -> str:
    """Return the message of an execution's error, without a function's stack trace."""
    try:  # the Lambda runtime reports a function's error as JSON; a person who stops an execution writes any text
        reported = json.loads(cause or "")
    except (ValueError, RecursionError):
        reported = None
    if isinstance(reported, dict) and "errorMessage" in reported:
        return str(reported["errorMessage"])
    return cause or ""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as an operator sees it.

    Attributes:
        outcome: `RECORDED`, `DUPLICATE`, `REJECTED` (a payment), `REFUSED` (an entry) or `CONFLICT`. None if it still
            runs, or had a technical failure.
        error: the name of the error with which it ended; None if it succeeded or still runs.
        cause: the message of that error.
        published: the detail type and the OutcomeID of the event that published the outcome.
        not_redrivable: why Step Functions cannot redrive it, if Step Functions gives a reason.
    """

    name: str
    arn: str
    status: str
    outcome: str | None
    output: Any
    error: str | None
    cause: str | None
    started_at: datetime
    ended_at: datetime | None
    states: tuple[StateRun, ...]
    events: tuple[Event, ...]
    published: tuple[str, str] | None
    not_redrivable: str | None = None

    @classmethod
    def from_history(cls, described: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> "Execution":
        """Return the execution that the answers of `DescribeExecution` and `GetExecutionHistory` describe."""
        output = described.get("output")
        reader = _HistoryReader()
        for event in history:
            reader.read(event)
        return cls(
            name=described["name"],
            arn=described["executionArn"],
            status=described["status"],
            outcome=outcome_of(described),
            output=None if output is None else json.loads(output),
            error=described.get("error"),
            cause=described.get("cause"),
            started_at=described["startDate"],
            ended_at=described.get("stopDate"),
            states=tuple(reader.states),
            events=tuple(reader.events),
            published=reader.published,
            not_redrivable=described.get("redriveStatusReason")
            if described.get("redriveStatus") == "NOT_REDRIVABLE"
            else None,
        )

    @property
    def is_entry(self) -> bool:
        """Whether it belongs to the entries' workflow."""
        return is_entry_execution(self.arn)

    @property
    def had_technical_failure(self) -> bool:
        """Whether it ended without an outcome. It can be redriven, unless `not_redrivable` says why not."""
        return self.outcome is None and self.status in {"FAILED", "TIMED_OUT", "ABORTED"}

    @property
    def reason(self) -> str | None:
        """Why it did not succeed, in one line: the reason of a rejection or conflict, or a technical error."""
        return None if self.error is None else f"{self.error}: {message_of(self.cause)}".rstrip(": ")


class _HistoryReader:
    """Assigns the events of a history to the states that they are about."""

    def __init__(self) -> None:
        self.states: list[StateRun] = []
        self.events: list[Event] = []
        self.published: tuple[str, str] | None = None
        self._entered_at: datetime | None = None

    def read(self, event: Mapping[str, Any]) -> None:
        """Read the next event, in the order of the history."""
        kind, details = event["type"], _details(event)
        if kind.endswith("StateEntered"):
            self._leave(event["timestamp"])
            # A redriven execution may enter the state in which it failed again. An operator sees that as one state.
            if not (self.states and self.states[-1].result == "failed" and self.states[-1].name == details["name"]):
                self.states.append(StateRun(details["name"], 0.0, 0))
            self._entered_at = event["timestamp"]
        run = self.states[-1] if self.states else None
        if run is not None:
            self._follow(run, kind, details, event["timestamp"])
        name = run.name if run is not None and not kind.startswith("Execution") else ""
        self.events.append(Event(event["id"], event["timestamp"], kind, name, details.get("error")))

    def _follow(self, run: StateRun, kind: str, details: Mapping[str, Any], at: datetime) -> None:
        if kind == "TaskScheduled":
            # A redriven state may also continue without an event that enters it.
            self._entered_at, run.result = self._entered_at or at, "running"
            run.attempts += 1
        elif kind in {"TaskFailed", "TaskTimedOut", "TaskSubmitFailed", "TaskStartFailed"}:
            run.errors.append(details.get("error") or kind)
        elif kind == "TaskSucceeded":
            run.result = "succeeded"
            self._note_publication(details)
        elif kind.endswith("StateExited"):
            run.result = "succeeded" if run.result == "succeeded" else "caught"
            self._leave(at)
        elif kind in {"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}:
            run.result = run.result if run.result == "succeeded" else "failed"
            self._leave(at)
        elif kind == "ExecutionSucceeded":
            self._leave(at)

    def _leave(self, at: datetime) -> None:
        if self._entered_at is not None:
            self.states[-1].milliseconds += (at - self._entered_at).total_seconds() * 1000
            self._entered_at = None

    def _note_publication(self, details: Mapping[str, Any]) -> None:
        """Keep what the publishing function replied that it published. No other reply has both names."""
        try:
            payload = json.loads(details.get("output") or "{}").get("Payload")
        except (ValueError, RecursionError):  # Step Functions cut the output, or left it out
            return
        if isinstance(payload, dict) and {"Outcome", "OutcomeID"} <= payload.keys():
            self.published = (detail_type_of(payload["Outcome"], payload), payload["OutcomeID"])


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in event.items():
        if name.endswith("EventDetails") and isinstance(value, dict):
            return value
    return {}
