"""The quick part of `make simulate`, and checks that the simulation itself is right and finds bugs."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.retries.quota import RetryQuota

from ledger import publication
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.simulation import entry_scenarios as entries
from tests.simulation import faults
from tests.simulation.observations import ViolationError
from tests.simulation.planted_bugs import PATCHES
from tests.simulation.run import CONFLICT, DUPLICATE, PAYMENT, Run, Simulator, intercepted_calls
from tests.simulation.scenario import Budget, Scenario
from tests.simulation.scenarios import INVALID, SCENARIOS, STATES
from tests.simulation.search import Results, Searcher
from tests.support.faults import Faults
from tests.support.patches import PatchError, apply_patch, comment_of


@pytest.fixture
def searcher(engine: Engine) -> Searcher:
    """Return a searcher on the engine that all tests share."""
    return Searcher(engine)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_promise_is_broken(searcher: Searcher, scenario: str) -> None:
    """The promises hold with each single fault at each call, and in each order of the actors' calls."""
    results = searcher.quick(scenario)
    assert not results.violations
    assert results.runs > (50 if scenario in {"alone", "refund"} else 0)


def test_random_faults_break_no_promise(searcher: Searcher) -> None:
    """A run meets several faults. The seeds are fixed here; `make simulate` takes new ones each time."""
    results = Results()
    for seed in range(60):
        results.add(searcher.at_random(seed))
    assert not results.violations
    assert results.injected > results.runs


# ── The simulation does what the engine does ────────────────────────────────────────────────────────


@pytest.fixture
def unlimited_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SDK from retrying less after many failures, which it counts beyond the end of a test."""
    monkeypatch.setattr(RetryQuota, "acquire", lambda *_: True)


@pytest.mark.parametrize(
    ("delivered", "failing"),
    [
        (delivered, failing)
        for delivered in ([PAYMENT, DUPLICATE], [PAYMENT, CONFLICT], [INVALID])
        for failing in (None, *STATES)
    ]
    + [([PAYMENT, entries.REFUND], failing) for failing in entries.STATES]
    + [
        ([PAYMENT, entries.REFUND, entries.TWIN, entries.OTHER_CONTENT, entries.SECOND, entries.INVALID], None),
        ([entries.REFUND, PAYMENT, entries.FAILED], None),
    ],
)
@pytest.mark.usefixtures("unlimited_retries")
def test_the_simulation_does_what_the_engine_does(
    engine: Engine, faults: Faults, delivered: list[dict[str, Any]], failing: str | None
) -> None:
    """Two interpreters run the same definition: a mistake of one shows unless the other makes it too."""
    for count in (4, 30):
        results = []
        for by_engine in (True, False):
            engine.clear()
            faults.planned.clear()
            if failing:
                faults.refuse(failing, "RequestLimitExceeded", status=400, times=count)
            simulator = Simulator(engine)
            run = Run(simulator, {})
            run.has_faults = False
            ended: list[Any] = []
            for number, start_input in enumerate(delivered):
                if by_engine:
                    execution = engine.run(json.dumps(start_input), f"p{number}")
                    states = [(state.name, state.attempts) for state in execution.states]
                    ended.append((execution.status, execution.error, states))
                else:
                    workflow = simulator.workflow_of(start_input)
                    arn = f"{workflow.execution_prefix}:p{number}"
                    simulated = run.interpreter.start(workflow.definition, arn, start_input)
                    run.interpreter.run(simulated)
                    ended.append((simulated.status, simulated.error, simulated.states))
            events = [
                (
                    event["detail-type"],
                    {k: v for k, v in event["detail"].items() if k not in {"RecordedAt", "Previous"}},
                )
                for event in engine.published()
            ]
            results.append((ended, events, len(engine.items()), len(engine.entries())))
            faults.planned.clear()
        assert results[0] == results[1]


@pytest.mark.parametrize(
    ("delivered", "failing"),
    [(delivered, None) for delivered in ([PAYMENT, DUPLICATE], [PAYMENT, CONFLICT], [INVALID])]
    + [([PAYMENT], failing) for failing in STATES],
)
@pytest.mark.usefixtures("unlimited_retries")
def test_the_simulation_answers_as_the_engine_does(
    engine: Engine, faults: Faults, delivered: list[dict[str, Any]], failing: str | None
) -> None:
    """The fast lane's definition has other retriers and catchers, and its caller learns only what the answer has."""
    workflow = engine.outputs["FastWorkflowArn"]
    results = []
    for by_engine in (True, False):
        engine.clear()
        if failing:
            faults.refuse(failing, "RequestLimitExceeded", status=400, times=3)
        run = Run(Simulator(engine), {})
        run.has_faults = False
        answers: list[Any] = []
        for number, start_input in enumerate(delivered):
            asked = {"stateMachineArn": workflow, "name": f"p{number}", "input": json.dumps(start_input)}
            if by_engine:
                answer = engine.client("stepfunctions").start_sync_execution(**asked)
            else:
                request = SimpleNamespace(body=json.dumps(asked), url="https://states")
                answer = json.loads(run.step_functions.answer("StartSyncExecution", request).content)
            answers.append((answer["status"], json.loads(answer.get("output", "null"))))
            if error := answer.get("error"):
                answers.append((error, json.loads(answer["cause"])["errorMessage"]))
        results.append((answers, [event["detail-type"] for event in engine.published()], len(engine.items())))
        assert not faults.planned
    assert results[0] == results[1]


