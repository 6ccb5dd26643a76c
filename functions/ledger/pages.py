"""Pages of an index: the merge of its partitions, and the cursor behind a page."""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ledger.item import SHARDS, UnreadableItemError, published_at, recorded_facts
from ledger.violations import Violation, as_dicts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_EXAMINED = 1000
"""Payments that one page examines. If the page asks for a rare status, it may have few payments, or none, and still a
cursor."""

FIRST, LAST = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"

Position = list[str] | Literal["start"]
"""Position in one partition: the sort key and the ID of the last payment that was examined."""


class InvalidQueryError(Exception):
    """The query breaks a rule. The message is JSON: every broken rule, by field."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = sorted(violations)
        super().__init__(json.dumps({"Violations": as_dicts(self.violations)}))


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the table: the names of its keys, and the direction in which its pages are read."""

    name: str
    partition_key: str
    sort_key: str
    newest_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query of one index: its partitions, a range of its sort key, and the status of the payments, if any."""

    index: Index
    partitions: list[str]
    first: str = FIRST
    last: str = LAST
    status: str | None = None
    limit: int

    @property
    def digest(self) -> str:
        """Hash that binds a cursor to its query. The limit is not part of it: it may change from page to page."""
        asked = [self.index.name, self.partitions, self.first, self.last, self.status]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


BY_PROCESSOR = Index("PaymentsByProcessor", "ProcessorShard", "Timestamp", newest_first=True)
UNPUBLISHED = Index("UnpublishedPayments", "Unpublished", "RecordedAt", newest_first=False)


def payment_view(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payment as the ledger has it, and when it was published (null if it is not published yet)."""
    return {**recorded_facts(item), "PublishedAt": published_at(item)}


def read_page(client: DynamoDBClient, table_name: str, query: Query, cursor: Any) -> dict[str, Any]:
    """Return the page behind the cursor, or the first page if there is no cursor.

    Each partition is in order, so the page is a merge of them.

    Raises:
        InvalidQueryError: the cursor is not one of this query.
        ClientError: any DynamoDB error, unchanged.
    """
    bound, positions = decode_cursor(cursor, query)
    # Start every partition no earlier than the previous page ended, so that payments recorded in between do not appear
    # in the middle of the list.
    rest = query
    if bound is not None:
        rest = replace(query, last=bound) if query.index.newest_first else replace(query, first=bound)
    streams = [
        _partition_items(client, table_name, rest, number, position) for number, position in enumerate(positions)
    ]
    payments: list[dict[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    merged = heapq.merge(*streams, key=lambda found: found[0], reverse=query.index.newest_first)
    for examined, ((sort_key, number), item) in enumerate(merged, 1):
        positions[number] = [sort_key, item["TransactionID"]["S"]]
        try:
            payment = payment_view(item)
        except UnreadableItemError as error:
            unreadable.append({"TransactionID": error.transaction_id, "Attribute": error.attribute})
        else:
            if query.status is None or payment["Status"] == query.status:
                payments.append(payment)
        if len(payments) == query.limit or examined == MAX_EXAMINED:
            more = next(merged, None) is not None
            cursor = encode_cursor(query, sort_key, positions) if more else None
            return {"Payments": payments, "Unreadable": unreadable, "Cursor": cursor}
    return {"Payments": payments, "Unreadable": unreadable, "Cursor": None}


def _partition_items(
    client: DynamoDBClient, table_name: str, query: Query, number: int, position: Position
) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    """Yield the items of the partition with this number behind the position, each with its place in the merge.

    Each call reads the partition's share of a page, and one item more. Source: DynamoDB API, Query.
    """
    index, partition = query.index, query.partitions[number]
    start: dict[str, Any] = {}
    # DynamoDB does not accept a start outside the range. If the position is outside, the rest of the partition is
    # inside: earlier pages returned everything before it.
    if position != "start" and query.first <= position[0] <= query.last:
        key = {index.partition_key: partition, index.sort_key: position[0], "TransactionID": position[1]}
        start = {"ExclusiveStartKey": {name: {"S": text} for name, text in key.items()}}
    while True:
        reply = client.query(
            TableName=table_name,
            IndexName=index.name,
            KeyConditionExpression="#p = :partition AND #k BETWEEN :first AND :last",
            ExpressionAttributeNames={"#p": index.partition_key, "#k": index.sort_key},
            ExpressionAttributeValues={
                ":partition": {"S": partition}, ":first": {"S": query.first}, ":last": {"S": query.last}
            },
            ScanIndexForward=not index.newest_first,
            Limit=(query.limit if query.status is None else MAX_EXAMINED) // SHARDS + 1,
            **start,
        )  # fmt: skip
        for item in reply["Items"]:
            yield (item[index.sort_key]["S"], number), item
        if "LastEvaluatedKey" not in reply:
            return
        start = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}


def encode_cursor(query: Query, bound: str, positions: list[Position]) -> str:
    """Return a cursor, which is opaque to the caller: where the page ended, and the position in each partition."""
    return base64.urlsafe_b64encode(json.dumps([query.digest, bound, positions]).encode()).decode()


def decode_cursor(cursor: Any, query: Query) -> tuple[str | None, list[Position]]:
    """Return where the previous page ended, and the position in each partition.

    Raises:
        InvalidQueryError: the cursor is not one of this query.
    """
    if cursor is None:
        return None, ["start"] * len(query.partitions)
    invalid = InvalidQueryError([Violation("Cursor", "cursor")])
    try:
        digest, bound, positions = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (TypeError, ValueError, RecursionError):
        raise invalid from None
    if digest != query.digest:
        raise InvalidQueryError([Violation("Cursor", "of_another_query")])
    if not isinstance(bound, str) or not query.first <= bound <= query.last:
        raise invalid
    if not isinstance(positions, list) or [_is_position(one) for one in positions] != [True] * len(query.partitions):
        raise invalid
    return bound, positions


def _is_position(position: Any) -> bool:
    if isinstance(position, list):
        return len(position) == 2 and all(isinstance(text, str) and text for text in position)
    return bool(position == "start")
