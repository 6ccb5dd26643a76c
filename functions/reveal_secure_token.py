"""Reveal Secure Token: the plaintext token of one payment, for a stated reason that is logged.

It is the only function that decrypts. Anybody who may invoke it may read tokens. A function does not learn who invoked
it. CloudTrail records the caller under the request's ID, if it keeps data events of this function.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import base64
import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.aws import private_client
from ledger.fields import IDENTIFIER, InvalidRequestError, reason_and_requester
from ledger.item import read_attribute
from ledger.payment import encryption_context, valid_id

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

logger = Logger()
metrics = Metrics()
dynamodb: DynamoDBClient = private_client("dynamodb")
kms: KMSClient = private_client("kms")
TABLE_NAME = os.environ["TABLE_NAME"]
TOKEN_KEY = os.environ["TOKEN_KEY"]


class PaymentNotFoundError(Exception):
    """The ledger has no payment under the ID."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Reveal a token.

    Event:
        `{"TransactionID", "Reason", "Requester"}`. The reason has 8 to 256 characters. The requester is the name that
        the caller gives itself, for the readers of the log.

    Returns:
        `{"TransactionID", "SecureToken"}`. If the token is not UTF-8, `SecureTokenBase64` stands in its place.

    Raises:
        InvalidRequestError: a field is missing or invalid. Nothing was decrypted.
        PaymentNotFoundError: the ledger has no such payment.
        UnreadableItemError: the token of the item is damaged.
        ClientError: any DynamoDB or KMS error, unchanged.
    """
    transaction_id = event.get("TransactionID")
    if not isinstance(transaction_id, str) or not IDENTIFIER.fullmatch(transaction_id):
        raise InvalidRequestError("TransactionID is 1 to 64 of A-Z a-z 0-9 _ -")
    reason, requester = reason_and_requester(event)
    # Log before the token is revealed: if the reply is lost, the token was revealed nevertheless.
    logged_id = valid_id(event, "TransactionID")  # None for a card number that an older version recorded as an ID
    logger.warning("token requested", transaction_id=logged_id, reason=reason, requester=requester)
    token = reveal(transaction_id)
    metrics.add_metric(name="TokenRevealed", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
    logger.warning("token revealed", transaction_id=logged_id)
    try:
        return {"TransactionID": transaction_id, "SecureToken": token.decode()}
    except UnicodeDecodeError:  # a sender that seals its tokens may seal any bytes
        return {"TransactionID": transaction_id, "SecureTokenBase64": base64.b64encode(token).decode()}


def reveal(transaction_id: str) -> bytes:
    """Return the plaintext of the payment's token, which KMS decrypts for this transaction alone."""
    reply = dynamodb.get_item(
        TableName=TABLE_NAME,
        Key={"TransactionID": {"S": transaction_id}},
        ProjectionExpression="SecureToken",
        ConsistentRead=True,
    )
    if "Item" not in reply:
        raise PaymentNotFoundError("the ledger has no payment under this TransactionID")
    decrypted = kms.decrypt(
        KeyId=TOKEN_KEY,
        CiphertextBlob=read_attribute(reply["Item"], "SecureToken", "B", transaction_id),
        EncryptionContext=encryption_context(transaction_id),
    )
    return decrypted["Plaintext"]
