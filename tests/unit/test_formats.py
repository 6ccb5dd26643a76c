"""Formats of webhooks: each message becomes a start input, or is rejected by field and rule."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import formats
from ledger.currencies import MINOR_UNITS
from ledger.formats import FORMATS, STRIPE_THREE_DECIMAL, STRIPE_TWO_DECIMAL, STRIPE_ZERO_DECIMAL
from ledger.identifiers import mapped_identifier
from ledger.payment import CONTRACT_FIELDS, parse_payment
from ledger.signature import STANDARD_WEBHOOKS, STRIPE
from ledger.violations import InvalidPaymentError, Violation
from ledger_cli import ROOT

OF_STRIPE = FORMATS["stripe-test"].start_input
OF_THE_CONTRACT = FORMATS["standard-webhooks"].start_input


@pytest.fixture
def event() -> Any:
    """Return Stripe's event of a charge that succeeded."""
    return json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())


def refused_by(message: Any) -> list[tuple[str, str]]:
    """Return the rules that a message of Stripe's breaks, in its format or in the contract."""
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
def test_what_a_format_rejects_is_named_by_its_id(event: Any, token: str, named: str | None) -> None:
    """Support searches for the ID, although the contract did not check it.

    No log names a token in the place of an ID.
    """
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


def test_what_stripe_leaves_out_is_not_metadata(event: Any) -> None:
    """A charge that was made without a payment intent has none."""
    del event["data"]["object"]["payment_intent"]
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Metadata"] == {"stripe.event": event["id"]}
    assert refused_by(event) == []


def test_a_charge_is_a_payment(event: Any) -> None:
    """The start input is correct, field by field."""
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
    """Another event may be about the same charge; only the fingerprinted fields count."""
    first, _ = parse_payment(OF_STRIPE(event, "stripe"), default_currency="USD")
    event["id"], event["created"] = "evt_another", event["created"] + 60
    again, _ = parse_payment(OF_STRIPE(event, "stripe"), default_currency="USD")
    assert first.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    "kind", ["charge.pending", "charge.expired", "charge.refunded", "payment.created", "customer.created", ""]
)
def test_an_event_about_no_outcome_is_not_a_payment(event: Any, kind: str) -> None:
    """A processor sends more than was requested, and repeats what is not accepted."""
    assert OF_STRIPE({**event, "type": kind}, "stripe") is None


def test_an_authorisation_is_not_a_payment_until_it_is_captured(event: Any) -> None:
    """An authorised amount may be released, or captured in part: the captured amount is what was paid."""
    charge = event["data"]["object"]
    charge |= {"captured": False, "amount_captured": 0}
    assert OF_STRIPE(event, "stripe") is None
    charge |= {"captured": True, "amount_captured": 1000}
    captured = OF_STRIPE({**event, "type": "charge.captured"}, "stripe")
    assert captured is not None
    assert (captured["Status"], captured["Amount"]) == ("Success", "10")
    assert refused_by({**event, "type": "charge.captured"}) == []


def test_a_charge_that_failed_has_the_requested_amount(event: Any) -> None:
    """Nothing of the charge was captured."""
    event["data"]["object"] |= {"captured": False, "amount_captured": 0}
    failed = OF_STRIPE({**event, "type": "charge.failed"}, "stripe")
    assert failed is not None
    assert (failed["Status"], failed["Amount"]) == ("Failure", "25.99")


@pytest.mark.parametrize("livemode", [True, False, None, "true", 1])
def test_a_test_event_is_not_a_payment(event: Any, livemode: Any) -> None:
    """Stripe sends test events to live endpoints too, under the same secret. A test ledger accepts no live events."""
    event["livemode"] = livemode
    taken = {name for name in ("stripe", "stripe-test") if FORMATS[name].start_input(event, "stripe") is not None}
    assert taken == ({"stripe"} if livemode is True else {"stripe-test"} if livemode is False else set())


@pytest.mark.parametrize("message", [None, 1, "text", [], {}, {"type": 1}, {"type": None}])
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    assert refused_by(message) == [("Payment", "not_an_event")]


@pytest.mark.parametrize("data", [None, [], {}, {"object": None}, {"object": []}])
def test_an_event_without_a_charge_is_rejected(event: Any, data: Any) -> None:
    """An event must have an object under the name of its data."""
    assert refused_by({**event, "data": data}) == [("Payment", "not_an_event")]


@pytest.mark.parametrize("value", [None, "1000", 10.5, "10.5", True, [1], {"a": 1}])
def test_an_amount_of_another_type_is_rejected(event: Any, value: Any) -> None:
    """Text would count as major units: a hundred times as much."""
    event["data"]["object"]["amount_captured"] = value
    assert refused_by(event) == [("Amount", "type")]


@pytest.mark.parametrize(
    ("field", "value", "broken"),
    [
        ("id", None, [("TransactionID", "type")]),
        ("id", "", [("TransactionID", "identifier")]),
        ("payment_method", None, [("SecureToken", "type")]),
        ("currency", None, [("Amount", "type"), ("Currency", "type")]),
        ("currency", 7, [("Amount", "type"), ("Currency", "type")]),
        ("currency", "xyz", [("Currency", "currency")]),
        ("currency", "xau", [("Currency", "no_minor_unit")]),
        ("currency", "iqd", [("Amount", "amount_unit")]),
        ("captured", None, [("Amount", "type")]),
        ("captured", "true", [("Amount", "type")]),
        ("status", None, [("Status", "type")]),
        ("status", "requires_capture", [("Status", "status")]),
        ("status", ["succeeded"], [("Status", "type")]),
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
    """The start input has the contract's names. A missing currency must not become the stack's default."""
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
        (500, "jpy", "500"),
        (5120, "kwd", "5.12"),
        (5125, "bhd", "5.125"),
        (5125, "jod", "5.125"),
        (5125, "omr", "5.125"),
        (5125, "tnd", "5.125"),
        (500, "bif", "500"),
        (1500, "isk", "15"),
        (500000, "ugx", "5000"),
        (500, "mga", "500"),
        (123456789012, "eur", "1234567890.12"),
    ],
)
def test_smallest_units_become_major_units(event: Any, amount: int, currency: str, text: str) -> None:
    """For some currencies, Stripe has other decimals than ISO 4217: the króna has two, and the ariary none."""
    event["data"]["object"] |= {"amount_captured": amount, "currency": currency}
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Amount"] == text
    assert refused_by(event) == []


@pytest.mark.parametrize("currency", sorted(STRIPE_TWO_DECIMAL))
def test_a_fraction_of_a_currency_without_a_minor_unit_is_rejected(event: Any, currency: str) -> None:
    """Stripe writes it with two decimals that are always zero. Rounding would record an amount that nobody paid."""
    event["data"]["object"] |= {"amount_captured": 1550, "currency": currency.lower()}
    assert MINOR_UNITS[currency] == 0
    assert refused_by(event) == [("Amount", "decimals")]


def test_stripes_list_of_currencies_without_decimals_is_iso_4217s_but_for_four() -> None:
    """Stripe's page, currencies: MGA has none there; ISK and UGX are special cases, and it settles nothing in UYI."""
    without = {currency for currency, decimals in MINOR_UNITS.items() if decimals == 0}
    assert (without | {"MGA"}) - STRIPE_TWO_DECIMAL - {"UYI"} == STRIPE_ZERO_DECIMAL


def test_a_failed_charge_of_nothing_is_of_zero(event: Any) -> None:
    """A card that is only checked is charged nothing; zero has no sign."""
    event["type"] = "charge.failed"
    event["data"]["object"] |= {"amount": 0, "currency": "usd", "status": "failed"}
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Amount"] == "0"


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(event: Any, currency: str) -> None:
    """Each currency is in one of Stripe's lists, has two decimals in ISO 4217 and by Stripe's rule, or is rejected."""
    event["data"]["object"] |= {"amount_captured": 1000, "currency": currency.lower()}
    listed = sum(currency in codes for codes in (STRIPE_ZERO_DECIMAL, STRIPE_TWO_DECIMAL, STRIPE_THREE_DECIMAL))
    assert listed <= 1
    known = listed or MINOR_UNITS[currency] == 2
    assert refused_by(event) == ([] if known else [("Amount", "amount_unit")])
    if currency in STRIPE_THREE_DECIMAL:
        assert MINOR_UNITS[currency] == 3


