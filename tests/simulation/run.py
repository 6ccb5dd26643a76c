"""One simulated run: the real handlers and the real definition on the embedded engine, with chosen faults.

A *point* is a moment at which a run can go more than one way: a call or an invocation that can meet a fault, or a
moment at which another actor can go first. Points are numbered in the order in which the run reaches them. A run is
defined by its *choices*, the points at which it did not go the plain way: the same choices make the same run. Time is
a number, so waiting costs nothing.
"""

import json
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.retries.quota import RetryQuota
from cryptography.hazmat.primitives.serialization import load_der_public_key
from moto.core.botocore_stubber import BotocoreStubber

from ledger.entry import is_entry
from ledger.intake import execution_prefix
from ledger.item import shard_of
from ledger.seal import MAX_RECORDS
from ledger_cli.engine import Engine, account, http_api, lambda_runtime
from ledger_cli.engine.lambda_runtime import LambdaContext, LocalFunction
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed
from tests.simulation import faults
from tests.simulation.entry_invariants import check_accepted
from tests.simulation.interleaver import Interleaver
from tests.simulation.interpreter import Execution, Interpreter
from tests.simulation.invariants import (
    check_after_each_call,
    check_ended_execution,
    check_final_state,
    check_refused,
    is_technical_failure,
)
from tests.simulation.observations import Item, LastRead, Moment, Observations, Sealing, ViolationError, key_of
from tests.simulation.seal_invariants import check_answer, check_everything_sealed
from tests.simulation.step_functions import OPERATIONS, StepFunctions
from tests.simulation.webhook_invariants import Answer, check_everything_answered, check_posted
from tests.support.faults import Send, operation_of

Choices = Mapping[int, str]
"""What happens at each point at which the run does not go the plain way."""

TOKEN = "tok_canary_6f1d0c7b9e24"
EXECUTIONS_ARE_FORGOTTEN_AFTER = timedelta(days=120)
BEGINNING = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)

SHARED = {"BatchGetItem", "PutItem", "PutEvents", "UpdateItem", "Query"}
"""Calls whose order between actors can matter; KMS keeps no state. `GetItem` reads a payment, which never changes: its
order matters only until there is one."""

READS = {"BatchGetItem", "GetItem", "Query"}

LONG_WAIT_S = 5
"""A wait in which whatever else is under way goes on to its end, or to a wait that is as long."""

FAULT_CHANCE = 0.2
TURN_CHANCE = 0.4


Tables = tuple[list[Item], list[Item], list[Item]]
"""The items of the payments, the entries and the seals."""

NO_ITEMS: Tables = ([], [], [])


class Workflow(NamedTuple):
    """A state machine: its definition, and the beginning of the ARNs of its executions."""

    definition: Mapping[str, Any]
    execution_prefix: str


class Beginning(NamedTuple):
    """What a run can begin with: the items of all tables, the events, what was delivered, and what was sealed when."""

    items: Tables
    events: list[Any]
    delivered: Mapping[tuple[str, str], Mapping[str, Any]]
    due: set[str]
    now: datetime


