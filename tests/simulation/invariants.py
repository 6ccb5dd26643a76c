"""The promises of the ledger as checks: after each call, when an execution has ended, and when all faults have stopped.

`docs/` has the promises in words, on the page of guarantees. What they mean for entries is in `entry_invariants`, and
what they mean for the sealed log in `seal_invariants`.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ledger.entry import is_entry
from ledger.outcome import OUTCOME_BY_ERROR
from ledger.payment import Payment, parse_payment
from ledger.violations import InvalidPaymentError
from tests.simulation import entry_invariants, seal_invariants
from tests.simulation.interpreter import Execution
from tests.simulation.observations import (
    Events,
    Item,
    Moment,
    Observations,
    ViolationError,
    import_of,
    is_written_by,
    published,
)

MARKER = {"PublishedAt", "Unpublished"}
SEAL_MARKER = {"Seal", "Unsealed"}
COMPARED = ("Amount", "Currency", "ProcessorID", "Status", "Timestamp")
"""Fields in which two payments under one TransactionID can conflict."""

FAIL_STATES = {"Rejected", "Refused", "Conflicted"}
BUSINESS_ERRORS = {*OUTCOME_BY_ERROR, "EntryTooEarlyError"}
"""Errors that a definition must catch. None of them is retried but the one of an entry that comes too early."""


def is_technical_failure(execution: Execution) -> bool:
    """Return whether an execution failed, and not in one of its workflow's Fail states."""
    return execution.status == "FAILED" and execution.state not in FAIL_STATES


def _expected(observed: Observations, execution: Execution, moment: Moment) -> tuple[str, list[str]]:
    """Return the outcome that a payment's execution must have, and the fields in which a conflict differs."""
    try:
        payment, token = parse_payment(observed.delivered[execution.key], default_currency="EUR", imports=True)
    except InvalidPaymentError:
        return "REJECTED", []
    if token.text in observed.seals_of_others:
        return "REJECTED", []
    item = moment.payments.get(payment.transaction_id)
    if item is None:
        raise ViolationError(f"{execution.arn} ended with no item under its payment's id")
    if differs := differing(item, payment):
        return "CONFLICT", differs
    return ("RECORDED" if is_written_by(item, execution.key) else "DUPLICATE"), []


def differing(item: Item, payment: Payment) -> list[str]:
    """Return the fields in which a recorded payment differs from another one under its ID."""
    return sorted(name for name in COMPARED if _item_value(item, name) != _payment_value(payment, name))


def _item_value(item: Mapping[str, Any], name: str) -> str:
    ((kind, text),) = item[name].items()
    return f"{Decimal(text):.2f}" if kind == "N" else str(text)


def _payment_value(payment: Payment, name: str) -> str:
    return str(payment.as_state()[name])


def check_after_each_call(observed: Observations, moment: Moment) -> None:
    """Require that a written item stays as it is, that a marked one was published, that chains and log are whole."""
    items = moment.items
    for key in observed.first.keys() - items.keys() - observed.tampered:
        raise ViolationError(f"the item {key} is gone")
    for key, item in items.items():
        business = {name: value for name, value in item.items() if name not in MARKER | SEAL_MARKER}
        if observed.first.setdefault(key, business) != business:
            raise ViolationError(f"the item {key} was changed after it was written")
        markers = MARKER & item.keys()
        if import_of(item) == "quiet":
            if markers:
                raise ViolationError(f"the item {key} is a quiet import, and is marked")
            if _published_as_news(item, moment.events) or _published_as_recorded(item, moment.events):
                raise ViolationError(f"the item {key} is a quiet import, and was published")
        elif len(markers) != 1:
            raise ViolationError(f"the item {key} is marked as both or as neither")
        elif import_of(item) and _published_as_news(item, moment.events):
            raise ViolationError(f"the item {key} is an import, and was published as something new")
        marker = item.get("PublishedAt")
        if observed.marked.get(key, marker) != marker:
            raise ViolationError(f"the marker of the item {key} was changed")
        if marker:
            observed.marked[key] = marker
            if not _published_as_recorded(item, moment.events):
                raise ViolationError(f"the item {key} is marked as published, and was not")
    for transaction_id, chain in moment.entries.items():
        entry_invariants.check_chain(observed, moment.payments.get(transaction_id), chain)
    seal_invariants.check_log(observed, moment)


def _published_as_recorded(item: Item, events: Events) -> bool:
    """Return whether a recorded item was published, by an event of the type that it must have."""
    return _published_as("Imported" if import_of(item) else "Recorded", item, events)


def _published_as_news(item: Item, events: Events) -> bool:
    return _published_as("Recorded", item, events)


def _published_as(what: str, item: Item, events: Events) -> bool:
    about = {name: item[name]["S"] for name in ("TransactionID", "EntryID") if name in item}
    return bool(published(f"{'Entry' if 'EntryID' in item else 'Payment'}{what}", events, **about))


