"""DynamoDB: a query starts within its own range. In moto, `ExclusiveStartKey` may lie anywhere.

An answer is written in a fraction of moto's time, which grows with each attribute of each item.
"""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models.table import Table

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

_moto_query: Callable[..., Any] = Table.query
_moto_structure: Callable[..., None] = BaseJSONSerializer._serialize_type_structure


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(("queries_start_anywhere",), patch.object(Table, "query", query))
    yield MotoPatch(
        ("looks_for_each_type_of_an_attribute",),
        patch.object(BaseJSONSerializer, "_serialize_type_structure", serialize_structure),
    )


def serialize_structure(serializer: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """Write an attribute's value with the one type that it has. moto looks for each of the ten types."""
    if shape.name != "AttributeValue" or not key or not isinstance(value, dict):
        _moto_structure(serializer, serialized, value, shape, key)
        return
    written: dict[str, Any] = {}
    for kind, content in value.items():
        if content is not None and kind in shape.members:
            serializer._serialize(written, content, shape.members[kind], kind)
    serializer._default_serialize(serialized, written, shape, key)


def query(table: Table, *arguments: Any, **named: Any) -> Any:
    """Answer `dynamodb:Query`, and reject a start key outside the query's range.

    Source: the message of DynamoDB's own error, "The provided starting key does not match the range key predicate".
    """
    names = (
        "hash_key", "range_comparison", "range_objs", "limit", "exclusive_start_key", "scan_index_forward",
        "projection_expressions", "index_name",
    )  # fmt: skip
    given = {**dict(zip(names, arguments, strict=False)), **named}
    start, index_name = given.get("exclusive_start_key"), given.get("index_name")
    if start and index_name and given.get("range_comparison") == "BETWEEN":
        (index,) = [one for one in table.all_indexes() if one.name == index_name]
        (sort_key,) = [key["AttributeName"] for key in index.schema if key["KeyType"] == "RANGE"]
        first, last = (bound.value for bound in given["range_objs"])
        if not first <= next(iter(start[sort_key].values())) <= last:
            raise MockValidationException("The provided starting key does not match the range key predicate")
    return _moto_query(table, *arguments, **named)
