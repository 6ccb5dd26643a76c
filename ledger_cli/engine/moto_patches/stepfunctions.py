"""Step Functions: an execution can be redriven or run synchronously, retries need not wait, and less is done twice.

moto has no `RedriveExecution` and no `StartSyncExecution`. It sleeps between retries. It parses the definition for each
execution and each path for each state, copies the state machine for each execution, and calls each function as over
HTTP. That took more than half of a run's time. It also keeps all that an execution needed while it ran.
"""

import functools
import json
import pickle
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import jsonpath_ng.ext.parser
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.logs.models import logs_backends
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser import models
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.eval.evaluation_details import StateMachineDetails
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution, SyncExecution
from moto.stepfunctions.parser.utils import TMP_THREADS
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
    yield MotoPatch(
        ("invokes_functions_as_over_http",),
        patch.object(lambda_eval_utils, "_invoke_lambda_function", invocation(hooks)),
    )
    # The engine's machines never change, so that no execution needs a copy.
    uncopied = SimpleNamespace(deepcopy=lambda machine, _memo: machine)
    yield MotoPatch(("copies_the_machine_for_each_execution",), patch.object(models, "copy", uncopied))
    yield MotoPatch(
        ("keeps_what_an_execution_needed",),
        patch.object(BaseExecutionWorkerCommunication, "terminated", ending(hooks)),
    )
    yield MotoPatch(
        ("keeps_what_an_execution_needed",), patch.object(Execution, "to_history_output", packed_history_output())
    )
    yield MotoPatch(
        ("redrives_nothing",),
        patch.object(StepFunctionResponse, "redrive_execution", redrive_execution, create=True),
    )
    yield MotoPatch(
        ("machines_of_a_stack_are_standard",),
        patch.object(StateMachine, "create_from_cloudformation_json", classmethod(created_with_its_type())),
    )
    yield MotoPatch(
        ("runs_nothing_synchronously",),
        patch.object(StepFunctionResponse, "start_sync_execution", synchronous_start(hooks), create=True),
    )


def invocation(hooks: EngineHooks) -> Callable[..., dict[str, Any]]:
    """Return a replacement of the function with which a task invokes a Lambda function."""

    def invoke(*, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        headers: dict[str, str] = {}
        reply = hooks.invoke(parameters["FunctionName"], None, parameters["Payload"], {}, headers)
        answer = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": json.loads(reply)}
        return {**answer, "FunctionError": "Unhandled"} if headers else answer

    return invoke


def ending(hooks: EngineHooks) -> Callable[[Any], None]:
    """Return a replacement of the method that moto calls when an execution has ended.

    What is left of the execution is what it answers questions with, and its history in a tenth of the space.
    """
    reflect: Callable[[Any], None] = BaseExecutionWorkerCommunication.terminated

    def terminated(communication: Any) -> None:
        execution = communication.execution
        execution.packed = zlib.compress(pickle.dumps(Execution.to_history_output(execution)), level=1)
        reflect(communication)
        execution.exec_worker = None
        TMP_THREADS.clear()  # moto adds every thread, and never reads them
        hooks.ended()

    return terminated


def packed_history_output() -> Callable[[Any], Any]:
    """Return a replacement of `Execution.to_history_output` that also answers after the end."""
    running: Callable[[Any], Any] = Execution.to_history_output

    def to_history_output(execution: Any) -> Any:
        packed = getattr(execution, "packed", None)
        return pickle.loads(zlib.decompress(packed)) if packed else running(execution)  # noqa: S301  # our own bytes

    return to_history_output


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


def created_with_its_type() -> Callable[..., Any]:
    """Return a replacement of `create_from_cloudformation_json` that keeps the type and the group of the log."""
    create: Any = vars(StateMachine)["create_from_cloudformation_json"].__func__

    def created(cls: type, resource_name: str, cloudformation_json: Any, *arguments: Any, **named: Any) -> Any:
        machine = create(cls, resource_name, cloudformation_json, *arguments, **named)
        properties = cloudformation_json["Properties"]
        machine.type = properties.get("StateMachineType", "STANDARD")
        machine.loggingConfiguration = properties.get("LoggingConfiguration", {})
        return machine

    return created


class StateMachineTypeNotSupported(AWSError):  # noqa: N818  # the service's name for it
    """The error of a Standard workflow that shall run synchronously. Source: Step Functions API, StartSyncExecution."""

    TYPE = "StateMachineTypeNotSupported"


def synchronous_start(hooks: EngineHooks) -> Callable[[StepFunctionResponse], ActionResult]:
    """Return the method that answers `states:StartSyncExecution`.

    Functions run within this call, so it holds the lock only while it reads and writes. Nothing keeps the execution
    when it has ended, except the log that its workflow has.
    """

    def start_sync_execution(request: StepFunctionResponse) -> ActionResult:
        with hooks.lock:
            machine: Any = request.stepfunction_backend.describe_state_machine(request._get_param("stateMachineArn"))
            if machine.type != "EXPRESS":
                raise StateMachineTypeNotSupported(f"State machine is not of type EXPRESS: '{machine.arn}'")
            execution = _synchronous(machine, request._get_param("name"), request._get_param("input") or "{}")
        execution.start()
        with hooks.lock:
            _write_log(execution, machine.loggingConfiguration)
        return ActionResult(execution.to_start_sync_execution_output())

    return start_sync_execution


def _synchronous(machine: Any, name: str | None, start_input: str) -> SyncExecution:
    prefix = machine.arn.replace(":stateMachine:", ":express:")
    _, _, _, region, account, *_ = machine.arn.split(":")
    name = name or str(uuid.uuid4())
    return SyncExecution(
        name=name,
        sm_type=machine.type,
        role_arn=machine.roleArn,
        exec_arn=f"{prefix}:{name}:{uuid.uuid4()}",
        account_id=account,
        region_name=region,
        state_machine=machine,
        start_date=datetime.now(UTC),
        cloud_watch_logging_session=None,
        activity_store={},
        input_data=start_input,
    )


def _write_log(execution: Any, configuration: Mapping[str, Any]) -> None:
    """Write the events of an execution to the log group of its workflow, without any data.

    Source: Step Functions Developer Guide, logging, level ALL without execution data.
    """
    (destination,) = configuration["Destinations"]
    group, stream = destination["CloudWatchLogsLogGroup"]["LogGroupArn"].split(":")[6], "states/embedded-engine"
    _, _, _, region, account, *_ = execution.exec_arn.split(":")
    backend = logs_backends[account][region]
    if stream not in backend.groups[group].streams:
        backend.create_log_stream(group, stream)
    backend.put_log_events(group, stream, [_log_event(execution.exec_arn, one) for one in history_of(execution)])


def _log_event(execution_arn: str, event: Mapping[str, Any]) -> dict[str, Any]:
    details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("EventDetails")), {})
    at_ms = round(datetime.fromisoformat(str(event["timestamp"])).timestamp() * 1000)
    message = {
        "id": f"{event['id']}",
        "type": event["type"],
        "details": {name: value for name, value in details.items() if name in {"name", "resource", "resourceType"}},
        "previous_event_id": f"{event['previousEventId']}",
        "event_timestamp": f"{at_ms}",
        "execution_arn": execution_arn,
    }
    return {"timestamp": at_ms, "message": json.dumps(message)}
