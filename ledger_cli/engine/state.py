"""What an engine holds, as one file of JSON: to be served again after a restart, as if it had not stopped.

Kept are the items, the keys that their tokens are encrypted with, the archived events, the processors' secrets, and the
executions with their histories. Logs and metrics are not.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.events.models import events_backends
from moto.kms.models import Key, KmsBackend, kms_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli import REGION

if TYPE_CHECKING:
    from ledger_cli.engine.stack import Engine

VERSION = 1
FILE = "ledger.json"
KEYS = ("TokenKey", "IntakeKey")
SECTIONS = {"Version", "Keys", "Items", "Secrets", "Events", "Executions"}


class StateError(Exception):
    """The folder's state cannot be read or written; the message says why, and what to do."""


class State:
    """The state in one folder. It holds key material and secrets of a trial: nobody else may read it."""

    def __init__(self, folder: Path) -> None:
        """Read what the folder holds.

        Raises:
            StateError: it is no folder, may not be written, or holds something else.
        """
        self.file = folder / FILE
        self._written = b""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StateError(f"{folder}: may not be written: choose another folder with --state")
            lock = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)  # held until the process ends
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.kept: dict[str, Any] = json.loads(self.file.read_bytes(), object_hook=_of_json)
        except BlockingIOError:
            raise StateError(f"{folder}: another `ledger serve` has it: choose another with --state") from None
        except FileNotFoundError:
            self.kept = {}
        except OSError as error:
            raise StateError(f"{error.filename}: {(error.strerror or 'cannot be read').lower()}") from None
        except ValueError:
            raise self._unreadable() from None
        else:
            known = isinstance(self.kept, dict) and self.kept.get("Version") == VERSION
            if not known or not self.kept.keys() >= SECTIONS:
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
        """Put into a freshly deployed engine what was kept."""
        if not self.kept:
            return
        table = engine.outputs["TableName"]
        for item in self.kept["Items"]:
            engine.client("dynamodb").put_item(TableName=table, Item=item)
        for name, text in self.kept["Secrets"].items():
            engine.client("secretsmanager").create_secret(Name=name, SecretString=text)
        backend = events_backends[engine.account_id][REGION]
        for archive in backend.archives.values():
            archive.events.extend(self.kept["Events"])
        (machine,) = stepfunctions_parser_backends[engine.account_id][REGION].state_machines
        executions: list[Any] = machine.executions
        executions.extend(_KeptExecution(machine.arn, **execution) for execution in self.kept["Executions"])

    def write(self, engine: "Engine") -> None:
        """Write what the engine holds now, if it differs from what was written last.

        Raises:
            StateError: it cannot be written; what was written before stays.
        """
        keys = kms_backends[engine.account_id][REGION].keys
        secrets = secretsmanager_backends[engine.account_id][REGION].secrets.values()
        own = [keys[str(engine.physical_ids[name])] for name in KEYS]
        state = {
            "Version": VERSION,
            "Keys": {key.description: {"Id": key.id, "Material": key.key_material} for key in own},
            "Items": engine.items(),
            "Secrets": {secret.name: _current(secret) for secret in secrets if not secret.is_deleted()},
            "Events": engine.published(),
            "Executions": [_described(engine, arn) for arn in engine.executions() if engine.has_ended(arn)],
        }
        written = json.dumps(state, default=_as_json).encode()
        if written == self._written:
            return
        unfinished = self.file.with_suffix(".unfinished")
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.file)
        except OSError as error:
            raise StateError(f"{self.file}: cannot be written: {(error.strerror or '').lower()}") from None
        self._written = written


class _KeptExecution(SimpleNamespace):
    """An execution that ended before: what moto's answers about one read of it."""

    def __init__(self, machine: str, *, history: list[Any], **described: Any) -> None:
        absent = dict.fromkeys(("output", "error", "cause", "stop_date"))
        super().__init__(state_machine_arn=machine, output_details={"included": True}, **{**absent, **described})
        self.exec_arn = self.execution_arn
        self.history = history

    def to_history_output(self) -> Any:
        """As `GetExecutionHistory` answers."""
        return {"events": self.history}


def _described(engine: "Engine", arn: str) -> dict[str, Any]:
    execution: Any = stepfunctions_parser_backends[engine.account_id][REGION].describe_execution(arn)
    names = (
        "name",
        "execution_arn",
        "start_date",
        "stop_date",
        "execution_input",
        "output",
        "error",
        "cause",
        "status",
    )
    values = {name: getattr(execution, name) for name in names}
    described = {name: value for name, value in values.items() if value is not None}
    return {**described, "history": execution.to_history_output()["events"]}


def _current(secret: Any) -> str:
    version = secret.versions[secret.default_version_id]
    return str(version["secret_string"])


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _of_json(value: dict[str, Any]) -> Any:
    if value.keys() == {"$time"}:
        return datetime.fromisoformat(value["$time"])
    if value.keys() == {"$bytes"}:
        return base64.b64decode(value["$bytes"])
    return value
