"""Adyen's standard webhooks: an authorisation becomes a payment; what happens to it later becomes an entry.

A setting at Adyen decides whether an authorisation takes the money, and no message shows it. So there are two variants:
`automatic` for money that is captured at once, and `manual` for money that requests capture later.

| event | condition | automatic | manual |
|---|---|---|---|
| `AUTHORISATION` | success | payment, `Success` | payment, `Success`, of 0 |
| `AUTHORISATION` | no success | payment, `Failure` | payment, `Failure` |
| `CAPTURE` | success | rejected, `capture_failed` | `Captured` |
| `CAPTURE` | no success | rejected, `capture_failed` | |
| others | success | `KINDS` | `KINDS` |

If another event has no success, nothing happened. No amount is cumulative.

Adyen signs eight values, and neither the time, the token, the mode nor the action of `CANCEL_OR_REFUND`. What is
recorded, and under which IDs, depends on signed values alone: a message that is replayed with another time conflicts
with what is recorded, and adds nothing.

Source: Adyen's Webhooks API, version 1 (its OpenAPI file); its pages "Verify HMAC signatures", "Handle webhook events"
(duplicates), "Webhook types" (JSON has one item), "Capture", "Cancel", "Refund", and those named below.
"""

from collections.abc import Mapping
from typing import Any

from ledger.amounts import canonical_amount
from ledger.cards import holds_card_number
from ledger.formats.mapping import UNDOCUMENTED, code, entry, integer, major_units, member, microseconds, payment
from ledger.payment import MIN_SEARCHED_TOKEN_CHARACTERS, valid_id
from ledger.signature import adyen_item
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation

DECIMALS: Mapping[str, int] = {
    **dict.fromkeys("CVE DJF GNF IDR JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys(
        "AED ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CHF CLP CNH CNY COP "
        "CRC CUP CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF ILS INR ISK JMD "
        "KES KGS KHR KYD KZT LAK LBP LKR MAD MDL MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD "
        "PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SVC SZL THB TOP TRY TTD TWD "
        "TZS UAH USD UYU UZS VEF WST XCD XCG YER ZAR ZMW".split(),
        2,
    ),
}
"""Decimals of each currency that Adyen lists. CLP, CVE, IDR and ISK have other ones in ISO 4217, but Adyen's count.
ANG, BGN, HRK and LBP stand on older copies of the page only. Source: Adyen's page "Currency codes"."""

MERCHANT_REFERENCE = "merchantReference"
TOKENS = ("tokenization.storedPaymentMethodId", "recurring.recurringDetailReference", "alias")
"""Values of `additionalData` that identify the stored payment method, or the card. A payment may have none of them."""

NOT_CAPTURED = "capture_failed"
"""Rule in the place of a kind: money that the ledger counts as taken was not taken, or not this amount."""

KINDS: Mapping[str, tuple[str | None, str | None]] = {
    "CAPTURE": (NOT_CAPTURED, "Captured"),
    "CAPTURE_FAILED": (NOT_CAPTURED, NOT_CAPTURED),
    "AUTHORISATION_ADJUSTMENT": (NOT_CAPTURED, None),
    "CANCELLATION": (NOT_CAPTURED, "Voided"),
    "TECHNICAL_CANCEL": (NOT_CAPTURED, "Voided"),
    "EXPIRE": (NOT_CAPTURED, "Voided"),
    "CANCEL_OR_REFUND": (UNDOCUMENTED, UNDOCUMENTED),
    "REFUND": ("Refunded", "Refunded"),
    "REFUND_WITH_DATA": ("Refunded", "Refunded"),
    "REFUND_FAILED": ("RefundFailed", "RefundFailed"),
    "REFUNDED_REVERSED": ("RefundFailed", "RefundFailed"),
    "VOID_PENDING_REFUND": (UNDOCUMENTED, UNDOCUMENTED),
    "CHARGEBACK": ("Disputed", "Disputed"),
    "SECOND_CHARGEBACK": ("Disputed", "Disputed"),
    "CHARGEBACK_REVERSED": ("DisputeWon", "DisputeWon"),
}
"""What each event becomes in the automatic and in the manual variant; None if it moves no money of the ledger's.

Adyen does not sign the action of `CANCEL_OR_REFUND`, so it decides nothing, and a person has to look. If money is
captured at once, nothing is left to release or to adjust. `REFUND_WITH_DATA` need not name a payment: then it is
refused by its TransactionID. `NOTIFICATION_OF_CHARGEBACK` only announces the debit. Adyen documents no movement
of money for the events of pre-arbitration and arbitration; `SECOND_CHARGEBACK` follows a loss. A dispute that is lost
changes no total. Source: Adyen's pages "Dispute process and flow" and "Cancel an unreferenced refund".
"""