class Simulator:
    """A deployed stack that is emptied before each run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.payments, self.entries, self.seals = self.tables = tuple(
            account.table(engine.outputs[name]) for name in ("TableName", "EntriesTableName", "SealsTableName")
        )
        self.sealer = engine.functions["SealLedger"]
        key = engine.client("kms").get_public_key(KeyId=self.sealer.declared["SEAL_KEY_ARN"])["PublicKey"]
        self.log = Sealing(self.sealer.declared["LOG_ORIGIN"], load_der_public_key(key).public_bytes_raw())
        self.workflows = {False: self._workflow("WorkflowArn"), True: self._workflow("EntriesWorkflowArn")}
        """The workflow of payments and the one of entries, by whether it takes entries."""
        outputs = ("WorkflowArn", "FastWorkflowArn")
        self.definitions = {engine.outputs[output]: self._workflow(output).definition for output in outputs}
        """The definitions of the payments' workflows, by the ARNs that the webhook has."""
        self.webhook = engine.functions["ReceivePayment"]
        register_sample_processors(engine)
        self.functions_by_arn = {f"{function.arn}:live": function for function in engine.functions.values()}
        (self.archive,) = account.archives()
        self.beginnings: dict[str, Beginning] = {}
        for function in engine.functions.values():
            assert function.module

    def _workflow(self, output: str) -> Workflow:
        machine = self.engine.outputs[output]
        described = self.engine.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        return Workflow(json.loads(described["definition"]), execution_prefix(machine))

    def workflow_of(self, start_input: Mapping[str, Any]) -> Workflow:
        """Return the workflow that takes a start input."""
        return self.workflows[is_entry(start_input)]

    def items(self) -> Tables:
        """Return the payments, and the entries and the seals in order, their attributes in DynamoDB's form."""
        payments = [item.to_json()["Attributes"] for item in self.payments.items.values()]
        entries, seals = (
            [item.to_json()["Attributes"] for group in table.items.values() for item in group.values()]
            for table in (self.entries, self.seals)
        )
        entries.sort(key=lambda item: (item["TransactionID"]["S"], int(item["Entry"]["N"])))
        return payments, entries, sorted(seals, key=lambda item: int(item["Seal"]["N"]))

    def clear(self) -> None:
        """Remove all items, events and logs."""
        for table in self.tables:
            table.items.clear()
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
        """The fault that an operation meets at each call that can meet it, until it is removed."""
        self.now = BEGINNING
        self.observed = Observations(token=TOKEN, log=simulator.log)
        self.is_sealed = False
        """Whether a sealer runs in this run. Then one runs at its end too."""
        self.executions: list[Execution] = []
        self.delayed: list[Send] = []
        self.during_waits: list[Callable[[], object]] = []
        """What happens while an execution waits for a retry: one of these at each wait, in order."""
        self.violation: ViolationError | None = None
        """The first one that a call met. A function that makes the call would take it for an error of its own."""
        self._before = list(NO_ITEMS)
        """The items of each table before its last change."""
        self._last = list(NO_ITEMS)
        self._local = threading.local()
        self._interleaver: Interleaver | None = None
        self.interpreter = Interpreter(invoke=self._invoke, wait=self._wait, now=lambda: _timestamp(self.now))
        self.step_functions = StepFunctions(simulator.definitions, self._begin, self.run_to_end)
        self.answers: list[Answer] = []
        """What the webhook has answered, in order."""

    # ── What a scenario consists of ─────────────────────────────────────────────────────────────────

    def deliver(self, start_input: Mapping[str, Any], name: str) -> Execution:
        """Start an execution of a payment or an entry under this name, and run it to its end."""
        workflow = self.simulator.workflow_of(start_input)
        execution = self._begin(workflow.definition, f"{workflow.execution_prefix}:{name}", dict(start_input))
        self.run_to_end(execution)
        return execution

    def _begin(self, definition: Mapping[str, Any], arn: str, start_input: Any) -> Execution:
        execution = self.interpreter.start(definition, arn, start_input)
        self.executions.append(execution)
        self.observed.delivered[execution.key] = start_input
        return execution

    def post(self, payment: Mapping[str, Any]) -> Answer:
        """Post a payment to the webhook as its processor does, and check what the answer claims."""
        if not self.answers:
            self._let_the_webhook_know_the_processors()
        path, body = f"/processors/{payment['ProcessorID']}/payments", json.dumps(payment).encode()
        headers = signed(PROCESSORS[payment["ProcessorID"]], body, int(self.now.timestamp()))
        route = http_api.Route("POST", "/processors/{ProcessorID}/payments", "ReceivePayment")
        request = http_api.Request("POST", path, headers, body)
        event = http_api.event_of(request, route, {"ProcessorID": payment["ProcessorID"]}, self.now)
        answer = Answer.of(payment, self.invoke("ReceivePayment", event))
        self.answers.append(answer)
        check_posted(answer, self.moment(), self.step_functions, self.observed.seals_of_others)
        return answer

    def _let_the_webhook_know_the_processors(self) -> None:
        """Let its environment be warm and have fetched them just now, whatever an earlier run has left."""
        module: Any = self.simulator.webhook.module
        module.PROCESSORS.__init__(module.secrets_manager, module.PROCESSOR_SECRETS)
        module.PROCESSORS.fetch_once(int(self.now.timestamp()))

    def run_started(self) -> None:
        """Run the executions that the webhook has started, at once."""
        started, self.step_functions.started = self.step_functions.started, []
        actors = [partial(self.run_to_end, execution) for execution in started]
        if len(actors) == 1:
            actors[0]()
        elif actors:
            self.concurrently(*actors)

    def run_to_end(self, execution: Execution) -> None:
        """Run the execution until it has ended, and check what it claims."""
        interrupted = self._running
        self._local.execution = execution
        self.interpreter.run(execution)
        self._local.execution = interrupted
        check_ended_execution(self.observed, execution, self.moment())

    def begin_with(self, *start_inputs: Mapping[str, Any]) -> None:
        """Begin the run with these, each recorded and published."""

        def prepare() -> None:
            for number, start_input in enumerate(start_inputs):
                execution = self.deliver(start_input, f"beginning-{number}")
                assert execution.status == "SUCCEEDED"
                self.now += timedelta(seconds=1)

        self.begin_after(json.dumps(start_inputs), prepare)

    def begin_after(self, name: str, prepare: Callable[[], object]) -> None:
        """Begin the run with what is there after *prepare*, which no fault meets.

        It runs once for each name; other runs begin with the result.
        """
        if name not in self.simulator.beginnings:
            with self.without_faults():
                prepare()
            seen = self.observed
            self.simulator.beginnings[name] = Beginning(
                self.simulator.items(), list(self.events()), dict(seen.delivered), set(seen.due), self.now
            )
            self.simulator.clear()
            self.executions.clear()
            self.observed, self._last = Observations(token=TOKEN, log=self.simulator.log), list(NO_ITEMS)
        beginning = self.simulator.beginnings[name]
        self.simulator.archive.events.extend(beginning.events)
        self.observed.delivered.update(beginning.delivered)
        self.observed.due |= beginning.due
        self.now = beginning.now
        for table, items in zip(self.simulator.tables, beginning.items, strict=True):
            for item in items:
                table.put_item(item)
                self._note_changes()
        self._check()

    def redrive(self) -> None:
        """Redrive, as an operator does, each execution that was stopped or had a technical failure."""
        for execution in self.executions:
            if not execution.is_fast and (execution.status == "ABORTED" or is_technical_failure(execution)):
                self.interpreter.redrive(execution)
                self.run_to_end(execution)

    def sweep(self) -> bool:
        """Run the scheduled function; return False if it failed."""
        self.now += timedelta(minutes=10)
        return self.invoke("RepublishOutcomes", {"ScheduledTime": _timestamp(self.now)}) is not None

    def seal(self, *records: str) -> Any:
        """Run the scheduled sealer, and check what its answer claims.

        Args:
            records: the keys of those that it shall seal, as an operator names them; none for all that are unsealed.

        Returns:
            The answer; None if it failed.
        """
        self.is_sealed = True
        self.now += timedelta(minutes=5)
        due = _timestamp(self.now)
        self.observed.due.add(due)
        named = {"Records": list(records)} if records else {}
        answer = self.invoke("SealLedger", {"ScheduledTime": due, **named})
        if answer is not None:
            check_answer(answer, self.moment())
        elif not self.injected and not self.lasting_faults:
            raise ViolationError("the sealer failed without a fault")
        return answer

    @contextmanager
    def sealing_at_most(self, records: int) -> Iterator[None]:
        """Let a seal have no more records than this, so that a run with few records makes several seals."""
        sealer = self.simulator.sealer
        with patch("ledger.seal.MAX_RECORDS", records):  # for a sealer that starts cold
            vars(sealer.module)["MAX_RECORDS"] = records
            try:
                yield
            finally:
                vars(sealer.module)["MAX_RECORDS"] = MAX_RECORDS

    def forget_the_log_was_there(self, *keys: str) -> None:
        """Make these payments and entries records from before the ledger had a log: the sealer does not find them."""
        for table in (self.simulator.payments, self.simulator.entries):
            for item in self.simulator.items()[self.simulator.tables.index(table)]:
                key = key_of(item)
                if key in keys:
                    table.put_item({name: value for name, value in item.items() if name != "Unsealed"})
                    self.observed.from_before_the_log.add(key)
        self._check()

    def tamper(self, item: Item | None, key: str) -> None:
        """Put this item in the place of the payment with this key, behind the ledger's back; None removes it."""
        self.observed.tampered.add(key)
        self.observed.sealed.pop(key, None)
        for kept in [kept for kept in self.simulator.payments.items if kept.value == key]:
            del self.simulator.payments.items[kept]
        if item is not None:
            self.simulator.payments.put_item(item)
        self._check()

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Invoke a function outside of a workflow, as a schedule or an operator does.

        Returns:
            The function's answer; None if it failed.
        """
        arn = f"{self.simulator.engine.functions[function].arn}:live"
        reply, raised = self._invoke(arn, json.dumps(event).encode())
        return None if raised else json.loads(reply)

    def accept(self, execution: Execution) -> None:
        """Accept the entry that an execution refused, as an operator does, and check what the answer claims.

        The function takes the time of the machine's clock, so the run's time goes on to at least that.
        """
        entry = self.observed.delivered[execution.key]
        self.observed.accepted.append((execution.arn, entry))
        request = {"Entry": entry, "Execution": execution.arn, "Reason": "the processor confirmed it"}
        answer = self.invoke("AcceptEntry", {**request, "Requester": "operator"})
        self.now = max(self.now, datetime.now(UTC))
        if answer is not None:
            check_accepted(entry, answer, self.moment())
        elif not self.injected:
            raise ViolationError(f"{execution.arn} was accepted, and the function failed without a fault")

    def concurrently(self, *actors: Callable[[], Any], plan: Sequence[int] = ()) -> None:
        """Run the actors at once: at each shared call, any of them can be the next.

        Args:
            actors: what they do.
            plan: the numbers of the actors that plainly have the first turns, one for each shared call.
        """
        self._interleaver = Interleaver(actors, self._choose_turn, plan)
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
        """Redrive what failed and run the sweep, now without faults; afterwards every outcome must be published.

        If the run has a sealer, it runs last, and afterwards every record must be sealed.
        """
        with self.without_faults():
            self.lasting_faults.clear()
            self._post_again()
            steps: list[Callable[[], object]] = [self.redrive, self.sweep]
            # Both orders must do. The run itself decides which one it is, so that a replay is the same.
            for step in steps if sum(self.choices) % 2 else reversed(steps):
                step()
                if step == self.sweep:
                    self._require_published()
            if self.is_sealed:
                check_everything_sealed(self.observed, self.seal(), self.moment())
            logs = self.simulator.engine.logs()
            check_final_state(self.observed, self.executions, self.moment(), logs)

    def _post_again(self) -> None:
        """Post again, as a processor does, each payment that was not taken and not refused."""
        self.run_started()
        left = [answer for answer in self.answers if not answer.is_final]
        for answer in left:
            self.answers.remove(answer)
            self.post(answer.payment)
            self.run_started()
        check_everything_answered(self.answers)

    # ── What the invariants read ────────────────────────────────────────────────────────────────────

    def moment(self) -> Moment:
        """Return what the ledger holds now."""
        payments, entries, seals = self.simulator.items()
        chains = defaultdict(list)
        for item in entries:
            chains[item["TransactionID"]["S"]].append(item)
        return Moment({item["TransactionID"]["S"]: item for item in payments}, chains, self.events(), seals)

    def events(self) -> list[Mapping[str, Any]]:
        """Return the published events, in order."""
        events: list[Mapping[str, Any]] = self.simulator.archive.events
        return events

    def _require_published(self) -> None:
        left = [key for key, item in self.moment().items.items() if "Unpublished" in item]
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

    @property
    def _running(self) -> Execution | None:
        """The execution that this thread runs."""
        execution: Execution | None = getattr(self._local, "execution", None)
        return execution

    def _wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.during_waits:
            self.during_waits.pop(0)()
        if self._interleaver and seconds >= LONG_WAIT_S:
            self._interleaver.sleep()

    def _invoke(self, arn: str, payload: bytes) -> tuple[bytes, bool]:
        function = self.simulator.functions_by_arn[arn]
        execution = self._running
        options = [*faults.AT_INVOCATION, faults.COLD] + ([faults.STOP] if execution and not execution.is_fast else [])
        chosen = self.choose(options) if self.has_faults else None
        if chosen == faults.STOP and execution:
            execution.is_stop_requested = True
            return b"{}", False
        if chosen == faults.COLD:
            function.restart()
        if chosen in faults.AT_INVOCATION:
            name, runs = faults.AT_INVOCATION[chosen]
            if runs:
                self._invoke_function(function, payload)
            return json.dumps({"errorType": name, "errorMessage": "ordered by the test"}).encode(), True
        reply, raised = self._invoke_function(function, payload)
        if raised and execution and not execution.is_stop_requested:
            check_refused(self.observed, execution, json.loads(reply)["errorType"])
        return reply, raised

    def _invoke_function(self, function: LocalFunction, payload: bytes) -> tuple[bytes, bool]:
        self._local.is_time_used_up = False
        reply, raised = function.invoke(payload)
        if self.violation:
            raise self.violation
        return reply, raised

    @property
    def is_time_used_up(self) -> bool:
        """Whether this thread's invocation has too little time for another call."""
        return getattr(self._local, "is_time_used_up", False)

    def _use_up_time(self) -> None:
        self._local.is_time_used_up = True

    def intercept(self, send: Send, request: Any) -> Any:
        """Send a function's call to AWS, or do what was chosen for it."""
        operation = operation_of(request)
        if operation in OPERATIONS:
            send = partial(self.step_functions.answer, operation, request)
        is_shared = operation in SHARED or (operation == "GetItem" and not self.simulator.payments.items)
        if self._interleaver and is_shared:
            self._interleaver.wait_for_turn()
        call = faults.Call(
            operation,
            request,
            send,
            send_later=self.delayed.append,
            send_stale=lambda: self._send_stale(send, request),
            use_up_time=self._use_up_time,
            begin_beside=partial(self.step_functions.begin_beside, request),
        )
        execution = self._running
        is_read = operation in READS
        is_eventual = is_read and not all(asked.get("ConsistentRead") for asked in _tables_asked(request).values())
        is_sealer = lambda_runtime.running_function() == self.simulator.sealer.name
        met = faults.at_call(operation, is_eventual=is_eventual, is_sealer=is_sealer)
        chosen = self.lasting_faults.get(operation)
        chosen = chosen if chosen in met else None
        if chosen is None and self.has_faults:
            chosen = self.choose([*met] + ([faults.STOP] if execution and not execution.is_fast else []))
            if chosen == faults.STOP and execution:
                execution.is_stop_requested = True  # The function itself runs on: nothing stops a function.
                chosen = None
        if execution and is_read:
            self._note_read(execution)
        delayed, self.delayed[:] = list(self.delayed), []
        try:
            return met[chosen](call) if chosen else send()
        finally:
            for send_delayed in delayed:
                send_delayed()
            self._check()

    def _note_read(self, execution: Execution) -> None:
        """Note what is there while an entry's execution reads. What it then decides must follow from that."""
        transaction_id = str(self.observed.delivered[execution.key]["TransactionID"])
        moment = self.moment()
        self.observed.reads[execution.key] = LastRead(
            has_payment=transaction_id in moment.payments, entries=len(moment.entries.get(transaction_id, []))
        )

    def _send_stale(self, send: Send, request: Any) -> Any:
        """Send a read, and have it answered as its table was before the last change of that table."""
        (name,) = _tables_asked(request)
        number = [table.name for table in self.simulator.tables].index(name)
        table, now = self.simulator.tables[number], self.simulator.tables[number].items
        table.items = defaultdict(dict)
        try:
            for item in self._before[number]:
                table.put_item(item)
            return send()
        finally:
            table.items = now

    def _send_delayed(self) -> None:
        while self.delayed:
            self.delayed.pop()()
        self._check()

    def _note_changes(self) -> None:
        for number, items in enumerate(self.simulator.items()):
            if items != self._last[number]:
                self._before[number], self._last[number] = self._last[number], items

    def _check(self) -> None:
        self._note_changes()
        try:
            check_after_each_call(self.observed, self.moment())
        except ViolationError as violation:
            self.violation = self.violation or violation
            raise