def check_refused(observed: Observations, execution: Execution, error: str) -> None:
    """Require that a business error reached the workflow once: a retry could not change the answer."""
    if error in OUTCOME_BY_ERROR:
        if execution.key in observed.refused:
            raise ViolationError(f"{execution.arn} met {error}, and was tried again")
        observed.refused.add(execution.key)


def check_ended_execution(observed: Observations, execution: Execution, moment: Moment) -> None:
    """Require that the outcome with which an execution ended is the right one, and was published."""
    if execution.status == "FAILED" and is_technical_failure(execution):
        if execution.error in BUSINESS_ERRORS and not execution.is_fast:
            raise ViolationError(f"{execution.arn} failed with {execution.error}, and no state caught it")
    elif execution.status != "ABORTED":
        start_input = observed.delivered[execution.key]
        check = entry_invariants.check_ended_execution if is_entry(start_input) else _check_ended_payment
        check(observed, execution, moment)


def _check_ended_payment(observed: Observations, execution: Execution, moment: Moment) -> None:
    name, differs = _expected(observed, execution, moment)
    if execution.status == "SUCCEEDED":
        if execution.data["Outcome"] != name:
            raise ViolationError(f"{execution.arn} ended as {execution.data['Outcome']}, and is a {name}")
        item, form = moment.payments[execution.data["TransactionID"]], observed.delivered[execution.key].get("Import")
        if name == "RECORDED" and import_of(item) != form:
            raise ViolationError(f"{execution.arn} was delivered as {form}, and recorded as {import_of(item)}")
        as_duplicate = published("PaymentDuplicate", moment.events, DuplicateExecution=execution.arn)
        if form and as_duplicate:
            raise ViolationError(f"{execution.arn} is an import, and was published as a duplicate")
        if not form and name == "DUPLICATE" and not as_duplicate:
            raise ViolationError(f"{execution.arn} is a duplicate, and that was not published")
        is_left = import_of(item) == "quiet" or (form and name == "DUPLICATE")
        if not is_left and not _published_as_recorded(item, moment.events):
            raise ViolationError(f"{execution.arn} succeeded, and its payment was not published")
        return
    if OUTCOME_BY_ERROR[str(execution.error)] != name:
        raise ViolationError(f"{execution.arn} ended with {execution.error}, and is a {name}")
    detail_type = "PaymentRejected" if name == "REJECTED" else "PaymentConflict"
    about = published(detail_type, moment.events, Execution=execution.arn)
    if not about:
        raise ViolationError(f"{execution.arn} is a {name}, and that was not published")
    if name == "CONFLICT" and any(event["detail"]["Differs"] != differs for event in about):
        raise ViolationError(f"{execution.arn} conflicts in {differs}, and other fields were published")


def check_final_state(observed: Observations, executions: Sequence[Execution], moment: Moment, logs: str) -> None:
    """Require, once faults have stopped: each execution has its outcome, each item is published, no token leaked."""
    for execution in executions:
        if not execution.is_fast and (execution.status == "ABORTED" or is_technical_failure(execution)):
            raise ViolationError(f"{execution.arn} does not converge: {execution.status} in {execution.state}")
    _check_identities(moment.events)
    for key, item in moment.items.items():
        if import_of(item) != "quiet" and not _published_as_recorded(item, moment.events):
            raise ViolationError(f"the item {key} is recorded, and was not published")
    entry_invariants.check_events(moment)
    ends = [(execution.data, execution.cause) for execution in executions]
    tables = [moment.items, moment.seals]
    sinks = {"a log": logs, "an event": moment.events, "a table": tables, "an output": ends}
    for sink, content_of_sink in sinks.items():
        if observed.token in json.dumps(content_of_sink, default=str):
            raise ViolationError(f"the token is in {sink}")


def _check_identities(events: Events) -> None:
    """Require that a repeated event has the same content, and that two recorded things have two OutcomeIDs."""
    identities: dict[tuple[str, str], tuple[str, str]] = {}
    recorded: dict[str, set[tuple[str, ...]]] = {}
    for event in events:
        detail_type, detail = event["detail-type"], event["detail"]
        if detail_type == seal_invariants.SEALED:
            continue  # `seal_invariants` compares these
        by = detail.get("DuplicateExecution" if detail["Outcome"] == "DUPLICATE" else "Execution")
        ids = tuple(detail[name] for name in ("TransactionID", "EntryID") if name in detail)
        about = f"{' '.join(ids)} by {by}"
        content = (detail["OutcomeID"], json.dumps(detail, sort_keys=True))
        if identities.setdefault((detail_type, about), content) != content:
            raise ViolationError(f"{detail_type} of {about} was published with two OutcomeIDs or contents")
        if detail["Outcome"] == "RECORDED":
            recorded.setdefault(detail["OutcomeID"], set()).add(ids)
    for ids_of_one in recorded.values():
        if len(ids_of_one) > 1:
            raise ViolationError("two of them were published under one OutcomeID: a consumer drops one of them")
    if len(recorded) != len({ids for ids_of_one in recorded.values() for ids in ids_of_one}):
        raise ViolationError("one was published under two OutcomeIDs: a consumer counts it twice")
