"""What moto's Step Functions lacks: `RedriveExecution`, which goes on with an execution in the state that failed."""

import json
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.asl.eval.evaluation_details import StateMachineDetails
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.responses import StepFunctionResponse

REDRIVABLE = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class ExecutionNotRedrivable(AWSError):  # noqa: N818  # the service's name for it
    """Source: Step Functions API, RedriveExecution."""

    TYPE = "ExecutionNotRedrivable"


class RedrivenExecution(Execution):
    """The same execution, by name, ARN and start, from the state that failed, with what that state was given."""

    def __init__(self, failed: Any, machine: Any) -> None:
        history = history_of(failed)
        entered = [event for event in history if "stateEnteredEventDetails" in event][-1]
        details = entered["stateEnteredEventDetails"]
        self.starts_at = details["name"]
        self.before = [*history, _redriven(history)]
        _, _, _, region, account, *_ = failed.execution_arn.split(":")
        super().__init__(
            name=failed.name,
            sm_type=machine.sm_type,
            role_arn=machine.roleArn,
            exec_arn=failed.execution_arn,
            account_id=account,
            region_name=region,
            state_machine=machine,
            start_date=failed.start_date,
            cloud_watch_logging_session=None,
            activity_store={},
            input_data=details["input"],
        )
        self.execution_input = failed.execution_input  # which is what it was started with, and is described by

    def get_start_state_machine_details(self) -> StateMachineDetails:
        """The definition, which starts where this goes on."""
        details = super().get_start_state_machine_details()
        definition = json.loads(details.definition)
        return StateMachineDetails(
            arn=details.arn,
            name=details.name,
            typ=details.typ,
            definition=json.dumps({**definition, "StartAt": self.starts_at}),
        )

    def to_history_output(self) -> Any:
        """One history: what was before, and what came after, without a second start."""
        events: list[dict[str, Any]] = [dict(event) for event in super().to_history_output()["events"][1:]]
        for event in events:
            event["id"] += len(self.before) - 1
            event["previousEventId"] = event["id"] - 1
        return {"events": [*self.before, *events]}


def history_of(execution: Any) -> list[Any]:
    """An execution's history events."""
    events: list[Any] = execution.to_history_output()["events"]
    return events


def _redriven(history: list[Any]) -> dict[str, Any]:
    number = len(history) + 1
    count = sum(event["type"] == "ExecutionRedriven" for event in history) + 1
    now = datetime.now(UTC)
    return {
        "timestamp": type(history[0]["timestamp"])(now.isoformat())
        if isinstance(history[0]["timestamp"], str)
        else now,
        "type": "ExecutionRedriven",
        "id": number,
        "previousEventId": number - 1,
        "executionRedrivenEventDetails": {"redriveCount": count},
    }


def redrive_execution(request: StepFunctionResponse) -> ActionResult:
    """`states:RedriveExecution`."""
    arn = request._get_param("executionArn")  # noqa: SLF001  # moto has no other way to a parameter
    backend: Any = request.stepfunction_backend
    failed = backend.describe_execution(arn)
    if failed.status not in REDRIVABLE:
        raise ExecutionNotRedrivable(f"Execution is {failed.status} and cannot be redriven: '{arn}'")
    machine = backend.describe_state_machine(failed.state_machine_arn)
    redriven = RedrivenExecution(failed, machine)
    executions: list[Any] = machine.executions
    executions[executions.index(failed)] = redriven
    redriven.start()
    return ActionResult({"redriveDate": datetime.now(UTC)})
