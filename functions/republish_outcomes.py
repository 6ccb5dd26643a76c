"""Republish Outcomes: the scheduled sweep that publishes what is recorded and not published yet.

An execution can be stopped, or fail permanently, between the write and the publication. Then the payment or the entry
is in its table's sparse index of the unpublished, and stays there until an execution, a duplicate or this sweep
publishes it.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError

from ledger.aws import CALL_TOTAL_S, private_client
from ledger.chain import entry_facts
from ledger.item import SHARDS, UnreadableItemError, recorded_facts
from ledger.outcome import Outcome
from ledger.publication import MAX_BYTES, MAX_EVENTS, batches, emit_outcome_metrics, mark_published, put_outcomes
from ledger.timestamps import utc_timestamp

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

logger = Logger()
metrics = Metrics()
dynamodb: DynamoDBClient = private_client("dynamodb")
events: EventBridgeClient = private_client("events")
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
REPUBLISH_AFTER = timedelta(minutes=int(os.environ["REPUBLISH_AFTER_MINUTES"]))


class Swept(NamedTuple):
    """A table that the sweep reads: its name, its index of the unpublished, and how to read the facts of an item."""

    table_name: str
    index_name: str
    facts: Callable[[Mapping[str, Any]], dict[str, Any]]


SWEPT = (
    Swept(TABLE_NAME, "UnpublishedPayments", recorded_facts),
    Swept(ENTRIES_TABLE_NAME, "UnpublishedEntries", entry_facts),
)
Page = tuple[Swept, int, Mapping[str, Any] | None]
"""A page to read: its table, its shard, and where it starts."""

ABOUT_THE_ITEM = frozenset({"ConditionalCheckFailedException", "ValidationException"})
"""Errors of UpdateItem that an item causes: it is gone, or too large to be changed. All other errors are about the
table, and end the sweep. Source: DynamoDB API, UpdateItem; DynamoDB Developer Guide, quotas, item size."""

LAST_CALL_MS = (CALL_TOTAL_S + 1) * 1000
"""Remaining time below which a call might not end in time. The next sweep does the rest."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish every payment and entry that was recorded some minutes before `ScheduledTime` and is still unpublished.

    Two sweeps may run at once, and beside an execution: each may publish an outcome, all under one OutcomeID. What
    cannot be published is named in the log and counted in the metric `OutcomesHeldBack`. It delays nothing else.

    Returns:
        How many outcomes were found and published, for how long the oldest has been overdue, and whether the sweep
        reached all of them.

    Raises:
        ClientError: any DynamoDB or EventBridge error, unchanged. The next sweep finds what is left.
    """
    now = datetime.fromisoformat(utc_timestamp(event["ScheduledTime"]))
    sweep = Sweep(now=now, context=context)
    try:
        sweep.run()
    finally:
        metrics.add_metric(name="UnpublishedOutcomes", unit=MetricUnit.Count, value=sweep.found)
        metrics.add_metric(name="UnpublishedOverdue", unit=MetricUnit.Seconds, value=sweep.overdue_s)
        metrics.add_metric(name="OutcomesHeldBack", unit=MetricUnit.Count, value=sweep.held_back)
        metrics.flush_metrics()
    logger.info("sweep ended", found=sweep.found, published=sweep.published, done=sweep.done)
    return {"Found": sweep.found, "Published": sweep.published, "OverdueSeconds": sweep.overdue_s, "Done": sweep.done}


class Sweep:
    """One pass over the shards of both indexes, the oldest of each first."""

    def __init__(self, now: datetime, context: LambdaContext) -> None:
        self.now = now
        self.due = now - REPUBLISH_AFTER
        self.context = context
        self.found = 0
        self.published = 0
        self.held_back = 0
        self.overdue_s = 0.0
        self.done = False

    def run(self) -> None:
        """Page through all shards in turn, so that a long shard does not delay the others."""
        before = utc_timestamp(self.due.isoformat())
        pages: deque[Page] = deque((swept, shard, None) for swept in SWEPT for shard in range(SHARDS))
        while pages:
            swept, shard, start = pages.popleft()
            if not self.has_time():
                return
            items, following = page_of(dynamodb, swept, shard, before, start)
            if items and not self.publish_page(swept, items):
                return
            if following:
                pages.append((swept, shard, following))
        self.done = True

    def publish_page(self, swept: Swept, items: list[Mapping[str, Any]]) -> bool:
        """Publish a page, and mark what the bus accepted; False if the time was too short for all."""
        self.found += len(items)
        outcomes = [outcome for item in items if (outcome := self.outcome_of(swept, item))]
        for outcome in outcomes:
            if outcome.size > MAX_BYTES:
                self.hold_back(ids_of(outcome.detail), "too_large", "Metadata")
        for batch in batches([outcome for outcome in outcomes if outcome.size <= MAX_BYTES]):
            if not self.has_time():
                return False
            for outcome, code in zip(batch, put_outcomes(events, EVENT_BUS_NAME, batch), strict=True):
                if code:
                    self.hold_back(ids_of(outcome.detail), "not_published", code)
                elif not self.has_time():
                    return False
                else:
                    self.mark(swept, outcome)
        return True

    def outcome_of(self, swept: Swept, item: Mapping[str, Any]) -> Outcome | None:
        """Return the outcome that an item needs; None if the item is damaged."""
        try:
            recorded = swept.facts(item)
        except UnreadableItemError as unreadable:
            self.hold_back(ids_of(unreadable.as_dict()), "unreadable", unreadable.attribute)
            return None
        overdue = self.due - datetime.fromisoformat(recorded["RecordedAt"])
        self.overdue_s = max(self.overdue_s, overdue.total_seconds())
        return Outcome.from_recorded("RECORDED", recorded, recorded["Execution"])

    def mark(self, swept: Swept, outcome: Outcome) -> None:
        """Mark a payment or an entry whose event the bus accepted."""
        ids = ids_of(outcome.detail)
        try:
            mark_published(dynamodb, swept.table_name, outcome.detail, utc_timestamp(self.now.isoformat()))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ABOUT_THE_ITEM:
                raise
            self.hold_back(ids, "not_marked", code)
            return
        self.published += 1
        logger.info("outcome republished", **ids)
        emit_outcome_metrics(metrics, outcome)

    def hold_back(self, ids: Mapping[str, Any], reason: str, named: str) -> None:
        """Count what cannot be published now, and log the attribute or AWS's error code that says why."""
        self.held_back += 1
        logger.error("outcome held back", **ids, reason=reason, named=named)

    def has_time(self) -> bool:
        """Return whether another call will end before Lambda ends the function."""
        return self.context.get_remaining_time_in_millis() > LAST_CALL_MS


def ids_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a log line that name a payment, or an entry by its number."""
    entry = {"entry": recorded["Entry"]} if "Entry" in recorded else {}
    return {"transaction_id": recorded["TransactionID"], **entry}


def page_of(
    client: DynamoDBClient, swept: Swept, shard: int, before: str, start: Mapping[str, Any] | None
) -> tuple[list[Mapping[str, Any]], Mapping[str, Any] | None]:
    """Return unpublished items that were recorded before *before*, and where the next page starts.

    A page has as many items as one PutEvents call may have. The index follows the table a moment later, so an item of
    the page may be published by now. Source: DynamoDB API, Query.
    """
    reply = client.query(
        TableName=swept.table_name,
        IndexName=swept.index_name,
        KeyConditionExpression="Unpublished = :shard AND RecordedAt < :before",
        ExpressionAttributeValues={":shard": {"S": f"{shard}"}, ":before": {"S": before}},
        Limit=MAX_EVENTS,
        **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]
    )
    return list(reply["Items"]), reply.get("LastEvaluatedKey")
