"""Lemon Squeezy's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry
from ledger.fields import IDENTIFIER
from ledger.formats import FORMATS
from ledger.formats.lemon_squeezy import EVENTS
from ledger.payment import Payment
from ledger.signature import LEMON_SQUEEZY, Received, plausible_schemes
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

TEST = "lemon-squeezy-test"
ORDER, ORDER_REFUNDED = sample("lemon-squeezy-order_created"), sample("lemon-squeezy-order_refunded")
INVOICE = sample("lemon-squeezy-subscription_payment_success")
INVOICE_EVENTS = [name for name, (object_type, _) in EVENTS.items() if object_type == "subscription-invoices"]


def event(message: Any, name: str | None = None, **changes: Any) -> Any:
    """Return a copy of a message, of another event and with other attributes."""
    changed = copy.deepcopy(message)
    changed["meta"]["event_name"] = name or changed["meta"]["event_name"]
    changed["data"]["attributes"] |= changes
    return changed


FULL = {"refunded_amount": 1199, "status": "refunded", "refunded": True, "refunded_at": "2026-11-23T08:00:00.000000Z"}
INVOICE_FAILED = event(INVOICE, "subscription_payment_failed", status="pending")
INVOICE_RECOVERED = event(INVOICE, "subscription_payment_recovered", updated_at="2026-11-24T00:00:00.000000Z")
INVOICE_REFUNDED = event(INVOICE, "subscription_payment_refunded", **FULL)


def payment_of(message: Any) -> Payment:
    """Return the payment that a message reports."""
    payment = read(TEST, message)
    assert isinstance(payment, Payment)
    return payment


def entry_of(message: Any) -> Entry:
    """Return the entry that a message reports."""
    entry = read(TEST, message)
    assert isinstance(entry, Entry)
    return entry


def start_input_of(message: Any) -> dict[str, Any]:
    """Return the start input that a message becomes."""
    start_input = FORMATS[TEST].start_input(message, "lemon-squeezy")
    assert start_input is not None
    return start_input


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_a_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input_of(ORDER) == {
        "TransactionID": "order-5783087",
        "SecureToken": "customer-6079070",
        "Amount": "4.99",
        "Currency": "EUR",
        "ProcessorID": "lemon-squeezy",
        "Status": "Success",
        "Timestamp": "2026-11-21T12:54:56.000000Z",
        "Metadata": {"lemon-squeezy.order_number": "17862436", "lemon-squeezy.store": "178624"},
    }


def test_an_invoice_is_a_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input_of(INVOICE) == {
        "TransactionID": "invoice-3833712",
        "SecureToken": "customer-6287548",
        "Amount": "11.99",
        "Currency": "EUR",
        "ProcessorID": "lemon-squeezy",
        "Status": "Success",
        "Timestamp": "2026-11-21T09:56:48.000000Z",
        "Metadata": {
            "lemon-squeezy.billing_reason": "renewal",
            "lemon-squeezy.store": "178624",
            "lemon-squeezy.subscription": "1334075",
        },
    }


def test_an_order_and_an_invoice_of_one_number_are_two_payments() -> None:
    """Lemon Squeezy numbers them apart."""
    invoice = copy.deepcopy(INVOICE)
    invoice["data"]["id"] = ORDER["data"]["id"]
    assert payment_of(invoice).transaction_id != payment_of(ORDER).transaction_id


def test_a_recovered_payment_is_the_same_payment() -> None:
    """Lemon Squeezy sends both events, with other times in the object and the envelope."""
    assert payment_of(INVOICE_RECOVERED).fingerprint == payment_of(INVOICE).fingerprint
    later = event(INVOICE, updated_at="2027-01-01T00:00:00.000000Z", status="partial_refund", refunded_amount=100)
    later["meta"]["webhook_id"] = "another"
    assert payment_of(later).fingerprint == payment_of(INVOICE).fingerprint
    assert payment_of(event(ORDER, status="refunded", refunded=True)).fingerprint == payment_of(ORDER).fingerprint


def test_a_failed_invoice_is_a_payment_of_its_own() -> None:
    """The same invoice is mostly paid later: under its ID, that would be a conflict."""
    failed = start_input_of(INVOICE_FAILED)
    assert (failed["TransactionID"], failed["Status"], failed["Amount"]) == (
        "invoice-3833712_failed",
        "Failure",
        "11.99",
    )
    assert failed["Timestamp"] == "2026-11-21T09:56:48.000000Z"
    again = event(INVOICE_FAILED, updated_at="2026-11-25T00:00:00.000000Z", status="paid")
    assert payment_of(again).fingerprint == payment_of(INVOICE_FAILED).fingerprint
    assert payment_of(event(INVOICE_FAILED, billing_reason="initial")).status == "Failure"


@pytest.mark.parametrize("name", ["subscription_payment_success", "subscription_payment_recovered"])
def test_the_first_invoice_of_a_subscription_is_ignored(name: str) -> None:
    """Its order is the payment. Counting both would double what was taken."""
    assert read(TEST, event(INVOICE, name, billing_reason="initial")) is None
    for later in ("renewal", "updated", ""):
        assert payment_of(event(INVOICE, name, billing_reason=later)).amount == "11.99"
    for unknown in (None, 7, ["initial"]):
        message = event(INVOICE, name, billing_reason=unknown)
        assert broken_by(TEST, message) == (InvalidPaymentError, {("Payment", "not_an_event")})


@pytest.mark.parametrize("message", [ORDER, INVOICE, INVOICE_FAILED])
def test_nothing_to_pay_is_ignored(message: Any) -> None:
    """A trial has an order and an invoice of zero."""
    for status in ("paid", "pending", None):
        assert read(TEST, event(message, total=0, status=status)) is None


@pytest.mark.parametrize("message", [ORDER, INVOICE, INVOICE_RECOVERED])
@pytest.mark.parametrize(
    "status", ["pending", "failed", "fraudulent", "void", "Success", "Failure", "", "PAID", None, 7, ["paid"], {}]
)
def test_what_may_be_paid_later_is_not_ignored(message: Any, status: Any) -> None:
    """No event is documented for an order that is pending at first and paid then. An operator has to see it."""
    assert broken_by(TEST, event(message, status=status)) == (InvalidPaymentError, {("Status", "status")})


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(currency: str) -> None:
    """Lemon Squeezy documents cents. What it means by them for a currency without cents is open."""
    for message in (ORDER, INVOICE, INVOICE_FAILED, ORDER_REFUNDED):
        _, broken = broken_by(TEST, event(message, currency=currency))
        assert broken == (set() if MINOR_UNITS[currency] == 2 else {("Amount", "amount_unit")})


@pytest.mark.parametrize("total", [None, "499", 4.99, True, [499]])
def test_an_amount_of_another_type_is_rejected(total: Any) -> None:
    """Text would count as major units: a hundred times as much."""
    for message in (ORDER, INVOICE, INVOICE_FAILED):
        assert broken_by(TEST, event(message, total=total)) == (InvalidPaymentError, {("Amount", "type")})


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"total": -1}, {("Amount", "negative")}),
        ({"total": 10**40}, {("Amount", "digits")}),
        ({"currency": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": 7}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": "XYZ"}, {("Currency", "currency")}),
        ({"created_at": None}, {("Timestamp", "type")}),
        ({"created_at": "2026-11-21 12:54:56"}, {("Timestamp", "timestamp")}),
        ({"customer_id": None}, {("SecureToken", "type")}),
        ({"customer_id": "6079070"}, {("SecureToken", "type")}),
        ({"customer_id": True}, {("SecureToken", "type")}),
    ],
)
def test_what_is_wrong_with_an_order_is_named(changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names."""
    assert broken_by(TEST, event(ORDER, **changes)) == (InvalidPaymentError, broken)


@pytest.mark.parametrize("object_id", [None, 5783087, "", ["1"]])
def test_an_object_without_an_id_is_rejected(object_id: Any) -> None:
    """The prefix alone would be one ID for all of them."""
    for message in (ORDER, INVOICE, INVOICE_FAILED):
        changed = event(message)
        changed["data"]["id"] = object_id
        assert broken_by(TEST, changed) == (InvalidPaymentError, {("TransactionID", "type")})
    refund = event(ORDER_REFUNDED)
    refund["data"]["id"] = object_id
    assert broken_by(TEST, refund) == (InvalidEntryError, {("TransactionID", "type"), ("EntryID", "type")})


def test_a_small_number_is_exact() -> None:
    """Five cents have a zero before them."""
    assert payment_of(event(ORDER, total=5, currency="usd")).amount == "0.05"
    fine = event(ORDER, created_at="2026-11-21T12:54:56.123456789Z")
    assert payment_of(fine).timestamp == "2026-11-21T12:54:56.123456Z"


def test_nothing_of_the_customer_is_kept() -> None:
    """Names, addresses, digits of the card, and what the seller passed to the checkout stay out."""
    for message in (ORDER, INVOICE, INVOICE_FAILED, ORDER_REFUNDED):
        changed = event(message, status_formatted="Sample status")
        changed["meta"]["custom_data"] = {"note": "Sample note"}
        start_input = json.dumps(start_input_of(changed))
        assert all(text not in start_input for text in ("Sample", "example", "visa", "4242", "note"))


@pytest.mark.parametrize("value", ["17862436", None, 1.5, True, ["x"], {}])
def test_a_number_of_another_type_is_not_kept(value: Any) -> None:
    """It does not stop the payment, for it is only metadata."""
    changed = event(ORDER, order_number=value, store_id=value, subscription_id=value)
    assert payment_of(changed).metadata == {}
    assert payment_of(event(INVOICE, billing_reason="Sample text")).metadata.keys() == {
        "lemon-squeezy.store",
        "lemon-squeezy.subscription",
    }
    assert entry_of(event(ORDER_REFUNDED, store_id=value)).metadata == {}


def test_a_customer_with_the_number_of_the_order_is_no_leak() -> None:
    """The prefix of the token keeps the two apart, so a payment is never rejected by chance."""
    same = event(ORDER, customer_id=57830871234, order_number=57830871234, store_id=57830871234)
    same["data"]["id"] = "57830871234"
    assert payment_of(same).transaction_id == "order-57830871234"


# ── Refunds ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_refund_is_an_entry() -> None:
    """The start input is correct, field by field."""
    assert start_input_of(ORDER_REFUNDED) == {
        "TransactionID": "order-5783087",
        "EntryID": "order-5783087-refund",
        "Kind": "Refunded",
        "Amount": "4.99",
        "Currency": "EUR",
        "ProcessorID": "lemon-squeezy",
        "Timestamp": "2026-11-22T08:30:00.000000Z",
        "Metadata": {"lemon-squeezy.store": "178624"},
    }
    entry = entry_of(INVOICE_REFUNDED)
    assert (entry.transaction_id, entry.entry_id, entry.amount, entry.timestamp) == (
        "invoice-3833712",
        "invoice-3833712-refund",
        "11.99",
        "2026-11-23T08:00:00.000000Z",
    )


def test_a_full_refund_that_is_sent_again_is_the_same_entry() -> None:
    """Only what every message shows alike is in it."""
    later = event(ORDER_REFUNDED, updated_at="2027-01-01T00:00:00.000000Z", status_formatted="x")
    later["meta"]["webhook_id"] = "another"
    assert entry_of(later).fingerprint == entry_of(ORDER_REFUNDED).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"refunded_amount": 100, "status": "partial_refund", "refunded": False, "refunded_at": None},
        {"refunded_amount": 100, "status": "paid", "refunded": False, "refunded_at": None},
        {"refunded_amount": 100},
        {"refunded_amount": 498},
        {"refunded_amount": 500},
        {"refunded_amount": 0},
        {"status": "partial_refund"},
        {"status": "paid"},
        {"status": None},
        {"total": None},
        {"total": "499"},
        {"total": 0},
    ],
)
def test_a_sum_of_refunds_is_rejected(changes: dict[str, Any]) -> None:
    """The message has no refund's own amount. An operator records it."""
    for original in (ORDER_REFUNDED, event(INVOICE, "subscription_payment_refunded", **FULL, total=499)):
        message = event(original, **{"refunded_amount": 499, "status": "refunded", **changes})
        assert broken_by(TEST, message) == (InvalidEntryError, {("Amount", "cumulative_amount")})


