"""What a webhook says: each processor's format becomes the contract's start input, or is refused by field and rule."""

import json
from typing import Any

import pytest

from ledger.currencies import MINOR_UNITS
from ledger.formats import (
    FORMATS,
    STRIPE_THREE_DECIMAL,
    STRIPE_TWO_DECIMAL,
    STRIPE_ZERO_DECIMAL,
)
from ledger.payment import InvalidPaymentError, Violation, parse_payment
from ledger.signature import STANDARD_WEBHOOKS, STRIPE
from ledger_cli import ROOT

OF_STRIPE = FORMATS["stripe-test"].start_input
OF_THE_CONTRACT = FORMATS["standard-webhooks"].start_input


@pytest.fixture
def event() -> Any:
    """Stripe's event of a charge that succeeded."""
    return json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())


def refused_by(message: Any) -> list[tuple[str, str]]:
    """The rules that a message of Stripe's breaks, in its format or in the contract."""
    if isinstance(message, dict):
        message = {"livemode": False, **message}
    try:
        start_input = OF_STRIPE(message, "stripe")
        parse_payment(start_input, default_currency="USD")
    except InvalidPaymentError as refusal:
        return [(violation.field, violation.rule) for violation in refusal.violations]
    return []


@pytest.mark.parametrize(
    ("token", "named"),
    [("pm_1", "ch_1"), ("pm_of_ch_1", "ch_1"), ("tok_in_the_id", None)],
    ids=["other", "in it", "same"],
)
def test_what_a_format_refuses_is_named_by_its_id(event: Any, token: str, named: str | None) -> None:
    """Support searches for it, although the contract was not asked; a token in the place of an ID is named nowhere."""
    transaction_id = named or token
    event["data"]["object"] |= {"id": transaction_id, "payment_method": token, "created": 10**15}
    with pytest.raises(InvalidPaymentError) as charge:
        OF_STRIPE(event, "stripe")
    message = {"TransactionID": transaction_id, "SecureToken": token, "ProcessorID": "other"}
    with pytest.raises(InvalidPaymentError) as payment:
        OF_THE_CONTRACT(message, "acme-pay")
    assert charge.value.violations == [Violation("Timestamp", "timestamp_range")]
    assert payment.value.violations == [Violation("ProcessorID", "another_processor")]
    assert charge.value.transaction_id == payment.value.transaction_id == named


def test_each_format_is_signed_as_its_processor_signs() -> None:
    """A request of one scheme is never read in the other's format."""
    schemes = {name: format_.scheme for name, format_ in FORMATS.items()}
    assert schemes == {"standard-webhooks": STANDARD_WEBHOOKS, "stripe": STRIPE, "stripe-test": STRIPE}


def test_what_stripe_leaves_out_is_no_metadata(event: Any) -> None:
    """A charge that was made without a payment intent has none."""
    del event["data"]["object"]["payment_intent"]
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Metadata"] == {"stripe.event": event["id"]}
    assert refused_by(event) == []


def test_a_charge_is_a_payment(event: Any) -> None:
    """Field by field."""
    assert OF_STRIPE(event, "stripe") == {
        "TransactionID": "ch_3SampleLedger0000000000001",
        "SecureToken": "pm_1SampleLedger0000000000001",
        "Amount": "25.99",
        "Currency": "USD",
        "ProcessorID": "stripe",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01+00:00",
        "Metadata": {
            "stripe.event": "evt_3SampleLedger0000000000001",
            "stripe.payment_intent": "pi_3SampleLedger0000000000001",
        },
    }
    assert refused_by(event) == []


def test_a_charge_delivered_again_is_the_same_payment(event: Any) -> None:
    """Another event may tell of the same charge; only what is in the fingerprint counts."""
    first, _ = parse_payment(OF_STRIPE(event, "stripe"), default_currency="USD")
    event["id"], event["created"] = "evt_another", event["created"] + 60
    again, _ = parse_payment(OF_STRIPE(event, "stripe"), default_currency="USD")
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    "kind", ["charge.pending", "charge.expired", "charge.refunded", "charge.updated", "customer.created", ""]
)
def test_an_event_about_no_outcome_is_no_payment(event: Any, kind: str) -> None:
    """A processor sends more than was asked for, and sends again what is not taken."""
    assert OF_STRIPE({**event, "type": kind}, "stripe") is None


def test_an_authorisation_is_no_payment_until_it_is_captured(event: Any) -> None:
    """Money that is only held may be let go again, or taken in part: what was captured is what was paid."""
    charge = event["data"]["object"]
    charge |= {"captured": False, "amount_captured": 0}
    assert OF_STRIPE(event, "stripe") is None
    charge |= {"captured": True, "amount_captured": 1000}
    captured = OF_STRIPE({**event, "type": "charge.captured"}, "stripe")
    assert captured is not None
    assert (captured["Status"], captured["Amount"]) == ("Success", "10")
    assert refused_by({**event, "type": "charge.captured"}) == []


def test_a_charge_that_failed_is_told_with_what_was_asked_for(event: Any) -> None:
    """Nothing of it was captured."""
    event["data"]["object"] |= {"captured": False, "amount_captured": 0}
    failed = OF_STRIPE({**event, "type": "charge.failed"}, "stripe")
    assert failed is not None
    assert (failed["Status"], failed["Amount"]) == ("Failure", "25.99")


