"""Payments and entries from a partner event source: nobody signs them, and nobody waits for an answer."""

import json
import time
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.deployment import LOCAL_PARAMETERS
from ledger_cli.stack.execution import Execution
from tests.support.faults import Faults
from tests.support.functions import invoke, log_lines
from tests.workflow.test_event_bus import undelivered

SOURCE = LOCAL_PARAMETERS["PartnerSource"]
WAIT_S = 20


def message(name: str) -> Any:
    """Return a sample message of Stripe's."""
    return json.loads((ROOT / f"events/webhooks/stripe-{name}.json").read_text())


def put(engine: Engine, detail: Any, source: str = SOURCE) -> None:
    """Put an event on the partner's bus."""
    entry = {"EventBusName": SOURCE, "Source": source, "DetailType": detail["type"], "Detail": json.dumps(detail)}
    assert engine.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def logged(engine: Engine, line: str, times: int = 1) -> list[dict[str, Any]]:
    """Wait until the log has a line so many times, since nobody answers a bus."""
    deadline = time.monotonic() + WAIT_S
    while len(found := log_lines(engine, line)) < times:
        assert time.monotonic() < deadline, f"not logged: {line}"
        time.sleep(0.02)
    return found


def ended(engine: Engine, line: dict[str, Any], output: str = "WorkflowArn") -> Execution:
    """Wait until the execution that a log line names has ended."""
    return engine.wait_for(f"{engine.outputs[output].replace(':stateMachine:', ':execution:')}:{line['execution']}")


def test_a_charge_and_its_refund_are_recorded(engine: Engine) -> None:
    """The same mapping as for the webhook, and the ProcessorID of the parameter."""
    put(engine, message("charge.succeeded"))
    assert ended(engine, logged(engine, "payment received")[0]).outcome == "RECORDED"
    put(engine, message("refund.created"))
    assert ended(engine, logged(engine, "entry received")[0], "EntriesWorkflowArn").outcome == "RECORDED"
    (item,), (entry,) = engine.items(), engine.entries()
    assert (item["ProcessorID"]["S"], entry["ProcessorID"]["S"]) == ("stripe", "stripe")
    assert undelivered(engine) == []


def test_the_token_is_sealed_before_the_workflow_starts(engine: Engine) -> None:
    """No history shows the payment method, though the bus delivers it in plaintext."""
    charge = message("charge.succeeded")
    put(engine, charge)
    execution = ended(engine, logged(engine, "payment received")[0])
    described = engine.client("stepfunctions").describe_execution(executionArn=execution.arn)
    token = charge["data"]["object"]["payment_method"]
    assert token not in json.dumps(described, default=str) + engine.logs() + json.dumps(engine.published())
    assert "SealedToken" in described["input"]


def test_an_event_that_comes_again_starts_nothing(engine: Engine) -> None:
    """EventBridge and Lambda may each deliver an event twice."""
    put(engine, message("charge.succeeded"))
    first = ended(engine, logged(engine, "payment received")[0])
    put(engine, message("charge.succeeded"))
    again = logged(engine, "payment received", 2)[1]
    assert (again["execution"], again["started"]) == (first.name, False)
    assert len(engine.items()) == 1


def test_an_event_about_something_else_is_ignored_and_counted(engine: Engine) -> None:
    """The destination's ping is such an event."""
    put(engine, {"id": "evt_1", "object": "v2.core.event", "type": "v2.core.event_destination.ping", "livemode": False})
    put(engine, {**message("charge.succeeded"), "livemode": True})
    assert len(logged(engine, "message ignored", 2)) == 2
    assert engine.logs().replace(" ", "").count('"MessageIgnored":[1.0]') == 2
    assert engine.executions() == []


@pytest.mark.parametrize("kind", ["v1.charge.succeeded", "v1.refund.created"])
def test_a_thin_event_is_refused_where_somebody_sees_it(engine: Engine, kind: str) -> None:
    """It has no amount, and nothing leaves the VPC to ask for it. The destination must send snapshots."""
    put(engine, {"id": "evt_1", "object": "v2.core.event", "type": kind, "livemode": False, "related_object": {}})
    is_entry = kind == "v1.refund.created"
    lines = logged(engine, "entry refused" if is_entry else "payment rejected")
    (line,) = [one for one in lines if "execution" in one]  # the workflow logs it too
    execution = ended(engine, line, "EntriesWorkflowArn" if is_entry else "WorkflowArn")
    assert execution.outcome == ("REFUSED" if is_entry else "REJECTED")
    (event,) = engine.published()
    assert event["detail"]["ProcessorID"] == "stripe"
    assert [broken["Rule"] for broken in event["detail"]["Violations"]] == ["not_an_event"]


def test_a_rejected_event_is_published_once_for_each_event(engine: Engine) -> None:
    """Nobody can correct it, so that the function does not fail: Lambda would only repeat it."""
    charge = message("charge.succeeded")
    del charge["data"]["object"]["id"]
    event = {"id": "a", "source": SOURCE, "detail-type": charge["type"], "detail": charge}
    replies = [invoke(engine, "ReceivePartnerEvent", {**event, "id": event_id}) for event_id in ("a", "a", "b")]
    assert [reply["Violations"] for reply in replies] == [[{"Field": "TransactionID", "Rule": "type"}]] * 3
    assert replies[0] == replies[1] != replies[2]
    assert len(engine.executions()) == 2


@pytest.mark.parametrize("source", ["aws.partner/stripe.com/ed_test_other", "payment.ledger", None])
def test_an_event_of_another_source_is_not_taken(engine: Engine, source: str | None) -> None:
    """Somebody may invoke the function by mistake with another rule."""
    event = {"id": "a", "source": source, "detail": message("charge.succeeded")}
    assert invoke(engine, "ReceivePartnerEvent", event)["errorType"] == "ForeignEventError"
    assert engine.executions() == []


def test_what_fails_is_tried_twice_more_and_kept(engine: Engine, faults: Faults, waits: list[float]) -> None:
    """An answer goes to nobody, so only an error makes Lambda repeat the event."""
    charge = message("charge.succeeded")
    for _ in range(3):
        faults.refuse("StartExecution", "AccessDeniedException")
    put(engine, charge)
    deadline = time.monotonic() + WAIT_S
    while not (kept := undelivered(engine)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (record,) = kept
    assert record["requestPayload"]["detail"] == charge
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["errorType"] == "ClientError"
    assert waits[:2] == [60, 120]
    # An operator delivers it again when the cause is gone.
    reply = invoke(engine, "ReceivePartnerEvent", record["requestPayload"])
    assert ended(engine, {"execution": reply["Execution"]}).outcome == "RECORDED"


def test_a_failure_that_passes_loses_nothing(engine: Engine, faults: Faults) -> None:
    """The second attempt delivers the payment."""
    faults.refuse("Encrypt", "KMSInternalException")
    put(engine, message("charge.succeeded"))
    assert ended(engine, logged(engine, "payment received")[0]).outcome == "RECORDED"
    assert undelivered(engine) == []


def test_the_function_keeps_failed_events_where_the_rule_does(engine: Engine) -> None:
    """The engine takes the rule's queue for both."""
    resources = engine.template["Resources"]
    on_failure = resources["ReceivePartnerEventEventInvokeConfig"]["Properties"]["DestinationConfig"]["OnFailure"]
    (target,) = resources["PartnerRule"]["Properties"]["Targets"]
    assert on_failure["Destination"] == target["DeadLetterConfig"]["Arn"]
