"""The ledger's item: what one payment is in the table `PaymentLedger`, in DynamoDB's attribute form.

Business attributes are written once. Only the publication marker changes later: `Unpublished` is
removed in the same update that sets `PublishedAt`.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.currencies import MINOR_UNITS
from ledger.payment import FINGERPRINTED, STATE_NAMES, Payment

SHARDS = 8
"""Partitions per processor (and for the unpublished): one takes 1,000 writes/s, and a busy index pushes back
on the table itself. Source: DynamoDB Developer Guide, partitions and back-pressure of global secondary indexes."""


class PaymentConflictError(Exception):
    """The TransactionID is taken by a different payment. A business refusal: never retried.

    The message is JSON and names the fields that differ, never their values.
    """

    def __init__(self, payment: Payment, differs: list[str]) -> None:
        self.differs = differs
        refusal = {
            "TransactionID": payment.transaction_id,
            "ProcessorID": payment.processor_id,
            "Differs": differs,
            "Fingerprint": payment.fingerprint,
        }
        super().__init__(json.dumps(refusal))


class EncryptedPayment(NamedTuple):
    """A payment about to be written down, with the delivery that brought it.

    `execution` (an ARN) and `recorded_at` (that execution's start, UTC) identify the delivery: neither
    changes on a retry or a redrive. Both are needed, since a name is free again 90 days after its
    execution closed. Source: Step Functions API, StartExecution.
    """

    payment: Payment
    ciphertext: bytes
    token_key: str
    execution: str
    recorded_at: str

    def as_item(self) -> dict[str, Any]:
        """The item of a payment that is not yet published."""
        payment = self.payment
        shard = shard_of(payment.transaction_id)
        return {
            "TransactionID": {"S": payment.transaction_id},
            "SecureToken": {"B": self.ciphertext},
            "Amount": {"N": number(payment.amount)},
            "Currency": {"S": payment.currency},
            "ProcessorID": {"S": payment.processor_id},
            "Status": {"S": payment.status},
            "Timestamp": {"S": payment.timestamp},
            "Metadata": {"M": {key: {"S": text} for key, text in payment.metadata.items()}},
            "Fingerprint": {"S": payment.fingerprint},
            "RecordedAt": {"S": self.recorded_at},
            "Execution": {"S": self.execution},
            "TokenKey": {"S": self.token_key},
            "ProcessorShard": {"S": f"{payment.processor_id}#{shard}"},
            "Unpublished": {"S": f"{shard}"},
        }

    def wrote(self, item: Mapping[str, Any]) -> bool:
        """Whether *item* is this very delivery's own write, whose reply was lost."""
        return bool(item["Execution"]["S"] == self.execution and item["RecordedAt"]["S"] == self.recorded_at)


def differing_fields(item: Mapping[str, Any], payment: Payment) -> list[str]:
    """The contract's fields in which *item* is another payment; empty where it is the same one."""
    if item["Fingerprint"]["S"] == payment.fingerprint:
        return []
    values = payment.as_state()
    names = [STATE_NAMES[name] for name in FINGERPRINTED]
    differs = [name for name in names if name != "Amount" and item[name]["S"] != values[name]]
    if Decimal(item["Amount"]["N"]) != Decimal(payment.amount):
        differs.append("Amount")
    # Equal fields under another fingerprint cannot be, unless the way it is made was changed: never a DUPLICATE.
    return sorted(differs) or ["Fingerprint"]


def recorded_facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """The payment as it stands in the ledger or in an index of it: what an outcome event tells."""
    payment = Payment(
        transaction_id=item["TransactionID"]["S"],
        amount=amount_text(item["Amount"]["N"], item["Currency"]["S"]),
        currency=item["Currency"]["S"],
        processor_id=item["ProcessorID"]["S"],
        status=item["Status"]["S"],
        timestamp=item["Timestamp"]["S"],
        metadata={key: text["S"] for key, text in item["Metadata"]["M"].items()},
    )
    return {**payment.as_state(), **{name: item[name]["S"] for name in ("Fingerprint", "RecordedAt", "Execution")}}


def shard_of(transaction_id: str) -> int:
    """The payment's shard, from 0 to `SHARDS` - 1, the same for ever."""
    return hashlib.sha256(transaction_id.encode()).digest()[0] % SHARDS


def number(amount: str) -> str:
    """Decimal text as DynamoDB gives it back: at most 38 digits, no superfluous zeros."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def amount_text(stored: str, currency: str) -> str:
    """The canonical amount that `number` made a DynamoDB number of: with the currency's decimals again."""
    whole, _, fraction = format(Decimal(stored), "f").partition(".")
    fraction = fraction.ljust(MINOR_UNITS[currency], "0")
    return f"{whole}.{fraction}" if fraction else whole
