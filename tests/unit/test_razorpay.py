"""Razorpay's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry
from ledger.formats import FORMATS
from ledger.formats.razorpay import EVENTS, THREE_DECIMAL, ZERO_DECIMAL
from ledger.identifiers import mapped_identifier
from ledger.payment import Payment
from ledger.signature import RAZORPAY, InvalidSignatureError, Received, verify
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

CAPTURED, FAILED, REFUNDED, LOST = (
    sample(f"razorpay-{name}")
    for name in ("payment.captured", "payment.failed", "refund.processed", "payment.dispute.lost")
)
PAYMENT_ID = "pay_SampleLedger01"
REFUND_ID = "rfnd_SampleLedger01"
DISPUTE_ID = "disp_SampleLedger01"
REFUND_EVENTS = ("refund.created", "refund.processed", "refund.speed_changed", "refund.failed")
STEPS = ("created", "under_review", "action_required", "won", "lost", "closed")


def event(message: Any, name: str, /, kind: str = "", **changes: Any) -> Any:
    """Return a message of this type, some of whose values of its entity *name* are changed."""
    copy = json.loads(json.dumps(message))
    copy["payload"][name]["entity"] |= changes
    return {**copy, "event": kind or message["event"]}


def paid(**changes: Any) -> Any:
    """Return the event of a captured payment."""
    return event(CAPTURED, "payment", **changes)


def refund(kind: str = "refund.processed", **changes: Any) -> Any:
    """Return an event of the sample refund."""
    return event(REFUNDED, "refund", kind, **changes)


def dispute(step: str, **changes: Any) -> Any:
    """Return an event of the sample dispute."""
    return event(LOST, "dispute", f"payment.dispute.{step}", **changes)


def start_input(message: Any) -> dict[str, Any]:
    """Return the start input of a message that has one."""
    made = FORMATS["razorpay"].start_input(message, "razorpay")
    assert made is not None
    return made


def broken(message: Any) -> set[tuple[str, str]]:
    """Return the rules that a message breaks."""
    return broken_by("razorpay", message)[1]


def recorded(message: Any) -> Payment | Entry | None:
    """Return what the ledger would record of a message."""
    return read("razorpay", message)


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_a_captured_payment_is_a_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input(CAPTURED) == {
        "TransactionID": "pay_SampleLedger01",
        "SecureToken": "card_SampleLedger01",
        "Amount": "499",
        "Currency": "INR",
        "ProcessorID": "razorpay",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01+00:00",
        "Metadata": {
            "razorpay.account": "acc_SampleLedger01",
            "razorpay.order": "order_SampleLedger01",
            "razorpay.token": "card_id",
        },
    }
    assert broken(CAPTURED) == set()


def test_a_failed_payment_has_an_id_of_its_own() -> None:
    """The start input is correct, field by field. Its token is the order, which stands nowhere else."""
    assert start_input(FAILED) == {
        "TransactionID": "pay_SampleLedger02_failed",
        "SecureToken": "order_SampleLedger02",
        "Amount": "499",
        "Currency": "INR",
        "ProcessorID": "razorpay",
        "Status": "Failure",
        "Timestamp": "2026-11-21T10:05:01+00:00",
        "Metadata": {
            "razorpay.account": "acc_SampleLedger01",
            "razorpay.payment": "pay_SampleLedger02",
            "razorpay.reason": "payment_failed",
            "razorpay.token": "order_id",
        },
    }
    assert broken(FAILED) == set()


def test_a_payment_that_failed_may_succeed_later() -> None:
    """A bank may report a success after Razorpay gave up. Under one ID, the taken money would be missing."""
    failed = recorded(event(FAILED, "payment", id="pay_1"))
    authorised = event(FAILED, "payment", "payment.authorized", id="pay_1", status="authorized")
    captured = recorded(paid(id="pay_1", amount=49900))
    assert isinstance(failed, Payment)
    assert isinstance(captured, Payment)
    assert recorded(authorised) is None
    assert (failed.transaction_id, failed.status) == ("pay_1_failed", "Failure")
    assert (captured.transaction_id, captured.status) == ("pay_1", "Success")


def test_a_captured_amount_of_0_is_not_a_payment() -> None:
    """A mandate was registered. What is later paid under it is a payment of its own."""
    assert recorded(paid(amount=0)) is None
    failed = recorded(event(FAILED, "payment", amount=0))
    assert failed is not None
    assert failed.amount == "0.00"
    assert recorded(paid(amount=1)) is not None


@pytest.mark.parametrize("captured", [False, None, 1, "true"])
def test_a_capture_that_is_none_is_rejected(captured: Any) -> None:
    """The event and its payment contradict each other, so nobody knows whether money was taken."""
    assert broken(paid(captured=captured)) == {("Status", "type")}
    assert broken(paid(captured=captured, status="Success")) == {("Status", "type")}


def test_later_events_about_a_payment_are_the_same_payment() -> None:
    """Razorpay repeats an event for a day, and on request for 15 days. The payment may be refunded by then."""
    later = paid(status="refunded", amount_refunded=49900, refund_status="full", fee=1, tax=1, base_amount=1)
    first, again = recorded(CAPTURED), recorded({**later, "created_at": 1899999999, "account_id": "acc_2"})
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint


NO_ID: dict[str, Any] = {"token_id": None, "card_id": None, "order_id": None}
MADE_WITH = [
    ({"token_id": "token_1Sample", "card_id": "card_1Sample"}, "token_1Sample", None),
    ({"card_id": "card_1Sample"}, "card_1Sample", "card_id"),
    ({"token_id": "", "card_id": "card_1Sample"}, "card_1Sample", "card_id"),
    ({"card_id": None}, "order_SampleLedger01", "order_id"),
    ({"card_id": None, "vpa": "9100000000@upi"}, "order_SampleLedger01", "order_id"),
    (NO_ID, "acc_SampleLedger01", "account_id"),
]


@pytest.mark.parametrize(("fields", "token", "field"), MADE_WITH)
def test_the_token_is_the_id_of_what_the_payment_was_made_with(
    fields: dict[str, Any], token: str, field: str | None
) -> None:
    """What served as the token stands nowhere else: the ledger would keep it in plaintext."""
    made = start_input(paid(**fields))
    assert made["SecureToken"] == token
    metadata = made["Metadata"]
    assert metadata.get("razorpay.token") == field
    assert metadata.get("razorpay.account") == (None if field == "account_id" else "acc_SampleLedger01")
    has_order = field not in {"account_id", "order_id"}
    assert metadata.get("razorpay.order") == ("order_SampleLedger01" if has_order else None)
    assert broken(paid(**fields)) == set()


def test_a_payment_of_nothing_that_has_an_id_is_rejected() -> None:
    """An invented token would permanently look like the processor's."""
    assert broken({**paid(**NO_ID), "account_id": None}) == {("SecureToken", "type")}


