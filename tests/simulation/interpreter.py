"""The workflows, one step after the other: the part of the Amazon States Language that the definitions use.

The engine's interpreter runs on threads of its own and sleeps there. The simulation needs one that runs in its caller's
thread, stops at a chosen call, and redrives any execution at once. This interpreter takes the same deployed
definitions; `test_the_simulation_does_what_the_engine_does` compares the two.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.fast_lane import is_fast

Invoke = Callable[[str, bytes], tuple[bytes, bool]]
"""Takes a function's ARN and a JSON payload; returns the JSON reply, and whether the function raised."""


@dataclass
class Execution:
    """An execution and its progress. A redrive continues in `state` with `data`."""

    definition: Mapping[str, Any] = field(repr=False)
    arn: str
    started_at: str
    data: Any
    state: str
    status: str = "RUNNING"
    error: str | None = None
    cause: str | None = None
    is_stop_requested: bool = False
    states: list[tuple[str, int]] = field(default_factory=list)
    """Each state that was entered, and how often its function was invoked."""
    waited_s: float = 0.0
    """Seconds for which it has waited before retries."""

    @property
    def key(self) -> tuple[str, str]:
        """The ARN and the start, since a name is free again after some months."""
        return self.arn, self.started_at

    @property
    def is_fast(self) -> bool:
        """Whether it runs in the fast lane: nobody can stop or redrive it, and no state catches a business error."""
        return is_fast(self.arn)


class Interpreter:
    """Runs executions, each of its own definition."""

    def __init__(self, *, invoke: Invoke, wait: Callable[[float], None], now: Callable[[], str]) -> None:
        self.invoke = invoke
        self.wait = wait
        self.now = now

    def start(self, definition: Mapping[str, Any], arn: str, start_input: Any) -> Execution:
        """Return a new execution that has not begun."""
        return Execution(definition, arn, self.now(), start_input, definition["StartAt"])

    def redrive(self, execution: Execution) -> None:
        """Make a failed or stopped execution ready to continue in the state in which it ended, with that state's input.

        Source: Step Functions Developer Guide, redriving executions.
        """
        assert execution.status in {"FAILED", "ABORTED"}
        execution.status, execution.error, execution.cause = "RUNNING", None, None
        execution.is_stop_requested = False

    def run(self, execution: Execution) -> None:
        """Run until the execution has ended."""
        while execution.status == "RUNNING":
            state = execution.definition["States"][execution.state]
            execution.states.append((execution.state, 0))
            if state["Type"] == "Fail":
                execution.status, execution.error = "FAILED", state["Error"]
                execution.cause = _resolve_path(state["CausePath"], execution.data, {})
            else:
                assert state["Type"] == "Task", state["Type"]
                self._run_task(execution, state)
        assert execution.status in {"SUCCEEDED", "FAILED", "ABORTED"}

    def _run_task(self, execution: Execution, state: Mapping[str, Any]) -> None:
        context = {
            "Execution": {"Id": execution.arn, "StartTime": execution.started_at},
            "State": {"EnteredTime": self.now()},
        }
        arguments = _resolve_template(state["Parameters"], execution.data, context)
        retried = [0] * len(state.get("Retry", []))
        while True:
            name, invocations = execution.states[-1]
            execution.states[-1] = (name, invocations + 1)
            reply, raised = self.invoke(arguments["FunctionName"], json.dumps(arguments["Payload"]).encode())
            if execution.is_stop_requested:
                execution.status = "ABORTED"
                return
            if not raised:
                execution.data = _resolve_path(state["OutputPath"], {"Payload": json.loads(reply)}, {})
                if state.get("End"):
                    execution.status = "SUCCEEDED"
                else:
                    execution.state = state["Next"]
                return
            error = json.loads(reply)["errorType"]
            if not self._wait_for_retry(execution, state.get("Retry", []), retried, error):
                self._catch_or_fail(execution, state, error, reply.decode())
                return

    def _wait_for_retry(
        self, execution: Execution, retriers: list[Mapping[str, Any]], retried: list[int], error: str
    ) -> bool:
        """Wait as the first matching retrier says; return False if none matches, or if it has no attempt left."""
        for number, retrier in enumerate(retriers):
            if _matches(retrier["ErrorEquals"], error):
                if retried[number] == retrier["MaxAttempts"]:
                    return False
                delay_s = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** retried[number]
                retried[number] += 1
                execution.waited_s += min(delay_s, retrier["MaxDelaySeconds"])
                self.wait(min(delay_s, retrier["MaxDelaySeconds"]))
                return True
        return False

    def _catch_or_fail(self, execution: Execution, state: Mapping[str, Any], error: str, cause: str) -> None:
        for catcher in state.get("Catch", []):
            if _matches(catcher["ErrorEquals"], error):
                execution.data, execution.state = {"Error": error, "Cause": cause}, catcher["Next"]
                return
        execution.status, execution.error, execution.cause = "FAILED", error, cause


def _matches(names: list[str], error: str) -> bool:
    """Return whether a retrier or a catcher of these names takes an error. `States.TaskFailed` matches no timeout."""
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def _resolve_template(template: Any, data: Any, context: Mapping[str, Any]) -> Any:
    """Return a payload template with the values that its paths lead to."""
    if isinstance(template, dict):
        return {
            name.removesuffix(".$"): _resolve_path(value, data, context)
            if name.endswith(".$")
            else _resolve_template(value, data, context)
            for name, value in template.items()
        }
    return template


def _resolve_path(path: str, data: Any, context: Mapping[str, Any]) -> Any:
    """Return the value that a reference path leads to: `$`, `$.Name.Name`, or `$$.Name` for the context."""
    root, *names = path.split(".")
    value = {"$": data, "$$": context}[root]
    for name in names:
        value = value[name]
    return value
