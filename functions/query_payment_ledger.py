"""Query Payment Ledger: a payment by its id, a processor's payments by time, and what is unpublished.

It reads no token, not even encrypted. What it answers of an index follows the table by a moment.
"""

import base64
import hashlib
import heapq
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ledger.aws import private_client
from ledger.item import SHARDS, UnreadableItemError, published_at, recorded_facts
from ledger.payment import IDENTIFIER, STATUSES, BrokenRuleError, Violation, utc_timestamp, valid_id

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
dynamodb: "DynamoDBClient" = private_client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]

MAX_LIMIT = 100
DEFAULT_LIMIT = 25
MAX_EXAMINED = 1000
"""Payments that one page looks at: a page that asks for a rare status may have few payments, or none, and a cursor."""

FIRST, LAST = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
QUERIED = ("ProcessorID", "From", "To", "Status", "Limit", "Cursor")
FACTS = (
    "TransactionID, Amount, Currency, ProcessorID, #s, #t, Metadata, Fingerprint, RecordedAt, Execution, PublishedAt"
)
RESERVED = {"#s": "Status", "#t": "Timestamp"}


class InvalidQueryError(Exception):
    """The query cannot be answered. The message is JSON: every broken rule, by field."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = sorted(violations)
        super().__init__(json.dumps({"Violations": [{"Field": v.field, "Rule": v.rule} for v in self.violations]}))


@dataclass(frozen=True, slots=True)
class Index:
    """One index, its partitions, and which way they are read."""

    name: str
    partition_key: str
    sort_key: str
    newest_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of one index: some partitions, a range of its sort key, and what of it counts."""

    index: Index
    partitions: list[str]
    first: str = FIRST
    last: str = LAST
    status: str | None = None
    limit: int

    @property
    def digest(self) -> str:
        """Binds a cursor to what was asked; the limit may change from page to page."""
        asked = [self.index.name, self.partitions, self.first, self.last, self.status]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


BY_PROCESSOR = Index("PaymentsByProcessor", "ProcessorShard", "Timestamp", newest_first=True)
UNPUBLISHED = Index("UnpublishedPayments", "Unpublished", "RecordedAt", newest_first=False)

Position = list[str] | Literal["start"]
"""In one partition: the sort key and the id of the last payment that was looked at."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer a query.

    Event:
        `{"TransactionID"}`: one payment, read from the table itself.
        `{"ProcessorID", "From"?, "To"?, "Status"?, "Limit"?, "Cursor"?}`: a processor's, the newest first; From is
            part of the range, To is not, both RFC 3339; Limit is 1 to 100, 25 where it is absent.
        `{"Unpublished": true, "Limit"?, "Cursor"?}`: recorded payments of which nobody was told yet, the oldest first.

    Returns:
        `{"Payment": … or null}`, or `{"Payments": […], "Unreadable": [{"TransactionID", "Attribute"}], "Cursor": text
        or null}`: Unreadable names each item of the page that is not what the ledger has written, and the attribute
        that shows it; with a cursor, the same query goes on behind this page.

    Raises:
        InvalidQueryError: what was asked breaks a rule.
        UnreadableItemError: the one payment that was asked for is not what the ledger has written.
        ClientError: of DynamoDB, unchanged.
    """
    if "TransactionID" in event:
        payment = one_payment(event)
        logger.info("payment read", transaction_id=valid_id(event, "TransactionID"), found=payment is not None)
        return {"Payment": payment}
    page = page_of_unpublished(event) if "Unpublished" in event else page_of_processor(event)
    for unreadable in page["Unreadable"]:
        logger.error(
            "payment unreadable", transaction_id=unreadable["TransactionID"], attribute=unreadable["Attribute"]
        )
    logger.info("payments listed", processor_id=valid_id(event, "ProcessorID"), payments=len(page["Payments"]))
    return page


