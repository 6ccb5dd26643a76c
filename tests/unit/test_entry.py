"""The contract of an entry."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import (
    ENTRY_FIELDS,
    FINGERPRINTED,
    KIND_BEFORE,
    KINDS,
    STATE_NAMES,
    Entry,
    parse_entry,
    parse_refused_entry,
)
from ledger.fields import refused_input
from ledger.violations import EntryConflictError, InvalidEntryError, Violation

REFUND: dict[str, Any] = {
    "TransactionID": "ch_1",
    "EntryID": "re_1",
    "Kind": "Refunded",
    "Amount": "10.5",
    "Currency": "EUR",
    "ProcessorID": "acme-pay",
    "Timestamp": "2026-11-24T10:15:00+01:00",
}
FAILED = {**REFUND, "EntryID": "re_1_failed", "Kind": "RefundFailed", "Reverses": "re_1"}


def broken(start_input: Any) -> set[tuple[str, str]]:
    """Return the fields and the rules that the input breaks."""
    with pytest.raises(InvalidEntryError) as error:
        parse_entry(start_input)
    assert {(one["Field"], one["Rule"]) for one in json.loads(str(error.value))["Violations"]} == {
        *error.value.violations
    }
    return {*error.value.violations}


def test_a_valid_entry_is_canonical() -> None:
    """Two ways to write one refund must be one entry."""
    entry = parse_entry(REFUND)
    assert entry == Entry(
        "ch_1", "re_1", "Refunded", "10.50", "EUR", "acme-pay", "2026-11-24T09:15:00.000000Z", None, {}
    )
    assert parse_entry({**REFUND, "Amount": "010.50", "Timestamp": "2026-11-24T09:15:00Z"}) == entry
    assert parse_entry(FAILED).reverses == "re_1"
    assert Entry.from_state(json.loads(json.dumps(entry.as_state()))) == entry
    assert [*STATE_NAMES.values()] == [*ENTRY_FIELDS, "Import"]
    assert [*STATE_NAMES] == [*Entry._fields]


@pytest.mark.parametrize("field", [name for name in ENTRY_FIELDS if name not in {"Reverses", "Metadata"}])
def test_a_field_that_is_absent_is_named(field: str) -> None:
    """The ledger guesses nothing about money, not even a currency."""
    assert broken({name: value for name, value in REFUND.items() if name != field}) == {(field, "required")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Kind": "refunded"}, {("Kind", "kind")}),
        ({"Kind": ["Refunded"]}, {("Kind", "type")}),
        ({"Amount": "0.00"}, {("Amount", "zero")}),
        ({"Amount": "0", "Currency": "JPY"}, {("Amount", "zero")}),
        ({"Amount": 0}, {("Amount", "zero")}),
        ({"Amount": "-1"}, {("Amount", "negative")}),
        ({"Amount": "0.001"}, {("Amount", "decimals")}),
        ({"Amount": "1.5", "Currency": "JPY"}, {("Amount", "decimals")}),
        ({"Amount": "1.234", "Currency": "KWD", "Reverses": "x"}, {("Reverses", "not_for_this_kind")}),
        ({"Currency": "XXX"}, {("Currency", "no_minor_unit")}),
        ({"Currency": "EURO", "Amount": "0"}, {("Currency", "currency"), ("Amount", "zero")}),
        ({"Timestamp": "2026-11-24"}, {("Timestamp", "timestamp")}),
        ({"EntryID": "ch_1"}, {("EntryID", "id_of_the_payment")}),
        ({"EntryID": "a b"}, {("EntryID", "identifier")}),
        ({"EntryID": 7, "TransactionID": None}, {("EntryID", "type"), ("TransactionID", "type")}),
        ({"EntryID": "4111111111111111"}, {("EntryID", "card_number")}),
        ({"Reverses": "re_0"}, {("Reverses", "not_for_this_kind")}),
        ({"Kind": "nothing", "Reverses": "re_0"}, {("Kind", "kind")}),
        ({"Kind": "nothing", "Reverses": 7}, {("Kind", "kind"), ("Reverses", "type")}),
        ({"Kind": "DisputeLost"}, {("Reverses", "required")}),
        ({"Metadata": dict.fromkeys("klm", "x" * 256) | {"n": "x" * 228}}, {("Metadata", "metadata_length")}),
        ({"Metadata": {"k": "\N{EURO SIGN}" * 256, "l": "\N{EURO SIGN}" * 81}}, {("Metadata", "metadata_length")}),
        ({"Metadata": {"k": "\x01" * 170}}, {("Metadata", "metadata_length")}),  # six bytes each in an answer
        ({"Kind": "RefundFailed"}, {("Reverses", "required")}),
        ({"Kind": "DisputeWon", "Reverses": ""}, {("Reverses", "identifier")}),
        ({"Metadata": {"cvv": "1"}}, {("Metadata", "card_data")}),
        ({"Metadata": {"note": "4111 1111 1111 1111"}}, {("Metadata", "card_number")}),
        ({"Metadata": {"note": 1}}, {("Metadata", "type")}),
        ({"Status": "Success"}, {("Entry", "unknown_field")}),
        ({"SecureToken": "tok"}, {("Entry", "unknown_field")}),
        ({"entryid": "re_2"}, {("EntryID", "misspelled_field")}),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """The sender corrects all of it in one go."""
    assert broken({**REFUND, **changes}) == expected


@pytest.mark.parametrize("wrong", [None, [], "Refunded", 1, True])
def test_an_entry_is_an_object(wrong: Any) -> None:
    """A message may be anything."""
    assert broken(wrong) == {("Entry", "not_an_object")}


def test_a_currency_that_is_retired_can_still_be_refunded() -> None:
    """A refund may come months after its payment, and the money went back whatever ISO 4217 says."""
    entry = parse_entry({**REFUND, "Currency": "BGN", "Timestamp": "2026-01-05T00:00:00Z"})
    assert (entry.currency, entry.amount) == ("BGN", "10.50")
    assert broken({**REFUND, "Currency": "BYR"}) == {("Amount", "decimals")}  # it had none
    assert broken({**REFUND, "Currency": "BYR", "Timestamp": "2015-01-05T00:00:00Z"}) == {("Amount", "decimals")}
    assert broken({**REFUND, "Currency": ["BGN"]}) == {("Currency", "type")}


def test_an_entry_comes_back_from_its_state() -> None:
    """A refused entry is delivered again as it was published."""
    for start_input in (REFUND, FAILED):
        assert parse_entry(parse_entry(start_input).as_state()) == parse_entry(start_input)


@pytest.mark.parametrize(
    "largest",
    [
        dict.fromkeys("klm", "x" * 256) | {"n": "x" * 227},
        {"k": "\N{EURO SIGN}" * 256, "l": "\N{EURO SIGN}" * 80 + "x"},
    ],
    ids=["ASCII", "three bytes each"],
)
def test_the_largest_metadata_are_accepted(largest: dict[str, str]) -> None:
    """The limit is in bytes of UTF-8, of the keys and the values together."""
    assert parse_entry({**REFUND, "Metadata": largest}).metadata == largest


def test_a_conflict_tells_whose_it_is_and_what_differs() -> None:
    """The workflow passes on only the error's message, and an operator finds the entry by both IDs."""
    entry = parse_entry(REFUND)
    conflict = EntryConflictError(entry, ["Amount"])
    assert conflict.differs == ["Amount"]
    assert json.loads(str(conflict)) == {
        "TransactionID": "ch_1",
        "EntryID": "re_1",
        "ProcessorID": "acme-pay",
        "Differs": ["Amount"],
        "Fingerprint": entry.fingerprint,
    }


