"""Adyen's notifications: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import contextlib
import json
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.currencies import MINOR_UNITS
from ledger.entry import Entry, parse_entry
from ledger.formats import FORMATS
from ledger.formats.adyen import DECIMALS, KINDS
from ledger.identifiers import mapped_identifier
from ledger.payment import Payment, Token, parse_payment
from ledger.signature import ADYEN, InvalidSignatureError, Received, plausible_schemes, verify
from ledger.totals import Totals
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation
from ledger_cli import ROOT
from tests.support.mappings import totals_of

VARIANTS = {"automatic": "adyen-test", "manual": "adyen-manual-test"}
"""The format of test messages of each variant."""


def sample(name: str) -> Any:
    """Return the one item of a sample notification."""
    notification = json.loads((ROOT / f"events/webhooks/adyen-{name}.json").read_text())
    return notification["notificationItems"][0]["NotificationRequestItem"]


AUTHORISATION, REFUND, CHARGEBACK = map(sample, ("authorisation", "refund", "chargeback"))
PAYMENT_ID, REFUND_ID, DISPUTE_ID = (one["pspReference"] for one in (AUTHORISATION, REFUND, CHARGEBACK))


def notified(item: Any, live: Any = "false") -> dict[str, Any]:
    """Return a notification of one item."""
    return {"live": live, "notificationItems": [{"NotificationRequestItem": item}]}


def read(item: Any, variant: str = "automatic") -> dict[str, Any] | None:
    """Return the start input of a test notification."""
    return FORMATS[VARIANTS[variant]].start_input(notified(item), "adyen")


def payment_of(item: Any, variant: str = "automatic") -> tuple[Payment, Token]:
    """Return the payment that the contract takes of an item."""
    return parse_payment(read(item, variant), default_currency="USD")


def entry_of(item: Any, variant: str = "automatic") -> Entry | None:
    """Return the entry that the contract takes of an item; None if it reports none."""
    start_input = read(item, variant)
    return None if start_input is None else parse_entry(start_input)


def broken_by(item: Any, variant: str = "automatic") -> list[tuple[str, str]]:
    """Return the rules that an item breaks, in its format or in the contract."""
    try:
        start_input = read(item, variant)
        if start_input is not None and "Kind" in start_input:
            parse_entry(start_input)
        else:
            parse_payment(start_input, default_currency="USD")
    except InvalidInputError as refused:
        return [*refused.violations]
    return []


def event(code: str, reference: str = "RQST0000000000A2", value: int = 2500, **fields: Any) -> dict[str, Any]:
    """Return an item about the sample payment. Adyen's own samples of all its events have these fields."""
    amount = {"currency": "EUR", "value": value}
    return {**REFUND, "eventCode": code, "pspReference": reference, "amount": amount, **fields}


def authorisation(**fields: Any) -> dict[str, Any]:
    """Return the sample authorisation with other fields."""
    return {**AUTHORISATION, **fields}


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_an_authorisation_is_a_payment() -> None:
    """The start input is correct, field by field."""
    assert read(AUTHORISATION) == {
        "TransactionID": PAYMENT_ID,
        "SecureToken": "M5N7TQ4TG5PFWR50",
        "Amount": "100",
        "Currency": "EUR",
        "ProcessorID": "adyen",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01+01:00",
        "Metadata": {
            "adyen.account": "SampleLedgerECOM",
            "adyen.merchant_reference": "order-2026-0101",
            "adyen.payment_method": "visa",
        },
    }
    payment, _ = payment_of(AUTHORISATION)
    assert (payment.amount, payment.timestamp) == ("100.00", "2026-11-21T09:02:01.000000Z")


def test_a_payment_that_is_captured_later_is_of_nothing() -> None:
    """Its captures add up to what was taken. What may be captured is kept for the reader."""
    automatic, manual = read(AUTHORISATION), read(AUTHORISATION, "manual")
    assert automatic is not None
    assert manual == {
        **automatic,
        "Amount": "0",
        "Metadata": {**automatic["Metadata"], "adyen.authorised": "100.00 EUR"},
    }
    payment, _ = payment_of(AUTHORISATION, "manual")
    assert (payment.amount, payment.status) == ("0.00", "Success")


@pytest.mark.parametrize(
    ("value", "currency", "kept"),
    [
        (1, "EUR", "0.01 EUR"),
        (12345, "EUR", "123.45 EUR"),
        (500, "JPY", "500 JPY"),
        (5120, "KWD", "5.120 KWD"),
        (279000, "ISK", "2790.00 ISK"),
        (500, "IDR", "500 IDR"),
        (10**37, "EUR", f"1{35 * '0'}.00 EUR"),
    ],
)
def test_what_may_be_captured_is_kept_with_its_decimals(value: int, currency: str, kept: str) -> None:
    """It is text for a person, in the currency's own form."""
    payment, _ = payment_of(authorisation(amount={"value": value, "currency": currency}), "manual")
    assert payment.metadata["adyen.authorised"] == kept


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_refused_authorisation_is_a_failure_under_an_id_of_its_own(variant: str) -> None:
    """The same reference may succeed seconds later: the failure must not take the payment's place.

    The message is one that a merchant reported: Adyen/adyen-python-api-library, issue 117.
    """
    refused = {
        "additionalData": {}, "amount": {"currency": "SEK", "value": 7500}, "eventCode": "AUTHORISATION",
        "eventDate": "2020-08-14T10:53:35+02:00", "merchantAccountCode": "SampleLedgerECOM",
        "merchantReference": "14-08-2020-09:53:00", "paymentMethod": "klarna_paynow",
        "pspReference": "853597395210930A", "reason": "113 No InvoiceLines provided", "success": "false",
    }  # fmt: skip
    failed, token = payment_of(refused, variant)
    assert (failed.transaction_id, failed.status, failed.amount) == ("853597395210930A_failed", "Failure", "75.00")
    assert token.text == "14-08-2020-09:53:00"
    assert failed.metadata == {
        "adyen.account": "SampleLedgerECOM",
        "adyen.payment_method": "klarna_paynow",
        "adyen.token": "merchantReference",
    }
    succeeded, _ = payment_of({**refused, "success": "true"}, variant)
    assert (succeeded.transaction_id, succeeded.status) == ("853597395210930A", "Success")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("success", ["true", "false"])
