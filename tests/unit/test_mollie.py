"""Mollie's events: each becomes a payment or an entry, or is rejected by field and rule, or reports neither."""

import contextlib
import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.entry import Entry, parse_entry
from ledger.formats import FORMATS
from ledger.formats.mollie import EVENTS
from ledger.identifiers import mapped_identifier
from ledger.payment import Payment, parse_payment
from ledger.signature import MOLLIE, InvalidSignatureError, Received, plausible_schemes, verify
from ledger.totals import Totals
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation
from ledger_cli import ROOT
from ledger_cli.samples import PROCESSORS
from tests.support.mappings import totals_of

OF_MOLLIE = FORMATS["mollie-test"].start_input

PAID, FAILED = "payment.paid", "payment.failed"
PROCESSING, REFUNDED, REFUND_FAILED = "refund.processing", "refund.refunded", "refund.failed"
RECEIVED, REVERSED = "chargeback.received", "chargeback.reversed"


def sample(name: str) -> Any:
    """Return a sample event of Mollie's."""
    return json.loads((ROOT / f"events/webhooks/mollie-{name}.json").read_text())


PAYMENT, DECLINE, REFUND, CHARGEBACK = (
    sample(name)["_embedded"]["entity"] for name in (PAID, FAILED, REFUNDED, RECEIVED)
)
CREDIT = {**CHARGEBACK, "reversedAt": "2026-12-23T10:00:00+00:00"}
ENTITIES = {
    PAID: PAYMENT,
    FAILED: DECLINE,
    RECEIVED: CHARGEBACK,
    REVERSED: CREDIT,
    **dict.fromkeys((PROCESSING, REFUNDED, REFUND_FAILED), REFUND),
}
"""The entity of each event that is read."""


def reported(kind: str, entity: Any, **fields: Any) -> dict[str, Any]:
    """Return an event of the type *kind* about an entity, with *fields* of its own."""
    entity_id = entity.get("id") if isinstance(entity, dict) else None
    event = {"resource": "event", "id": "event_1Sample", "type": kind, "entityId": entity_id, "createdAt": "2026-12-01"}
    return {**event, "_embedded": {"entity": entity}, **fields}


def read(kind: str, entity: Any, **fields: Any) -> Payment | Entry | None:
    """Return the canonical payment or entry that an event reports; None if it reports neither."""
    start_input = OF_MOLLIE(reported(kind, entity, **fields), "mollie")
    if start_input is None:
        return None
    return parse_entry(start_input) if "Kind" in start_input else parse_payment(start_input, default_currency="USD")[0]


def broken_by(kind: str, entity: Any) -> set[tuple[str, str]]:
    """Return the fields and rules by which an event is rejected, by the format or by the contract."""
    with pytest.raises(InvalidInputError) as caught:
        read(kind, entity)
    return {*caught.value.violations}


def money(value: Any, currency: Any = "EUR") -> dict[str, Any]:
    """Return an amount as Mollie writes it."""
    return {"value": value, "currency": currency}


# ── Payments ────────────────────────────────────────────────────────────────────────────────────────


