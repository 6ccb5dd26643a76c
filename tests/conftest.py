"""One engine for the whole run, emptied before each test that uses it."""

import gc
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from hypothesis import settings
from moto.core.botocore_stubber import BotocoreStubber

from ledger_cli import LOOPBACK, ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.moto_patches.core import sdk_data_parsed_once
from ledger_cli.engine.server import EngineServer
from ledger_cli.samples import register_sample_processors
from tests.support.faults import Faults
from tests.support.webhook import Webhook

# The machine's load is no property of the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# moto's and the SDK's objects stay until the end. To search them for garbage takes as long as many a test.
gc.set_threshold(100_000)

# A shell's background job ignores Ctrl-C, and so would the programs that the tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def fast_sessions() -> Iterator[None]:
    """Let the sessions of all commands that this process runs share the SDK's data, as those of an engine do."""
    with sdk_data_parsed_once():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses the stack, since a process has one engine."""
    parser.addoption("--lane", choices=("standard", "fast"), default="standard", help="the stack's parameter Lane")


@pytest.fixture(scope="session")
def deployed(pytestconfig: pytest.Config) -> Iterator[tuple[Engine, list[float]]]:
    """Deploy the engine, and yield it with the seconds that it would have waited before each retry."""
    waits: list[float] = []
    with Engine(parameters={"Lane": pytestconfig.getoption("lane")}, wait=waits.append) as engine:
        yield engine, waits


@pytest.fixture(scope="session")
def fast_lane(pytestconfig: pytest.Config) -> None:
    """Stop if the stack has no fast lane: then the tests of it would show nothing."""
    if pytestconfig.getoption("lane") != "fast":
        pytest.exit("these tests need a stack with the fast lane: pytest --lane fast", returncode=2)


@pytest.fixture(scope="session")
def engine_address(deployed: tuple[Engine, list[float]]) -> Iterator[str]:
    """Serve the engine of this process over HTTP, and yield its address."""
    with EngineServer(["127.0.0.1"]) as server:
        server.start(deployed[0])
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session", autouse=True)
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder in which commands remember checkpoints: no test reads or writes that of a person."""
    folder = tmp_path_factory.mktemp("state")
    with patch.dict(os.environ, {"XDG_STATE_HOME": str(folder)}):
        yield folder


@pytest.fixture
def engine(deployed: tuple[Engine, list[float]], remembered: Path) -> Engine:
    """Return the engine, as empty as it was deployed, and with nothing remembered of its log."""
    deployed[0].clear()
    shutil.rmtree(remembered / "payment-ledger", ignore_errors=True)
    return deployed[0]


@pytest.fixture
def endpoint(engine: Engine, engine_address: str) -> str:
    """Return the address of the engine, as empty as it was deployed."""
    assert engine
    return engine_address


@pytest.fixture
def waits(deployed: tuple[Engine, list[float]]) -> list[float]:
    """Return the seconds that the engine would have waited before each retry in this test."""
    deployed[1].clear()
    return deployed[1]


@pytest.fixture
def faults(engine: Engine) -> Iterator[Faults]:
    """Yield faults at the calls that the engine answers; each fault that a test plans must meet a call."""
    faults = Faults()
    call = BotocoreStubber.__call__

    def faulty(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        if urlsplit(request.url).hostname in LOOPBACK:  # the engine answers it when it arrives over HTTP
            return call(stubber, event_name, request, **kwargs)
        return faults.around(lambda: call(stubber, event_name, request, **kwargs), request)

    with patch.object(BotocoreStubber, "__call__", faulty):
        yield faults
    assert not faults.planned, "no call has met a planned fault"


@pytest.fixture
def webhook(engine: Engine, endpoint: str) -> Webhook:
    """Return the webhook with the sample processors registered, and no others remembered."""
    register_sample_processors(engine)
    return Webhook(engine, int(endpoint.rpartition(":")[2]))


@pytest.fixture
def payment() -> dict[str, Any]:
    """Return a valid start input."""
    loaded: dict[str, Any] = json.loads((ROOT / "events/start/01-success.json").read_text())
    return loaded


@pytest.fixture
def refund() -> dict[str, Any]:
    """Return a valid entry: a partial refund of `payment`."""
    loaded: dict[str, Any] = json.loads((ROOT / "events/start/10-refund.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of hostile inputs that others wrote; they are not part of this repository."""
    folder = ROOT.parent / "shared/corpora"
    if not folder.is_dir():
        pytest.skip("NOT TESTED: the corpora of hostile inputs are not beside this clone")
    return folder
