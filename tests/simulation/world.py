"""One simulated run: real handlers and the real definition on the embedded engine, with faults and turns to order.

Whatever can go one way or another in a run is a *point*, numbered in the order in which the run comes to it: a call or
an invocation that can meet a fault, a moment at which another actor can go first. A run is its *deviations*, the points
at which it did not go the plain way; the same deviations make the same run. Time is a number: waiting costs nothing.
"""

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from botocore.retries.quota import RetryQuota
from moto.core.botocore_stubber import BotocoreStubber
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends

from ledger.intake import execution_prefix
from ledger.item import shard_of
from ledger_cli import REGION
from ledger_cli.engine import Engine, lambda_runtime
from ledger_cli.engine.engine import ACCOUNT_ID
from tests.simulation import faults
from tests.simulation.interpreter import Execution, Interpreter
from tests.simulation.invariants import Seen, ViolationError, after_each_call, at_the_end, when_it_ends

Deviations = Mapping[int, str]
TOKEN = "tok_canary_6f1d0c7b9e24"
MONTHS = timedelta(days=120)
BEGINNING = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
TURN_TIMEOUT_S = 60

SHARED = {"PutItem", "PutEvents", "UpdateItem", "Query"}
"""Calls whose order between actors can matter; KMS keeps nothing."""


