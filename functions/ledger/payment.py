"""The processor's contract: from a start input to one canonical payment, or to every rule that the input breaks.

The rules are those of `events/schemas/payment.schema.json`, and the few that a JSON Schema cannot express. This module
knows nothing of AWS. No message contains a value of the input, because a value may be secret. Nor does a message
contain the *name* of an unknown field, because that is the sender's text too.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ledger.amounts import minor_unit, parse_amount
from ledger.cards import holds_card_number, is_card_number, is_sensitive_key
from ledger.currencies import FORMER_MINOR_UNITS, NO_MINOR_UNIT
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, InvalidPaymentError, Violation

MAX_TOKEN_BYTES = 4096
"""Bytes that `kms:Encrypt` accepts. Source: KMS API, Encrypt, Plaintext."""

MAX_CIPHERTEXT_BYTES = 6144
"""Bytes that `kms:ReEncrypt` accepts. Source: KMS API, ReEncrypt, CiphertextBlob."""

MAX_METADATA_PAIRS = 16
MAX_METADATA_VALUE_CHARACTERS = 256
"""Both limits keep small what a payment brings: its item, its event, a page of a query, and the search for cards.
The schema and docs/integrate/contract.md state them too, and a test compares them."""

MAX_CORRECTED_FIELDS = 16
"""Unknown fields of an input for which a known field is suggested. One suggestion takes long, and an input may have
thousands of fields."""

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

RULES = frozenset(
    # The contract's.
    "required type not_an_object unknown_field misspelled_field identifier exactly_one_token plaintext_token "
    "token_length not_unicode base64 ciphertext_length not_sealed_for_this_payment too_many_attempts "
    "holds_token decimal negative digits decimals float_digits currency retired_currency no_minor_unit status "
    "timestamp timestamp_precision timestamp_range leap_second metadata_pairs metadata_key metadata_value "
    "card_number card_data "
    # The webhook's.
    "not_json duplicate_name another_processor id_prefix not_an_event amount_unit too_large".split()
)
"""Every rule that a rejection can name. One from outside the workflow names no other: each rule is a metric."""

# Both are for `fullmatch`: `$` would accept a trailing newline. [0-9], because `\d` accepts the digits of any script.
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")

STATE_NAMES = {
    "transaction_id": "TransactionID",
    "amount": "Amount",
    "currency": "Currency",
    "processor_id": "ProcessorID",
    "status": "Status",
    "timestamp": "Timestamp",
    "metadata": "Metadata",
}
"""Attributes of `Payment`, and their names in the contract."""

FINGERPRINTED = ("transaction_id", "amount", "currency", "processor_id", "status", "timestamp")
"""Attributes that decide whether two payments are the same one."""


class Payment(NamedTuple):
    """A payment in canonical form: equal payments have equal fields.

    `amount` is decimal text with exactly the currency's decimals. `timestamp` is UTC with microseconds, 27 characters,
    so that text order is time order.
    """

    transaction_id: str
    amount: str
    currency: str
    processor_id: str
    status: str
    timestamp: str
    metadata: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the payment's identity: of every field but the metadata, and never of the token."""
        identity = [getattr(self, name) for name in FINGERPRINTED]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def as_state(self) -> dict[str, Any]:
        """Return the payment as the workflow carries it, under the contract's names."""
        return {STATE_NAMES[name]: value for name, value in self._asdict().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Payment":
        """Return the payment that `as_state` wrote."""
        return cls(**{name: state[STATE_NAMES[name]] for name in cls._fields})


class Token(NamedTuple):
    """The token as the sender gave it: in the field `SecureToken` (plaintext) or `SealedToken` (base64)."""

    field: str
    text: str


class FieldReader:
    """Reads the fields of a start input, and collects a violation for each field that breaks a rule."""

    def __init__(self, start_input: Mapping[str, Any]) -> None:
        self.start_input = start_input
        self.violations: list[Violation] = []

    def required(self, field: str, parse: Callable[..., Any], *arguments: Any) -> Any:
        """Return the field's canonical value; None, and add a violation, if it is absent or breaks a rule."""
        if field not in self.start_input:
            self.violations.append(Violation(field, "required"))
            return None
        return self._parsed(field, self.start_input[field], parse, *arguments)

    def optional(self, field: str, parse: Callable[..., Any], *arguments: Any, default: Any) -> Any:
        """Return the canonical value of the field, or of *default* if it is absent; None if the value breaks a rule."""
        return self._parsed(field, self.start_input.get(field, default), parse, *arguments)

    def _parsed(self, field: str, value: Any, parse: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return parse(value, *arguments)
        except BrokenRuleError as broken:
            self.violations.append(Violation(field, broken.rule))
            return None


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
    start_input: object, *, default_currency: str, plaintext_tokens: bool = True
) -> tuple[Payment, Token]:
    """Return the canonical payment and its token, or report every violation at once.

    Args:
        start_input: parsed JSON of any form, as the Lambda runtime passes it on.
        default_currency: an ISO 4217 code with a minor unit, which is used if `Currency` is absent.
        plaintext_tokens: whether a token may come in plaintext, and so appear in the execution's history.

    Raises:
        InvalidPaymentError: the input breaks at least one rule. Never retried.
    """
    if not isinstance(start_input, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])

    fields = FieldReader(start_input)
    violations = fields.violations
    violations.extend(_unknown_fields(name for name in start_input if name not in CONTRACT_FIELDS))
    transaction_id = fields.required("TransactionID", _parse_identifier)
    processor_id = fields.required("ProcessorID", _parse_identifier)
    timestamp = fields.required("Timestamp", utc_timestamp)
    currency = fields.optional("Currency", _parse_currency, timestamp, default=default_currency)
    amount = fields.required("Amount", parse_amount, None if currency is None else minor_unit(currency, timestamp))
    status = fields.required("Status", _parse_status)
    metadata = fields.optional("Metadata", _parse_metadata, default={})
    if metadata is not None:  # and so within its lengths, which bound the cost of the search
        violations.extend(_card_violations(metadata))
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
    return Payment(transaction_id, amount, currency, processor_id, status, timestamp, metadata), token


