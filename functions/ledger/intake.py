"""Intake: seal the token, start the execution under the payment's or entry's own name, and report the outcome.

The webhook and `ledger start` use this module, and a sender's own code may use it. Nothing here decrypts anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ledger.chain import items_of
from ledger.entry import Entry, is_entry, parse_entry
from ledger.fast_lane import FastLane, FastRun, name_of_execution
from ledger.fields import refused_input
from ledger.item import UnreadableItemError, as_recorded, read_attribute
from ledger.payment import Payment, parse_payment, seal_context
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_stepfunctions import SFNClient

MAX_ATTEMPTS = 9
"""Executions that are started for one payment. If nine recorded nothing, a tenth would not either: an operator must
look at the cause."""

NAMED_CHARACTERS = 45
"""Characters of an ID in an execution's name. A name has at most 80: `-`, 32 digits and a suffix of two follow."""

DIGITS = 32
"""Hexadecimal digits in an execution's name. With 128 bits, nobody finds two payments that have the same name."""

UNFINISHED_STATUSES = frozenset({"RUNNING", "PENDING_REDRIVE"})
"""Statuses of an execution that has not ended. Source: Step Functions API, DescribeExecution."""


class TooManyAttemptsError(Exception):
    """Nine executions recorded nothing. An operator has to fix the cause before another one can start."""

    def __init__(self, transaction_id: str) -> None:
        self.transaction_id = transaction_id
        super().__init__(f"{transaction_id}: {MAX_ATTEMPTS} executions recorded nothing")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A payment or an entry that was handed to its workflow.

    Attributes:
        execution: the ARN of the execution that decides, or that publishes the rejection or the conflict.
        started: whether this delivery started that execution.
        outcome: None while its execution runs, `RECORDED` if the ledger has it, and `CONFLICT` if the ledger has
            another one under the ID. In the fast lane, `DUPLICATE` if the ledger had it before, and `REJECTED`.
        refusal: in the fast lane, the broken rules of a `REJECTED` payment, or the fields in which a `CONFLICT`
            differs, as the outcome's event has them.
        left_fast_lane: the name of the error for which the Standard workflow runs the payment; None if it has not
            entered the fast lane, or was decided there.
    """

    execution: str
    started: bool
    outcome: str | None
    refusal: Mapping[str, Any] | None = None
    left_fast_lane: str | None = None

    @property
    def execution_name(self) -> str:
        """The execution's name. Executions of the fast lane share it with those that the Standard workflow starts."""
        return name_of_execution(self.execution)


