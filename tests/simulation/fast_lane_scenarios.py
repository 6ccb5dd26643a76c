"""Payments that a processor posts to the webhook of a stack with the fast lane."""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.intake import seal
from tests.simulation.observations import ViolationError
from tests.simulation.run import CONFLICT, DUPLICATE, PAYMENT, Run
from tests.simulation.scenario import EVERY_ORDER, Budget, Scenario

SYNC = "StartSyncExecution"

PAIRED = frozenset({"access denied", "reply lost", "answer too late", "crash after", "error 500 after the effect"})
"""Faults that are tried in pairs: those that leave different things behind."""


def posted(*payments: Mapping[str, Any]) -> Callable[[Run], None]:
    """Make a scenario that posts these one after the other; the last one meets the faults."""

    def play(run: Run) -> None:
        *before, last = payments
        with run.without_faults():
            for payment in before:
                run.post(payment)
                run.run_started()
        run.post(last)
        run.run_started()

    return play


def both_posted(run: Run) -> None:
    """Post a payment twice, each time with faults: the sender repeats it, whatever it was answered."""
    run.post(PAYMENT)
    run.run_started()
    run.post(DUPLICATE)
    run.run_started()


def wrongly_sealed(run: Run) -> Mapping[str, Any]:
    """Return the payment with a seal of another one's."""
    engine = run.simulator.engine
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], "another", PAYMENT["ProcessorID"], "tok")
    run.observed.seals_of_others.add(sealed)
    return {name: value for name, value in PAYMENT.items() if name != "SecureToken"} | {"SealedToken": sealed}


def wrong_seal(run: Run) -> None:
    """Post a payment whose token was sealed for another one: the workflow finds out."""
    answer = run.post(wrongly_sealed(run))
    if not run.injected and answer.status != 400:
        raise ViolationError(f"a wrong seal was answered with {answer.status}")
    run.run_started()


def wrong_seal_of_a_recorded_payment(run: Run) -> None:
    """Post a payment, and then the same one with a wrong seal: the ledger has it, whatever its seal is."""
    with run.without_faults():
        run.post(PAYMENT)
    answer = run.post(wrongly_sealed(run))
    if not run.injected and answer.status != 200:
        raise ViolationError(f"a recorded payment with a wrong seal was answered with {answer.status}")
    run.run_started()


def taken_up_beside(run: Run) -> None:
    """Post a payment whose execution in the fast lane takes too long: the Standard one runs beside it."""
    with_faults, run.has_faults = run.has_faults, False
    run.lasting_faults[SYNC] = "answer too late"
    run.post(PAYMENT)
    run.lasting_faults.clear()
    run.has_faults = with_faults
    run.run_started()


def conflict_taken_up_beside(run: Run) -> None:
    """Do the same with a payment and with another one under its ID: all four executions run at once."""
    with run.without_faults():
        run.lasting_faults[SYNC] = "answer too late"
        run.post(PAYMENT)
        run.lasting_faults[SYNC] = "access denied"
        run.post(CONFLICT)
        run.lasting_faults.clear()
    run.run_started()


def posted_while_it_is_taken_up(run: Run) -> None:
    """Post a payment again, which the fast lane records, before the Standard execution of the first time begins."""
    with run.without_faults():
        run.lasting_faults[SYNC] = "throttled"
        run.post(PAYMENT)
        run.lasting_faults.clear()
    run.post(DUPLICATE)
    run.run_started()


def posted_at_once(*payments: Mapping[str, Any]) -> Callable[[Run], None]:
    """Make a scenario that posts these at once."""

    def play(run: Run) -> None:
        run.concurrently(*[lambda payment=payment: run.post(payment) for payment in payments])
        run.run_started()

    return play


def without_the_fast_lane(run: Run) -> None:
    """Post a payment twice to a stack whose fast lane denies every call."""
    run.lasting_faults[SYNC] = "access denied"
    both_posted(run)


def left(operation: str) -> Callable[[Run], None]:
    """Make a scenario in which every payment leaves the fast lane at this call, and the call then heals."""

    def play(run: Run) -> None:
        with run.without_faults():
            run.lasting_faults[operation] = "access denied"
            answer = run.post(PAYMENT)
        if answer.status != 202:
            raise ViolationError(f"{operation} was denied, and the webhook answered {answer.status}")
        run.lasting_faults.clear()
        run.run_started()

    return play


FAST_LANE_SCENARIOS: dict[str, Scenario] = {
    "posted": Scenario(posted(PAYMENT), (Budget(1), Budget(2, kinds=PAIRED)), quick=Budget(1)),
    "posted again": Scenario(posted(PAYMENT, DUPLICATE), (Budget(1),), quick=Budget(1)),
    "posted twice": Scenario(both_posted, (Budget(1),), quick=Budget(0)),
    "conflict posted": Scenario(posted(PAYMENT, CONFLICT), (Budget(1), Budget(2, kinds=PAIRED)), quick=Budget(1)),
    "conflict posted again": Scenario(posted(PAYMENT, CONFLICT, CONFLICT), (Budget(1),), quick=Budget(0)),
    "wrong seal posted": Scenario(wrong_seal, (Budget(1),), quick=Budget(1)),
    "recorded payment posted with a wrong seal": Scenario(
        wrong_seal_of_a_recorded_payment, (Budget(1),), quick=Budget(0)
    ),
    "taken up beside": Scenario(taken_up_beside, (EVERY_ORDER, Budget(1, turns=2)), quick=EVERY_ORDER),
    "conflict taken up beside": Scenario(conflict_taken_up_beside, (Budget(0, turns=3),), quick=Budget(0, turns=1)),
    "posted while it is taken up": Scenario(posted_while_it_is_taken_up, (Budget(1),), quick=Budget(0)),
    "posted at once": Scenario(posted_at_once(PAYMENT, DUPLICATE), (EVERY_ORDER, Budget(1, turns=1))),
    "conflict posted at once": Scenario(posted_at_once(PAYMENT, CONFLICT), (EVERY_ORDER, Budget(1, turns=1))),
    "posted without the fast lane": Scenario(without_the_fast_lane, (Budget(1),), quick=Budget(0)),
} | {
    f"fast lane left at {operation}": Scenario(left(operation), (Budget(1),), quick=Budget(0))
    for operation in ("ReEncrypt", "PutItem", "PutEvents", "UpdateItem")
}
