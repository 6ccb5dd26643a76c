"""A deployed stack, reached with the caller's own credentials: on AWS, or at the address of `--endpoint-url`."""

import functools
import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from ledger.fast_lane import FastLane
from ledger.intake import Intake, execution_prefix
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli import LOOPBACK, REGION
from ledger_cli.errors import INTERRUPTED, CommandError
from ledger_cli.stack.many import Pace

POLL_S = 0.2

DESCRIBED_PER_S = 12
"""Executions that a command describes in a second. The account has 15 of these calls, for everybody. Source: Step
Functions Developer Guide, Service quotas."""

FUNCTION_TIMEOUT_S = 300
"""Longer than the timeout of any function of the stack."""

FAST_ANSWER_S = 30
"""How long a command waits for the fast lane, before it starts the Standard workflow."""


class StackError(CommandError):
    """The stack cannot be used. The message says why, and what to do."""


class FunctionError(Exception):
    """A function of the stack raised an error of its own."""

    def __init__(self, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{name}: {message}")


class _DeployedValues(dict[str, str]):
    """The outputs or the parameters of a stack. An older version of the stack has fewer."""

    def __missing__(self, name: str) -> str:
        raise StackError(f"the stack has no {name}: deploy this version of it")


EXPECTED_KEYS = {
    "CreateSecret": "ARN",
    "DeleteSecret": "ARN",
    "DescribeExecution": "status",
    "DescribeSecret": "ARN",
    "Encrypt": "CiphertextBlob",
    "GetCallerIdentity": "Arn",
    "GetExecutionHistory": "events",
    "GetSecretValue": "SecretString",
    "Invoke": "Payload",
    "ListExecutions": "executions",
    "PutSecretValue": "ARN",
    "RedriveExecution": "redriveDate",
    "StartExecution": "executionArn",
    "StartSyncExecution": "status",
}
"""A key that AWS' answer to each operation has. botocore itself accepts any JSON."""


class _CheckedClient:
    """A base of every client. A wrong answer is an error of the endpoint, not a fault of the command."""

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        try:
            answer = super()._make_api_call(operation_name, api_params)  # type: ignore[misc]
        except (BotoCoreError, ClientError, OSError):  # an OSError is about a file that a setting names
            raise
        except Exception as error:  # noqa: BLE001  # botocore raises any class at an answer that it cannot parse
            raise _not_aws(operation_name, type(error).__name__) from None
        if EXPECTED_KEYS.get(operation_name) not in {None, *answer}:
            raise _not_aws(operation_name, f"it has no {EXPECTED_KEYS[operation_name]}")
        return answer


def _not_aws(operation: str, why_not: str) -> StackError:
    return StackError(f"{operation}: what answers is not AWS ({why_not}): is `ledger serve` running there?")


REPLY_KEYS = {
    "AcceptFunction": {"Entry"},
    "QueryFunction": {"Payment", "Payments", "Entries", "Seals"},
    "RepublishFunction": {"Found"},
    "RevealFunction": {"SecureToken", "SecureTokenBase64"},
    "SealFunction": {"Sealed"},
}
"""Keys of which each function's reply has at least one."""

NO_LOG = "the stack has no sealed log: deploy this version of it"

MISSING_FUNCTION = {
    "AcceptFunction": "the stack accepts no refused entries: deploy it with the parameter AcceptEntries=allowed",
    "QueryFunction": "the stack has no query function: deploy this version of it",
    "RepublishFunction": "the stack has no sweep to invoke: deploy this version of it",
    "RevealFunction": "the stack reveals no tokens: deploy it with the parameter RevealTokens=allowed",
    "SealFunction": NO_LOG,
}


class Stack:
    """A stack that is named by its name, and reached through its outputs and parameters.

    Attributes:
        name: its name or its ARN, as the caller gave it.
        options: the options that named the stack, as the caller typed them.
        stack_id: its ARN, which no other stack ever has.
        asked_at: when the command began, by AWS' own clock, in the ledger's form of UTC. The command's may be wrong.
        stopping: set when the command ends early, so that nothing waits any longer.
    """

    def __init__(
        self, name: str, *, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        """Connect, and read the stack's outputs and parameters.

        Raises:
            StackError: the stack does not exist, or these credentials may not see it.
        """
        import boto3  # a third of a second, which `--help` and completion must not take

        self.name = name
        self.options = ""
        self.endpoint_url = endpoint_url
        self.stopping = threading.Event()
        self._describing = Pace(DESCRIBED_PER_S)
        self._clients: dict[str, Any] = {}
        try:
            if endpoint_url:  # the engine accepts any credentials
                self.session = boto3.Session("any", "any", region_name=region or REGION)
            else:
                self.session = boto3.Session(profile_name=profile, region_name=region)
            self.session.events.register(
                "creating-client-class", lambda base_classes, **_: base_classes.insert(0, _CheckedClient)
            )
            reply = self.client("cloudformation").describe_stacks(StackName=name)
            described = reply["Stacks"][0]
        except (BotoCoreError, ClientError) as error:
            raise StackError(explain(error, f"stack {name}")) from None
        except LookupError:
            raise StackError(f"stack {name}: what answers is not AWS: is `ledger serve` running there?") from None
        except (ValueError, OSError) as error:  # botocore converts settings, and reads files that they name
            raise StackError(_unusable_settings(error)) from None
        self.outputs = _DeployedValues({o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])})
        if not {"WorkflowArn", "TableName"} <= self.outputs.keys():
            raise StackError(f"stack {name} is not a payment ledger, or is not deployed yet: name another with --stack")
        self.stack_id: str = described.get("StackId", name)
        self.asked_at = _time_of(reply) if endpoint_url is None else now()
        parameters = described.get("Parameters", [])
        self.parameters = _DeployedValues({p["ParameterKey"]: p["ParameterValue"] for p in parameters})

    def command(self, name: str, argument: str) -> str:
        """Return a command line for the same stack, which can be typed as it is printed.

        The argument is quoted. It comes behind `--` if it begins with `-`, so that it is not taken for an option.
        """
        return f"ledger {name}{self.options} {'-- ' if argument.startswith('-') else ''}{shlex.quote(argument)}"

    def client(self, service: str) -> Any:
        """Return a client of the service. Each is made once, since making one takes long."""
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def _make_client(self, service: str, **config: Any) -> Any:
        client: Any = self.session.client(service, endpoint_url=self.endpoint_url, **config)  # type: ignore[call-overload]
        if not self.endpoint_url:  # the option's type has checked that one
            _require_encryption(client)
        return client

    @functools.cached_property
    def _lambda(self) -> Any:
        """A client that waits as long as a function may run, and never retries: a second call would run it twice."""
        from botocore.config import Config

        patient = Config(read_timeout=FUNCTION_TIMEOUT_S, retries={"total_max_attempts": 1})
        return self._make_client("lambda", config=patient)

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Return the reply of one of the stack's functions, which is named by the stack's output of its alias.

        Raises:
            FunctionError: the function raised an error, which is named by its class.
            StackError: the stack has no such function, or AWS denies the call.
        """
        if function not in self.outputs:
            raise StackError(MISSING_FUNCTION[function])
        try:
            reply = self._lambda.invoke(FunctionName=self.outputs[function], Payload=json.dumps(event).encode())
            payload = json.loads(reply["Payload"].read())
        except (BotoCoreError, ClientError) as error:
            raise StackError(explain(error, f"the function {self.outputs[function].split(':')[6]}")) from None
        except ValueError:
            raise _not_aws("Invoke", "its payload is not JSON") from None
        if not isinstance(payload, dict):
            raise _not_aws("Invoke", "its payload is not an object")
        if "FunctionError" in reply:
            raise FunctionError(payload.get("errorType", "Unknown"), payload.get("errorMessage", ""))
        if not REPLY_KEYS[function] & payload.keys():
            raise _not_aws("Invoke", "its payload is not the function's")
        return payload

    @property
    def intake(self) -> Intake:
        """The stack's intake, with the caller's credentials."""
        return Intake(
            states=self.client("stepfunctions"),
            kms=self.client("kms"),
            dynamodb=self.client("dynamodb"),
            workflow=self.outputs["WorkflowArn"],
            entries_workflow=self.outputs["EntriesWorkflowArn"],
            intake_key=self.outputs["IntakeKeyArn"],
            table_name=self.outputs["TableName"],
            entries_table_name=self.outputs["EntriesTableName"],
            default_currency=self.parameters["DefaultCurrency"],
            imports=True,
            fast_lane=self._fast_lane,
        )

    @functools.cached_property
    def _fast_lane(self) -> FastLane | None:
        """The stack's fast lane, if it has one. A second attempt would run the payment a second time."""
        if "FastWorkflowArn" not in self.outputs:
            return None
        from botocore.config import Config

        # The public endpoint of this operation has a name of its own. Another endpoint has one for all of them.
        is_public = (urlsplit(self.client("stepfunctions").meta.endpoint_url).hostname or "").startswith("states.")
        once = Config(read_timeout=FAST_ANSWER_S, retries={"total_max_attempts": 1}, inject_host_prefix=is_public)
        return FastLane(self._make_client("stepfunctions", config=once), self.outputs["FastWorkflowArn"])

    @property
    def state_machines(self) -> tuple[str, str]:
        """The ARNs of the workflows of payments and of entries. The outputs have those of their aliases `live`."""
        payments, entries = self.outputs["WorkflowArn"], self.outputs["EntriesWorkflowArn"]
        return payments.removesuffix(":live"), entries.removesuffix(":live")

    @property
    def executions_prefixes(self) -> tuple[str, str]:
        """The texts with which the ARNs of the executions of each workflow begin."""
        payments, entries = (f"{execution_prefix(workflow)}:" for workflow in self.state_machines)
        return payments, entries

    def wait_for(self, execution: str, wait_s: float) -> dict[str, Any]:
        """Return `DescribeExecution` of an execution that has ended, or its present state after *wait_s*."""
        states, deadline = self.client("stepfunctions"), time.monotonic() + wait_s
        while True:
            if self.endpoint_url is None:  # an engine has no quota
                self._describing.wait()
            described: dict[str, Any] = states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING" or time.monotonic() >= deadline or self.stopping.wait(POLL_S):
                return described


