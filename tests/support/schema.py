"""The published schema of the start input, and the rules that it cannot state."""

import json

from jsonschema import Draft202012Validator

from ledger_cli import ROOT

# In JSON Schema `$` matches only the end of the text. In Python it also matches before a newline at the end.
SCHEMA = json.loads(
    (ROOT / "events/schemas/payment.schema.json").read_text().replace('$"', '\\\\Z"').replace("$)", "\\\\Z)")
)
VALIDATOR = Draft202012Validator(SCHEMA)

BEYOND_A_SCHEMA = {
    "currency",
    "no_minor_unit",
    "retired_currency",  # depends on the payment's time
    "decimals",
    "digits",  # broken by a tiny JSON number in an unknown currency; in a known one, it has too many decimals
    "float_digits",
    "negative",  # -0.0, which a schema cannot distinguish from 0.0
    "timestamp",  # for example 31 February
    "timestamp_range",
    "token_length",  # counted in bytes
    "not_unicode",
    "holds_token",
    "card_number",
    "card_data",
    "plaintext_token",  # a setting of the stack
    "ciphertext_length",  # counted in bytes
}
