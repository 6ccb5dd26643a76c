"""The card hunt: a card's number, in everything that a run leaves behind, by each way that a payment can come."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from ledger.violations import InvalidPaymentError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.http_api import Request
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed
from tests.support.hunt import Hunt
from tests.support.intake import intake_of
from tests.support.traces import SENT, Traces

CARD = "5425233430109903"
"""A public test number of Mastercard's. The ledger never accepts a card number, so none of its places holds one."""

GROUPED = "5425 2334 3010 9903"

CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "TransactionID": ({"TransactionID": CARD}, "TransactionID: card_number"),
    "in a TransactionID": ({"TransactionID": f"order_{CARD}-1"}, "TransactionID: card_number"),
    "ProcessorID": ({"ProcessorID": CARD}, "ProcessorID: card_number"),
    "metadata value": ({"Metadata": {"note": f"card {CARD} 12/28"}}, "Metadata: card_number"),
    "metadata name": ({"Metadata": {CARD: ""}}, "Metadata: card_number"),
    "metadata in groups": ({"Metadata": {"card": GROUPED}}, "Metadata: card_number"),
    "a verification code": ({"Metadata": {"card_cvv": CARD[-4:], "pan": CARD}}, "Metadata: card_data"),
    "the token": ({"SecureToken": CARD}, "SecureToken: card_number"),
    "everywhere": (dict.fromkeys(("TransactionID", "ProcessorID", "SecureToken", "Status", CARD), CARD),
        "TransactionID: card_number"),
}  # fmt: skip
"""Payments that hold the number, by its place: the fields, and the rule that they break."""


def cards_found(traces: Traces) -> set[str]:
    """Return the places that hold the number, with or without spaces between its groups."""
    places = traces.places()
    return {*Hunt(CARD).found(places), *Hunt(GROUPED).found(places)}


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_stays_where_its_sender_put_it(
    traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """An execution keeps its input, which the ledger cannot prevent. No log, event, cause or metric repeats it."""
    execution = traces.run({**payment, **fields})
    assert execution.outcome == "REJECTED"
    assert violation in execution.cause.split("; ")
    assert cards_found(traces) == SENT


def test_a_card_number_as_an_import_stays_where_its_sender_put_it(traces: Traces, payment: dict[str, Any]) -> None:
    """The field has two values, and no message repeats another one."""
    execution = traces.run({**payment, "Import": CARD})
    assert execution.cause == "Import: import"
    assert cards_found(traces) == SENT


@pytest.mark.parametrize("field", ["TransactionID", "ProcessorID"])
def test_a_card_number_in_a_rejection_that_a_sender_writes_stays_there(traces: Traces, field: str) -> None:
    """A card number has the form of an ID, and a rejection publishes IDs."""
    violations = [{"Field": "Amount", "Rule": "decimal"}]
    execution = traces.run({"Refused": {field: CARD, "Violations": violations}})
    assert "Payment: unknown_field" in execution.cause.split("; ")
    assert cards_found(traces) == SENT


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_posted_card_number_is_left_nowhere(
    engine: Engine,
    webhook: Callable[..., int],
    traces: Traces,
    payment: dict[str, Any],
    fields: dict[str, Any],
    violation: str,
) -> None:
    """A hash of the number is left nowhere either: one bank has so few numbers that anybody can reverse the hash."""
    status = webhook(json.dumps({**payment, **fields}).encode())
    assert status == 400
    (event,) = engine.published()
    rules = [f"{broken['Field']}: {broken['Rule']}" for broken in event["detail"]["Violations"]]
    # A message that names another processor is rejected for that alone.
    assert violation in rules or rules == ["ProcessorID: another_processor"]
    assert cards_found(traces) == set()


@pytest.mark.parametrize(
    "fields", [{"id": f"ch_{CARD}"}, {"id": CARD}, {"payment_method": CARD}, {"payment_intent": GROUPED}]
)
def test_a_card_number_in_a_processors_own_format_is_left_nowhere(
    webhook: Callable[..., int], traces: Traces, fields: dict[str, str]
) -> None:
    """The same rules apply to a payment that a format has read out of a processor's own message."""
    event = json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())
    event["data"]["object"] |= fields
    assert webhook(json.dumps(event).encode(), "stripe") == 400
    assert cards_found(traces) == set()


def test_a_card_number_in_the_webhooks_path_is_left_nowhere(engine: Engine, traces: Traces) -> None:
    """A card number has the form of a ProcessorID, which is logged and looked up in Secrets Manager."""
    engine.functions["ReceivePayment"].restart()
    headers = signed(PROCESSORS["acme-pay"], b"{}", round(time.time()))
    answer = engine.answer(Request("POST", f"/processors/{CARD}/payments", headers, b"{}"))
    assert answer is not None
    assert traces.answered(answer) == 401
    assert "unknown_processor" in engine.logs()
    assert cards_found(traces) == set()


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_that_a_sender_starts_is_left_nowhere(
    engine: Engine, traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """`Intake`, which `ledger start` and the webhook use, checks a payment before it starts an execution."""
    intake = intake_of(engine)
    with pytest.raises(InvalidPaymentError) as caught:
        intake.deliver({**payment, **fields})
    assert violation in caught.value.log_keys["rules"]
    assert engine.executions() == []
    assert traces.wait_for(intake.reject(caught.value, "message")).outcome == "REJECTED"
    assert cards_found(traces) == set()


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_on_the_processors_bus_goes_no_further(
    engine: Engine, traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """The bus starts an execution with the event's detail, exactly as the sender has put it there."""
    (sample,) = json.loads((ROOT / "events/bus/put-events.json").read_text())
    engine.client("events").put_events(Entries=[{**sample, "Detail": json.dumps({**payment, **fields})}])
    (arn,) = engine.executions()
    assert violation in traces.wait_for(arn).cause.split("; ")
    assert cards_found(traces) == SENT
