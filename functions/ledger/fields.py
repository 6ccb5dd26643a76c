"""The fields of an input: the rules that a payment's and an entry's contract share.

No message contains a value of the input, because a value may be secret. Nor does a message contain the *name* of an
unknown field, because that is the sender's text too.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ledger.amounts import minor_unit
from ledger.cards import holds_card_number, is_sensitive_key
from ledger.currencies import FORMER_MINOR_UNITS, NO_MINOR_UNIT
from ledger.violations import ID_NAMES, BrokenRuleError, InvalidInputError, Violation

T = TypeVar("T", bound=InvalidInputError)

RULES = frozenset(
    # Both contracts'.
    "required type not_an_object unknown_field misspelled_field identifier not_unicode decimal negative digits "
    "decimals float_digits currency retired_currency no_minor_unit timestamp timestamp_precision timestamp_range "
    "leap_second metadata_pairs metadata_key metadata_value card_number card_data import not_for_processors "
    # A payment's.
    "exactly_one_token plaintext_token token_length base64 ciphertext_length not_sealed_for_this_payment "
    "too_many_attempts holds_token status "
    # An entry's.
    "kind zero not_for_this_kind id_of_the_payment metadata_length unknown_payment failed_payment processor "
    "exceeds_captured exceeds_refunded exceeds_disputed unknown_entry already_reversed voided too_many_entries "
    # The webhook's.
    "not_json duplicate_name another_processor id_prefix not_an_event amount_unit too_large several_items "
    "capture_failed cumulative_amount".split()
)
"""Every rule that a refusal can name. One from outside the workflow names no other: each rule is a metric."""

IMPORT = "Import"
"""Field by which a start input says that it is history from elsewhere. It is in no contract with a processor."""

QUIET, PUBLISHED = "quiet", "published"
"""Values of `Import`: consumers learn nothing of a quiet import, and of the other one by an event of its own type."""

MAX_METADATA_PAIRS = 16
MAX_METADATA_VALUE_CHARACTERS = 256
"""Both limits keep small what a payment brings: its item, its event, a page of a query, and the search for cards.
The schema and docs/integrate/contract.md state them too, and a test compares them."""

MAX_CORRECTED_FIELDS = 16
"""Unknown fields of an input for which a known field is suggested. One suggestion takes long, and an input may have
thousands of fields."""

# Both are for `fullmatch`: `$` would accept a trailing newline. [0-9], because `\d` accepts the digits of any script.
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")


MIN_REASON_CHARACTERS = 8
MAX_REQUEST_CHARACTERS = 256


class InvalidRequestError(Exception):
    """A field of an operator's request is missing or invalid. The message names the field, and no value."""


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


def is_identifier(text: str) -> bool:
    """Return whether *text* may be an ID: it has the form of an ID, and holds no card number."""
    return IDENTIFIER.fullmatch(text) is not None and not holds_card_number(text)


def parse_identifier(value: object) -> str:
    """Return the value, which is an ID.

    Raises:
        BrokenRuleError: it is not text, has not the form of an ID, or holds a card number.
    """
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if not IDENTIFIER.fullmatch(value):
        raise BrokenRuleError("identifier")
    if holds_card_number(value):
        raise BrokenRuleError("card_number")
    return value


def parse_currency(value: object, timestamp: str | None) -> str:
    """Return the value, which is the code of a currency with a minor unit at *timestamp* (see `minor_unit`).

    Raises:
        BrokenRuleError: it is not such a code.
    """
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if minor_unit(value, timestamp) is None:
        if value in NO_MINOR_UNIT:
            raise BrokenRuleError("no_minor_unit")
        raise BrokenRuleError("retired_currency" if value in FORMER_MINOR_UNITS else "currency")
    return value


def parse_import(value: object, allowed: bool) -> str:  # noqa: FBT001  # the readers of fields have no keywords
    """Return the value, which says whether consumers learn of the import.

    Raises:
        BrokenRuleError: the sender may not import, or the value is another one.
    """
    if not allowed:
        raise BrokenRuleError("not_for_processors")
    if not isinstance(value, str):
        raise BrokenRuleError("type")
    if value not in (QUIET, PUBLISHED):
        raise BrokenRuleError("import")
    return value