def test_the_samples_are_a_payment_its_refund_its_chargeback_and_a_failed_payment() -> None:
    """The start input is correct, field by field, and has nothing of the customer or the card."""
    assert OF_MOLLIE(sample(PAID), "mollie") == {
        "TransactionID": "tr_SampleLedger0001",
        "SecureToken": "mdt_SampleLedg",
        "Amount": "100.00",
        "Currency": "EUR",
        "ProcessorID": "mollie",
        "Status": "Success",
        "Timestamp": "2026-11-21T10:02:01+00:00",
        "Metadata": {"mollie.event": "event_SampleLedger0000000001", "mollie.method": "creditcard"},
    }
    assert OF_MOLLIE(sample(FAILED), "mollie") == {
        "TransactionID": "tr_SampleLedger0002",
        "SecureToken": "pfl_SampleLedg",
        "Amount": "40.00",
        "Currency": "EUR",
        "ProcessorID": "mollie",
        "Status": "Failure",
        "Timestamp": "2026-11-21T11:31:17+00:00",
        "Metadata": {
            "mollie.event": "event_SampleLedger0000000002",
            "mollie.method": "creditcard",
            "mollie.reason": "insufficient_funds",
            "mollie.token": "profileId",
        },
    }
    assert OF_MOLLIE(sample(REFUNDED), "mollie") == {
        "TransactionID": "tr_SampleLedger0001",
        "EntryID": "re_SampleLedger01",
        "Kind": "Refunded",
        "Amount": "40.00",
        "Currency": "EUR",
        "ProcessorID": "mollie",
        "Timestamp": "2026-11-22T10:02:01+00:00",
        "Metadata": {"mollie.event": "event_SampleLedger0000000003"},
    }
    assert OF_MOLLIE(sample(RECEIVED), "mollie") == {
        "TransactionID": "tr_SampleLedger0001",
        "EntryID": "chb_SampleLedger000000001",
        "Kind": "Disputed",
        "Amount": "60.00",
        "Currency": "EUR",
        "ProcessorID": "mollie",
        "Timestamp": "2026-11-23T10:02:01+00:00",
        "Metadata": {"mollie.event": "event_SampleLedger0000000004", "mollie.reason": "AC01"},
    }
    for kind, entity in ENTITIES.items():
        assert read(kind, entity) is not None


@pytest.mark.parametrize(
    ("captured", "expected"),
    [
        (money("8.00"), "8.00"),
        (money("120.00"), "120.00"),
        (money("0.01"), "0.01"),
        (None, "120.00"),
    ],
)
def test_a_payment_is_of_what_was_captured(captured: Any, expected: str) -> None:
    """`amount` stays what was authorised, even if only a part was captured. Most methods capture nothing apart."""
    assert read(PAID, {**PAYMENT, "amountCaptured": captured}).amount == expected


def test_a_payment_whose_method_has_no_captures_is_of_its_amount() -> None:
    """Then the field is absent."""
    entity = {name: value for name, value in PAYMENT.items() if name != "amountCaptured"}
    assert read(PAID, entity).amount == "120.00"


@pytest.mark.parametrize("value", ["0.00", "0", "0.0", "000"])
def test_a_paid_payment_of_which_nothing_was_captured_is_rejected(value: str) -> None:
    """The total contradicts the status. A record of zero would stay wrong, and ignoring it would lose a payment."""
    assert broken_by(PAID, {**PAYMENT, "amountCaptured": money(value)}) == {("Amount", "cumulative_amount")}


def test_a_payment_of_nothing_is_a_payment() -> None:
    """Mollie takes payments of zero, which only make a mandate. They have no captures."""
    assert read(PAID, {**PAYMENT, "amount": money("0.00"), "amountCaptured": None}).amount == "0.00"


def test_a_failed_payment_is_of_its_amount() -> None:
    """Nothing was captured of it."""
    failed = read(FAILED, {**DECLINE, "amountCaptured": money("0.00")})
    assert isinstance(failed, Payment)
    assert (failed.amount, failed.status, failed.transaction_id) == ("40.00", "Failure", DECLINE["id"])


@pytest.mark.parametrize("kind", [PAID, FAILED])
@pytest.mark.parametrize(
    ("carried", "token", "named"),
    [
        ({}, "mdt_1Sample", None),
        ({"mandateId": None}, "FingerprintOfACard", "details.cardFingerprint"),
        ({"mandateId": None, "details": {"cardNumber": "4242"}}, "cst_1Sample", "customerId"),
        ({"mandateId": None, "details": None}, "cst_1Sample", "customerId"),
        ({"mandateId": None, "details": "x", "customerId": None}, "pfl_1Sample", "profileId"),
    ],
)
def test_the_token_is_what_comes_nearest_to_the_method(
    kind: str, carried: dict[str, Any], token: str, named: str | None
) -> None:
    """Metadata says what it is. It stands in no other field, or the contract rejects it."""
    every = {
        "mandateId": "mdt_1Sample",
        "details": {"cardFingerprint": "FingerprintOfACard"},
        "customerId": "cst_1Sample",
        "profileId": "pfl_1Sample",
    }
    entity = {**ENTITIES[kind], **every, **carried}
    for one in (entity, {name: value for name, value in entity.items() if value is not None}):
        start_input = OF_MOLLIE(reported(kind, one), "mollie")
        assert start_input is not None
        assert start_input["SecureToken"] == token
        assert start_input["Metadata"].get("mollie.token") == named
        parse_payment(start_input, default_currency="USD")


