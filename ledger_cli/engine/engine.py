"""`Engine`: an AWS account with one stack in it, made from `template.yaml`, in this process.

What moto lacks is bridged here; `tests/engine/test_bridges.py` fails when a bridge is no longer needed.
It is not AWS: `docs/internals/engine.md` says what it does not enforce.
"""

import functools
import itertools
import json
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

import boto3
import botocore.endpoint
import jsonpath_ng.ext.parser
import moto.stepfunctions.models
import requests
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import DEFAULT_ACCOUNT_ID, MockAWS
from moto.core.responses import BaseResponse
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.ec2.models.vpcs import VPCEndPoint
from moto.events.models import Rule, events_backends
from moto.kms.responses import KmsResponse
from moto.secretsmanager.models import SecretsManagerBackend, secretsmanager_backends
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

from ledger_cli import REGION, ROOT
from ledger_cli.engine import (
    dynamodb,
    endpoints,
    http_api,
    kms,
    lambda_runtime,
    redrive,
    rules,
    sam_local,
    secretsmanager,
    served,
    template,
)
from ledger_cli.engine.state import State
from ledger_cli.environment import without_the_shells_variables
from ledger_cli.stack.execution import Execution

ACCOUNT_ID = DEFAULT_ACCOUNT_ID
STACK_NAME = "payment-ledger"
LOCAL_PARAMETERS = {
    "PlaintextTokens": "accepted",
    "ProcessorsBus": "open",
    "RevealTokens": "allowed",
    "Webhook": "open",
}
"""What a stack for trying has otherwise than the template's defaults: all ways in, and samples' tokens in clear."""

EXECUTION_TIMEOUT_S = 900
"""Longer than all retries of all four states together."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a function sent to AWS: to which host, and which operation."""

    function: str
    host: str
    operation: str

    @classmethod
    def of(cls, function: str, request: Any) -> Self:
        """Read it from the signed request; the services in use name their operation in a header."""
        target = request.headers.get("X-Amz-Target", b"").decode()
        return cls(function, urlsplit(request.url).hostname or "", target.rpartition(".")[2])


