"""The published schemas of the start inputs and the code accept the same inputs, in both directions."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger.entry import ENTRY_FIELDS, KIND_BEFORE, KINDS, MAX_METADATA_BYTES, is_entry, parse_entry
from ledger.fields import IMPORT, MAX_METADATA_PAIRS, MAX_METADATA_VALUE_CHARACTERS, PUBLISHED, QUIET
from ledger.outcome import DETAIL_TYPES, ENTRY_DETAIL_TYPES, Outcome
from ledger.payment import CONTRACT_FIELDS, STATUSES, parse_payment
from ledger.totals import MAX_ENTRIES
from ledger.violations import InvalidInputError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from tests.support.schema import (
    BEYOND_A_SCHEMA,
    BEYOND_THE_ENTRY_SCHEMA,
    ENTRY_SCHEMA,
    ENTRY_VALIDATOR,
    SCHEMA,
    VALIDATOR,
    schema_of,
)

TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "txn-1",
        "EUR",
        "eur",
        "10.50",
        "10",
        "-1",
        "1e2",
        "Success",
        "Refunded",
        "DisputeWon",
        "quiet",
        "published",
        "2026-11-23T09:30:00Z",
        "2026-11-23T09:30:60Z",
        "AAAA",
        "\n",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
VALID = json.loads((ROOT / "events/start/01-success.json").read_text())
VALID_ENTRY = json.loads((ROOT / "events/start/10-refund.json").read_text())


FIELDS, FIELDS_OF_ENTRIES = (*CONTRACT_FIELDS, IMPORT), (*ENTRY_FIELDS, IMPORT)


def broken(parse: Callable[[Any], object], start_input: Any) -> set[str]:
    """Return the rules that the input breaks, according to the code."""
    try:
        parse(start_input)
    except InvalidInputError as error:
        return {violation.rule for violation in error.violations}
    return set()


def rules(start_input: Any) -> set[str]:
    """Return the rules of the contract of payments that the input breaks."""
    return broken(lambda given: parse_payment(given, default_currency="USD", imports=True), start_input)


def entry_rules(start_input: Any) -> set[str]:
    """Return the rules of the contract of entries that the input breaks."""
    return broken(lambda given: parse_entry(given, imports=True), start_input)


@st.composite
def near_valid(draw: st.DrawFn, valid: Mapping[str, Any] = VALID, fields: Collection[str] = FIELDS) -> dict[str, Any]:
    """Draw a valid input with up to three fields replaced, left out or added."""
    changed: dict[str, Any] = dict(valid)
    for name in draw(st.lists(st.sampled_from([*fields, "Extra"]), max_size=3)):
        if draw(st.booleans()):
            changed[name] = draw(VALUES)
        else:
            changed.pop(name, None)
    return changed


@settings(max_examples=1500)
@given(near_valid() | VALUES)
def test_the_schema_accepts_what_the_code_accepts(start_input: Any) -> None:
    """A sender that checks its payments by the schema must be able to send every payment that would be recorded."""
    if not rules(start_input):
        VALIDATOR.validate(start_input)


NEAR_VALID_ENTRIES = near_valid(VALID_ENTRY, FIELDS_OF_ENTRIES) | near_valid(
    {**VALID_ENTRY, "Kind": "RefundFailed", "Reverses": "refund-0000"}, FIELDS_OF_ENTRIES
)


@settings(max_examples=1500)
@given(NEAR_VALID_ENTRIES | VALUES)
def test_the_schema_of_entries_accepts_what_the_code_accepts(start_input: Any) -> None:
    """The same holds for entries."""
    if not entry_rules(start_input):
        ENTRY_VALIDATOR.validate(start_input)


def values_of(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a field's schema accepts, for the keywords that our schema uses."""
    if "enum" in spec:
        return st.sampled_from(spec["enum"])
    if spec["type"] == "object":
        keys = values_of({"type": "string", **spec["propertyNames"]})
        return st.dictionaries(keys, values_of(spec["additionalProperties"]), max_size=spec["maxProperties"])
    text = st.from_regex(spec["pattern"], fullmatch=True) if "pattern" in spec else st.text(st.characters(codec=None))
    text = text.filter(lambda t: spec.get("minLength", 0) <= len(t) <= spec.get("maxLength", len(t)))
    above = "exclusiveMinimum" in spec
    numbers = st.integers(int(above), spec.get("exclusiveMaximum", 1) - 1) | st.floats(0, 1e37, exclude_min=above)
    return text | numbers if "number" in spec["type"] else text