def test_a_checked_card_is_not_a_payment(success: str, variant: str) -> None:
    """An authorisation of 0 asks whether a card is valid, or stores it."""
    assert read(authorisation(amount={"currency": "EUR", "value": 0}, success=success), variant) is None
    assert read(authorisation(amount={"currency": "EUR", "value": 1}, success=success), variant) is not None


STORED, LEGACY, ALIAS = "tokenization.storedPaymentMethodId", "recurring.recurringDetailReference", "alias"


@pytest.mark.parametrize(
    ("added", "token", "origin"),
    [
        ({STORED: "M5N7TQ4TG5PFWR50"}, "M5N7TQ4TG5PFWR50", None),
        ({STORED: "M5N7TQ4TG5PFWR50", LEGACY: "8415698462516992", ALIAS: "H1"}, "M5N7TQ4TG5PFWR50", None),
        ({LEGACY: "8415698462516992", ALIAS: "H167852639363479"}, "8415698462516992", LEGACY),
        ({STORED: "", LEGACY: "null", ALIAS: "H167852639363479"}, "H167852639363479", ALIAS),
        ({STORED: ["M5N7TQ4TG5PFWR50"], LEGACY: 8415698462516992}, "order-2026-0101", "merchantReference"),
        ({"shopperReference": "somebody@example.com"}, "order-2026-0101", "merchantReference"),
        ({}, "order-2026-0101", "merchantReference"),
        (None, "order-2026-0101", "merchantReference"),
        ("text", "order-2026-0101", "merchantReference"),
    ],
)
def test_the_token_stands_for_the_stored_payment_method_or_the_card(added: Any, token: str, origin: str | None) -> None:
    """Metadata names it, if it is not the usual one. The merchant's reference stands in, and then only there."""
    payment, sent = payment_of(authorisation(additionalData=added))
    assert sent.text == token
    assert payment.metadata.get("adyen.token") == origin
    expected = None if origin == "merchantReference" else "order-2026-0101"
    assert payment.metadata.get("adyen.merchant_reference") == expected


@pytest.mark.parametrize(
    ("name", "field", "reference"),
    [
        ("no text", "adyen.merchant_reference", 7),
        ("absent", "adyen.merchant_reference", None),
        ("long", "adyen.merchant_reference", "x" * 65),
        ("a person", "adyen.merchant_reference", "Anna Smith, anna@example.com"),
        ("half a surrogate pair", "adyen.merchant_reference", "order \ud800"),
        ("a card number", "adyen.merchant_reference", "4111111111111111"),
        ("the token", "adyen.merchant_reference", "M5N7TQ4TG5PFWR50"),
        ("with the token", "adyen.merchant_reference", "shop/M5N7TQ4TG5PFWR50/7"),
    ],
)
def test_no_payment_is_lost_for_the_merchants_reference(name: str, field: str, reference: Any) -> None:
    """The merchant may write anything into it. The token protects itself from standing there, too."""
    payment, _ = payment_of(authorisation(merchantReference=reference))
    assert field not in payment.metadata, name


@pytest.mark.parametrize("reference", ["x" * 64, "order-2026.0101_A"])
def test_the_merchants_reference_is_kept(reference: str) -> None:
    """Its owner looks for the payment by it."""
    payment, _ = payment_of(authorisation(merchantReference=reference))
    assert payment.metadata["adyen.merchant_reference"] == reference


def test_an_account_that_is_the_token_too_is_not_kept() -> None:
    """A merchant may number its orders by its account. The contract would reject the payment."""
    stands_in = authorisation(additionalData={}, merchantReference="SampleLedger")
    payment, token = payment_of(stands_in)
    assert token.text == "SampleLedger"
    assert payment.metadata == {"adyen.payment_method": "visa", "adyen.token": "merchantReference"}


@pytest.mark.parametrize(("reference", "kept"), [("Ledger", True), ("SampleL", True), ("SampleLe", False)])
def test_a_short_reference_stands_elsewhere_by_chance(reference: str, *, kept: bool) -> None:
    """The contract searches the other fields for tokens of 8 characters or more. As a field, none is kept."""
    payment, token = payment_of(authorisation(additionalData={}, merchantReference=reference))
    assert token.text == reference
    assert payment.metadata.get("adyen.account") == ("SampleLedgerECOM" if kept else None)
    assert "adyen.merchant_reference" not in payment.metadata


@pytest.mark.parametrize("free", ["Mr. Smith", "", None, 7, "visa\n", "x" * 65])
def test_free_text_is_not_kept(free: Any) -> None:
    """Neither from the names of accounts and methods, nor from any other value."""
    personal = {"cardHolderName": "J. Smith", "shopperEmail": "j@example.com", "iban": "DE89370400440532013000"}
    item = authorisation(merchantAccountCode=free, paymentMethod=free, reason="058463:1111:12/2030")
    item["additionalData"] = {**item["additionalData"], **personal, "expiryDate": "12/2030", "cardSummary": "1111"}
    payment, _ = payment_of(item)
    assert payment.metadata == {"adyen.merchant_reference": "order-2026-0101"}
    refunded = entry_of({**REFUND, "merchantAccountCode": free, "paymentMethod": free, "additionalData": personal})
    assert refunded is not None
    assert refunded.metadata == {"adyen.event": "REFUND"}


# ── Entries ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_samples_are_entries_of_the_sample_payment() -> None:
    """The start input is correct, field by field."""
    shared = {"TransactionID": PAYMENT_ID, "Currency": "EUR", "ProcessorID": "adyen"}
    metadata = {"adyen.account": "SampleLedgerECOM", "adyen.payment_method": "visa"}
    for variant in VARIANTS:
        assert read(REFUND, variant) == {
            **shared,
            "EntryID": REFUND_ID,
            "Kind": "Refunded",
            "Amount": "25",
            "Timestamp": "2026-11-22T10:02:01+01:00",
            "Metadata": {**metadata, "adyen.event": "REFUND"},
        }
        assert read(CHARGEBACK, variant) == {
            **shared,
            "EntryID": DISPUTE_ID,
            "Kind": "Disputed",
            "Amount": "75",
            "Timestamp": "2026-11-23T10:02:01+01:00",
            "Metadata": {**metadata, "adyen.event": "CHARGEBACK"},
        }


REJECTED = "rejected"
ID = "RQST0000000000A2"
# Each row: the event, its success, the automatic and the manual entry's kind, and what follows the EntryID.
ROWS = [
    ("CAPTURE", "true", REJECTED, "Captured", ""),
    ("CAPTURE", "false", REJECTED, None, ""),
    ("CAPTURE_FAILED", "true", REJECTED, REJECTED, ""),
    ("AUTHORISATION_ADJUSTMENT", "true", REJECTED, None, ""),
    ("CANCELLATION", "true", REJECTED, "Voided", ""),
    ("TECHNICAL_CANCEL", "true", REJECTED, "Voided", ""),
    ("EXPIRE", "true", REJECTED, "Voided", "_expired"),
    ("REFUND", "true", "Refunded", "Refunded", ""),
    ("REFUND_WITH_DATA", "true", "Refunded", "Refunded", ""),
    ("REFUND_FAILED", "true", "RefundFailed", "RefundFailed", "_failed"),
    ("REFUNDED_REVERSED", "true", "RefundFailed", "RefundFailed", "_failed"),
    ("CHARGEBACK", "true", "Disputed", "Disputed", ""),
    ("SECOND_CHARGEBACK", "true", "Disputed", "Disputed", "_second"),
    ("CHARGEBACK_REVERSED", "true", "DisputeWon", "DisputeWon", "_won"),
    *((code, "false", None, None, "") for code in KINDS if code != "CAPTURE"),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("code", "success", "automatic", "manual", "suffix"), ROWS)
def test_an_event_is_what_it_did_to_the_money(
    code: str, success: str, automatic: str | None, manual: str | None, suffix: str, variant: str
) -> None:
    """One entry for each movement of money; what may contradict the record is rejected, and what is nothing is not."""
    kind = automatic if variant == "automatic" else manual
    item = event(code, success=success)
    if kind == REJECTED:
        with pytest.raises(InvalidEntryError) as caught:
            read(item, variant)
        assert caught.value.violations == [Violation("Entry", "capture_failed")]
        assert (caught.value.transaction_id, caught.value.entry_id) == (PAYMENT_ID, f"{ID}{suffix}")
        return
    entry = entry_of(item, variant)
    if kind is None:
        assert entry is None
        return
    assert entry is not None
    assert (entry.kind, entry.transaction_id, entry.entry_id) == (kind, PAYMENT_ID, f"{ID}{suffix}")
    assert (entry.amount, entry.currency, entry.timestamp) == ("25.00", "EUR", "2026-11-22T09:02:01.000000Z")
    assert entry.reverses == (ID if kind in {"RefundFailed", "DisputeWon"} else None)
    assert entry.metadata["adyen.event"] == code


def test_every_event_that_moves_money_has_a_row() -> None:
    """The two that no row has are below: their message says what they did, or nothing does."""
    assert {code for code, *_ in ROWS} == KINDS.keys()
    assert KINDS.keys() - {code for code, success, *_ in ROWS if success == "true"} == {
        "CANCEL_OR_REFUND",
        "VOID_PENDING_REFUND",
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("action", ["cancel", "refund", None, "", "void", ["refund"], 7])
def test_an_action_that_nobody_signed_decides_nothing(action: Any, variant: str) -> None:
    """Otherwise a copy of a refused message with another action would be recorded."""
    item = event("CANCEL_OR_REFUND", additionalData={"modification.action": action})
    assert broken_by(item, variant) == [("Kind", "kind")]
    assert broken_by({**item, "additionalData": None}, variant) == [("Kind", "kind")]
    assert read({**item, "success": "false"}, variant) is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_action_of_another_event_changes_nothing(variant: str) -> None:
    """It is not signed, and only one event has it."""
    for code in ("REFUND", "CHARGEBACK"):
        plain, acted = (
            entry_of(event(code, additionalData=added), variant) for added in ({}, {"modification.action": "cancel"})
        )
        assert plain == acted


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cancelled_refund_without_a_payment_is_rejected(variant: str) -> None:
    """Nothing shows whether its refund was recorded."""
    assert broken_by(event("VOID_PENDING_REFUND"), variant) == [("Kind", "kind")]


@pytest.mark.parametrize("original", ["", None, PAYMENT_ID])
def test_an_expired_authorisation_names_its_payment(original: str | None) -> None:
    """Adyen's sample has no original reference: nobody made a request that would have a reference of its own."""
    reference = ID if original else PAYMENT_ID
    item = event("EXPIRE", reference, originalReference=original)
    entry = entry_of(item, "manual")
    assert entry is not None
    assert (entry.transaction_id, entry.entry_id, entry.kind) == (PAYMENT_ID, f"{reference}_expired", "Voided")
    if original is None:
        del item["originalReference"]
        assert entry_of(item, "manual") == entry


@pytest.mark.parametrize("code", ["CHARGEBACK_REVERSED", "SECOND_CHARGEBACK", "REFUND", "REFUND_WITH_DATA", "CAPTURE"])
def test_an_event_that_names_no_payment_is_refused_by_its_id(code: str) -> None:
    """Adyen sends the first two without it, unless a setting asks for it. Its own reference is not the payment's."""
    assert broken_by(event(code, originalReference=None), "manual") == [("TransactionID", "type")]
    assert broken_by(event(code, originalReference=""), "manual") == [("TransactionID", "identifier")]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "code",
    [
        "NOTIFICATION_OF_CHARGEBACK", "NOTIFICATION_OF_FRAUD", "REQUEST_FOR_INFORMATION", "PREARBITRATION_OPEN",
        "PREARBITRATION_ACCEPTED", "PREARBITRATION_DECLINED", "PREARBITRATION_WON", "PREARBITRATION_LOST",
        "PREARBITRATION_ISSUER_WITHDRAWN", "SCHEME_ARBITRATION", "SCHEME_ARBITRATION_WON", "SCHEME_ARBITRATION_LOST",
        "INFORMATION_SUPPLIED", "ISSUER_COMMENTS", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "DISPUTE_DEFENSE_PERIOD_ENDED",
        "POSTPONED_REFUND", "OFFER_CLOSED", "ORDER_OPENED", "ORDER_CLOSED", "PENDING", "RECURRING_CONTRACT",
        "MANUAL_REVIEW_ACCEPT", "MANUAL_REVIEW_REJECT", "REPORT_AVAILABLE", "PAYOUT_THIRDPARTY", "PAIDOUT_REVERSED",
        "AUTORESCUE", "CANCEL_AUTORESCUE", "DONATION", "", "authorisation", "refund", "REFUND ",
    ],
)  # fmt: skip
def test_an_event_that_moves_no_money_is_neither(code: str, variant: str) -> None:
    """A report's name has colons and no payment; it must be answered all the same."""
    for item in (event(code), event(code, "report:2026:11.csv", success=None), event(code, success="false")):
        assert read(item, variant) is None


def test_a_live_event_is_of_no_test_processor_and_the_other_way_round() -> None:
    """The mode is text. It is not signed, but the two environments have keys of their own."""
    for item in (AUTHORISATION, REFUND):
        for live, taking in (("true", {"adyen", "adyen-manual"}), ("false", {"adyen-test", "adyen-manual-test"})):
            message = notified(item, live)
            formats = (name for name in FORMATS if name.startswith("adyen"))
            assert {name for name in formats if FORMATS[name].start_input(message, "adyen") is not None} == taking


@pytest.mark.parametrize("live", [True, False, None, "", "TRUE", "False", 1, 0, ["true"], {}])
def test_a_message_without_a_mode_is_rejected(live: Any) -> None:
    """It could be of either. An event that would be ignored is rejected, too: something is wrong with all of them."""
    for name in (name for name in FORMATS if name.startswith("adyen")):
        for item in (AUTHORISATION, event("NOTIFICATION_OF_FRAUD")):
            with pytest.raises(InvalidPaymentError) as payment:
                FORMATS[name].start_input(notified(item, live), "adyen")
            assert payment.value.violations == [Violation("Payment", "not_an_event")]
        with pytest.raises(InvalidEntryError) as entry:
            FORMATS[name].start_input(notified(REFUND, live), "adyen")
        assert entry.value.violations == [Violation("Entry", "not_an_event")]
    without = notified(REFUND)
    del without["live"]
    with pytest.raises(InvalidEntryError):
        FORMATS["adyen"].start_input(without, "adyen")


@pytest.mark.parametrize("reference", ["test_AUTHORISATION_1", "TEST_CUSTOM_7914073381342284"])
def test_a_test_of_a_live_endpoint_is_neither(reference: str) -> None:
    """Adyen's own references have no underscore. A test endpoint takes such a message as any other."""
    item = authorisation(pspReference=reference)
    assert FORMATS["adyen"].start_input(notified(item, "true"), "adyen") is None
    assert read(item) is not None
    other = FORMATS["adyen"].start_input(notified(authorisation(pspReference="TESTX4QHXSKGK825"), "true"), "adyen")
    assert other is not None


# ── Messages that are not one event ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("more", [[REFUND], [None], [{}], [AUTHORISATION] * 5])
def test_several_items_are_rejected_as_a_whole(more: list[Any]) -> None:
    """Adyen's JSON has one. Only the first one's signature was verified, and the others could be anybody's."""
    message = notified(AUTHORISATION)
    message["notificationItems"] += [{"NotificationRequestItem": item} for item in more]
    with pytest.raises(InvalidPaymentError) as caught:
        FORMATS["adyen-test"].start_input(message, "adyen")
    assert caught.value.violations == [Violation("Payment", "several_items")]


@pytest.mark.parametrize(
    "message",
    [
        None, 1, "text", [], {}, {"live": "false"}, {"live": "false", "notificationItems": []},
        {"live": "false", "notificationItems": {"0": {"NotificationRequestItem": AUTHORISATION}}},
        {"live": "false", "notificationItems": [None]}, {"live": "false", "notificationItems": [AUTHORISATION]},
        AUTHORISATION, notified(None), notified([]), notified({}), notified(authorisation(eventCode=None)),
        notified(authorisation(eventCode=["AUTHORISATION"])),
    ],
)  # fmt: skip
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    with pytest.raises(InvalidPaymentError) as caught:
        FORMATS["adyen-test"].start_input(message, "adyen")
    assert caught.value.violations == [Violation("Payment", "not_an_event")]


@pytest.mark.parametrize("success", [None, True, False, "", "TRUE", "yes", 1, ["true"]])
def test_an_event_without_an_outcome_is_rejected(success: Any) -> None:
    """Only the two texts are Adyen's. Anything else could be read as either."""
    assert broken_by(authorisation(success=success)) == [("Payment", "not_an_event")]
    for code in KINDS:
        assert broken_by(event(code, success=success)) == [("Entry", "not_an_event")]


@pytest.mark.parametrize("name", ["pspReference", "originalReference", "merchantAccountCode"])
def test_signed_values_that_could_be_divided_otherwise_are_rejected(name: str) -> None:
    """Adyen joins the values with colons: the same signature would be right for another payment."""
    assert broken_by(authorisation(**{name: "X:1"})) == [("Payment", "not_an_event")]
    for code in KINDS:
        assert broken_by(event(code, **{name: ":"})) == [("Entry", "not_an_event")]


def test_what_a_signature_covers_has_one_reading() -> None:
    """Every way to divide the signed text of a real message again is rejected, but the message's own."""
    real = authorisation(merchantReference="A:B:1000:EUR:X", additionalData={})
    signed = f"{PAYMENT_ID}::SampleLedgerECOM:A:B:1000:EUR:X:10000:EUR:AUTHORISATION:true".split(":")
    taken = []
    for borders in combinations(range(1, len(signed)), 7):
        starts, ends = (0, *borders), (*borders, len(signed))
        reference, original, account, merchants, value, currency, code, success = (
            ":".join(signed[start:end]) for start, end in zip(starts, ends, strict=True)
        )
        item = {
            **real, "pspReference": reference, "originalReference": original, "merchantAccountCode": account,
            "merchantReference": merchants, "eventCode": code, "success": success,
            "amount": {"value": int(value) if value.isdigit() else value, "currency": currency},
        }  # fmt: skip
        with contextlib.suppress(InvalidInputError):
            start_input = read(item)
            if start_input is not None:
                taken.append(parse_payment(start_input, default_currency="USD")[0])
    assert taken == [payment_of(real)[0]]


# ── Values that Adyen does not send ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ({"pspReference": None}, [("TransactionID", "type")]),
        ({"pspReference": 8535973952109300}, [("TransactionID", "type")]),
        ({"pspReference": ""}, [("TransactionID", "identifier")]),
        ({"pspReference": "\ud800"}, [("TransactionID", "identifier")]),
        ({"pspReference": "4111111111111111"}, [("TransactionID", "card_number")]),
        ({"pspReference": "M5N7TQ4TG5PFWR50"}, [("TransactionID", "holds_token")]),
        ({"eventDate": None}, [("Timestamp", "type")]),
        ({"eventDate": 1795255321}, [("Timestamp", "type")]),
        ({"eventDate": "yesterday"}, [("Timestamp", "timestamp")]),
        ({"eventDate": "2026-11-21T10:02:01"}, [("Timestamp", "timestamp")]),
        ({"amount": None}, [("Amount", "type"), ("Currency", "type")]),
        ({"amount": {"value": 1000}}, [("Amount", "type"), ("Currency", "type")]),
        ({"amount": {"value": 1000, "currency": 978}}, [("Amount", "type"), ("Currency", "type")]),
        ({"amount": {"value": 1000, "currency": "eur"}}, [("Amount", "amount_unit")]),
        ({"amount": {"value": 1000, "currency": "TMT"}}, [("Amount", "amount_unit")]),
        ({"amount": {"value": 1000, "currency": "CNH"}}, [("Currency", "currency")]),
        ({"amount": {"value": "1000", "currency": "EUR"}}, [("Amount", "type")]),
        ({"amount": {"value": 10.5, "currency": "EUR"}}, [("Amount", "type")]),
        ({"amount": {"value": True, "currency": "EUR"}}, [("Amount", "type")]),
        ({"amount": {"value": -1, "currency": "EUR"}}, [("Amount", "negative")]),
        ({"amount": {"value": 10**60, "currency": "EUR"}}, [("Amount", "digits")]),
        ({"additionalData": {}, "merchantReference": None}, [("SecureToken", "type")]),
        ({"additionalData": {}, "merchantReference": ""}, [("SecureToken", "token_length")]),
        ({"additionalData": {}, "merchantReference": "\ud800"}, [("SecureToken", "not_unicode")]),
        ({"additionalData": {}, "merchantReference": "4111111111111111"}, [("SecureToken", "card_number")]),
    ],
)
def test_what_is_wrong_with_an_authorisation_is_named(fields: Any, broken: list[Any], variant: str) -> None:
    """The start input has the contract's names, and both variants break the same rules."""
    assert broken_by(authorisation(**fields), variant) == broken


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("reference", [None, "", 7])
def test_a_failure_without_a_reference_gets_no_id(reference: Any, variant: str) -> None:
    """No ID is made up of the suffix alone."""
    broken = [("TransactionID", "identifier" if reference == "" else "type")]
    assert broken_by(authorisation(pspReference=reference, success="false"), variant) == broken


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ({"pspReference": None}, [("EntryID", "type")]),
        ({"pspReference": ""}, [("EntryID", "identifier")]),
        ({"pspReference": PAYMENT_ID}, [("EntryID", "id_of_the_payment")]),
        ({"originalReference": 7}, [("TransactionID", "type")]),
        ({"eventDate": None}, [("Timestamp", "type")]),
        ({"amount": None}, [("Amount", "type"), ("Currency", "type")]),
        ({"amount": {"value": 0, "currency": "EUR"}}, [("Amount", "zero")]),
        ({"amount": {"value": "2500", "currency": "EUR"}}, [("Amount", "type")]),
        ({"amount": {"value": 2500, "currency": "TMT"}}, [("Amount", "amount_unit")]),
        ({"amount": {"value": 2550, "currency": "ISK"}}, [("Amount", "decimals")]),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(fields: Any, broken: list[Any]) -> None:
    """An operator sees the field. Nothing is guessed."""
    assert broken_by({**REFUND, **fields}) == broken


def test_what_the_format_rejects_is_named_by_its_ids() -> None:
    """Support searches for either, although the contract checked neither."""
    unit = {"value": 1000, "currency": "TMT"}
    with pytest.raises(InvalidPaymentError) as payment:
        read(authorisation(amount=unit, success="false"))
    assert payment.value.transaction_id == f"{PAYMENT_ID}_failed"
    with pytest.raises(InvalidEntryError) as entry:
        read(event("REFUND_FAILED", REFUND_ID, amount=unit))
    assert (entry.value.transaction_id, entry.value.entry_id) == (PAYMENT_ID, f"{REFUND_ID}_failed")
    with pytest.raises(InvalidEntryError) as failed:
        read(event("CAPTURE_FAILED", "a b", originalReference="4111111111111111"))
    assert (failed.value.transaction_id, failed.value.entry_id) == (None, mapped_identifier("a b"))


def test_ids_of_another_form_are_mapped_and_kept() -> None:
    """Adyen documents 16 characters. Should it send others, the entry still finds its payment."""
    long, other = "Q" * 65, "a/b"
    payment, _ = payment_of(authorisation(pspReference=long))
    assert payment.transaction_id == mapped_identifier(long)
    assert payment.metadata["original.TransactionID"] == long
    entry = entry_of(event("REFUND_FAILED", other, originalReference=long))
    assert entry is not None
    assert (entry.transaction_id, entry.reverses) == (mapped_identifier(long), mapped_identifier(other))
    assert entry.entry_id == mapped_identifier(f"{other}_failed")
    assert (entry.metadata["original.TransactionID"], entry.metadata["original.EntryID"]) == (long, other)


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ("2020-04-28T19:10:18.42Z", "2020-04-28T19:10:18.420000Z"),
        ("2021-01-01T01:00:00+01:00", "2021-01-01T00:00:00.000000Z"),
        ("2021-01-01T01:00:00.123456789+01:00", "2021-01-01T00:00:00.123456Z"),
    ],
)
def test_a_time_may_have_fractions(time: str, kept: str) -> None:
    """Adyen's own samples have times of several forms."""
    assert payment_of(authorisation(eventDate=time))[0].timestamp == kept
    entry = entry_of({**REFUND, "eventDate": time})
    assert entry is not None
    assert entry.timestamp == kept


# ── Amounts ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [
        (10000, "EUR", "100.00"),
        (5, "USD", "0.05"),
        (500, "JPY", "500"),
        (5125, "BHD", "5.125"),
        (5125, "TND", "5.125"),
        (279000, "CLP", "2790"),
        (279000, "ISK", "2790"),
        (2790, "CVE", "2790.00"),
        (2790, "IDR", "2790.00"),
        (2790, "UGX", "2790"),
        (1000, "LBP", "10.00"),
    ],
)
def test_smallest_units_become_major_units(value: int, currency: str, amount: str) -> None:
    """Adyen's table counts for its integers, also where ISO 4217 has other decimals."""
    item = authorisation(amount={"value": value, "currency": currency})
    assert payment_of(item)[0].amount == amount
    refunded = entry_of({**REFUND, "amount": item["amount"]})
    assert refunded is not None
    assert refunded.amount == amount


def test_four_currencies_have_other_decimals_than_in_iso_4217() -> None:
    """Adyen's page marks these four as different from the standard."""
    other = {currency for currency, decimals in DECIMALS.items() if MINOR_UNITS.get(currency, decimals) != decimals}
    assert other == {"CLP", "CVE", "IDR", "ISK"}
    assert {DECIMALS[currency] for currency in ("CLP", "ISK")} == {2}
    assert {DECIMALS[currency] for currency in ("CVE", "IDR")} == {0}


def test_adyen_does_not_list_these_currencies() -> None:
    """Nothing says in which unit their amounts would be."""
    unlisted = "AFN BIF BOV BTN CDF CHE CHW CLF COU ERN IRR KPW LRD LSL MGA MXV SDG SSP SYP TJS TMT USN UYI UYW VED VES"
    assert MINOR_UNITS.keys() - DECIMALS.keys() == {*unlisted.split(), "XAD", "ZWG"}
    assert DECIMALS.keys() - MINOR_UNITS.keys() == {"ANG", "BGN", "CNH", "HRK", "VEF"}


@pytest.mark.parametrize("currency", sorted(MINOR_UNITS))
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_currency_is_guessed(currency: str, variant: str) -> None:
    """Each currency is in Adyen's list, or is rejected."""
    item = authorisation(amount={"value": 10000, "currency": currency})
    if currency in DECIMALS:
        assert payment_of(item, variant)[0].currency == currency
    else:
        assert broken_by(item, variant) == [("Amount", "amount_unit")]


# ── The same fact ───────────────────────────────────────────────────────────────────────────────────


def test_a_message_with_another_token_is_the_same_payment() -> None:
    """Adyen signs none of it, so nobody can change with it what was recorded: the first one stays."""
    other = {STORED: "ANOTHERTOKEN0000", "hmacSignature": "x"}
    first, _ = payment_of(AUTHORISATION)
    for item in (authorisation(additionalData=other), authorisation(reason="x", paymentMethod="mc", operations=[])):
        assert payment_of(item)[0].fingerprint == first.fingerprint
    later, _ = payment_of(authorisation(eventDate="2026-11-21T10:27:01+01:00"))
    assert later.fingerprint != first.fingerprint
    assert later.transaction_id == first.transaction_id


