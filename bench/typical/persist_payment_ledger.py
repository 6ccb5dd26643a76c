"""Records a payment in the typical way: Powertools' Logger, Metrics and Tracer, and a pydantic model."""

import base64
import os

import boto3
from model import Payment, logger, metrics, tracer

dynamodb = boto3.client("dynamodb")


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event, context):
    Payment(**event["Payment"])
    logger.info("called")
    metrics.add_metric(name="Called", unit="Count", value=1)
    payment = event["Payment"]
    dynamodb.put_item(
        TableName=os.environ["TABLE_NAME"],
        Item={
            "TransactionID": {"S": payment["TransactionID"]},
            "SecureToken": {"B": base64.b64decode(event["EncryptedToken"])},
            "Amount": {"N": payment["Amount"]},
            "ProcessorID": {"S": payment["ProcessorID"]},
            "Status": {"S": payment["Status"]},
            "Timestamp": {"S": payment["Timestamp"]},
        },
        ConditionExpression="attribute_not_exists(TransactionID)",
    )
    return {"Outcome": "RECORDED", "Payment": payment}