@pytest.mark.parametrize(
    ("currency", "units", "amount"),
    [
        ("INR", 49900, "499.00"),
        ("INR", 5, "0.05"),
        ("JPY", 500, "500"),
        ("UGX", 500, "500"),
        ("ISK", 500, "500"),
        ("KWD", 295990, "295.990"),
        ("KWD", 295991, "295.991"),
        ("IQD", 5120, "5.120"),
        ("MGA", 512, "5.12"),
        ("IDR", 100000, "1000.00"),
    ],
)
def test_smallest_units_become_major_units(currency: str, units: int, amount: str) -> None:
    """Razorpay lists the decimals of each currency that it takes."""
    for message in (paid(amount=units, currency=currency), refund(amount=units, currency=currency)):
        result = recorded(message)
        assert result is not None
        assert (result.amount, result.currency) == (amount, currency)


@pytest.mark.parametrize("currency", sorted({*MINOR_UNITS, "HRK", "XYZ"}))
def test_no_currency_is_guessed(currency: str) -> None:
    """Each is in one of Razorpay's lists, has two decimals in ISO 4217 and by Razorpay's rule, or is rejected."""
    listed = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    decimals = MINOR_UNITS.get(currency, 2)
    expected = set() if listed == decimals else {("Amount", "amount_unit")}
    of_iso = {("Currency", rule) for rule in ("currency", "no_minor_unit", "retired_currency")}
    assert broken(paid(amount=10, currency=currency)) - of_iso == expected


def test_razorpays_currencies_are_iso_4217s() -> None:
    """Their decimals were compared with Razorpay's table of 128 currencies. It leaves out four others."""
    without, three = ({code for code, decimals in MINOR_UNITS.items() if decimals == number} for number in (0, 3))
    assert without - ZERO_DECIMAL == {"UYI"}
    assert three - THREE_DECIMAL == {"LYD"}
    assert without > ZERO_DECIMAL
    assert three > THREE_DECIMAL


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": None}, {("TransactionID", "type")}),
        ({"id": ""}, {("TransactionID", "identifier")}),
        ({"id": 7}, {("TransactionID", "type")}),
        ({"amount": None}, {("Amount", "type")}),
        ({"amount": "49900"}, {("Amount", "type")}),
        ({"amount": 499.0}, {("Amount", "type")}),
        ({"amount": True}, {("Amount", "type")}),
        ({"amount": -1}, {("Amount", "negative")}),
        ({"amount": 10**40}, {("Amount", "digits")}),
        ({"currency": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": ["INR"]}, {("Amount", "type"), ("Currency", "type")}),
        ({"created_at": None}, {("Timestamp", "type")}),
        ({"created_at": "1795255321"}, {("Timestamp", "type")}),
        ({"created_at": 10**15}, {("Timestamp", "timestamp_range")}),
    ],
)
@pytest.mark.parametrize("message", [CAPTURED, FAILED], ids=["captured", "failed"])
def test_what_is_wrong_with_a_payment_is_named(
    message: Any, changes: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """The start input has the contract's names. A missing currency must not become the stack's default."""
    assert broken(event(message, "payment", **changes)) == expected


PERSONAL = {
    "email": "ada@example.com",
    "contact": "+919000000000",
    "description": "for my aunt",
    "notes": {"name": "Ada"},
    "vpa": "ada@upi",
    "card": {"id": "card_1", "name": "Ada Example", "last4": "1111", "iin": "411111"},
    "error_description": "Ada's bank refused",
    "acquirer_data": {"rrn": "322206890934"},
}


def test_nothing_personal_is_kept() -> None:
    """The ledger keeps metadata permanently, and publishes them."""
    for message in (paid(**PERSONAL), event(FAILED, "payment", **PERSONAL)):
        made = json.dumps(start_input(message)).replace("failed", "")
        assert not [text for text in ("ada@", "Ada", "91900", "aunt", "1111", "322206") if text in made]
    back = json.dumps(start_input(refund(notes={"comment": "Ada"}, receipt="Ada", acquirer_data={"arn": "Ada"})))
    assert "Ada" not in back


def test_an_id_with_a_card_number_is_named_nowhere() -> None:
    """The readable beginning of a mapped ID would have most of its digits, and the hash of the ID the rest."""
    with pytest.raises(InvalidPaymentError) as error:
        read("razorpay", paid(id="order-12:4111111111111111"))
    assert Violation("TransactionID", "identifier") in error.value.violations
    assert error.value.transaction_id is None
    assert "41111111" not in f"{error.value} {error.value.log_keys}"


@pytest.mark.parametrize("text", [None, 7, "", "Mr. Smith's card", "a" * 65, ["x"], "a\n"])
def test_what_is_not_a_code_is_not_kept(text: Any) -> None:
    """Anything else could be text of a person. What happened is recorded all the same."""
    failed = {**event(FAILED, "payment", error_reason=text), "account_id": text}
    assert set(start_input(failed)["Metadata"]) == {"razorpay.payment", "razorpay.token"}
    assert broken(failed) == set()
    captured = {**paid(), "account_id": text}
    assert set(start_input(captured)["Metadata"]) == {"razorpay.order", "razorpay.token"}
    lost = {**dispute("lost", reason_code=text, phase=text), "account_id": text}
    assert start_input(lost)["Metadata"] == {}
    assert broken(lost) == set()


def test_a_reason_belongs_to_a_failure() -> None:
    """A captured payment may keep the reason of an earlier attempt."""
    assert "razorpay.reason" not in start_input(paid(error_reason="payment_failed"))["Metadata"]


def test_long_ids_are_mapped_and_kept() -> None:
    """Razorpay documents no longest ID."""
    long_id, refund_id = "pay_" + "x" * 61, "rfnd_" + "x" * 60
    failed, captured = recorded(event(FAILED, "payment", id=long_id)), recorded(paid(id=long_id))
    back = recorded(refund("refund.failed", id=refund_id, payment_id=long_id))
    assert isinstance(failed, Payment)
    assert isinstance(captured, Payment)
    assert isinstance(back, Entry)
    assert failed.transaction_id == mapped_identifier(f"{long_id}_failed")
    assert captured.transaction_id == back.transaction_id == mapped_identifier(long_id)
    assert back.reverses == mapped_identifier(refund_id)
    assert back.metadata["original.EntryID"] == refund_id


# ── Refunds ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_is_an_entry_of_its_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input(REFUNDED) == {
        "TransactionID": PAYMENT_ID,
        "EntryID": REFUND_ID,
        "Kind": "Refunded",
        "Amount": "149",
        "Currency": "INR",
        "ProcessorID": "razorpay",
        "Timestamp": "2026-11-22T10:02:01+00:00",
        "Metadata": {"razorpay.account": "acc_SampleLedger01"},
    }
    assert broken(REFUNDED) == set()


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        *((kind, status, "Refunded") for kind in REFUND_EVENTS[:3] for status in ("pending", "processed")),
        *((kind, "failed", "RefundFailed") for kind in REFUND_EVENTS),
        ("refund.failed", "processed", "RefundFailed"),
        ("refund.failed", None, "RefundFailed"),
    ],
)
def test_a_refund_counts_from_its_creation_until_it_fails(kind: str, status: str | None, expected: str) -> None:
    """The money leaves the balance when the refund is created, so each failure has a refund to undo."""
    entry = recorded(refund(kind, status=status))
    assert isinstance(entry, Entry)
    failed = expected == "RefundFailed"
    assert (entry.kind, entry.entry_id) == (expected, f"{REFUND_ID}_failed" if failed else REFUND_ID)
    assert entry.reverses == (REFUND_ID if failed else None)
    assert (entry.amount, entry.timestamp) == ("149.00", "2026-11-22T10:02:01.000000Z")


@pytest.mark.parametrize("kind", REFUND_EVENTS[:3])
@pytest.mark.parametrize("status", ["reversed", "PROCESSED", "", None, 7, ["processed"], {}])
def test_a_refund_in_an_undocumented_state_is_rejected(kind: str, status: Any) -> None:
    """It could mean that the money came back."""
    assert broken(refund(kind, status=status)) == {("Kind", "kind")}


@pytest.mark.parametrize("kind", REFUND_EVENTS)
def test_what_was_never_captured_is_not_refunded(kind: str) -> None:
    """Razorpay gives back by itself what was only authorised. The ledger has no payment for it."""
    message = refund(kind)
    message["payload"]["payment"]["entity"] |= {"captured": False, "status": "refunded"}
    assert recorded(message) is None
    for unclear in (None, "false", 0):
        message["payload"]["payment"]["entity"]["captured"] = unclear
        assert recorded(message) is not None
    del message["payload"]["payment"]
    assert recorded(message) is not None


def test_every_event_about_a_refund_is_the_same_entry() -> None:
    """Only the metadata may differ. The events of a failure are the same entry too."""
    for kinds, status in ((REFUND_EVENTS[:3], "pending"), (REFUND_EVENTS, "failed")):
        entries = []
        for number, kind in enumerate(kinds):
            message = refund(kind, status=status, speed_processed="instant", acquirer_data={"arn": f"{number}"})
            message["payload"]["payment"]["entity"] |= {"amount_refunded": number, "status": "refunded"}
            entries.append(recorded({**message, "created_at": 1899999999 + number}))
        assert len({entry.fingerprint for entry in entries if entry is not None}) == 1


