"""Encrypts a token in the typical way: Powertools' Logger, Metrics and Tracer, and a pydantic model."""

import base64
import os

import boto3
from model import Payment, logger, metrics, tracer

kms = boto3.client("kms")


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event, context):
    Payment(**event["Payment"])
    logger.info("called")
    metrics.add_metric(name="Called", unit="Count", value=1)
    reply = kms.encrypt(
        KeyId=os.environ["TOKEN_KEY"],
        Plaintext=event["SecureToken"].encode(),
        EncryptionContext={"TransactionID": event["Payment"]["TransactionID"]},
    )
    return {"Payment": event["Payment"], "EncryptedToken": base64.b64encode(reply["CiphertextBlob"]).decode()}
