"""What happens to a payment after it was recorded: scenarios of entries.

Most runs begin with a payment that is recorded and published, so that faults and turns are the entries'.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.observations import ViolationError
from tests.simulation.run import PAYMENT, Run
from tests.simulation.scenario import Budget, Scenario

Entry = Mapping[str, Any]
Actor = Callable[[Run], object]

REFUND: Entry = {
    "TransactionID": PAYMENT["TransactionID"],
    "EntryID": "re_1",
    "Kind": "Refunded",
    "Amount": "80.00",
    "Currency": "EUR",
    "ProcessorID": "acme-pay",
    "Timestamp": "2026-01-31T23:40:00Z",
    "Metadata": {"reason": "damaged"},
}
TWIN: Entry = {**REFUND, "Amount": "80", "Timestamp": "2026-02-01T00:40:00+01:00", "Metadata": {"delivery": "2"}}
OTHER_CONTENT: Entry = {**REFUND, "Amount": "70.00", "Timestamp": "2026-01-31T23:41:00Z"}
SECOND: Entry = {**REFUND, "EntryID": "re_2"}
DISPUTE: Entry = {**REFUND, "EntryID": "dp_1", "Kind": "Disputed"}
FAILED: Entry = {**REFUND, "EntryID": "rf_1", "Kind": "RefundFailed", "Reverses": "re_1"}
FAILED_AGAIN: Entry = {**FAILED, "EntryID": "rf_2"}
FAILURE_FAILED: Entry = {**FAILED, "EntryID": "rf_3", "Reverses": "rf_1"}
TOO_MUCH: Entry = {**REFUND, "Amount": "129.91", "ProcessorID": "other-pay"}
INVALID: Entry = {**REFUND, "Amount": "1.001", "Kind": "refunded"}
SMALL: tuple[Entry, ...] = tuple({**REFUND, "EntryID": f"re_{number}", "Amount": "10.00"} for number in range(10, 13))

QUIET: Entry = {**REFUND, "Import": "quiet"}
PUBLISHED: Entry = {**REFUND, "Import": "published"}

SAME_NAME = "beginning-1"
"""Name of the execution with which `Run.begin_with` delivers what comes second."""


def one_after_the_other(*entries: Entry, given: tuple[Entry, ...] = (PAYMENT,)) -> Callable[[Run], None]:
    """Make a scenario that delivers entries, each in an execution of its own."""

    def play(run: Run) -> None:
        run.begin_with(*given)
        for number, entry in enumerate(entries, 1):
            run.deliver(entry, f"entry-{number}")

    return play


def at_once(*actors: Entry | Actor, given: tuple[Entry, ...] = (PAYMENT,)) -> Callable[[Run], None]:
    """Make a scenario that delivers entries at once, or lets other actors act, such as a sweep."""

    def play(run: Run) -> None:
        if given:
            run.begin_with(*given)
        run.concurrently(*(bound(run, number, actor) for number, actor in enumerate(actors, 1)))

    def bound(run: Run, number: int, actor: Entry | Actor) -> Callable[[], object]:
        if callable(actor):
            return lambda: actor(run)
        return lambda: run.deliver(actor, f"entry-{number}")

    return play


def months_later(entry: Entry) -> Callable[[Run], None]:
    """Make a scenario that delivers an entry under a taken name, when that name is free again."""

    def play(run: Run) -> None:
        run.begin_with(PAYMENT, REFUND)
        run.forget_executions()
        run.deliver(entry, SAME_NAME)

    return play


def overtaking(entry: Entry, needed: Entry, *given: Entry) -> Callable[[Run], None]:
    """Make a scenario in which what an entry needs arrives while the entry's execution waits for a retry."""

    def play(run: Run) -> None:
        if given:
            run.begin_with(*given)

        def arrive() -> None:
            with run.without_faults():
                run.deliver(needed, "needed")

        run.during_waits.append(arrive)
        run.deliver(entry, "entry")

    return play


def failed_then_again(run: Run) -> None:
    """Deliver a refund, its failure, and another refund of the same money, while a sweep runs."""
    run.begin_with(PAYMENT, REFUND)

    def deliver_both() -> None:
        run.deliver(FAILED, "entry-1")
        run.deliver(SECOND, "entry-2")

    run.concurrently(deliver_both, run.sweep)


def losing_each_race(run: Run) -> None:
    """Let another delivery take the number each time that a refund has read the chain."""
    run.begin_with(PAYMENT)

    def deliver_others() -> None:
        for number, entry in enumerate(SMALL):
            run.deliver(entry, f"other-{number}")

    read, its_four_calls, lose_and_read = [0], [1] * 4, [0, 0]
    plan = read + (its_four_calls + lose_and_read) * len(SMALL)
    run.concurrently(lambda: run.deliver(REFUND, "entry"), deliver_others, plan=plan)
    entry = next(execution for execution in run.executions if execution.arn.endswith(":entry"))
    if not run.injected and entry.status != "SUCCEEDED":
        raise ViolationError(f"an entry that lost each race ended in {entry.state}: {entry.error}")


