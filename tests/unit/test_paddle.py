"""Paddle's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import copy
import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry
from ledger.formats import FORMATS
from ledger.formats.paddle import CURRENCIES, EVENTS
from ledger.payment import Payment, parse_payment
from ledger.signature import PADDLE, Received, plausible_schemes
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

COMPLETED, FAILED = sample("paddle-transaction.completed"), sample("paddle-transaction.payment_failed")
REFUNDED, CHARGEBACK = sample("paddle-adjustment.updated"), sample("paddle-adjustment.created")
TRANSACTION_ID = COMPLETED["data"]["id"]
CAPTURED, DECLINED = COMPLETED["data"]["payments"]


def event(message: Any, event_type: str | None = None, **changes: Any) -> Any:
    """Return a copy of a message, of another type and with other fields in its object."""
    changed = copy.deepcopy(message)
    changed["event_type"] = event_type or changed["event_type"]
    changed["data"] |= changes
    return changed


def paid(*attempts: Any, due: Any = "65215", event_type: str = "transaction.completed", **changes: Any) -> Any:
    """Return the sample transaction with other attempts, and *due* as the amount to pay."""
    changed = event(COMPLETED, event_type, payments=list(attempts), **changes)
    changed["data"]["details"]["totals"]["grand_total"] = due
    return changed


def adjusted(action: Any, status: Any, number: int = 1, **changes: Any) -> Any:
    """Return an adjustment of the sample transaction."""
    return event(REFUNDED, action=action, status=status, id=f"adj_{number:026d}", **changes)


def payment_of(message: Any) -> Payment:
    """Return the payment that a message reports."""
    payment = read("paddle", message)
    assert isinstance(payment, Payment)
    return payment


def entry_of(message: Any) -> Entry:
    """Return the entry that a message reports."""
    entry = read("paddle", message)
    assert isinstance(entry, Entry)
    return entry


def start_input_of(message: Any) -> dict[str, Any]:
    """Return the start input that a message becomes."""
    start_input = FORMATS["paddle"].start_input(message, "paddle")
    assert start_input is not None
    return start_input


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_a_completed_transaction_is_a_payment() -> None:
    """The start input is correct, field by field."""
    assert start_input_of(COMPLETED) == {
        "TransactionID": TRANSACTION_ID,
        "SecureToken": "paymtd_01kaq1a8y2sample0000000001",
        "Amount": "652.15",
        "Currency": "USD",
        "ProcessorID": "paddle",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:18:47.635628Z",
        "Metadata": {
            "paddle.event": COMPLETED["event_id"],
            "paddle.attempt": CAPTURED["payment_attempt_id"],
            "paddle.origin": "web",
            "paddle.subscription": "sub_01kaq1a8y2sample0000000001",
        },
    }


def test_both_events_of_one_transaction_are_one_payment() -> None:
    """`transaction.paid` comes first, without fees and payouts; other events may come later with another time."""
    first = event(COMPLETED, "transaction.paid", status="paid", updated_at="2026-11-21T10:18:48Z")
    first |= {"event_id": "evt_another", "occurred_at": "2026-11-21T10:18:48Z", "notification_id": "ntf_another"}
    first["data"]["details"] |= {"payout_totals": None, "adjusted_totals": None}
    first["data"]["details"]["totals"] |= {"fee": None, "earnings": None}
    assert payment_of(first).fingerprint == payment_of(COMPLETED).fingerprint
    assert payment_of(first).metadata != payment_of(COMPLETED).metadata


def test_a_failed_attempt_is_a_payment_of_its_own() -> None:
    """The transaction is mostly paid later: under its ID, that would be a conflict."""
    assert start_input_of(FAILED) == {
        "TransactionID": DECLINED["payment_attempt_id"],
        "SecureToken": "paymtd_01kaq1a8y2sample0000000002",
        "Amount": "652.15",
        "Currency": "USD",
        "ProcessorID": "paddle",
        "Status": "Failure",
        "Timestamp": "2026-11-21T10:15:57.888183Z",
        "Metadata": {
            "paddle.event": FAILED["event_id"],
            "paddle.error_code": "declined",
            "paddle.origin": "web",
            "paddle.transaction": TRANSACTION_ID,
        },
    }
    assert payment_of(FAILED).transaction_id != payment_of(COMPLETED).transaction_id


def test_the_newest_attempt_that_failed_is_the_failure() -> None:
    """The event has the older attempts too, and their order must not matter."""
    second = {**DECLINED, "payment_attempt_id": "second", "amount": "100", "created_at": "2026-11-21T10:16:00Z"}
    third = {**CAPTURED, "status": "action_required", "created_at": "2026-11-21T10:17:00Z"}
    for order in permutations([DECLINED, second, third]):
        payment = payment_of(event(FAILED, payments=list(order)))
        assert (payment.transaction_id, payment.amount, payment.timestamp[:19]) == (
            "second",
            "1.00",
            "2026-11-21T10:16:00",
        )


def test_what_was_captured_is_paid_and_nothing_else() -> None:
    """The newest attempt may have failed, and the total is before credits."""
    other = {**CAPTURED, "payment_attempt_id": "other", "payment_method_id": "paymtd_other", "amount": "785"}
    other["captured_at"] = "2026-11-21T10:18:47.7Z"
    failed = {**DECLINED, "created_at": "2026-11-22T00:00:00Z", "captured_at": "2026-11-22T00:00:00Z"}
    for order in permutations([CAPTURED, other, failed, {**failed, "status": "authorized"}]):
        start_input = start_input_of(paid(*order, due="66000"))
        assert start_input["Amount"] == "660"
        assert start_input["Timestamp"] == "2026-11-21T10:18:47.7Z"
        assert start_input["SecureToken"] == "paymtd_other"
        assert start_input["Metadata"]["paddle.attempt"] == "other"


def test_times_with_and_without_a_fraction_are_compared_as_times() -> None:
    """As text, a `Z` comes after a point, but half a second after the full one is later."""
    early = {**CAPTURED, "captured_at": "2026-11-21T10:18:47Z"}
    late = {**CAPTURED, "captured_at": "2026-11-21T10:18:47.5Z", "payment_method_id": "paymtd_late"}
    for order in permutations([early, late]):
        assert start_input_of(paid(*order))["Timestamp"] == "2026-11-21T10:18:47.5Z"
        assert start_input_of(paid(*order))["SecureToken"] == "paymtd_late"
        timeless = [{**CAPTURED, "captured_at": time} for time in (None, 7)]
        assert start_input_of(paid(*timeless, *order))["Timestamp"] == "2026-11-21T10:18:47.5Z"


@pytest.mark.parametrize("event_type", ["transaction.paid", "transaction.completed"])
@pytest.mark.parametrize("attempts", [[], None, [{**CAPTURED, "amount": "0"}], [DECLINED]])
def test_a_transaction_of_nothing_is_ignored(event_type: str, attempts: Any) -> None:
    """A trial, a change of the card, or a credit that covers everything: nothing was taken."""
    assert read("paddle", event(paid(due="0", event_type=event_type), payments=attempts)) is None
    assert read("paddle", event(paid(due="000", event_type=event_type), payments=attempts)) is None


@pytest.mark.parametrize("due", ["1", "", None, 0, "-0", "0.0", "x"])
@pytest.mark.parametrize("attempts", [[], [{**CAPTURED, "amount": "0"}], [DECLINED]])
def test_a_transaction_that_was_due_and_that_no_attempt_paid_is_rejected(due: Any, attempts: list[Any]) -> None:
    """Money may have moved in a way that Paddle does not document. An operator has to see it."""
    error, broken = broken_by("paddle", paid(*attempts, due=due))
    assert error is InvalidPaymentError
    assert ("Amount", "type") in broken


@pytest.mark.parametrize("amount", [None, 65215, "652.15", "-65215", "", "x", "٦٥", "9" * 65, "9" * 100_000, ["1"]])
def test_an_amount_in_another_form_is_rejected(amount: Any) -> None:
    """A second attempt with a proper amount does not hide it, and neither does a transaction of nothing."""
    unreadable = {**CAPTURED, "amount": amount}
    for message in (paid(unreadable), paid(unreadable, CAPTURED), paid(unreadable, due="0")):
        assert broken_by("paddle", message) == (InvalidPaymentError, {("Amount", "type")})
    assert broken_by("paddle", event(FAILED, payments=[{**DECLINED, "amount": amount}]))[1] == {("Amount", "type")}
    assert broken_by("paddle", event(REFUNDED, totals={"total": amount})) == (InvalidEntryError, {("Amount", "type")})


def test_a_huge_amount_is_rejected_by_its_digits() -> None:
    """38 digits are the most that the ledger keeps."""
    assert broken_by("paddle", paid({**CAPTURED, "amount": "9" * 64}))[1] == {("Amount", "digits")}


@pytest.mark.parametrize("event_type", ["transaction.paid", "transaction.payment_failed"])
def test_a_transaction_without_a_fitting_attempt_is_rejected(event_type: str) -> None:
    """A dropped attempt is not documented for these events."""
    for attempts in ([], None, [{**CAPTURED, "status": "dropped"}], "x", [None, 7, []]):
        error, broken = broken_by("paddle", event(FAILED, event_type, payments=attempts))
        assert error is InvalidPaymentError
        assert {("Amount", "type"), ("Timestamp", "type")} <= broken


TOKENS: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, CAPTURED["payment_method_id"], None),
    ({"payment_method_id": None}, CAPTURED["stored_payment_method_id"], "stored_payment_method_id"),
    (
        {"payment_method_id": None, "stored_payment_method_id": None},
        COMPLETED["data"]["customer_id"],
        "customer_id",
    ),
]


@pytest.mark.parametrize(("changes", "token", "field"), TOKENS)
def test_the_token_is_the_payment_method_or_what_stands_in_for_it(
    changes: dict[str, Any], token: str, field: str | None
) -> None:
    """Metadata says what the token is, and no other field has it."""
    message = paid({**CAPTURED, **changes})
    start_input = start_input_of(message)
    assert start_input["SecureToken"] == token
    assert start_input["Metadata"].get("paddle.token") == field
    assert json.dumps(start_input).count(token) == 1
    assert payment_of(message)


def test_a_payment_without_anything_that_stands_for_its_method_is_rejected() -> None:
    """An invented token would permanently look like the processor's."""
    anonymous = {**CAPTURED, "payment_method_id": None, "stored_payment_method_id": None}
    assert broken_by("paddle", paid(anonymous, customer_id=None))[1] == {("SecureToken", "type")}


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(currency: str) -> None:
    """Paddle's amounts are in the lowest denomination, for the currencies that it takes."""
    message = paid({**CAPTURED, "amount": "1000"}, currency_code=currency)
    if currency in CURRENCIES:
        assert payment_of(message).amount == {0: "1000", 2: "10.00"}[MINOR_UNITS[currency]]
        assert (
            entry_of(event(REFUNDED, currency_code=currency)).amount == {0: "10000", 2: "100.00"}[MINOR_UNITS[currency]]
        )
    else:
        assert broken_by("paddle", message)[1] == {("Amount", "amount_unit")}
        assert broken_by("paddle", event(REFUNDED, currency_code=currency))[1] == {("Amount", "amount_unit")}


