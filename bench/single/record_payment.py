"""One function that does it all, as many developers would write it: one handler, with boto3's resources."""

import os
from decimal import Decimal

import boto3

kms = boto3.client("kms")
table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def handler(event, _context):
    encrypted = kms.encrypt(KeyId=os.environ["TOKEN_KEY"], Plaintext=event["SecureToken"].encode())["CiphertextBlob"]
    table.put_item(Item={**event, "SecureToken": encrypted, "Amount": Decimal(event["Amount"])})
    return {"Outcome": "RECORDED"}
