"""One simulated run: the real handlers and the real definition on the embedded engine, with chosen faults.

A *point* is a moment at which a run can go more than one way: a call or an invocation that can meet a fault, or a
moment at which another actor can go first. Points are numbered in the order in which the run reaches them. A run is
defined by its *choices*, the points at which it did not go the plain way: the same choices make the same run. Time is
a number, so waiting costs nothing.
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
from ledger_cli.engine.account import ACCOUNT_ID
from tests.simulation import faults
from tests.simulation.interleaver import Interleaver
from tests.simulation.interpreter import Execution, Interpreter
from tests.simulation.invariants import (
    Observations,
    ViolationError,
    check_after_each_call,
    check_ended_execution,
    check_final_state,
)
from tests.support.faults import Send, operation_of, reply_to

Choices = Mapping[int, str]
"""What happens at each point at which the run does not go the plain way."""

TOKEN = "tok_canary_6f1d0c7b9e24"
EXECUTIONS_ARE_FORGOTTEN_AFTER = timedelta(days=120)
BEGINNING = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)

SHARED = {"PutItem", "PutEvents", "UpdateItem", "Query"}
"""Calls whose order between actors can matter; KMS keeps no state."""

FAULT_CHANCE = 0.2
TURN_CHANCE = 0.4


class Simulator:
    """A deployed stack that is emptied before each run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        machine = engine.outputs["WorkflowArn"]
        described = engine.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        self.definition = json.loads(described["definition"])
        self.execution_prefix = execution_prefix(machine)
        self.functions_by_arn = {f"{function.arn}:live": function for function in engine.functions.values()}
        self.table = dynamodb_backends[ACCOUNT_ID][REGION].tables[engine.outputs["TableName"]]
        self.archive = next(iter(events_backends[ACCOUNT_ID][REGION].archives.values()))
        for function in engine.functions.values():
            assert function.module

    def clear(self) -> None:
        """Remove all items, events and logs."""
        self.table.items.clear()
        self.archive.events.clear()
        self.engine.calls.clear()
        for function in self.engine.functions.values():
            function.logs.clear()


