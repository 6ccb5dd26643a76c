"""Records for machines: what `--json` prints, with keys in lower-case snake case.

`execution` is the name of an execution in every record, and `execution_arn` its ARN.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ledger.fast_lane import name_of_execution
from ledger.formats import Format
from ledger_cli.reading import StartInput
from ledger_cli.stack.deliveries import DeliveryResult
from ledger_cli.stack.execution import Execution
from ledger_cli.stack.inspection import ExecutionSummary, Inspection
from ledger_cli.stack.processors import Registration
from ledger_cli.views.text import failed_state

WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat record of the ledger with its keys in snake case; `TransactionID` becomes `transaction_id`."""
    return {WORD_BOUNDARY.sub("_", name).lower(): value for name, value in record.items()}


def payment(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded payment. The keys of its metadata are the sender's, and stay as they are."""
    record = snake_case(recorded)
    arn = record.pop("execution")
    return {**record, "execution": name_of_execution(arn), "execution_arn": arn}


def entry(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded entry. The keys of its metadata are the sender's, and stay as they are."""
    record = payment(recorded)
    for name in ("totals", "acceptance"):
        if name in record:
            record[name] = snake_case(record[name])
    return record


def life(
    entries: Iterable[Mapping[str, Any]], totals: Mapping[str, Any] | None, unreadable: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what happened to a payment after it was recorded. Totals are null if an entry is damaged."""
    return {
        "entries": [entry(one) for one in entries],
        "totals": None if totals is None else snake_case(totals),
        "unreadable": [snake_case(one) for one in unreadable],
    }


def delivery(result: DeliveryResult) -> dict[str, Any]:
    """Return the result of one delivery."""
    return {"file": result.file, "execution": result.execution, **asdict(result)}


def format_(name: str, described: Format) -> dict[str, Any]:
    """Return a format of processors: its name, what it signs and what not, and what its secret is."""
    scheme = described.scheme
    return {
        "format": name, "signs": scheme.signs, "leaves_unsigned": scheme.leaves_unsigned,
        "secret": scheme.secret.description,
    }  # fmt: skip


def registration(changed: Registration) -> dict[str, Any]:
    """Return a processor that was registered or changed."""
    return asdict(changed)


def run(start_input: StartInput, ended: Execution) -> dict[str, Any]:
    """Return a payment's execution in an engine. It has no ARN, since the engine ends with the command."""
    return {
        "file": start_input.file,
        "execution": ended.name,
        "status": ended.status,
        "outcome": ended.outcome,
        "error": ended.error,
        "cause": ended.cause,
        "states": [asdict(state) for state in ended.states],
    }


def execution(shown: Execution) -> dict[str, Any]:
    """Return an execution, without any input, output or token."""
    event, outcome_id = shown.published or (None, None)
    return {
        "execution": shown.name,
        "execution_arn": shown.arn,
        "status": shown.status,
        "outcome": shown.outcome,
        "error": shown.error,
        "cause": shown.cause,
        "started_at": shown.started_at.isoformat(),
        "ended_at": _optional_time(shown.ended_at),
        "states": [asdict(state) for state in shown.states],
        "published": event,
        "outcome_id": outcome_id,
    }


def inspection(found: Inspection) -> dict[str, Any]:
    """Return the whole inspection. Its execution is the one that decided the outcome."""
    return {
        "requested_id": found.requested_id,
        "outcome": found.outcome,
        "next_step": found.next_step,
        "read_error": found.read_error,
        "log_error": found.log_error,
        "searched_back_to": _optional_time(found.searched_back_to),
        "payment": None if found.payment is None else payment(found.payment),
        **life(found.entries, found.totals, found.unreadable),
        "deciding_execution": None if found.execution is None else execution(found.execution),
        "other_executions": [_execution_summary(other) for other in found.other_executions],
    }


def redrive(failed: Execution, not_redrivable: str | None, *, dry_run: bool) -> dict[str, Any]:
    """Return what the command did to an execution that had a technical failure."""
    return {
        "execution": failed.name,
        "execution_arn": failed.arn,
        "state": failed_state(failed),
        "error": failed.error,
        "redriven": not_redrivable is None and not dry_run,
        "not_redrivable": not_redrivable,
    }


def _execution_summary(other: ExecutionSummary) -> dict[str, Any]:
    return {
        "execution": other.name,
        "execution_arn": other.arn,
        "status": other.status,
        "outcome": other.outcome,
        "reason": other.reason,
        "entry_id": other.entry_id,
    }


def _optional_time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
