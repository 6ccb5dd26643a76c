"""The Lambda runtime: it runs a function's real handler in this process."""

import importlib.util
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO
from unittest.mock import patch

from ledger import aws
from ledger_cli.environment import changing_the_environment, without_the_shells_variables

_thread = threading.local()
handlers_turn = threading.Lock()
"""Is held by the thread whose handler runs. A handler that waits for AWS does not hold it."""


class _RoutedStdout(io.TextIOBase):
    """A standard output that keeps what a handler's thread prints with the handler's invocation."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def _target(self) -> TextIO:
        return getattr(_thread, "output", None) or self.real

    def write(self, text: str) -> int:
        return self._target().write(text)

    def flush(self) -> None:
        self._target().flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@contextmanager
def _captured(output: io.StringIO) -> Iterator[None]:
    """Send what this thread prints to *output*, until the end of the block."""
    route_stdout()
    outer, _thread.output = getattr(_thread, "output", None), output
    try:
        yield
    finally:
        _thread.output = outer


def route_stdout() -> None:
    """Let the standard output keep what a handler's thread prints with the handler's invocation."""
    if not isinstance(sys.stdout, _RoutedStdout):
        sys.stdout = _RoutedStdout(sys.stdout)


def release_stdout() -> None:
    """Put the real standard output back."""
    if isinstance(sys.stdout, _RoutedStdout):
        sys.stdout = sys.stdout.real


@contextmanager
def outside_the_handler() -> Iterator[None]:
    """Let another handler run while this one waits for AWS.

    One handler runs at a time, since the process has one Powertools logger. In Lambda, each environment has its own.
    Another handler runs only at an AWS call, which is also where executions interleave in AWS.
    """
    if not getattr(_thread, "in_handler", False):
        yield
        return
    _thread.in_handler = False
    handlers_turn.release()
    try:
        yield
    finally:
        handlers_turn.acquire()
        _thread.in_handler = True


def running_function() -> str | None:
    """Return the name of the function whose handler this thread runs; None if it runs none."""
    return getattr(_thread, "function", None)


class SandboxEndedError(BaseException):
    """Ends a handler as the platform does, whatever the handler catches. `kind` is the error's name in the workflow."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def end_if_time_is_up() -> None:
    """End this thread's handler if it has run for longer than its function's timeout.

    Nothing can end a thread from outside. So the engine calls this before each AWS call, where a handler waits, and
    when a handler returns or raises. A handler that only computes is ended when it returns or raises.

    Raises:
        SandboxEndedError: the time is up.
    """
    deadline_s, timeout_s = getattr(_thread, "deadline_s", None), getattr(_thread, "timeout_s", 0.0)
    if deadline_s is not None and time.monotonic() > deadline_s:
        raise SandboxEndedError(TIMED_OUT, timeout_message(timeout_s))


TIMED_OUT = "Sandbox.Timedout"


def timeout_message(timeout_s: float) -> str:
    """Return the message of an invocation that took too long."""
    return f"Error: Task timed out after {timeout_s:.2f} seconds"


@dataclass
class LambdaContext:
    """What a handler can learn about its invocation. Source: Lambda Developer Guide, Python context object."""

    function_name: str
    invoked_function_arn: str
    aws_request_id: str
    log_group_name: str
    memory_limit_in_mb: int
    deadline_s: float
    function_version: str = "$LATEST"
    log_stream_name: str = "embedded-engine"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function's timeout."""
        return max(0, round((self.deadline_s - time.monotonic()) * 1000))


@dataclass
class LocalFunction:
    """One deployed function: its code, its own environment, and what it printed.

    `declared` has the variables that the template gives the function. `environment` has those of the runtime as well.
    """

    name: str
    arn: str
    handler: str
    declared: dict[str, str]
    environment: dict[str, str]
    timeout_s: float
    memory_mb: int
    folder: Path
    invocations: int = 0
    logs: list[str] = field(default_factory=list)
    _module: ModuleType | None = None

    @property
    def module(self) -> ModuleType:
        """The function's module, which is loaded in the function's environment."""
        with handlers_turn, _captured(io.StringIO()):
            return self._load()

    def restart(self) -> None:
        """Forget the warm environment, so that the next invocation is a cold start."""
        self._module = None

    def invoke(self, payload: bytes) -> tuple[bytes, bool]:
        """Call the handler with a JSON payload, and return its JSON reply and whether it raised.

        An error has the form that the runtime gives it. A Retry or Catch matches its class name.

        The thread may be that of another handler, which waits for AWS: see `outside_the_handler`.
        """
        output = io.StringIO()
        with handlers_turn, _captured(output):
            outer = dict(vars(_thread))
            self.invocations += 1
            context = LambdaContext(
                function_name=self.name,
                invoked_function_arn=self.arn,
                aws_request_id=f"00000000-0000-4000-8000-{self.invocations:012d}",
                log_group_name=self.environment["AWS_LAMBDA_LOG_GROUP_NAME"],
                memory_limit_in_mb=self.memory_mb,
                deadline_s=time.monotonic() + self.timeout_s,
            )
            try:
                module = self._load()
                handler = getattr(module, self.handler.rpartition(".")[2])
                context.deadline_s = time.monotonic() + self.timeout_s  # the time of a cold start does not count
                _thread.in_handler, _thread.function = True, self.name
                _thread.deadline_s, _thread.timeout_s = context.deadline_s, self.timeout_s
                try:
                    returned, raised = handler(json.loads(payload), context), False
                finally:
                    end_if_time_is_up()  # an error that comes too late is a timeout too
            except Exception as error:  # noqa: BLE001  # as in the runtime: any error becomes the reply
                returned, raised = _error_reply(error, context), True
                sys.stdout.write(f"[ERROR] {''.join(traceback.format_exception(error))}\n")
            except SandboxEndedError as error:
                message = f"RequestId: {context.aws_request_id} {error}"
                returned, raised = {"errorType": error.kind, "errorMessage": message}, True
                self.restart()  # the environment ends with the handler
            finally:
                vars(_thread).clear()
                vars(_thread).update(outer)
        self.logs.append(output.getvalue())
        try:
            return json.dumps(returned).encode(), raised
        except TypeError as error:
            message = f"Unable to marshal response: {error}"
            return json.dumps({"errorType": "Runtime.MarshalError", "errorMessage": message}).encode(), True

    def _load(self) -> ModuleType:
        """Return the function's module. Load it first if the environment is cold."""
        if self._module is None:
            name = self.handler.rpartition(".")[0]
            spec = importlib.util.spec_from_file_location(name, self.folder / f"{name}.py")
            if spec is None or spec.loader is None:
                raise ImportError(f"{name}.py cannot be loaded")
            module = importlib.util.module_from_spec(spec)
            with (
                changing_the_environment,
                without_the_shells_variables(),
                patch.dict(os.environ, self.environment),
            ):
                # The functions of this process share `ledger.aws`, and in Lambda each has a session of its own. So a
                # function that starts must not find the session of another one: see `sdk_session`.
                aws.sdk_session.cache_clear()
                spec.loader.exec_module(module)
            self._module = module
        return self._module


def _error_reply(error: Exception, context: LambdaContext) -> dict[str, Any]:
    """Return the reply of a handler that raised. Source: Lambda Developer Guide, Python function errors."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": context.aws_request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }
