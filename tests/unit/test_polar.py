"""Polar's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry
from ledger.formats import FORMATS, stripe
from ledger.formats.polar import EVENTS, TWO_DECIMAL, ZERO_DECIMAL
from ledger.payment import Payment
from ledger.signature import POLAR, STANDARD_WEBHOOKS, Received, plausible_schemes
from ledger.violations import InvalidEntryError, InvalidPaymentError
from tests.support.mappings import (
    HOSTILE,
    JSON,
    URL,
    broken_by,
    places,
    read,
    read_whatever,
    reason,
    sample,
    totals_after,
)

ORDER, REFUND = sample("polar-order.paid"), sample("polar-refund.created")
ORDER_ID, REFUND_ID = ORDER["data"]["id"], REFUND["data"]["id"]


def event(message: Any, event_type: str | None = None, **changes: Any) -> Any:
    """Return a copy of a message, of another type and with other fields in its object."""
    changed = copy.deepcopy(message)
    changed["type"] = event_type or changed["type"]
    changed["data"] |= changes
    return changed


def payment_of(message: Any) -> Payment:
    """Return the payment that a message reports."""
    payment = read("polar", message)
    assert isinstance(payment, Payment)
    return payment


def entry_of(message: Any) -> Entry:
    """Return the entry that a message reports."""
    entry = read("polar", message)
    assert isinstance(entry, Entry)
    return entry


def start_input_of(message: Any) -> dict[str, Any]:
    """Return the start input that a message becomes."""
    start_input = FORMATS["polar"].start_input(message, "polar")
    assert start_input is not None
    return start_input


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_is_paid_is_a_payment() -> None:
    """The start input is correct, field by field."""
    subscribed = event(ORDER, subscription_id="0b6f3c1e-9b57-4a0c-8a53-d9c4f6b3ce85")
    assert start_input_of(subscribed) == {
        "TransactionID": ORDER_ID,
        "SecureToken": ORDER["data"]["customer_id"],
        "Amount": "97.2",
        "Currency": "USD",
        "ProcessorID": "polar",
        "Status": "Success",
        "Timestamp": "2026-11-24T09:15:58.000000Z",
        "Metadata": {
            "polar.billing_reason": "purchase",
            "polar.checkout": ORDER["data"]["checkout_id"],
            "polar.subscription": "0b6f3c1e-9b57-4a0c-8a53-d9c4f6b3ce85",
        },
    }
    assert "polar.subscription" not in start_input_of(ORDER)["Metadata"]


def test_an_order_that_is_delivered_again_is_the_same_payment() -> None:
    """Another endpoint may have another version of the API, and the order may be refunded in the meantime."""
    later = event(ORDER, modified_at="2027-01-01T00:00:00Z", status="refunded", refunded_amount=9000)
    later["timestamp"] = "2027-01-01T00:00:00Z"
    del later["api_version"]
    assert payment_of(later).fingerprint == payment_of(ORDER).fingerprint


def test_what_was_due_is_what_was_paid() -> None:
    """The customer's balance may have paid a part; the total is not what was charged."""
    assert payment_of(event(ORDER, due_amount=8720, applied_balance_amount=-1000)).amount == "87.20"
    assert read("polar", event(ORDER, due_amount=0, applied_balance_amount=-9720)) is None
    assert payment_of(event(ORDER, due_amount=1)).amount == "0.01"


