"""The workflow, one step after the other: the part of the Amazon States Language that the definition uses.

The engine's own interpreter has no redrive, sleeps on threads of its own, and cannot be stopped at a call. This one
takes the same deployed definition; `test_it_does_what_the_engine_does` compares the two.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Invoke = Callable[[str, bytes], tuple[bytes, bool]]
"""Function ARN and JSON payload to JSON reply, and whether it raised."""


@dataclass
class Execution:
    """An execution, as far as it has come. `state` and `data` are where a redrive goes on."""

    arn: str
    started_at: str
    data: Any
    state: str
    status: str = "RUNNING"
    error: str | None = None
    cause: str | None = None
    stop_ordered: bool = False
    states: list[tuple[str, int]] = field(default_factory=list)
    """Each state that was entered, and how often its function was invoked."""


class Interpreter:
    """Runs executions of one definition."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        *,
        invoke: Invoke,
        wait: Callable[[float], None],
        now: Callable[[], str],
    ) -> None:
        self.states: Mapping[str, Any] = definition["States"]
        self.first: str = definition["StartAt"]
        self.invoke = invoke
        self.wait = wait
        self.now = now

    def start(self, arn: str, start_input: Any) -> Execution:
        """A new execution that has not begun."""
        return Execution(arn, self.now(), start_input, self.first)

    def redrive(self, execution: Execution) -> None:
        """Make a failed or stopped execution ready to go on in the state where it ended, with that state's input.

        Source: Step Functions Developer Guide, redriving executions.
        """
        assert execution.status in {"FAILED", "ABORTED"}
        execution.status, execution.error, execution.cause, execution.stop_ordered = "RUNNING", None, None, False

    def run(self, execution: Execution) -> None:
        """Run until the execution has ended."""
        while execution.status == "RUNNING":
            state = self.states[execution.state]
            execution.states.append((execution.state, 0))
            if state["Type"] == "Fail":
                execution.status, execution.error = "FAILED", state["Error"]
                execution.cause = _path(state["CausePath"], execution.data, {})
            else:
                assert state["Type"] == "Task", state["Type"]
                self._task(execution, state)
        assert execution.status in {"SUCCEEDED", "FAILED", "ABORTED"}

    def _task(self, execution: Execution, state: Mapping[str, Any]) -> None:
        context = {
            "Execution": {"Id": execution.arn, "StartTime": execution.started_at},
            "State": {"EnteredTime": self.now()},
        }
        arguments = _filled(state["Parameters"], execution.data, context)
        retried = [0] * len(state.get("Retry", []))
        while True:
            name, invocations = execution.states[-1]
            execution.states[-1] = (name, invocations + 1)
            reply, raised = self.invoke(arguments["FunctionName"], json.dumps(arguments["Payload"]).encode())
            if execution.stop_ordered:
                execution.status = "ABORTED"
                return
            if not raised:
                execution.data = _path(state["OutputPath"], {"Payload": json.loads(reply)}, {})
                if state.get("End"):
                    execution.status = "SUCCEEDED"
                else:
                    execution.state = state["Next"]
                return
            error = json.loads(reply)["errorType"]
            if not self._waited(state.get("Retry", []), retried, error):
                self._caught(execution, state, error, reply.decode())
                return

    def _waited(self, retriers: list[Mapping[str, Any]], retried: list[int], error: str) -> bool:
        """Wait as the first retrier that matches says; False where none does, or it is used up."""
        for number, retrier in enumerate(retriers):
            if _matches(retrier["ErrorEquals"], error):
                if retried[number] == retrier["MaxAttempts"]:
                    return False
                delay_s = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** retried[number]
                self.wait(min(delay_s, retrier["MaxDelaySeconds"]))
                retried[number] += 1
                return True
        return False

    def _caught(self, execution: Execution, state: Mapping[str, Any], error: str, cause: str) -> None:
        for catcher in state.get("Catch", []):
            if _matches(catcher["ErrorEquals"], error):
                execution.data, execution.state = {"Error": error, "Cause": cause}, catcher["Next"]
                return
        execution.status, execution.error, execution.cause = "FAILED", error, cause


def _matches(names: list[str], error: str) -> bool:
    return error in names or "States.ALL" in names or "States.TaskFailed" in names


def _filled(template: Any, data: Any, context: Mapping[str, Any]) -> Any:
    """A payload template with its paths replaced by what they lead to."""
    if isinstance(template, dict):
        return {
            name.removesuffix(".$"): _path(value, data, context)
            if name.endswith(".$")
            else _filled(value, data, context)
            for name, value in template.items()
        }
    return template


def _path(path: str, data: Any, context: Mapping[str, Any]) -> Any:
    """What a reference path leads to: `$`, `$.Name.Name`, or `$$.Name` for the context."""
    root, *names = path.split(".")
    value = {"$": data, "$$": context}[root]
    for name in names:
        value = value[name]
    return value
