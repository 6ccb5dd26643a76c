"""Payments from the processors' bus: each event starts an execution, whose name the bus chooses."""

import json
from typing import Any

import pytest
from moto.events.models import Rule, events_backends

from ledger_cli import REGION, ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.account import ACCOUNT_ID
from ledger_cli.stack.execution import Execution

(SAMPLE,) = json.loads((ROOT / "events/bus/put-events.json").read_text())


def executions(engine: Engine) -> list[Execution]:
    """Wait until every execution has ended, and return them, the latest last."""
    listed = engine.client("stepfunctions").list_executions(stateMachineArn=engine.outputs["WorkflowArn"])["executions"]
    return [engine.wait_for(one["executionArn"]) for one in sorted(listed, key=lambda one: str(one["startDate"]))]


def put(engine: Engine, **changes: str) -> None:
    """Put the sample event on its bus."""
    assert engine.client("events").put_events(Entries=[{**SAMPLE, **changes}])["FailedEntryCount"] == 0


@pytest.fixture
def rule(engine: Engine) -> Rule:
    """Return the rule as it is deployed."""
    bus = events_backends[ACCOUNT_ID][REGION].event_buses[engine.outputs["PaymentsBusName"]]
    (own,) = [rule for rule in bus.rules.values() if rule.name == "start-payments"]
    return own


def undelivered(engine: Engine) -> list[Any]:
    """Take every message out of the dead-letter queue."""
    sqs = engine.client("sqs")
    url = sqs.get_queue_url(QueueName="undelivered-payments")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def test_an_event_starts_its_payment(engine: Engine) -> None:
    """The event's detail is the start input, exactly as the sender has put it."""
    put(engine)
    (execution,) = executions(engine)
    assert execution.outcome == "RECORDED"
    described = engine.client("stepfunctions").describe_execution(executionArn=execution.arn)
    assert json.loads(described["input"]) == json.loads(SAMPLE["Detail"])
    assert [item["TransactionID"]["S"] for item in engine.items()] == ["txn-2026-0201"]
    assert undelivered(engine) == []


def test_an_event_delivered_again_is_a_duplicate(engine: Engine) -> None:
    """A bus may deliver an event twice, each time under another execution name. Only the table shows the repeat."""
    put(engine)
    executions(engine)
    put(engine)
    assert [execution.outcome for execution in executions(engine)] == ["RECORDED", "DUPLICATE"]
    assert len(engine.items()) == 1


@pytest.mark.parametrize(
    "changes", [{"DetailType": "PaymentRecorded"}, {"EventBusName": "payment-ledger"}, {"EventBusName": "default"}]
)
def test_other_events_start_nothing(engine: Engine, changes: dict[str, str]) -> None:
    """The ledger's own events, above all, must not start payments."""
    put(engine, **changes)
    assert executions(engine) == []


def test_an_event_that_cannot_be_started_is_kept(engine: Engine, rule: Rule) -> None:
    """The queue keeps the event until an operator has fixed the cause and puts it on the bus again."""
    (target,) = rule.targets
    workflow, target["Arn"] = target["Arn"], target["Arn"] + "-gone"
    try:
        put(engine)
    finally:
        target["Arn"] = workflow
    (kept,) = undelivered(engine)
    assert json.dumps(kept["detail"]) == SAMPLE["Detail"]
    assert executions(engine) == []