@contextmanager
def intercepted_calls(current_run: Callable[[], Run | None]) -> Iterator[None]:
    """Pass every call that a function makes to the current run."""
    real, make_api_call = BotocoreStubber.__call__, vars(BaseClient)["_make_api_call"]

    def called(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is None or lambda_runtime.running_function() is None:
            return real(stubber, event_name, request, **kwargs)
        return run.intercept(lambda: real(stubber, event_name, request, **kwargs), request)

    def made(client: Any, operation: str, parameters: Any) -> Any:
        if operation == "Query" and current_run() and lambda_runtime.running_function():
            # All payments of these runs are in one shard, so the answers of the other seven are known.
            shard = parameters["ExpressionAttributeValues"].get(":shard", {"S": SHARD})
            if shard != {"S": SHARD}:
                return {"Items": []}
        return make_api_call(client, operation, parameters)

    def remaining_ms(context: LambdaContext) -> int:
        run = current_run()
        return 0 if run and run.is_time_used_up else real_remaining_ms(context)

    real_remaining_ms = LambdaContext.get_remaining_time_in_millis
    with (
        patch.object(LambdaContext, "get_remaining_time_in_millis", remaining_ms),
        patch.object(BotocoreStubber, "__call__", called),
        patch.object(BaseClient, "_make_api_call", made),
        # The SDK retries less after many failures, by a count that outlives a run: a replay would differ.
        patch.object(RetryQuota, "acquire", return_value=True),
    ):
        yield


def _tables_asked(request: Any) -> dict[str, Mapping[str, Any]]:
    """Return what a read asks of each table."""
    body = json.loads(request.body)
    asked: dict[str, Mapping[str, Any]] = body.get("RequestItems") or {body["TableName"]: body}
    return asked


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

DUPLICATE = {**PAYMENT, "SecureToken": "tok_reissued", "Metadata": {"order": "A-1001", "delivery": "2"}}
"""The same payment, delivered again with another token and other metadata."""

CONFLICT = {**PAYMENT, "Amount": "1.00", "Status": "Failure"}
"""Another payment under the same ID."""