ENTRY_SUFFIXES = {"EXPIRE": "_expired", "SECOND_CHARGEBACK": "_second"}
"""What follows the reference in the EntryID of an event that has the payment's, or the first chargeback's."""


def start_input(message: Any, processor_id: str, *, live: bool, variant: str) -> dict[str, Any] | None:
    """Return the payment or the entry that a message reports, as the module describes it; None for any other message.

    A live endpoint may get tests of the endpoint, whose references begin with `test_`: they are ignored.
    Source: Adyen's Management API, "Test a webhook".

    Raises:
        InvalidInputError: the message is not one event, Adyen does not list its currency, or money that the ledger
            counts as taken was not taken.
    """
    items = member(message, "notificationItems")
    if isinstance(items, list) and len(items) > 1:
        raise InvalidPaymentError([Violation("Payment", "several_items")])
    item = adyen_item(message)
    event, reference = member(item, "eventCode"), member(item, "pspReference")
    not_an_event: InvalidInputError = InvalidPaymentError([Violation("Payment", "not_an_event")])
    if not isinstance(event, str):
        raise not_an_event
    if event in KINDS:
        not_an_event = InvalidEntryError([Violation("Entry", "not_an_event")])
    if message.get("live") not in ("true", "false"):
        raise not_an_event
    is_test = isinstance(reference, str) and reference.casefold().startswith("test_")
    if (message["live"] == "true") is not live or (live and is_test) or event not in ("AUTHORISATION", *KINDS):
        return None
    if item.get("success") not in ("true", "false") or not _is_unambiguous(item):
        raise not_an_event
    read = _payment if event == "AUTHORISATION" else _entry
    return read(item, processor_id, is_manual=variant == "manual")


def _is_unambiguous(item: dict[str, Any]) -> bool:
    """Return whether the signed values can be divided in one way only.

    Adyen joins them with colons and escapes none, so a value with a colon could be signed as two others. Only the
    merchant's reference may have one: no other value that the ledger takes does, so the borders of all are certain.
    """
    values = [item.get(name) for name in ("pspReference", "originalReference", "merchantAccountCode")]
    return not any(isinstance(value, str) and ":" in value for value in values)


def _payment(item: dict[str, Any], processor_id: str, *, is_manual: bool) -> dict[str, Any] | None:
    """Return the payment of an authorisation; None if it only checked a card, whose amount is 0.

    Under one reference, an authorisation may fail and then succeed, so a failure has a TransactionID of its own. In the
    manual variant, a payment is of 0, and its captures add to that.

    Source: Adyen/adyen-commercetools, issue 1324 (a failure, and six seconds later a success).
    """
    units, currency = _amount(item)
    if units == 0:
        return None
    is_success, reference = item["success"] == "true", item.get("pspReference")
    token, origin = _token(item)
    metadata = {
        "adyen.account": code(item.get("merchantAccountCode")),
        "adyen.merchant_reference": None if origin == MERCHANT_REFERENCE else item.get(MERCHANT_REFERENCE),
        "adyen.payment_method": code(item.get("paymentMethod")),
        "adyen.token": None if origin == TOKENS[0] else origin,
    }
    is_held = is_success and is_manual

    def amount() -> str | None:
        text = major_units(units, currency, DECIMALS.get)
        return canonical_amount(text, DECIMALS[currency]) if is_held and text is not None else text

    reported = payment(
        processor_id,
        transaction_id=reference if is_success else _suffixed(reference, "_failed"),
        token=token,
        status="Success" if is_success else "Failure",
        currency=currency,
        amount=amount,
        timestamp=lambda: microseconds(item.get("eventDate")),
        metadata={name: text for name, text in metadata.items() if _is_recordable(text, token)},
    )
    if is_held and reported["Amount"] is not None:
        reported["Metadata"]["adyen.authorised"] = f"{reported['Amount']} {currency}"
        reported["Amount"] = "0"
    return reported


