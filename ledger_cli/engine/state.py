"""What an engine holds, as one file of JSON: to be served again after a restart, as if it had not stopped.

Kept are the items, the keys that their tokens are encrypted with, the archived events, the processors' secrets, and the
executions with their histories. Logs and metrics are not.
"""

import base64
import fcntl
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.events.models import events_backends
from moto.kms.models import Key, KmsBackend, kms_backends
from moto.kms.utils import MASTER_KEY_LEN
from moto.secretsmanager.models import secretsmanager_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli import REGION

if TYPE_CHECKING:
    from ledger_cli.engine.engine import Engine

VERSION = 2
"""In version 1, `Marker` was always empty: what a caller had published could be taken for a time."""

READABLE = (1, VERSION)
FILE = "ledger.json"
KEYS = ("TokenKey", "IntakeKey")
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
"""What is kept of an execution, by moto's names. An optional part is left out if there is none."""

OPTIONAL = {"output", "error", "cause", "stop_date"}

MAX_NESTED = 500
"""Levels of one item, event or execution. Python's parser of JSON fails at about twice as many; DynamoDB takes 32."""


class StateError(Exception):
    """The folder's state cannot be read or written; the message says why, and what to do."""


class State:
    """The state in one folder. It holds key material and secrets of a trial: nobody else may read it."""

    def __init__(self, folder: Path, note: Callable[[str], None] = lambda _: None) -> None:
        """Read what the folder holds.

        Args:
            folder: made if it is not there.
            note: is called with a line about each thing that cannot be kept, once.

        Raises:
            StateError: it is no folder, may not be written, or holds something else.
        """
        self.file = folder / FILE
        self._marker = secrets.token_hex(8)
        self._written = b""
        self._note = note
        self._noted: set[str] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateError(f"{folder}: may not be written: choose another folder with --state")
            _require_own(folder)
            # Held until the process ends.
            lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _require_own(self.file)
            self.kept: dict[str, Any] = _decoded(self.file.read_bytes())
        except BlockingIOError:
            raise StateError(f"{folder}: another `ledger serve` has it: choose another with --state") from None
        except FileNotFoundError:
            self.kept = {}
        except OSError as error:
            raise StateError(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None
        except (ValueError, TypeError, RecursionError):
            raise self._unreadable() from None
        else:
            if not _is_state(self.kept):
                raise self._unreadable()

    def _unreadable(self) -> StateError:
        return StateError(f"{self.file}: holds no state of this version: move it away, or choose another with --state")

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Let the stack that is deployed meanwhile have the keys of before, by their descriptions."""
        kept = self.kept.get("Keys", {})
        create_key = KmsBackend.create_key

        def create(backend: KmsBackend, *arguments: Any, **named: Any) -> Key:
            key = create_key(backend, *arguments, **named)
            if before := kept.get(key.description):
                del backend.keys[key.id]
                key.arn = key.arn.replace(key.id, before["Id"])
                key.id, key.key_material = before["Id"], before["Material"]
                backend.keys[key.id] = key
            return key

        with patch.object(KmsBackend, "create_key", create):
            yield

    def restore(self, engine: "Engine") -> None:
        """Put into a freshly deployed engine what was kept.

        Raises:
            StateError: it holds what no engine has written.
        """
        if self.kept:
            try:
                self._restore(engine)
            except Exception:  # noqa: BLE001  # moto raises anything at an item or a secret that it does not take
                raise self._unreadable() from None

    def _restore(self, engine: "Engine") -> None:
        table = dynamodb_backends[engine.account_id][REGION].tables[engine.outputs["TableName"]]
        for item in self.kept["Items"]:
            with self._or_left_out("payment", item["TransactionID"]["S"]):
                restored: Any = _item_of(item)
                table.items[restored.hash_key] = restored
        for name, text in self.kept["Secrets"].items():
            with self._or_left_out("secret", name):
                engine.client("secretsmanager").create_secret(Name=name, SecretString=text)
        backend = events_backends[engine.account_id][REGION]
        for archive in backend.archives.values():
            archive.events.extend(self.kept["Events"])
        (machine,) = stepfunctions_parser_backends[engine.account_id][REGION].state_machines
        prefix = machine.arn.replace(":stateMachine:", ":execution:")
        if any(kept["execution_arn"] != f"{prefix}:{kept['name']}" for kept in self.kept["Executions"]):
            raise self._unreadable()
        executions: list[Any] = machine.executions
        executions.extend(_KeptExecution(machine.arn, **execution) for execution in self.kept["Executions"])

    @contextmanager
    def _or_left_out(self, kind: str, identifier: str) -> Iterator[None]:
        """Go on without one thing that cannot be restored: the rest of the state is not to blame."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # moto takes almost anything by HTTP, and fails at it later
            self._leave_out(kind, identifier, type(error).__name__)

    def _leave_out(self, kind: str, identifier: object, why: str) -> None:
        text = f"{self.file}: the {kind} {identifier} is left out ({why})"
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)

    def write(self, engine: "Engine") -> None:
        """Write what the engine holds now, if it differs from what was written last.

        Raises:
            StateError: it cannot be written; what was written before stays.
        """
        try:
            with engine.between_calls:
                state = self._snapshot(engine)
            written = json.dumps(state, default=_encoder(self._marker)).encode()
            if written != self._written:
                self._replace(written)
        except OSError as error:
            raise StateError(f"{self.file}: cannot be written: {(error.strerror or '').lower()}") from None
        except Exception as error:  # noqa: BLE001  # what a caller sent must not end the server
            raise StateError(f"{self.file}: cannot be written ({type(error).__name__})") from None
        self._written = written

    def _snapshot(self, engine: "Engine") -> dict[str, Any]:
        keys = kms_backends[engine.account_id][REGION].keys
        kept_secrets = secretsmanager_backends[engine.account_id][REGION].secrets.values()
        own = [keys[str(engine.physical_ids[name])] for name in KEYS]
        table = dynamodb_backends[engine.account_id][REGION].tables[engine.outputs["TableName"]]
        executions = (_described(engine, arn) for arn in engine.executions() if engine.has_ended(arn))
        return {
            "Version": VERSION,
            "Marker": self._marker,
            "Keys": {key.description: {"Id": key.id, "Material": key.key_material} for key in own},
            "Items": self._keepable("payment", ((key.value, _described_item(table.items[key])) for key in table.items)),
            "Secrets": {
                str(secret.name): text
                for secret in kept_secrets
                if not secret.is_deleted() and (text := _current(secret)) is not None
            },
            "Events": self._keepable("event", ((event.get("id"), event) for event in engine.published())),
            "Executions": self._keepable("execution", ((one["name"], one) for one in executions)),
        }

    def _keepable(self, kind: str, things: Iterable[tuple[object, Any]]) -> list[Any]:
        """Return those which the next start will be able to read; leave the others out."""
        kept = []
        for identifier, thing in things:
            if _is_too_deep(thing):
                self._leave_out(kind, identifier, "it is nested too deeply")
            elif FORMS[kind](thing):
                kept.append(thing)
            else:
                self._leave_out(kind, identifier, "a part of it has a type that AWS refuses")
        return kept

    def _replace(self, written: bytes) -> None:
        """Put a new file in the place of the state, whatever lies there and beside it: no link is followed."""
        unfinished = self.file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.file)


