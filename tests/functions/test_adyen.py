"""Adyen's messages through the webhook: what Adyen does not sign cannot change what the ledger has recorded."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.intake import execution_prefix
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.http_api import Request
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed_body

Post = Callable[..., tuple[int, Any]]
JSON_TYPE = {"content-type": "application/json"}


def item_in(notification: Any) -> Any:
    """Return the one item of a notification."""
    return notification["notificationItems"][0]["NotificationRequestItem"]


def genuine(name: str, **fields: Any) -> Any:
    """Return a sample notification with other fields, as Adyen signs and sends it."""
    notification = json.loads((ROOT / f"events/webhooks/adyen-{name}.json").read_text())
    item_in(notification).update(fields)
    return json.loads(signed_body(PROCESSORS["adyen"], json.dumps(notification).encode()))


def replayed(notification: Any, **fields: Any) -> Any:
    """Return a copy of a notification with other fields and the same signature, as anybody can make it who has it."""
    copy = json.loads(json.dumps(notification))
    item = item_in(copy)
    added = {**item["additionalData"], **fields.pop("additionalData", {})}
    item.update(fields, additionalData=added)
    return copy


@pytest.fixture
def post(engine: Engine) -> Post:
    """Return a function that posts a notification, waits for what it started, and returns the status and outcome."""
    register_sample_processors(engine)
    workflows = [engine.outputs[name] for name in ("WorkflowArn", "EntriesWorkflowArn")]

    def posted(notification: Any) -> tuple[int, Any]:
        body = json.dumps(notification).encode()
        answer = engine.answer(Request("POST", "/processors/adyen/payments", JSON_TYPE, body))
        assert answer is not None
        status, answered = answer[0], json.loads(answer[2])
        for execution in [f"{execution_prefix(arn)}:{answered.get('Execution')}" for arn in workflows]:
            if execution in engine.executions():
                ended = engine.wait_for(execution).outcome
                answered.setdefault("Outcome", ended)
        return status, answered.get("Outcome")

    return posted


def test_a_payment_and_its_refund_are_recorded(engine: Engine, post: Post) -> None:
    """Adyen corrects nothing, so that every answer is 200: any other one would hold up all later messages."""
    assert post(genuine("authorisation")) == (200, "RECORDED")
    assert post(genuine("refund")) == (200, "RECORDED")
    assert post(genuine("chargeback")) == (200, "RECORDED")
    (payment,) = engine.items()
    assert (payment["ProcessorID"]["S"], payment["Amount"]["N"]) == ("adyen", "100")
    assert [entry["Kind"]["S"] for entry in engine.entries()] == ["Refunded", "Disputed"]


def recorded(engine: Engine) -> list[dict[str, Any]]:
    """Return everything that the ledger has recorded, tokens included, but not whether it is published yet."""
    both = [*engine.items(), *engine.entries()]
    return [{name: value for name, value in item.items() if name != "Unpublished"} for item in both]


@pytest.mark.parametrize(
    ("name", "changed", "outcome"),
    [
        ("authorisation", {}, "RECORDED"),
        ("authorisation", {"eventDate": "2026-11-21T10:27:01+01:00"}, "CONFLICT"),
        (
            "authorisation",
            {"additionalData": {"tokenization.storedPaymentMethodId": "ANOTHERTOKEN0000"}},
            "RECORDED",
        ),
        ("authorisation", {"reason": "x", "paymentMethod": "mc", "operations": []}, "RECORDED"),
        ("refund", {}, "RECORDED"),
        ("refund", {"eventDate": "2026-11-23T10:02:01+01:00"}, "CONFLICT"),
        ("refund", {"additionalData": {"modification.action": "cancel"}}, "RECORDED"),
        ("chargeback", {"additionalData": {"grossValue": "1", "disputeStatus": "Won"}}, "RECORDED"),
    ],
)
def test_a_replay_with_other_unsigned_values_changes_nothing(
    engine: Engine, post: Post, name: str, changed: dict[str, Any], outcome: str
) -> None:
    """Adyen signs no time, so a recorded request is valid forever. Then the ledger's identity is the protection."""
    assert post(genuine("authorisation")) == (200, "RECORDED")
    notification = genuine(name)
    assert post(notification) == (200, "RECORDED")
    before = recorded(engine)
    assert len(before) == (1 if name == "authorisation" else 2)
    for _ in range(2):
        assert post(replayed(notification, **changed)) == (200, outcome)
        assert recorded(engine) == before
    assert post(notification) == (200, "RECORDED")
    assert recorded(engine) == before


@pytest.mark.parametrize("action", ["cancel", "refund", "other", None])
def test_a_copy_of_a_refused_message_stays_refused(engine: Engine, post: Post, action: str | None) -> None:
    """The action of a reversal is not signed. If it decided anything, a copy with another one would be recorded."""
    assert post(genuine("authorisation")) == (200, "RECORDED")
    before = recorded(engine)
    reversal = genuine("refund", eventCode="CANCEL_OR_REFUND", additionalData={"modification.action": "void"})
    assert post(reversal) == (200, "REFUSED")
    assert post(replayed(reversal, additionalData={"modification.action": action})) == (200, "REFUSED")
    assert recorded(engine) == before


def test_a_replay_in_the_other_mode_is_ignored(engine: Engine, post: Post) -> None:
    """The mode is not signed either."""
    assert post({**genuine("authorisation"), "live": "true"}) == (200, "IGNORED")
    assert recorded(engine) == engine.executions() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"pspReference": "ANOTHER0PAYMENT0"},
        {"originalReference": "ANOTHER0PAYMENT0"},
        {"merchantAccountCode": "Another"},
        {"merchantReference": "another"},
        {"amount": {"currency": "EUR", "value": 1}},
        {"amount": {"currency": "USD", "value": 10000}},
        {"eventCode": "CAPTURE"},
        {"success": "false"},
        {"additionalData": {"hmacSignature": None}},
    ],
)
def test_a_replay_with_another_signed_value_is_nobodys(engine: Engine, post: Post, changed: dict[str, Any]) -> None:
    """Each of the eight values counts."""
    assert post(replayed(genuine("authorisation"), **changed)) == (401, None)
    assert recorded(engine) == engine.executions() == []


def test_what_is_refused_is_published_and_answered_with_200(engine: Engine, post: Post) -> None:
    """Another answer would hold up every later message of Adyen's for up to 30 days."""
    batch = genuine("authorisation")
    batch["notificationItems"] *= 2
    for notification, outcome, field, rule in (
        (batch, "REJECTED", "Payment", "several_items"),
        (genuine("authorisation", amount={"currency": "TMT", "value": 10000}), "REJECTED", "Amount", "amount_unit"),
        (genuine("refund", eventCode="CAPTURE_FAILED"), "REFUSED", "Entry", "capture_failed"),
    ):
        assert post(notification) == (200, outcome)
        assert engine.published()[-1]["detail"]["Violations"] == [{"Field": field, "Rule": rule}]
    assert recorded(engine) == []
