"""Each invariant can fail: one value of a correct run is changed, and the check that must see it does."""

import copy
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from ledger_cli.engine import Engine
from tests.simulation import entry_scenarios as entries
from tests.simulation.interpreter import Execution
from tests.simulation.invariants import (
    check_after_each_call,
    check_ended_execution,
    check_final_state,
    check_refused,
)
from tests.simulation.observations import LastRead, Moment, Observations, ViolationError
from tests.simulation.run import PAYMENT, TOKEN, Run, Simulator, intercepted_calls

ID = str(PAYMENT["TransactionID"])
GONE = object()
"""Stands for a value that is taken away."""


class Seen(NamedTuple):
    """A run that has ended: what the ledger holds, and what the run has seen."""

    moment: Moment
    observed: Observations
    executions: list[Execution]


@pytest.fixture(scope="module")
def seen(deployed: tuple[Engine, list[float]]) -> Seen:
    """Return a run with a payment, three entries, a duplicate, a refusal, an early entry and a conflict."""
    delivered = {
        "refund": entries.REFUND,
        "failed": entries.FAILED,
        "second": entries.SECOND,
        "twin": entries.TWIN,
        "refused": {**entries.TOO_MUCH, "EntryID": "re_3"},
        "early": {**entries.FAILED, "EntryID": "rf_9", "Reverses": "re_9"},
        "conflict": entries.OTHER_CONTENT,
    }
    return run_of(deployed[0], delivered, begin_with=PAYMENT)


def run_of(engine: Engine, delivered: Mapping[str, Any], *, begin_with: dict[str, Any] | None = None) -> Seen:
    """Run deliveries one after another without a fault, after a payment if there is one, and return what was seen."""
    engine.clear()
    run = Run(Simulator(engine), {})
    run.has_faults = False
    with intercepted_calls(lambda: run):
        if begin_with is not None:
            run.begin_with(begin_with)
        for name, start_input in delivered.items():
            run.deliver(start_input, name)
    return Seen(copy.deepcopy(run.moment()), run.observed, run.executions)


def check(seen: Seen, changes: Sequence[tuple[Sequence[Any], Any]] = (), logs: str = "") -> None:
    """Make all checks, after the values at these paths were changed."""
    moment, observed, executions = copy.deepcopy(seen)
    whole: dict[str, Any] = {
        "payment": moment.payments[ID],
        "entries": moment.entries[ID],
        "events": moment.events,
        "executions": {_name(execution.arn): execution.__dict__ for execution in executions},
        "delivered": {_name(arn): entry for (arn, _), entry in observed.delivered.items()},
        "reads": {_name(arn): read for (arn, _), read in observed.reads.items()},
        "observed": observed.__dict__,
    }
    change(whole, changes)
    observed.delivered = {key: whole["delivered"][_name(key[0])] for key in observed.delivered}
    observed.reads = {key: whole["reads"][_name(key[0])] for key in observed.reads if _name(key[0]) in whole["reads"]}
    moment = moment._replace(events=whole["events"])
    check_after_each_call(observed, moment)
    for execution in executions:
        check_ended_execution(observed, execution, moment)
    check_final_state(observed, executions, moment, logs)


def change(whole: dict[str, Any], changes: Sequence[tuple[Sequence[Any], Any]]) -> None:
    """Change the values at these paths, or take them away."""
    for (*path, last), value in changes:
        parent = functools.reduce(operator.getitem, path, whole)
        if value is GONE:
            del parent[last]
        else:
            parent[last] = copy.deepcopy(value)


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


def total(name: str, text: str, entry: int = 0) -> tuple[Sequence[Any], Any]:
    """Return the change of a total."""
    return ("entries", entry, "Totals", "M", name, "S"), text


FORGET = [(("observed", "first"), {}), (("observed", "marked"), {})]
"""The run has not seen the items before: so the checks of one moment alone must see the change."""

RECORDED_EVENT, DUPLICATE_EVENT, REFUSED_EVENT, CONFLICT_EVENT = 1, 4, 5, 7


