"""The way in: seal the token, start the execution under the payment's own name, say what became of it.

Senders use this from their own code; `ledger start` does. Nothing here decrypts anything.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.outcome import outcome_of
from ledger.payment import Payment, encryption_context, parse_payment

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_stepfunctions import SFNClient

MAX_ATTEMPTS = 99
"""Of one payment, each under a name of its own; the longest name then has 80 characters, which is the limit."""


class TooManyAttemptsError(Exception):
    """Every name of the payment is taken by an execution that failed technically: mend the cause first."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A payment that was handed to the workflow.

    `outcome` is None while its execution runs; else `RECORDED`, `DUPLICATE`, `REJECTED` or `CONFLICT`. `started` says
    whether this delivery started it, or met one that was there.
    """

    execution: str
    started: bool
    outcome: str | None


def seal(kms: "KMSClient", intake_key: str, transaction_id: str, token: str) -> str:
    """The token under the intake key, bound to the TransactionID; base64, as `SealedToken` takes it."""
    reply = kms.encrypt(
        KeyId=intake_key, Plaintext=token.encode(), EncryptionContext=encryption_context(transaction_id)
    )
    return base64.b64encode(reply["CiphertextBlob"]).decode()


def deliver(
    states: "SFNClient",
    kms: "KMSClient",
    *,
    workflow: str,
    intake_key: str,
    default_currency: str,
    start_input: Mapping[str, Any],
) -> Delivery:
    """Start an execution for the payment, or find the one that it has. Safe to repeat, and to run twice at once.

    The token is sealed before it leaves this process. The execution's name is the payment's: delivered again it meets
    its own execution, and nothing runs twice. Where that one failed technically, a new attempt is started, which the
    table makes safe.

    Args:
        states: a client of Step Functions.
        kms: a client of KMS.
        workflow: ARN of the workflow's alias (the stack's output `WorkflowArn`).
        intake_key: ARN of the key that tokens are sealed with (the output `IntakeKeyArn`).
        default_currency: the stack's parameter `DefaultCurrency`.
        start_input: the payment, as docs/contract.md describes it.

    Raises:
        InvalidPaymentError: the contract is broken; nothing was started.
        TooManyAttemptsError: it failed technically each time.
        ClientError: any error of KMS or Step Functions, unchanged.
    """
    payment, token = parse_payment(start_input, default_currency=default_currency)
    content = {name: value for name, value in start_input.items() if name not in {"SecureToken", "SealedToken"}}
    sealed = token.text
    if token.field == "SecureToken":
        sealed = seal(kms, intake_key, payment.transaction_id, token.text)
    text = json.dumps({**content, "SealedToken": sealed})
    for attempt in range(1, MAX_ATTEMPTS + 1):
        name = execution_name(payment, attempt)
        try:
            reply = states.start_execution(stateMachineArn=workflow, name=name, input=text)
        except states.exceptions.ExecutionAlreadyExists:
            arn = f"{execution_prefix(workflow)}:{name}"
            described = states.describe_execution(executionArn=arn)
            if (outcome := outcome_of(described)) or described["status"] == "RUNNING":
                return Delivery(arn, started=False, outcome=outcome)
        else:
            return Delivery(reply["executionArn"], started=True, outcome=None)
    raise TooManyAttemptsError(f"{payment.transaction_id}: {MAX_ATTEMPTS} executions failed technically")


def execution_name(payment: Payment, attempt: int = 1) -> str:
    """The payment's own: its TransactionID, the beginning of its fingerprint, and a number from a second attempt on.

    A corrected or a different payment under the same id has another fingerprint, so it runs, and the table decides.
    """
    name = f"{payment.transaction_id}-{payment.fingerprint[:12]}"
    return name if attempt == 1 else f"{name}-{attempt}"


def execution_prefix(workflow: str) -> str:
    """What the ARNs of the workflow's executions begin with; an alias' executions are the workflow's."""
    arn, _, name = workflow.partition(":stateMachine:")
    return f"{arn}:execution:{name.partition(':')[0]}"