def test_each_further_part_is_reported() -> None:
    """The stack publishes one rejection for all messages with the same IDs and rules, so each part has its own ID."""
    refused = []
    for refunded in (100, 300, 300):
        with pytest.raises(InvalidEntryError) as caught:
            read(TEST, event(ORDER_REFUNDED, refunded_amount=refunded, status="partial_refund"))
        refused.append((caught.value.transaction_id, caught.value.entry_id))
    assert refused == [("order-5783087", f"order-5783087-refund-{refunded}") for refunded in (100, 300, 300)]


@pytest.mark.parametrize("refunded_amount", [None, "499", 4.99, True])
def test_a_refund_without_an_amount_is_rejected(refunded_amount: Any) -> None:
    """The total alone does not say that it was refunded."""
    message = event(ORDER_REFUNDED, refunded_amount=refunded_amount)
    assert broken_by(TEST, message) == (InvalidEntryError, {("Amount", "type")})
    with pytest.raises(InvalidEntryError) as caught:
        read(TEST, event(message, total=refunded_amount))
    assert {*caught.value.violations} == {("Amount", "type")}
    assert IDENTIFIER.fullmatch(caught.value.entry_id or "")


def test_a_full_refund_without_its_time_is_rejected() -> None:
    """`updated_at` moves, so it cannot stand in."""
    assert broken_by(TEST, event(ORDER_REFUNDED, refunded_at=None))[1] == {("Timestamp", "type")}
    fine = event(ORDER_REFUNDED, refunded_at="2026-11-22T08:30:00.123456789Z")
    assert entry_of(fine).timestamp == "2026-11-22T08:30:00.123456Z"


def test_a_refund_of_the_first_invoice_is_not_ignored() -> None:
    """Nothing documents that the refund of its order is reported too. The ledger does not have the payment."""
    assert entry_of(event(INVOICE_REFUNDED, billing_reason="initial")).transaction_id == "invoice-3833712"


def test_entries_add_up_whatever_their_order() -> None:
    """A renewal fails, is recovered, and refunded in full, and each message comes twice."""
    messages = [INVOICE_FAILED, INVOICE, INVOICE_RECOVERED, INVOICE_REFUNDED]
    for order in (messages * 2, messages[::-1] * 2):
        totals = totals_after(order, TEST)
        assert (totals.captured, totals.refunded, totals.disputed) == ("11.99", "11.99", "0.00")
    totals = totals_after([ORDER_REFUNDED, ORDER], TEST)
    assert (totals.captured, totals.refunded) == ("4.99", "4.99")


# ── What is neither ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "message", [None, 1, "text", [], {}, {"meta": None}, {"meta": {"event_name": 7}}, {"meta": [], "data": {}}]
)
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    assert broken_by(TEST, message) == (InvalidPaymentError, {("Payment", "not_an_event")})


WRONG_OBJECTS: list[Any] = [
    *(None, [], {}, {"type": "orders"}, {"type": "orders", "id": "1", "attributes": None}),
    *({"type": "orders", "id": "1", "attributes": {}}, {"type": "licenses", "attributes": {"test_mode": True}}),
    *({"type": ["orders"], "attributes": {"test_mode": True}}, {"attributes": {"test_mode": True}}),
]


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("data", WRONG_OBJECTS)
def test_an_event_without_its_object_is_rejected(name: str, data: Any) -> None:
    """The workflow of entries publishes the refusal of an entry, and knows no field `Payment`."""
    expected = (InvalidPaymentError, {("Payment", "not_an_event")})
    if name.endswith("refunded"):
        expected = (InvalidEntryError, {("Entry", "not_an_event")})
    assert broken_by(TEST, {"meta": {"event_name": name, "test_mode": True}, "data": data}) == expected
    assert broken_by(TEST, {"meta": {"event_name": name}}) == expected


def test_an_order_is_no_invoice() -> None:
    """The type of the object gives the ID its prefix."""
    for name in INVOICE_EVENTS:
        assert broken_by(TEST, event(ORDER, name))[1] <= {("Payment", "not_an_event"), ("Entry", "not_an_event")}
        assert broken_by(TEST, event(ORDER, name))[1]
    for name in ("order_created", "order_refunded"):
        assert broken_by(TEST, event(INVOICE, name))[1]


