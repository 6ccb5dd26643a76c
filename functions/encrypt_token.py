"""Encrypt Token: from the sender's token to a ciphertext that belongs to this one transaction.

The plaintext leaves the workflow's state here, and a sealed token's plaintext never enters it.
"""

import base64
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ledger.aws import private_client
from ledger.payment import InvalidPaymentError, Violation, encryption_context, seal_context

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_kms import KMSClient

logger = Logger()
kms: "KMSClient" = private_client("kms")
TOKEN_KEY = os.environ["TOKEN_KEY"]
INTAKE_KEY = os.environ["INTAKE_KEY"]

UNBOUND_SEALS_END = datetime(2027, 7, 1, tzinfo=UTC)
"""When seals of the first form end, which are bound to the TransactionID alone, as all were before December 2026."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """The payment with its token encrypted; what came in as the token is not in it any more."""
    payment = event["Payment"]
    if "SealedToken" in event:
        ciphertext = reencrypt(kms, payment, base64.b64decode(event["SealedToken"]))
    else:
        ciphertext = encrypt(kms, payment["TransactionID"], event["SecureToken"])
    logger.info("token encrypted", transaction_id=payment["TransactionID"], sealed="SealedToken" in event)
    return {"Payment": payment, "EncryptedToken": base64.b64encode(ciphertext).decode(), "TokenKey": TOKEN_KEY}


def encrypt(client: "KMSClient", transaction_id: str, plaintext: str) -> bytes:
    """The plaintext token under the token key.

    Raises:
        ClientError: any KMS error, unchanged; the state machine retries those that may pass.
    """
    reply = client.encrypt(
        KeyId=TOKEN_KEY,
        Plaintext=plaintext.encode(),
        EncryptionContext=encryption_context(transaction_id),
    )
    return reply["CiphertextBlob"]


def reencrypt(client: "KMSClient", payment: dict[str, Any], sealed: bytes) -> bytes:
    """Move the sealed token from the intake key to the token key; its plaintext stays within KMS.

    Raises:
        InvalidPaymentError: it was not sealed with the intake key for this TransactionID and ProcessorID, which no
            retry can fix. Never retried.
        ClientError: any other KMS error, unchanged; the state machine retries those that may pass.
    """
    in_the_ledger = encryption_context(payment["TransactionID"])
    sealed_for = [seal_context(payment["TransactionID"], payment["ProcessorID"])]
    if datetime.now(UTC) < UNBOUND_SEALS_END:
        sealed_for.append(in_the_ledger)
    for context in sealed_for:
        try:
            reply = client.re_encrypt(
                CiphertextBlob=sealed,
                SourceKeyId=INTAKE_KEY,
                SourceEncryptionContext=context,
                DestinationKeyId=TOKEN_KEY,
                DestinationEncryptionContext=in_the_ledger,
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
