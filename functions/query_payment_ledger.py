"""Query Payment Ledger: one payment with its entries, a processor's payments or entries by time, or the unpublished.

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
from ledger.chain import walk_chain
from ledger.entry import KINDS
from ledger.fields import IDENTIFIER
from ledger.item import SHARDS, UnreadableItemError, seal_of
from ledger.pages import (
    BY_PROCESSOR,
    ENTRIES_BY_PROCESSOR,
    FIRST,
    LAST,
    UNPUBLISHED,
    UNPUBLISHED_ENTRIES,
    InvalidQueryError,
    Query,
    payment_view,
    read_page,
)
from ledger.payment import STATUSES, Payment, valid_id
from ledger.seal import read_seal, seal_view
from ledger.timestamps import utc_timestamp
from ledger.totals import opening
from ledger.violations import BrokenRuleError, Violation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
dynamodb: DynamoDBClient = private_client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]

SEALS_TABLE_NAME = os.environ["SEALS_TABLE_NAME"]
LOG_ORIGIN = os.environ["LOG_ORIGIN"]

MAX_SEAL = 10**12
"""More seals than a log has after a million years. DynamoDB takes numbers of up to 38 digits."""

MAX_LIMIT = 100
DEFAULT_LIMIT = 25

QUERIED = frozenset({"ProcessorID", "From", "To", "Limit", "Cursor"})
FACTS = (
    "TransactionID, Amount, Currency, ProcessorID, #s, #t, Metadata, Fingerprint, RecordedAt, Execution, "
    "PublishedAt, Seal"
)
RESERVED = {"#s": "Status", "#t": "Timestamp"}


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a query.

    Event:
        `{"TransactionID"}`: one payment and its entries, read from the tables themselves.
        `{"ProcessorID", "From"?, "To"?, "Status"?, "Limit"?, "Cursor"?}`: a processor's payments, the newest first.
            From is part of the range and To is not; both are RFC 3339. Limit is 1 to 100, and 25 if it is absent.
        `{"Entries": true, "ProcessorID", "From"?, "To"?, "Kind"?, "Limit"?, "Cursor"?}`: a processor's entries.
        `{"Unpublished": true, "Limit"?, "Cursor"?}`: recorded payments that are not published yet, the oldest first.
        `{"Entries": true, "Unpublished": true, "Limit"?, "Cursor"?}`: entries that are not published yet.
        `{"Seals": true, "First"?}`: the seals of the log from this number on, which is 1 if it is absent.
        `{"Seals": true, "Last": true}`: the last seal alone.

    Returns:
        `{"Payment": … or null, "Entries": […], "Totals": … or null, "Unreadable": […]}` for one payment. Totals are
        those after its last entry, and null if the ledger has no such payment or one of its entries is damaged.
        `{"Payments" or "Entries": […], "Unreadable": […], "Cursor": text or null}` for the others. If there is a
        cursor, the same query with that cursor returns the next page.
        `{"Seals": […], "Next": number or null}` for seals. If there is a next number, the same query with it as `First`
        returns the next page.
        Unreadable has `{"TransactionID", "Entry"?, "Attribute"}` of each damaged item: the attribute shows the damage.

    Raises:
        InvalidQueryError: the query breaks a rule.
        UnreadableItemError: the item of the one payment is damaged.
        UnreadableSealError: a seal is damaged.
        ClientError: any DynamoDB error, unchanged.
    """
    if "Seals" in event:
        seals = read_seals(event)
        logger.info("seals read", number=len(seals["Seals"]))
        return seals
    if "TransactionID" in event:
        answer = one_payment(event)
        found = answer["Payment"] is not None
        logger.info("payment read", transaction_id=valid_id(event, "TransactionID"), found=found)
    else:
        query = unpublished_query(event) if "Unpublished" in event else processor_query(event)
        listed = query.index.answer
        table_name = ENTRIES_TABLE_NAME if listed == "Entries" else TABLE_NAME
        answer = read_page(dynamodb, table_name, query, event.get("Cursor"))
        logger.info("page read", listed=listed, processor_id=valid_id(event, "ProcessorID"), number=len(answer[listed]))
    for unreadable in answer["Unreadable"]:
        ids = {"transaction_id": unreadable["TransactionID"], "entry": unreadable.get("Entry")}
        logger.error("item unreadable", **ids, attribute=unreadable["Attribute"])
    return answer


