"""Checkout.com's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import contextlib
import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry, parse_entry
from ledger.formats import FORMATS
from ledger.formats.checkout import EVENTS, THREE_DECIMAL, TWO_DECIMAL, ZERO_DECIMAL
from ledger.identifiers import mapped_identifier
from ledger.payment import Payment, parse_payment
from ledger.signature import CHECKOUT, InvalidSignatureError, Received, plausible_schemes, verify
from ledger.totals import Totals
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation
from ledger_cli import ROOT
from ledger_cli.samples import PROCESSORS
from tests.support.mappings import totals_of

OF_CHECKOUT = FORMATS["checkout"].start_input

CAPTURED, DECLINED, VOIDED, REFUNDED, RETURNED = (
    f"payment_{name}" for name in ("captured", "declined", "voided", "refunded", "returned")
)
REQUIRED, RESOLVED = "dispute_evidence_required", "dispute_resolved"
WON = ("dispute_won", "dispute_canceled", "dispute_arbitration_won")
LOST = ("dispute_lost", "dispute_expired", "dispute_accepted")


def sample(name: str) -> Any:
    """Return a sample event of Checkout.com's."""
    return json.loads((ROOT / f"events/webhooks/checkout-{name}.json").read_text())


CAPTURE, REFUND, DECLINE, DISPUTE = (sample(name)["data"] for name in (CAPTURED, REFUNDED, DECLINED, REQUIRED))
PAYMENT_ID = CAPTURE["id"]


def reported(kind: str, data: Any, **fields: Any) -> dict[str, Any]:
    """Return an event of the type *kind* with these data, with *fields* of its own."""
    return {"id": "evt_1sample", "type": kind, "version": "1.0.29", "created_on": "2026-12-01", "data": data, **fields}


def read(kind: str, data: Any, **fields: Any) -> Payment | Entry | None:
    """Return the canonical payment or entry that an event reports; None if it reports neither."""
    start_input = OF_CHECKOUT(reported(kind, data, **fields), "checkout")
    if start_input is None:
        return None
    return parse_entry(start_input) if "Kind" in start_input else parse_payment(start_input, default_currency="USD")[0]


def summary(kind: str, data: Any) -> tuple[str, ...] | None:
    """Return what tells the payments and entries of one payment apart."""
    one = read(kind, data)
    if one is None:
        return None
    if isinstance(one, Payment):
        return (one.status, one.transaction_id, one.amount, one.timestamp)
    assert one.transaction_id == PAYMENT_ID
    return (one.kind, one.entry_id, one.amount, one.timestamp)


def broken_by(kind: str, data: Any) -> set[tuple[str, str]]:
    """Return the fields and rules by which an event is rejected, by the format or by the contract."""
    with pytest.raises(InvalidInputError) as caught:
        read(kind, data)
    return {*caught.value.violations}


