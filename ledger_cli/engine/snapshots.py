"""A snapshot: what the embedded account holds, taken from moto's backends and put back into them.

It has the items of all tables, the keys that encrypt the tokens and sign the log, the archived events, the processors'
secrets, and the executions that have ended, with their histories. It has no logs, no metrics and no execution that
still runs.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.kms.models import Key, KmsBackend

from ledger.intake import execution_prefix
from ledger_cli.engine import account
from ledger_cli.engine.state_format import EXECUTION, FORMS, OPTIONAL, is_too_deep

KEYS = ("TokenKey", "IntakeKey", "SealKey")
"""The logical ids of the keys that are kept."""

LeaveOut = Callable[[str, object, str], None]
"""Called with the kind, the identifier and the reason of each thing that a snapshot leaves out."""


KINDS = {"Items": "payment", "Entries": "entry", "Seals": "seal"}
"""The sections of a snapshot that hold a table's items, and what an item of each is."""

Tables = Mapping[str, str]
"""The names of the tables, by their section of a snapshot."""


def take(
    key_ids: Iterable[str], tables: Tables, events: Iterable[dict[str, Any]], leave_out: LeaveOut
) -> dict[str, Any]:
    """Return what the account holds now."""
    keys = account.keys()
    own = [keys[key_id] for key_id in key_ids]
    items = {
        section: ((item.hash_key.value, _described_item(item)) for item in account.table(tables[section]).all_items())
        for section in KINDS
    }
    executions = (_described_execution(each) for each in account.executions() if account.is_complete(each))
    return {
        "Keys": {key.description: {"Id": key.id, "Material": key.key_material} for key in own},
        **{section: _readable(kind, items[section], leave_out) for section, kind in KINDS.items()},
        "Secrets": {
            str(secret.name): text
            for secret in account.secrets().secrets.values()
            if not secret.is_deleted() and (text := _current_text(secret)) is not None
        },
        "Events": _readable("event", ((event.get("id"), event) for event in events), leave_out),
        "Executions": _readable("execution", ((each["name"], each) for each in executions), leave_out),
    }


def restore(kept: Mapping[str, Any], tables: Tables, secrets_manager: Any, leave_out: LeaveOut) -> None:
    """Put a snapshot into a stack that has just been deployed.

    Raises:
        ValueError: an execution belongs to another workflow.
    """
    for section, kind in KINDS.items():
        table = account.table(tables[section])
        for item in kept.get(section, []):  # an engine before December 2026 had neither entries nor seals
            with _left_out_on_error(kind, item[table.hash_key_attr]["S"], leave_out):
                restored: Any = _item_of(item, table)
                if table.has_range_key:
                    table.items[restored.hash_key][restored.range_key] = restored
                else:
                    table.items[restored.hash_key] = restored
    for name, text in kept["Secrets"].items():
        with _left_out_on_error("secret", name, leave_out):
            secrets_manager.create_secret(Name=name, SecretString=text)
    for archive in account.archives():
        archive.events.extend(kept["Events"])
    machines = {execution_prefix(one.arn): one for one in account.state_machines()}
    for each in kept["Executions"]:
        prefix, _, name = each["execution_arn"].rpartition(":")
        if prefix not in machines or name != each["name"]:
            raise ValueError("an execution belongs to another workflow")
        machines[prefix].executions.append(_KeptExecution(machines[prefix].arn, **each))


@contextmanager
def restored_keys(kept: Mapping[str, Any]) -> Iterator[None]:
    """Give the keys of a snapshot to the stack that is deployed in this block. A key is found by its description."""
    keys = kept.get("Keys", {})
    create_key = KmsBackend.create_key

    def create(backend: KmsBackend, *arguments: Any, **named: Any) -> Key:
        key = create_key(backend, *arguments, **named)
        if before := keys.get(key.description):
            del backend.keys[key.id]
            key.arn = key.arn.replace(key.id, before["Id"])
            key.id, key.key_material = before["Id"], before["Material"]
            backend.keys[key.id] = key
        return key

    with patch.object(KmsBackend, "create_key", create):
        yield


@contextmanager
def _left_out_on_error(kind: str, identifier: str, leave_out: LeaveOut) -> Iterator[None]:
    """Continue without one thing that cannot be restored. The rest of the snapshot can be."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # moto accepts almost anything by HTTP, and fails at it later
        leave_out(kind, identifier, type(error).__name__)


def _readable(kind: str, things: Iterable[tuple[object, Any]], leave_out: LeaveOut) -> list[Any]:
    """Return the things that the next start can read, and leave out the others."""
    kept = []
    for identifier, thing in things:
        if is_too_deep(thing):
            leave_out(kind, identifier, "it is nested too deeply")
        elif FORMS[kind](thing):
            kept.append(thing)
        else:
            leave_out(kind, identifier, "a part of it has a type that AWS does not accept")
    return kept


class _KeptExecution(SimpleNamespace):
    """An execution that has ended, with the attributes that moto reads to answer questions about it."""

    def __init__(self, machine: str, *, history: list[Any], **described: Any) -> None:
        absent = dict.fromkeys(OPTIONAL)
        super().__init__(state_machine_arn=machine, output_details={"included": True}, **{**absent, **described})
        self.exec_arn = self.execution_arn
        self.history = history

    def to_history_output(self) -> Any:
        """Return the answer of `GetExecutionHistory`."""
        return {"events": self.history}


def _described_execution(execution: Any) -> dict[str, Any]:
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
    """Return the bytes of moto's Base64. Return the same value if it is not Base64, since moto does not check it."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (ValueError, TypeError):
        return value
    return decoded if base64.b64encode(decoded).decode() == value else value


def _item_of(described: dict[str, Any], table: Any) -> Item:
    """Return moto's item of a table. moto's `PutItem` would reject some items that other calls can write."""
    number = DynamoType(described[table.range_key_attr]) if table.has_range_key else None
    item = Item(DynamoType(described[table.hash_key_attr]), number, {})
    for name, value in described.items():
        dict.__setitem__(item.attrs, name, DynamoType(_with_base64(value)))
    return item


def _with_base64(value: Any) -> Any:
    """Return the value with its bytes as Base64, except the bytes of a set, which moto keeps as bytes."""
    if isinstance(value, dict):
        return {name: _with_base64(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [inner if isinstance(inner, bytes) else _with_base64(inner) for inner in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _current_text(secret: Any) -> str | None:
    """Return the secret's text; None if it has none. A processor's secret always has text."""
    version = secret.versions.get(secret.default_version_id, {})
    text = version.get("secret_string")
    return None if text is None else str(text)
