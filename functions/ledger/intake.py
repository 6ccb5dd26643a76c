"""The way in: seal the token, start the execution under the payment's own name, say what became of it.

The webhook and `ledger start` use this, and senders may from code of their own. Nothing here decrypts anything.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.item import UnreadableItemError, as_recorded, stored
from ledger.payment import InvalidPaymentError, Payment, encryption_context, parse_payment, refusal_input

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_stepfunctions import SFNClient

MAX_ATTEMPTS = 9
"""Of one payment, each under a name of its own: whoever sends on after so many needs an operator, not another."""


GOES_ON = frozenset({"RUNNING", "PENDING_REDRIVE"})
"""Of an execution's statuses, those in which it has not ended. Source: Step Functions API, DescribeExecution."""


class TooManyAttemptsError(Exception):
    """Every name of the payment is taken by an execution that recorded nothing: mend the cause first."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A payment that was handed to the workflow.

    `outcome` is None while its execution runs; `RECORDED` where the ledger has the payment, and `CONFLICT` where it has
    another under its id. `execution` is the ARN of the one that decides; `started`: this delivery started it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """One stack's way in.

    Args:
        states: a client of Step Functions.
        kms: a client of KMS.
        dynamodb: a client of DynamoDB.
        workflow: ARN of the workflow's alias (the stack's output `WorkflowArn`).
        intake_key: ARN of the key that tokens are sealed with (the output `IntakeKeyArn`).
        table_name: the ledger's table (the output `TableName`).
        default_currency: the stack's parameter `DefaultCurrency`.
    """

    states: "SFNClient"
    kms: "KMSClient"
    dynamodb: "DynamoDBClient"
    workflow: str
    intake_key: str
    table_name: str
    default_currency: str

    def deliver(self, start_input: Mapping[str, Any]) -> Delivery:
        """Start an execution for the payment, or find what became of it. Safe to repeat, and to run twice at once.

        The token is sealed before it leaves this process. The execution's name is the payment's: delivered again it
        meets its own execution, and nothing runs twice. Where that one ended and the ledger has nothing under the id
        (it failed technically, or refused another token), a new attempt is started, which the table makes safe.

        Args:
            start_input: the payment, as docs/contract.md describes it.

        Raises:
            InvalidPaymentError: the contract is broken; nothing was started. Hand it to `refuse`.
            TooManyAttemptsError: each attempt ended without a payment in the ledger.
            UnreadableItemError: the ledger has an item under the ID that it has not written so.
            ClientError: any error of KMS, Step Functions or DynamoDB, unchanged.
        """
        payment, token = parse_payment(start_input, default_currency=self.default_currency)
        content = {name: value for name, value in start_input.items() if name not in {"SecureToken", "SealedToken"}}
        sealed = token.text
        if token.field == "SecureToken":
            sealed = seal(self.kms, self.intake_key, payment.transaction_id, token.text)
        text = json.dumps({**content, "SealedToken": sealed})
        for attempt in range(1, MAX_ATTEMPTS + 1):
            name = execution_name(payment, attempt)
            arn = f"{execution_prefix(self.workflow)}:{name}"
            try:
                self.states.start_execution(stateMachineArn=self.workflow, name=name, input=text)
            except self.states.exceptions.ExecutionAlreadyExists:
                if delivery := self._decided(payment, arn):
                    return delivery
            else:
                return Delivery(arn, started=True, outcome=None)
        raise TooManyAttemptsError(f"{payment.transaction_id}: {MAX_ATTEMPTS} executions recorded nothing")

    def refuse(self, refused: InvalidPaymentError, message_id: str) -> str:
        """Start an execution that publishes a refusal, and return its ARN. Safe to repeat: each refusal runs once.

        The workflow counts, logs and publishes it, as it does its own. The execution has no value of what was refused.

        Args:
            refused: what `deliver` raised, or what was refused before it.
            message_id: the same for each delivery of one message, and no other's. It tells messages apart that have no
                valid TransactionID.

        Raises:
            ClientError: any error of Step Functions, unchanged.
        """
        name = refusal_name(refused, message_id)
        text = json.dumps(refusal_input(refused))
        with suppress(self.states.exceptions.ExecutionAlreadyExists):
            self.states.start_execution(stateMachineArn=self.workflow, name=name, input=text)
        return f"{execution_prefix(self.workflow)}:{name}"

    def _decided(self, payment: Payment, execution: str) -> Delivery | None:
        """What became of a payment whose execution is there; None where that ended and left nothing in the table.

        The table is the truth: that an execution of the name succeeded does not say that it was this payment's. It is
        asked first, since few executions can be described a second.
        """
        if item := self._recorded(payment.transaction_id):
            return _of_the_item(item, payment, execution)
        status = self._status(execution)
        if status == "SUCCEEDED" and (item := self._recorded(payment.transaction_id)):  # written between the two
            return _of_the_item(item, payment, execution)
        return Delivery(execution, started=False, outcome=None) if status in GOES_ON else None

    def _status(self, execution: str) -> str:
        """The execution's status, without its input and output, for which a sender would need the history's key."""
        return self.states.describe_execution(executionArn=execution, includedData="METADATA_ONLY")["status"]

    def _recorded(self, transaction_id: str) -> Mapping[str, Any] | None:
        """Which payment the ledger has under this id, and the execution that wrote it."""
        reply = self.dynamodb.get_item(
            TableName=self.table_name,
            Key={"TransactionID": {"S": transaction_id}},
            ProjectionExpression="Fingerprint, Execution",
            ConsistentRead=True,
        )
        return reply.get("Item")


def _of_the_item(item: Mapping[str, Any], payment: Payment, execution: str) -> Delivery:
    """Say what the ledger has of a payment.

    Raises:
        UnreadableItemError: the item is not what this ledger has written.
    """
    if as_recorded(payment, stored(item, "Fingerprint", "S", payment.transaction_id)):
        recorder = stored(item, "Execution", "S", payment.transaction_id)
        if not recorder:
            raise UnreadableItemError(payment.transaction_id, "Execution")
        return Delivery(recorder, started=False, outcome="RECORDED")
    return Delivery(execution, started=False, outcome="CONFLICT")


def execution_name(payment: Payment, attempt: int = 1) -> str:
    """The payment's own: its TransactionID, the beginning of its fingerprint, and a number from a second attempt on.

    A corrected or a different payment under the same id has another fingerprint, so it runs, and the table decides.
    """
    name = f"{payment.transaction_id}-{payment.fingerprint[:12]}"
    return name if attempt == 1 else f"{name}-{attempt}"


def refusal_name(refused: InvalidPaymentError, message_id: str) -> str:
    """Return the name of the execution that publishes a refusal: what it is about, and a hash of what it says.

    `ledger inspect` finds it by its TransactionID. Without a valid one, it is named after the processor.
    """
    identity = [str(refused)] if refused.transaction_id else [str(refused), message_id]
    subject = refused.transaction_id or refused.processor_id or "refused"
    return f"{subject}-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]}"


def execution_prefix(workflow: str) -> str:
    """What the ARNs of the workflow's executions begin with; an alias' executions are the workflow's."""
    arn, _, name = workflow.partition(":stateMachine:")
    return f"{arn}:execution:{name.partition(':')[0]}"