def test_a_correct_run_passes(seen: Seen) -> None:
    """Otherwise the changes below would prove nothing."""
    check(seen)
    check(seen, FORGET)
    names = [event["detail-type"] for event in seen.moment.events]
    of_entries = ["EntryRecorded"] * 3 + ["EntryDuplicate", "EntryRefused", "EntryRefused", "EntryConflict"]
    assert names == ["PaymentRecorded", *of_entries]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # What was written stays.
        ([(("entries", 0, "Metadata"), {"M": {}})], "was changed after it was written"),
        ([(("entries", 2), GONE)], "is gone"),
        ([(("entries", 0, "PublishedAt", "S"), "2027-01-01T00:00:00Z")], "the marker of .* was changed"),
        ([(("entries", 0, "Unpublished"), {"S": "1"})], "as both or as neither"),
        ([(("entries", 0, "PublishedAt"), GONE)], "as both or as neither"),
        ([(("events", RECORDED_EVENT, "detail-type"), "Other")], "marked as published, and was not"),
        # The chain is whole.
        ([*FORGET, (("entries", 2, "Entry", "N"), "4")], r"numbers \[1, 2, 4\]"),
        ([*FORGET, (("entries", 0), GONE)], r"numbers \[2, 3\]"),
        ([*FORGET, (("entries", 2, "EntryID", "S"), "re_1")], "two entries of .* have one EntryID"),
        ([*FORGET, (("entries", 0, "Previous", "S"), "0" * 64)], "entry 1 of .* does not have the hash"),
        ([*FORGET, (("entries", 1, "Previous", "S"), "0" * 64)], "entry 2 of .* does not have the hash"),
        ([*FORGET, (("entries", 0, "Metadata"), {"M": {}})], "entry 2 of .* does not have the hash"),
        ([*FORGET, total("Refunded", "80.01")], "totals of entry 1"),
        ([*FORGET, total("Refundable", "49.91")], "totals of entry 1"),
        ([*FORGET, total("Captured", "129.91")], "totals of entry 1"),
        ([*FORGET, total("Disputed", "0.01", entry=1)], "totals of entry 2|the hash"),
        ([*FORGET, (("entries", 0, "Totals", "M", "AcceptedEntries"), {"N": "1"})], "counts 1 accepted entries"),
        (
            [
                *FORGET,
                (("payment", "Amount", "N"), "50"),
                total("Captured", "50.00"),
                total("Refundable", "-30.00"),
            ],
            "more was refunded and disputed than captured, with entry 1",
        ),
        ([*FORGET, (("entries", 1, "Reverses", "S"), "re_7")], r"entry 2 of .* breaks \['unknown_entry'\]"),
        ([*FORGET, (("entries", 1, "Reverses", "S"), "rf_1")], r"entry 2 of .* breaks \['unknown_entry'\]"),
        ([*FORGET, (("entries", 0, "ProcessorID", "S"), "other")], r"entry 1 of .* breaks \['processor'\]"),
        (
            [
                *FORGET,
                (("entries", 0, "Acceptance"), {"M": {"Reason": {"S": "because"}}}),
                (("entries", 0, "Totals", "M", "AcceptedEntries"), {"N": "1"}),
            ],
            "entry 1 of .* has an acceptance, and breaks no rule",
        ),
        ([*FORGET, (("entries", 0, "Execution", "S"), "arn")], "the hash|was not delivered by its execution"),
        ([(("delivered", "second", "Amount"), "70.00")], "entry 3 of .* is not what was delivered"),
        ([(("delivered", "second"), PAYMENT)], "entry 3 of .* breaks the contract"),
        # What an execution claims is true.
        ([(("executions", "refund", "data", "Outcome"), "DUPLICATE")], "ended as DUPLICATE, and is a RECORDED"),
        ([(("executions", "twin", "data", "Outcome"), "RECORDED")], "ended as RECORDED, and is a DUPLICATE"),
        ([(("executions", "refund", "data", "Entry"), 2)], "names entry 2"),
        ([(("executions", "refused", "error"), "EntryConflictError")], "ended as CONFLICT, and is a REFUSED"),
        ([(("executions", "conflict", "error"), "InvalidEntryError")], "ended as REFUSED, and is a CONFLICT"),
        ([(("executions", "refused", "state"), "Append Entry")], "no state caught it"),
        ([(("executions", "early", "waited_s"), 3599)], "waited 3599 s"),
        ([(("executions", "second", "status"), "ABORTED")], "does not converge"),
        # Every outcome is published, and says what is true.
        ([(("events", DUPLICATE_EVENT), GONE)], "is a duplicate, and that was not published"),
        ([(("events", REFUSED_EVENT), GONE)], "is a REFUSED, and that was not published"),
        ([(("events", CONFLICT_EVENT), GONE)], "is a CONFLICT, and that was not published"),
        ([(("events", REFUSED_EVENT, "detail", "Violations"), [])], "and other reasons were published"),
        ([(("events", CONFLICT_EVENT, "detail", "Differs"), ["Kind"])], "and other reasons were published"),
        ([(("events", RECORDED_EVENT, "detail", "Amount"), "8.00")], "differs from its entry"),
        ([(("events", DUPLICATE_EVENT, "detail", "Amount"), "8.00")], "differs from its entry"),
    ],
)
def test_a_changed_value_is_seen(seen: Seen, changes: list[tuple[Sequence[Any], Any]], message: str) -> None:
    """The simulation would otherwise pass whatever the ledger does."""
    with pytest.raises(ViolationError, match=message):
        check(seen, changes)


