"""The published schema of the start input and the code accept the same inputs, in both directions."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ledger.currencies import MINOR_UNITS
from ledger.fields import MAX_METADATA_PAIRS, MAX_METADATA_VALUE_CHARACTERS
from ledger.payment import CONTRACT_FIELDS, STATUSES, parse_payment
from ledger.violations import InvalidPaymentError
from ledger_cli import ROOT
from tests.support.schema import BEYOND_A_SCHEMA, SCHEMA, VALIDATOR

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


def rules(start_input: Any) -> set[str]:
    """Return the rules that the input breaks, according to the code."""
    try:
        parse_payment(start_input, default_currency="USD")
    except InvalidPaymentError as error:
        return {violation.rule for violation in error.violations}
    return set()


@st.composite
def near_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid payment with up to three fields replaced, left out or added."""
    changed: dict[str, Any] = dict(VALID)
    for name in draw(st.lists(st.sampled_from([*CONTRACT_FIELDS, "Extra"]), max_size=3)):
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


def values_of(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a field's schema accepts, for the keywords that our schema uses."""
    if "enum" in spec:
        return st.sampled_from(spec["enum"])
    if spec["type"] == "object":
        keys = values_of({"type": "string", **spec["propertyNames"]})
        return st.dictionaries(keys, values_of(spec["additionalProperties"]), max_size=spec["maxProperties"])
    text = st.from_regex(spec["pattern"], fullmatch=True) if "pattern" in spec else st.text(st.characters(codec=None))
    text = text.filter(lambda t: spec.get("minLength", 0) <= len(t) <= spec.get("maxLength", len(t)))
    numbers = st.integers(0, spec.get("exclusiveMaximum", 1) - 1) | st.floats(0, 1e37)
    return text | numbers if "number" in spec["type"] else text


VALUES_OF_FIELDS = {name: values_of(SCHEMA["properties"][name]) for name in CONTRACT_FIELDS}


@st.composite
def schema_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any input that the schema accepts."""
    names = set(draw(st.sets(st.sampled_from(CONTRACT_FIELDS)))) | set(SCHEMA["required"])
    names -= {"SecureToken", "SealedToken"}
    names.add(draw(st.sampled_from(["SecureToken", "SealedToken"])))
    return {name: draw(VALUES_OF_FIELDS[name]) for name in sorted(names)}


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


def test_the_limits_of_the_metadata_are_the_same_everywhere(payment: dict[str, Any]) -> None:
    """Random inputs rarely come near a limit, so the schema, the code and the page are compared at it."""
    metadata = SCHEMA["properties"]["Metadata"]
    of_the_schema = metadata["maxProperties"], metadata["additionalProperties"]["maxLength"]
    limits = MAX_METADATA_PAIRS, MAX_METADATA_VALUE_CHARACTERS
    assert of_the_schema == limits, "events/schemas/payment.schema.json states another limit"
    page = (ROOT / "docs/integrate/contract.md").read_text()
    for unit, limit in (("pairs", MAX_METADATA_PAIRS), ("characters", MAX_METADATA_VALUE_CHARACTERS)):
        stated = re.findall(rf"(?i)metadata.*(?:at most|more than) (\d+) {unit}", page)
        assert set(stated) == {str(limit)}, f"docs/integrate/contract.md states another number of {unit}"
    largest = {f"{number}": "x" * MAX_METADATA_VALUE_CHARACTERS for number in range(MAX_METADATA_PAIRS)}
    assert rules({**payment, "Metadata": largest}) == set()
    assert rules({**payment, "Metadata": {**largest, "more": ""}}) == {"metadata_pairs"}
    assert rules({**payment, "Metadata": {"note": "x" * (MAX_METADATA_VALUE_CHARACTERS + 1)}})


def test_the_schema_has_the_codes_fields_statuses_and_currencies() -> None:
    """A new field of the code must come with its schema."""
    assert set(SCHEMA["properties"]) == set(CONTRACT_FIELDS)
    assert SCHEMA["properties"]["Status"]["enum"] == list(STATUSES)
    assert all(VALIDATOR.is_valid({**VALID, "Currency": code, "Amount": "1"}) for code in MINOR_UNITS)


@pytest.mark.parametrize("file", sorted((ROOT / "events/schemas").glob("*.json")), ids=lambda file: file.name)
def test_every_schema_is_a_valid_schema(file: Any) -> None:
    """Consumers validate events with these files, each of which names Draft 2020-12."""
    Draft202012Validator.check_schema(json.loads(file.read_text()))


@pytest.mark.parametrize("file", sorted((ROOT / "events/start").glob("*.json")), ids=lambda file: file.name)
def test_every_sample_is_as_valid_as_its_name_says(file: Any) -> None:
    """Newcomers copy the samples."""
    broken = rules(json.loads(file.read_text()))
    if "invalid" in file.name:
        assert broken
    else:
        assert broken == set()