def accepting(*others: Actor) -> Callable[[Run], None]:
    """Make a scenario in which an operator accepts a refused entry, at once with others."""

    def play(run: Run) -> None:
        run.begin_with(PAYMENT, REFUND)
        with run.without_faults():
            refused = run.deliver(SECOND, "refused")
        run.concurrently(lambda: run.accept(refused), *(lambda other=other: other(run) for other in others))

    return play


def deliver_small(run: Run) -> None:
    """Deliver a refund for which there is money until another one is accepted."""
    run.deliver(SMALL[0], "small")


def deliver_failed(run: Run) -> None:
    """Deliver the failure of the first refund: then there is money, and the refused entry needs no acceptance."""
    run.deliver(FAILED, "failed")


def deliver_again(run: Run) -> None:
    """Deliver the refused entry again, as `ledger retry` does."""
    run.deliver({**SECOND, "Metadata": {"delivery": "2"}}, "again")


def accept_too(run: Run) -> None:
    """Accept the entry as a second operator does."""
    run.accept(run.executions[0])


def two_sweeps(run: Run) -> None:
    """Run two sweeps at once after two executions that failed before they could publish: a payment's, an entry's."""
    with run.without_faults():
        run.lasting_faults["PutEvents"] = "access denied"
        run.deliver(PAYMENT, "payment")
        run.deliver(REFUND, "entry")
    run.lasting_faults.clear()
    run.concurrently(run.sweep, run.sweep)


def unpublished_twin(run: Run) -> None:
    """Deliver an entry again, at once with a sweep, after an execution that failed before it could publish it."""
    run.begin_with(PAYMENT)
    with run.without_faults():
        run.lasting_faults["PutEvents"] = "access denied"
        run.deliver(REFUND, "first")
    run.lasting_faults.clear()
    run.concurrently(lambda: run.deliver(TWIN, "second"), run.sweep)


def lasting(operation: str, fault: str, state: str) -> Callable[[Run], None]:
    """Make a scenario with a fault that outlasts every retry; then it is fixed, and the execution is redriven.

    If the fault lets `PutItem` take effect, the next attempt reads its own write, and has no need to write again.
    """
    is_written = operation == "PutItem" and fault in AFTER_THE_EFFECT
    ends = ("SUCCEEDED", "Publish Outcome") if is_written else ("FAILED", state)

    def play(run: Run) -> None:
        run.begin_with(PAYMENT)
        with run.without_faults():
            run.lasting_faults[operation] = fault
            execution = run.deliver(REFUND, "entry")
        if (execution.status, execution.state) != ends:
            raise ViolationError(f"{fault} without end at {operation}: {execution.status} in {execution.state}")
        run.lasting_faults.clear()
        run.redrive()

    return play


AFTER_THE_EFFECT = {"reply lost", "error 500 after the effect", "crash after", "time up after"}

STATES = {
    "GetItem": "Append Entry",
    "Query": "Append Entry",
    "PutItem": "Append Entry",
    "PutEvents": "Publish Outcome",
    "UpdateItem": "Publish Outcome",
}

REPRESENTATIVE = {"access denied", "reply lost"}
"""Two lasting faults: one keeps the call from its effect, and one does not."""

LASTING = REPRESENTATIVE | {"throttled", "crash after"}
"""Faults that are tried without end. The scenarios of payments have the others, and meet the same code."""

