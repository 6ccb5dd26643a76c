"""The records that `--json` prints: one casing for all keys, and the sender's own keys as they came."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger_cli.reading import StartInput
from ledger_cli.stack.deliveries import DeliveryResult
from ledger_cli.stack.execution import Execution, StateRun
from ledger_cli.stack.inspection import ExecutionSummary, Inspection
from ledger_cli.stack.processors import Registration
from ledger_cli.views import records

ARN = "arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:name"
AT = datetime(2026, 11, 24, tzinfo=UTC)
PAYMENT = {"TransactionID": "t", "Metadata": {"orderNumber": "1"}, "Execution": ARN, "PublishedAt": None}
EXECUTION = Execution(
    name="name",
    arn=ARN,
    status="SUCCEEDED",
    outcome="RECORDED",
    output=None,
    error=None,
    cause=None,
    started_at=AT,
    ended_at=None,
    states=(StateRun("Persist Payment", 1.0, 1),),
    events=(),
    published=("PaymentRecorded", "id"),
)
RECORDS: dict[str, dict[str, Any]] = {
    "payment": records.payment(PAYMENT),
    "delivery": records.delivery(DeliveryResult(file="-", execution_arn=ARN, status="RUNNING", outcome=None)),
    "run": records.run(StartInput("-", "{}"), EXECUTION),
    "execution": records.execution(EXECUTION),
    "redrive": records.redrive(EXECUTION, None, dry_run=True),
    "inspection": records.inspection(
        Inspection(
            requested_id="t",
            payment=PAYMENT,
            execution=EXECUTION,
            other_executions=(ExecutionSummary("name", ARN, "FAILED", AT, "CONFLICT"),),
        )
    ),
    "registration": records.registration(
        Registration(
            processor_id="p", format="stripe", webhook="w", secret=None, prefix=None, active=1, older_until=None,
            within_minutes=5,
        )
    ),
}  # fmt: skip


def items_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at every depth but below a sender's metadata."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            if key != "metadata":
                yield from items_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from items_of(inner)


@pytest.mark.parametrize("name", RECORDS)
def test_every_key_has_one_casing(name: str) -> None:
    """A script that reads two commands must not look up the casing of each."""
    keys = [key for key, _ in items_of(json.loads(json.dumps(RECORDS[name])))]
    assert keys
    assert [key for key in keys if not re.fullmatch("[a-z]+(_[a-z0-9]+)*", key)] == []


@pytest.mark.parametrize("name", RECORDS)
def test_an_execution_is_its_name_in_every_record(name: str) -> None:
    """A script that joins two commands' records would otherwise compare a name with an ARN."""
    named = [value for key, value in items_of(RECORDS[name]) if key == "execution"]
    arns = [value for key, value in items_of(RECORDS[name]) if key == "execution_arn"]
    assert set(named) <= {"name"}
    assert set(arns) <= {ARN}


def test_the_keys_of_metadata_are_the_senders() -> None:
    """The sender chose them, and looks for them."""
    assert records.payment(PAYMENT)["metadata"] == {"orderNumber": "1"}


def test_words_and_abbreviations_are_kept_apart() -> None:
    """The ledger's own names mix both."""
    names = {"TransactionID": 1, "SecureTokenBase64": 2, "OverdueSeconds": 3, "Done": 4}
    assert list(records.snake_case(names)) == ["transaction_id", "secure_token_base64", "overdue_seconds", "done"]