def test_a_run_is_made_again_from_its_choices(searcher: Searcher) -> None:
    """Otherwise nobody could look into a violation that was printed."""
    results = Results()
    first = searcher.make("duplicate at once", (), results, random.Random(7))  # noqa: S311
    again = searcher.make("duplicate at once", tuple(sorted(first.choices.items())), results)
    assert first.choices
    assert (again.points, again.injected) == (first.points, first.injected)
    assert [(e.status, e.states) for e in again.executions] == [(e.status, e.states) for e in first.executions]


def test_every_order_of_two_payments_calls_is_tried(engine: Engine) -> None:
    """Each delivery has three shared calls, or two if the other one has marked the item: every order runs once."""
    searcher, orders = Searcher(engine), []
    left = [((), Budget(faults=0))]
    while left:
        path, budget = left.pop()
        run = searcher.make("duplicate at once", path, Results())
        orders.append(tuple(execution.data["Outcome"] for execution in run.executions))
        left += searcher.next_paths(run, path, budget)
    assert len(orders) >= 17
    assert {outcome for order in orders for outcome in order} == {"RECORDED", "DUPLICATE"}
    assert {order[0] for order in orders} == {"RECORDED", "DUPLICATE"}


def test_one_entry_loses_each_race(searcher: Searcher) -> None:
    """Its function gives up after three races, and the workflow tries again. Otherwise the scenario shows nothing."""
    run = searcher.make("losing each race", (), Results())
    assert run.executions[0].states == [("Validate Entry", 1), ("Append Entry", 2), ("Publish Outcome", 1)]


def test_a_fault_of_each_kind_is_injected(searcher: Searcher) -> None:
    """A kind that can happen nowhere proves nothing."""
    points = [
        options
        for name in ("alone", "sealed", "two sweeps", "sealing a payment")
        for options in searcher.make(name, (), Results()).points
    ]
    everywhere = {*faults.AT_EVERY_CALL, *faults.AT_INVOCATION, faults.COLD, faults.STOP, "turn of 1"}
    at_some = {*faults.AT_KMS, *faults.AT_PUT_EVENTS, *faults.AT_EVENTUAL_READ}
    at_some |= {*faults.AT_BATCH_GET_ITEM, *faults.AT_SEALER}
    assert {option for options in points for option in options} >= everywhere | at_some


# ── The simulation finds what is wrong ──────────────────────────────────────────────────────────────


def compare_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a different payment under a taken TransactionID pass for the same one."""
    monkeypatch.setattr(engine.functions["PersistPaymentLedger"].module, "differing_fields", lambda *_: [])


def ignore_failed_entries(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an event that the bus did not accept pass for published."""

    def put(client: Any, bus: str, outcomes: Any) -> list[None]:
        client.put_events(Entries=[outcome.as_entry(bus) for outcome in outcomes])
        return [None] * len(outcomes)

    assert engine
    monkeypatch.setattr(publication, "put_outcomes", put)


