"""Publish Outcome: tell the ledger's bus what became of the payment, then mark the item as told."""

import os
from typing import TYPE_CHECKING, Any

from ledger.aws import private_client
from ledger.outcome import conflict, duplicate, reason, recorded, refusal_of, rejected
from ledger.payment import utc_timestamp
from ledger.publication import count, mark_published, publish

from aws_lambda_powertools import Logger, Metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient

logger = Logger()
metrics = Metrics()
events: "EventBridgeClient" = private_client("events")
dynamodb: "DynamoDBClient" = private_client("dynamodb")
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
TABLE_NAME = os.environ["TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
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

    logger.info(
        "outcome published",
        outcome=name,
        transaction_id=ended.get("TransactionID"),
        processor_id=outcome.detail.get("ProcessorID"),
    )
    count(metrics, outcome)
    return ended
