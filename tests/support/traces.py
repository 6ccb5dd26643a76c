"""The traces of a run: everything that functions and executions leave behind, by place."""

import json
from collections import defaultdict
from typing import Any

import pytest

from ledger_cli.engine import Engine
from ledger_cli.engine.calls import Call

SENT = {
    "DescribeExecution: input",
    "history: start, ExecutionStarted",
    "history: Validate Payment, TaskStateEntered",
    "history: Validate Payment, TaskScheduled",
}
"""The places that hold an unsealed token because the sender put it there."""

VALIDATED = SENT | {
    "history: Validate Payment, TaskSucceeded",
    "history: Validate Payment, TaskStateExited",
    "history: Encrypt Token, TaskStateEntered",
    "history: Encrypt Token, TaskScheduled",
}
"""Those places, and the ones through which the workflow hands the token to the one state that needs it."""

ENCRYPTED = VALIDATED | {"request: encrypt_token Encrypt Plaintext"}
"""Those places, and the one AWS call that must hold the token. No other place holds it, and no place a sealed one."""


class Traces:
    """Everything that functions and executions leave behind, from the moment at which this is made."""

    def __init__(self, engine: Engine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        self._engine, self._caplog, self._capsys = engine, caplog, capsys
        self._arns: list[str] = []
        self._requests: dict[str, list[object]] = defaultdict(list)
        self._answers: list[object] = []

    def keep(self, function: str, request: Any) -> None:
        """Keep a request that a function sends, field by field: only one field of Encrypt's may hold the token."""
        place = f"request: {function} {Call.of(function, request).operation}"
        self._requests[f"{place} headers"].append([request.url, dict(request.headers)])
        for name, value in json.loads(request.body).items():
            self._requests[f"{place} {name}"].append([name, value])

    def run(self, start_input: object) -> Any:
        """Start an execution with this input, and return it when it has ended."""
        execution = self._engine.run(json.dumps(start_input))
        self._arns.append(execution.arn)
        return execution

    def wait_for(self, arn: str) -> Any:
        """Wait for an execution that the test has not started itself, and return it."""
        self._arns.append(arn)
        return self._engine.wait_for(arn)

    def answered(self, answer: tuple[int, dict[str, str], bytes]) -> int:
        """Keep a webhook's answer and the execution that it names; return its status."""
        status, headers, body = answer
        self._answers.append([headers, body])
        if name := json.loads(body).get("Execution"):
            prefix = self._engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
            self.wait_for(f"{prefix}:{name}")
        return status

    def places(self) -> dict[str, object]:
        """Return everything that was left behind, by the name of its place."""
        places: dict[str, Any] = defaultdict(list, self._requests)
        for arn in self._arns:
            state = "start"
            for event in self._engine.history(arn):
                state = event.get("stateEnteredEventDetails", {}).get("name", state)
                places[f"history: {state}, {event['type']}"].append(event)
            described = self._engine.client("stepfunctions").describe_execution(executionArn=arn)
            for name, value in described.items():
                places[f"DescribeExecution: {name}"].append(value)
        for function in self._engine.functions.values():  # their logs hold metrics and tracebacks, too
            places[f"logs: {function.name}"] = function.logs
        printed = self._capsys.readouterr()
        places |= {"table": self._engine.items(), "bus": self._engine.published()}
        places |= {"stdout": printed.out, "stderr": printed.err, "webhook": self._answers}
        return {**places, "log records": [[record.getMessage(), vars(record)] for record in self._caplog.records]}
