"""Watch Ledger: count each change of the ledger, or of its protection, that the ledger itself never makes.

A policy cannot distinguish a PutItem that replaces an item from one that adds an item. The stream of a table can. This
function calls no service.
"""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from ledger.chain import read_entry
from ledger.fields import QUIET
from ledger.item import (
    ATTRIBUTES,
    IMPORT_PAIR,
    UnreadableItemError,
    published_at,
    read_attribute,
    recorded_facts,
    seal_of,
    shard_of,
)
from ledger.payment import valid_id
from ledger.seal import UnreadableSealError, read_seal

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()

Item = Mapping[str, Any]


class Change(NamedTuple):
    """A change of an item that no part of the ledger makes: a stable name, and the attributes that show it."""

    name: str
    attributes: list[str]


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Examine records of the stream of a table, or one call that changed the ledger's protection.

    Source: Lambda Developer Guide, DynamoDB event; EventBridge User Guide, AWS service events by CloudTrail.

    Returns:
        How many changes were found. Each of them is in the log, and in a metric that has an alarm.
    """
    if "Records" not in event:
        report_protection_change(event["detail"])
        return {"Found": 1}
    found = 0
    for record in event["Records"]:
        change = unexpected_change(record["eventName"], record["dynamodb"])
        if change:
            found += 1
            report_item_change(record, change)
    return {"Found": found}


def unexpected_change(event_name: str, images: Mapping[str, Item]) -> Change | None:
    """Return the change that one record of the stream shows; None if the ledger itself made it.

    The ledger adds an item that it can read back, and later moves each of the item's two markers, once. It does nothing
    else. A seal has no markers: it gets its checkpoint, once.
    """
    if event_name == "REMOVE":
        return Change("removed", [])
    new = images["NewImage"]
    unexpected = _unexpected_entry if "Entry" in images["Keys"] else _unexpected_payment
    moves = RECORD_MOVES
    if "Log" in images["Keys"]:
        unexpected, moves = _unexpected_seal, SEAL_MOVES
    if event_name == "INSERT":
        return unexpected(new, "added")
    old = images["OldImage"]
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if (changed & old.keys(), changed & new.keys()) not in moves:
        return Change("replaced", sorted(changed))
    return unexpected(new, "marked")


Moves = tuple[tuple[set[str], set[str]], ...]

RECORD_MOVES: Moves = (
    ({"Unpublished"}, {"PublishedAt"}),
    ({"Unsealed"}, {"Seal"}),
    (set(), {"Seal"}),  # a record from before the ledger had a log
)
SEAL_MOVES: Moves = ((set(), {"Note", "VerifierKey"}),)
"""The changes that the ledger makes: which attributes leave the item, and which it gets."""


def _expected_markers(item: Item, *, is_new: bool, is_quiet: bool) -> set[str]:
    """Return the markers that an item has, all of them. A record from before the log has no `Unsealed`."""
    publication = "PublishedAt" if "PublishedAt" in item and not is_new else "Unpublished"
    seal = "Seal" if "Seal" in item and not is_new else "Unsealed"
    markers = {seal} if is_new or {"Seal", "Unsealed"} & item.keys() else set()
    return markers if is_quiet else markers | {publication}


def _unexpected_payment(item: Item, change: str) -> Change | None:
    """Return the change that the item's content shows; None if the ledger could have written this content."""
    is_quiet = item.get("Metadata", {}).get("M", {}).get(IMPORT_PAIR) == {"S": QUIET}
    markers = _expected_markers(item, is_new=change == "added", is_quiet=is_quiet)
    try:
        wrong = sorted(item.keys() ^ (ATTRIBUTES | markers))
        if wrong:
            return Change(change, wrong)
        facts = recorded_facts(item)
        published_at(item)
        seal_of(item)
        shard = f"{shard_of(facts['TransactionID'])}"
        expected = {"ProcessorShard": f"{facts['ProcessorID']}#{shard}"}
        expected |= dict.fromkeys(markers & {"Unpublished", "Unsealed"}, shard)
        wrong = [name for name, value in expected.items() if read_attribute(item, name, "S", "") != value]
        wrong += [
            name for name in ("Execution", "TokenKey") if not read_attribute(item, name, "S", "").startswith("arn:")
        ]
        wrong += [] if read_attribute(item, "SecureToken", "B", "") else ["SecureToken"]
        wrong += [] if all([*text] == ["S"] for text in item["Metadata"]["M"].values()) else ["Metadata"]
    except UnreadableItemError as unreadable:
        return Change(change, [unreadable.attribute])
    return Change(change, wrong) if wrong else None


def _unexpected_entry(item: Item, change: str) -> Change | None:
    """Return what `_unexpected_payment` returns for a payment."""
    try:
        read = read_entry(item)
    except UnreadableItemError as unreadable:
        return Change(change, [unreadable.attribute])
    expected = read.as_item()
    markers = _expected_markers(item, is_new=change == "added", is_quiet=read.entry.imported == QUIET)
    for moved in {"Unpublished", "Unsealed"} - markers:
        expected.pop(moved, None)
    expected |= {name: item[name] for name in markers & {"PublishedAt", "Seal"}}  # read_entry has read them
    wrong = sorted(name for name in {*item, *expected} if item.get(name) != expected.get(name))
    if not item["Execution"]["S"].startswith("arn:"):
        wrong.append("Execution")
    return Change(change, wrong) if wrong else None


def _unexpected_seal(item: Item, change: str) -> Change | None:
    """Return what `_unexpected_payment` returns for a payment. A stream has bytes in base64."""
    item = {name: {"B": base64.b64decode(value["B"])} if "B" in value else value for name, value in item.items()}
    try:
        expected = read_seal(item).as_item()
    except UnreadableSealError:
        return Change(change, ["Root"])
    if change == "marked":
        expected |= {name: item[name] for name in ("Note", "VerifierKey")}
    wrong = sorted(name for name in {*item, *expected} if item.get(name) != expected.get(name))
    return Change(change, wrong) if wrong else None


def report_item_change(record: Mapping[str, Any], change: Change) -> None:
    """Log and count one change. If the ledger did not write the item, its ID and its names may be any text."""
    keys = record["dynamodb"]["Keys"]
    numbers = {name.lower(): keys[name].get("N") for name in ("Entry", "Seal") if name in keys}
    logger.error(
        "item changed",
        transaction_id=valid_id({"TransactionID": keys.get("TransactionID", {}).get("S")}, "TransactionID"),
        **numbers,
        change=change.name,
        attributes=[name if name.isascii() and name.isalpha() else "another" for name in change.attributes],
        stream_event_id=record["eventID"],
    )
    metrics.add_metric(name="ItemChanged", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()


def report_protection_change(call: Mapping[str, Any]) -> None:
    """Log and count one call on a key, the table or the bus, with its caller."""
    logger.error(
        "protection changed",
        call=call["eventName"],
        caller=call["userIdentity"].get("arn"),
        cloudtrail_event_id=call["eventID"],
    )
    metrics.add_metric(name="ProtectionChanged", unit=MetricUnit.Count, value=1)
    metrics.flush_metrics()
