"""What is delivered, by whom and when; faults and turns are the search's."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from ledger.intake import seal
from ledger.item import shard_of
from tests.simulation import faults
from tests.simulation.invariants import ViolationError
from tests.simulation.world import PAYMENT, SHARD, Run

DUPLICATE = {**PAYMENT, "SecureToken": "tok_reissued", "Metadata": {"order": "A-1001", "delivery": "2"}}
CONFLICT = {**PAYMENT, "Amount": "1.00", "Status": "Failure"}
INVALID = {**PAYMENT, "Amount": "1.001", "Status": "success"}


OTHER = {
    **PAYMENT,
    "TransactionID": next(f"txn-other-{n}" for n in range(99) if str(shard_of(f"txn-other-{n}")) == SHARD),
}


@dataclass(frozen=True, slots=True)
class World:
    """A world, and how many faults a run of it meets at most: in the exhaustive search, and in `make test`."""

    play: Callable[[Run], object]
    faults: int
    quick: int = 0


def alone(run: Run) -> None:
    """One payment."""
    run.deliver(PAYMENT, "first")


def rejected(run: Run) -> None:
    """One payment that breaks the contract."""
    run.deliver(INVALID, "first")


def sealed(run: Run) -> None:
    """One payment whose token the sender has sealed."""
    engine = run.simulator.engine
    ids = PAYMENT["TransactionID"], PAYMENT["ProcessorID"]
    token = {"SealedToken": seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, "tok")}
    assert base64.b64decode(token["SealedToken"])
    run.deliver({name: value for name, value in PAYMENT.items() if name != "SecureToken"} | token, "first")


def delivered_again(run: Run) -> None:
    """The same payment twice, as a sender does whose first attempt failed, was stopped, or merely seemed to be."""
    run.deliver(PAYMENT, "first")
    run.deliver(DUPLICATE, "second")


def months_later(run: Run) -> None:
    """The same payment under the same name, when its history is gone and its name is free again."""
    with run.calm():
        run.deliver(PAYMENT, "first")
    run.months_later()
    run.deliver(DUPLICATE, "first")


def another_months_later(run: Run) -> None:
    """Another payment in an execution of the same name, when that name is free again."""
    with run.calm():
        run.deliver(PAYMENT, "first")
    run.months_later()
    run.deliver(OTHER, "first")


def conflict_later(run: Run) -> None:
    """A different payment under an id that is taken."""
    with run.calm():
        run.deliver(PAYMENT, "first")
    run.deliver(CONFLICT, "second")


def duplicate_at_once(run: Run) -> None:
    """The same payment in two executions at once."""
    run.together(lambda: run.deliver(PAYMENT, "first"), lambda: run.deliver(DUPLICATE, "second"))


def conflict_at_once(run: Run) -> None:
    """Two different payments under one id at once."""
    run.together(lambda: run.deliver(PAYMENT, "first"), lambda: run.deliver(CONFLICT, "second"))


def sweep_at_once(run: Run) -> None:
    """A slow execution, while the sweep takes its payment for a forgotten one."""
    run.together(lambda: run.deliver(PAYMENT, "first"), run.sweep)


def two_sweeps(run: Run) -> None:
    """A payment whose execution was stopped before it could tell, and two sweeps at once."""
    with run.calm():
        run.broken["PutEvents"] = "access denied"
        run.deliver(PAYMENT, "first")
    run.broken.clear()
    run.together(run.sweep, run.sweep)


def broken(operation: str, fault: str, state: str) -> Callable[[Run], None]:
    """A fault without end, which no retry outlives; then it is mended, and the execution is redriven."""

    def play(run: Run) -> None:
        with run.calm():
            run.broken[operation] = fault
            execution = run.deliver(PAYMENT, "first")
        if (execution.status, execution.state) != ("FAILED", state):
            raise ViolationError(f"{fault} without end at {operation}: {execution.status} in {execution.state}")
        run.broken.clear()
        run.redrive()

    return play


STATES = {
    "Encrypt": "Encrypt Token",
    "PutItem": "Persist Payment",
    "PutEvents": "Publish Outcome",
    "UpdateItem": "Publish Outcome",
}

REPRESENTATIVE = {"access denied", "reply lost"}
"""Of lasting faults: one that keeps the call from its effect, and one that does not. What fails during the redrive can
only depend on which."""

WORLDS: dict[str, World] = {
    "alone": World(alone, faults=2, quick=1),
    "rejected": World(rejected, faults=2, quick=1),
    "sealed": World(sealed, faults=1, quick=1),
    "delivered again": World(delivered_again, faults=1, quick=1),
    "months later": World(months_later, faults=2, quick=1),
    "another months later": World(another_months_later, faults=1),
    "conflict later": World(conflict_later, faults=2, quick=1),
    "duplicate at once": World(duplicate_at_once, faults=1),
    "conflict at once": World(conflict_at_once, faults=1),
    "sweep at once": World(sweep_at_once, faults=1),
    "two sweeps": World(two_sweeps, faults=1),
} | {
    f"{fault} without end at {operation}": World(broken(operation, fault, state), faults=int(fault in REPRESENTATIVE))
    for operation, state in STATES.items()
    for fault in faults.at_call(operation)
    if fault not in {"slow", "first entry throttled"}
}