def capture(number: int, amount: int, total: int, authorized: int = 12_000) -> dict[str, Any]:
    """Return the data of a capture after which *total* is captured."""
    balances = {**CAPTURE["balances"], "total_captured": total, "available_to_capture": authorized - total}
    time = f"2026-11-21T10:0{number}:01.4695512Z"
    return {
        **CAPTURE,
        "action_id": f"act_capture{number}",
        "amount": amount,
        "processed_on": time,
        "balances": balances,
    }


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_the_samples_are_a_payment_its_refund_its_dispute_and_a_failed_payment() -> None:
    """The start input is correct, field by field, and has nothing of the customer."""
    assert OF_CHECKOUT(sample(CAPTURED), "checkout") == {
        "TransactionID": "pay_sampleledger0000000000001",
        "SecureToken": "act_sampleledger0000000000001",
        "Amount": "100",
        "Currency": "EUR",
        "ProcessorID": "checkout",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01.469551Z",
        "Metadata": {
            "checkout.event": "evt_sampleledger0000000000001",
            "checkout.response": "10000",
            "checkout.token": "action_id",
        },
    }
    assert OF_CHECKOUT(sample(DECLINED), "checkout") == {
        "TransactionID": "pay_sampleledger0000000000002_failed",
        "SecureToken": "src_sampleledger0000000000001",
        "Amount": "400",
        "Currency": "EUR",
        "ProcessorID": "checkout",
        "Status": "Failure",
        "Timestamp": "2026-11-21T11:31:17.475275Z",
        "Metadata": {"checkout.event": "evt_sampleledger0000000000002", "checkout.response": "20005"},
    }
    assert OF_CHECKOUT(sample(REFUNDED), "checkout") == {
        "TransactionID": "pay_sampleledger0000000000001",
        "EntryID": "act_sampleledger0000000000003",
        "Kind": "Refunded",
        "Amount": "40",
        "Currency": "EUR",
        "ProcessorID": "checkout",
        "Timestamp": "2026-11-22T10:02:01.368278Z",
        "Metadata": {"checkout.event": "evt_sampleledger0000000000003", "checkout.response": "10000"},
    }
    assert OF_CHECKOUT(sample(REQUIRED), "checkout") == {
        "TransactionID": "pay_sampleledger0000000000001",
        "EntryID": "dsp_sampleledger00001",
        "Kind": "Disputed",
        "Amount": "60",
        "Currency": "EUR",
        "ProcessorID": "checkout",
        "Timestamp": "2026-11-23T10:02:01.504270+00:00",
        "Metadata": {"checkout.event": "evt_sampleledger0000000000004", "checkout.reason": "10.4"},
    }
    for name, status in ((CAPTURED, "Success"), (DECLINED, "Failure")):
        start_input = OF_CHECKOUT(sample(name), "checkout")
        payment, token = parse_payment(start_input, default_currency="USD")
        assert (payment.status, token.field) == (status, "SecureToken")
    for name in (REFUNDED, REQUIRED):
        assert parse_entry(OF_CHECKOUT(sample(name), "checkout")).transaction_id == PAYMENT_ID


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CAPTURE, ("Success", PAYMENT_ID, "100.00", "2026-11-21T10:02:01.469551Z")),
        (capture(1, 7000, 7000), ("Success", PAYMENT_ID, "70.00", "2026-11-21T10:01:01.469551Z")),
        (capture(2, 3000, 10_000), ("Captured", "act_capture2", "30.00", "2026-11-21T10:02:01.469551Z")),
        (capture(3, 7000, 7001), ("Captured", "act_capture3", "70.00", "2026-11-21T10:03:01.469551Z")),
        ({**CAPTURE, "balances": None}, ("Success", PAYMENT_ID, "100.00", "2026-11-21T10:02:01.469551Z")),
    ],
)
def test_the_first_capture_is_the_payment_and_a_later_one_is_an_entry(
    data: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """The totals show it whatever the order in which the messages come. No total becomes an amount."""
    assert summary(CAPTURED, data) == expected


def test_a_capture_without_balances_is_a_payment() -> None:
    """Nothing shows another capture. If there was one, the ledger reports the conflict."""
    data = {name: value for name, value in CAPTURE.items() if name != "balances"}
    assert summary(CAPTURED, data) == summary(CAPTURED, CAPTURE)


@pytest.mark.parametrize("balances", [{}, [], "x", {"total_captured": None}, {"total_captured": "10000"}])
def test_balances_without_the_total_decide_nothing(balances: Any) -> None:
    """If a later capture were recorded as the payment, the record would stay wrong."""
    assert broken_by(CAPTURED, {**CAPTURE, "balances": balances}) == {("Amount", "cumulative_amount")}


@pytest.mark.parametrize("total", [0, 9999, -1, True, 10_000.0])
def test_totals_that_contradict_the_amount_are_rejected(total: Any) -> None:
    """No capture is larger than all captures together."""
    data = {**CAPTURE, "balances": {**CAPTURE["balances"], "total_captured": total}}
    assert broken_by(CAPTURED, data) == {("Amount", "cumulative_amount")}


@pytest.mark.parametrize("amount", [None, "10000", 10_000.0, True])
def test_a_capture_without_an_amount_has_the_rule_of_its_amount(amount: Any) -> None:
    """The totals contradict nothing then."""
    assert broken_by(CAPTURED, {**CAPTURE, "amount": amount}) == {("Amount", "type")}


def test_captures_in_several_parts_add_up_in_any_order() -> None:
    """Each has its own amount, and the ledger waits for the payment."""
    captures = [capture(1, 7000, 7000), capture(2, 3000, 10_000), capture(3, 500, 10_500)]
    for order in permutations(captures):
        totals = totals_after([(CAPTURED, one) for one in (*order, *order)])
        assert totals.captured == "105.00"


def test_a_declined_payment_that_is_tried_again_and_captured_is_both() -> None:
    """Checkout.com tries a payment again under its ID. A failure under that ID would keep it from the success."""
    declined = read(DECLINED, {**DECLINE, "id": PAYMENT_ID})
    captured = read(CAPTURED, CAPTURE)
    assert declined is not None
    assert captured is not None
    assert declined.transaction_id == f"{captured.transaction_id}_failed"


@pytest.mark.parametrize(
    ("source", "token", "named"),
    [
        ({"id": "src_r54q37yundoubpkiux5g4ocuha", "type": "card"}, "src_r54q37yundoubpkiux5g4ocuha", None),
        ({"type": "giropay"}, "act_sampleledger0000000000002", "action_id"),
        ({"id": None}, "act_sampleledger0000000000002", "action_id"),
        (None, "act_sampleledger0000000000002", "action_id"),
        ("src_text", "act_sampleledger0000000000002", "action_id"),
    ],
)
def test_the_token_is_the_source_or_the_action(source: Any, token: str, named: str | None) -> None:
    """Metadata says which. An action that serves as the token stands in no other field, or the contract rejects it."""
    for kind, data in ((DECLINED, DECLINE), (CAPTURED, {**DECLINE, "balances": None})):
        start_input = OF_CHECKOUT(reported(kind, {**data, "source": source}), "checkout")
        assert start_input is not None
        assert start_input["SecureToken"] == token
        assert start_input["Metadata"].get("checkout.token") == named
        assert json.dumps(start_input).count("act_") == (named is not None)
        parse_payment(start_input, default_currency="USD")


@pytest.mark.parametrize("kind", [CAPTURED, DECLINED])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"action_id": None}, "type"),
        ({"action_id": 7}, "type"),
        ({"action_id": ""}, "token_length"),
        ({"action_id": "\ud800"}, "not_unicode"),
        ({"source": {"id": 7}}, "type"),
        ({"source": {"id": "4242424242424242"}}, "card_number"),
    ],
)
def test_no_token_is_invented(kind: str, changes: dict[str, Any], expected: str) -> None:
    """It would permanently look like Checkout.com's."""
    assert broken_by(kind, {**CAPTURE, **changes}) == {("SecureToken", expected)}


