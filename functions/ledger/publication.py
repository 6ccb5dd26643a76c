"""Telling the ledger's bus what became of a payment, and marking the item as told."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ledger.outcome import DETAIL_TYPES, Outcome

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

MAX_ENTRIES = 10
"""Of one PutEvents call. Source: EventBridge API, PutEvents."""

MAX_BYTES = 256 * 1024
"""Of all entries of one PutEvents call. Source: EventBridge User Guide, PutEvents event entry size."""

TRANSIENT_ENTRY_ERRORS = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Source: EventBridge User Guide, handling failures with PutEvents."""


class OutcomeNotPublishedError(Exception):
    """The bus did not take an event this time. The state machine retries it."""


class OutcomeRefusedError(Exception):
    """The bus refuses an event for good. Not retried: the execution stays failed until the cause is mended."""


def put_outcomes(client: "EventBridgeClient", event_bus: str, outcomes: Sequence[Outcome]) -> list[str | None]:
    """Put *outcomes* (at most `MAX_ENTRIES`) on the bus.

    Returns:
        Each one's error code, in order; None where the bus has taken it.

    Raises:
        ClientError: the call itself failed, unchanged.

    Source: EventBridge API, PutEvents: the call succeeds even where entries of it fail.
    """
    reply = client.put_events(Entries=[outcome.as_entry(event_bus) for outcome in outcomes])  # type: ignore[misc]
    if reply["FailedEntryCount"] == 0:
        return [None] * len(outcomes)
    return [entry.get("ErrorCode") for entry in reply["Entries"]]


def batches(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Yield *outcomes* in order, in as few parts as one PutEvents call may have entries and bytes."""
    batch: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        if batch and (len(batch) == MAX_ENTRIES or size + outcome.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(outcome)
        size += outcome.size
    if batch:
        yield batch


def publish(client: "EventBridgeClient", event_bus: str, outcomes: Sequence[Outcome]) -> None:
    """Put *outcomes* on the bus, all of them. A retry puts all of them again, under the same OutcomeIDs.

    Raises:
        OutcomeNotPublishedError: an entry failed and may pass later. Retried.
        OutcomeRefusedError: an entry failed and will fail again. Not retried.
        ClientError: the call itself failed, unchanged; the state machine retries what may pass.
    """
    codes = [code for code in put_outcomes(client, event_bus, outcomes) if code]
    if codes:
        error = OutcomeNotPublishedError if TRANSIENT_ENTRY_ERRORS.issuperset(codes) else OutcomeRefusedError
        raise error(f"PutEvents failed for {len(codes)} of {len(outcomes)} events: {', '.join(sorted(set(codes)))}")


def mark_published(client: "DynamoDBClient", table_name: str, transaction_id: str, published_at: str) -> None:
    """Move the item's marker from unpublished to published; the first time stays.

    Raises:
        ClientError: any DynamoDB error, unchanged; the state machine retries those that may pass.
    """
    client.update_item(
        TableName=table_name,
        Key={"TransactionID": {"S": transaction_id}},
        UpdateExpression="SET PublishedAt = if_not_exists(PublishedAt, :at) REMOVE Unpublished",
        # Without it an UpdateItem on an id that is not there would create an item that is no payment.
        ConditionExpression="attribute_exists(TransactionID)",
        ExpressionAttributeValues={":at": {"S": published_at}},
    )


def emit_outcome_metrics(metrics: Metrics, outcome: Outcome) -> None:
    """The outcome as metrics, in the log (EMF): each outcome; recorded payments by currency and by processor;
    broken rules by rule.

    Only recorded payments are counted by processor: an invalid one could make up a name, and so a metric, each time.
    """
    metrics.add_metric(name=DETAIL_TYPES[outcome.name], unit=MetricUnit.Count, value=1)
    if outcome.name == "RECORDED":
        metrics.add_dimensions(service=metrics.service, Currency=outcome.detail["Currency"])
        metrics.add_dimensions(service=metrics.service, ProcessorID=outcome.detail["ProcessorID"])
    metrics.flush_metrics()
    for violation in outcome.detail.get("Violations", []):
        with single_metric(
            name="RuleBroken",
            unit=MetricUnit.Count,
            value=1,
            namespace=metrics.namespace,
            default_dimensions={"service": metrics.service, "Rule": violation["Rule"]},
        ):
            pass  # leaving the block writes it