@pytest.mark.parametrize("due_amount", [None, "9720", 97.2, True, [9720]])
def test_an_amount_of_another_type_is_rejected(due_amount: Any) -> None:
    """Text would count as major units: a hundred times as much."""
    assert broken_by("polar", event(ORDER, due_amount=due_amount)) == (InvalidPaymentError, {("Amount", "type")})


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"id": None}, {("TransactionID", "type")}),
        ({"id": ""}, {("TransactionID", "identifier")}),
        ({"customer_id": None}, {("SecureToken", "type")}),
        ({"customer_id": ""}, {("SecureToken", "token_length")}),
        ({"due_amount": -1}, {("Amount", "negative")}),
        ({"due_amount": 10**40}, {("Amount", "digits")}),
        ({"currency": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": 7}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": "xyz"}, {("Currency", "currency")}),
        ({"created_at": None}, {("Timestamp", "type")}),
        ({"created_at": 1795511758}, {("Timestamp", "type")}),
        ({"customer_id": ORDER_ID}, {("TransactionID", "holds_token")}),
    ],
)
def test_what_is_wrong_with_an_order_is_named(changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names."""
    assert broken_by("polar", event(ORDER, **changes)) == (InvalidPaymentError, broken)


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(currency: str) -> None:
    """Each is in one of Polar's lists, or has two decimals in ISO 4217, or is rejected."""
    error, broken = broken_by("polar", event(ORDER, currency=currency.lower(), due_amount=1000))
    if currency in ZERO_DECIMAL | TWO_DECIMAL or MINOR_UNITS[currency] == 2:
        assert error is None
        whole = {True: "1000", False: "10"}[currency in ZERO_DECIMAL]
        assert payment_of(event(ORDER, currency=currency.lower(), due_amount=1000)).amount.partition(".")[0] == whole
    else:
        assert broken == {("Amount", "amount_unit")}
        assert broken_by("polar", event(REFUND, currency=currency.lower()))[1] == {("Amount", "amount_unit")}


def test_the_units_are_stripes() -> None:
    """Polar charges with Stripe. Both write the króna and the shilling with two decimals, and the ariary with none."""
    assert ZERO_DECIMAL == stripe.ZERO_DECIMAL
    assert TWO_DECIMAL == stripe.TWO_DECIMAL
    assert broken_by("polar", event(ORDER, currency="isk", due_amount=1550))[1] == {("Amount", "decimals")}


def test_finer_times_are_cut_to_microseconds() -> None:
    """The contract takes six decimals."""
    for message in (ORDER, REFUND):
        reported = read("polar", event(message, created_at="2026-11-24T09:15:58.123456789Z"))
        assert reported is not None
        assert reported.timestamp == "2026-11-24T09:15:58.123456Z"


@pytest.mark.parametrize("value", ["Mr. Smith's card", "4242 4242", "a" * 65, 7, ["x"], "", {"id": "x y"}, None])
def test_free_text_is_not_kept(value: Any) -> None:
    """Anything but a code may hold what nobody should keep, and does not stop the payment."""
    free = event(ORDER, billing_reason=value, checkout_id=value, subscription_id=value)
    assert payment_of(free).metadata == {}
    assert entry_of(event(REFUND, reason=value, dispute=value)).metadata == {}


def test_nothing_of_the_customer_is_kept() -> None:
    """Names, addresses, and the seller's own data stay out. The customer's ID is the token, and stands nowhere else."""
    free = {"metadata": {"note": "Sample note"}, "custom_field_data": {"note": "Sample note"}, "comment": "Sample note"}
    for message in (ORDER, REFUND):
        start_input = start_input_of(event(message, **free))
        start_input.pop("SecureToken", None)
        text = json.dumps(start_input)
        assert all(one not in text for one in ("Sample", "example", "note", ORDER["data"]["customer_id"]))


# ── Refunds ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_is_an_entry() -> None:
    """The start input is correct, field by field. The tax is paid back too."""
    assert start_input_of(REFUND) == {
        "TransactionID": ORDER_ID,
        "EntryID": REFUND_ID,
        "Kind": "Refunded",
        "Amount": "48.6",
        "Currency": "USD",
        "ProcessorID": "polar",
        "Timestamp": "2026-11-25T11:00:00.500000Z",
        "Metadata": {"polar.reason": "customer_request"},
    }


@pytest.mark.parametrize(
    ("event_type", "status", "kind"),
    [
        ("refund.created", "pending", "Refunded"),
        ("refund.created", "succeeded", "Refunded"),
        ("refund.created", "failed", None),
        ("refund.created", "canceled", None),
        ("refund.updated", "pending", "Refunded"),
        ("refund.updated", "succeeded", "Refunded"),
        ("refund.updated", "failed", "RefundFailed"),
        ("refund.updated", "canceled", "RefundFailed"),
    ],
)
def test_a_refund_is_what_its_status_says(event_type: str, status: str, kind: str | None) -> None:
    """What failed at once took nothing. What failed later gives the money back."""
    message = event(REFUND, event_type, status=status)
    if kind is None:
        assert read("polar", message) is None
        return
    entry = entry_of(message)
    assert (entry.kind, entry.amount, entry.timestamp) == (kind, "48.60", "2026-11-25T11:00:00.500000Z")
    undoes = kind == "RefundFailed"
    assert (entry.entry_id, entry.reverses) == ((f"{REFUND_ID}_failed", REFUND_ID) if undoes else (REFUND_ID, None))


@pytest.mark.parametrize("status", ["reversed", "", None, 7, ["failed"], {}, "Refunded", "SUCCEEDED"])
@pytest.mark.parametrize("event_type", ["refund.created", "refund.updated"])
def test_a_refund_in_another_status_is_not_ignored(event_type: str, status: Any) -> None:
    """Money may have moved. The rejection names the refund."""
    with pytest.raises(InvalidEntryError) as refused:
        read("polar", event(REFUND, event_type, status=status))
    assert {*refused.value.violations} == {("Kind", "kind")}
    assert (refused.value.transaction_id, refused.value.entry_id) == (ORDER_ID, REFUND_ID)


def test_several_events_about_one_refund_are_one_entry() -> None:
    """The status, the times and the reason may differ; the fact does not."""
    later = event(REFUND, "refund.updated", status="pending", modified_at="2027-01-01T00:00:00Z", reason="other")
    later["timestamp"] = "2027-01-01T00:00:00Z"
    assert entry_of(later).fingerprint == entry_of(REFUND).fingerprint
    failed = event(REFUND, "refund.updated", status="failed")
    canceled = event(REFUND, "refund.updated", status="canceled", modified_at="2027-01-01T00:00:00Z")
    assert entry_of(failed).fingerprint == entry_of(canceled).fingerprint


def test_a_prevented_dispute_is_a_refund_that_names_it() -> None:
    """Polar refunds the order before a bank takes the money. It reports no other dispute."""
    prevented = event(REFUND, reason="dispute_prevention", dispute={"id": "dp-1", "payment_id": "py-1"})
    assert entry_of(prevented).kind == "Refunded"
    assert entry_of(prevented).metadata == {"polar.reason": "dispute_prevention", "polar.dispute": "dp-1"}


@pytest.mark.parametrize("field", ["amount", "tax_amount"])
@pytest.mark.parametrize("value", [None, "4500", 45.0, True])
def test_a_refund_without_one_of_its_amounts_is_rejected(field: str, value: Any) -> None:
    """Half of an amount would be recorded as the whole."""
    assert broken_by("polar", event(REFUND, **{field: value})) == (InvalidEntryError, {("Amount", "type")})


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"id": None}, {("EntryID", "type")}),
        ({"id": ORDER_ID}, {("EntryID", "id_of_the_payment")}),
        ({"order_id": None}, {("TransactionID", "type")}),
        ({"amount": 0, "tax_amount": 0}, {("Amount", "zero")}),
        ({"currency": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"created_at": None}, {("Timestamp", "type")}),
    ],
)
def test_what_is_wrong_with_a_refund_is_named(changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names."""
    assert broken_by("polar", event(REFUND, **changes)) == (InvalidEntryError, broken)


def test_entries_add_up_whatever_their_order() -> None:
    """One refund succeeds, one fails after it was pending, one fails at once, and `order.refunded` sums up."""
    second = {"id": "b5a2c7a4-2f0e-4a86-9d0a-3d1f1e2c9a10", "amount": 1000, "tax_amount": 80}
    third = {"id": "c6b3d8b5-3f1e-4b97-8e1b-4e2f2e3c8b21", "amount": 100, "tax_amount": 0}
    messages = [
        event(ORDER, "order.created", status="pending"),
        event(ORDER, "order.updated"),
        ORDER,
        event(REFUND, status="pending"),
        event(REFUND, "refund.updated", status="succeeded"),
        event(REFUND, **second, status="pending"),
        event(REFUND, "refund.updated", **second, status="failed"),
        event(REFUND, **third, status="failed"),
        event(ORDER, "order.refunded", status="partially_refunded", refunded_amount=4500, refunded_tax_amount=360),
    ]
    for order in (messages, messages[::-1], [*messages[3:], *messages]):
        totals = totals_after(order, "polar")
        assert (totals.captured, totals.refunded, totals.disputed) == ("97.20", "48.60", "0.00")


# ── What is neither ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "message", [None, 1, "text", [], {}, {"type": 1}, {"content": "An order was paid."}, {"type": None, "data": {}}]
)
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """An endpoint of the format Discord or Slack, for example."""
    assert broken_by("polar", message) == (InvalidPaymentError, {("Payment", "not_an_event")})


@pytest.mark.parametrize("data", [None, [], "order", 7])
def test_an_event_without_its_object_is_rejected(data: Any) -> None:
    """The workflow of entries publishes the refusal of an entry, and knows no field `Payment`."""
    for event_type in EVENTS:
        expected = (InvalidPaymentError, {("Payment", "not_an_event")})
        if event_type.startswith("refund."):
            expected = (InvalidEntryError, {("Entry", "not_an_event")})
        assert broken_by("polar", {"type": event_type, "data": data}) == expected
        assert broken_by("polar", {"type": event_type}) == expected


@pytest.mark.parametrize(
    "event_type",
    [
        *("order.created", "order.updated", "order.refunded", "subscription.past_due", "checkout.updated", ""),
        *("customer.created", "benefit_grant.created", "ORDER.PAID", "refund"),
    ],
)
def test_another_event_is_ignored(event_type: str) -> None:
    """`order.refunded` has the sum of all refunds: a second refund would count the first one again."""
    for message in (ORDER, REFUND, {"data": None}):
        assert read("polar", {**message, "type": event_type}) is None


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

MESSAGES = [ORDER, REFUND, event(REFUND, "refund.updated", status="failed", dispute={"id": "dp-1"})]


@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_a_hostile_value_at_any_place_is_read_or_breaks_a_rule(number: int) -> None:
    """No message is a technical failure: after ten of them, Polar disables the endpoint."""
    message = copy.deepcopy(MESSAGES[number])
    for place, key in places(message):
        proper = place[key]
        for value in HOSTILE:
            place[key] = value
            read_whatever("polar", message)
        place[key] = proper
    assert message == MESSAGES[number]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chosen=st.sampled_from(MESSAGES), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, chosen: Any, value: Any) -> None:
    """The same with any JSON."""
    message = copy.deepcopy(chosen)
    place, key = data.draw(st.sampled_from(places(message)))
    place[key] = value
    read_whatever("polar", message)


@given(message=JSON | st.fixed_dictionaries({"type": st.sampled_from([*EVENTS]), "data": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever("polar", message)


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

# Polar publishes no vector. `polar-sdk` 1.0.2 accepts these; `standardwebhooks` 1.1.0 makes the first and the third.
BODY = b'{"type":"order.paid","timestamp":"2026-11-24T09:16:00Z","data":{"id":"57107b74-8400-4d80-a2fc-54c2b4239cb3"}}'
NOW_S = 1795511760
MESSAGE_ID = "4f1e3d0e-7c0a-4b34-9a57-0d0f7e4a6a11"
OLD_SECRET, SECRET = "polar_whs_ovyN6cPrTv56AApvzCaJno08SSmGJmgbWilb33N2JuK", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "v1,PJ9EIcpmSdmRVBE7hvEhf/mkUtDvcDl57VSdIp5PHV4="
ORIGINAL = "v1,QP0xGDF29xun6pwMdUN4ZbIFjLT8+QH6uDhYAwtgGgQ="
STANDARD = "v1,+NbWI4gzp5Tiq37uRIDZ/+uGeZbDIXIZjCSDdlqRx08="


def headers(signature: str, time: int = NOW_S) -> dict[str, str]:
    """Return the headers of a message of Polar's."""
    return {"webhook-id": MESSAGE_ID, "webhook-timestamp": str(time), "webhook-signature": signature}


@pytest.mark.parametrize(
    ("secret", "signature", "body", "expected"),
    [
        (OLD_SECRET, OLD, BODY, None),
        (SECRET, ORIGINAL, BODY, None),
        (SECRET, STANDARD, BODY, None),
        (SECRET, f"v1,bm9wZQ== {STANDARD}", BODY, None),
        (SECRET, OLD, BODY, "wrong_signature"),
        (OLD_SECRET, ORIGINAL, BODY, "wrong_signature"),
        (OLD_SECRET, STANDARD, BODY, "wrong_signature"),
        (OLD_SECRET, OLD, BODY + b"\n", "wrong_signature"),
        (SECRET, ORIGINAL, b"{}", "wrong_signature"),
        (SECRET, STANDARD, b"{}", "wrong_signature"),
        (SECRET, STANDARD.removeprefix("v1,"), BODY, "wrong_signature"),
        (SECRET.removeprefix("whsec_"), ORIGINAL, BODY, "wrong_signature"),
    ],
)
def test_both_forms_of_the_key_count(secret: str, signature: str, body: bytes, expected: str | None) -> None:
    """Polar signs under the secret's text, or under what its base64 holds, as the endpoint is set."""
    assert reason(POLAR, secret, headers(signature), body, NOW_S) == expected


@pytest.mark.parametrize("signature", [ORIGINAL, STANDARD])
def test_the_id_and_the_time_are_signed(signature: str) -> None:
    """A recorded request cannot be sent later, or as another message."""
    assert reason(POLAR, SECRET, headers(signature, NOW_S + 1), BODY, NOW_S) == "wrong_signature"
    assert reason(POLAR, SECRET, headers(signature), BODY, NOW_S + 301) == "not_now"
    other = {**headers(signature), "webhook-id": "another"}
    assert reason(POLAR, SECRET, other, BODY, NOW_S) == "wrong_signature"


def test_what_is_too_short_for_a_key_of_the_standard_is_none() -> None:
    """An attacker could guess what the base64 of a short secret holds."""
    assert POLAR.secret.keys(f"whsec_{'A' * 31}") == [f"whsec_{'A' * 31}".encode()]
    assert len(POLAR.secret.keys(f"whsec_{'A' * 32}")) == 2


def test_a_secret_without_padding_is_read() -> None:
    """Polar's own example has 43 characters after the prefix, and base64 wants 44."""
    secret = "whsec_ovyN6cPrTv56AApvzCaJno08SSmGJmgbWilb33N2JuK"
    assert POLAR.secret.is_valid(secret)
    assert len(POLAR.secret.keys(secret)[1]) == 32
    for signature in POLAR.signatures(secret, f"{MESSAGE_ID}.{NOW_S}.".encode() + BODY):
        assert reason(POLAR, secret, headers(f"v1,{signature}"), BODY, NOW_S) is None
    assert POLAR.secret.keys(OLD_SECRET) == [OLD_SECRET.encode()]


def test_a_standard_key_is_not_polars_usual_one() -> None:
    """The format of Standard Webhooks would reject Polar's original signature, and say only that it is wrong."""
    assert plausible_schemes(Received.of(headers(ORIGINAL), URL, BODY), NOW_S) == [STANDARD_WEBHOOKS, POLAR]
    assert reason(STANDARD_WEBHOOKS, SECRET, headers(STANDARD), BODY, NOW_S) is None
    assert reason(STANDARD_WEBHOOKS, SECRET, headers(ORIGINAL), BODY, NOW_S) == "wrong_signature"
