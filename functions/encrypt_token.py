"""Encrypt Token: from the sender's token to a ciphertext that belongs to this one transaction.

A plaintext token leaves the workflow's state here. The plaintext of a sealed token never enters it.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import base64
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from ledger.aws import private_client
from ledger.payment import encryption_context, seal_context
from ledger.violations import InvalidPaymentError, Violation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_kms import KMSClient

    from ledger.states import EncryptedToken, PaymentState, ValidatedPayment

logger = Logger()
kms: KMSClient = private_client("kms")
TOKEN_KEY = os.environ["TOKEN_KEY"]
INTAKE_KEY = os.environ["INTAKE_KEY"]

UNBOUND_SEALS_END = datetime(2027, 7, 1, tzinfo=UTC)
"""End of the seals of the first form. They are bound to the TransactionID alone, as all were before December 2026."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: ValidatedPayment, context: LambdaContext) -> EncryptedToken:
    """Replace the payment's token with its ciphertext, so that the sender's token goes no further."""
    payment = event["Payment"]
    if "SealedToken" in event:
        ciphertext = reencrypt(kms, payment, base64.b64decode(event["SealedToken"]))
    else:
        ciphertext = encrypt(kms, payment["TransactionID"], event["SecureToken"])
    logger.info("token encrypted", transaction_id=payment["TransactionID"], sealed="SealedToken" in event)
    return {"Payment": payment, "EncryptedToken": base64.b64encode(ciphertext).decode(), "TokenKey": TOKEN_KEY}


def encrypt(client: KMSClient, transaction_id: str, plaintext: str) -> bytes:
    """Encrypt the plaintext token under the token key.

    Raises:
        ClientError: any KMS error, unchanged; the state machine retries those that may pass.
    """
    reply = client.encrypt(
        KeyId=TOKEN_KEY,
        Plaintext=plaintext.encode(),
        EncryptionContext=encryption_context(transaction_id),
    )
    return reply["CiphertextBlob"]


def reencrypt(client: KMSClient, payment: PaymentState, sealed: bytes) -> bytes:
    """Move the sealed token from the intake key to the token key. Its plaintext stays within KMS.

    Raises:
        InvalidPaymentError: the token was not sealed with the intake key for this TransactionID and ProcessorID, which
            no retry can fix. Never retried.
        ClientError: any other KMS error, unchanged; the state machine retries those that may pass.
    """
    ledger_context = encryption_context(payment["TransactionID"])
    seal_contexts = [seal_context(payment["TransactionID"], payment["ProcessorID"])]
    if datetime.now(UTC) < UNBOUND_SEALS_END:
        seal_contexts.append(ledger_context)
    for context in seal_contexts:
        try:
            reply = client.re_encrypt(
                CiphertextBlob=sealed,
                SourceKeyId=INTAKE_KEY,
                SourceEncryptionContext=context,
                DestinationKeyId=TOKEN_KEY,
                DestinationEncryptionContext=ledger_context,
            )
        except client.exceptions.InvalidCiphertextException:
            continue
        except client.exceptions.IncorrectKeyException:
            break
        return reply["CiphertextBlob"]
    raise InvalidPaymentError(
        [Violation("SealedToken", "not_sealed_for_this_payment")],
        transaction_id=payment["TransactionID"],
        processor_id=payment["ProcessorID"],
    )
