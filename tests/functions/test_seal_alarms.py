"""The figures of a run of the sealer, which its alarms count, say nothing that the run does not know."""

import json
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.faults import Faults
from tests.support.functions import invoke, sample

SEAL = sample("seal_ledger")
AN_HOUR_LATER = SEAL["ScheduledTime"].replace("T09:", "T10:")


def recorded(engine: Engine, transaction_id: str) -> None:
    """Record one payment."""
    event = json.loads((ROOT / "events/functions/persist_payment_ledger.json").read_text())
    event["Payment"] |= {"TransactionID": transaction_id}
    assert invoke(engine, "PersistPaymentLedger", event)


def figures(engine: Engine, event: object) -> dict[str, Any]:
    """Return what one run writes of its metrics."""
    before = len(engine.logs().splitlines())
    invoke(engine, "SealLedger", event)
    lines = [json.loads(line) for line in engine.logs().splitlines()[before:] if '"_aws"' in line]
    names = ("SealedRecords", "UnsealedRecords", "UnsealedAge")
    return {name: line[name][0] for line in lines for name in names if name in line}


def test_a_run_that_seals_all_reports_that_nothing_is_left(engine: Engine) -> None:
    """The alarm on the age gets a figure of every run, so that it can tell a quiet ledger from a sealer that is off."""
    recorded(engine, "txn-1")
    assert figures(engine, SEAL) == {"SealedRecords": 1.0, "UnsealedRecords": 0.0, "UnsealedAge": 0.0}
    assert figures(engine, SEAL) == {"SealedRecords": 0.0, "UnsealedRecords": 0.0, "UnsealedAge": 0.0}


@pytest.mark.parametrize("operation", ["GetPublicKey", "Sign", "UpdateItem", "PutEvents"])
def test_a_seal_that_cannot_be_finished_never_looks_like_a_finished_one(
    engine: Engine, faults: Faults, operation: str
) -> None:
    """Each later run fails at this seal, before it looks for records: an age of 0 would keep the alarm silent."""
    recorded(engine, "txn-1")
    faults.refuse(operation, "AccessDeniedException", times=2)
    of_the_first = figures(engine, SEAL).get("UnsealedRecords")
    assert of_the_first == (None if operation == "PutEvents" else 1.0)  # the event comes after the markers
    recorded(engine, "txn-2")
    assert figures(engine, {"ScheduledTime": AN_HOUR_LATER}) == {"SealedRecords": 0.0}
    assert figures(engine, {"ScheduledTime": AN_HOUR_LATER})["UnsealedAge"] == 0.0
    assert len(engine.seals()) == 2


def test_a_damaged_seal_leaves_the_alarm_without_data(engine: Engine) -> None:
    """Nothing more is sealed until an operator has looked, and missing data makes the alarm ring."""
    recorded(engine, "txn-1")
    invoke(engine, "SealLedger", SEAL)
    (seal,) = engine.seals()
    engine.client("dynamodb").put_item(TableName=engine.outputs["SealsTableName"], Item={**seal, "Root": {"B": b"x"}})
    recorded(engine, "txn-2")
    assert figures(engine, SEAL) == {"SealedRecords": 0.0}


def test_an_index_that_cannot_be_read_leaves_the_alarm_without_data(engine: Engine, faults: Faults) -> None:
    """A run that has seen no record does not know how old the oldest one is."""
    recorded(engine, "txn-1")
    invoke(engine, "SealLedger", SEAL)
    recorded(engine, "txn-2")
    faults.refuse("Query", "AccessDeniedException")
    assert figures(engine, SEAL) == {"SealedRecords": 0.0}
