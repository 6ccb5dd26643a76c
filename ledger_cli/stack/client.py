"""A deployed stack, with the caller's own credentials: on AWS, or wherever `--endpoint-url` leads."""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from ledger.intake import Intake, execution_prefix
from ledger_cli import LOOPBACK, REGION
from ledger_cli.errors import INTERRUPTED, CommandError
from ledger_cli.views.terminal import argument

POLL_S = 0.2


class StackError(CommandError):
    """The stack cannot be used; the message says why, and what to do."""


class FunctionError(Exception):
    """A function of the stack raised an error of its own."""

    def __init__(self, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{name}: {message}")


class _Deployed(dict[str, str]):
    """A stack's outputs or parameters: an older version of it has fewer."""

    def __missing__(self, name: str) -> str:
        raise StackError(f"the stack has no {name}: deploy this version of it")


ANSWERS = {
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
}
"""What an answer to each operation has, if it is AWS's. botocore takes any JSON for one."""


class _Answered:
    """Of each client: whatever answers wrongly is said so, and is no fault of the command."""

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        try:
            answer = super()._make_api_call(operation_name, api_params)  # type: ignore[misc]
        except (BotoCoreError, ClientError, OSError):  # an OSError is about a file that a setting names
            raise
        except Exception as error:  # noqa: BLE001  # botocore raises anything at an answer that it does not understand
            raise _not_aws(operation_name, type(error).__name__) from None
        if ANSWERS.get(operation_name) not in {None, *answer}:
            raise _not_aws(operation_name, f"it has no {ANSWERS[operation_name]}")
        return answer


def _not_aws(operation: str, why_not: str) -> StackError:
    return StackError(f"{operation}: what answers is not AWS ({why_not}): is `ledger serve` running there?")


REPLIES = {
    "QueryFunction": {"Payment", "Payments"},
    "RepublishFunction": {"Found"},
    "RevealFunction": {"SecureToken", "SecureTokenBase64"},
}
"""Of which each function's reply has one."""

PATIENCE_S = 300
"""Longer than any function of the stack lives."""

MISSING = {
    "QueryFunction": "the stack has no query function: deploy this version of it",
    "RepublishFunction": "the stack has no sweep to invoke: deploy this version of it",
    "RevealFunction": "the stack reveals no tokens: deploy it with the parameter RevealTokens=allowed",
}


class Stack:
    """A stack by its name, through its outputs and parameters; `options` named it, as they were typed."""

    def __init__(
        self, name: str, *, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        """Look the stack up.

        Raises:
            StackError: it is not there, or may not be seen.
        """
        self.name = name
        self.options = ""
        try:
            if endpoint_url:  # the engine's own: any credentials do
                self.session = boto3.Session("any", "any", region_name=region or REGION)
            else:
                self.session = boto3.Session(profile_name=profile, region_name=region)
            self.session.events.register(
                "creating-client-class", lambda base_classes, **_: base_classes.insert(0, _Answered)
            )
            self.endpoint_url = endpoint_url
            self._clients: dict[str, Any] = {}
            described = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except (BotoCoreError, ClientError) as error:
            raise StackError(why(error, f"stack {name}")) from None
        except LookupError:
            raise StackError(f"stack {name}: what answers is not AWS: is `ledger serve` running there?") from None
        except (ValueError, OSError) as error:  # botocore converts settings, and reads files that they name
            raise StackError(_unusable_settings(error)) from None
        self.outputs = _Deployed({o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])})
        if not {"WorkflowArn", "TableName"} <= self.outputs.keys():
            raise StackError(f"stack {name} is no payment ledger, or is not deployed yet: name another with --stack")
        self.parameters = _Deployed({p["ParameterKey"]: p["ParameterValue"] for p in described.get("Parameters", [])})

    def command(self, name: str, about: str) -> str:
        """Return a command to type, for the same stack."""
        return f"ledger {name}{self.options} {argument(about)}"

    def client(self, service: str) -> Any:
        """A client with the caller's credentials; one for each service, since to make one takes long."""
        if service not in self._clients:
            self._clients[service] = self._made(service)
        return self._clients[service]

    def _made(self, service: str, config: Config | None = None) -> Any:
        client = self.session.client(service, endpoint_url=self.endpoint_url, config=config)  # type: ignore[call-overload]
        if not self.endpoint_url:  # which the command has looked at
            _require_encrypted(client)
        return client

    @functools.cached_property
    def _lambda(self) -> Any:
        """A client that waits for as long as a function may take; asked again, a function would answer twice."""
        patient = Config(read_timeout=PATIENCE_S, retries={"total_max_attempts": 1})
        return self._made("lambda", patient)

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """What one of the stack's functions replies, named by the stack's output of its alias.

        Raises:
            FunctionError: the function raised an error, by its class' name.
            StackError: the stack has no such function, or AWS refuses.
        """
        if function not in self.outputs:
            raise StackError(MISSING[function])
        try:
            reply = self._lambda.invoke(FunctionName=self.outputs[function], Payload=json.dumps(event).encode())
            payload = json.loads(reply["Payload"].read())
        except (BotoCoreError, ClientError) as error:
            raise StackError(why(error, f"the function {self.outputs[function].split(':')[6]}")) from None
        except ValueError:
            raise _not_aws("Invoke", "its payload is not JSON") from None
        if not isinstance(payload, dict):
            raise _not_aws("Invoke", "its payload is not an object")
        if "FunctionError" in reply:
            raise FunctionError(payload.get("errorType", "Unknown"), payload.get("errorMessage", ""))
        if not REPLIES[function] & payload.keys():
            raise _not_aws("Invoke", "its payload is not the function's")
        return payload

    @property
    def intake(self) -> Intake:
        """The stack's way in, with the caller's credentials."""
        return Intake(
            states=self.client("stepfunctions"),
            kms=self.client("kms"),
            dynamodb=self.client("dynamodb"),
            workflow=self.outputs["WorkflowArn"],
            intake_key=self.outputs["IntakeKeyArn"],
            table_name=self.outputs["TableName"],
            default_currency=self.parameters["DefaultCurrency"],
        )

    @property
    def executions_prefix(self) -> str:
        """What the ARNs of the workflow's executions begin with."""
        return f"{execution_prefix(self.outputs['WorkflowArn'])}:"

    def ended(self, execution: str, wait_s: float) -> dict[str, Any]:
        """`DescribeExecution` of an execution once it has ended, or as it is after *wait_s*."""
        states, deadline = self.client("stepfunctions"), time.monotonic() + wait_s
        while True:
            described: dict[str, Any] = states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING" or time.monotonic() >= deadline:
                return described
            time.sleep(POLL_S)