@pytest.mark.parametrize("kind", [PAID, FAILED])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "type"), (7, "type"), ({}, "type"), ("", "token_length"), ("4242424242424242", "card_number")],
)
def test_no_token_is_invented(kind: str, value: Any, expected: str) -> None:
    """It would permanently look like Mollie's."""
    nothing = {"mandateId": None, "details": None, "customerId": None}
    assert broken_by(kind, {**ENTITIES[kind], **nothing, "profileId": value}) == {("SecureToken", expected)}


# ── Entries ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PROCESSING, ("Refunded", REFUND["id"], "40.00", "2026-11-22T10:02:01", None)),
        (REFUNDED, ("Refunded", REFUND["id"], "40.00", "2026-11-22T10:02:01", None)),
        (REFUND_FAILED, ("RefundFailed", f"{REFUND['id']}_failed", "40.00", "2026-11-22T10:02:01", REFUND["id"])),
        (RECEIVED, ("Disputed", CHARGEBACK["id"], "60.00", "2026-11-23T10:02:01", None)),
        (REVERSED, ("DisputeWon", f"{CHARGEBACK['id']}_won", "60.00", "2026-12-23T10:00:00", CHARGEBACK["id"])),
    ],
)
@pytest.mark.parametrize("status", ["processing", "refunded", "failed", None, 7])
def test_an_event_is_an_entry_of_the_payment(kind: str, expected: tuple[Any, ...], status: Any) -> None:
    """The type decides. All events about a refund become the same entry, until one says that it failed."""
    entry = read(kind, {**ENTITIES[kind], "status": status})
    assert isinstance(entry, Entry)
    assert (entry.kind, entry.entry_id, entry.amount, entry.timestamp[:19], entry.reverses) == expected
    assert entry.transaction_id == PAYMENT["id"]


IGNORED = (
    *("payment.authorized", "payment.pending", "payment.canceled", "payment.expired"),
    *("capture.succeeded", "capture.failed", "refund.queued", "refund.pending", "refund.canceled"),
    *("payment-link.paid", "balance-transaction.created", "payout.completed", "sales-invoice.paid", "dispute.created"),
    *("business-account-transfer.processed", "PAYMENT.PAID", "ping", "", "payment", "payment.refunded"),
)


@pytest.mark.parametrize("kind", IGNORED)
def test_an_event_that_moves_nothing_of_a_payment_is_ignored(kind: str) -> None:
    """A subscription may have all events. The total of all captures is in the payment that is paid."""
    for entity in (PAYMENT, REFUND, CHARGEBACK):
        assert OF_MOLLIE(reported(kind, entity), "mollie") is None


@pytest.mark.parametrize(
    ("mode", "formats"),
    [
        ("live", {"mollie"}),
        ("test", {"mollie-test"}),
    ],
)
@pytest.mark.parametrize("kind", EVENTS)
def test_the_mode_decides_which_ledger_takes_an_event(kind: str, mode: str, formats: set[str]) -> None:
    """A test must not be recorded as money."""
    message = reported(kind, {**ENTITIES[kind], "mode": mode})
    assert {name for name in ("mollie", "mollie-test") if FORMATS[name].start_input(message, "mollie")} == formats


@pytest.mark.parametrize("mode", [None, ..., "TEST", "", True, ["test"]])
@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_without_a_mode_is_rejected(kind: str, mode: Any) -> None:
    """A chargeback shows none: then only the secret tells the two subscriptions apart."""
    message = reported(kind, {**ENTITIES[kind], "mode": mode})
    if mode is ...:
        del message["_embedded"]["entity"]["mode"]
    if kind.startswith("chargeback.") and mode in (None, ...):
        assert OF_MOLLIE(message, "mollie") is not None
        return
    with pytest.raises(InvalidInputError) as caught:
        OF_MOLLIE(message, "mollie")
    assert [violation.rule for violation in caught.value.violations] == ["not_an_event"]


@pytest.mark.parametrize(
    "message",
    [None, 1, "text", [], {}, {"type": 1}, {"type": None}, {"type": [PAID]}, PAYMENT, REFUND, CHARGEBACK],
    ids=[*map(str, range(8)), "payment", "refund", "chargeback"],
)
def test_what_is_not_an_event_is_rejected(message: Any) -> None:
    """An entity alone does not say what happened to it."""
    with pytest.raises(InvalidPaymentError) as caught:
        OF_MOLLIE(message, "mollie")
    assert caught.value.violations == [Violation("Payment", "not_an_event")]


WITHOUT_ENTITY: list[dict[str, Any]] = [
    {},
    *(
        {"_embedded": embedded}
        for embedded in (None, [], "x", {}, {"entity": None}, {"entity": []}, {"entity": "tr_1"})
    ),
]


@pytest.mark.parametrize("embedded", WITHOUT_ENTITY)
@pytest.mark.parametrize(
    ("kind", "entity_id", "field"),
    [
        *((kind, None, "Payment") for kind in (PAID, FAILED, "payment.authorized", "payment.created")),
        *(
            (kind, None, "Entry")
            for kind in (*(PROCESSING, REFUNDED, REFUND_FAILED, RECEIVED, REVERSED), "refund.queued")
        ),
        *((kind, None, "Entry") for kind in ("capture.succeeded", "chargeback.updated")),
        *((kind, "tr_d0b0E3EA3v", "Payment") for kind in (PAID, "another.type")),
        *(("another.type", entity_id, "Entry") for entity_id in ("re_4qqhO89gsT", "chb_xFzwUN4", "cpt_vytxeTZ")),
    ],
)
def test_an_event_without_its_entity_is_rejected(
    kind: str, entity_id: str | None, field: str, embedded: dict[str, Any]
) -> None:
    """A subscription with simple payloads sends only IDs, and nothing leaves the stack to ask for the rest."""
    with pytest.raises(InvalidPaymentError if field == "Payment" else InvalidEntryError) as caught:
        OF_MOLLIE({"resource": "event", "type": kind, "entityId": entity_id, **embedded}, "mollie")
    assert caught.value.violations == [Violation(field, "not_an_event")]


@pytest.mark.parametrize("embedded", WITHOUT_ENTITY)
@pytest.mark.parametrize(
    ("kind", "entity_id"),
    [
        *((kind, None) for kind in ("ping", "hook.ping", "", "payment-link.paid", "payout.completed", "payments.paid")),
        *(("ping", entity_id) for entity_id in ("hook_B2EyhTH5N4KWUnoYPcgiH", "pl_qng5gbb", 7, ["tr_1"], "", "Tr_1")),
    ],
)
def test_a_test_of_the_webhook_is_ignored(kind: str, entity_id: Any, embedded: dict[str, Any]) -> None:
    """It is about no object that moves money."""
    assert OF_MOLLIE({"resource": "event", "type": kind, "entityId": entity_id, **embedded}, "mollie") is None


@pytest.mark.parametrize("kind", EVENTS)
def test_another_event_about_the_same_fact_is_the_same(kind: str) -> None:
    """An event that is sent again may have another ID and time, and fields that change later."""
    later = {
        "amountRefunded": money("40.00"),
        "amountRemaining": money("60.00"),
        "amountChargedBack": money("60.00"),
        "settlementAmount": money("-100.00"),
        "settlementId": "stl_BkEjN2eBb",
        "description": "other",
        "metadata": {"order": "7"},
        "status": "other",
        "reason": None,
        "statusReason": None,
        "method": "other",
    }
    first = read(kind, ENTITIES[kind])
    again = read(kind, {**ENTITIES[kind], **later}, id="event_other", createdAt="2027-01-01T00:00:00.0Z")
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint
    assert again.metadata["mollie.event"] == "event_other"


