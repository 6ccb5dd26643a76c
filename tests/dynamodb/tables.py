"""The template's tables in DynamoDB Local. They are made from `template.yaml`, so nothing is declared twice."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from ledger_cli import REGION, ROOT
from ledger_cli.engine import template
from ledger_cli.engine.deployment import LOCAL_PARAMETERS
from tests.proof.resolved import Resolver

ACCESS_KEY_ID = "local"
"""An access key with letters and digits only. DynamoDB Local checks nothing else of it. Source: its usage notes."""

NOT_ACCEPTED = frozenset(
    {"PointInTimeRecoverySpecification", "ResourcePolicy", "SSESpecification", "StreamSpecification"}
)
"""The properties of a table that DynamoDB Local's CreateTable ignores or does not accept.

It has streams, but needs one more parameter for them than a template has, and no test here reads the stream. Each other
property is a parameter of CreateTable with the same name. The SDK fails if it is not.
"""


def client(endpoint: str) -> Any:
    """Return a client that sends its calls to DynamoDB Local, and not to the engine."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key="local",
        config=Config(connect_timeout=5, read_timeout=20, max_pool_connections=40),
    )


def declared() -> list[dict[str, Any]]:
    """Return the properties of each table of the template, resolved for the engine's stack."""
    resources = Resolver(template.expand(ROOT / "template.yaml", LOCAL_PARAMETERS), LOCAL_PARAMETERS).resources()
    return [one["Properties"] for one in resources.values() if one["Type"] == "AWS::DynamoDB::Table"]


def create(dynamodb: Any, properties: Mapping[str, Any]) -> None:
    """Create one table."""
    dynamodb.create_table(**{name: value for name, value in properties.items() if name not in NOT_ACCEPTED})


def empty(dynamodb: Any, tables: list[dict[str, Any]]) -> None:
    """Replace each table that holds an item by a new one."""
    for properties in tables:
        name = properties["TableName"]
        if dynamodb.scan(TableName=name, Limit=1)["Items"]:
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
            dynamodb.delete_table(TableName=name)
            create(dynamodb, properties)
