"""Square's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry
from ledger.formats import FORMATS
from ledger.formats.square import CURRENCIES, EVENTS
from ledger.identifiers import mapped_identifier
from ledger.payment import Payment
from ledger.signature import SQUARE, InvalidSignatureError, Received, verify
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation
from tests.support.mappings import (
    HOSTILE,
    JSON,
    broken_by,
    changed_somewhere,
    read,
    read_whatever,
    sample,
    totals_after,
)

PAID, REFUNDED, DISPUTED = (
    sample(f"square-{name}") for name in ("payment.updated", "refund.updated", "dispute.created")
)
NAMES = {"payment": PAID, "refund": REFUNDED, "dispute": DISPUTED}
PAYMENT_EVENTS = ("payment.created", "payment.updated")
REFUND_EVENTS = ("refund.created", "refund.updated")
DISPUTE_EVENTS = ("dispute.created", "dispute.state.updated", "dispute.state.changed")
PAYMENT_ID = PAID["data"]["id"]
REFUND_ID = REFUNDED["data"]["id"]
DISPUTE_ID = DISPUTED["data"]["id"]


def event(kind: str, /, **changes: Any) -> Any:
    """Return an event of this type about the sample's object, some of whose values are changed."""
    name = kind.partition(".")[0]
    message = json.loads(json.dumps(NAMES[name]))
    message["data"]["object"][name] |= changes
    return {**message, "type": kind}


def usd(amount: Any) -> dict[str, Any]:
    """Return an amount of Square's in dollars."""
    return {"amount": amount, "currency": "USD"}


def start_input(message: Any) -> dict[str, Any]:
    """Return the start input of a message that has one."""
    made = FORMATS["square"].start_input(message, "square")
    assert made is not None
    return made


def broken(message: Any) -> set[tuple[str, str]]:
    """Return the rules that a message breaks."""
    return broken_by("square", message)[1]


def recorded(message: Any) -> Payment | Entry | None:
    """Return what the ledger would record of a message."""
    return read("square", message)


def kind_of(message: Any) -> str | None:
    """Return the status of a message's payment, or the kind of its entry; None if it reports neither."""
    result = recorded(message)
    return result.kind if isinstance(result, Entry) else result and result.status


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_payment_is_a_payment() -> None:
    """The start input is correct, field by field. The amount has the tip."""
    assert start_input(PAID) == {
        "TransactionID": "SampleLedgerPayment0001ZY",
        "SecureToken": "sq-1-SampleLedgerFingerprintNotReal0000000000000000000000000000000001",
        "Amount": "25.99",
        "Currency": "USD",
        "ProcessorID": "square",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01.086Z",
        "Metadata": {
            "square.event": "6a8f5f28-54a1-4eb0-a98a-000000000001",
            "square.merchant": "MLSAMPLELEDGR",
            "square.location": "LSAMPLELEDGER",
            "square.order": "SampleLedgerOrder0001ZY",
            "square.token": "card_details.card.fingerprint",
        },
    }
    assert broken(PAID) == set()


@pytest.mark.parametrize("kind", PAYMENT_EVENTS)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *(("COMPLETED", "Success"), ("FAILED", "Failure")),
        *(("APPROVED", None), ("PENDING", None), ("CANCELED", None)),
    ],
)
def test_a_payment_is_recorded_when_its_status_is_final(kind: str, status: str, expected: str | None) -> None:
    """An authorisation may be changed or released, and a bank may refuse a payment that is pending."""
    assert kind_of(event(kind, status=status)) == expected


@pytest.mark.parametrize("status", ["VOIDED", "completed", "Success", "Failure", "", None, 7, ["COMPLETED"], {}])
def test_a_status_that_square_does_not_document_is_rejected(status: Any) -> None:
    """It could mean that money was taken, so it is not ignored."""
    assert broken(event("payment.updated", status=status)) == {("Status", "status")}