@pytest.mark.parametrize("livemode", [True, False, None, "true", 1])
def test_a_test_event_is_no_payment(event: Any, livemode: Any) -> None:
    """Stripe sends them to live endpoints too, under the same secret; a ledger for tests takes no others."""
    event["livemode"] = livemode
    taken = {name for name in ("stripe", "stripe-test") if FORMATS[name].start_input(event, "stripe") is not None}
    assert taken == ({"stripe"} if livemode is True else {"stripe-test"} if livemode is False else set())


@pytest.mark.parametrize("message", [None, 1, "text", [], {}, {"type": 1}, {"type": None}])
def test_what_is_no_event_is_refused(message: Any) -> None:
    """Its signature was right, so somebody of the processor's sends the wrong thing."""
    assert refused_by(message) == [("Payment", "not_an_event")]


@pytest.mark.parametrize("data", [None, [], {}, {"object": None}, {"object": []}])
def test_an_event_without_a_charge_is_refused(event: Any, data: Any) -> None:
    """Under a name that should have one."""
    assert refused_by({**event, "data": data}) == [("Payment", "not_an_event")]


@pytest.mark.parametrize("value", [None, "1000", 10.5, "10.5", True, [1], {"a": 1}])
def test_an_amount_of_another_type_is_refused(event: Any, value: Any) -> None:
    """Text would be taken for major units: a hundred times as much."""
    event["data"]["object"]["amount_captured"] = value
    assert refused_by(event) == [("Amount", "type")]


@pytest.mark.parametrize(
    ("field", "value", "broken"),
    [
        ("id", None, [("TransactionID", "type")]),
        ("id", "ch 1", [("TransactionID", "identifier")]),
        ("payment_method", None, [("SecureToken", "type")]),
        ("currency", None, [("Amount", "type"), ("Currency", "type")]),
        ("currency", 7, [("Amount", "type"), ("Currency", "type")]),
        ("currency", "xyz", [("Currency", "currency")]),
        ("currency", "xau", [("Currency", "no_minor_unit")]),
        ("currency", "ugx", [("Amount", "amount_unit")]),
        ("amount_captured", -5, [("Amount", "negative")]),
        ("amount_captured", -1, [("Amount", "negative")]),
        ("amount_captured", 10**40, [("Amount", "digits")]),
        ("created", None, [("Timestamp", "type")]),
        ("created", "1795255321", [("Timestamp", "type")]),
        ("created", True, [("Timestamp", "type")]),
        ("created", 10**12, [("Timestamp", "timestamp_range")]),
        ("created", 10**17, [("Timestamp", "timestamp_range")]),
        ("created", 10**30, [("Timestamp", "timestamp_range")]),
        ("payment_intent", 7, [("Metadata", "type")]),
    ],
)
def test_what_is_wrong_with_a_charge_is_named(event: Any, field: str, value: Any, broken: Any) -> None:
    """In the contract's names; a missing currency must not become the stack's default."""
    charge = event["data"]["object"]
    charge[field] = value
    assert refused_by(event) == broken
    if value is None:
        del charge[field]
        assert refused_by(event) == broken


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (2599, "usd", "25.99"),
        (2500, "usd", "25"),
        (5, "usd", "0.05"),
        (0, "usd", "0"),
        (500, "jpy", "500"),
        (5120, "kwd", "5.12"),
        (5125, "bhd", "5.125"),
        (5125, "jod", "5.125"),
        (5125, "omr", "5.125"),
        (5125, "tnd", "5.125"),
        (500, "bif", "500"),
        (1500, "isk", "15"),
        (500, "mga", "500"),
        (123456789012, "eur", "1234567890.12"),
    ],
)
def test_smallest_units_become_major_units(event: Any, amount: int, currency: str, text: str) -> None:
    """Stripe counts decimals otherwise than ISO 4217 for some: the króna has two, and the ariary none."""
    event["data"]["object"] |= {"amount_captured": amount, "currency": currency}
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Amount"] == text
    assert refused_by(event) == []


def test_a_fraction_of_a_krona_is_refused(event: Any) -> None:
    """There is none."""
    event["data"]["object"] |= {"amount_captured": 1550, "currency": "isk"}
    assert refused_by(event) == [("Amount", "decimals")]


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(event: Any, currency: str) -> None:
    """Each is in one of Stripe's lists, or has two decimals in ISO 4217, or is refused."""
    event["data"]["object"] |= {"amount_captured": 1000, "currency": currency.lower()}
    known = [
        currency in codes
        for codes in (STRIPE_ZERO_DECIMAL, STRIPE_TWO_DECIMAL - STRIPE_ZERO_DECIMAL, STRIPE_THREE_DECIMAL)
    ]
    assert sum(known) <= 1
    if not any(known):
        assert MINOR_UNITS[currency] != 2
        assert refused_by(event) == [("Amount", "amount_unit")]
    elif known[2]:
        assert MINOR_UNITS[currency] == 3


def test_a_processor_speaks_for_itself_only(payment: dict[str, Any]) -> None:
    """Its secret must not be good for another processor's payments."""
    assert OF_THE_CONTRACT(payment, payment["ProcessorID"]) == payment
    unnamed = {name: value for name, value in payment.items() if name != "ProcessorID"}
    assert OF_THE_CONTRACT(unnamed, "acme-pay") == unnamed
    for processor_id in (payment["ProcessorID"], None):
        with pytest.raises(InvalidPaymentError) as caught:
            OF_THE_CONTRACT({**payment, "ProcessorID": processor_id}, "other-pay")
        assert caught.value.violations == [Violation("ProcessorID", "another_processor")]
    for message in (None, [], "text", 7):
        with pytest.raises(InvalidPaymentError) as caught:
            OF_THE_CONTRACT(message, "acme-pay")
        assert caught.value.violations == [Violation("Payment", "not_an_object")]