def _require_own(path: Path) -> None:
    """Look at who may change the folder or file, if it is there.

    Raises:
        FileNotFoundError: it is not there.
        StateError: another user may: the key material that is written there would be theirs to read or to replace.
    """
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StateError(f"{path}: belongs to another user: choose another folder with --state")
    if stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateError(f"{path}: others may write it: chmod go-w it, or choose another folder with --state")


class _KeptExecution(SimpleNamespace):
    """An execution that ended before: what moto's answers about one read of it."""

    def __init__(self, machine: str, *, history: list[Any], **described: Any) -> None:
        absent = dict.fromkeys(OPTIONAL)
        super().__init__(state_machine_arn=machine, output_details={"included": True}, **{**absent, **described})
        self.exec_arn = self.execution_arn
        self.history = history

    def to_history_output(self) -> Any:
        """As `GetExecutionHistory` answers."""
        return {"events": self.history}


def _described(engine: "Engine", arn: str) -> dict[str, Any]:
    execution: Any = stepfunctions_parser_backends[engine.account_id][REGION].describe_execution(arn)
    values = {name: getattr(execution, name) for name in EXECUTION if name != "history"}
    described = {name: value for name, value in values.items() if value is not None}
    return {**described, "history": execution.to_history_output()["events"]}


def _described_item(item: Any) -> dict[str, Any] | None:
    """Return the item in DynamoDB's attribute form, with bytes as bytes; None if it is nested too deeply."""
    try:
        return {name: _attribute(value) for name, value in item.attrs.items()}
    except RecursionError:
        return None


