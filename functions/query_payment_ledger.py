"""Query Payment Ledger: one payment by its ID, a processor's payments by time, or the unpublished payments.

It reads no token, not even an encrypted one. An index follows the table a moment later, and so do its answers.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from ledger.aws import private_client
from ledger.fields import IDENTIFIER
from ledger.item import SHARDS
from ledger.pages import BY_PROCESSOR, FIRST, LAST, UNPUBLISHED, InvalidQueryError, Query, payment_view, read_page
from ledger.payment import STATUSES, valid_id
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, Violation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
dynamodb: DynamoDBClient = private_client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]

MAX_LIMIT = 100
DEFAULT_LIMIT = 25

QUERIED = ("ProcessorID", "From", "To", "Status", "Limit", "Cursor")
FACTS = (
    "TransactionID, Amount, Currency, ProcessorID, #s, #t, Metadata, Fingerprint, RecordedAt, Execution, PublishedAt"
)
RESERVED = {"#s": "Status", "#t": "Timestamp"}


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a query.

    Event:
        `{"TransactionID"}`: one payment, read from the table itself.
        `{"ProcessorID", "From"?, "To"?, "Status"?, "Limit"?, "Cursor"?}`: a processor's payments, the newest first.
            From is part of the range and To is not; both are RFC 3339. Limit is 1 to 100, and 25 if it is absent.
        `{"Unpublished": true, "Limit"?, "Cursor"?}`: recorded payments that are not published yet, the oldest first.

    Returns:
        `{"Payment": … or null}`, or `{"Payments": […], "Unreadable": [{"TransactionID", "Attribute"}], "Cursor": text
        or null}`. Unreadable names each damaged item of the page, and the attribute that shows the damage. If there is
        a cursor, the same query with that cursor returns the next page.

    Raises:
        InvalidQueryError: the query breaks a rule.
        UnreadableItemError: the item of the one payment is damaged.
        ClientError: any DynamoDB error, unchanged.
    """
    if "TransactionID" in event:
        payment = one_payment(event)
        logger.info("payment read", transaction_id=valid_id(event, "TransactionID"), found=payment is not None)
        return {"Payment": payment}
    query = unpublished_query(event) if "Unpublished" in event else processor_query(event)
    page = read_page(dynamodb, TABLE_NAME, query, event.get("Cursor"))
    for unreadable in page["Unreadable"]:
        logger.error(
            "payment unreadable", transaction_id=unreadable["TransactionID"], attribute=unreadable["Attribute"]
        )
    logger.info("payments listed", processor_id=valid_id(event, "ProcessorID"), payments=len(page["Payments"]))
    return page


def one_payment(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the payment as the table has it now; None if it has none under the ID.

    Raises:
        InvalidQueryError: the ID is invalid, or the query has another field.
        UnreadableItemError: the item is damaged.
    """
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


def processor_query(event: Mapping[str, Any]) -> Query:
    """Return the query for a processor's payments.

    Raises:
        InvalidQueryError: a field breaks a rule, or is unknown.
    """
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
    return Query(
        index=BY_PROCESSOR,
        partitions=[f"{processor_id}#{shard}" for shard in range(SHARDS)],
        first=bounds["From"],
        last=LAST if event.get("To") is None else _just_before(bounds["To"]),
        status=status,
        limit=limit,
    )


def unpublished_query(event: Mapping[str, Any]) -> Query:
    """Return the query for the recorded payments that are not published yet.

    Raises:
        InvalidQueryError: a field breaks a rule, or is unknown.
    """
    _check_fields(event, {"Unpublished", "Limit", "Cursor"})
    violations = [] if event["Unpublished"] is True else [Violation("Unpublished", "true")]
    limit = _parse_limit(event, violations)
    if violations:
        raise InvalidQueryError(violations)
    return Query(index=UNPUBLISHED, partitions=[f"{shard}" for shard in range(SHARDS)], limit=limit)


def _just_before(timestamp: str) -> str:
    moment = datetime.fromisoformat(timestamp) - timedelta(microseconds=1)
    return utc_timestamp(moment.isoformat(timespec="microseconds"))


def _parse_limit(event: Mapping[str, Any], violations: list[Violation]) -> int:
    """Return the limit; the default, and add a violation, if it is invalid."""
    limit = event.get("Limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        violations.append(Violation("Limit", "limit"))
        return DEFAULT_LIMIT
    return limit


def _check_fields(event: Mapping[str, Any], known: set[str]) -> None:
    """Return if the query has no unknown field.

    Raises:
        InvalidQueryError: it has one.
    """
    if event.keys() - known:
        raise InvalidQueryError([Violation("Query", "unknown_field")])