def test_a_code_that_iso_4217_does_not_list_has_two_decimals(event: Any) -> None:
    """The contract decides whether it was a currency at the time. Written as an integer, it would be a hundredfold."""
    event["data"]["object"] |= {"amount_captured": 2599, "currency": "hrk"}
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["Amount"] == "25.99"


# Each is what a charge carries and where the token comes from. Source: Stripe's API reference, charge object, and
# charges of old API versions and of connected accounts.
MADE_WITH = [
    ({"payment_method": "pm_1Sample"}, "pm_1Sample", None),
    ({"payment_method": "pm_1Sample", "source": {"id": "src_1Sample", "object": "source"}}, "pm_1Sample", None),
    ({"source": {"id": "card_1Sample", "object": "card"}}, "card_1Sample", "source"),
    ({"payment_method": None, "source": "card_1Sample"}, "card_1Sample", "source"),
    (
        {"payment_method": None, "source_transfer": "tr_1Sample", "source": {"id": "acct_1Other", "object": "account"}},
        "tr_1Sample",
        "source_transfer",
    ),
    ({"payment_method": None, "source": None, "source_transfer": "tr_1Sample"}, "tr_1Sample", "source_transfer"),
]


@pytest.mark.parametrize(("carried", "token", "origin"), MADE_WITH)
def test_the_token_is_the_id_of_what_the_charge_was_made_with(
    event: Any, carried: dict[str, Any], token: str, origin: str | None
) -> None:
    """A rejected charge is sent for days and then never again, although it was paid.

    Metadata says what the token is.
    """
    charge = event["data"]["object"]
    del charge["payment_method"]
    charge |= carried
    start_input = OF_STRIPE(event, "stripe")
    assert start_input is not None
    assert start_input["SecureToken"] == token
    assert start_input["Metadata"].get("stripe.token") == origin
    assert refused_by(event) == []


@pytest.mark.parametrize("source", [None, {}, {"id": None}, {"id": 7}, 7, ["card_1"]])
def test_a_charge_without_anything_it_was_made_with_is_rejected(event: Any, source: Any) -> None:
    """An invented token would permanently look like the processor's."""
    event["data"]["object"] |= {"payment_method": None, "source": source}
    assert refused_by(event) == [("SecureToken", "type")]


def test_a_capture_of_nothing_is_not_a_payment(event: Any) -> None:
    """Stripe marks a charge as captured when the rest of an authorisation is released: a success of 0 was not paid."""
    event["data"]["object"]["amount_captured"] = 0
    for kind in ("charge.succeeded", "charge.captured", "charge.updated"):
        assert OF_STRIPE({**event, "type": kind}, "stripe") is None


def test_captures_in_several_parts_are_one_payment_of_their_total(event: Any) -> None:
    """A payment is recorded once. If the first part were recorded as the total, the record would stay wrong."""
    charge = event["data"]["object"]
    outcomes = []
    for kind, captured, amount in (
        ("charge.succeeded", False, 0),
        ("charge.updated", False, 700),
        ("charge.updated", True, 900),
        ("charge.captured", True, 900),
        ("charge.updated", True, 900),  # its description, or its balance transaction
    ):
        charge |= {"amount": 1000, "captured": captured, "amount_captured": amount}
        start_input = OF_STRIPE({**event, "type": kind}, "stripe")
        outcomes.append(start_input and parse_payment(start_input, default_currency="USD")[0])
    assert outcomes[:2] == [None, None]
    assert [payment.amount for payment in outcomes[2:] if payment] == ["9.00"] * 3
    assert len({payment.fingerprint for payment in outcomes[2:] if payment}) == 1


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_change_of_a_charge_that_has_not_succeeded_is_not_a_success(event: Any, status: str) -> None:
    """A bank debit is captured in full while it is pending, and may still fail."""
    event["data"]["object"]["status"] = status
    assert OF_STRIPE({**event, "type": "charge.updated"}, "stripe") is None


