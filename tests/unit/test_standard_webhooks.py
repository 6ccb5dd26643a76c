"""Formats of webhooks: each message becomes a start input, or is rejected by field and rule."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import ENTRY_FIELDS, is_entry, parse_entry
from ledger.formats import FORMATS, standard_webhooks
from ledger.formats.standard_webhooks import FIELDS
from ledger.payment import CONTRACT_FIELDS, parse_payment
from ledger.violations import InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation
from ledger_cli import ROOT

OF_THE_CONTRACT = FORMATS["standard-webhooks"].start_input


@pytest.fixture
def entry() -> dict[str, Any]:
    """Return a valid entry of acme-pay's, a refund."""
    event: dict[str, Any] = json.loads((ROOT / "events/webhooks/acme-pay-refund.json").read_text())
    refund: dict[str, Any] = event["data"]
    return refund


def refused_as_entry(message: Any) -> set[tuple[str, str]]:
    """Return the fields and rules by which a message is rejected as an entry, by its format or by the contract."""
    try:
        start_input = OF_THE_CONTRACT(message, "acme-pay")
        assert start_input is not None
        assert is_entry(start_input)  # otherwise it would be judged as a payment
        parse_entry(start_input)
    except InvalidEntryError as refusal:
        return {*refusal.violations}
    return set()


@pytest.mark.parametrize(
    ("token", "named"),
    [("pm_1", "ch_1"), ("pm_of_ch_1", "ch_1"), ("tok_in_the_id", None)],
    ids=["other", "in it", "same"],
)
def test_what_a_format_rejects_is_named_by_its_id(token: str, named: str | None) -> None:
    """Support searches for the ID, although the contract did not check it.

    No log names a token in the place of an ID.
    """
    message = {"TransactionID": named or token, "SecureToken": token, "ProcessorID": "other"}
    with pytest.raises(InvalidPaymentError) as payment:
        OF_THE_CONTRACT(message, "acme-pay")
    assert payment.value.violations == [Violation("ProcessorID", "another_processor")]
    assert payment.value.transaction_id == named


@pytest.mark.parametrize("live", [True, False])
def test_a_format_of_stripe_reads_one_mode(*, live: bool) -> None:
    """Stripe sends test events to live endpoints too, under the same secret."""
    message = {"type": "refund.created", "livemode": live}
    read, other = ("stripe", "stripe-test") if live else ("stripe-test", "stripe")
    with pytest.raises(InvalidEntryError):  # it has no refund
        FORMATS[read].start_input(message, "stripe")
    assert FORMATS[other].start_input(message, "stripe") is None


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
        {"event": "ping", "kind": "test", "entity_id": "1f81eb52"},
        {"type": "customer.created", "data": {"kind": "person", "entry_id": "1f81eb52"}},
        {"type": "order.refunded", "data": {"id": "1f81eb52", "amount": 100}},
        {"type": "refund.created", "data": {"id": "1f81eb52", "important": True, "imported": False}},
        {"event": "ping", "import": "x", "important": True},
        {"type": "customer.created", "data": {"Import": "quiet"}},
        {"type": "voidance.created", "data": {"id": "1f81eb52", "amount": 100}},
        *(
            {"type": name, "timestamp": "2026-11-24T10:15:01Z", "data": {"id": "1f81eb52", "kind": "test"}}
            for name in (
                "refund.created",
                "refunds",
                "Refunded",
                "dispute_opened",
                "chargeback.created",
                "capture.done",
                "voided",
                "void",
            )
        ),
    ],
)
def test_a_test_of_the_endpoint_is_not_a_payment(message: dict[str, Any]) -> None:
    """If the message were rejected, the processor would send it for days, and finally disable the endpoint."""
    assert OF_THE_CONTRACT(message, "acme-pay") is None


