"""The promises about entries as checks: a chain is whole, adds up, and says what was delivered; claims are true.

Nothing here computes with the ledger's own code but the contract's parser: the hash and the totals are made again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.entry import Entry, parse_entry
from ledger.violations import InvalidEntryError
from tests.simulation.interpreter import Execution
from tests.simulation.observations import (
    Item,
    LastRead,
    Moment,
    Observations,
    ViolationError,
    import_of,
    is_written_by,
    published,
)
from tests.support.entry_model import broken_rules, expected_totals

NO_FACTS = {"ProcessorShard", "PublishedAt", "Unpublished", "Seal", "Unsealed"}
"""Attributes of an entry's item that say nothing about the entry."""

COMPARED = ("Amount", "Currency", "ProcessorID", "Status")
"""Attributes of a payment by which its entries are judged."""

NO_IDENTITY = {"Metadata", "Import"}
WAITED_FOR = {"unknown_payment", "unknown_entry"}
LONGEST_OVERTAKING_S = 3600
"""Seconds by which an entry may overtake what it needs. The docs promise an hour."""


def plain(item: Item) -> dict[str, Any]:
    """Return an entry's facts as events have them."""
    return {name: _plain_value(attribute) for name, attribute in item.items() if name not in NO_FACTS}


def facts_of(payment: Item) -> dict[str, str]:
    """Return what an entry is judged by of its payment."""
    return {name: next(iter(payment[name].values())) for name in COMPARED}