class Run:
    """One run of a scenario."""

    def __init__(self, simulator: Simulator, choices: Choices, rng: random.Random | None = None) -> None:
        simulator.clear()
        self.simulator = simulator
        self.choices = dict(choices)
        self.rng = rng
        self.points: list[list[str]] = []
        """The options that each point had beside the plain way."""
        self.injected = 0
        self.has_faults = True
        self.lasting_faults: dict[str, str] = {}
        """The fault that an operation meets at each call, until it is removed."""
        self.now = BEGINNING
        self.observed = Observations(payments={}, token=TOKEN)
        self.executions: list[Execution] = []
        self.delayed: list[Send] = []
        self._local = threading.local()
        self._interleaver: Interleaver | None = None
        self.interpreter = Interpreter(
            simulator.definition, invoke=self._invoke, wait=self._wait, now=lambda: _timestamp(self.now)
        )

    # ── What a scenario consists of ─────────────────────────────────────────────────────────────────

    def deliver(self, payment: Mapping[str, Any], name: str) -> Execution:
        """Start an execution under this name and run it to its end."""
        execution = self.interpreter.start(f"{self.simulator.execution_prefix}:{name}", dict(payment))
        self.executions.append(execution)
        self.observed.payments[execution.arn, execution.started_at] = payment
        self.run_to_end(execution)
        return execution

    def run_to_end(self, execution: Execution) -> None:
        """Run the execution until it has ended, and check what it claims."""
        self._local.execution = execution
        self.interpreter.run(execution)
        self._local.execution = None
        check_ended_execution(self.observed, execution, self.items(), self.events())

    def redrive(self) -> None:
        """Redrive, as an operator does, each execution that was stopped or had a technical failure."""
        for execution in self.executions:
            if execution.status == "ABORTED" or self.observed.is_technical_failure(execution):
                self.interpreter.redrive(execution)
                self.run_to_end(execution)

    def sweep(self) -> bool:
        """Run the scheduled function; return False if it failed."""
        self._wait(600)
        event = json.dumps({"ScheduledTime": _timestamp(self.now)}).encode()
        function = self.simulator.engine.functions["RepublishOutcomes"]
        _, raised = self._invoke(f"{function.arn}:live", event)
        return not raised

    def concurrently(self, *actors: Callable[[], Any]) -> None:
        """Run the actors at once: at each shared call, any of them can be the next."""
        self._interleaver = Interleaver(actors, self._choose_turn)
        self._interleaver.run()
        self._interleaver = None

    def forget_executions(self) -> None:
        """Let the months pass after which executions are forgotten and their names are free; the table stays."""
        self.now += EXECUTIONS_ARE_FORGOTTEN_AFTER

    @contextmanager
    def without_faults(self) -> Iterator[None]:
        """Let no fault happen; what the network has delayed arrives first."""
        before, self.has_faults = self.has_faults, False
        self._send_delayed()
        yield
        self.has_faults = before

    def converge(self) -> None:
        """Redrive what failed and run the sweep, now without faults; afterwards every outcome must be published."""
        with self.without_faults():
            self.lasting_faults.clear()
            steps: list[Callable[[], object]] = [self.redrive, self.sweep]
            # Both orders must do. The run itself decides which one it is, so that a replay is the same.
            for step in steps if sum(self.choices) % 2 else reversed(steps):
                step()
                if step == self.sweep:
                    self._require_published()
            logs = self.simulator.engine.logs()
            check_final_state(self.observed, self.executions, self.items(), self.events(), logs)

    # ── What the invariants read ────────────────────────────────────────────────────────────────────

    def items(self) -> dict[str, dict[str, Any]]:
        """Return the table's items by TransactionID, their attributes in DynamoDB's form."""
        stored: Any = self.simulator.table.items
        items = [item.to_json()["Attributes"] for item in stored.values()]
        return {item["TransactionID"]["S"]: item for item in items}

    def events(self) -> list[Mapping[str, Any]]:
        """Return the published events, in order."""
        events: list[Mapping[str, Any]] = self.simulator.archive.events
        return events

    def _require_published(self) -> None:
        left = [key for key, item in self.items().items() if "Unpublished" in item]
        if left:
            raise ViolationError(f"still unpublished after a sweep without faults: {left}")

    # ── Points ──────────────────────────────────────────────────────────────────────────────────────

    def choose(self, options: list[str], *, is_fault: bool = True) -> str | None:
        """Return what happens at this point: one of the options, or None for the plain way."""
        point = len(self.points)
        self.points.append(options)
        chosen = self.choices.get(point)
        if self.rng and options and self.rng.random() < (FAULT_CHANCE if is_fault else TURN_CHANCE):
            chosen = self.rng.choice(options)
            self.choices[point] = chosen
        if chosen is None:
            return None
        assert chosen in options, (
            f"{chosen!r} cannot happen at point {point}: another version of the code made this run"
        )
        self.injected += is_fault
        return chosen

    def _choose_turn(self, options: list[str]) -> str | None:
        return self.choose(options, is_fault=False)

    def _wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _invoke(self, arn: str, payload: bytes) -> tuple[bytes, bool]:
        function = self.simulator.functions_by_arn[arn]
        execution: Execution | None = getattr(self._local, "execution", None)
        options = [*faults.AT_INVOCATION, faults.COLD] + ([faults.STOP] if execution else [])
        chosen = self.choose(options) if self.has_faults else None
        if chosen == faults.STOP and execution:
            execution.is_stop_requested = True
            return b"{}", False
        if chosen == faults.COLD:
            function.restart()
        if chosen in faults.AT_INVOCATION:
            name, runs = faults.AT_INVOCATION[chosen]
            if runs:
                function.invoke(payload)
            return json.dumps({"errorType": name, "errorMessage": "ordered by the test"}).encode(), True
        return function.invoke(payload)

    def intercept(self, send: Send, request: Any) -> Any:
        """Send a function's call to AWS, or do what was chosen for it."""
        operation = operation_of(request)
        if operation == "Query" and json.loads(request.body)["ExpressionAttributeValues"][":shard"]["S"] != SHARD:
            # The payments of these runs are all in one shard, so the answers of the other seven are known.
            return reply_to(request, 200, {"Items": [], "Count": 0, "ScannedCount": 0})
        if self._interleaver and operation in SHARED:
            self._interleaver.wait_for_turn()
        call = faults.Call(operation, request, send, self.delayed.append)
        chosen = self.lasting_faults.get(operation)
        if chosen is None and self.has_faults:
            execution: Execution | None = getattr(self._local, "execution", None)
            chosen = self.choose([*faults.at_call(operation)] + ([faults.STOP] if execution else []))
            if chosen == faults.STOP and execution:
                execution.is_stop_requested = True  # The function itself runs on: nothing stops a function.
                chosen = None
        delayed, self.delayed[:] = list(self.delayed), []
        try:
            return faults.at_call(operation)[chosen](call) if chosen else send()
        finally:
            for send_delayed in delayed:
                send_delayed()
            check_after_each_call(self.observed, self.items(), self.events())

    def _send_delayed(self) -> None:
        while self.delayed:
            self.delayed.pop()()
        check_after_each_call(self.observed, self.items(), self.events())


@contextmanager
def intercepted_calls(current_run: Callable[[], Run | None]) -> Iterator[None]:
    """Pass every call that a function makes to the current run."""
    real = BotocoreStubber.__call__

    def called(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is None or lambda_runtime.running_function() is None:
            return real(stubber, event_name, request, **kwargs)
        return run.intercept(lambda: real(stubber, event_name, request, **kwargs), request)

    # The SDK retries less after many failures, by a count that outlives a run: a replay would differ.
    with patch.object(BotocoreStubber, "__call__", called), patch.object(RetryQuota, "acquire", return_value=True):
        yield


def _timestamp(moment: datetime) -> str:
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
