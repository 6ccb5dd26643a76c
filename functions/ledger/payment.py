"""The processor's contract: from a start input to one canonical payment, or to every rule it breaks.

The rules are those of `events/schemas/payment.schema.json`, and the few that a JSON Schema cannot say.
Nothing here knows AWS. No message carries a value of the input: values may be secret, and an
unknown field's *name* is the sender's text too.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.cards import holds_card_number, is_card_number, is_sensitive_key
from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS, NO_MINOR_UNIT

MAX_DIGITS = 38
"""What a DynamoDB number holds. Source: DynamoDB Developer Guide, data types, Number."""

MAX_FLOAT_DIGITS = 15
"""Decimal digits that always survive a double (C's `DBL_DIG`)."""

MAX_TOKEN_BYTES = 4096
"""What `kms:Encrypt` takes. Source: KMS API, Encrypt, Plaintext."""

MAX_CIPHERTEXT_BYTES = 6144
"""What `kms:ReEncrypt` takes. Source: KMS API, ReEncrypt, CiphertextBlob."""

MAX_METADATA_PAIRS = 16
MAX_METADATA_VALUE_CHARACTERS = 256

MAX_GUESSED = 16
"""Unknown fields for which the meant field is looked for: it takes long, and a start input may have thousands."""

MIN_SEARCHED_TOKEN_CHARACTERS = 8
"""A shorter token is not searched for in the other fields: it would be found by chance."""

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
"""Every rule that a refusal can name. A refusal from outside the workflow names no other: each is a metric."""

# All patterns are for `fullmatch`: `$` would let a trailing newline pass. [0-9], for `\d` takes any script's digits.
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
NEGATIVE_DECIMAL = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


class Violation(NamedTuple):
    """One broken rule: a contract field (or `Payment` for the whole) and a stable rule code."""

    field: str
    rule: str


class InvalidPaymentError(Exception):
    """The start input breaks the contract. A business refusal: caught by the workflow, never retried.

    The message is JSON, since it is all that a Lambda error carries on: the ids as far as they are
    valid, and every violation.
    """

    def __init__(
        self,
        violations: list[Violation],
        *,
        transaction_id: str | None = None,
        processor_id: str | None = None,
    ) -> None:
        self.violations = sorted(set(violations))
        self.transaction_id, self.processor_id = transaction_id, processor_id
        refusal = {
            "TransactionID": transaction_id,
            "ProcessorID": processor_id,
            "Violations": [{"Field": v.field, "Rule": v.rule} for v in self.violations],
        }
        super().__init__(json.dumps({name: value for name, value in refusal.items() if value is not None}))

    @property
    def log_keys(self) -> dict[str, Any]:
        """The refusal as keys of a log line."""
        rules = [f"{violation.field}: {violation.rule}" for violation in self.violations]
        return {"transaction_id": self.transaction_id, "processor_id": self.processor_id, "rules": rules}


class BrokenRuleError(Exception):
    """One value breaks *rule*. `parse_payment` collects these into an `InvalidPaymentError`."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


class Payment(NamedTuple):
    """A payment in canonical form: equal payments have equal fields.

    `amount` is decimal text with exactly the currency's decimals; `timestamp` is UTC with
    microseconds, 27 characters, so that text order is time order.
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
        """SHA-256 (hex) of what makes it this payment: every field but the metadata; never the token."""
        identity = [getattr(self, name) for name in FINGERPRINTED]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def as_state(self) -> dict[str, Any]:
        """The payment as the workflow carries it, in the contract's names."""
        return {STATE_NAMES[name]: value for name, value in self._asdict().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Payment":
        """The payment that `as_state` wrote."""
        return cls(**{name: state[STATE_NAMES[name]] for name in cls._fields})


STATE_NAMES = {
    "transaction_id": "TransactionID",
    "amount": "Amount",
    "currency": "Currency",
    "processor_id": "ProcessorID",
    "status": "Status",
    "timestamp": "Timestamp",
    "metadata": "Metadata",
}

FINGERPRINTED = ("transaction_id", "amount", "currency", "processor_id", "status", "timestamp")


class Token(NamedTuple):
    """What the sender put in for the token: `SecureToken` (plaintext) or `SealedToken` (base64)."""

    field: str
    text: str


def encryption_context(transaction_id: str) -> dict[str, str]:
    """Bind a token's ciphertext in the ledger to its transaction: KMS decrypts it under no other. It is no secret."""
    return {"TransactionID": transaction_id}


def seal_context(transaction_id: str, processor_id: str) -> dict[str, str]:
    """Bind a sealed token to one payment of one processor: KMS opens it for no other. It is no secret."""
    return {"TransactionID": transaction_id, "ProcessorID": processor_id}


def parse_payment(
    start_input: object, *, default_currency: str, plaintext_tokens: bool = True
) -> tuple[Payment, Token]:
    """The canonical payment and its token, or every violation at once.

    Args:
        start_input: parsed JSON, as the Lambda runtime hands it over: anything at all.
        default_currency: an ISO 4217 code with a minor unit, taken if `Currency` is absent.
        plaintext_tokens: whether a token may come in clear, and so stand in the execution's history.

    Raises:
        InvalidPaymentError: at least one rule is broken. Never retried.
    """
    if not isinstance(start_input, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])

    violations = list(_unknown_fields(name for name in start_input if name not in CONTRACT_FIELDS))
    given = {"Currency": default_currency, "Metadata": {}, **start_input}

    def take(field: str, rule: Callable[..., Any], *arguments: Any) -> Any:
        """The field's canonical value; None, and a violation noted, where a rule is broken."""
        if field not in given:
            violations.append(Violation(field, "required"))
            return None
        try:
            return rule(given[field], *arguments)
        except BrokenRuleError as broken:
            violations.append(Violation(field, broken.rule))
            return None

    transaction_id = take("TransactionID", _identifier)
    processor_id = take("ProcessorID", _identifier)
    timestamp = take("Timestamp", utc_timestamp)
    currency = take("Currency", _currency, timestamp)
    amount = take("Amount", _amount, None if currency is None else minor_unit(currency, timestamp))
    status = take("Status", _status)
    metadata = take("Metadata", _metadata)
    if metadata is not None:  # and within its lengths, which bound what this costs
        violations.extend(_card_violations(metadata))
    token: Token | None = None
    if "SecureToken" in start_input and "SealedToken" in start_input:
        violations.append(Violation("SecureToken", "exactly_one_token"))
    elif "SecureToken" in start_input and not plaintext_tokens:
        violations.append(Violation("SecureToken", "plaintext_token"))
    elif "SealedToken" in start_input or not plaintext_tokens:
        token = take("SealedToken", _sealed_token)
    else:
        token = take("SecureToken", _secure_token)

    # A processor that repeats the token in another field would have it written down in clear.
    violations.extend(Violation(field, "holds_token") for field in _fields_that_hold_the_token(start_input))
    if violations or token is None:
        raise InvalidPaymentError(
            violations,
            transaction_id=valid_id(start_input, "TransactionID"),
            processor_id=valid_id(start_input, "ProcessorID"),
        )
    return Payment(transaction_id, amount, currency, processor_id, status, timestamp, metadata), token


def is_identifier(text: str) -> bool:
    """Return whether *text* may be an ID: it has an ID's form, and holds no card number."""
    return IDENTIFIER.fullmatch(text) is not None and not holds_card_number(text)


def valid_id(start_input: Mapping[str, Any], field: str) -> str | None:
    """Return the identifier in *field*; None if it is invalid, or holds a card number or the plaintext token."""
    value = start_input.get(field)
    if not isinstance(value, str) or not is_identifier(value):
        return None
    return None if field in _fields_that_hold_the_token(start_input) else value


def refusal_input(refused: InvalidPaymentError) -> dict[str, Any]:
    """Return the start input with which the workflow publishes a refusal that happened before it.

    It has the refusal's IDs and rules, and nothing of what was refused: an execution's history keeps its input.
    """
    return {"Refused": json.loads(str(refused))}


def parse_refusal(start_input: object) -> InvalidPaymentError | None:
    """Return the refusal that `refusal_input` wrote; None for any other input, which the contract judges.

    Whoever may start executions can write one: the IDs must be valid, and fields and rules known ones, so that no text
    of a sender becomes a metric or stands in an event.
    """
    refused = start_input.get("Refused") if isinstance(start_input, dict) and len(start_input) == 1 else None
    if not isinstance(refused, dict) or not isinstance(refused.get("Violations"), list):
        return None
    try:
        violations = [Violation(one["Field"], one["Rule"]) for one in refused["Violations"]]
        parsed = InvalidPaymentError(
            violations,
            transaction_id=valid_id(refused, "TransactionID"),
            processor_id=valid_id(refused, "ProcessorID"),
        )
    except (KeyError, TypeError):
        return None
    known = all(field in {*CONTRACT_FIELDS, "Payment"} and rule in RULES for field, rule in violations)
    return parsed if violations and known and refusal_input(parsed) == start_input else None


def utc_timestamp(value: object) -> str:
    """An RFC 3339 date-time with offset, as UTC text of fixed width: `2026-01-31T23:59:59.000000Z`.

    `datetime.fromisoformat` takes far more than RFC 3339, so the pattern decides and it only calculates.
    """
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    match = DATE_TIME.fullmatch(value)
    if match is None:
        raise BrokenRuleError("timestamp")
    date, hour_minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    offset = f"{sign}{offset_hour}:{offset_minute}" if sign else "+00:00"
    # A leap second is right only at the end of a UTC day, so its minute decides which rule it breaks.
    is_leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{hour_minute}:{'59' if is_leap else second}{offset}")
    except ValueError:
        raise BrokenRuleError("timestamp") from None
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise BrokenRuleError("timestamp_range") from None
    if is_leap:
        raise BrokenRuleError("leap_second" if (moment.hour, moment.minute) == (23, 59) else "timestamp")
    if fraction and len(fraction) > 6:
        raise BrokenRuleError("timestamp_precision")
    return f"{moment.replace(tzinfo=None).isoformat()}.{fraction or '':0<6}Z"


def _identifier(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not IDENTIFIER.fullmatch(value):
        raise BrokenRuleError("identifier")
    if holds_card_number(value):
        raise BrokenRuleError("card_number")
    return value


def minor_unit(currency: str, timestamp: str | None) -> int | None:
    """Return how many decimals an amount in *currency* had at *timestamp*; None if it was no currency then.

    Args:
        currency: any text.
        timestamp: in canonical form; None stands for the time of the first list that is known.
    """
    for until, decimals in FORMER_MINOR_UNITS.get(currency, ()):
        if (timestamp or "") < until:
            return decimals
    return MINOR_UNITS.get(currency)


def _currency(value: object, timestamp: str | None) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if minor_unit(value, timestamp) is None:
        if value in NO_MINOR_UNIT:
            raise BrokenRuleError("no_minor_unit")
        raise BrokenRuleError("retired_currency" if value in FORMER_MINOR_UNITS else "currency")
    return value


def _amount(value: object, decimals: int | None) -> str:
    """Decimal text with the currency's decimals. An unusable currency leaves the decimals unchecked."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BrokenRuleError("type")
    if isinstance(value, str):
        text = value
    elif isinstance(value, int):
        # Compared, not printed: the decimal text of a huge integer is refused by Python itself.
        if abs(value) >= 10**MAX_DIGITS:
            raise BrokenRuleError("negative" if value < 0 else "digits")
        text = str(value)
    else:
        text = _float_text(value, decimals or 0)
    return canonical_amount(text, decimals)


def canonical_amount(text: str, decimals: int | None) -> str:
    """Decimal text without superfluous leading zeros and with exactly *decimals* decimals.

    Text in, text out: no number type is on the way, so nothing can be rounded.
    """
    if NEGATIVE_DECIMAL.fullmatch(text):
        raise BrokenRuleError("negative")
    match = DECIMAL.fullmatch(text)
    if match is None:
        raise BrokenRuleError("decimal")
    whole, fraction = match[1], match[2] or ""
    if decimals is not None and len(fraction) > decimals:
        raise BrokenRuleError("decimals")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise BrokenRuleError("digits")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.ljust(decimals or 0, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _float_text(value: float, decimals: int) -> str:
    """The decimal text that was written for a JSON number with a point, if it is certain.

    The runtime's parser has made a double of it before any of our code runs. The text is certain
    when no other decimal with the currency's decimals has the same double, which is so when the
    distance to the next double is one minor unit at most, and the shortest text that reads back has
    at most 15 digits.
    """
    if math.isnan(value):  # `strict_json.loads` has seen digits that a double does not keep
        raise BrokenRuleError("float_digits")
    if not math.isfinite(value):
        raise BrokenRuleError("decimal")
    shortest = Decimal(repr(value)).normalize()
    minor_unit = Decimal(1).scaleb(-decimals)
    if len(shortest.as_tuple().digits) > MAX_FLOAT_DIGITS or Decimal(math.ulp(value)) > minor_unit:
        raise BrokenRuleError("float_digits")
    return format(shortest, "f")


def _status(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if value not in STATUSES:
        raise BrokenRuleError("status")
    return value


def _metadata(value: object) -> dict[str, str]:
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


def _secure_token(value: object) -> Token:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not 1 <= len(_utf8(value)) <= MAX_TOKEN_BYTES:
        raise BrokenRuleError("token_length")
    if is_card_number(value):
        raise BrokenRuleError("card_number")
    return Token("SecureToken", value)


def _sealed_token(value: object) -> Token:
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    try:
        ciphertext = base64.b64decode(value, validate=True)
    except ValueError:  # binascii.Error is one; a character beyond ASCII raises the plain one
        raise BrokenRuleError("base64") from None
    if not 1 <= len(ciphertext) <= MAX_CIPHERTEXT_BYTES:
        raise BrokenRuleError("ciphertext_length")
    return Token("SealedToken", value)


def _utf8(text: str) -> bytes:
    """JSON can hold half a surrogate pair, which is no character and has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BrokenRuleError("not_unicode") from None


def _unknown_fields(names: Iterable[str]) -> Iterator[Violation]:
    """Names the contract's field that each probably stands for; never the name that was given."""
    for number, name in enumerate(names):
        meant = meant_field(name) if number < MAX_GUESSED else None
        yield Violation(meant, "misspelled_field") if meant else Violation("Payment", "unknown_field")


def meant_field(name: str) -> str | None:
    """Return the contract's field that an unknown field's name probably stands for, if any."""
    from difflib import get_close_matches  # noqa: PLC0415  # only a refused payment pays for this import

    by_letters = {field.casefold(): field for field in CONTRACT_FIELDS}
    letters = name[:64].casefold().replace("_", "").replace("-", "")
    for meant in get_close_matches(letters, by_letters, n=1, cutoff=0.8):
        return by_letters[meant]
    return None


def _fields_that_hold_the_token(start_input: Mapping[str, object]) -> set[str]:
    """The other fields in whose text the plaintext token stands."""
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
