"""The embedded account: what moto's backends hold for it in the engine's region."""

from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli import REGION

ACCOUNT_ID = DEFAULT_ACCOUNT_ID


def state_machines() -> list[Any]:
    """Return the state machines, each with its executions."""
    machines: list[Any] = stepfunctions_parser_backends[ACCOUNT_ID][REGION].state_machines
    return machines


def executions() -> list[Any]:
    """Return all executions, in the order in which they were started."""
    return [execution for machine in state_machines() for execution in machine.executions]


def execution(arn: str) -> Any:
    """Return one execution."""
    return stepfunctions_parser_backends[ACCOUNT_ID][REGION].describe_execution(arn)


def is_complete(execution: Any) -> bool:
    """Return whether an execution has ended and moto has set its result. moto sets the status first."""
    status = execution.status
    if status == "SUCCEEDED":
        return execution.output is not None
    if status == "FAILED":
        return execution.error is not None and execution.cause is not None
    return bool(status != "RUNNING")


def table(name: str) -> Any:
    """Return a DynamoDB table."""
    return dynamodb_backends[ACCOUNT_ID][REGION].tables[name]


def archives() -> list[Any]:
    """Return the archives of the event buses."""
    return list(events_backends[ACCOUNT_ID][REGION].archives.values())


def keys() -> dict[str, Any]:
    """Return the KMS keys by their ids."""
    found: dict[str, Any] = kms_backends[ACCOUNT_ID][REGION].keys
    return found


def buckets() -> list[Any]:
    """Return the buckets of S3."""
    return list(s3_backends[ACCOUNT_ID]["aws"].buckets.values())


def secrets() -> Any:
    """Return the backend of Secrets Manager."""
    return secretsmanager_backends[ACCOUNT_ID][REGION]
