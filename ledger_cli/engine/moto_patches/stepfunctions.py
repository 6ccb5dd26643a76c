"""Step Functions: an execution can be redriven, a test need not wait for retries, and what is parsed is kept.

moto has no `RedriveExecution`. It sleeps between retries. It parses the definition for each execution and each path for
each state, and makes a client for each task. That took half of a run's time.
"""

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import jsonpath_ng.ext.parser
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.eval.evaluation_details import StateMachineDetails
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.responses import StepFunctionResponse

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

REDRIVABLE = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


def patches(hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("retries_sleep",), patch.object(retrier_decl, "time", SimpleNamespace(sleep=hooks.wait)))
    # A parsed definition has no state of its own: an execution's state is in its environment.
    parse = functools.lru_cache(maxsize=4)(AmazonStateLanguageParser.parse)
    yield MotoPatch(("parses_for_each_execution",), patch.object(AmazonStateLanguageParser, "parse", parse))
    parse_path = functools.lru_cache(maxsize=64)(jsonpath_ng.ext.parser.parse)
    yield MotoPatch(("parses_paths_for_each_state",), patch.object(json_path, "parse", parse_path))
    once = SimpleNamespace(client=one_client_for_each_service())
    yield MotoPatch(("makes_a_client_for_each_task",), patch.object(boto_client, "boto3", once))
    yield MotoPatch(
        ("redrives_nothing",),
        patch.object(StepFunctionResponse, "redrive_execution", redrive_execution, create=True),
    )


def one_client_for_each_service() -> Callable[..., Any]:
    """Return a replacement of `boto3.client` for tasks, whose clients differ in nothing but service and region."""
    clients: dict[tuple[str, str], Any] = {}

    def client(*, service_name: str, region_name: str, **settings: Any) -> Any:
        key = service_name, region_name
        if key not in clients:
            clients[key] = boto3.client(service_name=service_name, region_name=region_name, **settings)  # type: ignore[call-overload]
        return clients[key]

    return client


class ExecutionNotRedrivable(AWSError):  # noqa: N818  # the service's name for it
    """The error of an execution that cannot be redriven. Source: Step Functions API, RedriveExecution."""

    TYPE = "ExecutionNotRedrivable"


class RedrivenExecution(Execution):
    """An execution that continues in the state that failed, with that state's input. Name, ARN and start stay."""

    def __init__(self, failed: Any, machine: Any) -> None:
        history = history_of(failed)
        entered = [event for event in history if "stateEnteredEventDetails" in event][-1]
        details = entered["stateEnteredEventDetails"]
        self.starts_at = details["name"]
        self.before = [*history, _redriven_event(history)]
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
        self.execution_input = failed.execution_input  # `DescribeExecution` answers with the input of the start

    def get_start_state_machine_details(self) -> StateMachineDetails:
        """Return the definition, which starts at the state that failed."""
        details = super().get_start_state_machine_details()
        definition = json.loads(details.definition)
        return StateMachineDetails(
            arn=details.arn,
            name=details.name,
            typ=details.typ,
            definition=json.dumps({**definition, "StartAt": self.starts_at}),
        )

    def to_history_output(self) -> Any:
        """Return one history: the events before the redrive and those after it, without a second start."""
        events: list[dict[str, Any]] = [dict(event) for event in super().to_history_output()["events"][1:]]
        for event in events:
            event["id"] += len(self.before) - 1
            event["previousEventId"] = event["id"] - 1
        return {"events": [*self.before, *events]}


def history_of(execution: Any) -> list[Any]:
    """Return an execution's history events."""
    events: list[Any] = execution.to_history_output()["events"]
    return events


def _redriven_event(history: list[Any]) -> dict[str, Any]:
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
    """Answer `states:RedriveExecution`."""
    arn = request._get_param("executionArn")
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
