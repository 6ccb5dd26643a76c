"""Persist Payment: one conditional write, which decides the payment's outcome."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from aws_lambda_powertools import Logger

from ledger.aws import private_client
from ledger.item import EncryptedPayment, differing_fields, publication_of, recorded_facts
from ledger.payment import Payment
from ledger.timestamps import utc_timestamp
from ledger.violations import PaymentConflictError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

    from ledger.states import PersistedPayment, PersistEvent

logger = Logger()
dynamodb: DynamoDBClient = private_client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: PersistEvent, context: LambdaContext) -> PersistedPayment:
    """Write the encrypted payment once. `put_once` says what happens if the payment comes again."""
    encrypted = EncryptedPayment(
        payment=Payment.from_state(event["Payment"]),
        ciphertext=base64.b64decode(event["EncryptedToken"]),
        token_key=event["TokenKey"],
        execution=event["Execution"],
        recorded_at=utc_timestamp(event["StartTime"]),
    )
    transaction_id, is_import = encrypted.payment.transaction_id, encrypted.payment.imported is not None
    try:
        outcome, item = put_once(dynamodb, TABLE_NAME, encrypted)
    except PaymentConflictError as conflict:
        logger.warning("payment conflicts", transaction_id=transaction_id, differs=conflict.differs)
        raise
    logger.info("payment persisted", transaction_id=transaction_id, outcome=outcome)
    facts = recorded_facts(item)
    published = publication_of(outcome, facts, is_marked="Unpublished" not in item, is_import=is_import)
    return {"Outcome": outcome, "Payment": facts, "Published": published}


def put_once(
    client: DynamoDBClient, table_name: str, encrypted: EncryptedPayment
) -> tuple[Literal["RECORDED", "DUPLICATE"], Mapping[str, Any]]:
    """Write *encrypted* unless its TransactionID is taken.

        first delivery    put ── new ───────────────────────────────────────────▶ RECORDED
        its resend        put ── taken ── by this very delivery: reply was lost ─▶ RECORDED
        same payment      put ── taken ── same fingerprint ──────────────────────▶ DUPLICATE
        another payment   put ── taken ── another fingerprint ───────────────────▶ PaymentConflictError

    If the condition fails, DynamoDB returns the item that decided, from the same atomic step. So there is no second
    read, before which another writer could change the item.

    Returns:
        The outcome, and the item that the ledger has for the payment.

    Raises:
        PaymentConflictError: the ledger has a different payment under the ID. Never retried.
        ClientError: any other DynamoDB error, unchanged; the state machine retries those that may pass.

    Source: DynamoDB API, PutItem, ReturnValuesOnConditionCheckFailure.
    """
    item: Mapping[str, Any] = encrypted.as_item()
    try:
        client.put_item(
            TableName=table_name,
            Item=item,
            # Every item has the key attribute, so its absence means that there is no item under this ID.
            ConditionExpression="attribute_not_exists(TransactionID)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except client.exceptions.ConditionalCheckFailedException as taken:
        item = taken.response["Item"]  # type: ignore[typeddict-item]  # the stubs know only the keys that all errors have
    else:
        return "RECORDED", item
    if differs := differing_fields(item, encrypted.payment):
        raise PaymentConflictError(encrypted.payment, differs)
    return ("RECORDED" if encrypted.is_own_write(item) else "DUPLICATE"), item
