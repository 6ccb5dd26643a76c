"""The promises of the ledger, as what must be so after each call, when an execution ends, and when all is calm.

`docs/guarantees.md` has them in words.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ledger.outcome import OUTCOME_BY_ERROR
from ledger.payment import Payment, parse_payment
from ledger.violations import InvalidPaymentError
from tests.simulation.interpreter import Execution

MARKER = {"PublishedAt", "Unpublished"}
Items = Mapping[str, Mapping[str, Any]]
Events = Sequence[Mapping[str, Any]]


class ViolationError(AssertionError):
    """A promise is broken; the message says which."""


@dataclass
class Seen:
    """What was delivered, and what of each item was seen when it was first there."""

    payments: dict[tuple[str, str], Mapping[str, Any]]
    token: str
    first: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def expected(self, execution: Execution, items: Items) -> tuple[str, list[str]]:
        """What the execution must come to, and in which fields a conflicting payment differs."""
        try:
            payment, _ = parse_payment(self.payments[execution.arn, execution.started_at], default_currency="EUR")
        except InvalidPaymentError:
            return "REJECTED", []
        item = items.get(payment.transaction_id)
        if item is None:
            raise ViolationError(f"{execution.arn} ended with no item under its payment's id")
        if differs := sorted(name for name in BUSINESS if _value(item, name) != _plain(payment, name)):
            return "CONFLICT", differs
        written_by = (item["Execution"]["S"], item["RecordedAt"]["S"][:23] + "Z")
        return ("RECORDED" if written_by == (execution.arn, execution.started_at) else "DUPLICATE"), []

    def is_technical(self, execution: Execution) -> bool:
        """Whether an execution failed otherwise than in one of the workflow's Fail states."""
        return execution.status == "FAILED" and execution.state not in {"Rejected", "Conflicted"}


BUSINESS = ("Amount", "Currency", "ProcessorID", "Status", "Timestamp")


def _value(item: Mapping[str, Any], name: str) -> str:
    ((kind, text),) = item[name].items()
    return f"{Decimal(text):.2f}" if kind == "N" else str(text)


def _plain(payment: Payment, name: str) -> str:
    return str(payment.as_state()[name])


def after_each_call(seen: Seen, items: Items, events: Events) -> None:
    """Once written, an item is there and stays as it is; a marked one has been told of."""
    for key in seen.first.keys() - items.keys():
        raise ViolationError(f"the item {key} is gone")
    for key, item in items.items():
        business = {name: value for name, value in item.items() if name not in MARKER}
        if seen.first.setdefault(key, business) != business:
            raise ViolationError(f"the item {key} was changed after it was written")
        if ("PublishedAt" in item) == ("Unpublished" in item):
            raise ViolationError(f"the item {key} is marked as both or as neither")
        if "PublishedAt" in item and not _told("PaymentRecorded", events, TransactionID=key):
            raise ViolationError(f"the item {key} is marked as published, and was not")


def when_it_ends(seen: Seen, execution: Execution, items: Items, events: Events) -> None:
    """An outcome that an execution ended with is the right one, and was published."""
    if execution.status == "SUCCEEDED":
        name, _ = seen.expected(execution, items)
        if execution.data["Outcome"] != name:
            raise ViolationError(f"{execution.arn} ended as {execution.data['Outcome']}, and is a {name}")
        if not _told("PaymentRecorded", events, TransactionID=execution.data["TransactionID"]):
            raise ViolationError(f"{execution.arn} succeeded, and its payment was not told of")
        if name == "DUPLICATE" and not _told("PaymentDuplicate", events, DuplicateExecution=execution.arn):
            raise ViolationError(f"{execution.arn} is a duplicate, and that was not told")
    elif execution.status == "FAILED" and not seen.is_technical(execution):
        name, differs = seen.expected(execution, items)
        if OUTCOME_BY_ERROR[str(execution.error)] != name:
            raise ViolationError(f"{execution.arn} was refused as {execution.error}, and is a {name}")
        told = _told("PaymentRejected" if name == "REJECTED" else "PaymentConflict", events, Execution=execution.arn)
        if not told:
            raise ViolationError(f"{execution.arn} was refused, and that was not told")
        if name == "CONFLICT" and any(event["detail"]["Differs"] != differs for event in told):
            raise ViolationError(f"{execution.arn} conflicts in {differs}, and something else was told")
    elif execution.status == "FAILED" and execution.error in OUTCOME_BY_ERROR:
        raise ViolationError(f"{execution.arn} was refused, and nothing caught it")


def at_the_end(seen: Seen, executions: Sequence[Execution], items: Items, events: Events, logs: str) -> None:
    """After faults have stopped: every execution has its outcome, every payment was told of, no token is anywhere."""
    for execution in executions:
        if execution.status != "SUCCEEDED" and (execution.status == "ABORTED" or seen.is_technical(execution)):
            raise ViolationError(f"{execution.arn} does not converge: {execution.status} in {execution.state}")
    identities: dict[tuple[str, str], tuple[str, str]] = {}
    for event in events:
        detail = event["detail"]
        told_by = detail.get("DuplicateExecution" if event["detail-type"] == "PaymentDuplicate" else "Execution")
        about = f"{detail.get('TransactionID')} by {told_by}"
        said = (detail["OutcomeID"], json.dumps(detail, sort_keys=True))
        if identities.setdefault((event["detail-type"], about), said) != said:
            raise ViolationError(f"{event['detail-type']} of {about} was told under two identities, or in two ways")
    recorded = [event["detail"] for event in events if event["detail-type"] == "PaymentRecorded"]
    if len({detail["OutcomeID"] for detail in recorded}) != len({detail["TransactionID"] for detail in recorded}):
        raise ViolationError("two payments were told of under one identity: a consumer drops one of them")
    for key in items:
        if not _told("PaymentRecorded", events, TransactionID=key):
            raise ViolationError(f"the item {key} is recorded, and nobody was told")
    ends = [(execution.data, execution.cause) for execution in executions]
    for sink, content in {"a log": logs, "an event": events, "the table": items, "an output": ends}.items():
        if seen.token in json.dumps(content, default=str):
            raise ViolationError(f"the token is in {sink}")


def _told(detail_type: str, events: Events, **about: str) -> list[Mapping[str, Any]]:
    return [
        event for event in events if event["detail-type"] == detail_type and about.items() <= event["detail"].items()
    ]