def test_the_currencies_are_those_of_paddles_library() -> None:
    """There are 33: four have no decimals, and none has three."""
    assert len(CURRENCIES) == 33
    assert {one for one in CURRENCIES if MINOR_UNITS[one] != 2} == {"CLP", "JPY", "KRW", "VND"}


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"id": None}, {("TransactionID", "type")}),
        ({"id": ""}, {("TransactionID", "identifier")}),
        ({"id": "\ud800"}, {("TransactionID", "identifier")}),
        ({"currency_code": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency_code": 7}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency_code": "XYZ"}, {("Amount", "amount_unit")}),
        ({"payments": [{**CAPTURED, "captured_at": None}]}, {("Timestamp", "type")}),
        ({"payments": [{**CAPTURED, "captured_at": "yesterday"}]}, {("Timestamp", "timestamp")}),
        ({"payments": [{**CAPTURED, "payment_method_id": 7}]}, {("SecureToken", "type")}),
    ],
)
def test_what_is_wrong_with_a_transaction_is_named(changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names."""
    assert broken_by("paddle", event(COMPLETED, **changes)) == (InvalidPaymentError, broken)


def test_finer_times_are_cut_to_microseconds() -> None:
    """The contract takes six decimals."""
    fine = "2026-11-21T10:18:47.635628123Z"
    assert payment_of(paid({**CAPTURED, "captured_at": fine})).timestamp == "2026-11-21T10:18:47.635628Z"
    assert payment_of(event(FAILED, payments=[{**DECLINED, "created_at": fine}])).timestamp[-8:] == ".635628Z"
    assert entry_of(event(REFUNDED, created_at=fine)).timestamp == "2026-11-21T10:18:47.635628Z"


@pytest.mark.parametrize("value", ["Mr. Smith's card", "4242 4242", "a" * 65, 7, ["x"], ""])
def test_free_text_is_not_kept(value: Any) -> None:
    """Anything but a code may hold what nobody should keep, and does not stop the payment."""
    free = paid({**CAPTURED, "payment_attempt_id": value}, subscription_id=value, origin=value)
    free["event_id"] = value
    assert payment_of(free).metadata == {}
    failed = event(FAILED, payments=[{**DECLINED, "error_code": value}], origin=value, id=value)
    failed["event_id"] = value
    assert payment_of(failed).metadata == {}
    entry = event(CHARGEBACK, id=value)
    entry["event_id"] = value
    assert entry_of(entry).metadata == {}


def test_nothing_of_the_customer_is_kept() -> None:
    """The cardholder's name, the digits of the card, and the seller's own data stay out."""
    for message in (COMPLETED, FAILED):
        start_input = json.dumps(start_input_of(event(message, custom_data={"note": "Sample note"})))
        assert all(text not in start_input for text in ("Sample Customer", "4242", "2030", "card", "note"))


# ── Entries ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_samples_are_entries_of_the_sample_transaction() -> None:
    """The start input is correct, field by field."""
    assert start_input_of(REFUNDED) == {
        "TransactionID": TRANSACTION_ID,
        "EntryID": "adj_01kaq1a8y2sample0000000001",
        "Kind": "Refunded",
        "Amount": "100",
        "Currency": "USD",
        "ProcessorID": "paddle",
        "Timestamp": "2026-11-22T08:48:20.239695Z",
        "Metadata": {"paddle.event": REFUNDED["event_id"]},
    }
    assert start_input_of(CHARGEBACK) == {
        "TransactionID": TRANSACTION_ID,
        "EntryID": f"{TRANSACTION_ID}_chargeback",
        "Kind": "Disputed",
        "Amount": "552.15",
        "Currency": "USD",
        "ProcessorID": "paddle",
        "Timestamp": "2026-11-30T12:00:00.25Z",
        "Metadata": {
            "paddle.event": CHARGEBACK["event_id"],
            "paddle.adjustment": "adj_01kaq1a8y2sample0000000002",
        },
    }


ADJUSTED: list[tuple[Any, Any, str | None]] = [
    ("refund", "approved", "Refunded"),
    ("refund", "pending_approval", None),
    ("refund", "rejected", None),
    ("credit", "approved", None),
    ("credit", "reversed", None),
    ("credit_reverse", "approved", None),
    ("chargeback", "approved", "Disputed"),
    ("chargeback", "reversed", "Disputed"),
    ("chargeback_reverse", "approved", "DisputeWon"),
]


@pytest.mark.parametrize(("action", "status", "kind"), ADJUSTED)
@pytest.mark.parametrize("event_type", ["adjustment.created", "adjustment.updated"])
def test_an_adjustment_is_what_it_moved(event_type: str, action: str, status: str, kind: str | None) -> None:
    """Each is the same entry in both events, whichever of them an endpoint has subscribed to."""
    message = event(adjusted(action, status), event_type)
    if kind is None:
        assert read("paddle", message) is None
        return
    entry = entry_of(message)
    assert (entry.kind, entry.amount, entry.timestamp) == (kind, "100.00", "2026-11-22T08:48:20.239695Z")


UNDOCUMENTED = [
    *[("chargeback_warning", status) for status in ("approved", "pending_approval", "rejected", "reversed", None)],
    *[("chargeback_warning_reverse", "approved"), ("refund", "reversed"), ("refund", None), ("refund", ["approved"])],
    *[("chargeback", "pending_approval"), ("chargeback_reverse", "reversed"), ("Refunded", "approved")],
    *[("refund_reverse", "approved"), (None, "approved"), (["refund"], "approved"), ({}, {}), ("", "")],
]


@pytest.mark.parametrize(("action", "status"), UNDOCUMENTED)
def test_what_may_have_moved_money_is_not_ignored(action: Any, status: Any) -> None:
    """A warning of a chargeback can be a refund. The rejection names it by its own ID, so each is reported."""
    with pytest.raises(InvalidEntryError) as refused:
        read("paddle", adjusted(action, status, number=7))
    assert {*refused.value.violations} == {("Kind", "kind")}
    assert (refused.value.transaction_id, refused.value.entry_id) == (TRANSACTION_ID, f"adj_{7:026d}")


def test_a_later_event_about_one_refund_is_the_same_entry() -> None:
    """`updated_at` and the event's own fields move; the fact does not."""
    later = event(REFUNDED, "adjustment.created", updated_at="2027-01-01T00:00:00Z", reason="another reason")
    later |= {"event_id": "evt_later", "occurred_at": "2027-01-01T00:00:00Z"}
    assert entry_of(later).fingerprint == entry_of(REFUNDED).fingerprint
    reversed_later = event(CHARGEBACK, "adjustment.updated", status="reversed", updated_at="2027-01-01T00:00:00Z")
    assert entry_of(reversed_later).fingerprint == entry_of(CHARGEBACK).fingerprint


def test_a_reversal_names_the_chargeback_of_its_transaction() -> None:
    """Its message has only the transaction's ID."""
    won = entry_of(adjusted("chargeback_reverse", "approved", number=3))
    assert won.reverses == entry_of(CHARGEBACK).entry_id
    assert won.entry_id == f"{TRANSACTION_ID}_chargeback_won"
    assert won.metadata["paddle.adjustment"] == f"adj_{3:026d}"


def test_a_second_chargeback_is_no_silent_duplicate() -> None:
    """The ledger reports the conflict, and an operator looks."""
    second = entry_of(adjusted("chargeback", "approved", number=3, created_at="2027-01-01T00:00:00Z"))
    assert second.entry_id == entry_of(CHARGEBACK).entry_id
    assert second.fingerprint != entry_of(CHARGEBACK).fingerprint


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"id": None}, {("EntryID", "type")}),
        ({"id": ""}, {("EntryID", "identifier")}),
        ({"id": TRANSACTION_ID}, {("EntryID", "id_of_the_payment")}),
        ({"transaction_id": None}, {("TransactionID", "type")}),
        ({"transaction_id": [TRANSACTION_ID]}, {("TransactionID", "type")}),
        ({"totals": None}, {("Amount", "type")}),
        ({"totals": {"total": "0"}}, {("Amount", "zero")}),
        ({"currency_code": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"created_at": None}, {("Timestamp", "type")}),
    ],
)
def test_what_is_wrong_with_an_adjustment_is_named(changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names."""
    assert broken_by("paddle", event(REFUNDED, **changes)) == (InvalidEntryError, broken)


@pytest.mark.parametrize("transaction_id", [None, 7, ["txn"]])
def test_a_chargeback_of_no_transaction_is_rejected(transaction_id: Any) -> None:
    """Its EntryID would be made of the missing ID."""
    message = event(CHARGEBACK, transaction_id=transaction_id)
    assert broken_by("paddle", message) == (InvalidEntryError, {("TransactionID", "type")})


def test_entries_add_up_whatever_their_order() -> None:
    """A refund is requested, rejected, and made; a chargeback comes and is reversed in part."""
    taken = event(CHARGEBACK, totals={"total": "55000"})
    messages = [
        event(COMPLETED, "transaction.paid"),
        COMPLETED,
        FAILED,
        event(adjusted("refund", "pending_approval", 1), "adjustment.created"),
        adjusted("refund", "approved", 1),
        event(adjusted("refund", "pending_approval", 2), "adjustment.created"),
        adjusted("refund", "rejected", 2),
        event(adjusted("refund", "approved", 3, totals={"total": "215"}), "adjustment.created"),
        taken,
        event(adjusted("chargeback_reverse", "approved", 5, totals={"total": "50000"}), "adjustment.created"),
        event(taken, "adjustment.updated", status="reversed"),
    ]
    for order in (messages, messages[::-1], [*messages[4:], *messages]):
        totals = totals_after(order, "paddle")
        assert (totals.captured, totals.refunded, totals.disputed) == ("652.15", "102.15", "50.00")


# ── What is neither ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("message", [None, 1, "text", [], {}, {"event_type": 1}, {"event_type": None, "data": {}}])
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    assert broken_by("paddle", message) == (InvalidPaymentError, {("Payment", "not_an_event")})


@pytest.mark.parametrize("data", [None, [], "txn_1", 7])
def test_an_event_without_its_object_is_rejected(data: Any) -> None:
    """The workflow of entries publishes the refusal of an entry, and knows no field `Payment`."""
    for event_type in EVENTS:
        expected = (InvalidPaymentError, {("Payment", "not_an_event")})
        if event_type.startswith("adjustment."):
            expected = (InvalidEntryError, {("Entry", "not_an_event")})
        assert broken_by("paddle", {"event_type": event_type, "data": data}) == expected
        assert broken_by("paddle", {"event_type": event_type}) == expected


@pytest.mark.parametrize(
    "event_type",
    [
        *("transaction.created", "transaction.updated", "transaction.billed", "transaction.past_due", "price.created"),
        *("transaction.canceled", "payout.paid", "payment_method.saved", "subscription.activated", "", "ADJUSTMENT"),
    ],
)
def test_another_event_is_ignored(event_type: str) -> None:
    """An endpoint may have subscribed to more."""
    for message in (COMPLETED, FAILED, REFUNDED, CHARGEBACK, {"data": None}):
        assert read("paddle", {**message, "event_type": event_type}) is None


@pytest.mark.parametrize("message", [COMPLETED, FAILED, REFUNDED, CHARGEBACK, {**COMPLETED, "data": None}])
def test_a_simulated_event_is_ignored(message: Any) -> None:
    """It is validly signed and reaches live endpoints, but nobody paid."""
    assert read("paddle", {**message, "event_id": "ntfsimevt_01kaq1a8y2sample0000000001"}) is None
    if message["data"] is not None:
        assert read("paddle", {**message, "event_id": "evt_ntfsimevt_1"}) is not None
        assert read("paddle", {**message, "event_id": None}) is not None


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

MESSAGES = [COMPLETED, FAILED, REFUNDED, CHARGEBACK, adjusted("chargeback_reverse", "approved")]


@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_a_hostile_value_at_any_place_is_read_or_breaks_a_rule(number: int) -> None:
    """No message is a technical failure, which Paddle would send again for days."""
    message = copy.deepcopy(MESSAGES[number])
    for place, key in places(message):
        proper = place[key]
        for value in HOSTILE:
            place[key] = value
            read_whatever("paddle", message)
        place[key] = proper
    assert message == MESSAGES[number]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chosen=st.sampled_from(MESSAGES), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, chosen: Any, value: Any) -> None:
    """The same with any JSON."""
    message = copy.deepcopy(chosen)
    place, key = data.draw(st.sampled_from(places(message)))
    place[key] = value
    read_whatever("paddle", message)


@given(message=JSON | st.fixed_dictionaries({"event_type": st.sampled_from([*EVENTS]), "data": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever("paddle", message)


def test_the_token_of_a_hostile_message_stays_out_of_the_ledger() -> None:
    """If a message repeats the token in another field, the contract rejects it."""
    repeated = paid({**CAPTURED, "payment_attempt_id": CAPTURED["payment_method_id"]})
    with pytest.raises(InvalidPaymentError) as refused:
        parse_payment(start_input_of(repeated), default_currency="EUR")
    assert {*refused.value.violations} == {("Metadata", "holds_token")}


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

# Source: Paddle's SDK for Go, `webhook_verifier_test.go`.
GO_SECRET = "pdl_ntfset_01hsdn8d43dt7mezr1ef2jtbaw_hKkRiCGyyRhbFwIUuqiTBgI7gnWoV0Gr"
GO_HEADER = "ts=1710929255;h1=6c05ef8fa83c44d751be6d259ec955ce5638e2c54095bf128e408e2fce1589c8"
GO_BODY = (
    b'{"data":{"id":"pri_01hsdn96k2hxjzsq5yerecdj9j","name":null,"status":"active","quantity":{"maximum":999999,'
    b'"minimum":1},"tax_mode":"account_setting","product_id":"pro_01hsdn8qp7yydry3x1yeg6a9rv","unit_price":{"amount":'
    b'"1000","currency_code":"USD"},"custom_data":null,"description":"testing","import_meta":null,"trial_period":null,'
    b'"billing_cycle":{"interval":"month","frequency":1},"unit_price_overrides":[]},"event_id":'
    b'"evt_01hsdn97563968dy0szkmgjwh3","event_type":"price.created","occurred_at":"2024-03-20T10:07:35.590857Z",'
    b'"notification_id":"ntf_01hsdn977e920kbgzt6r6c9rqc"}'
)
# Source: Paddle's SDK for Node.js, `webhooks-validator.node.test.ts`.
NODE_HEADER = "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9"
NODE_DIGEST = "28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261"
# Source: Paddle's SDK for Python, `tests/Unit/Notification`: another account's secret.
PYTHON_SECRET = "pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_vB/yIOnTOCWIvpBadM5jzBZPHc7OmdSo"
PYTHON_HEADER = "ts=1696195954;h1=dummy;h1=d96299976a6eb066f484d7fde011ac56fc32b38fc9940bc419d6e537fdc6ef02"


@pytest.mark.parametrize(
    ("secret", "header", "body", "expected"),
    [
        (GO_SECRET, GO_HEADER, GO_BODY, None),
        (GO_SECRET, GO_HEADER, b"{}", "wrong_signature"),
        ("abc", GO_HEADER, GO_BODY, "wrong_signature"),
        (GO_SECRET, "ts=x;h1=y", GO_BODY, "malformed"),
        (GO_SECRET, GO_HEADER, GO_BODY + b"\n", "wrong_signature"),
        ("VALID_SECRET", NODE_HEADER, b'{"data": ["1", "2"]}', None),
        (
            "VALID_SECRET",
            f"ts=1698796800;h1={NODE_DIGEST};h1={NODE_DIGEST};h2=RANDOM_HASH",
            b'{"data": "value"}',
            None,
        ),
        ("VALID_SECRET", f"ts=1698796800;h2={NODE_DIGEST}", b'{"data": "value"}', "wrong_signature"),
        ("VALID_SECRET", f"ts=1698796800;h1=x;h1={NODE_DIGEST}", b'{"data": "value"}', None),
        ("INVALID_VALID_SECRET", NODE_HEADER, b'{"data": ["1", "2"]}', "wrong_signature"),
        ("VALID_SECRET", NODE_HEADER, b'{ "data": [ "1", "2" ]}', "wrong_signature"),
        ("VALID_SECRET", NODE_HEADER.replace("1698796800", "9876"), b'{"data": ["1", "2"]}', "wrong_signature"),
        ("VALID_SECRET", "ts=1234;h1=invalid_signature", b'{"data": ["1", "2"]}', "wrong_signature"),
        ("VALID_SECRET", "invalid_header", b'{"data": ["1", "2"]}', "malformed"),
        ("VALID_SECRET", "h1=invalid_header", b'{"data": ["1", "2"]}', "malformed"),
        ("VALID_SECRET", "ts=1234;h2=invalid_header", b'{"data": ["1", "2"]}', "wrong_signature"),
        (PYTHON_SECRET, PYTHON_HEADER, b"hello-world", "wrong_signature"),
    ],
)
def test_paddles_own_vectors(secret: str, header: str, body: bytes, expected: str | None) -> None:
    """Others made them: the ledger's own signing would agree with its own mistake."""
    time = header.removeprefix("ts=").partition(";")[0]
    now_s = int(time) if time.isdecimal() else 1698796800
    assert reason(PADDLE, secret, {"Paddle-Signature": header}, body, now_s) == expected


def test_an_old_signature_is_invalid() -> None:
    """The time is signed, so a recorded request cannot be sent later."""
    assert reason(PADDLE, GO_SECRET, {"Paddle-Signature": GO_HEADER}, GO_BODY, 1710929255 + 301) == "not_now"
    assert plausible_schemes(Received.of({"Paddle-Signature": GO_HEADER}, URL, GO_BODY), 1710929255) == [PADDLE]