# ── Disputes ────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_dispute_is_an_entry_of_its_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input(LOST) == {
        "TransactionID": PAYMENT_ID,
        "EntryID": DISPUTE_ID,
        "Kind": "Disputed",
        "Amount": "350",
        "Currency": "INR",
        "ProcessorID": "razorpay",
        "Timestamp": "2026-11-23T10:02:01+00:00",
        "Metadata": {
            "razorpay.account": "acc_SampleLedger01",
            "razorpay.reason": "goods_or_services_not_received_or_partially_received",
            "razorpay.phase": "chargeback",
        },
    }
    assert broken(LOST) == set()


@pytest.mark.parametrize("step", STEPS)
def test_a_dispute_that_deducted_nothing_is_ignored(step: str) -> None:
    """Razorpay deducts the money when a dispute is lost, and nothing if it is won or closed."""
    assert recorded(dispute(step, amount_deducted=0)) is None


def test_a_deduction_is_one_entry_whichever_event_of_the_end_shows_it() -> None:
    """A dispute that is lost is closed too."""
    entries = [
        recorded({**dispute(step, status=step, phase="arbitration", respond_by=1), "created_at": number})
        for number, step in enumerate(("lost", "closed"))
    ]
    assert {entry.fingerprint for entry in entries if entry} == {recorded(LOST).fingerprint}
    assert [entry.kind for entry in entries if isinstance(entry, Entry)] == ["Disputed"] * 2


@pytest.mark.parametrize("step", ["created", "under_review", "action_required"])
def test_a_deduction_before_the_end_is_rejected(step: str) -> None:
    """Razorpay may deduct the money at the onset. If it comes back, perhaps no event says so: a person must look."""
    assert broken(dispute(step, status="open")) == {("Kind", "kind")}


def test_what_a_dispute_deducted_counts_and_not_what_was_disputed() -> None:
    """A dispute may be contested in part."""
    entry = recorded(dispute("lost", amount=40000, amount_deducted=30000))
    assert entry is not None
    assert entry.amount == "300.00"


@pytest.mark.parametrize("deducted", [1, 1000, 35000, 49900])
def test_a_deduction_in_a_won_dispute_is_rejected(deducted: int) -> None:
    """It may be the part that was not contested, as in Razorpay's example, or money on its way back."""
    assert broken(dispute("won", status="won", amount_deducted=deducted)) == {("Kind", "kind")}


@pytest.mark.parametrize(
    ("deducted", "once"), [(1, False), (24949, False), (24950, False), (24951, True), (49900, True)]
)
def test_an_amount_that_could_count_twice_silently_is_rejected(deducted: int, *, once: bool) -> None:
    """A lost dispute may also send a refund. The ledger refuses the second one only if both exceed the payment."""
    lost = dispute("lost", amount_deducted=deducted)
    assert broken(lost) == (set() if once else {("Kind", "kind")})
    if once:
        twice = refund(id="rfnd_OfTheDispute01", amount=deducted)
        with pytest.raises(AssertionError):  # one of the two is refused
            totals_after([CAPTURED, lost, twice], "razorpay")


