"""The published schema of the start input and the code, held together in both directions."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ledger.currencies import MINOR_UNITS
from ledger.payment import CONTRACT_FIELDS, STATUSES, InvalidPaymentError, parse_payment
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
    """The rules that the code says are broken."""
    try:
        parse_payment(start_input, default_currency="USD")
    except InvalidPaymentError as error:
        return {violation.rule for violation in error.violations}
    return set()


@st.composite
def near_valid(draw: st.DrawFn) -> dict[str, Any]:
    """A valid payment with up to three fields replaced, left out or added."""
    changed: dict[str, Any] = dict(VALID)
    for name in draw(st.lists(st.sampled_from([*CONTRACT_FIELDS, "Extra"]), max_size=3)):
        if draw(st.booleans()):
            changed[name] = draw(VALUES)
        else:
            changed.pop(name, None)
    return changed


@settings(max_examples=1500)
@given(near_valid() | VALUES)
def test_what_the_code_takes_the_schema_takes(start_input: Any) -> None:
    """A sender that checks by the schema must not be held back from what would be recorded."""
    if not rules(start_input):
        VALIDATOR.validate(start_input)


def values_of(spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a field's schema takes, for the keywords that ours uses."""
    if "enum" in spec:
        return st.sampled_from(spec["enum"])
    if spec["type"] == "object":
        keys = values_of({"type": "string", **spec["propertyNames"]})
        return st.dictionaries(keys, values_of(spec["additionalProperties"]), max_size=spec["maxProperties"])
    text = st.from_regex(spec["pattern"], fullmatch=True) if "pattern" in spec else st.text(st.characters(codec=None))
    text = text.filter(lambda t: spec.get("minLength", 0) <= len(t) <= spec.get("maxLength", len(t)))
    numbers = st.integers(0, spec.get("exclusiveMaximum", 1) - 1) | st.floats(0, 1e37)
    return text | numbers if "number" in spec["type"] else text


@st.composite
def schema_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Any input that the schema takes."""
    names = set(draw(st.sets(st.sampled_from(CONTRACT_FIELDS)))) | set(SCHEMA["required"])
    names -= {"SecureToken", "SealedToken"}
    names.add(draw(st.sampled_from(["SecureToken", "SealedToken"])))
    return {name: draw(values_of(SCHEMA["properties"][name])) for name in sorted(names)}


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(schema_valid())
def test_what_the_schema_takes_the_code_takes(start_input: Any) -> None:
    """Save for the rules that a schema cannot say: those are listed, and no other refuses it."""
    VALIDATOR.validate(start_input)
    assert rules(start_input) <= BEYOND_A_SCHEMA


@settings(max_examples=1500)
@given(near_valid())
def test_what_the_schema_takes_the_code_takes_near_the_border(start_input: Any) -> None:
    """The same, over inputs that are one mistake away from a valid one."""
    if VALIDATOR.is_valid(start_input):
        assert rules(start_input) <= BEYOND_A_SCHEMA


def test_the_schema_knows_the_codes_fields_and_statuses() -> None:
    """A new field must come with its schema."""
    assert set(SCHEMA["properties"]) == set(CONTRACT_FIELDS)
    assert SCHEMA["properties"]["Status"]["enum"] == list(STATUSES)
    assert all(VALIDATOR.is_valid({**VALID, "Currency": code, "Amount": "1"}) for code in MINOR_UNITS)


@pytest.mark.parametrize("file", sorted((ROOT / "events/schemas").glob("*.json")), ids=lambda file: file.name)
def test_every_schema_is_one(file: Any) -> None:
    """Draft 2020-12, as each says of itself."""
    Draft202012Validator.check_schema(json.loads(file.read_text()))


@pytest.mark.parametrize("file", sorted((ROOT / "events/start").glob("*.json")), ids=lambda file: file.name)
def test_every_sample_is_what_its_name_says(file: Any) -> None:
    """Newcomers copy them."""
    broken = rules(json.loads(file.read_text()))
    assert bool(broken) == ("invalid" in file.name)