def one_payment(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payment and its entries as the tables have them now. Each has the number of its seal, or null.

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
    if "Item" not in reply:
        return {"Payment": None, "Entries": [], "Totals": None, "Unreadable": []}
    view = {**payment_view(reply["Item"]), "Seal": seal_of(reply["Item"])}
    payment = Payment.from_state(view)
    totals, entries, unreadable = opening(payment), [], []
    try:
        for recorded in walk_chain(dynamodb, ENTRIES_TABLE_NAME, payment):
            entries.append(recorded.view())
            totals = recorded.totals
    except UnreadableItemError as damaged:
        unreadable.append(damaged.as_dict())
    return {
        "Payment": view,
        "Entries": entries,
        "Totals": None if unreadable else totals.as_dict(),
        "Unreadable": unreadable,
    }


def read_seals(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return as many seals as one call reads, in order, and the number of the next one.

    Raises:
        InvalidQueryError: a field breaks a rule, or is unknown.
        UnreadableSealError: a seal is damaged.
    """
    if event.keys() - {"Seals", "First", "Last"} or {"First", "Last"} <= event.keys():
        raise InvalidQueryError([Violation("Query", "unknown_field")])
    first = event.get("First", 1)
    violations = [Violation(name, "true") for name in ("Seals", "Last") if event.get(name, True) is not True]
    if isinstance(first, bool) or not isinstance(first, int) or not 1 <= first <= MAX_SEAL:
        violations.append(Violation("First", "seal_number"))
    if violations:
        raise InvalidQueryError(violations)
    only_last: dict[str, Any] = {"ScanIndexForward": False, "Limit": 1} if "Last" in event else {}
    reply = dynamodb.query(
        TableName=SEALS_TABLE_NAME,
        KeyConditionExpression="#log = :log AND Seal >= :first",
        ExpressionAttributeNames={"#log": "Log"},
        ExpressionAttributeValues={":log": {"S": LOG_ORIGIN}, ":first": {"N": f"{first}"}},
        ConsistentRead=True,
        **only_last,
    )
    found = [seal_view(read_seal(item)) for item in reply["Items"]]
    is_cut_off = "LastEvaluatedKey" in reply and "Last" not in event
    return {"Seals": found, "Next": found[-1]["Seal"] + 1 if is_cut_off else None}


def processor_query(event: Mapping[str, Any]) -> Query:
    """Return the query for a processor's payments or entries.

    Raises:
        InvalidQueryError: a field breaks a rule, or is unknown.
    """
    name, values = ("Kind", KINDS) if "Entries" in event else ("Status", STATUSES)
    _check_fields(event, {*QUERIED, name})
    violations: list[Violation] = []
    processor_id, value = event.get("ProcessorID"), event.get(name)
    if not isinstance(processor_id, str) or not IDENTIFIER.fullmatch(processor_id):
        violations.append(Violation("ProcessorID", "identifier"))
    if value is not None and value not in values:
        violations.append(Violation(name, name.lower()))
    bounds = {}
    for bound, default in (("From", FIRST), ("To", LAST)):
        try:
            bounds[bound] = utc_timestamp(event[bound]) if event.get(bound) is not None else default
        except BrokenRuleError as broken:
            violations.append(Violation(bound, broken.rule))
    if not violations and bounds["From"] >= bounds["To"]:
        violations.append(Violation("From", "not_before_to"))
    limit = _parse_limit(event, violations)
    if violations:
        raise InvalidQueryError(violations)
    return Query(
        index=ENTRIES_BY_PROCESSOR if "Entries" in event else BY_PROCESSOR,
        partitions=[f"{processor_id}#{shard}" for shard in range(SHARDS)],
        first=bounds["From"],
        last=LAST if event.get("To") is None else _just_before(bounds["To"]),
        only=None if value is None else (name, value),
        limit=limit,
    )


def unpublished_query(event: Mapping[str, Any]) -> Query:
    """Return the query for the recorded payments or entries that are not published yet.

    Raises:
        InvalidQueryError: a field breaks a rule, or is unknown.
    """
    _check_fields(event, {"Unpublished", "Limit", "Cursor"})
    violations = [] if event["Unpublished"] is True else [Violation("Unpublished", "true")]
    limit = _parse_limit(event, violations)
    if violations:
        raise InvalidQueryError(violations)
    index = UNPUBLISHED_ENTRIES if "Entries" in event else UNPUBLISHED
    return Query(index=index, partitions=[f"{shard}" for shard in range(SHARDS)], limit=limit)


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
    """Return if the query has no unknown field, and asks for entries by `true` if at all.

    Raises:
        InvalidQueryError: it does not.
    """
    if event.keys() - known - {"Entries"} or ("TransactionID" in known and "Entries" in event):
        raise InvalidQueryError([Violation("Query", "unknown_field")])
    if event.get("Entries", True) is not True:
        raise InvalidQueryError([Violation("Entries", "true")])
