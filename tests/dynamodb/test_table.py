"""The tables of these tests are the template's tables."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger_cli.engine import Engine
from tests.dynamodb import tables

TABLES = ["TableName", "EntriesTableName", "SealsTableName"]


@pytest.mark.parametrize("output", TABLES)
def test_a_table_has_the_templates_keys_and_indexes(engine: Engine, dynamodb: Any, output: str) -> None:
    """The functions must find the table under the name that the engine's stack gives them."""
    (declared,) = [one for one in tables.declared() if one["TableName"] == engine.outputs[output]]
    described = dynamodb.describe_table(TableName=engine.outputs[output])["Table"]
    assert described["KeySchema"] == declared["KeySchema"]
    indexes = [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in sorted(described.get("GlobalSecondaryIndexes", []), key=lambda index: str(index["IndexName"]))
    ]
    expected = sorted(declared.get("GlobalSecondaryIndexes", []), key=lambda index: str(index["IndexName"]))
    for index in (*indexes, *expected):
        index["Projection"]["NonKeyAttributes"] = sorted(index["Projection"].get("NonKeyAttributes", []))
    assert indexes == expected


def test_every_property_that_is_left_out_is_in_the_template() -> None:
    """A name on the list that the template no longer has would be stale."""
    declared = {name for properties in tables.declared() for name in properties}
    assert declared >= tables.NOT_ACCEPTED


@pytest.mark.parametrize("output", TABLES)
def test_a_table_is_protected_against_deletion(engine: Engine, dynamodb: Any, output: str) -> None:
    """The template's own property protects the table, and DynamoDB Local enforces it."""
    with pytest.raises(ClientError, match="protected against deletion"):
        dynamodb.delete_table(TableName=engine.outputs[output])
