"""Publication: putting outcomes on the ledger's event bus, and marking payments and entries as published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from ledger.outcome import Outcome

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

MAX_EVENTS = 10
"""Events of one PutEvents call. Source: EventBridge API, PutEvents."""

MAX_BYTES = 256 * 1024
"""Bytes of all events of one PutEvents call. Source: EventBridge User Guide, PutEvents event entry size."""

TRANSIENT_ENTRY_ERRORS = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Error codes of entries that may pass later. Source: EventBridge User Guide, handling failures with PutEvents."""


class OutcomeNotPublishedError(Exception):
    """The bus did not accept an event this time. The state machine retries."""


class OutcomeRefusedError(Exception):
    """The bus will never accept an event. Not retried: the execution stays failed until an operator fixes the cause."""


def put_outcomes(client: EventBridgeClient, event_bus: str, outcomes: Sequence[Outcome]) -> list[str | None]:
    """Put *outcomes* (at most `MAX_EVENTS`) on the bus.

    Returns:
        The error code of each outcome, in order; None if the bus accepted it.

    Raises:
        ClientError: the call itself failed, unchanged.

    Source: EventBridge API, PutEvents: the call succeeds even if some of its entries fail.
    """
    reply = client.put_events(Entries=[outcome.as_entry(event_bus) for outcome in outcomes])  # type: ignore[misc]
    if reply["FailedEntryCount"] == 0:
        return [None] * len(outcomes)
    return [entry.get("ErrorCode") for entry in reply["Entries"]]


def batches(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Yield *outcomes* in order, in batches that are as large as one PutEvents call may be."""
    batch: list[Outcome] = []
    size = 0
    for outcome in outcomes:
        if batch and (len(batch) == MAX_EVENTS or size + outcome.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(outcome)
        size += outcome.size
    if batch:
        yield batch


def publish(client: EventBridgeClient, event_bus: str, outcomes: Sequence[Outcome]) -> None:
    """Put all *outcomes* on the bus. A retry puts all of them again, under the same OutcomeIDs.

    Raises:
        OutcomeNotPublishedError: an entry failed and may pass later. Retried.
        OutcomeRefusedError: an entry failed and will fail again. Not retried.
        ClientError: the call itself failed, unchanged; the state machine retries what may pass.
    """
    codes = [code for code in put_outcomes(client, event_bus, outcomes) if code]
    if codes:
        error = OutcomeNotPublishedError if TRANSIENT_ENTRY_ERRORS.issuperset(codes) else OutcomeRefusedError
        raise error(f"PutEvents failed for {len(codes)} of {len(outcomes)} events: {', '.join(sorted(set(codes)))}")


def mark_published(client: DynamoDBClient, table_name: str, recorded: Mapping[str, Any], published_at: str) -> None:
    """Move the marker of a payment or an entry from unpublished to published. If it is marked, the first time stays.

    Raises:
        ClientError: any DynamoDB error, unchanged; the state machine retries those that may pass.
    """
    key: dict[str, Any] = {"TransactionID": {"S": recorded["TransactionID"]}}
    if "Entry" in recorded:
        key["Entry"] = {"N": f"{recorded['Entry']}"}
    client.update_item(
        TableName=table_name,
        Key=key,
        UpdateExpression="SET PublishedAt = if_not_exists(PublishedAt, :at) REMOVE Unpublished",
        # Without this condition, an UpdateItem on a key that does not exist would create an item that nobody recorded.
        ConditionExpression="attribute_exists(TransactionID)",
        ExpressionAttributeValues={":at": {"S": published_at}},
    )


def emit_outcome_metrics(metrics: Metrics, outcome: Outcome) -> None:
    """Write the outcome's metrics to the log (EMF).

    They count each outcome, recorded payments by currency and by processor, recorded entries by kind, and broken rules
    by rule. An import counts in a metric of its own alone, so that the others say what happens now. Only recorded
    payments are counted by processor: an invalid payment could invent a name, and so a metric, each time.
    """
    metrics.add_metric(name=outcome.detail_type, unit=MetricUnit.Count, value=1)
    if outcome.name == "RECORDED" and outcome.is_entry and not outcome.is_import:
        metrics.add_dimensions(service=metrics.service, Kind=outcome.detail["Kind"])
    elif outcome.name == "RECORDED" and not outcome.is_import:
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
            pass  # leaving the block writes the metric
