"""The least code that records a payment once: a plain boto3 client."""

import base64
import os

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, _context):
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