def _require_encrypted(client: Any) -> None:
    """Look at where a setting leads, which botocore follows without a word.

    Raises:
        StackError: tokens would go to another machine in plaintext.
    """
    address = urlsplit(client.meta.endpoint_url)
    if address.scheme == "http" and address.hostname not in LOOPBACK:
        own = client.meta.service_model.service_id.upper().replace(" ", "_")
        names = f"AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_{own} or endpoint_url in ~/.aws/config"
        raise StackError(f"{names} leads to another machine by http: use https, or remove it")


def _unusable_settings(error: ValueError | OSError) -> str:
    """Name the variables of which the error repeats the value; the value itself is not shown."""
    text, settings = str(error), {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    named = sorted(name for name, value in settings.items() if repr(value) in text or text.endswith(f": {value}"))
    what = " or ".join(named) or "a setting of AWS (a variable that begins with AWS_, or a file in ~/.aws)"
    return f"{what} cannot be used ({type(error).__name__}): correct it"


@contextmanager
def stopping_says(how_far: Callable[[], str]) -> Iterator[None]:
    """Whatever ends the block early, say what is done already and how to go on, for the status alone does not.

    Raises:
        CommandError: with the status of what ended it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(f"interrupted; {how_far()}", INTERRUPTED) from None
    except CommandError as error:
        raise CommandError("; ".join(filter(None, [str(error), how_far()])), error.status) from None
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{why(error, 'the stack')}; {how_far()}") from None


def why(error: BotoCoreError | ClientError, what: str) -> str:
    """One line that says what is wrong and what to do."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        code, message = answer.get("Code", ""), answer.get("Message", "no message")
        if code == "ValidationError" and "does not exist" in message:
            return f"{what} is not in this account and region: name another with --stack, --profile or --region"
        advice = next((text for beginning, text in ADVICE_BY_CODE.items() if code.startswith(beginning)), code)
        return f"{what}: {advice}: {message}"
    advice = next((text for kind, text in ADVICE_BY_KIND.items() if isinstance(error, kind)), "")
    return f"{what}: {error}{advice}"


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