@pytest.mark.parametrize("amount", [None, "49900", True, 0.5])
def test_a_dispute_without_the_amount_of_its_payment_is_rejected(amount: Any) -> None:
    """Nothing then shows whether the amount could count twice."""
    message = dispute("lost")
    message["payload"]["payment"]["entity"]["amount"] = amount
    assert broken(message) == {("Kind", "kind")}
    del message["payload"]["payment"]
    assert broken(message) == {("Kind", "kind")}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (refund(id=None), {("EntryID", "type")}),
        (refund(id=""), {("EntryID", "identifier")}),
        (refund(id=PAYMENT_ID), {("EntryID", "id_of_the_payment")}),
        (refund(payment_id=None), {("TransactionID", "type")}),
        (refund(amount=0), {("Amount", "zero")}),
        (refund(amount=-5), {("Amount", "negative")}),
        (refund(amount="5"), {("Amount", "type")}),
        (refund(currency="LYD"), {("Amount", "amount_unit")}),
        (refund(currency=7), {("Amount", "type"), ("Currency", "type")}),
        (refund(created_at="7"), {("Timestamp", "type")}),
        (refund(created_at=10**15), {("Timestamp", "timestamp_range")}),
        (refund("refund.failed", id=7), {("EntryID", "type"), ("Reverses", "type")}),
        (dispute("lost", id=7), {("EntryID", "type")}),
        (dispute("lost", payment_id=["p"]), {("TransactionID", "type")}),
        (dispute("lost", currency=None), {("Amount", "type"), ("Currency", "type")}),
        (dispute("lost", created_at=None), {("Timestamp", "type")}),
        *((dispute(step, amount_deducted=None), {("Amount", "type"), ("Kind", "kind")}) for step in STEPS),
        (dispute("lost", amount_deducted="35000"), {("Amount", "type"), ("Kind", "kind")}),
        (dispute("lost", amount_deducted=False), {("Amount", "type"), ("Kind", "kind")}),
        (dispute("lost", amount_deducted=-35000), {("Amount", "negative"), ("Kind", "kind")}),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(message: Any, expected: set[tuple[str, str]]) -> None:
    """What a message does not show is not guessed."""
    assert broken(message) == expected


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind",
    [
        *("payment.authorized", "payment.pending", "order.paid", "invoice.paid", "subscription.charged", "refund."),
        *("payment.dispute", "payment.dispute.", "PAYMENT.CAPTURED", "settlement.processed", "transfer.processed", ""),
    ],
)
@pytest.mark.parametrize("message", [CAPTURED, REFUNDED, LOST], ids=["payment", "refund", "dispute"])
def test_any_other_event_is_ignored(kind: str, message: Any) -> None:
    """The payment of an order, an invoice or a subscription comes as `payment.captured` too."""
    assert recorded({**message, "event": kind}) is None


@pytest.mark.parametrize(
    "message", [None, 1, "text", [], {}, {"event": 1}, {"event": None}, {"event": ["refund.failed"]}]
)
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    assert broken(message) == {("Payment", "not_an_event")}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    "payload",
    [None, [], {}, *(dict.fromkeys(("payment", "refund", "dispute"), one) for one in (None, [], {"entity": []}))],
)
def test_an_event_without_its_entity_is_rejected(kind: str, payload: Any) -> None:
    """The workflow of entries publishes the refusal, and knows no field `Payment`."""
    is_payment = kind in {"payment.captured", "payment.failed"}
    with pytest.raises(InvalidPaymentError if is_payment else InvalidEntryError) as caught:
        FORMATS["razorpay"].start_input({"event": kind, "payload": payload}, "razorpay")
    assert caught.value.violations == [Violation("Payment" if is_payment else "Entry", "not_an_event")]


# ── Histories ───────────────────────────────────────────────────────────────────────────────────────