@pytest.mark.parametrize("kind", [DECLINED, RETURNED])
def test_a_payout_is_not_a_payment(kind: str) -> None:
    """It is money to somebody, and has the events of payments. Only a payout has a destination."""
    payout = {
        "id": "pay_3tg7yzq34lmmpdn2exmgjm4fvm", "action_id": "act_kqknlhpwscaetbzyk2b773jiti", "response_code": "10000",
        "amount": 8130, "currency": "GBP",
        "source": {"type": "currency_account", "id": "ca_y3oqhf46pyzuxjbcn2giaqnb44"},
        "destination": {"type": "bank_account", "id": "src_wmlfc3zyhqzehihu7giusaaawu"},
        "processed_on": "2020-04-22T09:00:10Z", "reference": "sample",
    }  # fmt: skip
    assert read(kind, payout) is None
    with contextlib.suppress(InvalidEntryError):
        assert read(kind, {**payout, "destination": None}) is not None


# ── Entries ─────────────────────────────────────────────────────────────────────────────────────────

DATE = "2026-11-23T10:02:01.504270Z"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (REFUNDED, REFUND, ("Refunded", REFUND["action_id"], "40.00", "2026-11-22T10:02:01.368278Z")),
        (REQUIRED, DISPUTE, ("Disputed", DISPUTE["id"], "60.00", DATE)),
        *((kind, DISPUTE, ("DisputeWon", f"{DISPUTE['id']}_won", "60.00", DATE)) for kind in WON),
        *((kind, DISPUTE, ("DisputeLost", f"{DISPUTE['id']}_lost", "60.00", DATE)) for kind in LOST),
        (RESOLVED, {**DISPUTE, "resolved_reason": "already_refunded"}, None),
    ],
)
def test_an_event_is_an_entry_of_the_payment(kind: str, data: dict[str, Any], expected: tuple[str, ...] | None) -> None:
    """The EntryID is the action's or the dispute's, and an entry that decides a dispute names it."""
    assert summary(kind, data) == expected
    one = read(kind, data)
    if isinstance(one, Entry):
        assert one.reverses == (DISPUTE["id"] if one.kind.startswith("Dispute") and one.kind != "Disputed" else None)


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        ({"total_captured": 7000, "available_to_capture": 0}, "Voided"),
        ({"total_captured": 7000}, "Voided"),
        ({"total_captured": 1, "available_to_capture": 0}, "Voided"),
        ({"total_captured": 7000, "available_to_capture": 1}, None),
        ({"total_captured": 0, "available_to_capture": 0}, None),
        ({"total_captured": "7000", "available_to_capture": 0}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_void_is_an_entry_after_the_last_capture(balances: Any, expected: str | None) -> None:
    """Without a capture, there is no payment that it could belong to. After `Voided`, the ledger takes no capture."""
    data = {**CAPTURE, "action_id": "act_void", "amount": 5000, "balances": balances}
    voided = summary(VOIDED, data)
    assert voided == (expected and (expected, "act_void", "50.00", "2026-11-21T10:02:01.469551Z"))


@pytest.mark.parametrize(
    ("kind", "data", "entry_id"),
    [
        (RETURNED, {**CAPTURE, "action_id": "act_return"}, "act_return"),
        (RETURNED, {**CAPTURE, "action_id": "act_return", "destination": None}, "act_return"),
        *(
            (RESOLVED, {**DISPUTE, "resolved_reason": reason}, DISPUTE["id"])
            for reason in ("rapid_dispute_resolution", None, "", "another", ["already_refunded"])
        ),
        (RESOLVED, DISPUTE, DISPUTE["id"]),
    ],
)
def test_what_may_have_taken_money_back_is_rejected_by_its_ids(kind: str, data: dict[str, Any], entry_id: str) -> None:
    """A bank took a payment back, or a card scheme refunded it: somebody must look, and enter what is right."""
    with pytest.raises(InvalidEntryError) as caught:
        read(kind, data)
    assert caught.value.violations == [Violation("Entry", "capture_failed")]
    assert (caught.value.transaction_id, caught.value.entry_id) == (PAYMENT_ID, entry_id)


@pytest.mark.parametrize("kind", [RETURNED, RESOLVED])
def test_such_a_rejection_has_no_invalid_ids(kind: str) -> None:
    """Its execution is named by them."""
    with pytest.raises(InvalidEntryError) as caught:
        read(kind, {"id": 7, "payment_id": "4242424242424242", "action_id": None})
    assert caught.value.violations == [Violation("Entry", "capture_failed")]
    assert (caught.value.transaction_id, caught.value.entry_id) == (None, None)


@pytest.mark.parametrize(
    "kind",
    [
        *("payment_approved", "payment_pending", "payment_capture_pending", "payment_capture_declined"),
        *("payment_void_declined", "payment_refund_pending", "payment_refund_declined", "payment_canceled"),
        *("payment_expired", "payment_paid", "payment_retry_scheduled", "payment_authorization_incremented"),
        *("card_verified", "dispute_received", "dispute_evidence_submitted", "dispute_arbitration_lost"),
        *("dispute_arbitration_sent_to_scheme", "issuing_dispute_closed", "PAYMENT_CAPTURED", "", "ping"),
    ],
)
def test_an_event_that_moves_nothing_is_ignored(kind: str) -> None:
    """A workflow sends all events that were chosen. An authorisation is a payment when it is captured."""
    assert OF_CHECKOUT(reported(kind, {**CAPTURE, **DISPUTE}), "checkout") is None
    assert OF_CHECKOUT({"type": kind}, "checkout") is None


@pytest.mark.parametrize("message", [None, 1, "text", [], {}, {"type": 1}, {"type": None}, {"type": ["ping"]}])
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    with pytest.raises(InvalidPaymentError) as caught:
        OF_CHECKOUT(message, "checkout")
    assert caught.value.violations == [Violation("Payment", "not_an_event")]


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("data", [None, [], "data", 7])
def test_an_event_without_its_data_is_rejected(kind: str, data: Any) -> None:
    """The workflow that publishes the rejection knows only its own field."""
    field = "Payment" if kind in (CAPTURED, DECLINED) else "Entry"
    with pytest.raises(InvalidPaymentError if field == "Payment" else InvalidEntryError) as caught:
        OF_CHECKOUT(reported(kind, data), "checkout")
    assert caught.value.violations == [Violation(field, "not_an_event")]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *((CAPTURED, data) for data in (CAPTURE, capture(2, 3000, 10_000))),
        *((DECLINED, DECLINE), (VOIDED, CAPTURE | {"balances": {"total_captured": 1}}), (REFUNDED, REFUND)),
        *((kind, DISPUTE) for kind in (REQUIRED, *WON, *LOST)),
    ],
)
def test_another_event_about_the_same_fact_is_the_same(kind: str, data: dict[str, Any]) -> None:
    """An event that is sent again may have another ID and time, and what the customer can change."""
    first = read(kind, data)
    changed = {"metadata": {"order": "7"}, "reference": "other", "response_summary": "other", "category": "general"}
    times = {"timestamp": "2027-01-01T00:00:00Z", "created_on": "2027-01-01T00:00:00.1234567Z"}
    again = read(kind, {**data, **changed}, id="evt_other", source="gateway", **times)
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint
    assert again.metadata["checkout.event"] == "evt_other"