def _plain_value(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    if kind == "M":
        return {name: _plain_value(part) for name, part in value.items()}
    return int(value) if kind == "N" else value


def check_chain(observed: Observations, payment: Item | None, chain: Sequence[Item]) -> None:
    """Require that the entries of one payment follow from each other, and from what was delivered."""
    about = chain[0]["TransactionID"]["S"]
    numbers = [int(item["Entry"]["N"]) for item in chain]
    if numbers != list(range(1, len(chain) + 1)):
        raise ViolationError(f"the entries of {about} have the numbers {numbers}")
    if payment is None:
        raise ViolationError(f"{about} has entries, and is not recorded")
    entries = [plain(item) for item in chain]
    if len({entry["EntryID"] for entry in entries}) < len(entries):
        raise ViolationError(f"two entries of {about} have one EntryID")
    previous = payment["Fingerprint"]["S"]
    for number, entry in enumerate(entries, 1):
        if entry["Previous"] != previous:
            raise ViolationError(f"entry {number} of {about} does not have the hash of the one before it")
        hashed = {name: value for name, value in entry.items() if name != "Import"}
        previous = hashlib.sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        _check_totals(payment, entries[:number])
        _check_rules(payment, entries[:number])
    for item, entry in zip(chain, entries, strict=True):
        _check_delivered(observed, item, entry)


def _check_totals(payment: Item, entries: Sequence[Mapping[str, Any]]) -> None:
    last = entries[-1]
    about, written = f"entry {last['Entry']} of {last['TransactionID']}", last["Totals"]
    totals = expected_totals(facts_of(payment), entries)
    totals["Refundable"] = totals["Captured"] - totals["Refunded"] - totals["Disputed"]
    if {name: Decimal(written[name]) for name in totals} != totals:
        raise ViolationError(f"the totals of {about} are not those of the entries up to it")
    accepted = sum("Acceptance" in entry for entry in entries)
    if written["AcceptedEntries"] != accepted:
        raise ViolationError(f"{about} counts {written['AcceptedEntries']} accepted entries, and there are {accepted}")
    if not accepted and min(totals.values()) < 0:
        raise ViolationError(f"more was refunded and disputed than captured, with {about}")


def _check_rules(payment: Item, entries: Sequence[Mapping[str, Any]]) -> None:
    """Require that the last entry breaks no rule, or that an operator accepted it and had to."""
    *before, last = entries
    about, rules = f"entry {last['Entry']} of {last['TransactionID']}", broken_rules(facts_of(payment), before, last)
    if rules and "Acceptance" not in last:
        raise ViolationError(f"{about} breaks {sorted(rules)}")
    if not rules and "Acceptance" in last:
        raise ViolationError(f"{about} has an acceptance, and breaks no rule")


def _check_delivered(observed: Observations, item: Item, entry: Mapping[str, Any]) -> None:
    about = f"entry {entry['Entry']} of {entry['TransactionID']}"
    start_inputs = [one for execution, one in observed.delivered.items() if is_written_by(item, execution)]
    start_inputs += [
        one for arn, one in observed.accepted if (arn, one["EntryID"]) == (entry["Execution"], entry["EntryID"])
    ]
    if not start_inputs:
        raise ViolationError(f"{about} was not delivered by its execution")
    try:
        delivered = parse_entry(start_inputs[0], imports=True).as_state()
    except InvalidEntryError:
        raise ViolationError(f"{about} breaks the contract") from None
    if any(entry.get(name) != value for name, value in delivered.items()):
        raise ViolationError(f"{about} is not what was delivered")
    if import_of(item) != delivered.get("Import"):
        raise ViolationError(f"{about} is an import, and was not delivered as one")


class Expected(NamedTuple):
    """The outcome that an execution must have, and why: the rules, or the fields that differ. `entry` is the twin."""

    outcome: str
    reasons: set[str]
    entry: Item | None = None


def expected(observed: Observations, execution: Execution, moment: Moment) -> Expected:
    """Return the outcome that follows from what was there when the execution last read."""
    try:
        delivered = parse_entry(observed.delivered[execution.key], imports=True)
    except InvalidEntryError as invalid:
        return Expected("REFUSED", {violation.rule for violation in invalid.violations})
    has_payment, length = observed.reads.get(execution.key, LastRead(has_payment=False, entries=0))
    chain = moment.entries.get(delivered.transaction_id, [])[:length]
    for item in chain:
        if item["EntryID"]["S"] == delivered.entry_id:
            return _expected_of_twin(execution, delivered, item)
    payment = moment.payments[delivered.transaction_id] if has_payment else None
    if rules := broken_rules(
        facts_of(payment) if payment else None, [plain(item) for item in chain], delivered.as_state()
    ):
        return Expected("REFUSED", rules)
    written = moment.entries.get(delivered.transaction_id, [])[length : length + 1]
    if not written or not is_written_by(written[0], execution.key):
        raise ViolationError(f"{execution.arn} ended, and its entry is not the next one after those that it read")
    return Expected("RECORDED", set(), written[0])


def _expected_of_twin(execution: Execution, delivered: Entry, item: Item) -> Expected:
    state, entry = delivered.as_state(), plain(item)
    names = state.keys() - NO_IDENTITY | ({"Reverses"} & entry.keys())
    if differs := {name for name in names if entry.get(name) != state.get(name)}:
        return Expected("CONFLICT", differs, item)
    return Expected("RECORDED" if is_written_by(item, execution.key) else "DUPLICATE", set(), item)


def check_ended_execution(observed: Observations, execution: Execution, moment: Moment) -> None:
    """Require that what an ended execution claims is true, and was published."""
    name, reasons, entry = expected(observed, execution, moment)
    claimed = {"InvalidEntryError": "REFUSED", "EntryConflictError": "CONFLICT"}.get(execution.error or "")
    claimed = execution.data["Outcome"] if execution.status == "SUCCEEDED" else claimed
    if claimed != name:
        raise ViolationError(f"{execution.arn} ended as {claimed}, and is a {name}")
    if execution.status == "SUCCEEDED":
        assert entry
        about = {key: entry[key]["S"] for key in ("TransactionID", "EntryID")}
        if execution.data["Entry"] != int(entry["Entry"]["N"]):
            raise ViolationError(f"{execution.arn} names entry {execution.data['Entry']}, which is another one")
        form = observed.delivered[execution.key].get("Import")
        as_duplicate = published("EntryDuplicate", moment.events, DuplicateExecution=execution.arn)
        if form and as_duplicate:
            raise ViolationError(f"{execution.arn} is an import, and was published as a duplicate")
        if not form and name == "DUPLICATE" and not as_duplicate:
            raise ViolationError(f"{execution.arn} is a duplicate, and that was not published")
        is_left = import_of(entry) == "quiet" or (form and name == "DUPLICATE")
        if not is_left and not published(
            "EntryImported" if import_of(entry) else "EntryRecorded", moment.events, **about
        ):
            raise ViolationError(f"{execution.arn} succeeded, and its entry was not published")
        return
    if any(is_written_by(item, execution.key) for chain in moment.entries.values() for item in chain):
        raise ViolationError(f"{execution.arn} is a {name}, and added an entry")
    if reasons <= WAITED_FOR and execution.waited_s < LONGEST_OVERTAKING_S:
        raise ViolationError(f"{execution.arn} waited {execution.waited_s:.0f} s for what it needs")
    details = [
        event["detail"] for event in published(f"Entry{name.capitalize()}", moment.events, Execution=execution.arn)
    ]
    if not details:
        raise ViolationError(f"{execution.arn} is a {name}, and that was not published")
    if all(_reasons(detail) != reasons for detail in details):
        raise ViolationError(f"{execution.arn} is a {name} for {sorted(reasons)}, and other reasons were published")


def _reasons(detail: Mapping[str, Any]) -> set[str]:
    if "Violations" in detail:
        return {violation["Rule"] for violation in detail["Violations"]}
    return set(detail["Differs"])


def check_accepted(start_input: Mapping[str, Any], answer: Mapping[str, Any], moment: Moment) -> None:
    """Require that the chain has the entry that an operator accepted, as the operator was answered."""
    entry = answer["Entry"]
    item = moment.entries[entry["TransactionID"]][entry["Entry"] - 1]
    if not plain(item).items() <= entry.items() or entry["EntryID"] != start_input["EntryID"]:
        raise ViolationError(f"{answer['Outcome']} was answered for {start_input['EntryID']}, and the chain differs")


def check_events(moment: Moment) -> None:
    """Require that each event of a recorded entry says what the table has."""
    for event in moment.events:
        detail = event["detail"]
        if event["detail-type"] in {"EntryRecorded", "EntryImported", "EntryDuplicate"}:
            facts = plain(moment.entries[detail["TransactionID"]][detail["Entry"] - 1])
            if not facts.items() <= detail.items():
                raise ViolationError(f"{event['detail-type']} {detail['OutcomeID']} differs from its entry")