PENDING = refund("refund.created", status="pending", speed_processed=None)
HISTORIES: dict[str, tuple[list[Any], tuple[str, str]]] = {
    "failed first": ([event(FAILED, "payment", id=PAYMENT_ID)], ("0.00", "0.00")),
    "refunded": ([PENDING, refund("refund.speed_changed"), REFUNDED], ("149.00", "0.00")),
    "refunded, and failed": ([PENDING, refund("refund.failed", status="failed")], ("0.00", "0.00")),
    "refunded twice": ([REFUNDED, refund(id="rfnd_2", amount=5000)], ("199.00", "0.00")),
    "disputed and won": (
        [dispute(step, status=step, amount_deducted=0) for step in ("created", "under_review", "won")],
        ("0.00", "0.00"),
    ),
    "disputed and lost": ([dispute("created", status="open", amount_deducted=0), LOST], ("0.00", "350.00")),
    "refunded in part, and the rest lost": ([PENDING, REFUNDED, LOST], ("149.00", "350.00")),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_adds_up(history: str) -> None:
    """Whatever the order of the events, and however often each comes."""
    messages, expected = HISTORIES[history]
    for order in permutations([CAPTURED, *messages]):
        totals = totals_after([*order, *order], "razorpay")
        assert (totals.captured, totals.refunded, totals.disputed) == ("499.00", *expected)


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

MESSAGES = [
    CAPTURED,
    FAILED,
    REFUNDED,
    refund("refund.failed"),
    LOST,
    dispute("won"),
    *(paid(**made) for made, _, _ in MADE_WITH),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_a_hostile_value_in_any_field_is_read_or_breaks_a_rule(value: Any) -> None:
    """No message is a technical failure, which Razorpay would send again for a day."""
    for message in MESSAGES:
        for field in message:
            read_whatever("razorpay", {**message, field: value})
        for name, content in message["payload"].items():
            read_whatever("razorpay", {**message, "payload": {**message["payload"], name: value}})
            for field in content["entity"]:
                read_whatever("razorpay", event(message, name, **{field: value}))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), message=st.sampled_from(MESSAGES), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, message: Any, value: Any) -> None:
    """What a processor signs is not necessarily what it documents."""
    read_whatever("razorpay", changed_somewhere(data.draw, message, value))


@given(message=JSON | st.fixed_dictionaries({"event": st.sampled_from([*EVENTS]), "payload": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever("razorpay", message)


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

SECRET, BODY = "secret_of_the_test", b'{"event":"payment.captured"}'
SIGNATURE = "3e6ae0df5d88ad199f7a0041975b830064ba25677dec8ad2849e22112441f9f7"
"""Made with OpenSSL: printf '{"event":"payment.captured"}' | openssl dgst -sha256 -hmac secret_of_the_test"""


@pytest.mark.parametrize(
    ("secret", "body", "signature", "valid"),
    [
        (SECRET, BODY, SIGNATURE, True),
        (SECRET, BODY, SIGNATURE.upper(), False),
        (SECRET, BODY, SIGNATURE[:-1], False),
        (SECRET, BODY, "", False),
        (SECRET, BODY, "\udcff", False),
        (SECRET, BODY + b"\n", SIGNATURE, False),
        (SECRET, BODY.replace(b":", b": "), SIGNATURE, False),
        ("Secret_of_the_test", BODY, SIGNATURE, False),
    ],
)
def test_a_signature_is_of_the_body_under_the_secret(secret: str, body: bytes, signature: str, *, valid: bool) -> None:
    """Razorpay publishes one example, which the tests of the corpora verify. This one shows what is invalid."""
    received = Received.of({"X-Razorpay-Signature": signature}, "https://any.example", body)
    if valid:
        verify(RAZORPAY, ["another secret", secret], received, 0)
        verify(RAZORPAY, [secret], received, 4 * 10**9)  # no time is signed, so it is valid forever
        return
    with pytest.raises(InvalidSignatureError, match="wrong_signature"):
        verify(RAZORPAY, [secret], received, 0)