def one_payment(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The payment as it is in the table now, or None."""
    _check_fields(event, {"TransactionID"})
    transaction_id = event["TransactionID"]
    if not isinstance(transaction_id, str) or not IDENTIFIER.fullmatch(transaction_id):
        raise InvalidQueryError([Violation("TransactionID", "identifier")])
    reply = dynamodb.get_item(
        TableName=TABLE_NAME,
        Key={"TransactionID": {"S": transaction_id}},
        ProjectionExpression=FACTS,
        ExpressionAttributeNames=RESERVED,
        ConsistentRead=True,
    )
    return payment_view(reply["Item"]) if "Item" in reply else None


def page_of_processor(event: Mapping[str, Any]) -> dict[str, Any]:
    """A page of a processor's payments, the newest first."""
    _check_fields(event, set(QUERIED))
    violations: list[Violation] = []
    processor_id, status = event.get("ProcessorID"), event.get("Status")
    if not isinstance(processor_id, str) or not IDENTIFIER.fullmatch(processor_id):
        violations.append(Violation("ProcessorID", "identifier"))
    if status is not None and status not in STATUSES:
        violations.append(Violation("Status", "status"))
    bounds = {}
    for name, default in (("From", FIRST), ("To", LAST)):
        try:
            bounds[name] = utc_timestamp(event[name]) if event.get(name) is not None else default
        except BrokenRuleError as broken:
            violations.append(Violation(name, broken.rule))
    if not violations and bounds["From"] >= bounds["To"]:
        violations.append(Violation("From", "not_before_to"))
    limit = _parse_limit(event, violations)
    if violations:
        raise InvalidQueryError(violations)
    query = Query(
        index=BY_PROCESSOR,
        partitions=[f"{processor_id}#{shard}" for shard in range(SHARDS)],
        first=bounds["From"],
        last=LAST if event.get("To") is None else _just_before(bounds["To"]),
        status=status,
        limit=limit,
    )
    return _page(query, event.get("Cursor"))


def page_of_unpublished(event: Mapping[str, Any]) -> dict[str, Any]:
    """A page of what was recorded and not told of, the oldest first."""
    _check_fields(event, {"Unpublished", "Limit", "Cursor"})
    violations = [] if event["Unpublished"] is True else [Violation("Unpublished", "true")]
    limit = _parse_limit(event, violations)
    if violations:
        raise InvalidQueryError(violations)
    query = Query(index=UNPUBLISHED, partitions=[f"{shard}" for shard in range(SHARDS)], limit=limit)
    return _page(query, event.get("Cursor"))


def payment_view(item: Mapping[str, Any]) -> dict[str, Any]:
    """A payment as it stands in the ledger, and when it was told of (null where it was not yet)."""
    return {**recorded_facts(item), "PublishedAt": published_at(item)}


def _page(query: Query, cursor: Any) -> dict[str, Any]:
    """Merge the partitions, each of which is in order, from where the cursor says."""
    bound, positions = decode_cursor(cursor, query)
    # A partition of which nothing was told yet begins where the page before ended: what is new since is not shifted in.
    rest = query
    if bound is not None:
        rest = replace(query, last=bound) if query.index.newest_first else replace(query, first=bound)
    streams = [_partition_items(rest, number, position) for number, position in enumerate(positions)]
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
    query: Query, number: int, position: Position
) -> Iterator[tuple[tuple[str, int], Mapping[str, Any]]]:
    """The items of the partition of that number from a position on, each with its place in the order of all.

    Source: DynamoDB API, Query. What is read at a time is a partition's part of a page, and one more.
    """
    index, partition = query.index, query.partitions[number]
    start: dict[str, Any] = {}
    # DynamoDB refuses a start outside the range. What a partition has left is then within it: all before was told.
    if position != "start" and query.first <= position[0] <= query.last:
        key = {index.partition_key: partition, index.sort_key: position[0], "TransactionID": position[1]}
        start = {"ExclusiveStartKey": {name: {"S": text} for name, text in key.items()}}
    while True:
        reply = dynamodb.query(
            TableName=TABLE_NAME,
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
    """A cursor, opaque to the caller: where the page ended, and where each partition goes on."""
    return base64.urlsafe_b64encode(json.dumps([query.digest, bound, positions]).encode()).decode()


def decode_cursor(cursor: Any, query: Query) -> tuple[str | None, list[Position]]:
    """Where the page before ended, and where each partition goes on.

    Raises:
        InvalidQueryError: it is no cursor of this query's.
    """
    if cursor is None:
        return None, ["start"] * len(query.partitions)
    refused = InvalidQueryError([Violation("Cursor", "cursor")])
    try:
        digest, bound, positions = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (TypeError, ValueError, RecursionError):
        raise refused from None
    if digest != query.digest:
        raise InvalidQueryError([Violation("Cursor", "of_another_query")])
    if not isinstance(bound, str) or not query.first <= bound <= query.last:
        raise refused
    if not isinstance(positions, list) or [_is_position(one) for one in positions] != [True] * len(query.partitions):
        raise refused
    return bound, positions


def _is_position(position: Any) -> bool:
    if isinstance(position, list):
        return len(position) == 2 and all(isinstance(text, str) and text for text in position)
    return bool(position == "start")


def _just_before(timestamp: str) -> str:
    moment = datetime.fromisoformat(timestamp) - timedelta(microseconds=1)
    return utc_timestamp(moment.isoformat(timespec="microseconds"))


def _parse_limit(event: Mapping[str, Any], violations: list[Violation]) -> int:
    limit = event.get("Limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        violations.append(Violation("Limit", "limit"))
        return DEFAULT_LIMIT
    return limit


def _check_fields(event: Mapping[str, Any], known: set[str]) -> None:
    if event.keys() - known:
        raise InvalidQueryError([Violation("Query", "unknown_field")])