@pytest.mark.parametrize("item", [REFUND, CHARGEBACK, event("CHARGEBACK_REVERSED"), event("REFUND_FAILED")])
def test_a_message_with_other_details_is_the_same_entry(item: dict[str, Any]) -> None:
    """Only what is signed, and the time, decides."""
    first = entry_of(item)
    again = entry_of({**item, "reason": "x", "additionalData": {"grossValue": "1"}, "paymentMethod": "mc"})
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint


def test_the_merchants_reference_is_in_no_entry() -> None:
    """It may be the payment's token, and an entry is published in plaintext."""
    for code in KINDS:
        for variant in VARIANTS:
            with contextlib.suppress(InvalidInputError):
                assert "order-2026-0101" not in json.dumps(read(event(code), variant))


# ── What the entries add up to ──────────────────────────────────────────────────────────────────────


def totals_after(items: list[dict[str, Any]], variant: str) -> Totals:
    """Return the totals of the sample payment after these events, if each event comes twice."""
    payment, _ = payment_of(AUTHORISATION, variant)
    entries = [entry for item in (*items, *items) if (entry := entry_of(item, variant)) is not None]
    for one, other in combinations(entries, 2):
        assert one == other or one.entry_id != other.entry_id
    return totals_of(payment, entries)


REFUNDED = event("REFUND", "RFND0000000000A2", 2500)
REFUND_FAILED = event("REFUND_FAILED", "RFND0000000000A2", 2500)
DISPUTED = event("CHARGEBACK", "DSPT0000000000A2", 4000)
WON = event("CHARGEBACK_REVERSED", "DSPT0000000000A2", 4000)
SECOND = event("SECOND_CHARGEBACK", "DSPT0000000000A2", 4000)
CAPTURED = [event("CAPTURE", f"CPTR000000000{number}A2", 4000) for number in range(2)]
LIVES: dict[str, tuple[str, list[dict[str, Any]], tuple[str, str, str]]] = {
    "two refunds, and one fails": (
        "automatic",
        [REFUNDED, REFUND_FAILED, event("REFUND", "RFND0000000001A2", 1000)],
        ("100.00", "10.00", "0.00"),
    ),
    "a refund that comes back from the bank": (
        "automatic",
        [REFUNDED, event("REFUNDED_REVERSED", "RFND0000000000A2", 2500)],
        ("100.00", "0.00", "0.00"),
    ),
    "a refused refund": ("automatic", [{**REFUNDED, "success": "false"}], ("100.00", "0.00", "0.00")),
    "a dispute that is won": (
        "automatic",
        [event("NOTIFICATION_OF_CHARGEBACK", "DSPT0000000000A2", 4000), DISPUTED, WON],
        ("100.00", "0.00", "0.00"),
    ),
    "a dispute that is lost": (
        "automatic",
        [DISPUTED, event("DISPUTE_DEFENSE_PERIOD_ENDED", "DSPT0000000000A2", 4000)],
        ("100.00", "0.00", "40.00"),
    ),
    "a second chargeback": ("automatic", [DISPUTED, WON, SECOND], ("100.00", "0.00", "40.00")),
    "captures in parts": ("manual", [*CAPTURED, REFUNDED], ("80.00", "25.00", "0.00")),
    "a refused capture": ("manual", [{**CAPTURED[0], "success": "false"}, CAPTURED[1]], ("40.00", "0.00", "0.00")),
    "a cancellation": ("manual", [event("CANCELLATION", value=10000)], ("0.00", "0.00", "0.00")),
}


@pytest.mark.parametrize("life", LIVES)
def test_the_totals_are_what_the_money_did(life: str) -> None:
    """Whatever the order of the events, and however often each comes."""
    variant, items, expected = LIVES[life]
    for order in permutations(items):
        assert totals_after([*order], variant)[:3] == expected


def test_after_captures_the_rest_may_expire() -> None:
    """What was captured stays captured."""
    rest = event("EXPIRE", PAYMENT_ID, 10000, originalReference=None)
    assert totals_after([*CAPTURED, rest], "manual")[:3] == ("80.00", "0.00", "0.00")


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

# Keys, the signed values and signatures of Adyen's own libraries. Sources, in order: adyen-python-api-library@b6f4979
# test/UtilTest.py; adyen-php-api-library@6ef96571 HmacSignatureTest (four); adyen-node-api-library@3b84a188
# hmacValidator.spec.ts (two); PHP again; adyen-java-api-library@bca8a14 HMACValidatorTest.
PYTHON_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PHP_KEY = "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"
VECTORS = [
    (
        PYTHON_KEY,
        ("7914073381342284", None, "TestMerchant", "TestPayment-1407325143704", 1130, "EUR", "AUTHORISATION", "true"),
        "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=",
    ),
    (
        PYTHON_KEY,
        ("7914073381342284", None, "TestMerchant", "TestPayment-1407325143704", 0, "EUR", "REFUND", "true"),
        "J7HhsgZo5KwqdB7LFZJV6rfQgp+RqC2kuYyw/3x3w+8=",
    ),
    (
        PHP_KEY,
        ("7914073381342284", None, "TestMerchant", " TestPayment-1407325143704", 1130, "EUR", "AUTHORISATION", "true"),
        "kLZtgnXU86m/yjnpBD4aqESFgnoDcy1fGOP1Db/L3+4=",
    ),
    (
        PHP_KEY,
        ("7914073381342284", None, "TestMerchant", "TestPayment-1407325143704", 1130, "EUR", "AUTHORISATION", "true"),
        "Ny9gS2veKo5E4w8/OL6xz1/wvT/hYkAXy1xNc/QvO4I=",
    ),
    (
        "C56F00E99723D90F65254B00746844BED11BCDD0DD42B26EC980DC1301C6CD20",
        ("TEST_CUSTOM_7914073381342284", "", "PHPApiLibrary", "auth:123", 113000, "EUR", "AUTHORISATION", "true"),
        "ovT21mqdbQToGbWssIhnBXAlnkhgKuehtGwvYFf5h2Q=",
    ),
    (
        PHP_KEY,
        ("pspReference", "originalReference", "merchantAccount", "reference", 1000, "EUR", "REPORT_AVAILABLE", "true"),
        "ZNBPtI+oDyyRrLyD1XirkKnQgIAlFc07Vj27TeHsDRE=",
    ),
    (
        PHP_KEY,
        ("pspReference", "originalReference", "merchantAccount", "reference", 1000, "EUR", "EVENT", "true"),
        "ipnxGCaUZ4l8TUW75a71/ghd2Fe5ffvX0pV4TLTntIc=",
    ),
    (
        "9064450A8892A093D9E97EFCC9639DE31B74F3A7803135555A3C96F5A57915D6",
        ("test_REPORT_AVAILABLE", None, "Magento2Rik", "testMerchantRef1", "0", "EUR", "REPORT_AVAILABLE", "true"),
        "NuEkADFmlCC6VgX+wcoPAegIWxVPNBPCuKlM4Hzo5qc=",
    ),
]
NAMES = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode", "success")