# ── Amounts, times and codes ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        *(("10.00", "EUR", "10.00"), ("1000", "JPY", "1000"), ("5", "ISK", "5"), ("1234567.89", "HUF", "1234567.89")),
        *((value, "EUR", {("Amount", "type")}) for value in (None, 10, 10.0, True, ["10.00"])),
        *((value, "EUR", {("Amount", "decimal")}) for value in ("", "X", "1,00", "1e2", "+1", "\ud800")),
        *(("-10.00", "EUR", {("Amount", "negative")}), ("10.001", "EUR", {("Amount", "decimals")})),
        *(("1000.00", "JPY", {("Amount", "decimals")}), ("9" * 40, "EUR", {("Amount", "digits")})),
        *(("10.00", currency, {("Currency", "type")}) for currency in (None, 7, ["EUR"])),
        *(("10.00", currency, {("Currency", "currency")}) for currency in ("eur", "XYZ", "")),
    ],
)
def test_an_amount_is_decimal_text_in_major_units(kind: str, value: Any, currency: Any, expected: Any) -> None:
    """It is taken as it stands. A missing currency must not become the stack's default."""
    entity = {**ENTITIES[kind], "amount": money(value, currency)}
    if kind == PAID:
        entity["amountCaptured"] = entity["amount"]
    if isinstance(expected, str):
        one = read(kind, entity)
        assert one is not None
        assert (one.amount, one.currency) == (expected, currency)
    elif kind == PAID and value == "":
        assert broken_by(kind, entity) == {("Amount", "cumulative_amount")}
    else:
        assert broken_by(kind, entity) == expected


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("value", [None, [], "10.00", 10, {}])
def test_a_missing_amount_is_named(kind: str, value: Any) -> None:
    """Neither its value nor its currency is guessed."""
    entity = {**ENTITIES[kind], "amount": value, "amountCaptured": value}
    assert broken_by(kind, entity) == {("Amount", "type"), ("Currency", "type")}


@pytest.mark.parametrize("kind", [PROCESSING, REFUND_FAILED, RECEIVED, REVERSED])
def test_an_entry_of_nothing_is_rejected(kind: str) -> None:
    """It says nothing."""
    assert broken_by(kind, {**ENTITIES[kind], "amount": money("0.00")}) == {("Amount", "zero")}


TIMES = {PAID: "paidAt", FAILED: "failedAt", REVERSED: "reversedAt"}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-12-16T15:59:04.0Z", "2024-12-16T15:59:04.000000Z"),
        ("2024-03-20T10:13:37+01:00", "2024-03-20T09:13:37.000000Z"),
        (None, {("Timestamp", "type")}),
        (1795341721, {("Timestamp", "type")}),
        ("2024-03-20", {("Timestamp", "timestamp")}),
        ("\ud800", {("Timestamp", "timestamp")}),
    ],
)
def test_the_time_is_that_of_the_fact(kind: str, time: Any, expected: Any) -> None:
    """A refund has no time of its end, so it has the time of its beginning."""
    entity = {**ENTITIES[kind], TIMES.get(kind, "createdAt"): time}
    if isinstance(expected, str):
        one = read(kind, entity)
        assert one is not None
        assert one.timestamp == expected
    else:
        assert broken_by(kind, entity) == expected


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, "type"),
        (7, "type"),
        ({}, "type"),
        ("", "identifier"),
        ("\ud800", "identifier"),
        ("4242424242424242", "card_number"),
    ],
)
def test_an_invalid_id_is_named(value: Any, rule: str) -> None:
    """A payment is named by its ID, and an entry by both."""
    for kind in (PAID, FAILED):
        assert broken_by(kind, {**ENTITIES[kind], "id": value}) == {("TransactionID", rule)}
    for kind in (PROCESSING, RECEIVED):
        assert broken_by(kind, {**ENTITIES[kind], "paymentId": value}) == {("TransactionID", rule)}
        assert broken_by(kind, {**ENTITIES[kind], "id": value}) == {("EntryID", rule)}


def test_long_ids_are_mapped_alike() -> None:
    """Mollie documents no length. An entry must find its payment, and a reversal its chargeback."""
    payment_id, chargeback_id = "tr_" + "x" * 100, "chb_" + "x" * 100
    payment = read(PAID, {**PAYMENT, "id": payment_id})
    taken = read(RECEIVED, {**CHARGEBACK, "id": chargeback_id, "paymentId": payment_id})
    won = read(REVERSED, {**CREDIT, "id": chargeback_id, "paymentId": payment_id})
    assert isinstance(payment, Payment)
    assert isinstance(taken, Entry)
    assert isinstance(won, Entry)
    assert payment.transaction_id == taken.transaction_id == won.transaction_id == mapped_identifier(payment_id)
    assert won.reverses == taken.entry_id == mapped_identifier(chargeback_id)
    assert won.metadata["original.EntryID"] == chargeback_id


