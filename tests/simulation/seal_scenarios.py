"""The sealer: scenarios of the sealed log. Most runs begin with records that are published and not sealed yet."""

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from ledger.item import shard_of
from tests.simulation import faults
from tests.simulation.entry_scenarios import REFUND, REPRESENTATIVE, SECOND, SMALL
from tests.simulation.observations import ViolationError
from tests.simulation.run import PAYMENT, SHARD, Run
from tests.simulation.scenario import Budget, Scenario

Actor = Callable[[Run], object]
StartInput = Mapping[str, Any]

FIRST, LAST = (
    {**PAYMENT, "TransactionID": next(f"{text}-{n}" for n in count() if str(shard_of(f"{text}-{n}")) == SHARD)}
    for text in ("a-txn", "z-txn")
)
"""Payments before and after `PAYMENT` in the order of keys."""

QUIET: StartInput = {**LAST, "Import": "quiet", "Metadata": {"name": "Zoë"}}
ID, REFUND_ID = str(PAYMENT["TransactionID"]), f"{PAYMENT['TransactionID']}#1"


def sealing(*given: StartInput, runs: int = 1, sealed: tuple[StartInput, ...] = ()) -> Callable[[Run], None]:
    """Make a scenario in which the sealer runs, after all that is given was recorded, some of it sealed."""

    def play(run: Run) -> None:
        begin(run, given, sealed)
        for _ in range(runs):
            run.seal()

    return play


def begin(run: Run, given: tuple[StartInput, ...], sealed: tuple[StartInput, ...] = ()) -> None:
    """Begin a run with what is sealed already, and with more that is recorded, published and not sealed."""

    def prepare() -> None:
        for number, start_input in enumerate((*sealed, *given)):
            if number == len(sealed) > 0:
                run.seal()
            run.deliver(start_input, f"beginning-{number}")
        if sealed and not given:
            run.seal()

    run.begin_after(json.dumps([given, sealed]), prepare)


def at_once(
    *actors: StartInput | Actor, given: tuple[StartInput, ...] = (), sealed: tuple[StartInput, ...] = ()
) -> Callable[[Run], None]:
    """Make a scenario in which sealers run at once, or beside deliveries."""

    def play(run: Run) -> None:
        begin(run, given, sealed)
        run.concurrently(*(bound(run, number, actor) for number, actor in enumerate(actors)))

    def bound(run: Run, number: int, actor: StartInput | Actor) -> Callable[[], object]:
        if callable(actor):
            return lambda: actor(run)
        return lambda: run.deliver(actor, f"delivery-{number}")

    return play


def seal_twice(run: Run) -> None:
    """Run the sealer, and again when it has ended."""
    run.seal()
    run.seal()


def seal_named(run: Run) -> None:
    """Have the sealer seal named records, one of them twice."""
    run.seal(ID, REFUND_ID, str(LAST["TransactionID"]), ID)


def ended_early(
    operation: str,
    fault: str,
    *later: StartInput,
    given: tuple[StartInput, ...] = (PAYMENT, REFUND),
    then: Actor = Run.seal,
) -> Callable[[Run], None]:
    """Make a scenario in which a sealer ended before its seal was finished, and records followed before the next."""

    def play(run: Run) -> None:
        def prepare() -> None:
            begin(run, given)
            run.lasting_faults[operation] = fault
            run.seal()
            run.lasting_faults.clear()
            # Otherwise the scenario shows nothing.
            assert ["Note" in seal for seal in run.moment().seals] == [False], f"{operation} left no unfinished seal"
            for number, start_input in enumerate(later):
                run.deliver(start_input, f"later-{number}")

        run.begin_after(json.dumps([operation, fault, later, given]), prepare)
        then(run)

    return play


def two_sealers(run: Run) -> None:
    """Run two sealers at once."""
    run.concurrently(run.seal, run.seal)


def losing_the_race(run: Run) -> None:
    """Let a sealer commit and finish its seal after another one has read, whose reads are as old as they may be."""
    run.begin_with(PAYMENT, LAST)
    run.lasting_faults["BatchGetItem"] = "stale read"
    its_four_reads, the_other = [0] * 4, [1]
    run.concurrently(run.seal, run.seal, plan=its_four_reads + the_other)


