"""The form of a state: which sections it has, and how times and bytes become JSON."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from moto.kms.utils import MASTER_KEY_LEN

VERSION = 4
"""In versions 1 to 3, there were no seals. In versions 1 and 2, there were no entries. In version 1, `Marker` was
always empty, so an event that a caller had published could be taken for a time."""

READABLE = (1, 2, 3, VERSION)
SECTIONS = {"Version", "Keys", "Items", "Secrets", "Events", "Executions"}
EXECUTION: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "execution_arn": str,
    "start_date": datetime,
    "stop_date": datetime,
    "execution_input": str,
    "output": (dict, list, str, int, float, bool),
    "error": str,
    "cause": str,
    "status": str,
    "history": list,
}
"""The parts of an execution that a state keeps, by moto's names. An optional part without a value is left out."""

OPTIONAL = {"output", "error", "cause", "stop_date"}

MAX_NESTED = 500
"""Levels of one item, event or execution. Python's parser of JSON fails at about twice as many; DynamoDB allows 32."""


def encode(state: dict[str, Any], marker: str) -> bytes:
    """Return the state as JSON. A time or bytes become an object whose only name contains the *marker*.

    Nobody outside the process knows the marker, so nobody can publish an event that is taken for a time.

    Raises:
        TypeError: the state holds a value of another type.
    """

    def encoded(value: Any) -> Any:
        if isinstance(value, datetime):
            return {f"$time{marker}": value.isoformat()}
        if isinstance(value, bytes):
            return {f"$bytes{marker}": base64.b64encode(value).decode()}
        raise TypeError(type(value).__name__)

    return json.dumps(state, default=encoded).encode()


def decode(written: bytes) -> Any:
    """Return the state that `encode` wrote, with its times and bytes.

    Raises:
        ValueError: it is not JSON, or a time or bytes have another form.
        TypeError: a time or bytes are not text.
        RecursionError: it is nested too deeply.
    """
    with integers_of_any_length():
        return _with_times_and_bytes(written)


@contextmanager
def integers_of_any_length() -> Iterator[None]:
    """Lift Python's limit. The engine accepts integers of any length, so it may have written one."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def _with_times_and_bytes(written: bytes) -> Any:
    state = json.loads(written)
    marker = state.get("Marker", "") if isinstance(state, dict) else ""

    def decoded(value: dict[str, Any]) -> Any:
        try:
            if value.keys() == {f"$time{marker}"}:
                return datetime.fromisoformat(value[f"$time{marker}"])
            if value.keys() == {f"$bytes{marker}"}:
                return base64.b64decode(value[f"$bytes{marker}"])
        except (ValueError, TypeError):
            if marker:
                raise
        return value  # in version 1, a caller may have published an object with this name

    return json.loads(written, object_hook=decoded)


def is_state(kept: Any) -> bool:
    """Return whether it has the form of a state. moto checks little of it, and would fail later."""
    return (
        isinstance(kept, dict)
        and kept.get("Version") in READABLE
        and kept.keys() >= SECTIONS
        and isinstance(kept["Keys"], dict)
        and all(map(_is_key, kept["Keys"].values()))
        and isinstance(kept["Secrets"], dict)
        and all(isinstance(text, str) for text in kept["Secrets"].values())
        and all(isinstance(kept[name], list) for name in ("Items", "Events", "Executions"))
        and all(map(_is_item, kept["Items"]))
        and isinstance(kept.get("Entries", []), list)
        and all(map(_is_entry, kept.get("Entries", [])))
        and isinstance(kept.get("Seals", []), list)
        and all(map(_is_seal, kept.get("Seals", [])))
        and all(map(_is_event, kept["Events"]))
        and all(map(_is_execution, kept["Executions"]))
    )


def _is_item(item: Any) -> bool:
    """Return whether it has the table's key. Callers may write any other attribute."""
    return _has(item, "TransactionID", "S")


def _is_entry(item: Any) -> bool:
    return _is_item(item) and _has(item, "Entry", "N")


def _is_seal(item: Any) -> bool:
    return _has(item, "Log", "S") and _has(item, "Seal", "N")


def _has(item: Any, name: str, kind: str) -> bool:
    key = item.get(name) if isinstance(item, dict) else None
    return isinstance(key, dict) and key.keys() == {kind} and isinstance(key[kind], str)


def _is_event(event: Any) -> bool:
    """Return whether it has a detail. The detail may be any JSON: moto does not require an object, as AWS does."""
    return isinstance(event, dict) and "detail" in event


def _is_key(key: Any) -> bool:
    return (
        isinstance(key, dict)
        and isinstance(key.get("Id"), str)
        and isinstance(key.get("Material"), bytes)
        and len(key["Material"]) == MASTER_KEY_LEN
    )


def _is_execution(execution: Any) -> bool:
    return (
        isinstance(execution, dict)
        and execution.keys() >= EXECUTION.keys() - OPTIONAL
        and all(isinstance(value, EXECUTION.get(name, ())) for name, value in execution.items())
        and all(isinstance(event, dict) for event in execution["history"])
    )


FORMS: dict[str, Callable[[Any], bool]] = {
    "payment": _is_item,
    "entry": _is_entry,
    "seal": _is_seal,
    "event": _is_event,
    "execution": _is_execution,
}
"""For each kind of thing, the function that says whether the next start can read it."""


def is_too_deep(thing: Any) -> bool:
    """Return whether it is None, or has more than `MAX_NESTED` levels."""
    level = [thing]
    for _ in range(MAX_NESTED):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return thing is None
    return True
