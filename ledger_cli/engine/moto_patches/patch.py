"""A patch of moto, and what a patch may need of the engine."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ledger_cli.engine.calls import Call


@dataclass(frozen=True, slots=True)
class EngineHooks:
    """The parts of an engine that patches use."""

    invoke: Callable[..., bytes]
    """Invokes a function, with the arguments of moto's `LambdaSimpleBackend.invoke`."""

    wait: Callable[[float], None]
    """Waits before a retry, for some seconds."""

    lock: AbstractContextManager[Any]
    """The lock that each call of AWS holds."""

    record: Callable[[Call], None]
    """Takes note of a request that a function sends."""

    ended: Callable[[], None]
    """Is called when an execution has ended."""


@dataclass(frozen=True, slots=True)
class MotoPatch:
    """A change of moto, or of a library that moto uses, for as long as an engine lives.

    `facts` name what moto does without the patch. `tests/engine/moto_unpatched.py` has a check for each fact.
    """

    facts: tuple[str, ...]
    change: AbstractContextManager[Any]