# ── Amounts, times and codes ────────────────────────────────────────────────────────────────────────


def with_amount(amount: Any, currency: Any) -> dict[str, Any]:
    """Return a capture without balances."""
    return {**CAPTURE, "amount": amount, "currency": currency, "balances": None}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        *((20, "USD", "0.20"), (40_000, "EUR", "400.00"), (100, "JPY", "100"), (100_000, "BHD", "100.000")),
        *((1310, "KWD", "1.310"), (5000, "ISK", "5000"), (5000, "UGX", "5000"), (10_000, "CLP", "100")),
        *((999_999_999, "USD", "9999999.99"), (1, "EUR", "0.01"), (100, "eur", "1.00"), (0, "EUR", "0.00")),
    ],
)
def test_smallest_units_become_major_units(amount: int, currency: str, text: str) -> None:
    """Checkout.com's examples: 100 is 100 JPY, 100000 is 100 BHD, and CLP has two decimals."""
    one = read(CAPTURED, with_amount(amount, currency))
    assert one is not None
    assert (one.amount, one.currency) == (text, currency.upper())


def test_a_fraction_of_a_chilean_peso_is_rejected() -> None:
    """Its last two digits are always zero. Rounding would record an amount that nobody paid."""
    assert broken_by(CAPTURED, with_amount(10_050, "CLP")) == {("Amount", "decimals")}


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
def test_no_currency_is_guessed(currency: str) -> None:
    """Each currency is in one of Checkout.com's lists, has two decimals in ISO 4217 and by its rule, or is rejected."""
    listed = [codes for codes in (ZERO_DECIMAL, TWO_DECIMAL, THREE_DECIMAL) if currency in codes]
    assert len(listed) <= 1
    if currency not in TWO_DECIMAL:
        assert not listed or MINOR_UNITS[currency] == (0 if listed == [ZERO_DECIMAL] else 3)
    if listed or MINOR_UNITS[currency] == 2:
        assert read(CAPTURED, with_amount(1000, currency)) is not None
    else:
        assert broken_by(CAPTURED, with_amount(1000, currency)) == {("Amount", "amount_unit")}