def test_later_events_about_a_payment_are_the_same_payment() -> None:
    """Square sends another one for each fee and refund, and repeats each until it is answered."""
    later = event(
        "payment.updated",
        updated_at="2026-11-22T10:14:16.400Z",
        version_token="another",
        processing_fee=[{"amount_money": usd(105), "type": "INITIAL"}],
        refund_ids=[REFUND_ID],
        refunded_money=usd(1000),
        approved_money=usd(9999),
        app_fee_money=usd(10),
    )
    later |= {"event_id": "another", "created_at": "2026-11-22T10:14:16.421339943Z"}
    first, again = recorded(PAID), recorded(later)
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint
    assert again.metadata["square.event"] == "another"


CARD = {"card_brand": "VISA", "fingerprint": "sq-1-print", "last_4": "1111"}
MADE_WITH = [
    ({"card_details": {"card": {**CARD, "id": "ccof:1-token"}}}, "ccof:1-token", None),
    ({"card_details": {"card": CARD}}, "sq-1-print", "card_details.card.fingerprint"),
    ({"card_details": {"card": {**CARD, "id": None}}}, "sq-1-print", "card_details.card.fingerprint"),
    ({"card_details": {"card": {**CARD, "id": ""}}}, "sq-1-print", "card_details.card.fingerprint"),
    ({"bank_account_details": {"fingerprint": "bank-1"}}, "bank-1", "bank_account_details.fingerprint"),
    (
        {"square_account_details": {"payment_source_token": "sqa-1"}},
        "sqa-1",
        "square_account_details.payment_source_token",
    ),
    ({"wallet_details": {"cash_app_details": {"buyer_cashtag": "$A"}}}, "SampleLedgerOrder0001ZY", "order_id"),
    ({"cash_details": {"buyer_supplied_money": usd(3000)}}, "SampleLedgerOrder0001ZY", "order_id"),
]


@pytest.mark.parametrize(("details", "token", "field"), MADE_WITH)
def test_the_token_is_the_id_of_what_the_payment_was_made_with(
    details: dict[str, Any], token: str, field: str | None
) -> None:
    """If it has none, the order stands in, and then stands nowhere else: the ledger would keep it in plaintext."""
    message = event("payment.updated", **{"card_details": None, **details})
    made = start_input(message)
    assert made["SecureToken"] == token
    assert made["Metadata"].get("square.token") == field
    assert made["Metadata"].get("square.order") == (None if field == "order_id" else "SampleLedgerOrder0001ZY")
    assert broken(message) == set()


def test_a_payment_of_nothing_that_has_an_id_is_rejected() -> None:
    """An invented token would permanently look like the processor's."""
    assert broken(event("payment.updated", card_details={}, order_id=None)) == {("SecureToken", "type")}
    in_the_id = event("payment.updated", card_details={}, order_id=PAYMENT_ID)
    assert broken(in_the_id) == {("TransactionID", "holds_token")}


@pytest.mark.parametrize(
    ("currency", "units", "amount"),
    [
        ("USD", 5, "0.05"),
        ("EUR", 2599, "25.99"),
        ("GBP", 2500, "25.00"),
        ("AUD", 100, "1.00"),
        ("CAD", 1, "0.01"),
        ("JPY", 500, "500"),
        ("USD", 0, "0.00"),
    ],
)
def test_smallest_units_become_major_units(currency: str, units: int, amount: str) -> None:
    """Square documents that the yen has none. A fully discounted order is paid with 0."""
    paid = recorded(event("payment.updated", total_money={"amount": units, "currency": currency}))
    assert paid is not None
    assert (paid.amount, paid.currency) == (amount, currency)