class Simulator:
    """A deployed stack, in which one run after another begins as if nothing had been."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        machine = engine.outputs["WorkflowArn"]
        described = engine.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        self.definition = json.loads(described["definition"])
        self.executions = execution_prefix(machine)
        self.by_arn = {f"{function.arn}:live": function for function in engine.functions.values()}
        self.table = dynamodb_backends[ACCOUNT_ID][REGION].tables[engine.outputs["TableName"]]
        self.archive = next(iter(events_backends[ACCOUNT_ID][REGION].archives.values()))
        for function in engine.functions.values():
            assert function.module

    def clear(self) -> None:
        """No item, no event, no log."""
        self.table.items.clear()
        self.archive.events.clear()
        self.engine.calls.clear()
        for function in self.engine.functions.values():
            function.logs.clear()


class Run:
    """One run of a world."""

    def __init__(self, simulator: Simulator, deviations: Deviations, dice: random.Random | None = None) -> None:
        simulator.clear()
        self.simulator = simulator
        self.deviations = dict(deviations)
        self.dice = dice
        self.points: list[list[str]] = []
        """What could have been chosen at each point, other than the plain way."""
        self.injected = 0
        self.faulty = True
        self.broken: dict[str, str] = {}
        """Operations that fail until somebody mends them, and how."""
        self.now = BEGINNING
        self.seen = Seen(payments={}, token=TOKEN)
        self.executions: list[Execution] = []
        self.delayed: list[faults.Send] = []
        self._local = threading.local()
        self._turns: Turns | None = None
        self.interpreter = Interpreter(
            simulator.definition, invoke=self._invoke, wait=self._wait, now=lambda: _text(self.now)
        )

    # ── What a world consists of ────────────────────────────────────────────────────────────────────

    def deliver(self, payment: Mapping[str, Any], name: str) -> Execution:
        """Start an execution under this name and run it to its end."""
        execution = self.interpreter.start(f"{self.simulator.executions}:{name}", dict(payment))
        self.executions.append(execution)
        self.seen.payments[execution.arn, execution.started_at] = payment
        self.go_on(execution)
        return execution

    def go_on(self, execution: Execution) -> None:
        """Run the execution until it has ended, and look at what it claims."""
        self._local.execution = execution
        self.interpreter.run(execution)
        self._local.execution = None
        when_it_ends(self.seen, execution, self.items(), self.events())

    def redrive(self) -> None:
        """What an operator does with everything that failed technically."""
        for execution in self.executions:
            if execution.status == "ABORTED" or (execution.status == "FAILED" and self.seen.is_technical(execution)):
                self.interpreter.redrive(execution)
                self.go_on(execution)

    def sweep(self) -> bool:
        """The scheduled function; False where it failed."""
        self._wait(600)
        event = json.dumps({"ScheduledTime": _text(self.now)}).encode()
        function = self.simulator.engine.functions["RepublishOutcomes"]
        _, raised = self._invoke(f"{function.arn}:live", event)
        return not raised

    def together(self, *actors: Callable[[], Any]) -> None:
        """Run the actors at once: at each shared call, any of them can be the next."""
        self._turns = Turns(self, actors)
        self._turns.run()
        self._turns = None

    def months_later(self) -> None:
        """Executions are forgotten and their names are free; the table is as it was."""
        self.now += MONTHS

    @contextmanager
    def calm(self) -> Iterator[None]:
        """No fault happens, and nothing is late any more."""
        before, self.faulty = self.faulty, False
        self._arrive()
        yield
        self.faulty = before

    def converge(self) -> None:
        """Faults have stopped: what failed is redriven, the sweep runs, and everything must be told."""
        with self.calm():
            self.broken.clear()
            steps: list[Callable[[], object]] = [self.redrive, self.sweep]
            # Both orders must do; which one comes first is taken from the run itself, so that a replay is the same.
            for step in steps if sum(self.deviations) % 2 else reversed(steps):
                step()
                if step == self.sweep:
                    self._require_told()
            at_the_end(self.seen, self.executions, self.items(), self.events(), self.simulator.engine.logs())

    # ── What invariants look at ─────────────────────────────────────────────────────────────────────

    def items(self) -> dict[str, dict[str, Any]]:
        """The table: TransactionID to attributes in DynamoDB's form."""
        items = [item.to_json()["Attributes"] for item in self.simulator.table.items.values()]
        return {item["TransactionID"]["S"]: item for item in items}

    def events(self) -> list[Mapping[str, Any]]:
        """What was published, in order."""
        events: list[Mapping[str, Any]] = self.simulator.archive.events
        return events

    def _require_told(self) -> None:
        left = [key for key, item in self.items().items() if "Unpublished" in item]
        if left:
            raise ViolationError(f"still unpublished after a sweep without faults: {left}")

    # ── Points ──────────────────────────────────────────────────────────────────────────────────────

    def choose(self, options: list[str], *, fault: bool = True) -> str | None:
        """What happens at this point: one of the options, or None for the plain way."""
        position = len(self.points)
        self.points.append(options)
        chosen = self.deviations.get(position)
        if self.dice and options and self.dice.random() < (FAULT_CHANCE if fault else TURN_CHANCE):
            chosen = self.dice.choice(options)
            self.deviations[position] = chosen
        if chosen is None:
            return None
        assert chosen in options, f"{chosen!r} cannot happen at point {position}: another version made this run"
        self.injected += fault
        return chosen

    def _wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _invoke(self, arn: str, payload: bytes) -> tuple[bytes, bool]:
        function = self.simulator.by_arn[arn]
        execution: Execution | None = getattr(self._local, "execution", None)
        options = [*faults.AT_INVOCATION, faults.COLD] + ([faults.STOP] if execution else [])
        chosen = self.choose(options) if self.faulty else None
        if chosen == faults.STOP and execution:
            execution.stop_ordered = True
            return b"{}", False
        if chosen == faults.COLD:
            function.restart()
        if chosen in faults.AT_INVOCATION:
            name, runs = faults.AT_INVOCATION[chosen]
            if runs:
                function.invoke(payload)
            return json.dumps({"errorType": name, "errorMessage": "ordered by the simulation"}).encode(), True
        return function.invoke(payload)

    def around(self, send: faults.Send, request: Any) -> Any:
        """A function's call to AWS: let it pass, or do what was chosen for it."""
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        if operation == "Query" and json.loads(request.body)["ExpressionAttributeValues"][":shard"]["S"] != SHARD:
            # No payment of these runs is there: nothing can go another way, and seven answers of eight are known.
            return faults.answer(request, 200, {"Items": [], "Count": 0, "ScannedCount": 0})
        if self._turns and operation in SHARED:
            self._turns.switch()
        call = faults.Call(operation, request, send, self.delayed.append)
        chosen = self.broken.get(operation)
        if chosen is None and self.faulty:
            execution: Execution | None = getattr(self._local, "execution", None)
            chosen = self.choose([*faults.at_call(operation)] + ([faults.STOP] if execution else []))
            if chosen == faults.STOP and execution:
                execution.stop_ordered = True  # the function itself goes on: nobody stops that
                chosen = None
        late, self.delayed[:] = list(self.delayed), []
        try:
            return faults.at_call(operation)[chosen](call) if chosen else send()
        finally:
            for request_of_before in late:
                request_of_before()
            after_each_call(self.seen, self.items(), self.events())

    def _arrive(self) -> None:
        while self.delayed:
            self.delayed.pop()()
        after_each_call(self.seen, self.items(), self.events())


