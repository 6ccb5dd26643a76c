"""Publishes an outcome in the typical way: Powertools' Logger, Metrics and Tracer, and a pydantic model."""

import json
import os

import boto3
from model import Payment, logger, metrics, tracer

events = boto3.client("events")


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event, context):
    Payment(**event["Payment"])
    logger.info("called")
    metrics.add_metric(name="Called", unit="Count", value=1)
    entry = {
        "EventBusName": os.environ["EVENT_BUS_NAME"],
        "Source": "payment.ledger",
        "DetailType": "PaymentRecorded",
        "Detail": json.dumps(event["Payment"]),
    }
    events.put_events(Entries=[entry])
    return {"Outcome": "RECORDED"}