def test_few_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison takes long, and a message may have thousands of names that resemble each other and no field."""
    compared: list[str] = []
    monkeypatch.setattr(standard_webhooks, "intended_field", lambda name, _: compared.append(name) and None)
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(17)}, "acme-pay") is not None
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(10_000)}, "acme-pay") is not None
    assert compared == []
    assert OF_THE_CONTRACT({f"name{number}": 1 for number in range(16)}, "acme-pay") is None
    assert len(compared) == 16
    compared.clear()
    assert OF_THE_CONTRACT({"EntryID": "e_1", **{f"name{number}": 1 for number in range(10_000)}}, "acme-pay")
    assert OF_THE_CONTRACT({"type": "refunded", **{f"name{number}": 1 for number in range(10)}}, "acme-pay") is None
    assert len(compared) == 11
    compared.clear()
    with pytest.raises(InvalidEntryError):
        OF_THE_CONTRACT({"type": "refunded", **{f"name{number}": 1 for number in range(10_000)}}, "acme-pay")
    assert compared == []


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
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(OF_THE_CONTRACT(message, "acme-pay"), default_currency="EUR")
    assert Violation("Payment", "not_an_object") not in caught.value.violations  # as None would be


def test_an_entry_is_the_start_input_in_each_form(entry: dict[str, Any]) -> None:
    """A processor sends an entry as it sends a payment: bare, or in an event of any type."""
    envelope = {"type": "refund.succeeded", "timestamp": "2026-11-25T08:30:01Z"}
    for message in (
        entry,
        {**envelope, "data": entry},
        {**envelope, "id": "evt_1", "data": entry},
        {"type": "payment.refunded", "data": entry},
        {"type": "anything", "data": entry},
        {"data": entry},
        {**envelope, **{name: value for name, value in entry.items() if name != "Timestamp"}, "Timestamp": "x"},
    ):
        start_input = OF_THE_CONTRACT(message, "acme-pay")
        assert start_input is not None
        assert start_input | {"Timestamp": entry["Timestamp"]} == entry
    assert parse_entry(entry).amount == "18.00"


@pytest.mark.parametrize("name", ["EntryID", "Kind"])
@pytest.mark.parametrize("kind", ["refund.created", "payment.succeeded", "order.paid", None])
def test_a_field_that_only_an_entry_has_makes_an_entry(name: str, kind: str | None) -> None:
    """A refund that counted as a payment would be rejected for fields that a refund does not have."""
    message = {name: None} if kind is None else {"type": kind, "data": {name: None}}
    start_input = OF_THE_CONTRACT(message, "acme-pay")
    assert start_input == {name: None}
    assert (name, "type") in refused_as_entry(message)


def test_an_entry_of_another_processor_is_rejected_by_its_ids(entry: dict[str, Any]) -> None:
    """The processor's secret must not be valid for another processor's refunds. An operator finds it by either ID."""
    for message in (entry, {"type": "refund.created", "data": entry}):
        with pytest.raises(InvalidEntryError) as caught:
            OF_THE_CONTRACT(message, "other-pay")
        assert caught.value.violations == [Violation("ProcessorID", "another_processor")]
        assert (caught.value.transaction_id, caught.value.entry_id) == (entry["TransactionID"], entry["EntryID"])
    with pytest.raises(InvalidEntryError) as caught:
        OF_THE_CONTRACT({**entry, "EntryID": "a b", "TransactionID": "4111111111111111"}, "other-pay")
    assert (caught.value.transaction_id, caught.value.entry_id) == (None, None)
    for name in ("EntryID", "Kind", "entry_id"):
        with pytest.raises(InvalidEntryError):
            OF_THE_CONTRACT({name: "x", "TransactionID": "t_1", "ProcessorID": "other-pay"}, "acme-pay")
    for kind in ("refund.created", "chargeback.created"):
        with pytest.raises(InvalidEntryError):
            OF_THE_CONTRACT({"type": kind, "data": {"TransactionID": "t_1", "ProcessorID": "x"}}, "acme-pay")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"transaction_id": "t_1", "entry_id": "e_1", "kind": "Refunded"}, {("EntryID", "misspelled_field")}),
        ({"entryID": "e_1", "Amount": "1.00"}, {("EntryID", "misspelled_field"), ("EntryID", "required")}),
        ({"type": "payment.refunded", "data": {"entry_id": "e_1"}}, {("EntryID", "misspelled_field")}),
        ({"entry_id": "e_1", "Amount": "1", **dict.fromkeys("abcdefghijklmn")}, {("EntryID", "misspelled_field")}),
        (
            {"type": "refund.created", "data": {"amount": "1.00"}},
            {("Amount", "misspelled_field"), ("Kind", "required")},
        ),
        ({"type": "refund.created", "data": {"entry_id": "e_1"}}, {("EntryID", "misspelled_field")}),
        ({"type": "refund.created", "data": {"reverse": "e_1"}}, {("Reverses", "misspelled_field")}),
        ({"type": "refunds.created", "TransactionID": "t_1"}, {("EntryID", "required"), ("Kind", "required")}),
        ({"type": "Dispute_Lost", "data": {"Currency": "EUR"}}, {("EntryID", "required")}),
        ({"type": "voided", "data": {"transactionId": "t_1"}}, {("TransactionID", "misspelled_field")}),
        ({"type": "capture.done", "data": {"Amount": "1.00", "Kinds": "Captured"}}, {("Kind", "misspelled_field")}),
        ({"EntryID": "e_1", "kind": "Refunded"}, {("Kind", "misspelled_field"), ("Kind", "required")}),
        ({"Kind": "Refunded", "entryid": "e_1"}, {("EntryID", "misspelled_field"), ("EntryID", "required")}),
        ({"Kind": "RefundFailed", "reverses": "e_1"}, {("Reverses", "misspelled_field"), ("Reverses", "required")}),
        ({"Kind": "Refunded", "Status": "Success"}, {("Entry", "unknown_field")}),
        ({"type": "refund.created", **{f"field{number}": 1 for number in range(17)}}, {("Entry", "unknown_field")}),
    ],
)
def test_an_entry_that_went_wrong_is_rejected_as_an_entry(
    message: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """If it were ignored, the ledger would lose money that went back; and an entry's fields are not a payment's."""
    assert expected <= refused_as_entry(message)


@pytest.mark.parametrize("group", ["refund", "dispute", "capture", "void"])
@pytest.mark.parametrize("fields", [{"amount": "1.00"}, {"Amount": "1.00"}, {"reverses": "e_1"}])
def test_no_event_about_entries_is_ignored_with_the_contracts_fields(group: str, fields: dict[str, Any]) -> None:
    """Senders write the groups in many ways. An entry that is ignored gets 200, and is lost."""
    past = f"{group}d" if group.endswith("e") else f"{group}ed"
    for kind in (group, group.upper(), f"{group}s", past, f"{group}.created", f"{group}s_created", f"{past}-1"):
        assert {("EntryID", "required"), ("Kind", "required")} <= refused_as_entry({"type": kind, "data": fields})


@pytest.mark.parametrize("kind", ["capture.completed", "order.paid", "captured", "refund.created"])
def test_a_payment_stays_one_whatever_its_event_is_called(kind: str, payment: dict[str, Any]) -> None:
    """Senders name their types as they like: the fields that only a payment has decide."""
    assert OF_THE_CONTRACT({"type": kind, "data": payment}, payment["ProcessorID"]) == payment
    misspelled = {**payment, "entry_id": "e_1"}
    assert OF_THE_CONTRACT({"type": kind, "data": misspelled}, payment["ProcessorID"]) == misspelled


@pytest.mark.parametrize("name", ["Status", "SecureToken", "SealedToken"])
def test_a_field_that_only_a_payment_has_makes_a_payment(name: str) -> None:
    """The sender learns what its payment lacks, and not what an entry would need."""
    for message in ({"type": "refund.created", "data": {name: "x"}}, {name: "x", "entry_id": "e_1"}):
        start_input = OF_THE_CONTRACT(message, "acme-pay")
        assert start_input is not None
        assert not is_entry(start_input)
    if name == "Status":
        assert refused_as_entry({"Kind": "Refunded", name: "x"}) >= {("Entry", "unknown_field")}
    else:
        assert not is_entry(OF_THE_CONTRACT({"Kind": "Refunded", name: "x"}, "acme-pay"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FIELDS, "type", "data", "entry_id", "kind"]) | st.text(max_size=5), inner)
    ),
    max_leaves=12,
)


@given(
    message=JSON | st.fixed_dictionaries({"type": st.sampled_from(["refund.created", "payment", "x"]), "data": JSON})
)
def test_any_message_is_a_start_input_or_ignored_or_breaks_a_rule(message: Any) -> None:
    """No message is a technical failure, which the processor would send again for days."""
    with contextlib.suppress(InvalidInputError):
        start_input = OF_THE_CONTRACT(message, "acme-pay")
        if start_input is not None and is_entry(start_input):
            parse_entry(start_input)
        elif start_input is not None:
            parse_payment(start_input, default_currency="EUR")


def test_an_import_is_judged_and_not_dropped(payment: dict[str, Any], entry: dict[str, Any]) -> None:
    """What a processor must not send is refused by its rule: without the field, it would be recorded as news."""
    for message in (payment, entry):
        imported = {**message, "Import": "quiet"}
        for sent in (imported, {"type": "payment.succeeded", "data": imported}):
            assert OF_THE_CONTRACT(sent, "acme-pay") == imported
    with pytest.raises(InvalidPaymentError) as rejected:
        parse_payment({**payment, "Import": "quiet"}, default_currency="EUR")
    with pytest.raises(InvalidEntryError) as refused:
        parse_entry({**entry, "Import": "quiet"})
    assert rejected.value.violations == refused.value.violations == [Violation("Import", "not_for_processors")]
    without_a_kind = {"type": "refund.created", "data": {"Import": "quiet", "Amount": "1.00"}}
    with pytest.raises(InvalidEntryError, match="not_for_processors"):
        OF_THE_CONTRACT(without_a_kind, "acme-pay")


@pytest.mark.parametrize("name", [name for name in ENTRY_FIELDS if name not in CONTRACT_FIELDS])
def test_no_field_of_an_entry_is_lost(name: str) -> None:
    """The formats know every field of the contract of entries, also one that is added later."""
    for message in ({name: None}, {"type": "order.paid", "data": {name: None}}):
        assert OF_THE_CONTRACT(message, "acme-pay") == {name: None}