def test_the_lists_of_currencies_are_checkout_coms() -> None:
    """Its list of full amounts is ISO 4217's without CLP and UYI, and its list of thousandths is ISO 4217's."""
    assert {code for code, decimals in MINOR_UNITS.items() if decimals == 0} - {"CLP", "UYI"} == ZERO_DECIMAL
    assert {code for code, decimals in MINOR_UNITS.items() if decimals == 3} == THREE_DECIMAL


@pytest.mark.parametrize("kind", [CAPTURED, DECLINED, REFUNDED, REQUIRED, *WON, *LOST])
@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"amount": None}, {("Amount", "type")}),
        ({"amount": "1000"}, {("Amount", "type")}),
        ({"amount": 10.5}, {("Amount", "type")}),
        ({"amount": True}, {("Amount", "type")}),
        ({"amount": [1]}, {("Amount", "type")}),
        ({"amount": -1}, {("Amount", "negative")}),
        ({"amount": 10**40}, {("Amount", "digits")}),
        ({"currency": None}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": 7}, {("Amount", "type"), ("Currency", "type")}),
        ({"currency": "XYZ"}, {("Currency", "currency")}),
        ({"currency": "UYI"}, {("Amount", "amount_unit")}),
        ({"processed_on": None, "date": None}, {("Timestamp", "type")}),
        ({"processed_on": 1795341721, "date": 1795341721}, {("Timestamp", "type")}),
        ({"processed_on": "2026-11-21", "date": "2026-11-21"}, {("Timestamp", "timestamp")}),
        ({"processed_on": "2026-11-21T10:02:01.1234567", "date": "2026-11-21T10:02:01"}, {("Timestamp", "timestamp")}),
    ],
)
def test_what_is_wrong_is_named(kind: str, changes: dict[str, Any], broken: set[tuple[str, str]]) -> None:
    """The start input has the contract's names. A missing currency must not become the stack's default."""
    of_kind = {CAPTURED: CAPTURE, DECLINED: DECLINE, REFUNDED: REFUND}.get(kind, DISPUTE)
    data = {**of_kind, "balances": None, **changes}
    assert broken_by(kind, data) == broken
    if None in changes.values():
        assert broken_by(kind, {name: value for name, value in data.items() if name not in changes}) == broken


