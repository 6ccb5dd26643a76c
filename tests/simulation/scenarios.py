"""What is delivered in a run, by whom and when. The search adds the faults and the order of the calls."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from ledger.intake import seal
from ledger.item import shard_of
from tests.simulation import faults
from tests.simulation.entry_scenarios import ENTRY_SCENARIOS
from tests.simulation.fast_lane_scenarios import FAST_LANE_SCENARIOS
from tests.simulation.observations import ViolationError
from tests.simulation.run import CONFLICT, DUPLICATE, PAYMENT, SHARD, Run
from tests.simulation.scenario import Budget, Scenario
from tests.simulation.seal_scenarios import SEAL_SCENARIOS

INVALID = {**PAYMENT, "Amount": "1.001", "Status": "success"}


QUIET, PUBLISHED = {"Import": "quiet"}, {"Import": "published"}
NEW: Mapping[str, Any] = {}
"""Forms of a delivery: two of an import, and that of what happens now."""


OTHER = {
    **PAYMENT,
    "TransactionID": next(f"txn-other-{n}" for n in range(99) if str(shard_of(f"txn-other-{n}")) == SHARD),
}


def alone(run: Run) -> None:
    """Deliver one payment."""
    run.deliver(PAYMENT, "first")


def rejected(run: Run) -> None:
    """Deliver one payment that breaks the contract."""
    run.deliver(INVALID, "first")


def sealed(run: Run) -> None:
    """Deliver one payment whose token the sender has sealed."""
    engine = run.simulator.engine
    ids = PAYMENT["TransactionID"], PAYMENT["ProcessorID"]
    token = {"SealedToken": seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, "tok")}
    assert base64.b64decode(token["SealedToken"])
    run.deliver({name: value for name, value in PAYMENT.items() if name != "SecureToken"} | token, "first")


def delivered_again(run: Run) -> None:
    """Deliver the same payment twice, as a sender does whose first attempt failed, was stopped, or only seemed so."""
    run.deliver(PAYMENT, "first")
    run.deliver(DUPLICATE, "second")


def months_later(run: Run) -> None:
    """Deliver the same payment under the same name, when its execution is forgotten and its name is free again."""
    with run.without_faults():
        run.deliver(PAYMENT, "first")
    run.forget_executions()
    run.deliver(DUPLICATE, "first")


def another_months_later(run: Run) -> None:
    """Deliver another payment in an execution of the same name, when that name is free again."""
    with run.without_faults():
        run.deliver(PAYMENT, "first")
    run.forget_executions()
    run.deliver(OTHER, "first")


def conflict_later(run: Run) -> None:
    """Deliver a different payment under a taken TransactionID."""
    with run.without_faults():
        run.deliver(PAYMENT, "first")
    run.deliver(CONFLICT, "second")


def duplicate_at_once(run: Run) -> None:
    """Deliver the same payment in two executions at once."""
    run.concurrently(lambda: run.deliver(PAYMENT, "first"), lambda: run.deliver(DUPLICATE, "second"))


def conflict_at_once(run: Run) -> None:
    """Deliver two different payments under one TransactionID at once."""
    run.concurrently(lambda: run.deliver(PAYMENT, "first"), lambda: run.deliver(CONFLICT, "second"))


def sweep_at_once(run: Run) -> None:
    """Run a slow execution while the sweep finds its payment unpublished."""
    run.concurrently(lambda: run.deliver(PAYMENT, "first"), run.sweep)


def two_sweeps(run: Run) -> None:
    """Run two sweeps at once after an execution that failed before it could publish."""
    with run.without_faults():
        run.lasting_faults["PutEvents"] = "access denied"
        run.deliver(PAYMENT, "first")
    run.lasting_faults.clear()
    run.concurrently(run.sweep, run.sweep)


def imported(*deliveries: Mapping[str, Any]) -> Callable[[Run], None]:
    """Make a scenario that delivers the payment once for each of these changes, one delivery after the other."""

    def play(run: Run) -> None:
        for number, changes in enumerate(deliveries):
            run.deliver({**PAYMENT, **changes}, f"delivery-{number}")

    return play


def imported_at_once(*deliveries: Mapping[str, Any]) -> Callable[[Run], None]:
    """Make a scenario that delivers them all at once."""

    def play(run: Run) -> None:
        actors = [
            lambda number=number, changes=changes: run.deliver({**PAYMENT, **changes}, f"delivery-{number}")
            for number, changes in enumerate(deliveries)
        ]
        run.concurrently(*actors)

    return play


def lasting(operation: str, fault: str, state: str) -> Callable[[Run], None]:
    """Make a scenario with a fault that outlasts every retry; then it is fixed, and the execution is redriven."""

    def play(run: Run) -> None:
        with run.without_faults():
            run.lasting_faults[operation] = fault
            execution = run.deliver(PAYMENT, "first")
        if (execution.status, execution.state) != ("FAILED", state):
            raise ViolationError(f"{fault} without end at {operation}: {execution.status} in {execution.state}")
        run.lasting_faults.clear()
        run.redrive()

    return play


STATES = {
    "Encrypt": "Encrypt Token",
    "PutItem": "Persist Payment",
    "PutEvents": "Publish Outcome",
    "UpdateItem": "Publish Outcome",
}

REPRESENTATIVE = {"access denied", "reply lost"}
"""Two lasting faults: one keeps the call from its effect, and one does not. What fails during the redrive can depend
only on which of the two it was."""

PAYMENT_SCENARIOS: dict[str, Scenario] = {
    "alone": Scenario(alone, (Budget(2),), quick=Budget(1)),
    "rejected": Scenario(rejected, (Budget(2),), quick=Budget(1)),
    "sealed": Scenario(sealed, (Budget(1),), quick=Budget(1)),
    "delivered again": Scenario(delivered_again, (Budget(1),), quick=Budget(1)),
    "months later": Scenario(months_later, (Budget(2),), quick=Budget(1)),
    "another months later": Scenario(another_months_later, (Budget(1),)),
    "conflict later": Scenario(conflict_later, (Budget(2),), quick=Budget(1)),
    "duplicate at once": Scenario(duplicate_at_once, (Budget(1),)),
    "conflict at once": Scenario(conflict_at_once, (Budget(1),)),
    "sweep at once": Scenario(sweep_at_once, (Budget(1),)),
    "two sweeps": Scenario(two_sweeps, (Budget(1),)),
    "quiet import": Scenario(imported(QUIET), (Budget(2),), quick=Budget(1)),
    "published import": Scenario(imported(PUBLISHED), (Budget(2),), quick=Budget(1)),
    "imported, then delivered": Scenario(imported(QUIET, NEW), (Budget(1),), quick=Budget(0)),
    "delivered, then imported": Scenario(imported(NEW, PUBLISHED), (Budget(1),), quick=Budget(1)),
    "imported again": Scenario(imported(PUBLISHED, QUIET), (Budget(1),), quick=Budget(0)),
    "import of another content": Scenario(imported(NEW, {**QUIET, "Amount": "1.00"}), (Budget(1),), quick=Budget(0)),
    "import and delivery at once": Scenario(imported_at_once(QUIET, NEW), (Budget(1),)),
    "published import and delivery at once": Scenario(imported_at_once(PUBLISHED, NEW), (Budget(1),)),
} | {
    f"{fault} without end at {operation}": Scenario(
        lasting(operation, fault, state), (Budget(int(fault in REPRESENTATIVE)),)
    )
    for operation, state in STATES.items()
    for fault in faults.at_call(operation)
    if fault not in {"slow", "first entry throttled"}
}

SCENARIOS = PAYMENT_SCENARIOS | ENTRY_SCENARIOS | SEAL_SCENARIOS | FAST_LANE_SCENARIOS
LASTING = {name for name in SCENARIOS if "without end" in name}
"""Most of these are one scenario with another lasting fault."""
