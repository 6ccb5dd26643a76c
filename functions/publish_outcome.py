"""Publish Outcome: tell the ledger's bus what became of the payment, then mark the item as told."""

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from ledger.aws import private_client
from ledger.outcome import DETAIL_TYPES, Outcome, conflict, duplicate, reason, recorded, refusal_of, rejected
from ledger.payment import utc_timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

logger = Logger()
metrics = Metrics()
events: "EventBridgeClient" = private_client("events")
dynamodb: "DynamoDBClient" = private_client("dynamodb")
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
TABLE_NAME = os.environ["TABLE_NAME"]

TRANSIENT_ENTRY_ERRORS = frozenset({"InternalException", "InternalFailure", "ThrottlingException"})
"""Source: EventBridge User Guide, handling failures with PutEvents."""


class OutcomeNotPublishedError(Exception):
    """The bus did not take an event this time. The state machine retries it."""


class OutcomeRefusedError(Exception):
    """The bus refuses an event for good. Not retried: the execution stays failed until the cause is mended."""


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of one payment; a refused one's reason is what the execution ends with."""
    name, execution = event["Outcome"], event["Execution"]
    ended: dict[str, Any] = {"Outcome": name}
    if name in {"REJECTED", "CONFLICT"}:
        refusal = refusal_of(event["Cause"])
        outcome = (rejected if name == "REJECTED" else conflict)(refusal, execution)
        publish(events, EVENT_BUS_NAME, [outcome])
        ended["Cause"] = reason(refusal)
    else:
        payment = event["Payment"]
        outcome = (recorded if name == "RECORDED" else duplicate)(payment, execution)
        # A duplicate may be the first to notice that its payment was recorded and never told.
        owed = [] if name == "RECORDED" or event["Published"] else [recorded(payment, payment["Execution"])]
        publish(events, EVENT_BUS_NAME, [*owed, outcome])
        if not event["Published"]:
            mark_published(dynamodb, TABLE_NAME, payment["TransactionID"], utc_timestamp(event["PublishedAt"]))
    ended |= {key: outcome.detail[key] for key in ("TransactionID", "OutcomeID") if key in outcome.detail}

    logger.info("outcome published", outcome=name, transaction_id=ended.get("TransactionID"))
    count(outcome)
    return ended


def publish(client: "EventBridgeClient", event_bus: str, outcomes: list[Outcome]) -> None:
    """Put *outcomes* (at most 10) on the bus. A retry puts all of them again, under the same OutcomeIDs.

    Raises:
        OutcomeNotPublishedError: an entry failed and may pass later. Retried.
        OutcomeRefusedError: an entry failed and will fail again. Not retried.
        ClientError: the call itself failed, unchanged; the state machine retries what may pass.

    Source: EventBridge API, PutEvents: the call succeeds even where entries of it fail.
    """
    reply = client.put_events(Entries=[outcome.as_entry(event_bus) for outcome in outcomes])  # type: ignore[misc]
    if reply["FailedEntryCount"] == 0:
        return
    codes = sorted({entry["ErrorCode"] for entry in reply["Entries"] if "ErrorCode" in entry})
    error = OutcomeNotPublishedError if TRANSIENT_ENTRY_ERRORS.issuperset(codes) else OutcomeRefusedError
    raise error(f"PutEvents failed for {reply['FailedEntryCount']} of {len(outcomes)} events: {', '.join(codes)}")


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


def count(outcome: Outcome) -> None:
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