class Engine:
    """One deployed stack in an account of its own, from `with` to the end of the block.

    moto replaces AWS in the whole process, so one engine lives at a time. Functions run in this process
    too, but where `lambda_endpoint` names a `sam local start-lambda`, which runs them in containers.
    """

    _alive: "Engine | None" = None
    account_id = ACCOUNT_ID

    def __init__(
        self,
        *,
        template_file: Path = ROOT / "template.yaml",
        parameters: Mapping[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
        state: State | None = None,
    ) -> None:
        """Deploy the stack.

        Args:
            template_file: the SAM template; code, workflow and events lie beside it.
            parameters: the stack's parameters, over the template's defaults and `LOCAL_PARAMETERS`.
            wait: how the workflow and the SDK wait before a retry, in seconds; a test need not wait.
            state: what an engine before this one held, to go on with.
        """
        if Engine._alive is not None:
            raise RuntimeError("an engine is alive in this process; leave its `with` block first")
        parameters = {**LOCAL_PARAMETERS, **(parameters or {})}
        self._wait = wait
        self._aws_turn = threading.RLock()
        self._numbers = itertools.count(1)
        self._clients: dict[str, Any] = {}
        self.lambda_endpoint: str | None = None
        self.calls: list[Call] = []
        self.functions: dict[str, lambda_runtime.LocalFunction] = {}
        with ExitStack() as stack:
            self._replace_aws(stack)
            self.template = template.expand(template_file, parameters)
            resources = self.template["Resources"].items()
            self.skipped = {name: r["Type"] for name, r in resources if r["Type"] in template.SKIPPED_TYPES}
            with state.keys() if state else nullcontext():
                self._deploy(template_file.parent, parameters)
            if state:
                state.restore(self)
            self._stack = stack.pop_all()
        Engine._alive = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give AWS back to the process."""
        Engine._alive = None
        self._stack.close()

    # ── What people and tests ask of it ─────────────────────────────────────────────────────────────

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded account."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
        return self._clients[service]

    def start(self, start_input: str, name: str | None = None) -> str:
        """Start an execution with JSON text as its input; returns its ARN."""
        if name is None:
            name = f"payment-{next(self._numbers):06d}"
        reply = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["WorkflowArn"], name=name, input=start_input
        )
        return str(reply["executionArn"])

    def run(self, start_input: str, name: str | None = None) -> Execution:
        """Start an execution and wait until it has ended."""
        return self.ended(self.start(start_input, name))

    def ended(self, arn: str) -> Execution:
        """The execution once it has ended."""
        backend = stepfunctions_parser_backends[ACCOUNT_ID][REGION]
        running = backend.describe_execution(arn)
        deadline = time.monotonic() + EXECUTION_TIMEOUT_S
        while not _is_told(running):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arn} has not ended within {EXECUTION_TIMEOUT_S} s")
            time.sleep(0.001)
        return Execution.from_history(
            self.client("stepfunctions").describe_execution(executionArn=arn), self.history(arn)
        )

    def executions(self) -> list[str]:
        """ARNs of all executions, in the order in which they were started."""
        machines = stepfunctions_parser_backends[ACCOUNT_ID][REGION].state_machines
        return [execution.execution_arn for machine in machines for execution in machine.executions]

    def has_ended(self, arn: str) -> bool:
        """Whether an execution has ended, with all that there is to tell of it."""
        return _is_told(stepfunctions_parser_backends[ACCOUNT_ID][REGION].describe_execution(arn))

    @property
    def between_calls(self) -> AbstractContextManager[bool]:
        """A lock; while it is held, no call of AWS changes what the account holds."""
        return self._aws_turn

    def answer(self, request: http_api.Request) -> tuple[int, dict[str, str], bytes] | None:
        """What the stack's HTTP API answers: status, headers and body; None if no route has the path."""
        answer = None
        for route in http_api.routes(self.template):
            parameters = route.parameters_in(request.path)
            if parameters is not None and route.function in self.functions:
                if route.method == request.method:
                    return self._answer_of(route, request, parameters)
                answer = 404, {"content-type": "application/json"}, b'{"message":"Not Found"}'
        return answer

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The execution's history events."""
        events: list[dict[str, Any]] = self.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
        return events

    def forget_history(self) -> None:
        """What 90 days do: executions are gone and their names are free; the table stays."""
        for machine in stepfunctions_parser_backends[ACCOUNT_ID][REGION].state_machines:
            machine.executions.clear()

    def clear(self) -> None:
        """The stack as it was deployed: no item, no event, no execution, no processor's secret, no log.

        What still runs is waited for: it would write into what comes after.
        """
        for arn in self.executions():
            self.ended(arn)
        dynamodb_backends[ACCOUNT_ID][REGION].tables[self.outputs["TableName"]].items.clear()
        for archive in events_backends[ACCOUNT_ID][REGION].archives.values():
            archive.events.clear()
        secretsmanager_backends[ACCOUNT_ID][REGION].reset()
        self.forget_history()
        self.calls.clear()
        for function in self.functions.values():
            function.logs.clear()

    def items(self) -> list[dict[str, Any]]:
        """Every item of the ledger, in DynamoDB's attribute form, by TransactionID."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["TableName"])
        found = [item for page in pages for item in page["Items"]]
        return sorted(found, key=lambda item: item["TransactionID"]["S"])

    def published(self) -> list[dict[str, Any]]:
        """Every event that the bus has archived, in the order of publication."""
        archives = events_backends[ACCOUNT_ID][REGION].archives.values()
        return [dict(event) for archive in archives for event in archive.events]

    def logs(self) -> str:
        """All that the functions have printed."""
        return "".join(text for function in self.functions.values() for text in function.logs)

    # ── How it is made ──────────────────────────────────────────────────────────────────────────────

    def _replace_aws(self, stack: ExitStack) -> None:
        stack.enter_context(without_the_shells_variables())
        os.environ["VALIDATE_LAMBDA_S3"] = "false"  # the code is not in a bucket: it runs where it lies
        # `mock_aws` would call a moto server if a variable said so when moto was imported; this never does.
        mocked = MockAWS({"lambda": {"use_docker": False}, "stepfunctions": {"execute_state_machine": True}})
        stack.enter_context(mocked)
        stack.callback(lambda_runtime.release_stdout)
        # moto parses start inputs, and Python reads no integer of more than 4,300 digits unless it is told to.
        stack.callback(sys.set_int_max_str_digits, sys.get_int_max_str_digits())
        sys.set_int_max_str_digits(0)

        # moto logs each refusal, and the whole state with it.
        stack.enter_context(
            patch.multiple(logging.getLogger("moto"), propagate=False, handlers=[logging.NullHandler()])
        )
        # moto's CloudFormation creates state machines in the backend that does not execute them.
        executing = patch.object(moto.stepfunctions.models, "stepfunctions_backends", stepfunctions_parser_backends)
        stack.enter_context(executing)
        stack.callback(stepfunctions_parser_backends.reset)
        # moto's functions only echo.
        stack.enter_context(patch.object(LambdaSimpleBackend, "invoke", self._invoke))
        # moto's ReEncrypt takes any key for the source key.
        stack.enter_context(patch.object(KmsResponse, "re_encrypt", kms.re_encrypt))
        # moto's Query starts anywhere.
        stack.enter_context(patch.object(Table, "query", dynamodb.query))
        # moto's BatchGetSecretValue fails if one of the secrets is to be deleted.
        reading = patch.object(SecretsManagerBackend, "batch_get_secret_value", secretsmanager.batch_get_secret_value)
        stack.enter_context(reading)
        # moto redrives no executions.
        redriving = patch.object(StepFunctionResponse, "redrive_execution", redrive.redrive_execution, create=True)
        stack.enter_context(redriving)
        # moto's rules start no workflows.
        stack.enter_context(patch.object(Rule, "send_to_targets", rules.send_to_targets))
        # moto's endpoints have no DNS names in CloudFormation.
        stack.enter_context(patch.object(VPCEndPoint, "get_cfn_attribute", endpoints.get_cfn_attribute, create=True))
        # moto sleeps between retries in earnest, and so does the SDK between attempts.
        clock = SimpleNamespace(sleep=self._wait)
        stack.enter_context(patch.object(retrier_decl, "time", clock))
        stack.enter_context(patch.object(botocore.endpoint, "time", clock))
        # moto parses the definition anew for each execution, which took a quarter of a run's time. What it
        # parses to holds no state: an execution's own is in its environment.
        parse = functools.lru_cache(maxsize=4)(AmazonStateLanguageParser.parse)
        stack.enter_context(patch.object(AmazonStateLanguageParser, "parse", parse))
        # The same for the paths of an event's template, which are parsed again for each event.
        parse_path = functools.lru_cache(maxsize=64)(jsonpath_ng.ext.parser.parse)
        stack.enter_context(patch.object(jsonpath_ng.ext, "parse", parse_path))
        # moto takes what follows `Action=` anywhere in a body for the operation.
        stack.enter_context(patch.object(BaseResponse, "_get_action", served.get_action))
        # moto posts to addresses that its callers name.
        stack.enter_context(patch.object(requests.Session, "send", endpoints.send_nothing))
        # moto's backends are not safe under threads: each call to one is an atomic step here.
        stack.enter_context(patch.object(BotocoreStubber, "process_request", self._one_at_a_time()))

    def _one_at_a_time(self) -> Callable[..., Any]:
        process_request = BotocoreStubber.process_request

        def atomic(stubber: BotocoreStubber, request: Any) -> Any:
            if function := lambda_runtime.running_function():
                self.calls.append(Call.of(function, request))
            request.url = endpoints.public(request.url)
            lambda_runtime.end_where_time_is_up()
            with lambda_runtime.outside_the_handler():
                # Lambda calls a handler, which makes calls of its own.
                with nullcontext() if re.match(r"https?://lambda\.", request.url) else self._aws_turn:
                    answer = process_request(stubber, request)
                if answer is None:  # botocore sends what moto does not answer
                    endpoints.require_loopback(request.url)
                return answer

        return atomic

    def _deploy(self, folder: Path, parameters: Mapping[str, str]) -> None:
        cloudformation = self.client("cloudformation")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what moto skips; `skipped` says it
            cloudformation.create_stack(
                StackName=STACK_NAME,
                TemplateBody=json.dumps(template.adapted_to_moto(self.template)),
                Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
        described = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
        self.physical_ids = {r["LogicalResourceId"]: r.get("PhysicalResourceId") for r in resources}
        for name, resource in self.template["Resources"].items():
            if resource["Type"] == "AWS::Lambda::Function" and self.physical_ids.get(name):
                self.functions[name] = self._function(name, folder / "functions")

    def _function(self, logical_id: str, folder: Path) -> lambda_runtime.LocalFunction:
        deployed = self.client("lambda").get_function_configuration(FunctionName=self.physical_ids[logical_id])
        name, memory_mb = deployed["FunctionName"], deployed["MemorySize"]
        # moto hands a number parameter on as a number; in Lambda every variable is text.
        variables = {variable: str(value) for variable, value in deployed["Environment"]["Variables"].items()}
        return lambda_runtime.LocalFunction(
            name=name,
            arn=deployed["FunctionArn"],
            handler=deployed["Handler"],
            declared=variables,
            environment={
                **variables,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "embedded-engine",
                "AWS_SECRET_ACCESS_KEY": "embedded-engine",
                "AWS_LAMBDA_FUNCTION_NAME": name,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
                "AWS_LAMBDA_LOG_GROUP_NAME": self.physical_ids[f"{logical_id}Logs"],
            },
            timeout_s=deployed["Timeout"],
            memory_mb=memory_mb,
            folder=folder,
        )

    def _answer_of(
        self, route: http_api.Route, request: http_api.Request, parameters: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        if request.head_bytes > http_api.MAX_HEAD_BYTES:
            return 431, {"content-type": "application/json"}, b'{"message":"Request Header Fields Too Large"}'
        if len(request.body) > http_api.MAX_BODY_BYTES:
            return 413, {"content-type": "application/json"}, b'{"message":"Request Entity Too Large"}'
        event = http_api.event_of(request, route, parameters, datetime.now(UTC))
        invoked = self.client("lambda").invoke(
            FunctionName=self.functions[route.function].name, Payload=json.dumps(event).encode()
        )
        if "FunctionError" in invoked:
            return 500, {"content-type": "application/json"}, b'{"message":"Internal Server Error"}'
        reply = json.loads(invoked["Payload"].read())
        return reply["statusCode"], reply["headers"], reply["body"].encode()

    def _invoke(
        self,
        function_name: str,
        qualifier: str | None,  # noqa: ARG002  # moto passes these
        body: str | bytes,
        headers: Any,  # noqa: ARG002
        response_headers: dict[str, str],
    ) -> bytes:
        # By name or ARN, and with the alias behind the ARN where the caller names one.
        name = function_name.split(":")[6] if function_name.startswith("arn:") else function_name
        by_name = {function.name: (logical_id, function) for logical_id, function in self.functions.items()}
        logical_id, function = by_name[name]
        payload = body if isinstance(body, bytes) else body.encode()
        if self.lambda_endpoint is None:
            reply, raised = function.invoke(payload)
        else:
            reply, raised = sam_local.invoke(self.lambda_endpoint, logical_id, function, payload)
        if raised:
            response_headers["x-amz-function-error"] = "Unhandled"
        return reply


def _is_told(execution: Any) -> bool:
    """Whether moto's execution has ended, with all that there is to tell: it sets the status first, the rest later."""
    status = execution.status
    if status == "SUCCEEDED":
        return execution.output is not None
    if status == "FAILED":
        return execution.error is not None and execution.cause is not None
    return bool(status != "RUNNING")
