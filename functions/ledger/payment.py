"""The processor's contract: from a start input to one canonical payment, or to every rule that the input breaks.

The rules are those of `events/schemas/payment.schema.json`, and the few that a JSON Schema cannot express. This module
knows nothing of AWS. No message contains a value of the input, because a value may be secret. Nor does a message
contain the *name* of an unknown field, because that is the sender's text too.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger.amounts import minor_unit, parse_amount
from ledger.cards import is_card_number
from ledger.fields import (
    IMPORT,
    FieldReader,
    card_violations,
    is_identifier,
    parse_currency,
    parse_identifier,
    parse_import,
    parse_metadata,
    parse_refused,
    unknown_fields,
    utf8,
)
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, InvalidPaymentError, Violation

MAX_TOKEN_BYTES = 4096
"""Bytes that `kms:Encrypt` accepts. Source: KMS API, Encrypt, Plaintext."""

MAX_CIPHERTEXT_BYTES = 6144
"""Bytes that `kms:ReEncrypt` accepts. Source: KMS API, ReEncrypt, CiphertextBlob."""

MIN_SEARCHED_TOKEN_CHARACTERS = 8
"""Characters below which a token is not searched for in the other fields: a shorter one would be found by chance."""

STATUSES = ("Success", "Failure")

CONTRACT_FIELDS = (
    "TransactionID",
    "SecureToken",
    "SealedToken",
    "Amount",
    "Currency",
    "ProcessorID",
    "Status",
    "Timestamp",
    "Metadata",
)
"""Fields that a processor may send. A caller that may start executions may also send `Import`."""

STATE_NAMES = {
    "transaction_id": "TransactionID",
    "amount": "Amount",
    "currency": "Currency",
    "processor_id": "ProcessorID",
    "status": "Status",
    "timestamp": "Timestamp",
    "metadata": "Metadata",
    "imported": IMPORT,
}
"""Attributes of `Payment`, and their names in the contract."""

FINGERPRINTED = ("transaction_id", "amount", "currency", "processor_id", "status", "timestamp")
"""Attributes that decide whether two payments are the same one."""


class Payment(NamedTuple):
    """A payment in canonical form: equal payments have equal fields.

    `amount` is decimal text with exactly the currency's decimals. `timestamp` is UTC with microseconds, 27 characters,
    so that text order is time order. `imported` is `quiet` or `published` if the payment is history from elsewhere, and
    None otherwise.
    """

    transaction_id: str
    amount: str
    currency: str
    processor_id: str
    status: str
    timestamp: str
    metadata: Mapping[str, str]
    imported: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the payment's identity: neither the metadata, the token nor the import is a part of it."""
        identity = [getattr(self, name) for name in FINGERPRINTED]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def as_state(self) -> dict[str, Any]:
        """Return the payment as the workflow carries it, under the contract's names."""
        values = {STATE_NAMES[name]: value for name, value in self._asdict().items()}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Payment":
        """Return the payment that `as_state` wrote."""
        written = {name: state[STATE_NAMES[name]] for name in cls._fields if name != "imported"}
        return cls(**written, imported=state.get(IMPORT))


class Token(NamedTuple):
    """The token as the sender gave it: in the field `SecureToken` (plaintext) or `SealedToken` (base64)."""

    field: str
    text: str


def encryption_context(transaction_id: str) -> dict[str, str]:
    """Return what binds a token's ciphertext in the ledger to its transaction. It is not secret.

    KMS decrypts the ciphertext under no other context.
    """
    return {"TransactionID": transaction_id}


def seal_context(transaction_id: str, processor_id: str) -> dict[str, str]:
    """Return what binds a sealed token to one payment of one processor. It is not secret.

    KMS opens the seal under no other context.
    """
    return {"TransactionID": transaction_id, "ProcessorID": processor_id}


