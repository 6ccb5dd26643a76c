"""One engine for the whole run, emptied before each test that uses it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from moto.core.botocore_stubber import BotocoreStubber

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.faults import Faults

# The machine's load is no property of the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# A shell's background job ignores Ctrl-C, and so would the programs that the tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Hostile inputs that others wrote; they are not part of this repository."""
    folder = ROOT.parent / "shared/corpora"
    if not folder.is_dir():
        pytest.skip("NOT TESTED: the corpora of hostile inputs are not beside this clone")
    return folder