VALUES_OF_FIELDS = {name: values_of(SCHEMA["properties"][name]) for name in FIELDS}
VALUES_OF_ENTRY_FIELDS = {name: values_of(ENTRY_SCHEMA["properties"][name]) for name in FIELDS_OF_ENTRIES}


@st.composite
def schema_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any input that the schema accepts."""
    names = set(draw(st.sets(st.sampled_from(FIELDS)))) | set(SCHEMA["required"])
    names -= {"SecureToken", "SealedToken"}
    names.add(draw(st.sampled_from(["SecureToken", "SealedToken"])))
    return {name: draw(VALUES_OF_FIELDS[name]) for name in sorted(names)}


@st.composite
def schema_valid_entry(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any entry that the schema accepts."""
    kind = draw(VALUES_OF_ENTRY_FIELDS["Kind"])
    names = {*ENTRY_SCHEMA["required"], *draw(st.sets(st.sampled_from(["Metadata", IMPORT])))} - {"Kind"}
    names |= {"Reverses"} if kind in KIND_BEFORE else set()
    return {name: draw(VALUES_OF_ENTRY_FIELDS[name]) for name in sorted(names)} | {"Kind": kind}


RETIRED = {
    "TransactionID": "t-1",
    "ProcessorID": "acme-pay",
    "SealedToken": "0000",
    "Amount": "0",
    "Currency": "VEF",
    "Status": "Success",
    "Timestamp": "3000-01-01T00:00:00Z",
}
"""A payment whose currency was retired before its time, which random inputs rarely are."""


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(schema_valid())
@example(RETIRED)
def test_the_code_accepts_what_the_schema_accepts(start_input: Any) -> None:
    """Only the listed rules, which a schema cannot express, may reject an input that the schema accepts."""
    VALIDATOR.validate(start_input)
    assert rules(start_input) <= BEYOND_A_SCHEMA


@settings(max_examples=1500)
@given(near_valid())
def test_the_code_accepts_what_the_schema_accepts_near_the_border(start_input: Any) -> None:
    """The same holds for inputs with a few mistakes. Random inputs have many, and break other rules first."""
    if VALIDATOR.is_valid(start_input):
        assert rules(start_input) <= BEYOND_A_SCHEMA


RETIRED_ENTRY = {**VALID_ENTRY, "Currency": "VEF", "Timestamp": "3000-01-01T00:00:00Z"}
OF_THE_PAYMENT = {**VALID_ENTRY, "EntryID": VALID_ENTRY["TransactionID"]}


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(schema_valid_entry())
@example(RETIRED_ENTRY)
@example(OF_THE_PAYMENT)
def test_the_code_accepts_the_entries_that_the_schema_accepts(start_input: Any) -> None:
    """Only the listed rules may refuse an entry that the schema accepts."""
    ENTRY_VALIDATOR.validate(start_input)
    assert entry_rules(start_input) <= BEYOND_THE_ENTRY_SCHEMA


@settings(max_examples=1500)
@given(NEAR_VALID_ENTRIES)
def test_the_code_accepts_the_entries_that_the_schema_accepts_near_the_border(start_input: Any) -> None:
    """The same holds for entries with a few mistakes."""
    if ENTRY_VALIDATOR.is_valid(start_input):
        assert entry_rules(start_input) <= BEYOND_THE_ENTRY_SCHEMA


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("amount", ["0", "0.00", "00.0", 0, 0.0, -0.0, "0.01", 0.01, "1"])
@pytest.mark.parametrize("reverses", [{}, {"Reverses": "refund-0000"}, {"Reverses": None}], ids=str)
def test_the_schema_and_the_code_agree_on_each_kind(kind: str, amount: Any, reverses: dict[str, Any]) -> None:
    """Some kinds name another entry, the others must not; and random inputs rarely have an amount of nothing."""
    entry = {**VALID_ENTRY, "Kind": kind, "Amount": amount, **reverses}
    assert ENTRY_VALIDATOR.is_valid(entry) == (not entry_rules(entry))


