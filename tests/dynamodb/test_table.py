"""The table that these tests run on is the template's."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger_cli.engine import Engine
from tests.dynamodb import tables


def test_the_table_has_the_templates_keys_and_indexes(engine: Engine, dynamodb: Any) -> None:
    """And the name that the engine's stack gives the functions."""
    (declared,) = tables.declared()
    described = dynamodb.describe_table(TableName=engine.outputs["TableName"])["Table"]
    assert described["KeySchema"] == declared["KeySchema"]
    indexes = [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in sorted(described["GlobalSecondaryIndexes"], key=lambda index: str(index["IndexName"]))
    ]
    expected = sorted(declared["GlobalSecondaryIndexes"], key=lambda index: str(index["IndexName"]))
    for index in (*indexes, *expected):
        index["Projection"]["NonKeyAttributes"] = sorted(index["Projection"]["NonKeyAttributes"])
    assert indexes == expected


def test_what_is_left_out_is_in_the_template() -> None:
    """Each name on the list is one that DynamoDB Local cannot judge; none is there for nothing."""
    declared = {name for properties in tables.declared() for name in properties}
    assert not tables.NOT_TAKEN - declared


def test_the_table_is_protected_against_deletion(engine: Engine, dynamodb: Any) -> None:
    """By the template's own property, which this judge enforces."""
    with pytest.raises(ClientError, match="protected against deletion"):
        dynamodb.delete_table(TableName=engine.outputs["TableName"])