def _time_of(reply: Mapping[str, Any]) -> str:
    """Return when AWS answered; the time of this machine if the answer does not say it."""
    date = reply["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return utc_timestamp(parsedate_to_datetime(date).isoformat())
    except (ValueError, BrokenRuleError):
        return now()


def now() -> str:
    """Return the time of now by this machine's clock, in the ledger's form of UTC."""
    return utc_timestamp(datetime.now(UTC).isoformat())


def _require_encryption(client: Any) -> None:
    """Check the endpoint that botocore took from a setting, which it follows without any warning.

    Raises:
        StackError: tokens would go to another machine in plaintext.
    """
    address = urlsplit(client.meta.endpoint_url)
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        own = client.meta.service_model.service_id.upper().replace(" ", "_")
        names = f"AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_{own} or endpoint_url in ~/.aws/config"
        raise StackError(f"{names} leads to another machine by http: use https, or remove it")


def _unusable_settings(error: ValueError | OSError) -> str:
    """Name the variables whose value the error repeats. Never show the value itself."""
    text, settings = str(error), {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    named = sorted(name for name, value in settings.items() if repr(value) in text or text.endswith(f": {value}"))
    what = " or ".join(named) or "a setting of AWS (a variable that begins with AWS_, or a file in ~/.aws)"
    return f"{what} cannot be used ({type(error).__name__}): correct it"


@contextmanager
def report_if_stopped(describe_progress: Callable[[], str]) -> Iterator[None]:
    """Add to any error that ends the block what is done already and how to continue.

    Raises:
        CommandError: with the status of the error that ended the block.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(f"interrupted; {describe_progress()}", INTERRUPTED) from None
    except CommandError as error:
        raise CommandError("; ".join(filter(None, [str(error), describe_progress()])), error.status) from None
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{explain(error, 'the stack')}; {describe_progress()}") from None


def explain(error: BotoCoreError | ClientError, subject: str) -> str:
    """Return one line that says what went wrong with the subject, and what to do."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code, message = answer.get("Code", ""), answer.get("Message", "no message")
        if code == "ValidationError" and "does not exist" in message:
            return f"{subject} is not in this account and region: name another with --stack, --profile or --region"
        advice = next((text for beginning, text in ADVICE_BY_CODE.items() if code.startswith(beginning)), code)
        return f"{subject}: {advice}: {message}"
    advice = next((text for kind, text in ADVICE_BY_KIND.items() if isinstance(error, kind)), "")
    return f"{subject}: {error}{advice}"


ADVICE_BY_CODE = {
    "AccessDenied": "these credentials lack a permission",
    "ExpiredToken": "the credentials have expired, sign in again",
    "InvalidClientTokenId": "the credentials are wrong, sign in again",
    "UnrecognizedClient": "the credentials are wrong, sign in again",
}
ADVICE_BY_KIND: dict[type[BotoCoreError], str] = {
    NoCredentialsError: "; sign in, or name a profile with --profile",
    NoRegionError: " Name it with --region.",
    EndpointConnectionError: "; is `ledger serve` running there?",
    ConnectionClosedError: "; does `ledger serve` still run there?",
}
