"""The promises of the ledger as checks: after each call, when an execution has ended, and when all faults have stopped.

`docs/` has the promises in words, on the page of guarantees.
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
COMPARED = ("Amount", "Currency", "ProcessorID", "Status", "Timestamp")
"""Fields in which two payments under one TransactionID can conflict."""

Items = Mapping[str, Mapping[str, Any]]
Events = Sequence[Mapping[str, Any]]


class ViolationError(AssertionError):
    """A promise is broken; the message says which."""


@dataclass
class Observations:
    """The delivered payments by execution, and each item as the first check saw it."""

    payments: dict[tuple[str, str], Mapping[str, Any]]
    token: str
    first: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def expected(self, execution: Execution, items: Items) -> tuple[str, list[str]]:
        """Return the outcome that the execution must have, and the fields in which a conflicting payment differs."""
        try:
            payment, _ = parse_payment(self.payments[execution.arn, execution.started_at], default_currency="EUR")
        except InvalidPaymentError:
            return "REJECTED", []
        item = items.get(payment.transaction_id)
        if item is None:
            raise ViolationError(f"{execution.arn} ended with no item under its payment's id")
        if differs := sorted(name for name in COMPARED if _item_value(item, name) != _payment_value(payment, name)):
            return "CONFLICT", differs
        written_by = (item["Execution"]["S"], item["RecordedAt"]["S"][:23] + "Z")
        return ("RECORDED" if written_by == (execution.arn, execution.started_at) else "DUPLICATE"), []

    def is_technical_failure(self, execution: Execution) -> bool:
        """Return whether an execution failed, and not in one of the workflow's Fail states."""
        return execution.status == "FAILED" and execution.state not in {"Rejected", "Conflicted"}


def _item_value(item: Mapping[str, Any], name: str) -> str:
    ((kind, text),) = item[name].items()
    return f"{Decimal(text):.2f}" if kind == "N" else str(text)


def _payment_value(payment: Payment, name: str) -> str:
    return str(payment.as_state()[name])


def check_after_each_call(observed: Observations, items: Items, events: Events) -> None:
    """Require that a written item stays as it is, and that a marked one was published."""
    for key in observed.first.keys() - items.keys():
        raise ViolationError(f"the item {key} is gone")
    for key, item in items.items():
        business = {name: value for name, value in item.items() if name not in MARKER}
        if observed.first.setdefault(key, business) != business:
            raise ViolationError(f"the item {key} was changed after it was written")
        if ("PublishedAt" in item) == ("Unpublished" in item):
            raise ViolationError(f"the item {key} is marked as both or as neither")
        if "PublishedAt" in item and not _published("PaymentRecorded", events, TransactionID=key):
            raise ViolationError(f"the item {key} is marked as published, and was not")


def check_ended_execution(observed: Observations, execution: Execution, items: Items, events: Events) -> None:
    """Require that the outcome with which an execution ended is the right one, and was published."""
    if execution.status == "SUCCEEDED":
        name, _ = observed.expected(execution, items)
        if execution.data["Outcome"] != name:
            raise ViolationError(f"{execution.arn} ended as {execution.data['Outcome']}, and is a {name}")
        if not _published("PaymentRecorded", events, TransactionID=execution.data["TransactionID"]):
            raise ViolationError(f"{execution.arn} succeeded, and its payment was not published")
        if name == "DUPLICATE" and not _published("PaymentDuplicate", events, DuplicateExecution=execution.arn):
            raise ViolationError(f"{execution.arn} is a duplicate, and that was not published")
    elif execution.status == "FAILED" and not observed.is_technical_failure(execution):
        name, differs = observed.expected(execution, items)
        if OUTCOME_BY_ERROR[str(execution.error)] != name:
            raise ViolationError(f"{execution.arn} ended with {execution.error}, and is a {name}")
        detail_type = "PaymentRejected" if name == "REJECTED" else "PaymentConflict"
        published = _published(detail_type, events, Execution=execution.arn)
        if not published:
            raise ViolationError(f"{execution.arn} is a {name}, and that was not published")
        if name == "CONFLICT" and any(event["detail"]["Differs"] != differs for event in published):
            raise ViolationError(f"{execution.arn} conflicts in {differs}, and other fields were published")
    elif execution.status == "FAILED" and execution.error in OUTCOME_BY_ERROR:
        raise ViolationError(f"{execution.arn} failed with {execution.error}, and no state caught it")


def check_final_state(
    observed: Observations, executions: Sequence[Execution], items: Items, events: Events, logs: str
) -> None:
    """Require, once faults have stopped: each execution has its outcome, each payment is published, no token leaked."""
    for execution in executions:
        if execution.status == "ABORTED" or observed.is_technical_failure(execution):
            raise ViolationError(f"{execution.arn} does not converge: {execution.status} in {execution.state}")
    identities: dict[tuple[str, str], tuple[str, str]] = {}
    for event in events:
        detail = event["detail"]
        by = detail.get("DuplicateExecution" if event["detail-type"] == "PaymentDuplicate" else "Execution")
        about = f"{detail.get('TransactionID')} by {by}"
        content = (detail["OutcomeID"], json.dumps(detail, sort_keys=True))
        if identities.setdefault((event["detail-type"], about), content) != content:
            raise ViolationError(f"{event['detail-type']} of {about} was published with two OutcomeIDs or contents")
    recorded = [event["detail"] for event in events if event["detail-type"] == "PaymentRecorded"]
    if len({detail["OutcomeID"] for detail in recorded}) != len({detail["TransactionID"] for detail in recorded}):
        raise ViolationError("two payments were published under one OutcomeID: a consumer drops one of them")
    for key in items:
        if not _published("PaymentRecorded", events, TransactionID=key):
            raise ViolationError(f"the item {key} is recorded, and was not published")
    ends = [(execution.data, execution.cause) for execution in executions]
    for sink, content_of_sink in {"a log": logs, "an event": events, "the table": items, "an output": ends}.items():
        if observed.token in json.dumps(content_of_sink, default=str):
            raise ViolationError(f"the token is in {sink}")


def _published(detail_type: str, events: Events, **about: str) -> list[Mapping[str, Any]]:
    return [
        event for event in events if event["detail-type"] == detail_type and about.items() <= event["detail"].items()
    ]
