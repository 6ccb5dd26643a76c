"""The traces of a run, and a webhook that keeps its answers among them."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from moto.core.botocore_stubber import BotocoreStubber

from ledger_cli.engine import Engine, lambda_runtime
from ledger_cli.engine.http_api import ENDPOINT, Request
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed
from tests.support.faults import Faults
from tests.support.traces import Traces


@pytest.fixture
def traces(
    engine: Engine, faults: Faults, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[Traces]:
    """Return what a run leaves behind. It sees each request before `faults` does, so it also keeps those that fail."""
    caplog.set_level(logging.INFO)  # at DEBUG, which nothing in the stack sets, the SDK logs its requests' bodies
    kept = Traces(engine, caplog, capsys)
    call = BotocoreStubber.__call__

    def keeping(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        if function := lambda_runtime.running_function():
            kept.keep(function, request)
        return call(stubber, event_name, request, **kwargs)

    with patch.object(BotocoreStubber, "__call__", keeping):
        yield kept


@pytest.fixture
def webhook(engine: Engine, traces: Traces) -> Callable[..., int]:
    """Return a function that posts a body as the sample processor of that name, and returns the answer's status."""
    register_sample_processors(engine)

    def post(body: bytes, processor: str = "acme-pay") -> int:
        path = f"/processors/{processor}/payments"
        headers = signed(PROCESSORS[processor], body, round(time.time()), f"{ENDPOINT}{path}")
        answer = engine.answer(Request("POST", path, headers, body))
        assert answer is not None
        return traces.answered(answer)

    return post