def _attribute(value: DynamoType) -> dict[str, Any]:
    if value.is_map():
        return {value.type: {name: _attribute(inner) for name, inner in value.value.items()}}
    if value.is_list():
        return {value.type: [_attribute(inner) for inner in value.value]}
    if value.is_set():
        return {value.type: list(value.value)}
    return {value.type: _bytes(value.value) if value.type == "B" else value.value}


def _bytes(value: Any) -> Any:
    """Return what moto keeps as Base64; the same value if it is not Base64, for nobody has looked at it."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        return value
    return decoded if base64.b64encode(decoded).decode() == value else value


def _item_of(described: dict[str, Any]) -> Item:
    """Return moto's item. `PutItem` refuses some that it has let other calls write."""
    item = Item(DynamoType(described["TransactionID"]), None, {})
    for name, value in described.items():
        dict.__setitem__(item.attrs, name, DynamoType(_as_moto_has_it(value)))
    return item


def _as_moto_has_it(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_moto_has_it(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [inner if isinstance(inner, bytes) else _as_moto_has_it(inner) for inner in value]  # a set has bytes
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _current(secret: Any) -> str | None:
    """Return the secret's text; None if it has none, since a processor's secret is text."""
    version = secret.versions.get(secret.default_version_id, {})
    text = version.get("secret_string")
    return None if text is None else str(text)


def _encoder(marker: str) -> Callable[[Any], Any]:
    """Return a function that writes a time or bytes as an object whose one name nobody can know and publish."""

    def encoded(value: Any) -> Any:
        if isinstance(value, datetime):
            return {f"$time{marker}": value.isoformat()}
        if isinstance(value, bytes):
            return {f"$bytes{marker}": base64.b64encode(value).decode()}
        raise TypeError(type(value).__name__)

    return encoded


def _decoded(written: bytes) -> Any:
    """Return what was written, with its times and bytes.

    Raises:
        ValueError: it is not JSON, or a time or bytes have another form.
        TypeError: a time or bytes are not text.
        RecursionError: it is nested too deeply.
    """
    with _any_number_of_digits():
        return _with_times_and_bytes(written)


@contextmanager
def _any_number_of_digits() -> Iterator[None]:
    """Read each integer that the engine wrote, for it reads each that it is sent."""
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
        return value  # in version 1, also what a caller had published under such a name

    return json.loads(written, object_hook=decoded)


def _is_state(kept: Any) -> bool:
    """Return whether it has the form of a state: what moto takes only later must not fail there."""
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
        and all(map(_is_event, kept["Events"]))
        and all(map(_is_execution, kept["Executions"]))
    )


def _is_item(item: Any) -> bool:
    """Return whether it has the table's key. What is beside it, callers may write as they like."""
    key = item.get("TransactionID") if isinstance(item, dict) else None
    return isinstance(key, dict) and key.keys() == {"S"} and isinstance(key["S"], str)


def _is_event(event: Any) -> bool:
    """Return whether it has a detail: EventBridge takes objects only, and moto any JSON."""
    return isinstance(event, dict) and "detail" in event


def _is_too_deep(thing: Any) -> bool:
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


FORMS: dict[str, Callable[[Any], bool]] = {"payment": _is_item, "event": _is_event, "execution": _is_execution}
"""What the next start requires of each kind of thing."""
