"""`Engine`: an AWS account with one stack in it, made from `template.yaml`, in this process.

moto plays AWS. `moto_patches` corrects what moto lacks. The engine is not AWS: `docs/internals/engine.md` says what it
does not enforce.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from moto.core.models import MockAWS

from ledger.entry import is_entry
from ledger_cli import REGION, ROOT
from ledger_cli.engine import account, http_api, lambda_runtime, moto_patches, sam_local, snapshots
from ledger_cli.engine.account import ACCOUNT_ID
from ledger_cli.engine.calls import Call
from ledger_cli.engine.deployment import LOCAL_PARAMETERS, deploy
from ledger_cli.engine.state import State
from ledger_cli.environment import without_the_shells_variables
from ledger_cli.stack.execution import Execution

EXECUTION_TIMEOUT_S = 8000
"""The longest time of an execution. The states of a payment or an entry need less, even if each is retried to its end
and each attempt lasts until its function's timeout. An entry may wait an hour for its payment."""


def _holds_entry(start_input: str) -> bool:
    """Return whether JSON text is an entry. Any other text is the payments' workflow's to judge."""
    try:
        return is_entry(json.loads(start_input))
    except (ValueError, RecursionError):
        return False


class Engine:
    """One deployed stack in an account of its own, from `with` to the end of the block.

    moto replaces AWS in the whole process, so a process has at most one engine. Functions run in this process too. If
    `lambda_endpoint` is the address of a `sam local start-lambda`, they run in its containers.
    """

    _alive: "Engine | None" = None
    account_id = ACCOUNT_ID

    def __init__(
        self,
        *,
        template_file: Path = ROOT / "template.yaml",
        parameters: Mapping[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
        state: State | None = None,
    ) -> None:
        """Deploy the stack.

        Args:
            template_file: the SAM template. The code, the workflow and the events are in its folder.
            parameters: the stack's parameters. They replace the template's defaults and `LOCAL_PARAMETERS`.
            wait: waits before a retry of the workflow or of the SDK, in seconds. A test need not wait.
            state: the state of an earlier engine, which this one continues.
        """
        if Engine._alive is not None:
            raise RuntimeError("an engine is alive in this process; leave its `with` block first")
        self._numbers = itertools.count(1)
        self._clients: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._an_end = threading.Condition()
        self.lambda_endpoint: str | None = None
        self.calls: list[Call] = []
        self.functions: dict[str, lambda_runtime.LocalFunction] = {}
        with ExitStack() as stack:
            self._replace_aws(stack, wait)
            with snapshots.restored_keys(state.kept if state else {}):
                deployment = deploy(template_file, {**LOCAL_PARAMETERS, **(parameters or {})}, self.client)
            self.template, self.skipped = deployment.template, deployment.skipped
            self.outputs, self.physical_ids = deployment.outputs, deployment.physical_ids
            self.functions = deployment.functions
            if state:
                self.restore(state)
            self._stack = stack.pop_all()
        Engine._alive = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give AWS back to the process."""
        Engine._alive = None
        self._stack.close()

    def _replace_aws(self, stack: ExitStack, wait: Callable[[float], None]) -> None:
        stack.enter_context(without_the_shells_variables())
        hooks = moto_patches.EngineHooks(self._invoke, wait, self._lock, self.calls.append, self._note_end)
        for patch in moto_patches.patches(hooks):
            stack.enter_context(patch.change)
        # `mock_aws` calls a moto server if a variable said so when moto was imported. `MockAWS` never does.
        mocked = MockAWS({"lambda": {"use_docker": False}, "stepfunctions": {"execute_state_machine": True}})
        stack.enter_context(mocked)
        stack.callback(lambda_runtime.release_stdout)

    # ── What users and tests call ───────────────────────────────────────────────────────────────────

    def client(self, service: str) -> Any:
        """Return a boto3 client of the embedded account."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=REGION)  # type: ignore[call-overload]
        return self._clients[service]

    def start(self, start_input: str, name: str | None = None) -> str:
        """Start an execution of a payment, or of an entry, with JSON text as its input, and return its ARN."""
        output, kind = ("EntriesWorkflowArn", "entry") if _holds_entry(start_input) else ("WorkflowArn", "payment")
        if name is None:
            name = f"{kind}-{next(self._numbers):06d}"
        reply = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs[output], name=name, input=start_input
        )
        return str(reply["executionArn"])

    def run(self, start_input: str, name: str | None = None) -> Execution:
        """Start an execution, wait until it has ended, and return it."""
        return self.wait_for(self.start(start_input, name))

    def wait_for(self, arn: str) -> Execution:
        """Wait until an execution has ended, and return it.

        Raises:
            TimeoutError: the execution still runs after `EXECUTION_TIMEOUT_S`.
        """
        running = account.execution(arn)
        with self._an_end:
            if not self._an_end.wait_for(lambda: account.is_complete(running), EXECUTION_TIMEOUT_S):
                raise TimeoutError(f"{arn} has not ended within {EXECUTION_TIMEOUT_S} s")
        return Execution.from_history(
            self.client("stepfunctions").describe_execution(executionArn=arn), self.history(arn)
        )

    def executions(self) -> list[str]:
        """Return the ARNs of all executions, in the order in which they were started."""
        return [execution.execution_arn for execution in account.executions()]

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Return an execution's history events, as `GetExecutionHistory` has them.

        They come from moto's own list: to write them as an answer takes moto a quarter of a run's time.
        """
        events = json.loads(json.dumps(account.execution(arn).to_history_output()["events"]))
        return [{**event, "timestamp": datetime.fromisoformat(event["timestamp"])} for event in events]

    def items(self) -> list[dict[str, Any]]:
        """Return every payment's item in DynamoDB's attribute form, sorted by TransactionID."""
        return sorted(self._scan("TableName"), key=lambda item: item["TransactionID"]["S"])

    def entries(self) -> list[dict[str, Any]]:
        """Return every entry's item in DynamoDB's attribute form, sorted by TransactionID and number."""
        return sorted(
            self._scan("EntriesTableName"), key=lambda item: (item["TransactionID"]["S"], int(item["Entry"]["N"]))
        )

    def seals(self) -> list[dict[str, Any]]:
        """Return every seal's item in DynamoDB's attribute form, in the order of the log."""
        return sorted(self._scan("SealsTableName"), key=lambda item: int(item["Seal"]["N"]))

    def _scan(self, output: str) -> list[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs[output])
        return [item for page in pages for item in page["Items"]]

    def published(self) -> list[dict[str, Any]]:
        """Return every event that the bus has archived, in the order of publication."""
        return [dict(event) for archive in account.archives() for event in archive.events]

    def logs(self) -> str:
        """Return everything that the functions have printed."""
        return "".join(text for function in self.functions.values() for text in function.logs)

    def answer(self, request: http_api.Request) -> http_api.Answer | None:
        """Answer a request as the stack's HTTP API: status, headers and body; None if no route has its path."""
        names = {logical_id: function.name for logical_id, function in self.functions.items()}
        return http_api.answer(request, self.template, names, self.client("lambda"))

    def forget_history(self) -> None:
        """Do what 90 days do: remove the executions, so that their names are free. The table stays."""
        for machine in account.state_machines():
            machine.executions.clear()

    def clear(self) -> None:
        """Return to the stack as it was deployed: no item, event, object, execution, processor's secret or log.

        This waits for executions that still run, since they would write into what comes after.
        """
        for arn in self.executions():
            self.wait_for(arn)
        for name in self._tables.values():
            account.table(name).items.clear()
        for archive in account.archives():
            archive.events.clear()
        for bucket in account.buckets():
            bucket.keys.clear()
        account.secrets().reset()
        self.forget_history()
        self.calls.clear()
        for function in self.functions.values():
            function.logs.clear()

    # ── What a server keeps over a restart ──────────────────────────────────────────────────────────

    @property
    def between_calls(self) -> AbstractContextManager[bool]:
        """A lock. While it is held, no call of AWS changes what the account holds."""
        return self._lock

    def snapshot(self, leave_out: snapshots.LeaveOut) -> dict[str, Any]:
        """Return what the engine holds, as one consistent whole.

        Args:
            leave_out: is called with each thing that the next engine could not read.
        """
        with self.between_calls:
            own_keys = [str(self.physical_ids[name]) for name in snapshots.KEYS]
            return snapshots.take(own_keys, self._tables, self.published(), leave_out)

    @property
    def _tables(self) -> snapshots.Tables:
        outputs = {"Items": "TableName", "Entries": "EntriesTableName", "Seals": "SealsTableName"}
        return {section: self.outputs[output] for section, output in outputs.items()}

    def restore(self, state: State) -> None:
        """Put an earlier engine's state into this engine, which has just been deployed.

        Raises:
            StateError: the state holds something that no engine has written.
        """
        if state.kept:
            try:
                snapshots.restore(state.kept, self._tables, self.client("secretsmanager"), state.leave_out)
            except Exception:  # noqa: BLE001  # moto raises anything at an item or a secret that it does not accept
                raise state.unreadable() from None

    def _note_end(self) -> None:
        with self._an_end:
            self._an_end.notify_all()

    # ── How functions are invoked ───────────────────────────────────────────────────────────────────

    def _invoke(
        self,
        function_name: str,
        _qualifier: str | None,  # moto passes this
        body: str | bytes,
        _headers: Any,
        response_headers: dict[str, str],
    ) -> bytes:
        # The caller gives a name or an ARN. An ARN may end in an alias.
        name = function_name.split(":")[6] if function_name.startswith("arn:") else function_name
        by_name = {function.name: (logical_id, function) for logical_id, function in self.functions.items()}
        logical_id, function = by_name[name]
        payload = body if isinstance(body, bytes) else body.encode()
        if self.lambda_endpoint is None:
            reply, raised = function.invoke(payload)
        else:
            reply, raised = sam_local.invoke(self.lambda_endpoint, logical_id, function, payload)
        if raised:
            response_headers["x-amz-function-error"] = "Unhandled"
        return reply
