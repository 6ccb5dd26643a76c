"""Card data, which the ledger never accepts: card numbers, and metadata keys of data that nobody may keep.

With the check digit alone, a tenth of all numeric IDs would count as card numbers. So a number must also begin as a
brand's cards do. docs/internals/decisions.md says which share of each format of IDs is rejected by chance.
"""

import re
from collections.abc import Iterator

MIN_DIGITS = 13
"""Digits of the shortest card number of the brands below."""

MAX_DIGITS = 19
"""Digits of the longest card number. Source: ISO/IEC 7812-1."""

BRANDS: dict[str, tuple[tuple[str, str, range], ...]] = {
    "2": (
        ("2200", "2204", range(16, 20)),  # Mir
        ("2221", "2720", range(16, 17)),  # Mastercard
    ),
    "3": (
        ("300", "305", range(14, 20)),  # Diners Club
        ("3095", "3095", range(14, 20)),
        ("34", "34", range(15, 16)),  # American Express
        ("3528", "3589", range(16, 20)),  # JCB
        ("36", "36", range(14, 20)),  # Diners Club
        ("37", "37", range(15, 16)),  # American Express
        ("38", "39", range(14, 20)),  # Diners Club
    ),
    "4": (
        ("4", "4", range(13, 14)),  # Visa, and Elo's cards that begin with 4
        ("4", "4", range(16, 17)),
        ("4", "4", range(18, 20)),
    ),
    "5": (
        ("5018", "5020", range(13, 20)),  # Maestro and Dankort
        ("5038", "5038", range(13, 20)),  # Maestro
        ("504175", "504175", range(16, 17)),  # Elo
        ("506699", "506778", range(16, 17)),
        ("508500", "508999", range(16, 17)),  # RuPay
        ("509000", "509999", range(16, 17)),  # Elo
        ("51", "55", range(16, 17)),  # Mastercard
        ("5893", "5893", range(13, 20)),  # Maestro
    ),
    "6": (
        ("6011", "6011", range(16, 20)),  # Discover
        ("606985", "608500", range(16, 17)),  # RuPay
        ("62", "62", range(16, 20)),  # UnionPay
        ("6304", "6304", range(13, 20)),  # Maestro
        ("636297", "636297", range(16, 17)),  # Elo
        ("636368", "636368", range(16, 17)),
        ("644", "649", range(16, 20)),  # Discover
        ("65", "65", range(16, 20)),  # Discover, RuPay and Elo
        ("6759", "6759", range(13, 20)),  # Maestro
        ("6761", "6763", range(13, 20)),
    ),
}
"""Ranges of card numbers, by their first digit: the first and the last beginning, and the numbers' possible lengths.

Source: the ranges that Wikipedia's "Payment card number" and Braintree's package `credit-card-type` give. Three ranges
are left out, because far more IDs than cards begin with them: 81 and 82 (UnionPay, RuPay), with which Adyen's
references begin; the rest of 50, 56 to 58 and 6 (other issuers of Maestro); 1800 and 2131 (JCB's former cards), with
which times begin.
"""

# `\d` matches the digits of any script on purpose: a card number in full-width digits is a card number, too.
SEPARATOR = r"(?:[^\w:+,;]|_)"
DIGIT_GROUPS = re.compile(rf"\d(?:{SEPARATOR}{{0,3}}\d){{{MIN_DIGITS - 1},}}")
"""Groups of digits with 13 digits or more in all, and with at most three separators between two digits.

A separator is a character that is neither a letter nor a digit. Colon, comma, plus and semicolon are not separators:
times, lists, coordinates and offsets from UTC contain them, and card numbers do not.
"""

HEXADECIMAL = (
    r"(?:(?<=_sha256_)|(?<![0-9A-Za-z])(?!\d{13,19}[Dd]\d\d(?:0[1-9]|1[0-2])\d))"
    r"(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{24}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}"
    r"|[0-9A-Fa-f]{64})(?![0-9A-Za-z])"
)
"""UUIDs, the hash of a mapped TransactionID, and other digests and object IDs, which contain digits by chance.

A chip card's track is hexadecimal as well, and is not matched: after the number it has a D, the year and the month."""

IBAN = r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11,30}(?![0-9A-Za-z])"