def item_of(values: tuple[Any, ...], signature: Any) -> dict[str, Any]:
    """Return an item with these signed values, and others that are not signed."""
    *references, value, currency, code, success = values
    named = dict(zip(NAMES, (*references, code, success), strict=True))
    item = {name: one for name, one in named.items() if one is not None}
    return {**item, "amount": {"value": value, "currency": currency}, "additionalData": {"hmacSignature": signature}}


def is_valid(key: str, item: Any) -> bool:
    """Return whether Adyen signed an item."""
    try:
        verify(ADYEN, [key], Received.of({}, "", json.dumps(notified(item)).encode()), 0)
    except InvalidSignatureError:
        return False
    return True


@pytest.mark.parametrize(("key", "values", "signature"), VECTORS)
def test_adyens_own_vectors_are_valid_and_no_others(key: str, values: tuple[Any, ...], signature: str) -> None:
    """Each signed value counts, and nothing else does."""
    item = item_of(values, signature)
    body = json.dumps(notified(item)).encode()
    assert is_valid(key, item)
    assert is_valid(key.lower(), item)
    assert plausible_schemes(Received.of({"content-type": "application/json"}, "", body), 0) == [ADYEN]
    assert is_valid(key, {**item, "eventDate": "2026-11-21T10:02:01+01:00", "reason": "x", "paymentMethod": "mc"})
    assert not is_valid("0" * 64, item)
    for name in NAMES:
        assert not is_valid(key, {**item, name: f"{item.get(name, '')}x"})
    for changed in ({"value": 1}, {"currency": "USD"}):
        assert not is_valid(key, {**item, "amount": {**item["amount"], **changed}})
    for wrong in (signature[:-1], signature.swapcase(), f" {signature}", "", None, [signature]):
        assert not is_valid(key, item_of(values, wrong))


def test_a_null_and_an_absent_value_are_signed_alike() -> None:
    """Adyen's libraries join empty text for both."""
    key, values, signature = VECTORS[0]
    for original in (None, ""):
        assert is_valid(key, {**item_of(values, signature), "originalReference": original})


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**64), 10**64) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DEEP: Any = []
for _ in range(900):
    DEEP = [DEEP]
HUGE = ["x" * 200_000, "4111111111111111 " * 10_000, "\ud800", "a:" * 50_000, 10**64, -(10**64), DEEP, {"a": DEEP}]


def read_whatever(message: Any, variant: str) -> None:
    """Read a message to its end; only the errors of an invalid input may leave."""
    with contextlib.suppress(InvalidInputError):
        start_input = FORMATS[VARIANTS[variant]].start_input(message, "adyen")
        if start_input is not None and "Kind" in start_input:
            assert parse_entry(start_input).fingerprint
        elif start_input is not None:
            assert parse_payment(start_input, default_currency="USD")[0].fingerprint


PLACES = [*((name,) for name in AUTHORISATION), *(("amount", name) for name in ("value", "currency"))]
PLACES += [
    ("originalReference",),
    *(("additionalData", name) for name in (STORED, LEGACY, ALIAS, "modification.action")),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_hostile_value_is_read_or_breaks_a_rule(place: tuple[str, ...], variant: str) -> None:
    """It may be of any length, depth and type, at each place that is read."""
    for code in ("AUTHORISATION", *KINDS):
        for value in (*HUGE, None, "", True, 1.5, [], {}):
            item = authorisation(eventCode=code, originalReference=PAYMENT_ID, additionalData={})
            inner = item
            for name in place[:-1]:
                inner[name] = dict(inner[name])
                inner = inner[name]
            inner[place[-1]] = value
            read_whatever(notified(item), variant)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.data(), code=st.sampled_from(["AUTHORISATION", *KINDS]), variant=st.sampled_from([*VARIANTS]), value=JSON
)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(
    data: st.DataObject, code: str, variant: str, value: Any
) -> None:
    """No message is a technical failure: Adyen would send nothing else until it is answered."""
    message = json.loads(json.dumps(notified({**AUTHORISATION, **event(code)})))
    place: Any = message
    while True:
        key = data.draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    read_whatever(message, variant)


@given(message=JSON, variant=st.sampled_from([*VARIANTS]))
def test_any_message_is_read_or_breaks_a_rule(message: Any, variant: str) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever(message, variant)