@pytest.fixture(scope="module")
def imported(deployed: tuple[Engine, list[float]]) -> Seen:
    """Return a run with an imported payment, imported entries of both forms, and deliveries of the same."""
    delivered = {
        "payment": {**PAYMENT, "Import": "published"},
        "quiet": entries.QUIET,
        "twin": entries.TWIN,
        "loud": {**entries.SMALL[0], "Import": "published"},
        "again": {**entries.SMALL[0], "Import": "quiet"},
        "news": entries.SMALL[1],
    }
    return run_of(deployed[0], delivered)


def test_a_correct_run_of_imports_passes(imported: Seen) -> None:
    """The quiet one has no event but that of its duplicate, and the repeated import has none at all."""
    check(imported)
    check(imported, FORGET)
    names = [event["detail-type"] for event in imported.moment.events]
    assert names == ["PaymentImported", "EntryDuplicate", "EntryImported", "EntryRecorded"]


AT = {"S": "2026-11-23T08:30:00.000000Z"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(("entries", 0, "PublishedAt"), AT)], "is a quiet import, and is marked"),
        ([(("entries", 0, "Unpublished"), {"S": "1"})], "is a quiet import, and is marked"),
        ([(("events", 1, "detail-type"), "EntryRecorded")], "is a quiet import, and was published"),
        ([(("events", 1, "detail-type"), "EntryImported")], "is a quiet import, and was published"),
        ([(("events", 0, "detail-type"), "PaymentRecorded")], "is an import, and was published as something new"),
        ([(("events", 2, "detail-type"), "EntryRecorded")], "is an import, and was published as something new"),
        ([(("events", 0), GONE)], "is marked as published, and was not"),
        ([*FORGET, (("payment", "Metadata", "M", "ledger:import", "S"), "quiet")], "a quiet import, and is marked"),
        ([(("delivered", "payment", "Import"), "quiet")], "was delivered as quiet, and recorded as published"),
        ([(("delivered", "loud", "Import"), GONE)], "is an import, and was not delivered as one"),
        ([*FORGET, (("entries", 2, "Import"), {"S": "published"})], "is an import, and was published as something new"),
        ([(("delivered", "twin", "Import"), "quiet")], "is an import, and was published as a duplicate"),
        ([(("delivered", "again", "Import"), GONE)], "is a duplicate, and that was not published"),
        ([(("events", 1), GONE)], "is a duplicate, and that was not published"),
    ],
)
def test_a_changed_value_of_an_import_is_seen(
    imported: Seen, changes: list[tuple[Sequence[Any], Any]], message: str
) -> None:
    """History that wakes a consumer, and news that wakes none, are both errors."""
    with pytest.raises(ViolationError, match=message):
        check(imported, changes)


def test_an_outcome_has_one_identity(seen: Seen) -> None:
    """A consumer drops repeats by OutcomeID: none may have two, and no two entries may share one."""
    recorded, other = seen.moment.events[1], seen.moment.events[3]
    again = {**recorded, "detail": {**recorded["detail"], "OutcomeID": "another"}}
    with pytest.raises(ViolationError, match="with two OutcomeIDs or contents"):
        check(seen, [(("events",), [*seen.moment.events, again])])
    shared = {**other, "detail": {**other["detail"], "OutcomeID": recorded["detail"]["OutcomeID"]}}
    with pytest.raises(ViolationError, match="a consumer drops one of them"):
        check(seen, [(("events", 3), shared)])


@pytest.mark.parametrize(
    ("execution", "read", "message"),
    [
        ("refused", LastRead(has_payment=False, entries=0), "waited 0 s"),
        ("second", LastRead(has_payment=True, entries=1), "ended as RECORDED, and is a REFUSED"),
        ("second", GONE, "ended as RECORDED, and is a REFUSED"),
        ("twin", LastRead(has_payment=True, entries=0), "its entry is not the next one after those that it read"),
    ],
)
def test_a_claim_must_follow_from_what_was_read(seen: Seen, execution: str, read: Any, message: str) -> None:
    """An execution that read three entries cannot judge by two, as it would after a stale read."""
    with pytest.raises(ViolationError, match=message):
        check(seen, [(("reads", execution), read)])


def test_a_refusal_is_final(seen: Seen) -> None:
    """A retry could not change it, and would only make an operator wait."""
    execution, observed = seen.executions[0], Observations(token=TOKEN)
    for error in ("EntryTooEarlyError", "EntryTooEarlyError", "InvalidEntryError"):
        check_refused(observed, execution, error)
    with pytest.raises(ViolationError, match="and was tried again"):
        check_refused(observed, execution, "InvalidEntryError")


def test_no_token_leaks(seen: Seen) -> None:
    """The token must be nowhere."""
    with pytest.raises(ViolationError, match="the token is in a log"):
        check(seen, logs=f"... {TOKEN} ...")
    with pytest.raises(ViolationError, match="the token is in a table"):
        check(seen, [*FORGET, (("payment", "Metadata"), {"M": {"note": {"S": TOKEN}}})])
