"""An execution as its history tells it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ledger.outcome import DETAIL_TYPES, outcome_of

Became = Literal["succeeded", "caught", "failed", "running"]


@dataclass(slots=True)
class StateRun:
    """One state that an execution went through; `attempts` counts its task's invocations, `errors` those that failed.

    `caught` is a state whose refusal a Catch took; `failed` the one in which the execution ended.
    """

    name: str
    milliseconds: float
    attempts: int
    errors: list[str] = field(default_factory=list)
    became: Became = "running"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a history: never its input or output."""

    number: int
    at: datetime
    type: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Execution:
    """What an operator sees of an execution. `error` and `cause` are set where it did not succeed.

    `outcome` is `RECORDED`, `DUPLICATE`, `REJECTED` or `CONFLICT`; None while it runs, or where it failed technically.
    `published` are the detail type and OutcomeID of the event that it told its outcome with.
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
    """Why Step Functions would refuse to redrive it, where it says so."""

    @classmethod
    def from_history(cls, described: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> "Execution":
        """Read the answers of `DescribeExecution` and `GetExecutionHistory`."""
        output = described.get("output")
        reading = _Reading()
        for event in history:
            reading.take(event)
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
            states=tuple(reading.states),
            events=tuple(reading.events),
            published=reading.published,
            not_redrivable=described.get("redriveStatusReason")
            if described.get("redriveStatus") == "NOT_REDRIVABLE"
            else None,
        )

    @property
    def failed_technically(self) -> bool:
        """Whether it ended without an outcome: it can be redriven."""
        return self.outcome is None and self.status in {"FAILED", "TIMED_OUT", "ABORTED"}

    @property
    def refusal(self) -> str | None:
        """Why it did not succeed, in a line: a refusal's reason, or a technical error's name and message."""
        if self.error is None:
            return None
        cause = self.cause or ""
        try:  # a function's error, as the runtime reports it; a person's, who stopped it, may be anything
            reported = json.loads(cause)
        except (ValueError, RecursionError):
            reported = None
        if isinstance(reported, dict) and "errorMessage" in reported:
            cause = str(reported["errorMessage"])
        return f"{self.error}: {cause}".rstrip(": ")


class _Reading:
    """Puts a history's events together to the states that they are about."""

    def __init__(self) -> None:
        self.states: list[StateRun] = []
        self.events: list[Event] = []
        self.published: tuple[str, str] | None = None
        self._entered_at: datetime | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """The next event, in the order of the history."""
        kind, details = event["type"], _details(event)
        if kind.endswith("StateEntered"):
            self._leave(event["timestamp"])
            # Redriven, an execution may enter the state anew that it failed in: that is one state to whoever looks.
            if not (self.states and self.states[-1].became == "failed" and self.states[-1].name == details["name"]):
                self.states.append(StateRun(details["name"], 0.0, 0))
            self._entered_at = event["timestamp"]
        run = self.states[-1] if self.states else None
        if run is not None:
            self._follow(run, kind, details, event["timestamp"])
        name = run.name if run is not None and not kind.startswith("Execution") else ""
        self.events.append(Event(event["id"], event["timestamp"], kind, name, details.get("error")))

    def _follow(self, run: StateRun, kind: str, details: Mapping[str, Any], at: datetime) -> None:
        if kind == "TaskScheduled":
            # Redriven, a state goes on without being entered anew.
            self._entered_at, run.became = self._entered_at or at, "running"
            run.attempts += 1
        elif kind in {"TaskFailed", "TaskTimedOut", "TaskSubmitFailed", "TaskStartFailed"}:
            run.errors.append(details.get("error") or kind)
        elif kind == "TaskSucceeded":
            run.became = "succeeded"
            self._note_publication(details)
        elif kind.endswith("StateExited"):
            run.became = "succeeded" if run.became == "succeeded" else "caught"
            self._leave(at)
        elif kind in {"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"}:
            run.became = run.became if run.became == "succeeded" else "failed"
            self._leave(at)
        elif kind == "ExecutionSucceeded":
            self._leave(at)

    def _leave(self, at: datetime) -> None:
        if self._entered_at is not None:
            self.states[-1].milliseconds += (at - self._entered_at).total_seconds() * 1000
            self._entered_at = None

    def _note_publication(self, details: Mapping[str, Any]) -> None:
        """The publishing function replies with what it told; no other reply holds both names."""
        try:
            payload = json.loads(details.get("output") or "{}").get("Payload")
        except (ValueError, RecursionError):  # cut, or left out
            return
        if isinstance(payload, dict) and {"Outcome", "OutcomeID"} <= payload.keys():
            self.published = (DETAIL_TYPES[payload["Outcome"]], payload["OutcomeID"])


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in event.items():
        if name.endswith("EventDetails") and isinstance(value, dict):
            return value
    return {}
