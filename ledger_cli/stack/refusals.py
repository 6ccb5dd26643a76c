"""A refused entry, found by its payment's TransactionID or by its execution, for an operator who decides about it."""

import json
from dataclasses import dataclass
from typing import Any

from ledger.entry import Entry, is_entry
from ledger.strict_json import StrictJSONError, loads
from ledger_cli.reading import StartInput
from ledger_cli.stack.client import FunctionError, Stack, StackError
from ledger_cli.stack.inspection import inspect
from ledger_cli.stack.queries import require_readable


class NothingRefusedError(Exception):
    """No entry of this ID was refused, or each of them is recorded by now. The message says so."""


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry that an execution refused, as it was sent."""

    execution_arn: str
    text: str

    @property
    def start_input(self) -> StartInput:
        """The entry, as a command delivers it."""
        return StartInput(self.execution_arn.rpartition(":")[2], self.text)


def find_refused(stack: Stack, requested_id: str) -> RefusedEntry:
    """Return the refused entry of a payment, or of the execution with this name or ARN.

    Raises:
        NothingRefusedError: there is none.
        StackError: there are several, so that the operator has to name one; or its execution has no entry to deliver.
    """
    found = inspect(stack, requested_id)
    if found.execution is not None and found.execution.is_entry and found.execution.outcome == "REFUSED":
        return _of_execution(stack, found.execution.arn)
    if found.read_error:
        raise StackError(f"{requested_id}: {found.read_error}")
    if not found.undecided:
        raise NothingRefusedError(
            f"{requested_id}: no entry of it is refused: {stack.command('inspect', requested_id)}"
        )
    if len(found.undecided) > 1:
        several = "; ".join(
            f"{one.name} ({described_entry(one.entry)})" for one in found.undecided if one.entry is not None
        )
        raise StackError(f"{requested_id}: several of its entries are refused: name one of their executions: {several}")
    return _of_execution(stack, found.undecided[0].arn)


def described_entry(entry: Entry) -> str:
    """Return what an entry is, in a few words."""
    return f"{entry.entry_id}: {entry.kind} {entry.amount} {entry.currency} from {entry.processor_id}"


def _of_execution(stack: Stack, arn: str) -> RefusedEntry:
    """Return the entry that an execution refused.

    Raises:
        StackError: its input cannot be delivered again.
    """
    text = stack.client("stepfunctions").describe_execution(executionArn=arn)["input"]
    name = arn.rpartition(":")[2]
    try:
        content = loads(text)
    except StrictJSONError as unreadable:
        raise StackError(f"{name}: its input cannot be repeated ({unreadable.rule}): ask the sender") from None
    if not is_entry(content):
        raise StackError(f"{name}: it has no entry to repeat: ask the sender to correct it")
    return RefusedEntry(arn, text)


def accept(stack: Stack, refused: RefusedEntry, reason: str, requester: str) -> dict[str, Any]:
    """Have the entry recorded, and return the reply of the function: the outcome, and the entry as the ledger has it.

    Raises:
        StackError: the function refuses it too, or AWS denies the call.
    """
    entry, execution = loads(refused.text), refused.execution_arn
    request = {"Entry": entry, "Execution": execution, "Reason": reason, "Requester": requester}
    name = refused.start_input.file
    try:
        reply: dict[str, Any] = stack.invoke("AcceptFunction", request)
    except FunctionError as error:
        require_readable(error)
        if error.name == "InvalidRequestError":
            raise StackError(error.message) from None
        if error.name in {"InvalidEntryError", "EntryTooEarlyError"}:
            rules = ", ".join(one["Rule"] for one in json.loads(error.message)["Violations"])
            raise StackError(f"{name}: nobody can waive these rules: {rules}") from None
        if error.name == "EntryConflictError":
            raise StackError(f"{name}: another entry is recorded under its EntryID: see `ledger inspect`") from None
        raise StackError(f"accept_entry failed: {error}") from None
    return reply
