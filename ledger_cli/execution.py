"""An execution as its history tells it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.outcome import outcome_of


@dataclass(frozen=True, slots=True)
class StateRun:
    """One state that an execution went through; `attempts` counts its task's invocations."""

    name: str
    milliseconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What an operator sees of an execution. `error` and `cause` are set where it did not succeed.

    `outcome` is `RECORDED`, `DUPLICATE`, `REJECTED` or `CONFLICT`; None while it runs, or where it failed technically.
    """

    name: str
    arn: str
    status: str
    outcome: str | None
    output: Any
    error: str | None
    cause: str | None
    states: tuple[StateRun, ...]

    @classmethod
    def from_history(cls, described: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> "Execution":
        """Read the answers of `DescribeExecution` and `GetExecutionHistory`."""
        output = described.get("output")
        return cls(
            name=described["name"],
            arn=described["executionArn"],
            status=described["status"],
            outcome=outcome_of(described),
            output=None if output is None else json.loads(output),
            error=described.get("error"),
            cause=described.get("cause"),
            states=tuple(_states(events)),
        )


def _states(events: Iterable[Mapping[str, Any]]) -> Iterable[StateRun]:
    entered: tuple[str, datetime] | None = None
    attempts = 0
    for event in events:
        if entered and (event["type"].endswith("StateEntered") or event["type"].startswith("Execution")):
            name, since = entered
            yield StateRun(name, (event["timestamp"] - since).total_seconds() * 1000, attempts)
            entered = None
        if event["type"].endswith("StateEntered"):
            entered, attempts = (event["stateEnteredEventDetails"]["name"], event["timestamp"]), 0
        attempts += event["type"] == "TaskScheduled"