@pytest.mark.parametrize("kind", [REFUNDED, REQUIRED, *WON, *LOST])
def test_an_entry_of_nothing_is_rejected(kind: str) -> None:
    """Checkout.com says that an amount is greater than zero."""
    assert broken_by(kind, {**REFUND, **DISPUTE, "amount": 0}) == {("Amount", "zero")}


@pytest.mark.parametrize(
    ("value", "of_payment", "of_entry"),
    [
        (None, {("TransactionID", "type")}, {("EntryID", "type"), ("Reverses", "type")}),
        (7, {("TransactionID", "type")}, {("EntryID", "type"), ("Reverses", "type")}),
        ("\ud800", {("TransactionID", "identifier")}, {("EntryID", "identifier"), ("Reverses", "identifier")}),
        (
            "4242424242424242",
            {("TransactionID", "card_number")},
            {("EntryID", "card_number"), ("Reverses", "card_number")},
        ),
    ],
)
def test_an_invalid_id_is_named(value: Any, of_payment: set[tuple[str, str]], of_entry: set[tuple[str, str]]) -> None:
    """The ID of a payment is mapped with its suffix, and that of a dispute with and without it."""
    for kind, data in ((CAPTURED, CAPTURE), (DECLINED, DECLINE), (REFUNDED, REFUND)):
        assert broken_by(kind, {**data, "id": value}) == of_payment
    assert broken_by(REQUIRED, {**DISPUTE, "payment_id": value}) == of_payment
    assert broken_by(WON[0], {**DISPUTE, "id": value}) == of_entry
    assert broken_by(REFUNDED, {**REFUND, "action_id": value}) == {one for one in of_entry if one[0] == "EntryID"}