@pytest.mark.parametrize("currency", sorted({*MINOR_UNITS, "BTC", "USS", "XYZ"}))
def test_no_currency_is_guessed(currency: str) -> None:
    """Square documents the smallest unit of six currencies."""
    money = {"amount": 1000, "currency": currency}
    expected = set() if currency in CURRENCIES else {("Amount", "amount_unit")}
    assert broken(event("payment.updated", total_money=money)) - {("Currency", "currency")} == expected
    assert broken(event("refund.updated", amount_money=money)) - {("Currency", "currency")} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": None}, {("TransactionID", "type")}),
        ({"id": ""}, {("TransactionID", "identifier")}),
        ({"id": 7}, {("TransactionID", "type")}),
        ({"total_money": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"total_money": usd(None)}, {("Amount", "type")}),
        ({"total_money": usd("2599")}, {("Amount", "type")}),
        ({"total_money": usd(25.99)}, {("Amount", "type")}),
        ({"total_money": {"amount": True, "currency": "USD"}}, {("Amount", "type")}),
        ({"total_money": usd(-1)}, {("Amount", "negative")}),
        ({"total_money": usd(10**40)}, {("Amount", "digits")}),
        ({"total_money": {"amount": 1}}, {("Amount", "type"), ("Currency", "type")}),
        ({"total_money": {"amount": 1, "currency": ["USD"]}}, {("Amount", "type"), ("Currency", "type")}),
        ({"created_at": None}, {("Timestamp", "type")}),
        ({"created_at": 1795255321}, {("Timestamp", "type")}),
        ({"created_at": "2026-11-21T10:02:01"}, {("Timestamp", "timestamp")}),
    ],
)
def test_what_is_wrong_with_a_payment_is_named(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """The start input has the contract's names. A missing currency must not become the stack's default."""
    assert broken(event("payment.updated", **changes)) == expected


def test_a_time_that_is_finer_than_a_microsecond_is_cut() -> None:
    """Square writes nine decimals in its test notification. The ledger's times have six."""
    paid = recorded(event("payment.updated", created_at="2026-11-21T10:02:01.086123943Z"))
    assert paid is not None
    assert paid.timestamp == "2026-11-21T10:02:01.086123Z"
    back = recorded(event("refund.updated", created_at="2026-11-22T10:02:01.836123943Z"))
    assert back is not None
    assert back.timestamp == "2026-11-22T10:02:01.836123Z"


PERSONAL = {
    "buyer_email_address": "buyer@example.com",
    "note": "for my aunt",
    "billing_address": {"first_name": "Ada"},
    "receipt_url": "https://example.com/receipt",
    "card_details": {"card": {**CARD, "bin": "411111", "cardholder_name": "Ada Example", "exp_year": 2030}},
}


def test_nothing_personal_is_kept() -> None:
    """The ledger keeps metadata permanently, and publishes them."""
    made = json.dumps(start_input(event("payment.updated", **PERSONAL)))
    refused = ("buyer", "aunt", "Ada", "411111", "1111", "VISA", "receipt", "2030")
    assert not [text for text in refused if text in made]
    back = start_input(event("refund.updated", reason="Ada"))
    assert "Ada" not in json.dumps(back)
    assert "square.reason" not in back["Metadata"]


def test_what_is_not_a_code_is_not_kept() -> None:
    """Anything else could be text of a person. A payment is recorded all the same."""
    message = event("payment.updated", location_id="a b", order_id={}) | {"event_id": 7, "merchant_id": "x" * 65}
    assert start_input(message)["Metadata"] == {"square.token": "card_details.card.fingerprint"}
    assert broken(message) == set()
    message = event("dispute.created", reason="Mr. Smith's card", location_id=["L"]) | {"location_id": "LOF1"}
    assert set(start_input(message)["Metadata"]) == {"square.event", "square.merchant"}
    assert broken(message) == set()


def test_the_location_of_a_dispute_may_stand_beside_it() -> None:
    """Square's examples have it in the event and not in the dispute."""
    message = event("dispute.created", location_id=None) | {"location_id": "LOF1"}
    assert start_input(message)["Metadata"]["square.location"] == "LOF1"


# ── Refunds ─────────────────────────────────────────────────────────────────────────────────────────

FEE = [{"amount_money": usd(-59), "type": "INITIAL"}]


def test_a_completed_refund_is_an_entry_of_its_payment() -> None:
    """The start input is correct, field by field. Square's IDs of refunds are longer than the contract's."""
    assert start_input(REFUNDED) == {
        "TransactionID": PAYMENT_ID,
        "EntryID": mapped_identifier(REFUND_ID),
        "Kind": "Refunded",
        "Amount": "10",
        "Currency": "USD",
        "ProcessorID": "square",
        "Timestamp": "2026-11-22T10:02:01.836Z",
        "Metadata": {
            "square.event": "bc316346-6691-4243-88ed-000000000002",
            "square.merchant": "MLSAMPLELEDGR",
            "square.location": "LSAMPLELEDGER",
            "original.EntryID": REFUND_ID,
        },
    }
    assert len(REFUND_ID) > 64
    assert broken(REFUNDED) == set()


@pytest.mark.parametrize("kind", REFUND_EVENTS)
@pytest.mark.parametrize(
    ("status", "fee", "expected"),
    [
        ("COMPLETED", FEE, "Refunded"),
        ("COMPLETED", None, "Refunded"),
        ("COMPLETED", [], "Refunded"),
        ("PENDING", None, None),
        ("PENDING", FEE, None),
        ("FAILED", None, None),
        ("FAILED", [], None),
        ("REJECTED", None, None),
        ("FAILED", FEE, "RefundFailed"),
        ("REJECTED", FEE, "RefundFailed"),
    ],
)
def test_a_refund_counts_when_it_is_completed(kind: str, status: str, fee: Any, expected: str | None) -> None:
    """One that fails before has moved nothing. Of one that fails after, only a fee is left as a trace."""
    assert kind_of(event(kind, status=status, processing_fee=fee)) == expected


@pytest.mark.parametrize("status", ["APPROVED", "completed", "", None, 7, ["COMPLETED"], {}])
def test_a_refund_in_an_undocumented_state_is_rejected(status: Any) -> None:
    """It could mean that money was paid back."""
    assert broken(event("refund.updated", status=status)) == {("Kind", "kind")}


def test_a_refund_that_fails_after_all_names_the_refund() -> None:
    """Both have the time at which the refund was created."""
    failed, taken = recorded(event("refund.updated", status="FAILED")), recorded(REFUNDED)
    assert isinstance(failed, Entry)
    assert isinstance(taken, Entry)
    assert failed.reverses == taken.entry_id
    assert failed.entry_id == mapped_identifier(f"{REFUND_ID}_failed")
    assert (failed.amount, failed.timestamp) == (taken.amount, taken.timestamp)
    assert failed.metadata["original.EntryID"] == REFUND_ID


def test_a_refund_of_no_payment_is_rejected() -> None:
    """Square can pay out without a payment of its own (`unlinked`). There is no payment that the entry could change."""
    unlinked = event("refund.updated", payment_id=None, unlinked=True)
    assert broken(unlinked) == {("TransactionID", "type")}


@pytest.mark.parametrize("name", ["square-refund.updated", "square-dispute.created"])
def test_later_events_about_a_refund_or_a_dispute_are_the_same_entry(name: str) -> None:
    """Square's own examples of two events about one refund even have the same event ID."""
    later = sample(name)
    kind = later["type"].partition(".")[0]
    later |= {"event_id": "another", "created_at": "2026-12-22T10:14:16.421Z"}
    later["data"]["object"][kind] |= {
        "updated_at": "2026-12-22T10:14:16.400Z",
        "version": 99,
        "processing_fee": FEE * 2,
        "brand_dispute_id": "another",
        "reported_at": "2026-12-22T00:00:00.000Z",
        "reason": "DUPLICATE",
    }
    first, again = recorded(sample(name)), recorded(later)
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint


# ── Disputes ────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_is_an_entry_of_its_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input(DISPUTED) == {
        "TransactionID": PAYMENT_ID,
        "EntryID": DISPUTE_ID,
        "Kind": "Disputed",
        "Amount": "15.99",
        "Currency": "USD",
        "ProcessorID": "square",
        "Timestamp": "2026-11-23T10:02:01.258Z",
        "Metadata": {
            "square.event": "ce8464b5-6628-4ac2-9264-000000000003",
            "square.merchant": "MLSAMPLELEDGR",
            "square.location": "LSAMPLELEDGER",
            "square.reason": "NOT_RECEIVED",
        },
    }
    assert broken(DISPUTED) == set()


@pytest.mark.parametrize("kind", DISPUTE_EVENTS)
@pytest.mark.parametrize(
    ("state", "expected", "suffix"),
    [
        ("EVIDENCE_REQUIRED", "Disputed", ""),
        ("PROCESSING", "Disputed", ""),
        ("WON", "DisputeWon", "_won"),
        ("LOST", "DisputeLost", "_lost"),
        ("ACCEPTED", "DisputeLost", "_lost"),
    ],
)
def test_a_chargeback_withholds_the_money_until_it_is_decided(
    kind: str, state: str, expected: str, suffix: str
) -> None:
    """An inquiry may become a chargeback in either state."""
    entry = recorded(event(kind, state=state))
    assert isinstance(entry, Entry)
    assert (entry.kind, entry.entry_id) == (expected, f"{DISPUTE_ID}{suffix}")
    assert entry.reverses == (DISPUTE_ID if suffix else None)
    assert (entry.amount, entry.timestamp) == ("15.99", "2026-11-23T10:02:01.258000Z")


@pytest.mark.parametrize("kind", DISPUTE_EVENTS)
@pytest.mark.parametrize("state", ["INQUIRY_EVIDENCE_REQUIRED", "INQUIRY_PROCESSING", "INQUIRY_CLOSED"])
def test_an_inquiry_withholds_nothing(kind: str, state: str) -> None:
    """If it becomes a chargeback, another event says so."""
    assert recorded(event(kind, state=state)) is None


@pytest.mark.parametrize("state", ["INQUIRY_LOST", "WAITING_THIRD_PARTY", "won", "", None, 7, ["WON"], {}])
def test_a_dispute_in_an_undocumented_state_is_rejected(state: Any) -> None:
    """It could mean that money was withheld or came back."""
    assert broken(event("dispute.state.updated", state=state)) == {("Kind", "kind")}


def test_the_older_event_of_a_dispute_is_the_same_entry() -> None:
    """It is Square's own example: the ID has another name. A subscription may have both events."""
    older = event("dispute.state.changed", state="WON", reported_date="2026-11-23T00:00:00.000Z")
    changed = older["data"]["object"]["dispute"]
    changed["dispute_id"] = changed.pop("id")
    del changed["reported_at"]
    won, again = recorded(event("dispute.state.updated", state="WON")), recorded(older)
    assert won is not None
    assert again is not None
    assert won.fingerprint == again.fingerprint


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("refund.updated", {"id": None}, {("EntryID", "type")}),
        ("refund.updated", {"id": ""}, {("EntryID", "type")}),
        ("refund.updated", {"id": 7}, {("EntryID", "type")}),
        ("refund.updated", {"id": PAYMENT_ID}, {("EntryID", "id_of_the_payment")}),
        ("refund.updated", {"payment_id": 7}, {("TransactionID", "type")}),
        ("refund.updated", {"amount_money": usd(0)}, {("Amount", "zero")}),
        ("refund.updated", {"amount_money": usd(-5)}, {("Amount", "negative")}),
        ("refund.updated", {"amount_money": usd("5")}, {("Amount", "type")}),
        ("refund.updated", {"created_at": 7}, {("Timestamp", "type")}),
        ("dispute.created", {"id": None}, {("EntryID", "type")}),
        ("dispute.created", {"disputed_payment": None}, {("TransactionID", "type")}),
        ("dispute.created", {"disputed_payment": "p"}, {("TransactionID", "type")}),
        ("dispute.created", {"amount_money": []}, {("Amount", "type"), ("Currency", "type")}),
        ("dispute.created", {"created_at": "yesterday"}, {("Timestamp", "timestamp")}),
        ("dispute.created", {"id": None, "state": "WON"}, {("EntryID", "type"), ("Reverses", "type")}),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(
    kind: str, changes: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """What a message does not show is not guessed."""
    assert broken(event(kind, **changes)) == expected


def test_what_the_format_rejects_of_an_entry_is_named_by_its_ids() -> None:
    """An operator finds the refusal by either ID."""
    with pytest.raises(InvalidEntryError) as caught:
        start_input(event("dispute.created", state="LOST", amount_money={"amount": 1, "currency": "CHF"}))
    assert caught.value.violations == [Violation("Amount", "amount_unit")]
    assert (caught.value.transaction_id, caught.value.entry_id) == (PAYMENT_ID, f"{DISPUTE_ID}_lost")


def test_the_longest_ids_are_mapped_and_kept() -> None:
    """Square documents 192 and 255 characters. An entry finds its payment all the same, and its metadata fit."""
    long_id, refund_id = "p" * 192, "r" * 255
    paid = recorded(event("payment.updated", id=long_id))
    back = recorded(event("refund.updated", id=refund_id, payment_id=long_id, status="FAILED"))
    assert isinstance(paid, Payment)
    assert isinstance(back, Entry)
    assert paid.transaction_id == back.transaction_id == mapped_identifier(long_id)
    assert back.reverses == mapped_identifier(refund_id)
    assert back.metadata["original.TransactionID"] == long_id
    assert back.metadata["original.EntryID"] == refund_id


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind",
    [
        *("order.updated", "invoice.payment_made", "terminal.refund.updated", "payout.sent", "card.created"),
        *("dispute.evidence.created", "dispute.state", "payment", "payment.", "PAYMENT.UPDATED", "refund.failed", ""),
    ],
)
@pytest.mark.parametrize("message", NAMES.values(), ids=NAMES)
def test_any_other_event_is_ignored(kind: str, message: Any) -> None:
    """An invoice's payment comes as a payment too."""
    assert recorded({**message, "type": kind}) is None


def test_squares_test_notification_is_ignored() -> None:
    """It has no object. Square sends it when a person tests the subscription."""
    data = {"type": "webhooks", "id": "ed45b6a0-9f5a-4c0c-a7f8-000000000001"}
    assert recorded({"type": "webhooks.test_notification", "event_id": "e", "data": data}) is None


@pytest.mark.parametrize(
    "message", [None, 1, "text", [], {}, {"type": 1}, {"type": None}, {"type": ["payment.updated"]}]
)
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    assert broken(message) == {("Payment", "not_an_event")}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("data", [None, [], {"id": "1"}, {"object": None}, {"object": []}, {"object": {"other": {}}}])
def test_an_event_without_its_object_is_rejected(kind: str, data: Any) -> None:
    """So is a thin event, which only names what it is about. The workflow of entries knows no field `Payment`."""
    error, field = (InvalidPaymentError, "Payment") if kind.startswith("payment.") else (InvalidEntryError, "Entry")
    with pytest.raises(error) as caught:
        FORMATS["square"].start_input({"type": kind, "data": data}, "square")
    assert caught.value.violations == [Violation(field, "not_an_event")]


# ── Histories ───────────────────────────────────────────────────────────────────────────────────────

INQUIRY = event("dispute.created", state="INQUIRY_EVIDENCE_REQUIRED")
HISTORIES: dict[str, tuple[list[Any], tuple[str, str]]] = {
    "paid": ([event("payment.created", status="APPROVED", total_money=usd(100))], ("0.00", "0.00")),
    "refunded": ([event("refund.created", status="PENDING", processing_fee=None), REFUNDED], ("10.00", "0.00")),
    "never refunded": (
        [
            event("refund.created", status="PENDING", processing_fee=None),
            event("refund.updated", status="FAILED", processing_fee=None),
        ],
        ("0.00", "0.00"),
    ),
    "refunded, and failed after all": ([REFUNDED, event("refund.updated", status="FAILED")], ("0.00", "0.00")),
    "disputed": ([INQUIRY, DISPUTED, event("dispute.state.updated", state="PROCESSING")], ("0.00", "15.99")),
    "won": ([DISPUTED, event("dispute.state.updated", state="WON")], ("0.00", "0.00")),
    "lost": (
        [
            DISPUTED,
            event("dispute.state.updated", state="LOST"),
            event("dispute.state.changed", state="ACCEPTED"),
        ],
        ("0.00", "15.99"),
    ),
    "an inquiry": ([INQUIRY, event("dispute.state.updated", state="INQUIRY_CLOSED")], ("0.00", "0.00")),
    "refunded in part, and the rest lost": (
        [REFUNDED, DISPUTED, event("dispute.state.updated", state="ACCEPTED")],
        ("10.00", "15.99"),
    ),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_adds_up(history: str) -> None:
    """Whatever the order of the events, and however often each comes."""
    messages, expected = HISTORIES[history]
    for order in permutations([PAID, *messages]):
        totals = totals_after([*order, *order], "square")
        assert (totals.captured, totals.refunded, totals.disputed) == ("25.99", *expected)


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

MESSAGES = [
    PAID,
    event("refund.updated", status="FAILED"),
    event("dispute.state.updated", state="LOST"),
    *(event("payment.updated", **{"card_details": None, **details}) for details, _, _ in MADE_WITH),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_a_hostile_value_in_any_field_is_read_or_breaks_a_rule(value: Any) -> None:
    """No message is a technical failure, which Square would send again for a day."""
    for message in MESSAGES:
        (name,) = message["data"]["object"]
        for field in message["data"]["object"][name]:
            read_whatever("square", event(message["type"], **{**message["data"]["object"][name], field: value}))
        for field in message:
            read_whatever("square", {**message, field: value})
        for inner in ("total_money", "amount_money", "card_details", "disputed_payment"):
            nested = {"amount": value, "currency": value, "payment_id": value, "card": {"id": value}}
            read_whatever("square", event(message["type"], **{inner: nested}))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), message=st.sampled_from(MESSAGES), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, message: Any, value: Any) -> None:
    """What a processor signs is not necessarily what it documents."""
    read_whatever("square", changed_somewhere(data.draw, message, value))