def test_the_error_has_the_valid_ids_only() -> None:
    """An operator finds the refusal by any of them."""
    with pytest.raises(InvalidEntryError) as error:
        parse_entry({**REFUND, "ProcessorID": "a b", "Amount": "x"})
    assert json.loads(str(error.value)) == {
        "TransactionID": "ch_1",
        "EntryID": "re_1",
        "Violations": [{"Field": "Amount", "Rule": "decimal"}, {"Field": "ProcessorID", "Rule": "identifier"}],
    }
    assert error.value.log_keys == {
        "transaction_id": "ch_1",
        "entry_id": "re_1",
        "processor_id": None,
        "rules": ["Amount: decimal", "ProcessorID: identifier"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_undoes_or_decides_names_another_entry(kind: str) -> None:
    """A refund that named another entry could be meant as anything."""
    other = {} if kind not in KIND_BEFORE else {"Reverses": "re_0"}
    assert parse_entry({**REFUND, "Kind": kind, **other}).kind == kind


CHANGED = {
    "transaction_id": "ch_2", "entry_id": "re_2", "kind": "Disputed", "amount": "10.51", "currency": "USD",
    "processor_id": "other", "timestamp": "2026-11-24T09:15:00.000001Z", "reverses": "re_0",
}  # fmt: skip


@pytest.mark.parametrize("name", FINGERPRINTED)
def test_the_fingerprint_has_every_field(name: str) -> None:
    """Another amount under one EntryID is a conflict, and not a twin."""
    entry = parse_entry(REFUND)
    assert entry._replace(**{name: CHANGED[name]}).fingerprint != entry.fingerprint
    assert entry._replace(metadata={"note": "x"}).fingerprint == entry.fingerprint


@pytest.mark.parametrize("form", ["quiet", "published"])
def test_an_import_is_the_same_entry(form: str) -> None:
    """A refund that was imported and is delivered later is a duplicate, and not a conflict."""
    entry = parse_entry({**REFUND, "Import": form}, imports=True)
    assert (entry.imported, entry.as_state()["Import"]) == (form, form)
    assert entry._replace(imported=None) == parse_entry(REFUND) == parse_entry(REFUND, imports=True)
    assert entry.fingerprint == parse_entry(REFUND).fingerprint
    assert Entry.from_state(entry.as_state()) == entry
    assert "Import" not in parse_entry(REFUND).as_state()


def test_only_a_sender_that_may_import_has_the_field() -> None:
    """A processor that used it could keep consumers from learning of a refund. The default is that of processors."""
    for value in ("quiet", "published", "loud", None):
        assert broken({**REFUND, "Import": value}) == {("Import", "not_for_processors")}
    assert broken({**REFUND, "imports": "quiet"}) == {("Entry", "unknown_field")}
    for changes, violation in (
        ({"Import": "loud"}, ("Import", "import")),
        ({"Import": None}, ("Import", "type")),
        ({"imports": "quiet"}, ("Import", "misspelled_field")),
        ({"amont": "1"}, ("Amount", "misspelled_field")),
    ):
        with pytest.raises(InvalidEntryError) as caught:
            parse_entry({**REFUND, **changes}, imports=True)
        assert caught.value.violations == [violation]


def test_a_refused_import_is_a_refusal() -> None:
    """The webhook hands it to the workflow, which publishes it."""
    for rule in ("import", "not_for_processors"):
        refused = InvalidEntryError([Violation("Import", rule)], transaction_id="ch_1", entry_id="re_1")
        assert str(parse_refused_entry(refused_input(refused))) == str(refused)


def test_the_fingerprint_never_changes() -> None:
    """What was recorded must be recognised later. `sha256sum` of the JSON array gives the same."""
    assert parse_entry(REFUND).fingerprint == "0cde31b07942461139971c46719fac8ebed5170fd06a43f124bc978083448dac"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(ENTRY_FIELDS) | st.text(max_size=5), inner, max_size=9)
        ),
    )
)
def test_any_input_is_an_entry_or_breaks_a_rule(start_input: Any) -> None:
    """No input is a technical failure."""
    with contextlib.suppress(InvalidEntryError):
        assert parse_entry(start_input).fingerprint