def _token(item: dict[str, Any]) -> tuple[Any, str]:
    """Return the ID that stands for the payment method, and the name of the value that has it.

    A card that is not stored has no ID, and the merchant's reference stands in: every payment has one, and Adyen signs
    it. Adyen also writes empty text or `null` as text for a value that is absent.
    """
    for name in TOKENS:
        value = member(item, "additionalData", name)
        if isinstance(value, str) and value not in ("", "null"):
            return value, name
    return item.get(MERCHANT_REFERENCE), MERCHANT_REFERENCE


def _is_recordable(text: Any, token: Any) -> bool:
    """Return whether the contract takes a value as metadata beside the token. If not, the payment is recorded without.

    The merchant's reference may be any text, such as a name, and no payment is lost for it.
    """
    is_searched = isinstance(token, str) and len(token) >= MIN_SEARCHED_TOKEN_CHARACTERS
    return code(text) is not None and not holds_card_number(text) and not (is_searched and token in text)


def _entry(item: dict[str, Any], processor_id: str, *, is_manual: bool) -> dict[str, Any] | None:
    """Return the entry of an event; None if it moved no money.

    In the automatic variant, no capture is requested. If one was, the payment may have been captured later, in part or
    not at all, so a person has to look. The merchant's reference is no metadata of an entry, because it may be the
    payment's token.

    Source: Adyen's Checkout API, "Capture an authorised payment"; its page "Capture".
    """
    event, is_success = item["eventCode"], item["success"] == "true"
    reference, original = item.get("pspReference"), item.get("originalReference")
    kind = KINDS[event][is_manual]
    if not is_success:
        kind = NOT_CAPTURED if event == "CAPTURE" and not is_manual else None
    if kind is None:
        return None
    units, currency = _amount(item)
    reported = entry(
        processor_id,
        # Nobody requests that an authorisation expires, so that the event has the payment's own reference.
        transaction_id=original or reference if event == "EXPIRE" else original,
        entry_id=_suffixed(reference, ENTRY_SUFFIXES.get(event, "")),
        kind=kind,
        currency=currency,
        amount=lambda: major_units(units, currency, DECIMALS.get),
        timestamp=lambda: microseconds(item.get("eventDate")),
        metadata={
            "adyen.account": code(item.get("merchantAccountCode")),
            "adyen.event": event,
            "adyen.payment_method": code(item.get("paymentMethod")),
        },
    )
    if kind == NOT_CAPTURED:
        ids = {"transaction_id": valid_id(reported, "TransactionID"), "entry_id": valid_id(reported, "EntryID")}
        raise InvalidEntryError([Violation("Entry", NOT_CAPTURED)], **ids)
    return reported


def _amount(item: dict[str, Any]) -> tuple[int | None, Any]:
    """Return the amount in the smallest units, and its currency; None for what has another type."""
    currency = member(item, "amount", "currency")
    return integer(member(item, "amount", "value")), currency if isinstance(currency, str) else None


def _suffixed(reference: Any, suffix: str) -> Any:
    """Return the reference with a suffix; unchanged if it is empty or not text, which the contract rejects."""
    return f"{reference}{suffix}" if isinstance(reference, str) and reference else reference
