"""One engine for the whole run, emptied before each test that uses it, and faults to order."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from hypothesis import settings
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from ledger.intake import Intake
from ledger_cli import ROOT
from ledger_cli.engine import Engine

# The machine's load is no property of the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# A shell's background job ignores Ctrl-C, and so would the programs that the tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Faults:
    """Faults at AWS calls, each used once, in order; what passed is counted in `calls`."""

    planned: list[tuple[str, Callable[[Callable[[], Any], Any], Any]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose_reply(self, operation: str, *, times: int = 1) -> None:
        """The call takes effect, and its reply never arrives."""

        def fault(send: Callable[[], Any], request: Any) -> Any:
            send()
            raise ReadTimeoutError(endpoint_url=request.url)

        self.planned += [(operation, fault)] * times

    def lose_request(self, operation: str, *, times: int = 1) -> None:
        """The call never arrives."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            raise ReadTimeoutError(endpoint_url=request.url)

        self.planned += [(operation, fault)] * times

    def refuse(self, operation: str, code: str, *, status: int = 400, times: int = 1) -> None:
        """The service answers with an error."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            return _answer(request, status, {"__type": code, "message": "ordered by the test"})

        self.planned += [(operation, fault)] * times

    def answer(self, operation: str, body: dict[str, Any], *, times: int = 1) -> None:
        """The service does nothing, and answers with *body*."""

        def fault(_send: Callable[[], Any], request: Any) -> Any:
            return _answer(request, 200, body)

        self.planned += [(operation, fault)] * times

    def delay(self, operation: str, seconds: float, *, times: int = 1) -> None:
        """The call takes effect, and its reply is late."""

        def fault(send: Callable[[], Any], _request: Any) -> Any:
            reply = send()
            time.sleep(seconds)
            return reply

        self.planned += [(operation, fault)] * times

    def around(self, send: Callable[[], Any], request: Any) -> Any:
        """Let the request pass, or do what was ordered for it."""
        operation = _operation(request)
        with self._lock:
            self.calls.append(operation)
            fault = next((planned for planned in self.planned if planned[0] == operation), None)
            if fault:
                self.planned.remove(fault)
        return fault[1](send, request) if fault else send()


def _operation(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"")
    text = target.decode() if isinstance(target, bytes) else target
    return text.rpartition(".")[2] or "Invoke"


def _answer(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    return AWSResponse(request.url, status, {}, MockRawResponse(json.dumps(body)))


@pytest.fixture(scope="session")
def deployed() -> Iterator[tuple[Engine, list[float]]]:
    """The engine, and what was waited before retries, in seconds."""
    waits: list[float] = []
    with Engine(wait=waits.append) as engine:
        yield engine, waits


@pytest.fixture
def engine(deployed: tuple[Engine, list[float]]) -> Engine:
    """The stack as it was deployed."""
    deployed[0].clear()
    return deployed[0]


@pytest.fixture
def waits(deployed: tuple[Engine, list[float]]) -> list[float]:
    """What was waited before retries in this test, in seconds."""
    deployed[1].clear()
    return deployed[1]


@pytest.fixture
def faults(engine: Engine) -> Iterator[Faults]:
    """Faults at AWS calls; all that were ordered must have been met."""
    ordered = Faults()
    call = BotocoreStubber.__call__

    def faulty(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        return ordered.around(lambda: call(stubber, event_name, request, **kwargs), request)

    with patch.object(BotocoreStubber, "__call__", faulty):
        yield ordered
    assert not ordered.planned, "a fault was ordered that no call has met"


@pytest.fixture
def payment() -> dict[str, Any]:
    """A valid start input."""
    loaded: dict[str, Any] = json.loads((ROOT / "events/start/01-success.json").read_text())
    return loaded


def ledger(
    *arguments: str, stdin: str = "", folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `ledger` command in a process of its own."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ledger_cli", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "120", **environment},
    )


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Hostile inputs that others wrote; they are not part of this repository."""
    folder = ROOT.parent / "shared/corpora"
    if not folder.is_dir():
        pytest.skip("NOT TESTED: the corpora of hostile inputs are not beside this clone")
    return folder


def intake_of(engine: Engine) -> Intake:
    """The way in of the engine's stack, as a sender has it."""
    return Intake(
        states=engine.client("stepfunctions"),
        kms=engine.client("kms"),
        dynamodb=engine.client("dynamodb"),
        workflow=engine.outputs["WorkflowArn"],
        intake_key=engine.outputs["IntakeKeyArn"],
        table_name=engine.outputs["TableName"],
        default_currency="USD",
    )
