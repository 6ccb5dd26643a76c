"""Step Functions as the webhook sees it in a run: it starts executions by their names, and runs some synchronously.

Step Functions itself runs an execution that it has started. Here, `Run.run_started` does, at the moment that a scenario
chooses.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ledger_cli.engine import lambda_runtime
from tests.simulation.interpreter import Execution
from tests.support.faults import reply_to

OPERATIONS = frozenset({"DescribeExecution", "StartExecution", "StartSyncExecution"})

Begin = Callable[[Mapping[str, Any], str, Any], Execution]
"""Makes an execution that has not begun, of a definition, under an ARN, with an input."""


class StepFunctions:
    """The executions that the webhook of a run has started."""

    def __init__(
        self, definitions: Mapping[str, Mapping[str, Any]], begin: Begin, run: Callable[[Execution], None]
    ) -> None:
        """Make a service without any execution.

        Args:
            definitions: the definition of each state machine, by its ARN.
            begin: makes an execution.
            run: runs an execution to its end.
        """
        self.definitions = definitions
        self.begin = begin
        self.run = run
        self.named: dict[str, Execution] = {}
        """The executions of the Standard workflows, by their ARNs."""
        self.started: list[Execution] = []
        """Those that have not run yet."""
        self.synchronous: list[Execution] = []

    def answer(self, operation: str, request: Any) -> Any:
        """Answer a call of the service."""
        body = json.loads(request.body)
        answers = {
            "StartExecution": self._start,
            "StartSyncExecution": self._start_synchronously,
            "DescribeExecution": self._describe,
        }
        status, answer = answers[operation](body)
        return reply_to(request, status, answer)

    def begin_beside(self, request: Any) -> None:
        """Begin a synchronous execution whose caller does not wait for it: it runs beside what is started next."""
        self.started.append(self._synchronous(json.loads(request.body)))

    def _start(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        arn = f"{body['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{body['name']}"
        if arn in self.named:
            return 400, {"__type": "ExecutionAlreadyExists"}
        execution = self._begin(body, arn)
        self.named[arn] = execution
        self.started.append(execution)
        return 200, {"executionArn": arn, "startDate": 0}

    def _start_synchronously(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        execution = self._synchronous(body)
        with lambda_runtime.outside_the_handler():
            self.run(execution)
        answer = {"executionArn": execution.arn, "status": execution.status, "startDate": 0, "stopDate": 0}
        if execution.status == "SUCCEEDED":
            return 200, {**answer, "output": json.dumps(execution.data)}
        return 200, {**answer, "error": execution.error, "cause": execution.cause}

    def _synchronous(self, body: Mapping[str, Any]) -> Execution:
        prefix = body["stateMachineArn"].replace(":stateMachine:", ":express:")
        number = len(self.synchronous)
        execution = self._begin(body, f"{prefix}:{body['name']}:00000000-0000-4000-8000-{number:012d}")
        self.synchronous.append(execution)
        return execution

    def _begin(self, body: Mapping[str, Any], arn: str) -> Execution:
        return self.begin(self.definitions[body["stateMachineArn"]], arn, json.loads(body["input"]))

    def _describe(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if (execution := self.named.get(body["executionArn"])) is None:
            return 400, {"__type": "ExecutionDoesNotExist"}
        machine = execution.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")
        described = {"executionArn": execution.arn, "stateMachineArn": machine, "startDate": 0}
        return 200, {**described, "status": execution.status}