def is_identifier(text: str) -> bool:
    """Return whether *text* may be an ID: it has the form of an ID, and holds no card number."""
    return IDENTIFIER.fullmatch(text) is not None and not holds_card_number(text)


def valid_id(start_input: Mapping[str, Any], field: str) -> str | None:
    """Return the identifier in *field*; None if it is invalid, or holds a card number or the plaintext token."""
    value = start_input.get(field)
    if not isinstance(value, str) or not is_identifier(value):
        return None
    return None if field in _fields_that_hold_the_token(start_input) else value


def rejection_input(rejected: InvalidPaymentError) -> dict[str, Any]:
    """Return the start input with which the workflow publishes a rejection that happened before the workflow.

    It has the rejection's IDs and rules, and nothing else of the message: an execution's history keeps its input.
    """
    return {"Refused": json.loads(str(rejected))}


def parse_rejection(start_input: object) -> InvalidPaymentError | None:
    """Return the rejection that `rejection_input` wrote; None for any other input, which the contract judges.

    Anybody who may start executions can write such an input. So the IDs must be valid, and the fields and rules must be
    known: otherwise a sender's text could become a metric, or appear in an event.
    """
    rejected = start_input.get("Refused") if isinstance(start_input, dict) and len(start_input) == 1 else None
    if not isinstance(rejected, dict) or not isinstance(rejected.get("Violations"), list):
        return None
    try:
        violations = [Violation(one["Field"], one["Rule"]) for one in rejected["Violations"]]
        parsed = InvalidPaymentError(
            violations,
            transaction_id=valid_id(rejected, "TransactionID"),
            processor_id=valid_id(rejected, "ProcessorID"),
        )
    except (KeyError, TypeError):
        return None
    known = all(field in {*CONTRACT_FIELDS, "Payment"} and rule in RULES for field, rule in violations)
    return parsed if violations and known and rejection_input(parsed) == start_input else None


def _parse_identifier(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not IDENTIFIER.fullmatch(value):
        raise BrokenRuleError("identifier")
    if holds_card_number(value):
        raise BrokenRuleError("card_number")
    return value


def _parse_currency(value: object, timestamp: str | None) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if minor_unit(value, timestamp) is None:
        if value in NO_MINOR_UNIT:
            raise BrokenRuleError("no_minor_unit")
        raise BrokenRuleError("retired_currency" if value in FORMER_MINOR_UNITS else "currency")
    return value


def _parse_status(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if value not in STATUSES:
        raise BrokenRuleError("status")
    return value


def _parse_metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BrokenRuleError("type")
    if len(value) > MAX_METADATA_PAIRS:
        raise BrokenRuleError("metadata_pairs")
    for key, text in value.items():
        if not METADATA_KEY.fullmatch(key):
            raise BrokenRuleError("metadata_key")
        if not isinstance(text, str):
            raise BrokenRuleError("type")
        if len(text) > MAX_METADATA_VALUE_CHARACTERS:
            raise BrokenRuleError("metadata_value")
        _utf8(text)
    return value


def _card_violations(metadata: Mapping[str, str]) -> Iterator[Violation]:
    """Yield the rules about card data that a key or a value breaks."""
    if any(map(is_sensitive_key, metadata)):
        yield Violation("Metadata", "card_data")
    if any(map(holds_card_number, (*metadata, *metadata.values()))):
        yield Violation("Metadata", "card_number")


def _parse_secure_token(value: object) -> Token:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not 1 <= len(_utf8(value)) <= MAX_TOKEN_BYTES:
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


def _utf8(text: str) -> bytes:
    """Return the text in UTF-8. JSON can hold half a surrogate pair, which is not a character and has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BrokenRuleError("not_unicode") from None


def _unknown_fields(names: Iterable[str]) -> Iterator[Violation]:
    """Yield a violation for each name. It names the field that the sender probably meant, never the name itself."""
    for number, name in enumerate(names):
        intended = intended_field(name) if number < MAX_CORRECTED_FIELDS else None
        yield Violation(intended, "misspelled_field") if intended else Violation("Payment", "unknown_field")


def intended_field(name: str) -> str | None:
    """Return the field of the contract that the sender of an unknown field probably meant, if any."""
    from difflib import get_close_matches  # noqa: PLC0415  # only a rejected payment pays for this import

    by_letters = {field.casefold(): field for field in CONTRACT_FIELDS}
    letters = name[:64].casefold().replace("_", "").replace("-", "")
    for intended in get_close_matches(letters, by_letters, n=1, cutoff=0.8):
        return by_letters[intended]
    return None


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