def test_the_limits_of_the_metadata_are_the_same_everywhere(payment: dict[str, Any]) -> None:
    """Random inputs rarely come near a limit, so the schema, the code and the page are compared at it."""
    limits = MAX_METADATA_PAIRS, MAX_METADATA_VALUE_CHARACTERS
    for contract, schema in (("contract", SCHEMA), ("entries", ENTRY_SCHEMA)):
        metadata = schema["properties"]["Metadata"]
        of_the_schema = metadata["maxProperties"], metadata["additionalProperties"]["maxLength"]
        assert of_the_schema == limits, f"{schema['$id']} states another limit"
        page = (ROOT / f"docs/integrate/{contract}.md").read_text()
        for unit, limit in (("pairs", MAX_METADATA_PAIRS), ("characters", MAX_METADATA_VALUE_CHARACTERS)):
            stated = re.findall(rf"(?i)metadata.*(?:at most|more than) (\d+) {unit}", page)
            assert set(stated) == {str(limit)}, f"docs/integrate/{contract}.md states another number of {unit}"
    largest = {f"{number}": "x" * MAX_METADATA_VALUE_CHARACTERS for number in range(MAX_METADATA_PAIRS)}
    assert rules({**payment, "Metadata": largest}) == set()
    assert rules({**payment, "Metadata": {**largest, "more": ""}}) == {"metadata_pairs"}
    assert rules({**payment, "Metadata": {"note": "x" * (MAX_METADATA_VALUE_CHARACTERS + 1)}})


def test_the_bytes_of_an_entrys_metadata_are_the_same_everywhere() -> None:
    """A schema counts characters, so the page and the description state the bytes."""
    description = ENTRY_SCHEMA["properties"]["Metadata"]["description"]
    page = (ROOT / "docs/integrate/entries.md").read_text()
    for text in (description, page):
        assert set(re.findall(r"(?:at most|more than) ([\d,]+) bytes", text)) == {f"{MAX_METADATA_BYTES:,}"}
    # Each pair has a key of one character, four quotes, a colon, and a comma or one of the two braces.
    filled = {f"{number}": "x" * 248 for number in range(3)} | {"9": "y" * (MAX_METADATA_BYTES - 1 - 3 * 255 - 7)}
    assert entry_rules({**VALID_ENTRY, "Metadata": filled}) == set()
    assert entry_rules({**VALID_ENTRY, "Metadata": {**filled, "9": filled["9"] + "y"}}) == {"metadata_length"}


def test_the_schema_has_the_codes_fields_statuses_and_currencies() -> None:
    """A new field of the code must come with its schema."""
    assert set(SCHEMA["properties"]) == set(FIELDS)
    assert SCHEMA["properties"]["Status"]["enum"] == list(STATUSES)
    assert all(VALIDATOR.is_valid({**VALID, "Currency": code, "Amount": "1"}) for code in MINOR_UNITS)
    assert set(ENTRY_SCHEMA["properties"]) == set(FIELDS_OF_ENTRIES)
    assert SCHEMA["properties"][IMPORT] == ENTRY_SCHEMA["properties"][IMPORT]
    assert SCHEMA["properties"][IMPORT]["enum"] == [QUIET, PUBLISHED]
    assert ENTRY_SCHEMA["properties"]["Kind"]["enum"] == list(KINDS)
    assert ENTRY_SCHEMA["if"]["properties"]["Kind"]["enum"] == list(KIND_BEFORE)
    for code in {*MINOR_UNITS, *FORMER_MINOR_UNITS}:
        entry = {**VALID_ENTRY, "Currency": code, "Amount": "1"}
        assert ENTRY_VALIDATOR.is_valid(entry), code
        assert entry_rules(entry) == set(), code