def seal(kms: KMSClient, intake_key: str, transaction_id: str, processor_id: str, token: str) -> str:
    """Encrypt the token under the intake key, bound to both IDs. Return the base64 text that `SealedToken` expects."""
    context = seal_context(transaction_id, processor_id)
    reply = kms.encrypt(KeyId=intake_key, Plaintext=token.encode(), EncryptionContext=context)
    return base64.b64encode(reply["CiphertextBlob"]).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What is about to be started: the workflow, the name of the first execution, its input, and the identity."""

    workflow: str
    name: str
    text: str
    delivered: Payment | Entry
    sealed_by_sender: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The intake of one stack.

    Args:
        states: a client of Step Functions.
        kms: a client of KMS.
        dynamodb: a client of DynamoDB.
        workflow: the ARN of the payments' workflow's alias (the stack's output `WorkflowArn`).
        entries_workflow: the ARN of the entries' workflow's alias (the output `EntriesWorkflowArn`).
        intake_key: the ARN of the key that seals tokens (the output `IntakeKeyArn`).
        table_name: the name of the ledger's table (the output `TableName`).
        entries_table_name: the name of the table of entries (the output `EntriesTableName`).
        default_currency: the stack's parameter `DefaultCurrency`.
        imports: whether a start input may have the field `Import`. Never give a processor this right: it could keep
            consumers from learning of a payment.
        fast_lane: the stack's fast lane, if it has one.
    """

    states: SFNClient
    kms: KMSClient
    dynamodb: DynamoDBClient
    workflow: str
    entries_workflow: str
    intake_key: str
    table_name: str
    entries_table_name: str
    default_currency: str
    imports: bool = False
    fast_lane: FastLane | None = None

    def deliver(self, start_input: Mapping[str, Any], *, again: bool = False) -> Delivery:
        """Start an execution for a payment or an entry, or find the outcome of the execution that it has already.

        If the stack has a fast lane, a payment first runs there, to its end. What is not recorded there is started as
        the next sentences say, under the same name, whatever the reason is: a refusal, a failure, or a lost answer.

        A caller may repeat this, and two callers may do it at once. The token is sealed before it leaves this process.
        The execution's name is derived from the content, so a repeat finds its own execution, and nothing runs twice.
        If that execution ended, and the ledger has nothing under the ID, a new attempt is started. The table makes that
        safe.

        If the name is taken and the ledger has something else under the ID, at most one more execution is started,
        under a name that is for this purpose alone: the execution that took the name may not have published the
        conflict.

        Args:
            start_input: the payment or the entry, as docs/integrate/contract.md and entries.md describe them.
            again: start an execution under a random name that nobody can guess, whatever was started before. It has a
                history, so it does not run in the fast lane.

        Raises:
            InvalidInputError: the payment or the entry breaks its contract, or nine executions with this very sealed
                token recorded nothing. Nothing was started. Pass the error to `reject`.
            TooManyAttemptsError: nine executions recorded nothing, and the sender's seal is not the cause.
            UnreadableItemError: the ledger's item under the ID is damaged.
            ClientError: any error of KMS, Step Functions or DynamoDB, unchanged.
        """
        first = self._entry_attempt(start_input) if is_entry(start_input) else self._payment_attempt(start_input)
        if again:
            name = _join_name(first.delivered.transaction_id, secrets.token_hex(DIGITS // 2))
            return self._deliver_standard(replace(first, name=name))
        if self.fast_lane is None or isinstance(first.delivered, Entry):
            return self._deliver_standard(first)
        run = self.fast_lane.run(first.name, first.text)
        if run.outcome in {"RECORDED", "DUPLICATE"}:
            return Delivery(run.execution, started=True, outcome=run.outcome)
        if run.outcome == "REJECTED":
            return self._hand_over_rejection(first, run)
        standard = self._deliver_standard(first)
        outcome = standard.outcome or run.outcome
        return replace(standard, outcome=outcome, refusal=run.refusal, left_fast_lane=run.error)

    def _hand_over_rejection(self, first: _Attempt, run: FastRun) -> Delivery:
        """Have the Standard workflow publish a rejection of the fast lane, once for one seal.

        The table decides: the ledger may have this very payment, with another seal.
        """
        if recorder := self._recorder(first.delivered):
            return Delivery(recorder, started=False, outcome="RECORDED")
        started = self._start(first, first.name)
        arn = _execution_arn(first.workflow, first.name)
        return Delivery(arn, started=started, outcome=run.outcome, refusal=run.refusal)

    def _deliver_standard(self, first: _Attempt) -> Delivery:
        """Start an execution of the Standard workflow, or find the outcome of the one that there is already."""
        if self._start(first, first.name):
            return Delivery(_execution_arn(first.workflow, first.name), started=True, outcome=None)
        if delivery := self._find_in_ledger(first):
            return delivery
        newest, status = 1, self._status(first, 1)
        if status not in UNFINISHED_STATUSES and (last := self._last_attempt_status(first)):
            newest, status = MAX_ATTEMPTS, last
        while status not in UNFINISHED_STATUSES:
            # The execution may have written the item after the table was read. If it did not, it was another payment's.
            if status == "SUCCEEDED" and (delivery := self._find_in_ledger(first)):
                return delivery
            if newest == MAX_ATTEMPTS:
                raise _too_many_attempts(first)
            following = _attempt_name(first.name, newest + 1)
            if self._start(first, following):
                return Delivery(_execution_arn(first.workflow, following), started=True, outcome=None)
            newest, status = self._find_newest_attempt(first, newest + 1)
        newest_name = _attempt_name(first.name, newest)
        return Delivery(_execution_arn(first.workflow, newest_name), started=False, outcome=None)

    def _payment_attempt(self, start_input: Mapping[str, Any]) -> _Attempt:
        """Seal the payment's token unless the sender has, and return what is to be started.

        Raises:
            InvalidPaymentError: the payment breaks the contract.
        """
        payment, token = parse_payment(start_input, default_currency=self.default_currency, imports=self.imports)
        content = {name: value for name, value in start_input.items() if name not in {"SecureToken", "SealedToken"}}
        if token.field == "SealedToken":
            sealed, name = token.text, execution_name(payment, token.text)
        else:
            # This seal is correct, and different each time. The name does not depend on it, so that a repeat finds its
            # execution.
            sealed = seal(self.kms, self.intake_key, payment.transaction_id, payment.processor_id, token.text)
            name = execution_name(payment)
        return _Attempt(
            workflow=self.workflow,
            name=name,
            text=json.dumps({**content, "SealedToken": sealed}),
            delivered=payment,
            sealed_by_sender=token.field == "SealedToken",
        )

    def _entry_attempt(self, start_input: Mapping[str, Any]) -> _Attempt:
        """Return what is to be started for an entry.

        Raises:
            InvalidEntryError: the entry breaks the contract.
        """
        entry = parse_entry(start_input, imports=self.imports)
        return _Attempt(
            workflow=self.entries_workflow, name=execution_name(entry), text=json.dumps(start_input), delivered=entry
        )

    def reject(self, rejected: InvalidInputError, message_id: str) -> str:
        """Start an execution that publishes a rejection, and return its ARN. A caller may repeat this.

        The workflow counts, logs and publishes the rejection like its own. Each rejection runs once. The execution gets
        no value of the rejected message.

        Args:
            rejected: the error that `deliver` raised, or an error from before it.
            message_id: text that is the same for each delivery of one message, and different for other messages. It
                distinguishes messages without a valid TransactionID.

        Raises:
            ClientError: any error of Step Functions, unchanged.
        """
        name = rejection_name(rejected, message_id)
        workflow = self.entries_workflow if isinstance(rejected, InvalidEntryError) else self.workflow
        self._start_execution(workflow, name, json.dumps(refused_input(rejected)))
        return _execution_arn(workflow, name)

    def _start(self, attempt: _Attempt, name: str) -> bool:
        """Start an execution with the attempt's input; False if the name is taken."""
        return self._start_execution(attempt.workflow, name, attempt.text)

    def _start_execution(self, workflow: str, name: str, text: str) -> bool:
        try:
            self.states.start_execution(stateMachineArn=workflow, name=name, input=text)
        except self.states.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def _last_attempt_status(self, first: _Attempt) -> str | None:
        """Return the status of the last attempt that a payment may have; None if it has fewer attempts.

        This comes first, because a sender that repeats a payment after its last attempt may never stop.
        """
        try:
            return self._status(first, MAX_ATTEMPTS)
        except self.states.exceptions.ExecutionDoesNotExist:
            return None

    def _find_newest_attempt(self, first: _Attempt, taken: int) -> tuple[int, str]:
        """Return the number and the status of a payment's newest attempt.

        Attempts are started in order, so a binary search finds the first free name: Step Functions describes only few
        executions in a second. A name that somebody took out of order costs an attempt, and nothing else.

        Args:
            first: the first attempt.
            taken: the number of an attempt that exists.
        """
        status, free = None, MAX_ATTEMPTS + 1
        while free - taken > 1:
            middle = (taken + free) // 2
            try:
                taken, status = middle, self._status(first, middle)
            except self.states.exceptions.ExecutionDoesNotExist:
                free = middle
        return taken, status or self._status(first, taken)

    def _status(self, first: _Attempt, number: int) -> str:
        """Return the status of one attempt, without its input and output: reading these needs the history's key.

        AWS does not document that the error is returned without that key. So a rejection and a technical failure look
        the same here.
        """
        arn = _execution_arn(first.workflow, _attempt_name(first.name, number))
        return self.states.describe_execution(executionArn=arn, includedData="METADATA_ONLY")["status"]

    def find(self, start_input: Mapping[str, Any]) -> str | None:
        """Return the outcome that the tables show for a payment or an entry, and start nothing.

        Returns:
            `RECORDED` if the ledger has it, `CONFLICT` if it has another one under the ID, and None if it has none.

        Raises:
            InvalidInputError: the payment or the entry breaks its contract.
            UnreadableItemError: the ledger's item under the ID is damaged.
            ClientError: any error of DynamoDB, unchanged.
        """
        if is_entry(start_input):
            found = self._recorder(parse_entry(start_input, imports=self.imports))
        else:
            payment, _ = parse_payment(start_input, default_currency=self.default_currency, imports=self.imports)
            found = self._recorder(payment)
        return None if found is None else "RECORDED" if found else "CONFLICT"

    def _find_in_ledger(self, first: _Attempt) -> Delivery | None:
        """Return the outcome that the table shows; None if it has no item under the ID.

        The table decides: an execution of this name that succeeded may have been another payment's. So the table is
        read before any execution is described.

        Raises:
            UnreadableItemError: the item is damaged.
        """
        recorder = self._recorder(first.delivered)
        if recorder is None:
            return None
        if recorder:
            return Delivery(recorder, started=False, outcome="RECORDED")
        publishing = f"{first.name}-c"
        arn = _execution_arn(first.workflow, publishing)
        return Delivery(arn, started=self._start(first, publishing), outcome="CONFLICT")

    def _recorder(self, delivered: Payment | Entry) -> str | None:
        """Return the ARN of the execution that recorded this payment or entry.

        The text is empty if the ledger has another one under the ID, and None if it has none.

        Raises:
            UnreadableItemError: the item is damaged.
        """
        item = self._item_of_entry(delivered) if isinstance(delivered, Entry) else self._item_of_payment(delivered)
        if not item:
            return None
        fingerprint = read_attribute(item, "Fingerprint", "S", delivered.transaction_id)
        if isinstance(delivered, Payment):
            is_recorded = as_recorded(delivered, fingerprint) is not None
        else:
            is_recorded = fingerprint == delivered.fingerprint
        if not is_recorded:
            return ""
        recorder: str = read_attribute(item, "Execution", "S", delivered.transaction_id)
        if not recorder:
            raise UnreadableItemError(delivered.transaction_id, "Execution")
        return recorder

    def _item_of_payment(self, payment: Payment) -> Mapping[str, Any] | None:
        reply = self.dynamodb.get_item(
            TableName=self.table_name,
            Key={"TransactionID": {"S": payment.transaction_id}},
            ProjectionExpression="Fingerprint, Execution",
            ConsistentRead=True,
        )
        return reply.get("Item")

    def _item_of_entry(self, entry: Entry) -> Mapping[str, Any] | None:
        """Return the item of the entry with this EntryID. The chain's length bounds what is read."""
        projection = {"ProjectionExpression": "EntryID, Fingerprint, Execution"}
        items = items_of(self.dynamodb, self.entries_table_name, entry.transaction_id, **projection)
        return next((item for item in items if item.get("EntryID") == {"S": entry.entry_id}), None)


def _too_many_attempts(first: _Attempt) -> Exception:
    """Return the error for a payment whose nine attempts ended.

    A token that the sender sealed may be the cause, and a payment with another seal has another name: so that rejection
    is final. A token that came as plaintext was sealed here, so something else is broken.
    """
    if first.sealed_by_sender:
        return InvalidPaymentError(
            [Violation("SealedToken", "too_many_attempts")],
            transaction_id=first.delivered.transaction_id,
            processor_id=first.delivered.processor_id,
        )
    return TooManyAttemptsError(first.delivered.transaction_id)


def execution_name(delivered: Payment | Entry, sealed_token: str | None = None) -> str:
    """Return the name of the first execution that is started for a payment or an entry, of at most 78 characters.

    A different payment under the same ID has another name, so it runs, and the table decides. The same is true of the
    same payment with another sealed token. No name depends on a plaintext token: otherwise a reader of the names could
    try tokens.

    Args:
        delivered: the payment or the entry in canonical form.
        sealed_token: the token as the sender sealed it, in base64; None if the token came as plaintext.
    """
    if sealed_token is None:
        return _join_name(delivered.transaction_id, delivered.fingerprint)
    carried = json.dumps([delivered.fingerprint, sealed_token])
    return _join_name(delivered.transaction_id, hashlib.sha256(carried.encode()).hexdigest())


def rejection_name(rejected: InvalidInputError, message_id: str) -> str:
    """Return the name of the execution that publishes a rejection: an ID, and a hash of the rejection.

    `ledger inspect` finds the execution by its TransactionID. Without a valid TransactionID, the name begins with the
    ProcessorID.
    """
    identity = [str(rejected)] if rejected.transaction_id else [str(rejected), message_id]
    subject = rejected.transaction_id or rejected.processor_id or "refused"
    return _join_name(subject, hashlib.sha256(json.dumps(identity).encode()).hexdigest())


def _join_name(subject: str, digest: str) -> str:
    return f"{subject[:NAMED_CHARACTERS]}-{digest[:DIGITS]}"


def _attempt_name(name: str, number: int) -> str:
    """Return the name of a payment's attempt with this number, from the name of the first attempt."""
    return name if number == 1 else f"{name}-{number}"


def _execution_arn(workflow: str, name: str) -> str:
    return f"{execution_prefix(workflow)}:{name}"


def execution_prefix(workflow: str) -> str:
    """Return the beginning of the ARNs of the workflow's executions. It is the same for the workflow and its alias."""
    arn, _, name = workflow.partition(":stateMachine:")
    return f"{arn}:execution:{name.partition(':')[0]}"