def test_long_ids_are_mapped_alike() -> None:
    """An entry must find its payment, whatever form Checkout.com's IDs may get."""
    payment_id, dispute_id = "pay_" + "x" * 100, "dsp_" + "x" * 100
    payment = read(CAPTURED, {**CAPTURE, "id": payment_id})
    won = read(WON[0], {**DISPUTE, "id": dispute_id, "payment_id": payment_id})
    assert isinstance(won, Entry)
    assert payment is not None
    assert payment.transaction_id == won.transaction_id == mapped_identifier(payment_id)
    assert won.reverses == mapped_identifier(dispute_id)
    assert won.metadata["original.EntryID"] == dispute_id


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ("2023-05-22T11:56:01.1299682Z", "2023-05-22T11:56:01.129968Z"),
        ("2023-05-24T09:27:48.586796Z", "2023-05-24T09:27:48.586796Z"),
        ("2018-04-19T15:56:59Z", "2018-04-19T15:56:59.000000Z"),
        ("2022-12-15T15:20:31.5042702+00:00", "2022-12-15T15:20:31.504270Z"),
    ],
)
def test_the_seventh_decimal_of_a_time_is_left_out(time: str, kept: str) -> None:
    """Checkout.com writes seven decimals, and leaves out zeros at their end. A timestamp has six."""
    for kind, data, field in ((CAPTURED, CAPTURE, "processed_on"), (REQUIRED, DISPUTE, "date")):
        one = read(kind, {**data, field: time})
        assert one is not None
        assert one.timestamp == kept


@pytest.mark.parametrize("text", [None, 7, ["x"], "", "Do Not Honour", "4242 4242 4242 4242", "a" * 65, "x\n"])
def test_free_text_is_not_kept(text: Any) -> None:
    """A code of Checkout.com's is short. Anything else may hold what nobody should keep."""
    for kind, data in ((CAPTURED, CAPTURE), (DECLINED, DECLINE), (REFUNDED, REFUND), (REQUIRED, DISPUTE)):
        one = read(kind, {**data, "response_code": text, "reason_code": text}, id=text)
        assert one is not None
        assert one.metadata == ({"checkout.token": "action_id"} if kind == CAPTURED else {})


# ── What the entries add up to ──────────────────────────────────────────────────────────────────────


def totals_after(events: list[tuple[str, dict[str, Any]]]) -> Totals:
    """Return the totals after the events as the ledger keeps them: each once, and one that is too early waits."""
    found = [one for one in (read(kind, data) for kind, data in events) if one is not None]
    payments = [one for one in found if isinstance(one, Payment)]
    assert len({one.fingerprint for one in payments}) == 1
    return totals_of(payments[0], [one for one in found if isinstance(one, Entry)])


PAID = (CAPTURED, CAPTURE)
OPENED = (REQUIRED, DISPUTE)
DECIDED = {**DISPUTE, "date": "2026-12-23T10:00:00.1234567+00:00"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([PAID], ("100.00", "0.00", "0.00")),
        ([PAID, (REFUNDED, REFUND)], ("100.00", "40.00", "0.00")),
        ([PAID, ("payment_refund_declined", REFUND)], ("100.00", "0.00", "0.00")),
        (
            [PAID, (REFUNDED, REFUND), (REFUNDED, {**REFUND, "action_id": "act_second", "amount": 6000})],
            ("100.00", "100.00", "0.00"),
        ),
        ([PAID, (REFUNDED, REFUND), OPENED], ("100.00", "40.00", "60.00")),
        *(([PAID, (REFUNDED, REFUND), OPENED, (kind, DECIDED)], ("100.00", "40.00", "0.00")) for kind in WON),
        *(([PAID, (REFUNDED, REFUND), OPENED, (kind, DECIDED)], ("100.00", "40.00", "60.00")) for kind in LOST),
        (
            [PAID, (CAPTURED, capture(3, 500, 10_500)), (VOIDED, {**capture(4, 1500, 10_500), "balances": {
                "total_captured": 10_500, "available_to_capture": 0}})],
            ("105.00", "0.00", "0.00"),
        ),
    ],
)  # fmt: skip
def test_a_history_adds_up(events: list[tuple[str, dict[str, Any]]], expected: tuple[str, ...]) -> None:
    """However often each event comes. Without captures, their order does not matter either."""
    kinds = {kind for kind, _ in events}
    for order in permutations(events) if VOIDED not in kinds else [events]:
        totals = totals_after([*order, *order])
        assert (totals.captured, totals.refunded, totals.disputed) == expected


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