@pytest.mark.parametrize("message", [ORDER, INVOICE, INVOICE_FAILED, ORDER_REFUNDED, INVOICE_REFUNDED])
def test_the_other_mode_is_ignored(message: Any) -> None:
    """A test moves no money, and a ledger for tests records no real payment."""
    for is_test in (True, False):
        changed = event(message, test_mode=is_test)
        taken = {name for name in ("lemon-squeezy", TEST) if FORMATS[name].start_input(changed, "x") is not None}
        assert taken == {TEST if is_test else "lemon-squeezy"}
    for unknown in (None, "true", 1, 0, []):
        assert broken_by(TEST, event(message, test_mode=unknown))[1]
        assert broken_by("lemon-squeezy", event(message, test_mode=unknown))[1]


def test_the_mode_comes_before_the_object() -> None:
    """A live endpoint rejects nothing that is only a test."""
    assert read("lemon-squeezy", event(INVOICE, billing_reason=None, status="pending")) is None


@pytest.mark.parametrize("name", ["subscription_created", "subscription_updated", "license_key_created", "", "ORDER"])
def test_another_event_is_ignored(name: str) -> None:
    """An endpoint may have subscribed to more."""
    for message in (ORDER, INVOICE, ORDER_REFUNDED):
        changed = event(message)
        changed["meta"]["event_name"] = name
        assert read(TEST, changed) is None
        assert read(TEST, {**changed, "data": None}) is None


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

MESSAGES = [ORDER, INVOICE, INVOICE_FAILED, ORDER_REFUNDED, INVOICE_REFUNDED]


@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_a_hostile_value_at_any_place_is_read_or_breaks_a_rule(number: int) -> None:
    """No message is a technical failure, after which Lemon Squeezy would give up in minutes."""
    message = copy.deepcopy(MESSAGES[number])
    for place, key in places(message):
        proper = place[key]
        for value in HOSTILE:
            place[key] = value
            read_whatever(TEST, message)
        place[key] = proper
    assert message == MESSAGES[number]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chosen=st.sampled_from(MESSAGES), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, chosen: Any, value: Any) -> None:
    """The same with any JSON."""
    message = copy.deepcopy(chosen)
    place, key = data.draw(st.sampled_from(places(message)))
    place[key] = value
    read_whatever(TEST, message)


@given(
    message=JSON | st.fixed_dictionaries({"meta": st.fixed_dictionaries({"event_name": st.sampled_from([*EVENTS])})})
)
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever(TEST, message)


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

# Lemon Squeezy publishes no vector. Made with OpenSSL: printf %s BODY | openssl dgst -sha256 -hmac SECRET
SECRET = "my-signing-secret-123"
BODY = b'{"meta":{"event_name":"order_created","test_mode":false},"data":{"type":"orders","id":"1"}}'
SIGNATURE = "2c567e93def3dafc655c56aba7e3bf0e332588c5593ab9c9679fe5f2df38ada0"


@pytest.mark.parametrize(
    ("secret", "header", "body", "expected"),
    [
        (SECRET, SIGNATURE, BODY, None),
        (SECRET, SIGNATURE, BODY + b"\n", "wrong_signature"),
        (SECRET, SIGNATURE, b"", "wrong_signature"),
        (SECRET, SIGNATURE.upper(), BODY, "wrong_signature"),
        (SECRET, f"sha256={SIGNATURE}", BODY, "wrong_signature"),
        (SECRET, SIGNATURE[:-1], BODY, "wrong_signature"),
        (SECRET, "", BODY, "wrong_signature"),
        (SECRET, "é", BODY, "wrong_signature"),
        ("my-signing-secret-124", SIGNATURE, BODY, "wrong_signature"),
    ],
)
def test_the_body_is_signed(secret: str, header: str, body: bytes, expected: str | None) -> None:
    """There is no signed time, so a valid request is valid at any time."""
    for now_s in (0, 1795511760):
        assert reason(LEMON_SQUEEZY, secret, {"X-Signature": header}, body, now_s) == expected


def test_the_name_of_the_event_in_a_header_is_not_signed() -> None:
    """So nothing is decided by it."""
    headers = {"X-Signature": SIGNATURE, "X-Event-Name": "order_refunded"}
    assert reason(LEMON_SQUEEZY, SECRET, headers, BODY, 0) is None
    assert plausible_schemes(Received.of(headers, URL, BODY), 0) == [LEMON_SQUEEZY]