@pytest.mark.parametrize("file", sorted((ROOT / "events/schemas").glob("*.json")), ids=lambda file: file.name)
def test_every_schema_is_a_valid_schema(file: Any) -> None:
    """Consumers validate events with these files, each of which names Draft 2020-12."""
    Draft202012Validator.check_schema(json.loads(file.read_text()))


@pytest.mark.parametrize("file", sorted((ROOT / "events/start").glob("*.json")), ids=lambda file: file.name)
def test_every_sample_is_as_valid_as_its_name_says(file: Any) -> None:
    """Newcomers copy the samples."""
    start_input = json.loads(file.read_text())
    found = entry_rules(start_input) if is_entry(start_input) else rules(start_input)
    if "invalid" in file.name:
        assert found
    else:
        assert found == set()


# ── Events of entries ────────────────────────────────────────────────────────────────────────────────


def assert_published_as_its_schema_says(event: Mapping[str, Any]) -> None:
    """Check an event's detail against the published schema of its type."""
    Draft202012Validator(schema_of(event["detail-type"])).validate(event["detail"])


def test_the_events_of_entries_are_what_their_schemas_say(engine: Engine) -> None:
    """A consumer trusts the schemas. Each outcome is published by the real workflow, in each of its forms."""
    failed = {**VALID_ENTRY, "EntryID": "failure-1", "Kind": "RefundFailed", "Reverses": VALID_ENTRY["EntryID"]}
    imported = {**VALID_ENTRY, "EntryID": "history", IMPORT: PUBLISHED}
    inputs = {
        "RECORDED": [VALID, VALID_ENTRY, failed, imported],
        "DUPLICATE": [VALID_ENTRY, failed, {**VALID_ENTRY, "EntryID": "history"}],
        "CONFLICT": [{**VALID_ENTRY, "Amount": "0.01"}],
        "REFUSED": [
            {**VALID_ENTRY, "EntryID": "refund-2", "Amount": "1000000"},
            {**VALID_ENTRY, "TransactionID": "txn-unknown"},
            {"EntryID": "a b", "Kind": "Refunded"},
        ],
    }
    for outcome, start_inputs in inputs.items():
        for start_input in start_inputs:
            assert engine.run(json.dumps(start_input)).outcome == outcome
    payment, *events = engine.published()
    assert payment["detail-type"] == DETAIL_TYPES["RECORDED"]
    assert {event["detail-type"] for event in events} == set(ENTRY_DETAIL_TYPES.values())
    assert len(events) == sum(map(len, inputs.values())) - 1
    for event in events:
        assert_published_as_its_schema_says(event)


def test_the_event_of_an_accepted_entry_is_what_its_schema_says(engine: Engine) -> None:
    """An acceptance and totals below zero are only in such an event, and a consumer must not drop it as invalid."""
    engine.run(json.dumps(VALID))
    assert engine.run(json.dumps(VALID_ENTRY)).outcome == "RECORDED"
    detail = engine.published()[-1]["detail"]
    recorded = {name: value for name, value in detail.items() if name not in {"Version", "OutcomeID", "Outcome"}}
    recorded["Acceptance"] = {"Reason": "the processor did it", "Requester": "arn:aws:iam::123456789012:user/operator"}
    recorded["Totals"] = {**recorded["Totals"], "Refunded": "150.00", "Refundable": "-20.10", "AcceptedEntries": 1}
    for name in ("RECORDED", "DUPLICATE"):
        outcome = Outcome.from_recorded(name, recorded, recorded["Execution"])
        assert_published_as_its_schema_says({"detail-type": outcome.detail_type, "detail": outcome.detail})


@pytest.mark.parametrize("detail_type", ENTRY_DETAIL_TYPES.values())
def test_the_schemas_of_the_events_have_the_facts_and_limits_of_the_code(detail_type: str) -> None:
    """A schema that accepts anything would pass the tests above."""
    schema = schema_of(detail_type)
    assert schema["title"] == detail_type
    assert schema["additionalProperties"] is False
    if "Kind" in schema["properties"]:
        assert schema["properties"]["Kind"]["enum"] == list(KINDS)
        assert schema["properties"]["Entry"]["maximum"] == MAX_ENTRIES