def after_months(run: Run) -> None:
    """Run the sealer after months without one, when more records wait than one seal can have."""
    run.begin_with(PAYMENT, REFUND, QUIET)
    run.forget_executions()
    with run.sealing_at_most(2):
        run.seal()
    if not run.injected and len(run.moment().seals) != 2:
        raise ViolationError(f"three records are in {len(run.moment().seals)} seals of at most two")


def two_after_months(run: Run) -> None:
    """Run two sealers at once when more records wait than one seal can have."""
    run.begin_with(PAYMENT, FIRST, LAST)
    run.forget_executions()
    with run.sealing_at_most(2):
        two_sealers(run)


def named_beside_scheduled(run: Run) -> None:
    """Have a sealer seal records from before the log, beside one that seals what the indexes name."""
    run.begin_with(PAYMENT, REFUND, LAST)
    run.forget_the_log_was_there(ID, REFUND_ID)
    run.concurrently(lambda: seal_named(run), run.seal)
    seal_named_at_the_end(run)


def seal_named_at_the_end(run: Run) -> None:
    """Seal the named records again, as an operator does whose first attempt failed."""
    with run.without_faults():
        seal_named(run)


def named_alone(run: Run) -> None:
    """Have a sealer seal records from before the log."""
    run.begin_with(PAYMENT, REFUND, LAST)
    run.forget_the_log_was_there(ID, REFUND_ID)
    seal_named(run)
    seal_named_at_the_end(run)


def named_and_not_there(run: Run) -> None:
    """Name a payment and an entry that nobody recorded, beside one that is there."""
    run.begin_with(PAYMENT)
    run.seal("txn-of-nobody", f"{ID}#1", ID)


def removed_during_a_seal(run: Run) -> None:
    """Remove a payment behind the ledger's back after its seal was committed. Nothing may create an item there."""
    run.tamper(None, ID)
    run.seal()


def marked_by_another(run: Run) -> None:
    """Mark a payment with another seal behind the ledger's back. The sealer may not hide that."""
    payment = {name: value for name, value in run.moment().payments[ID].items() if name != "Unsealed"}
    run.tamper({**payment, "Seal": {"N": "7"}}, ID)
    run.seal()


def lasting(operation: str, fault: str) -> Callable[[Run], None]:
    """Make a scenario with a fault that outlasts every retry; then it is fixed, and the sealer runs again."""

    def play(run: Run) -> None:
        run.begin_with(PAYMENT, REFUND)
        with run.without_faults():
            run.lasting_faults[operation] = fault
            run.seal()
            run.lasting_faults.clear()
            if any("Note" in seal for seal in run.moment().seals) and not (operation, fault) == FINISHED:
                raise ViolationError(f"{fault} without end at {operation}, and a seal is finished")
        run.seal()

    return play


FINISHED = ("UpdateItem", "reply lost")
"""What fails and has its effect all the same."""

LASTING = REPRESENTATIVE | {"throttled", "crash after"}
OPERATIONS = ("Query", "BatchGetItem", "PutItem", "GetPublicKey", "Sign", "UpdateItem", "PutEvents")
"""The calls of the sealer."""

WRITES = {"PutItem", "UpdateItem", "PutEvents"}
"""Those of them after which something is left that another run finds."""

DISTINCT = frozenset(
    {*faults.AT_SEALER, *faults.AT_EVENTUAL_READ, *faults.AT_BATCH_GET_ITEM, *faults.AT_PUT_EVENTS, faults.COLD}
    | {"reply lost", "slow", "access denied", "crash before", "crash after", "crash at the end"}
)
"""Faults that leave something else behind than any other one. Pairs of them are tried."""

PLAIN, ONE_SWITCH, THREE_SWITCHES = (Budget(0, turns=turns) for turns in (0, 1, 3))
SWITCHES = (THREE_SWITCHES, Budget(1, turns=0))
"""A sealer makes a dozen calls, too many for every order of them beside another sealer's."""

