"""The least code that publishes an outcome: a plain boto3 client."""

import json
import os

import boto3

events = boto3.client("events")


def handler(event, _context):
    entry = {
        "EventBusName": os.environ["EVENT_BUS_NAME"],
        "Source": "payment.ledger",
        "DetailType": "PaymentRecorded",
        "Detail": json.dumps(event["Payment"]),
    }
    events.put_events(Entries=[entry])
    return {"Outcome": "RECORDED"}