def parse_metadata(value: object) -> dict[str, str]:
    """Return the value, which is an object of short texts.

    Raises:
        BrokenRuleError: it is no such object, or exceeds a limit.
    """
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
        utf8(text)
    return value


def card_violations(metadata: Mapping[str, str]) -> Iterator[Violation]:
    """Yield the rules about card data that a key or a value breaks."""
    if any(map(is_sensitive_key, metadata)):
        yield Violation("Metadata", "card_data")
    if any(map(holds_card_number, (*metadata, *metadata.values()))):
        yield Violation("Metadata", "card_number")


def utf8(text: str) -> bytes:
    """Return the text in UTF-8. JSON can hold half a surrogate pair, which is not a character and has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BrokenRuleError("not_unicode") from None


def reason_and_requester(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return why an operator asks for something, and the name that the operator's tool gives the operator.

    Raises:
        InvalidRequestError: one of them is missing, too short or too long.
    """
    return _required_text(event, "Reason", MIN_REASON_CHARACTERS), _required_text(event, "Requester", 1)


def _required_text(event: Mapping[str, Any], field: str, shortest: int) -> str:
    text = event.get(field)
    if not isinstance(text, str) or not shortest <= len(text.strip()) or len(text) > MAX_REQUEST_CHARACTERS:
        raise InvalidRequestError(f"{field} is text of {shortest} to {MAX_REQUEST_CHARACTERS} characters")
    try:
        utf8(text)
    except BrokenRuleError:
        raise InvalidRequestError(f"{field} is not Unicode") from None
    return text


def refused_input(refused: InvalidInputError) -> dict[str, Any]:
    """Return the start input with which a workflow publishes a refusal that happened before the workflow.

    It has the refusal's IDs and rules, and nothing else of the message: an execution's history keeps its input.
    """
    return {"Refused": json.loads(str(refused))}


def parse_refused(start_input: object, error: type[T], known_fields: Collection[str]) -> T | None:
    """Return the refusal that `refused_input` wrote; None for any other input, which the contract judges.

    Anybody who may start executions can write such an input. So the IDs must be valid, and the fields and rules must be
    known: otherwise a sender's text could become a metric, or appear in an event.
    """
    refused = start_input.get("Refused") if isinstance(start_input, dict) else None
    if not isinstance(refused, dict):
        return None
    ids = {name: refused.get(field) for name, field in ID_NAMES.items()}
    if not all(value is None or (isinstance(value, str) and is_identifier(value)) for value in ids.values()):
        return None
    try:
        violations = [Violation(one["Field"], one["Rule"]) for one in refused["Violations"]]
        parsed = error(violations, **ids)
    except (KeyError, TypeError):
        return None
    known = all(field in known_fields and rule in RULES for field, rule in violations)
    return parsed if violations and known and refused_input(parsed) == start_input else None


def unknown_fields(names: Iterable[str], known: Sequence[str], whole: str) -> Iterator[Violation]:
    """Yield a violation for each name. It names the field that the sender probably meant, never the name itself.

    Args:
        names: names of fields that the contract does not have.
        known: the contract's fields.
        whole: the name of the whole input, for a name that resembles no field.
    """
    for number, name in enumerate(names):
        intended = intended_field(name, known) if number < MAX_CORRECTED_FIELDS else None
        yield Violation(intended, "misspelled_field") if intended else Violation(whole, "unknown_field")


def intended_field(name: str, known: Sequence[str]) -> str | None:
    """Return the field of *known* that the sender of an unknown field probably meant, if any."""
    from difflib import get_close_matches  # noqa: PLC0415  # only a rejected payment pays for this import

    by_letters = {field.casefold(): field for field in known}
    letters = name[:64].casefold().replace("_", "").replace("-", "")
    for intended in get_close_matches(letters, by_letters, n=1, cutoff=0.8):
        return by_letters[intended]
    return None