@given(message=JSON | st.fixed_dictionaries({"type": st.sampled_from([*EVENTS]), "data": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever("square", message)


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

KEY, URL, BODY = "asdf1234", "https://example.com/webhook", b'{"hello":"world"}'
SIGNATURE = "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="
"""The example of Square's page "Verify and validate an event notification"."""


@pytest.mark.parametrize(
    ("key", "url", "body", "signature", "valid"),
    [
        (KEY, URL, BODY, SIGNATURE, True),
        (KEY, f"{URL}/", BODY, SIGNATURE, False),
        (KEY, URL.replace("https", "http"), BODY, SIGNATURE, False),
        (KEY, URL.replace("example.com", "proxy.example.com"), BODY, SIGNATURE, False),
        (KEY, f"{URL}?a=1", BODY, SIGNATURE, False),
        (KEY, URL, BODY + b"\n", SIGNATURE, False),
        (KEY, URL, b'{"hello": "world"}', SIGNATURE, False),
        ("asdf1235", URL, BODY, SIGNATURE, False),
        (KEY, URL, BODY, SIGNATURE.rstrip("="), False),
        (KEY, URL, BODY, SIGNATURE.replace("+", "-").replace("/", "_"), False),
        (KEY, URL, BODY, SIGNATURE.lower(), False),
        (KEY, URL, BODY, f"{SIGNATURE},{SIGNATURE}", False),
        (KEY, URL, BODY, "", False),
    ],
)
def test_squares_own_example_is_valid_and_a_changed_one_is_not(
    key: str, url: str, body: bytes, signature: str, *, valid: bool
) -> None:
    """The URL is signed as the subscription has it, byte for byte."""
    received = Received.of({"X-Square-HmacSha256-Signature": signature}, url, body)
    if valid:
        verify(SQUARE, ["another key of Square's", key], received, 0)
        verify(SQUARE, [key], received, 4 * 10**9)  # no time is signed, so it is valid forever
        return
    with pytest.raises(InvalidSignatureError, match="wrong_signature"):
        verify(SQUARE, [key], received, 0)


def test_squares_older_signature_does_not_count() -> None:
    """It is an HMAC-SHA-1, which Square still sends beside the other one."""
    with pytest.raises(InvalidSignatureError, match="no_signature"):
        verify(SQUARE, [KEY], Received.of({"x-square-signature": SIGNATURE}, URL, BODY), 0)