def test_the_account_that_an_event_is_about_is_kept(event: Any) -> None:
    """A platform gets the events of all its connected accounts: without it, nobody knows whose payment it was."""
    start_input = OF_STRIPE({**event, "account": "acct_1SampleLedger"}, "stripe")
    assert start_input is not None
    assert start_input["Metadata"]["stripe.account"] == "acct_1SampleLedger"
    assert refused_by({**event, "account": "acct_1SampleLedger"}) == []


def test_a_long_charge_id_is_mapped_and_kept(event: Any) -> None:
    """Stripe says that an ID may have 255 characters. If such a charge were rejected, it would come again for days."""
    charge_id = "ch_" + "x" * 252
    event["data"]["object"]["id"] = charge_id
    payment, _ = parse_payment(OF_STRIPE(event, "stripe"), default_currency="USD")
    assert payment.transaction_id == mapped_identifier(charge_id) != charge_id
    assert payment.metadata["original.TransactionID"] == charge_id


@st.composite
def charges(draw: st.DrawFn) -> dict[str, Any]:
    """Return an event about a charge, as Stripe's documentation describes it for any of its API versions."""
    amount = draw(st.integers(0, 10**9))
    kind = draw(st.sampled_from(["charge.succeeded", "charge.captured", "charge.updated", "charge.failed"]))
    failed = kind == "charge.failed"
    carried, _, _ = draw(st.sampled_from([*MADE_WITH, ({}, None, None)]))
    charge = {
        "id": draw(st.sampled_from(["ch_1Sample", "py_1Sample", "ch_" + "x" * 252])),
        "amount": amount,
        "amount_captured": 0 if failed else draw(st.sampled_from([0, amount]) | st.integers(0, amount)),
        "captured": False if failed else draw(st.booleans()),
        "status": "failed" if failed else draw(st.sampled_from(["succeeded"] * 3 + ["pending"])),
        "currency": draw(st.sampled_from(["usd", "jpy", "kwd", "isk", "ugx", "mga", "iqd"])),
        "created": draw(st.integers(1, 4 * 10**9)),
        **carried,
    }
    event: dict[str, Any] = {"id": "evt_1Sample", "type": kind, "livemode": False, "data": {"object": charge}}
    return event | draw(st.sampled_from([{}, {"account": "acct_1Other"}]))


DECIMALS = {"usd": 2, "jpy": 0, "kwd": 3, "isk": 2, "ugx": 2, "mga": 0}
"""By Stripe's documentation; IQD is not on its list of currencies."""


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(event=charges())
def test_a_charge_is_recorded_exactly_or_rejected_by_name_or_not_an_outcome(event: dict[str, Any]) -> None:
    """There is no other way: a wrong record stays wrong, and a payment that is rejected without need is lost."""
    charge = event["data"]["object"]
    failed = event["type"] == "charge.failed"
    paid = charge["captured"] and charge["status"] == "succeeded" and charge["amount_captured"] > 0
    if not failed and not paid:
        assert OF_STRIPE(event, "stripe") is None
        return
    broken = refused_by(event)
    if charge["currency"] == "iqd":
        assert broken == [("Amount", "amount_unit")]
        return
    units, expected = charge["amount" if failed else "amount_captured"], []
    if charge["currency"] in {"isk", "ugx"} and units % 100:
        expected.append(("Amount", "decimals"))
    if not charge.keys() & {"payment_method", "source", "source_transfer"}:
        expected.append(("SecureToken", "type"))
    assert broken == expected
    if not broken:
        payment, token = parse_payment(OF_STRIPE(event, "stripe"), default_currency="EUR")
        assert Decimal(payment.amount).scaleb(DECIMALS[charge["currency"]]) == units
        assert payment.currency == charge["currency"].upper()
        assert payment.status == ("Failure" if failed else "Success")
        assert payment.transaction_id == mapped_identifier(charge["id"])
        assert payment.metadata.get("stripe.account") == event.get("account")
        assert token.text in json.dumps(charge)


def test_a_processor_speaks_for_itself_only(payment: dict[str, Any]) -> None:
    """The processor's secret must not be valid for another processor's payments."""
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