KEY = "8V8x0dLK%AyD*DNS8JJr"
# Checkout.com publishes no vectors. These were made with OpenSSL, under the key that its SDK's tests use:
# printf '{}' | openssl dgst -sha256 -hmac '8V8x0dLK%AyD*DNS8JJr'
VECTORS = [
    (b"{}", "023b5051176e715226722cebe74d2d9c0a7eeef764dccb74d53ce3c255bc6c0c"),
    (
        '{"id":"evt_1","type":"payment_captured","data":{"reference":"Acme© Ltd®"}}'.encode(),
        "482e3231909c8bd15ec6bf17cd3812c9ff7ea63ea399525cfee312d4f6a4ddab",
    ),
]


def reason(signature: str, body: bytes, key: str = KEY) -> str | None:
    """Return why a signature is invalid; None if it is valid."""
    headers = {"Cko-Signature": signature, "Authorization": "chosen-in-the-dashboard"}
    received = Received.of(headers, "https://api.example/processors/checkout/payments", body)
    try:
        assert plausible_schemes(received, 0) == [CHECKOUT]
        verify(CHECKOUT, [key], received, 0)
    except InvalidSignatureError as invalid:
        return str(invalid)
    return None


@pytest.mark.parametrize(("body", "signature"), VECTORS)
def test_a_known_vector_is_checkout_coms(body: bytes, signature: str) -> None:
    """The key is used as it stands, and the body as it came. What `Authorization` says is not looked at."""
    assert reason(signature, body) is None
    assert reason(signature, body + b"\n") == "wrong_signature"
    assert reason(signature, body, "another key of 20 ch") == "wrong_signature"
    for other in (signature.upper(), f"sha256={signature}", signature[:-1], "", "é" * 64, "\udcff"):
        assert reason(other, body) == "wrong_signature"


def test_an_authorization_header_alone_is_no_signature() -> None:
    """It is the same in every request, and says nothing about the body."""
    received = Received.of({"Authorization": KEY}, "https://api.example/processors/checkout/payments", b"{}")
    with pytest.raises(InvalidSignatureError, match="no_signature"):
        verify(CHECKOUT, [KEY], received, 0)


def test_the_sample_processor_may_have_its_secret() -> None:
    """Checkout.com generates the key, or takes any text."""
    assert CHECKOUT.secret.is_valid(KEY)
    assert all(CHECKOUT.secret.is_valid(secret) for secret in PROCESSORS["checkout"]["Secrets"])


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**64), 10**64) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ALL_DATA = {**CAPTURE, **DECLINE, **DISPUTE, "payment_id": PAYMENT_ID, "balances": CAPTURE["balances"]}


def read_whatever(message: Any) -> None:
    """Read a message to its end; only the errors of an invalid input may leave."""
    with contextlib.suppress(InvalidInputError):
        start_input = OF_CHECKOUT(message, "checkout")
        if start_input is not None and "Kind" in start_input:
            assert parse_entry(start_input).fingerprint
        elif start_input is not None:
            parse_payment(start_input, default_currency="USD")


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from([*EVENTS]), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, kind: str, value: Any) -> None:
    """No message is a technical failure, which Checkout.com would send again for more than a day."""
    message = json.loads(json.dumps(reported(kind, ALL_DATA)))
    place: Any = message
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    read_whatever(message)


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    "value",
    [None, "\ud800", 10**4299, "9" * 100_000, [[]], {"id": {}}, float("inf")],
    ids=["null", "surrogate", "integer", "digits", "list", "object", "infinity"],
)
def test_huge_and_broken_values_break_a_rule(kind: str, value: Any) -> None:
    """Each field that is read, and all at once."""
    for name in ALL_DATA:
        read_whatever(reported(kind, {**ALL_DATA, name: value}))
    read_whatever(reported(kind, dict.fromkeys(ALL_DATA, value), id=value))


@given(message=JSON | st.fixed_dictionaries({"type": st.sampled_from([*EVENTS]), "data": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever(message)
