"""Republish Outcomes: the scheduled sweep that tells of payments which are recorded and were never told.

An execution can be stopped, or fail for good, between the write and the publication. The payment is then in
the sparse index of what is unpublished, and stays there until an execution, a duplicate or this sweep tells of it.
"""

import os
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ledger.aws import CALL_TOTAL_S, private_client
from ledger.item import SHARDS, recorded_facts
from ledger.outcome import recorded
from ledger.payment import utc_timestamp
from ledger.publication import MAX_ENTRIES, count, mark_published, put_outcomes

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

logger = Logger()
metrics = Metrics()
dynamodb: "DynamoDBClient" = private_client("dynamodb")
events: "EventBridgeClient" = private_client("events")
TABLE_NAME = os.environ["TABLE_NAME"]
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
REPUBLISH_AFTER = timedelta(minutes=int(os.environ["REPUBLISH_AFTER_MINUTES"]))
INDEX_NAME = "UnpublishedPayments"

LAST_CALL_MS = (CALL_TOTAL_S + 1) * 1000
"""With less than this left, a call might not end in time: the rest is the next sweep's."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Tell of every payment that was recorded some minutes before `ScheduledTime` and is still unpublished.

    Safe to run twice at once, and beside an execution: each may tell of a payment, all under one OutcomeID.

    Returns:
        How many were found and published, for how long the oldest has been overdue, and whether all were reached.

    Raises:
        ClientError: of DynamoDB or EventBridge, unchanged; the next sweep finds what this one left.
    """
    now = datetime.fromisoformat(utc_timestamp(event["ScheduledTime"]))
    sweep = Sweep(now=now, context=context)
    try:
        sweep.run()
    finally:
        metrics.add_metric(name="UnpublishedPayments", unit=MetricUnit.Count, value=sweep.found)
        metrics.add_metric(name="UnpublishedOverdue", unit=MetricUnit.Seconds, value=sweep.overdue_s)
        metrics.flush_metrics()
    logger.info("sweep ended", found=sweep.found, published=sweep.published, done=sweep.done)
    return {"Found": sweep.found, "Published": sweep.published, "OverdueSeconds": sweep.overdue_s, "Done": sweep.done}


class Sweep:
    """One pass over the shards of the index, the oldest payments of each first."""

    def __init__(self, now: datetime, context: "LambdaContext") -> None:
        self.now = now
        self.due = now - REPUBLISH_AFTER
        self.context = context
        self.found = 0
        self.published = 0
        self.overdue_s = 0.0
        self.done = False

    def run(self) -> None:
        """Page through all shards in turn, so that a long one does not keep the others waiting."""
        before = utc_timestamp(self.due.isoformat())
        pages: deque[tuple[int, Mapping[str, Any] | None]] = deque((shard, None) for shard in range(SHARDS))
        while pages:
            shard, start = pages.popleft()
            if not self.has_time():
                return
            items, following = page_of(dynamodb, TABLE_NAME, shard, before, start)
            if items and not self.tell(items):
                return
            if following:
                pages.append((shard, following))
        self.done = True

    def tell(self, items: list[Mapping[str, Any]]) -> bool:
        """Publish a page and mark what the bus has taken; False where the time is not enough for all."""
        facts = [recorded_facts(item) for item in items]
        self.found += len(facts)
        oldest = min(datetime.fromisoformat(payment["RecordedAt"]) for payment in facts)
        self.overdue_s = max(self.overdue_s, (self.due - oldest).total_seconds())
        outcomes = [recorded(payment, payment["Execution"]) for payment in facts]
        if not self.has_time():
            return False
        for outcome, code in zip(outcomes, put_outcomes(events, EVENT_BUS_NAME, outcomes), strict=True):
            transaction_id = outcome.detail["TransactionID"]
            if code:  # one that the bus refuses does not keep the others from being told
                logger.error("outcome not published", transaction_id=transaction_id, code=code)
                continue
            if not self.has_time():
                return False
            mark_published(dynamodb, TABLE_NAME, transaction_id, utc_timestamp(self.now.isoformat()))
            self.published += 1
            logger.info("outcome republished", transaction_id=transaction_id)
            count(metrics, outcome)
        return True

    def has_time(self) -> bool:
        """Whether one more call will end before the function is ended."""
        return self.context.get_remaining_time_in_millis() > LAST_CALL_MS


def page_of(
    client: "DynamoDBClient", table_name: str, shard: int, before: str, start: Mapping[str, Any] | None
) -> tuple[list[Mapping[str, Any]], Mapping[str, Any] | None]:
    """At most one PutEvents call of unpublished payments recorded before then, and where the next page starts.

    Source: DynamoDB API, Query. The index follows the table a moment later: a payment on the page may be told by now.
    """
    reply = client.query(
        TableName=table_name,
        IndexName=INDEX_NAME,
        KeyConditionExpression="Unpublished = :shard AND RecordedAt < :before",
        ExpressionAttributeValues={":shard": {"S": f"{shard}"}, ":before": {"S": before}},
        Limit=MAX_ENTRIES,
        **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]
    )
    return list(reply["Items"]), reply.get("LastEvaluatedKey")