def test_an_event_of_standard_webhooks_holds_a_payment(payment: dict[str, Any]) -> None:
    """The specification recommends an envelope, with the data inside it or beside its type. The bare payment stays."""
    envelope = {"type": "payment.succeeded", "timestamp": "2026-11-24T10:15:01Z"}
    for message in (
        payment,
        {**envelope, "data": payment},
        {**envelope, "data": payment, "id": "evt_1", "api_version": "7"},
        {"type": "order.paid", "data": payment},
        {"data": payment},
        {**envelope, **payment},
    ):
        assert OF_THE_CONTRACT(message, payment["ProcessorID"]) == payment


def test_an_envelope_hides_nothing_from_the_rules(payment: dict[str, Any]) -> None:
    """A processor sends only its own payments, whatever surrounds the payment, and no unchecked field counts."""
    event = {"type": "payment.succeeded", "data": payment}
    with pytest.raises(InvalidPaymentError) as caught:
        OF_THE_CONTRACT(event, "other-pay")
    assert caught.value.violations == [Violation("ProcessorID", "another_processor")]
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(OF_THE_CONTRACT({**event, "Amount": "1.00"}, "acme-pay"), default_currency="EUR")
    assert Violation("Payment", "unknown_field") in caught.value.violations


@pytest.mark.parametrize(
    "message",
    [
        {"success": True},  # `svix.ping`, whose type is not in its body
        {"test": 2432232314},  # the specification's own vector
        {},
        {"event": "ping", "timestamp": "2026-11-24T10:15:01Z"},
        {"type": "ping"},
        {"type": "webhook.test", "timestamp": "2026-11-24T10:15:01Z", "data": {"message": "hello"}},
        {"type": "endpoint.created", "data": None},
        {"type": "customer.created", "data": {"id": "c_1", "status": "active", "currency": "EUR", "metadata": {}}},
        {"type": "customer.created", "id": "c_1", "status": "active", "timestamp": "2026-11-24T10:15:01Z"},
        {"type": "contact.created", "data": {"id": "1f81eb52"}},
        {"type": "paymentmethod.updated", "data": {"id": "1f81eb52"}},
    ],
)
def test_a_test_of_the_endpoint_is_not_a_payment(message: dict[str, Any]) -> None:
    """If the message were rejected, the processor would send it for days, and finally disable the endpoint."""
    assert OF_THE_CONTRACT(message, "acme-pay") is None


def test_few_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison takes long, and a message may have thousands of names that resemble each other and no field."""
    compared: list[str] = []
    monkeypatch.setattr(formats, "intended_field", lambda name, _: compared.append(name) and None)
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(17)}, "acme-pay") is not None
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(10_000)}, "acme-pay") is not None
    assert compared == []
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(16)}, "acme-pay") is None
    assert len(compared) == 16


@pytest.mark.parametrize(
    "message",
    [
        {"type": "payment.succeeded", "data": {"id": "1f81eb52"}},  # a thin event: the payment is not in it
        {"type": "payment.succeeded"},
        {"type": "payment"},
        {"type": "payment.succeeded", "data": "1f81eb52"},
        {"transaction_id": "t_1", "timestamp": "2026-11-24T10:15:01Z"},
        {"Amont": "48.00"},
        {"id": 1, "kind": "x", "Amont": "48.00"},
        {"data": {}, "transactionid": "t_1"},
        {**{f"field{number}": 1 for number in range(20)}, "transaction_id": "t_1"},
        *({"type": name, "data": {"id": "t_1"}} for name in ("payments.created", "Payment.Failed", "payment_failed")),
        {"data": {"transactionId": "t_1"}},
        *({"type": "order.paid", "data": {name: None}} for name in CONTRACT_FIELDS),
        *({name: None} for name in CONTRACT_FIELDS),
    ],
)
def test_a_payment_that_went_wrong_is_not_ignored(message: dict[str, Any]) -> None:
    """If the message counted as another one, it would get 200 and be lost. A rejection names the broken rules."""
    try:
        start_input = OF_THE_CONTRACT(message, "acme-pay")
    except InvalidPaymentError:
        return
    assert start_input is not None
    with pytest.raises(InvalidPaymentError):
        parse_payment(start_input, default_currency="EUR")
