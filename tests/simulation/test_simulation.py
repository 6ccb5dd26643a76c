"""The quick part of `make simulate`, and that the simulation itself is right and alive."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.retries.quota import RetryQuota

from ledger import publication
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.simulation import bugs, faults
from tests.simulation.invariants import ViolationError
from tests.simulation.search import Found, Searcher
from tests.simulation.world import PAYMENT, Run, Simulator, calls_pass_through
from tests.simulation.worlds import CONFLICT, DUPLICATE, INVALID, STATES, WORLDS
from tests.support.faults import Faults


@pytest.fixture
def searcher(engine: Engine) -> Searcher:
    """A searcher on the engine of all tests."""
    return Searcher(engine)


@pytest.mark.parametrize("world", WORLDS)
def test_no_promise_is_broken(searcher: Searcher, world: str) -> None:
    """Whatever single fault there is, at whatever call; and whoever's turn it is."""
    found = searcher.search(world, (), WORLDS[world].quick)
    assert not found.violations
    assert found.runs > (50 if world == "alone" else 0)


def test_random_faults_break_no_promise(searcher: Searcher) -> None:
    """Several at once; the seeds are fixed here, and new each time in `make simulate`."""
    found = Found()
    for seed in range(60):
        found.add(searcher.at_random(seed))
    assert not found.violations
    assert found.injected > found.runs


# ── The simulation does what the engine does ────────────────────────────────────────────────────────


@pytest.fixture
def unlimited_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK retries less after many failures, by a count that outlives a test."""
    monkeypatch.setattr(RetryQuota, "acquire", lambda *_: True)


@pytest.mark.parametrize("payments", [[PAYMENT, DUPLICATE], [PAYMENT, CONFLICT], [INVALID]])
@pytest.mark.parametrize("refused", [None, *STATES])
@pytest.mark.usefixtures("unlimited_retries")
def test_it_does_what_the_engine_does(
    engine: Engine, faults: Faults, payments: list[dict[str, Any]], refused: str | None
) -> None:
    """Two interpreters of the same definition: what one of them gets wrong, the other would have to get wrong too."""
    for count in (4, 30):
        told = []
        for by_engine in (True, False):
            engine.clear()
            faults.planned.clear()
            if refused:
                faults.refuse(refused, "RequestLimitExceeded", status=400, times=count)
            simulator = Simulator(engine)
            run = Run(simulator, {})
            run.faulty = False
            ended: list[Any] = []
            for number, payment in enumerate(payments):
                if by_engine:
                    execution = engine.run(json.dumps(payment), f"p{number}")
                    states = [(state.name, state.attempts) for state in execution.states]
                    ended.append((execution.status, execution.error, states))
                else:
                    simulated = run.interpreter.start(f"{simulator.executions}:p{number}", payment)
                    run.interpreter.run(simulated)
                    ended.append((simulated.status, simulated.error, simulated.states))
            events = [
                (event["detail-type"], {k: v for k, v in event["detail"].items() if k != "RecordedAt"})
                for event in engine.published()
            ]
            told.append((ended, events, len(engine.items())))
            faults.planned.clear()
        assert told[0] == told[1]


def test_a_run_is_made_again_from_its_deviations(searcher: Searcher) -> None:
    """Otherwise a violation could be printed, and not looked at."""
    found = Found()
    first = searcher.make("duplicate at once", (), found, random.Random(7))  # noqa: S311
    again = searcher.make("duplicate at once", tuple(sorted(first.deviations.items())), found)
    assert first.deviations
    assert (again.points, again.injected) == (first.points, first.injected)
    assert [(e.status, e.states) for e in again.executions] == [(e.status, e.states) for e in first.executions]


def test_every_order_of_two_payments_calls_is_tried(engine: Engine) -> None:
    """Three shared calls each, and the later one's update only where it still has to be made: all orders, each once."""
    searcher, orders = Searcher(engine), []
    left = [((), 0)]
    while left:
        path, budget = left.pop()
        run = searcher.make("duplicate at once", path, Found())
        orders.append(tuple(execution.data["Outcome"] for execution in run.executions))
        left += searcher.children(run, path, budget)
    assert len(orders) >= 17
    assert {outcome for order in orders for outcome in order} == {"RECORDED", "DUPLICATE"}
    assert {order[0] for order in orders} == {"RECORDED", "DUPLICATE"}


def test_a_fault_of_each_kind_is_injected(searcher: Searcher) -> None:
    """A kind that can happen nowhere proves nothing."""
    run = searcher.make("alone", (), Found())
    sealed = searcher.make("sealed", (), Found())
    kinds = {option for options in run.points + sealed.points for option in options}
    assert kinds == {*faults.AT_EVERY_CALL, *faults.AT_KMS, *faults.AT_PUT_EVENTS, *faults.AT_INVOCATION} | {
        faults.COLD,
        faults.STOP,
    }


# ── The simulation finds what is wrong ──────────────────────────────────────────────────────────────


def nothing_compared(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another payment under a used id passes for the same one."""
    monkeypatch.setattr(engine.functions["PersistPaymentLedger"].module, "differing_fields", lambda *_: [])


def failed_entries_ignored(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bus did not take passes for told."""

    def put(client: Any, bus: str, outcomes: Any) -> list[None]:
        client.put_events(Entries=[outcome.as_entry(bus) for outcome in outcomes])
        return [None] * len(outcomes)

    assert engine
    monkeypatch.setattr(publication, "put_outcomes", put)


def token_logged(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plaintext is in a log."""
    module = engine.functions["EncryptToken"].module
    encrypt = module.encrypt
    monkeypatch.setattr(module, "encrypt", lambda *given: module.logger.info(given[2]) or encrypt(*given))


@pytest.mark.parametrize(
    ("plant", "world"),
    [(nothing_compared, "conflict later"), (failed_entries_ignored, "alone"), (token_logged, "alone")],
)
def test_a_planted_bug_is_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Engine, pytest.MonkeyPatch], None], world: str
) -> None:
    """Three of the bugs that `make simulate` plants, so that a search that sees nothing shows here."""
    plant(engine, monkeypatch)
    assert Searcher(engine).search(world, (), 1).violations


def test_a_violation_stops_nothing_but_its_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is noted with what makes it again, and the search goes on."""
    searcher, found = Searcher(engine), Found()

    def violating(_: Run) -> None:
        raise ViolationError("planted")

    monkeypatch.setitem(WORLDS, "violating", type(WORLDS["alone"])(violating, faults=0))
    searcher.make("violating", (), found)
    searcher.make("alone", (), found)
    assert found.violations == [("violating", (), "planted")]
    assert found.runs == 2


def test_planted_bugs_still_fit(tmp_path: Path) -> None:
    """A bug whose place has changed is no bug any more."""
    assert tmp_path
    for bug in bugs.BUGS:
        text = (ROOT / bug.file).read_text()
        assert bug.old in text, bug.name
        assert text.replace(bug.old, bug.new) != text, bug.name
    assert len({bug.name for bug in bugs.BUGS}) == len(bugs.BUGS)


def test_calls_outside_a_run_pass(engine: Engine) -> None:
    """The simulation looks at the functions' calls only, and only while it runs."""
    with calls_pass_through(lambda: None):
        assert engine.run(json.dumps(PAYMENT)).outcome == "RECORDED"
