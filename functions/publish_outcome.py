"""Publish Outcome: put the payment's outcome on the ledger's event bus, then mark the payment as published."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics

from ledger.aws import private_client
from ledger.outcome import Outcome, refusal_of
from ledger.publication import emit_outcome_metrics, mark_published, publish
from ledger.timestamps import utc_timestamp

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

    from ledger.states import PublishEvent

logger = Logger()
metrics = Metrics()
events: EventBridgeClient = private_client("events")
dynamodb: DynamoDBClient = private_client("dynamodb")
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
TABLE_NAME = os.environ["TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: PublishEvent, context: LambdaContext) -> dict[str, Any]:
    """Publish the outcome of one payment, then mark the payment as published.

    Returns:
        The result of the state, which the execution ends with: the outcome, and the cause if nothing was recorded.
    """
    name, execution = event["Outcome"], event["Execution"]
    if name in {"REJECTED", "CONFLICT"}:
        outcome = Outcome.from_refusal(name, refusal_of(event["Cause"]), execution)
        publish(events, EVENT_BUS_NAME, [outcome])
    else:
        payment, is_published = event["Payment"], event["Published"]
        outcome = Outcome.from_payment(name, payment, execution)
        missed = []
        if name == "DUPLICATE" and not is_published:
            # An earlier execution recorded the payment and stopped before its event: publish that event as well.
            missed = [Outcome.from_payment("RECORDED", payment, payment["Execution"])]
        publish(events, EVENT_BUS_NAME, [*missed, outcome])
        if not is_published:
            mark_published(dynamodb, TABLE_NAME, payment["TransactionID"], utc_timestamp(event["PublishedAt"]))
    result = outcome.as_result()
    logger.info(
        "outcome published",
        outcome=name,
        transaction_id=result.get("TransactionID"),
        processor_id=outcome.detail.get("ProcessorID"),
    )
    emit_outcome_metrics(metrics, outcome)
    return result