@pytest.mark.parametrize("text", [None, 7, ["x"], "", "Mr. Smith's card", "4242 4242 4242 4242", "a" * 65, "AC01\n"])
@pytest.mark.parametrize("kind", EVENTS)
def test_free_text_is_not_kept(kind: str, text: Any) -> None:
    """A code of Mollie's is short. Anything else may hold what nobody should keep."""
    coded = {"method": text, "statusReason": {"code": text, "message": "x"}, "reason": {"code": text}}
    one = read(kind, {**ENTITIES[kind], **coded}, id=text)
    assert one is not None
    assert one.metadata == ({"mollie.token": "profileId"} if kind == FAILED else {})
    assert read(kind, {**ENTITIES[kind], "reason": text, "statusReason": text}) is not None


# ── What the entries add up to ──────────────────────────────────────────────────────────────────────


def totals_after(events: list[str]) -> Totals:
    """Return the totals after the events as the ledger keeps them: each once, and one that is too early waits."""
    payment = read(PAID, PAYMENT)
    assert isinstance(payment, Payment)
    reported = (read(kind, ENTITIES.get(kind, PAYMENT)) for kind in events)
    return totals_of(payment, [one for one in reported if isinstance(one, Entry)])


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["payment.authorized", "capture.succeeded", PAID], ("100.00", "0.00", "0.00")),
        (["refund.pending", PROCESSING, REFUNDED], ("100.00", "40.00", "0.00")),
        ([PROCESSING, REFUND_FAILED], ("100.00", "0.00", "0.00")),
        ([PROCESSING, REFUNDED, REFUND_FAILED], ("100.00", "0.00", "0.00")),
        (["refund.queued", "refund.canceled"], ("100.00", "0.00", "0.00")),
        ([REFUNDED, RECEIVED], ("100.00", "40.00", "60.00")),
        ([REFUNDED, RECEIVED, REVERSED], ("100.00", "40.00", "0.00")),
    ],
)
def test_a_history_adds_up(events: list[str], expected: tuple[str, ...]) -> None:
    """Whatever the order of the events, and however often each comes. A chargeback is lost unless it is reversed."""
    for order in permutations(events):
        totals = totals_after([*order, *order])
        assert (totals.captured, totals.refunded, totals.disputed) == expected


# ── Signatures ──────────────────────────────────────────────────────────────────────────────────────

BODY = b'{"id":"tr_12345","event_type":"payment-link.paid"}'
# The secrets and the body are those of the tests of Mollie's SDKs, and `create_signature` of mollie-api-py 1.10.20 made
# the digests.
SECRETS = {
    "test_webhook_secret": "e479a5e4aaa17db94cfc546071e10e91c0b37f21e464e751ebdd7d7ad2ffd146",
    "alternate_webhook_secret": "d9a3b662172fdc140ac73ce937f49edcb72552dfbb8dfeb1696118a2c18386ef",
}
NEW, OLD = (f"sha256={digest}" for digest in SECRETS.values())
WRONG = f"sha256={'0' * 64}"


def reason(header: str, *secrets: str, body: bytes = BODY) -> str | None:
    """Return why a request is not signed with one of the secrets; None if it is."""
    received = Received.of({"X-Mollie-Signature": header}, "https://api.example/processors/mollie/payments", body)
    try:
        assert plausible_schemes(received, 0) == [MOLLIE]
        verify(MOLLIE, secrets, received, 0)
    except InvalidSignatureError as invalid:
        return str(invalid)
    return None