def parse_payment(
    start_input: object, *, default_currency: str, plaintext_tokens: bool = True, imports: bool = False
) -> tuple[Payment, Token]:
    """Return the canonical payment and its token, or report every violation at once.

    Args:
        start_input: parsed JSON of any form, as the Lambda runtime passes it on.
        default_currency: an ISO 4217 code with a minor unit, which is used if `Currency` is absent.
        plaintext_tokens: whether a token may come in plaintext, and so appear in the execution's history.
        imports: whether the sender may say that the payment is imported. A processor may not: it could keep consumers
            from learning of a payment.

    Raises:
        InvalidPaymentError: the input breaks at least one rule. Never retried.
    """
    if not isinstance(start_input, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])

    fields = FieldReader(start_input)
    violations = fields.violations
    unknown = (name for name in start_input if name not in CONTRACT_FIELDS and name != IMPORT)
    violations.extend(unknown_fields(unknown, (*CONTRACT_FIELDS, IMPORT) if imports else CONTRACT_FIELDS, "Payment"))
    transaction_id = fields.required("TransactionID", parse_identifier)
    processor_id = fields.required("ProcessorID", parse_identifier)
    timestamp = fields.required("Timestamp", utc_timestamp)
    currency = fields.optional("Currency", parse_currency, timestamp, default=default_currency)
    amount = fields.required("Amount", parse_amount, None if currency is None else minor_unit(currency, timestamp))
    status = fields.required("Status", _parse_status)
    metadata = fields.optional("Metadata", parse_metadata, default={})
    if metadata is not None:  # and so within its lengths, which bound the cost of the search
        violations.extend(card_violations(metadata))
    imported = fields.required(IMPORT, parse_import, imports) if IMPORT in start_input else None
    token: Token | None = None
    if "SecureToken" in start_input and "SealedToken" in start_input:
        violations.append(Violation("SecureToken", "exactly_one_token"))
    elif "SecureToken" in start_input and not plaintext_tokens:
        violations.append(Violation("SecureToken", "plaintext_token"))
    elif "SealedToken" in start_input or not plaintext_tokens:
        token = fields.required("SealedToken", _parse_sealed_token)
    else:
        token = fields.required("SecureToken", _parse_secure_token)

    # If a processor repeats the token in another field, the ledger would record the token in plaintext.
    violations.extend(Violation(field, "holds_token") for field in _fields_that_hold_the_token(start_input))
    if violations or token is None:
        raise InvalidPaymentError(
            violations,
            transaction_id=valid_id(start_input, "TransactionID"),
            processor_id=valid_id(start_input, "ProcessorID"),
        )
    return Payment(transaction_id, amount, currency, processor_id, status, timestamp, metadata, imported), token


def valid_id(start_input: Mapping[str, Any], field: str) -> str | None:
    """Return the identifier in *field*; None if it is invalid, or holds a card number or the plaintext token."""
    value = start_input.get(field)
    if not isinstance(value, str) or not is_identifier(value):
        return None
    return None if field in _fields_that_hold_the_token(start_input) else value


def parse_rejection(start_input: object) -> InvalidPaymentError | None:
    """Return the rejection of a payment that `refused_input` wrote; None for any other input."""
    return parse_refused(start_input, InvalidPaymentError, {*CONTRACT_FIELDS, IMPORT, "Payment"})


def _parse_status(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if value not in STATUSES:
        raise BrokenRuleError("status")
    return value


def _parse_secure_token(value: object) -> Token:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not 1 <= len(utf8(value)) <= MAX_TOKEN_BYTES:
        raise BrokenRuleError("token_length")
    if is_card_number(value):
        raise BrokenRuleError("card_number")
    return Token("SecureToken", value)


def _parse_sealed_token(value: object) -> Token:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    try:
        ciphertext = base64.b64decode(value, validate=True)
    except ValueError:  # binascii.Error is a ValueError; a character beyond ASCII raises a plain one
        raise BrokenRuleError("base64") from None
    if not 1 <= len(ciphertext) <= MAX_CIPHERTEXT_BYTES:
        raise BrokenRuleError("ciphertext_length")
    return Token("SealedToken", value)


def _fields_that_hold_the_token(start_input: Mapping[str, object]) -> set[str]:
    """Return the other fields whose text contains the plaintext token."""
    token = start_input.get("SecureToken")
    if not isinstance(token, str) or len(token) < MIN_SEARCHED_TOKEN_CHARACTERS:
        return set()
    holders = set()
    for field in CONTRACT_FIELDS:
        value = start_input.get(field)
        texts = [*value, *value.values()] if isinstance(value, dict) else [value]
        if field != "SecureToken" and any(isinstance(text, str) and token in text for text in texts):
            holders.add(field)
    return holders
