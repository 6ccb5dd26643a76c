"""Persist Payment: one conditional write, which decides what this payment is to the ledger."""

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ledger.aws import private_client
from ledger.item import EncryptedPayment, PaymentConflictError, differing_fields, recorded_facts
from ledger.payment import Payment, utc_timestamp

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger()
dynamodb: "DynamoDBClient" = private_client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Write the encrypted payment once; `put_once` says what a repeat does."""
    encrypted = EncryptedPayment(
        payment=Payment.from_state(event["Payment"]),
        ciphertext=base64.b64decode(event["EncryptedToken"]),
        token_key=event["TokenKey"],
        execution=event["Execution"],
        recorded_at=utc_timestamp(event["StartTime"]),
    )
    transaction_id = encrypted.payment.transaction_id
    try:
        outcome, item = put_once(dynamodb, TABLE_NAME, encrypted)
    except PaymentConflictError as conflict:
        logger.warning("payment conflicts", transaction_id=transaction_id, differs=conflict.differs)
        raise
    logger.info("payment persisted", transaction_id=transaction_id, outcome=outcome)
    return {"Outcome": outcome, "Payment": recorded_facts(item), "Published": "Unpublished" not in item}


def put_once(
    client: "DynamoDBClient", table_name: str, encrypted: EncryptedPayment
) -> tuple[Literal["RECORDED", "DUPLICATE"], Mapping[str, Any]]:
    """Write *encrypted* unless its TransactionID is taken.

        first delivery    put ── new ───────────────────────────────────────────▶ RECORDED
        its resend        put ── taken ── by this very delivery: reply was lost ─▶ RECORDED
        same payment      put ── taken ── same fingerprint ──────────────────────▶ DUPLICATE
        another payment   put ── taken ── another fingerprint ───────────────────▶ PaymentConflictError

    The item that decides comes back with the failed condition, from the same atomic step, so there
    is no second read for another writer to slip in before.

    Returns:
        The outcome, and the item that is in the ledger for it.

    Raises:
        PaymentConflictError: the id holds a different payment. Never retried.
        ClientError: any other DynamoDB error, unchanged; the state machine retries those that may pass.

    Source: DynamoDB API, PutItem, ReturnValuesOnConditionCheckFailure.
    """
    item: Mapping[str, Any] = encrypted.as_item()
    try:
        client.put_item(
            TableName=table_name,
            Item=item,
            # The key attribute exists on every item, so its absence means: no item under this id.
            ConditionExpression="attribute_not_exists(TransactionID)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except client.exceptions.ConditionalCheckFailedException as taken:
        item = taken.response["Item"]  # type: ignore[typeddict-item]  # the stubs know only what all errors have
    else:
        return "RECORDED", item
    if differs := differing_fields(item, encrypted.payment):
        raise PaymentConflictError(encrypted.payment, differs)
    return ("RECORDED" if encrypted.is_own_write(item) else "DUPLICATE"), item