@pytest.mark.parametrize(("secret", "digest"), SECRETS.items())
def test_a_known_vector_is_mollies(secret: str, digest: str) -> None:
    """The SDK checks the same, but for a digest without the prefix, which it takes and Mollie does not send."""
    assert reason(f"sha256={digest}", secret) is None
    assert reason(f"sha256={digest}", secret, body=BODY + b"\n") == "wrong_signature"
    wrong = (
        digest,
        f"SHA256={digest}",
        f"sha256={digest.upper()}",
        f"sha256={digest[:-1]}",
        f"sha1={digest}",
        f"sha256 {digest}",
    )
    for header in (*wrong, WRONG, "sha256=", "", "sha256=é", "sha256=\udcff"):
        assert reason(header, secret) == "wrong_signature"


@pytest.mark.parametrize("separator", [",", ", ", " ,\t"])
def test_two_signatures_come_in_one_header_for_a_day(separator: str) -> None:
    """Mollie sends the header twice while a secret is rolled, and API Gateway joins the two with a comma."""
    new, old = SECRETS
    for header in (f"{NEW}{separator}{OLD}", f"{OLD}{separator}{NEW}"):
        assert reason(header, new) is None
        assert reason(header, old) is None
        assert reason(header, new, old) is None
        assert reason(header, "another_webhook_secret") == "wrong_signature"
        assert reason(header, new, old, body=b"{}") == "wrong_signature"
    assert reason(f"{WRONG}{separator}{NEW}", new) is None
    assert reason(f"{WRONG}{separator}{NEW}", old) == "wrong_signature"
    assert reason(f"{WRONG}{separator}{WRONG}", new, old) == "wrong_signature"
    assert reason(f"{WRONG}{separator}{NEW.removeprefix('sha256=')}", new) == "wrong_signature"


def test_a_classic_call_is_not_signed() -> None:
    """Mollie's older webhooks have a form with an ID. Anybody could send it."""
    received = Received.of({}, "https://api.example/processors/mollie/payments", b"id=tr_d0b0E3EA3v")
    with pytest.raises(InvalidSignatureError, match="no_signature"):
        plausible_schemes(received, 0)


def test_the_sample_processor_may_have_its_secret() -> None:
    """Mollie's own example has 32 letters and digits."""
    for secret in ("VpQ3WukU6uSCGQ8TPTD3WPDpac3GyNEj", *SECRETS, *PROCESSORS["mollie"]["Secrets"]):
        assert MOLLIE.secret.is_valid(secret)


# ── Hostile messages ────────────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**64), 10**64) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ALL_FIELDS = {**CREDIT, **REFUND, **DECLINE, **PAYMENT, "reason": {"code": "AC01"}, "statusReason": {"code": "x"}}


def read_whatever(message: Any) -> None:
    """Read a message to its end; only the errors of an invalid input may leave."""
    with contextlib.suppress(InvalidInputError):
        start_input = OF_MOLLIE(message, "mollie")
        if start_input is not None and "Kind" in start_input:
            assert parse_entry(start_input).fingerprint
        elif start_input is not None:
            parse_payment(start_input, default_currency="USD")


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from([*EVENTS]), value=JSON)
def test_any_value_at_any_place_is_read_or_breaks_a_rule(data: st.DataObject, kind: str, value: Any) -> None:
    """No message is a technical failure: after a day of them, Mollie would block the webhook."""
    message = json.loads(json.dumps(reported(kind, ALL_FIELDS)))
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
    "value", [None, "\ud800", 10**4299, "9" * 100_000, "0" * 100_000, [[]], {"id": {}}, float("inf")]
)
def test_huge_and_broken_values_break_a_rule(kind: str, value: Any) -> None:
    """Each field that is read, and all at once."""
    for name in ALL_FIELDS:
        read_whatever(reported(kind, {**ALL_FIELDS, name: value}))
        read_whatever(reported(kind, {**ALL_FIELDS, name: dict.fromkeys(("value", "currency", "code"), value)}))
    read_whatever(reported(kind, {**dict.fromkeys(ALL_FIELDS, value), "mode": "test"}, id=value))


@given(message=JSON | st.fixed_dictionaries({"type": st.sampled_from([*EVENTS, "ping"]), "_embedded": JSON}))
def test_any_message_is_read_or_breaks_a_rule(message: Any) -> None:
    """The signature was valid, so the processor sends the wrong messages."""
    read_whatever(message)
