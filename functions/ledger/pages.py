"""Pages of an index: the merge of its partitions, and the cursor behind a page."""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ledger.chain import entry_view
from ledger.item import SHARDS, UnreadableItemError, published_at, recorded_facts
from ledger.violations import Violation, as_dicts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_EXAMINED = 1000
"""Items that one page examines. If the page asks for a rare status, it may have few payments, or none, and still a
cursor."""

ENTRY_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?")
"""Form of an entry's number in a cursor. An item that others wrote may have any number, and ends no list."""

FIRST, LAST = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"

Position = list[str] | Literal["start"]
"""Position in one partition: the sort key and the table's own key of the last item that was examined."""


class InvalidQueryError(Exception):
    """The query breaks a rule. The message is JSON: every broken rule, by field."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = sorted(violations)
        super().__init__(json.dumps({"Violations": as_dicts(self.violations)}))


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table, and how its pages are read and answered.

    Attributes:
        name: its name.
        partition_key: the name of its partition key.
        sort_key: the name of its sort key.
        table_key: the attributes of the table's own key, each with its DynamoDB type.
        newest_first: the direction in which its pages are read.
        answer: the name of the list in the answer.
        view: how an item is shown.
    """

    name: str
    partition_key: str
    sort_key: str
    table_key: Mapping[str, str]
    newest_first: bool
    answer: str
    view: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query of one index: its partitions, a range of its sort key, and a field with the value that it must have."""

    index: Index
    partitions: list[str]
    first: str = FIRST
    last: str = LAST
    only: tuple[str, str] | None = None
    limit: int

    @property
    def digest(self) -> str:
        """Hash that binds a cursor to its query. The limit is not part of it: it may change from page to page."""
        asked = [self.index.name, self.partitions, self.first, self.last, self.only]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def payment_view(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payment as the ledger has it, and when it was published (null if it is not published yet)."""
    return {**recorded_facts(item), "PublishedAt": published_at(item)}


PAYMENTS: dict[str, Any] = {"table_key": {"TransactionID": "S"}, "answer": "Payments", "view": payment_view}
ENTRIES: dict[str, Any] = {"table_key": {"TransactionID": "S", "Entry": "N"}, "answer": "Entries", "view": entry_view}
BY_PROCESSOR = Index("PaymentsByProcessor", "ProcessorShard", "Timestamp", newest_first=True, **PAYMENTS)
UNPUBLISHED = Index("UnpublishedPayments", "Unpublished", "RecordedAt", newest_first=False, **PAYMENTS)
ENTRIES_BY_PROCESSOR = Index("EntriesByProcessor", "ProcessorShard", "Timestamp", newest_first=True, **ENTRIES)
UNPUBLISHED_ENTRIES = Index("UnpublishedEntries", "Unpublished", "RecordedAt", newest_first=False, **ENTRIES)


def read_page(client: DynamoDBClient, table_name: str, query: Query, cursor: Any) -> dict[str, Any]:
    """Return the page behind the cursor, or the first page if there is no cursor.

    Each partition is in order, so the page is a merge of them.

    Raises:
        InvalidQueryError: the cursor is not one of this query.
        ClientError: any DynamoDB error, unchanged.
    """
    bound, positions = decode_cursor(cursor, query)
    # Start every partition no earlier than the previous page ended, so that items recorded in between do not appear in
    # the middle of the list.
    index, rest = query.index, query
    if bound is not None:
        rest = replace(query, last=bound) if index.newest_first else replace(query, first=bound)
    streams = [
        _partition_items(client, table_name, rest, number, position) for number, position in enumerate(positions)
    ]
    found: list[dict[str, Any]] = []
    unreadable: list[dict[str, Any]] = []
    merged = heapq.merge(*streams, key=lambda placed: placed[0], reverse=index.newest_first)
    for examined, ((sort_key, number), item) in enumerate(merged, 1):
        positions[number] = [sort_key, *(item[name][kind] for name, kind in index.table_key.items())]
        try:
            shown = index.view(item)
        except UnreadableItemError as error:
            unreadable.append(error.as_dict())
        else:
            if query.only is None or shown[query.only[0]] == query.only[1]:
                found.append(shown)
        if len(found) == query.limit or examined == MAX_EXAMINED:
            more = next(merged, None) is not None
            cursor = encode_cursor(query, sort_key, positions) if more else None
            return {index.answer: found, "Unreadable": unreadable, "Cursor": cursor}
    return {index.answer: found, "Unreadable": unreadable, "Cursor": None}


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
        key = {index.partition_key: {"S": partition}, index.sort_key: {"S": position[0]}}
        own = {name: {kind: text} for (name, kind), text in zip(index.table_key.items(), position[1:], strict=True)}
        start = {"ExclusiveStartKey": key | own}
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
            Limit=(query.limit if query.only is None else MAX_EXAMINED) // SHARDS + 1,
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
    kinds = ("S", *query.index.table_key.values())
    if not isinstance(positions, list) or len(positions) != len(query.partitions):
        raise invalid
    if not all(_is_position(one, kinds) for one in positions):
        raise invalid
    return bound, positions


def _is_position(position: Any, kinds: Sequence[str]) -> bool:
    """Return whether a position has a value for each key, of the key's DynamoDB type."""
    if not isinstance(position, list):
        return bool(position == "start")
    if len(position) != len(kinds) or not all(isinstance(text, str) and text for text in position):
        return False
    return all(kind == "S" or ENTRY_NUMBER.fullmatch(text) for text, kind in zip(position, kinds, strict=True))
