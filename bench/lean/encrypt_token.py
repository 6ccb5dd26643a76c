"""The least code that encrypts a token: a plain boto3 client."""

import base64
import os

import boto3

kms = boto3.client("kms")


def handler(event, _context):
    reply = kms.encrypt(
        KeyId=os.environ["TOKEN_KEY"],
        Plaintext=event["SecureToken"].encode(),
        EncryptionContext={"TransactionID": event["Payment"]["TransactionID"]},
    )
    return {"Payment": event["Payment"], "EncryptedToken": base64.b64encode(reply["CiphertextBlob"]).decode()}