MAX_PHONE_NUMBER_DIGITS = 15
"""Digits of the longest phone number. Numbers in Germany begin with 49, and Visa's card numbers with 4.
Source: ITU-T E.164."""

DOUBLED = {digit: str(sum(divmod(2 * int(digit), 10))) for digit in "0123456789"}

CODES = frozenset({"cav2", "ccv", "csc", "cvc", "cvc2", "cvc3", "cvn", "cvn2", "cvv", "cvv2"})
"""Names that the brands have for a card's verification code, and a common misspelling."""

LEADING_WORDS = ("payment", "method", "credit", "debit", "card")
SENSITIVE_KEYS = frozenset(
    "cvd cvvcode cvccode cvvnumber cvcnumber cvvvalue cvcvalue securitycode "
    "verificationcode verificationnumber verificationvalue pin pinblock pinnumber encryptedpin encryptedpinblock "
    "track track1 track2 track3 trackdata track1data track2data track3data trackdata1 trackdata2 trackdata3 "
    "track2equivalent track2equivalentdata magstripe magstripedata magneticstripe magneticstripedata".split()
)
"""Keys of full track data, card verification code, PIN and PIN block. American Express' CID is left out, because many
other things have this name. Source: PCI DSS 4.0.1, requirement 3.3.1."""


def holds_card_number(text: str) -> bool:
    """Return whether a group of digits in *text*, or several groups in a row, are a card number.

    A part of a group never counts as a card number. The cost is linear in the text, because each group begins at most
    19 numbers.
    """
    if len(text) < MIN_DIGITS or DIGIT_GROUPS.search(text) is None:
        return False
    text = re.sub(IBAN, lambda found: "x" if _is_iban(found[0]) else found[0], re.sub(HEXADECIMAL, "x", text))
    for run in DIGIT_GROUPS.finditer(text):
        groups = re.findall(r"\d+", _ascii_digits(run[0]))
        is_phone_number = text.startswith("+", run.start() - 1) and sum(map(len, groups)) <= MAX_PHONE_NUMBER_DIGITS
        if not is_phone_number and any(map(_is_card_number, _joined(groups))):
            return True
    return False


def is_card_number(text: str) -> bool:
    """Return whether *text* is a card number and nothing else, with or without separators."""
    digits = re.sub(SEPARATOR, "", text)
    return digits.isdecimal() and _is_card_number(_ascii_digits(digits))


def is_sensitive_key(key: str) -> bool:
    """Return whether *key* names a card's verification code, PIN or track, however its words are written and joined."""
    words = re.split(r"[._-]|(?<=[a-z])(?=[A-Z])", key)
    if (
        words[-1].casefold() in CODES
    ):  # as in `billing.cvc`; PIN and track also have other meanings (a place's code, a parcel's track)
        return True
    letters = re.sub(r"[._-]", "", key.casefold())
    while leading := [word for word in LEADING_WORDS if letters.startswith(word)]:
        letters = letters.removeprefix(leading[0])
    return letters in SENSITIVE_KEYS | CODES


def _joined(groups: list[str]) -> Iterator[str]:
    """Yield the digits of each row of groups that has as many digits as a card number may have."""
    for first in range(len(groups)):
        digits = ""
        for group in groups[first : first + MAX_DIGITS]:
            digits += group
            if len(digits) > MAX_DIGITS:
                break
            if len(digits) >= MIN_DIGITS:
                yield digits


def _is_card_number(digits: str) -> bool:
    for first, last, lengths in BRANDS.get(digits[0], ()):
        if len(digits) in lengths and first <= digits[: len(first)] <= last:
            # Source: ISO/IEC 7812-1, annex B (Luhn): every second digit from the right counts twice.
            checked = digits[-1::-2] + "".join(map(DOUBLED.__getitem__, digits[-2::-2]))
            return sum(map(int, checked)) % 10 == 0
    return False


def _is_iban(text: str) -> bool:
    """Return whether an IBAN's check digits are right. Source: ISO 13616, and ISO/IEC 7064, MOD 97-10."""
    iban = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def _ascii_digits(text: str) -> str:
    return text if text.isascii() else "".join(str(int(one)) if one.isdecimal() else one for one in text)