ONE_AFTER_THE_OTHER = {
    "refund": Scenario(one_after_the_other(SECOND, given=(PAYMENT, REFUND, FAILED)), (Budget(2),), quick=Budget(1)),
    "refund refused": Scenario(one_after_the_other(TOO_MUCH), (Budget(2),)),
    "refund of a failed payment": Scenario(
        one_after_the_other(REFUND, given=({**PAYMENT, "Status": "Failure"},)), (Budget(1),)
    ),
    "invalid entry": Scenario(one_after_the_other(INVALID), (Budget(2),)),
    "refund delivered again": Scenario(one_after_the_other(REFUND, TWIN), (Budget(1),), quick=Budget(0)),
    "refund months later": Scenario(months_later(TWIN), (Budget(2),)),
    "another entry months later": Scenario(months_later({**SECOND, "Amount": "10.00"}), (Budget(1),)),
    "another content later": Scenario(one_after_the_other(OTHER_CONTENT, given=(PAYMENT, REFUND)), (Budget(2),)),
    "refund failed, then again": Scenario(one_after_the_other(FAILED, SECOND, given=(PAYMENT, REFUND)), (Budget(1),)),
    "reversal twice": Scenario(one_after_the_other(FAILED, FAILED_AGAIN, given=(PAYMENT, REFUND)), (Budget(1),)),
    "reversal of a reversal": Scenario(
        one_after_the_other(FAILURE_FAILED, given=(PAYMENT, REFUND, FAILED)), (Budget(1),)
    ),
    "refund before its payment": Scenario(overtaking(REFUND, PAYMENT), (Budget(2),)),
    "reversal before its refund": Scenario(overtaking(FAILED, REFUND, PAYMENT), (Budget(1),)),
    "quiet import of a refund": Scenario(
        one_after_the_other({**SECOND, "Amount": "10.00"}, given=({**PAYMENT, "Import": "quiet"}, QUIET)),
        (Budget(1),),
        quick=Budget(0),
    ),
    "import of a refund": Scenario(one_after_the_other(QUIET), (Budget(2),), quick=Budget(1)),
    "published import of a refund": Scenario(one_after_the_other(PUBLISHED), (Budget(2),), quick=Budget(1)),
    "refund imported, then delivered": Scenario(one_after_the_other(QUIET, TWIN), (Budget(1),), quick=Budget(0)),
    "refund delivered, then imported": Scenario(one_after_the_other(REFUND, PUBLISHED), (Budget(1),), quick=Budget(1)),
    "import of another refund": Scenario(
        one_after_the_other({**OTHER_CONTENT, "Import": "quiet"}, given=(PAYMENT, REFUND)),
        (Budget(1),),
        quick=Budget(0),
    ),
    "import that does not add up": Scenario(
        one_after_the_other({**TOO_MUCH, "Import": "quiet"}), (Budget(1),), quick=Budget(0)
    ),
    "refund without a payment": Scenario(one_after_the_other(REFUND, given=()), (Budget(1),)),
    "losing each race": Scenario(losing_each_race, (Budget(1, turns=0),), quick=Budget(0, turns=0)),
}

TWO_AT_ONCE: dict[str, tuple[tuple[Entry, Entry], tuple[Entry, ...]]] = {
    "refund delivered twice at once": ((REFUND, TWIN), (PAYMENT,)),
    "another content at once": ((REFUND, OTHER_CONTENT), (PAYMENT,)),
    "two refunds that together exceed": ((REFUND, SECOND), (PAYMENT,)),
    "dispute and refund at once": ((DISPUTE, REFUND), (PAYMENT,)),
    "reversal twice at once": ((FAILED, FAILED_AGAIN), (PAYMENT, REFUND)),
    "failed refund and the next at once": ((FAILED, SECOND), (PAYMENT, REFUND)),
    "refund and its payment at once": ((REFUND, PAYMENT), ()),
    "import and delivery of a refund at once": ((QUIET, TWIN), (PAYMENT,)),
    "published import and delivery of a refund at once": ((PUBLISHED, TWIN), (PAYMENT,)),
}
"""Two deliveries, and what each run begins with."""

AT_ONCE = {
    name: Scenario(play, (Budget(0), Budget(1, turns=1)), quick=Budget(0, turns=2))
    for name, play in {
        **{name: at_once(*pair, given=given) for name, (pair, given) in TWO_AT_ONCE.items()},
        "accept at once with a delivery": accepting(deliver_small),
        "accept at once with the same entry again": accepting(deliver_again),
        "accept at once with what it needs": accepting(deliver_failed),
        "accept twice at once": accepting(accept_too),
    }.items()
}
BESIDE_A_SWEEP = {
    f"{name}, beside a sweep": Scenario(
        at_once(*pair, Run.sweep, given=given),
        (Budget(0, turns=3), Budget(1, turns=0)),
        quick=Budget(0, turns=0),
    )
    for name, (pair, given) in TWO_AT_ONCE.items()
} | {
    "refund failed, then again, beside a sweep": Scenario(
        failed_then_again, (Budget(0, turns=3), Budget(1, turns=0)), quick=Budget(0, turns=1)
    ),
    "accept at once with a delivery, beside a sweep": Scenario(
        accepting(deliver_small, Run.sweep), (Budget(0, turns=3), Budget(1, turns=0)), quick=Budget(0, turns=0)
    ),
    "refund delivered again, beside a sweep": Scenario(
        unpublished_twin, (Budget(0), Budget(1, turns=1)), quick=Budget(0, turns=1)
    ),
    "two sweeps of both tables": Scenario(two_sweeps, (Budget(0), Budget(1, turns=1)), quick=Budget(0, turns=1)),
}
WITHOUT_END = {
    f"{fault} without end at {operation} of an entry": Scenario(
        lasting(operation, fault, state), (Budget(int(fault in REPRESENTATIVE)),)
    )
    for operation, state in STATES.items()
    for fault in sorted(LASTING)
}
ENTRY_SCENARIOS = ONE_AFTER_THE_OTHER | AT_ONCE | BESIDE_A_SWEEP | WITHOUT_END