FAULT_CHANCE = 0.2
TURN_CHANCE = 0.4


class Turns:
    """Lets one actor run at a time, and another one go on only at a shared call."""

    def __init__(self, run: Run, actors: tuple[Callable[[], Any], ...]) -> None:
        self.at = run
        self.turn = [threading.Semaphore(0) for _ in actors]
        self.back = threading.Semaphore(0)
        self.alive = set(range(len(actors)))
        self.failures: list[BaseException] = []
        self.threads = [threading.Thread(target=self._act, args=pair, daemon=True) for pair in enumerate(actors)]

    def run(self) -> None:
        """Let the actors run to their ends, in the order that the run's points say."""
        for number, thread in enumerate(self.threads):
            thread.start()
            self._let(number)
        while self.alive:
            first, *others = sorted(self.alive)
            chosen = self.at.choose([f"turn of {number}" for number in others], fault=False) if others else None
            self._let(int(chosen.rpartition(" ")[2]) if chosen else first)
        if self.failures:
            raise self.failures[0]

    def switch(self) -> None:
        """Called by an actor before a shared call: wait for the next turn."""
        number = self.threads.index(threading.current_thread())
        with lambda_runtime.outside_the_handler():
            self.back.release()
            self._wait_for(self.turn[number])

    def _let(self, number: int) -> None:
        self.turn[number].release()
        self._wait_for(self.back)

    def _act(self, number: int, actor: Callable[[], Any]) -> None:
        self._wait_for(self.turn[number])
        try:
            actor()
        except BaseException as failure:  # noqa: BLE001  # raised again where the run is
            self.failures.append(failure)
        self.alive.discard(number)
        self.back.release()

    @staticmethod
    def _wait_for(semaphore: threading.Semaphore) -> None:
        if not semaphore.acquire(timeout=TURN_TIMEOUT_S):
            raise TimeoutError("an actor does not give its turn back")


@contextmanager
def calls_pass_through(run_of_now: Callable[[], Run | None]) -> Iterator[None]:
    """Every call that a function makes goes through the run of now."""
    real = BotocoreStubber.__call__

    def called(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        run = run_of_now()
        if run is None or lambda_runtime.running_function() is None:
            return real(stubber, event_name, request, **kwargs)
        return run.around(lambda: real(stubber, event_name, request, **kwargs), request)

    # The SDK retries less after many failures, by a count that outlives a run: a replay would differ.
    with patch.object(BotocoreStubber, "__call__", called), patch.object(RetryQuota, "acquire", return_value=True):
        yield


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


PAYMENT = {
    "TransactionID": "txn-simulated-0001",
    "SecureToken": TOKEN,
    "Amount": "129.90",
    "Currency": "EUR",
    "ProcessorID": "acme-pay",
    "Status": "Success",
    "Timestamp": "2026-01-31T23:30:00Z",
    "Metadata": {"order": "A-1001"},
}
SHARD = str(shard_of("txn-simulated-0001"))