ONE_SEALER = {
    "sealing a payment": Scenario(sealing(PAYMENT), (Budget(1), Budget(2, kinds=DISTINCT)), quick=Budget(1)),
    "sealing three records": Scenario(sealing(PAYMENT, REFUND, QUIET), (Budget(1),), quick=Budget(0)),
    "sealing onto a log": Scenario(sealing(REFUND, FIRST, sealed=(PAYMENT, LAST)), (Budget(1),), quick=Budget(0)),
    "sealing nothing": Scenario(sealing(), (Budget(1),), quick=Budget(0)),
    "sealing nothing new": Scenario(sealing(sealed=(PAYMENT, REFUND), runs=2), (Budget(1),), quick=Budget(0)),
    "sealing after months": Scenario(after_months, (Budget(1),), quick=Budget(0)),
    "sealing named records": Scenario(named_alone, (Budget(1),), quick=Budget(0)),
    "sealing what is not there": Scenario(named_and_not_there, (Budget(1),), quick=Budget(0)),
    "sealer after one that ended before the markers": Scenario(
        ended_early("Sign", "time nearly up after", LAST), (Budget(1),), quick=Budget(0)
    ),
    "sealer after one that ended before the event": Scenario(
        ended_early("PutEvents", "access denied", LAST), (Budget(1),), quick=Budget(0)
    ),
} | {
    name: Scenario(
        ended_early("Sign", "time nearly up after", given=(PAYMENT,), then=play), (Budget(1),), quick=Budget(0)
    )
    for name, play in {
        "removed during a seal": removed_during_a_seal,
        "marked by another during a seal": marked_by_another,
    }.items()
}
AT_ONCE = {
    name: Scenario(play, budgets, quick=quick)
    for name, (play, budgets, quick) in {
        "payment beside a sealer": (at_once(PAYMENT, Run.seal), (Budget(0), Budget(1, turns=1)), Budget(0, turns=2)),
        "payment beside a sealer that runs twice": (
            at_once(PAYMENT, seal_twice, given=(LAST,)),
            (THREE_SWITCHES,),
            PLAIN,
        ),
        "entry beside a sealer": (at_once(REFUND, Run.seal, given=(PAYMENT,)), SWITCHES, ONE_SWITCH),
        "entry of a sealed payment beside a sealer": (
            at_once(SECOND, Run.seal, given=(SMALL[0],), sealed=(PAYMENT,)),
            (THREE_SWITCHES,),
            PLAIN,
        ),
        "two sealers of one record": (
            at_once(Run.seal, Run.seal, given=(PAYMENT,)),
            (THREE_SWITCHES, Budget(1, turns=1, kinds=DISTINCT)),
            Budget(0, turns=2),
        ),
        "two sealers": (
            at_once(Run.seal, Run.seal, given=(PAYMENT, REFUND, LAST)),
            (Budget(0, turns=2), Budget(1, turns=0)),
            ONE_SWITCH,
        ),
        "sealer that loses the race": (losing_the_race, (Budget(1, turns=0),), PLAIN),
        "two sealers beside a payment": (at_once(PAYMENT, Run.seal, Run.seal), SWITCHES, ONE_SWITCH),
        "two sealers after one that ended early": (
            ended_early("Sign", "time nearly up after", LAST, then=two_sealers),
            SWITCHES,
            ONE_SWITCH,
        ),
        "two sealers after months": (two_after_months, (Budget(0, turns=2),), PLAIN),
        "sealer of named records beside a scheduled one": (named_beside_scheduled, SWITCHES, ONE_SWITCH),
        "sealer beside a sweep": (
            at_once(Run.sweep, Run.seal, given=(PAYMENT, REFUND)),
            (Budget(0, turns=2),),
            PLAIN,
        ),
    }.items()
}
WITHOUT_END = {
    f"{fault} without end at {operation} of a seal": Scenario(
        lasting(operation, fault), (Budget(int(fault in REPRESENTATIVE and operation in WRITES)),)
    )
    for operation in OPERATIONS
    for fault in sorted(LASTING)
}
SEAL_SCENARIOS = ONE_SEALER | AT_ONCE | WITHOUT_END