def log_the_token(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the plaintext token to a log."""
    module = engine.functions["EncryptToken"].module
    encrypt = module.encrypt
    monkeypatch.setattr(module, "encrypt", lambda *given: module.logger.info(given[2]) or encrypt(*given))


@pytest.mark.parametrize(
    ("plant", "scenario"),
    [(compare_nothing, "conflict later"), (ignore_failed_entries, "alone"), (log_the_token, "alone")],
)
def test_a_planted_bug_is_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Engine, pytest.MonkeyPatch], None], scenario: str
) -> None:
    """A search that is blind shows here: these are three of the bugs that `make simulate` plants."""
    plant(engine, monkeypatch)
    assert Searcher(engine).search(scenario, (), Budget(faults=1)).violations


def test_a_violation_that_heals_itself_is_seen(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function must not take a violation for an error of its call: the retry would hide it."""
    module, results = engine.functions["PublishOutcome"].module, Results()
    publish = module.publish

    def mark_and_publish(client: Any, bus: str, outcomes: Any) -> None:
        if not engine.published():
            module.mark_published(
                module.dynamodb, module.TABLE_NAME, outcomes[-1].detail, "2026-02-01T00:00:00.000000Z"
            )
        publish(client, bus, outcomes)

    monkeypatch.setattr(module, "publish", mark_and_publish)
    Searcher(engine).make("alone", (), results)
    ((_, _, message),) = results.violations
    assert message == f"the item {PAYMENT['TransactionID']} is marked as published, and was not"


def test_a_violation_stops_nothing_but_its_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search notes each violation with the choices that lead to it, and goes on."""
    searcher, results = Searcher(engine), Results()

    def violating(_: Run) -> None:
        raise ViolationError("planted")

    monkeypatch.setitem(SCENARIOS, "violating", Scenario(violating, ()))
    searcher.make("violating", (), results)
    searcher.make("alone", (), results)
    assert results.violations == [("violating", (), "planted")]
    assert results.runs == 2


@pytest.mark.parametrize("bug", PATCHES)
def test_a_planted_bug_still_applies(bug: str) -> None:
    """A patch whose lines have changed plants nothing."""
    apply_patch(PATCHES[bug], ROOT, check_only=True)
    assert comment_of(PATCHES[bug]).endswith("."), "the first line of a patch is a sentence that says what is wrong"


def test_there_are_planted_bugs() -> None:
    """Without this check, an empty folder of bugs would pass."""
    assert len(PATCHES) >= 120


def test_a_patch_that_no_longer_applies_names_itself_and_the_command(tmp_path: Path) -> None:
    """The developer who changed the lines learns which patch to refresh, and how."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/publish_outcome.py").write_text("pass\n")
    command = r"git apply --3way tests/simulation/bugs/never-marked\.patch"
    with pytest.raises(PatchError, match=rf"^tests/simulation/bugs/never-marked\.patch .*: {command}"):
        apply_patch(PATCHES["never-marked"], tmp_path)


def test_a_patch_applies_in_a_plain_folder(tmp_path: Path) -> None:
    """The copy of the project is not a repository; it can lie within another one, whose root git must not look for."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # noqa: S603, S607
    copy = tmp_path / "copy"
    (copy / "functions").mkdir(parents=True)
    (copy / "functions/some.py").write_text("correct = True\n")
    patch = tmp_path / "some.patch"
    header = "--- a/functions/some.py\n+++ b/functions/some.py\n@@ -1 +1 @@\n"
    patch.write_text(f"It is wrong.\n{header}-correct = True\n+correct = False\n")
    apply_patch(patch, copy)
    assert (copy / "functions/some.py").read_text() == "correct = False\n"
    assert comment_of(patch) == "It is wrong."


def test_calls_outside_a_run_pass(engine: Engine) -> None:
    """The simulation intercepts only the functions' calls, and only during a run."""
    with intercepted_calls(lambda: None):
        assert engine.run(json.dumps(PAYMENT)).outcome == "RECORDED"
