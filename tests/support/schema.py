"""The published schemas of the start inputs, and the rules that they cannot state."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from ledger_cli import ROOT


def schema_of(name: str) -> dict[str, Any]:
    """Return the published schema of that name, for a validator that matches as Python does.

    In JSON Schema `$` matches only the end of the text. In Python it also matches before a newline at the end.
    """
    text = (ROOT / f"events/schemas/{name}.schema.json").read_text()
    schema: dict[str, Any] = json.loads(text.replace('$"', '\\\\Z"').replace("$)", "\\\\Z)"))
    return schema


SCHEMA, ENTRY_SCHEMA = schema_of("payment"), schema_of("entry")
VALIDATOR, ENTRY_VALIDATOR = Draft202012Validator(SCHEMA), Draft202012Validator(ENTRY_SCHEMA)

BEYOND_BOTH_SCHEMAS = {
    "currency",
    "no_minor_unit",
    "decimals",
    "digits",  # broken by a tiny JSON number in an unknown currency; in a known one, it has too many decimals
    "float_digits",
    "timestamp",  # for example 31 February
    "timestamp_range",
    "not_unicode",
    "card_number",
    "card_data",
}
BEYOND_A_SCHEMA = BEYOND_BOTH_SCHEMAS | {
    "retired_currency",  # depends on the payment's time
    "negative",  # -0.0, which a schema cannot distinguish from 0.0
    "token_length",  # counted in bytes
    "holds_token",
    "plaintext_token",  # a setting of the stack
    "ciphertext_length",  # counted in bytes
}
BEYOND_THE_ENTRY_SCHEMA = BEYOND_BOTH_SCHEMAS | {
    "metadata_length",  # counted in bytes, over all pairs
    "id_of_the_payment",
}
