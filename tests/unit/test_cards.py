"""Card data: card numbers, texts that only look like them, and metadata keys of data that nobody may keep."""

import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger import cards
from ledger.cards import BRANDS, holds_card_number, is_card_number, is_sensitive_key
from ledger.identifiers import mapped_identifier

NUMBERS = {
    "Visa": "4111111111111111",
    "Visa, 13 digits": "4222222222222",
    "Visa, 19 digits": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, 2 series": "2223003122003222",
    "American Express": "378282246310005",
    "American Express, 34": "343434343434343",
    "Diners Club": "30569309025904",
    "Diners Club, 36": "36227206271667",
    "Diners Club, 38": "38520000023237",
    "Diners Club, 16 digits": "3056930009020004",
    "Discover": "6011111111111117",
    "Discover, 65": "6500000000000002",
    "Discover, 644": "6445644564456445",
    "JCB": "3530111333300000",
    "JCB, 3566": "3566002020360505",
    "UnionPay": "6200000000000005",
    "UnionPay, 19 digits": "6205500000000000004",
    "Maestro": "6759649826438453",
    "Maestro, 5018": "5018000000000009",
    "Maestro, 6304": "6304000000000000",
    "Dankort": "5019717010103742",
    "RuPay": "6074849900004936",
    "RuPay, 508": "5085000000000007",
    "Mir": "2200000000000004",
    "Mir, 2204": "2204120100005475",
    "Elo": "6362970000457013",
    "Elo, 5067": "5067230000009011",
    "Elo, 509": "5090000000000000",
}
"""Test numbers: those that brands and processors publish, or a brand's beginning, zeros and the right check digit."""

VISA, AMEX = NUMBERS["Visa"], NUMBERS["American Express"]


def with_check_digit(digits: str) -> str:
    """Return *digits* and their check digit, by the sum that ISO/IEC 7812-1 describes."""
    doubled = sum(sum(map(int, str(2 * int(digit)))) for digit in digits[::-2])
    return f"{digits}{-(doubled + sum(map(int, digits[-2::-2]))) % 10}"


RANGES = [(first, last, lengths) for ranges in BRANDS.values() for first, last, lengths in ranges]


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    """Return any number of any brand."""
    first, last, lengths = draw(st.sampled_from(RANGES))
    beginning = str(draw(st.integers(int(first), int(last))))
    length = draw(st.sampled_from(list(lengths)))
    rest = draw(st.text("0123456789", min_size=length - 1 - len(beginning), max_size=length - 1 - len(beginning)))
    return with_check_digit(beginning + rest)


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_brands_test_number_is_a_card_number(number: str) -> None:
    """A brand that the table lacks would be recorded permanently."""
    assert holds_card_number(number)
    assert is_card_number(number)


@given(number=card_numbers(), data=st.data())
def test_every_card_number_is_found_in_every_text(number: str, data: st.DataObject) -> None:
    """A sender may put the number into any field, with any separators."""
    written = ""
    for digit in number:
        written += digit + data.draw(st.sampled_from(["", "", " ", "-", ".", "_", "\u00a0", "\u2013"]))
    assert is_card_number(written)
    before = data.draw(st.sampled_from(["", "card ", "pan=", "%B", "12/28  ", "20261123: ", "é", "12 "]))
    after = data.draw(st.sampled_from(["", "=2812101", "^DOE/JOHN^2812", " 12/28", ", cvv 123", "é", "D2812"]))
    assert holds_card_number(f"{before}{written.rstrip(' -._')}{after}")


@given(number=card_numbers(), position=st.integers(0, 18), other=st.integers(1, 9))
def test_with_one_wrong_digit_it_is_none(number: str, position: int, other: int) -> None:
    """The check digit alone distinguishes nine of ten IDs from card numbers, and detects each single mistake."""
    assume(position < len(number))
    wrong = str((int(number[position]) + other) % 10)
    assert not holds_card_number(number[:position] + wrong + number[position + 1 :])


@given(digits=st.text("0123456789", min_size=1, max_size=40), zero=st.sampled_from("０٠०\U0001d7ce"))
@example(digits=VISA, zero="０")
def test_digits_of_other_scripts_count_as_the_same(digits: str, zero: str) -> None:
    """A form on a phone may pass on full-width digits, and anybody can read them as the number."""
    other = "".join(chr(ord(zero) + int(digit)) for digit in digits)
    assert holds_card_number(other) == holds_card_number(digits)
    assert is_card_number(other) == is_card_number(digits)


@pytest.mark.parametrize("number", [VISA, AMEX], ids=["Visa", "American Express"])
@pytest.mark.parametrize(
    "separator", [*" -._/·•*\t\n", "\u00a0", "\u2009", "\u2010", "\u2014", "\u2212", "\u200b", "－"]
)
def test_separators_do_not_hide_a_number(number: str, separator: str) -> None:
    """People write the number as it stands on the card."""
    for places in ((4, 8, 12), (4, 10), (1, 2, 3), (8,), range(1, len(number))):
        parts = [number[start:end] for start, end in zip((0, *places), (*places, len(number)), strict=True)]
        assert holds_card_number(f"paid by {separator.join(parts)} today")
        assert is_card_number(separator.join(parts))


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1111 12/28",
        "1 4111-1111-1111-1111 2",
        "4111111111111111=28121011000012345678",
        "%B4111111111111111^DOE/JOHN^2812101",
        "4111111111111111D2812101",
        "4111111111111111d281210100000000",
        "41111111111111112812 4111111111111111",
        "order 4111111111111112, card 4111111111111111",
        "PAN4111111111111111X",
        "_sha256_4111111111111111",
        "+4111111111111111",
        "+49 40 4111 1111 1111 1111",
        "MC5555555555554444",
    ],
)
def test_a_number_is_found_whatever_stands_round_it(text: str) -> None:
    """The texts are tracks of a magnetic stripe and of a chip, people's notes, and wrong forms of exempt texts."""
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "411111111111",
        "4111111111111112",
        "41111111111111110000",
        "00004111111111111111",
        "0000000000000000",
        "9111111111111111",
        "4111    1111    1111    1111",
        "4111x1111x1111x1111",
        "4111:1111:1111:1111",
        "411111******1111",
        "5100000000000",
        "37828224631000",
        "8815658961765250",
        "2026-11-23T09:30:00.123456+01:00",
        "20261123-093000-000042",
        "48.137154,11.575382",
    ],
)
def test_what_only_resembles_a_number_is_none(text: str) -> None:
    """The texts have a wrong check digit, beginning, length or separator, are part of a longer group, or masked."""
    assert not holds_card_number(text)
    assert not is_card_number(text.replace("  ", "x"))


@pytest.mark.parametrize(
    ("first", "last", "lengths"), [*RANGES, ("2221", "2720", range(16, 17)), ("3528", "3589", range(16, 20))]
)
def test_a_brands_range_ends_where_it_ends(first: str, last: str, lengths: range) -> None:
    """With one beginning or one digit more, IDs would be rejected that no card has."""

    def number(beginning: int, length: int) -> str:
        return with_check_digit(f"{beginning:0<{length - 1}}")

    def is_listed(number: str) -> bool:
        return any(low <= number[: len(low)] <= high and len(number) in digits for low, high, digits in RANGES)

    for length in (*lengths, lengths[0] - 1, lengths[-1] + 1):
        for beginning in {int(first) - 1, int(first), int(last), int(last) + 1}:
            assert is_card_number(number(beginning, length)) == is_listed(number(beginning, length))
    assert all(is_listed(number(int(end), length)) for end in (first, last) for length in lengths)


def test_a_part_of_a_longer_group_of_digits_is_not_a_number() -> None:
    """Every long number has parts that pass the check: no ID of 20 digits would be left."""
    assert not holds_card_number("9" + VISA + "9999")
    assert not holds_card_number(f"{VISA}0000 {VISA}0000")


def test_a_number_and_more_is_not_only_a_number() -> None:
    """A token may have digits in it; only a token that is a card number is rejected."""
    assert not is_card_number(f"tok_{VISA}")
    assert not is_card_number(f"{VISA}=2812")
    assert not is_card_number("")


# ── IDs ─────────────────────────────────────────────────────────────────────────────────────────────


@given(st.uuids())
@example(uuid.UUID("42222222-2222-2222-2222-222222222222"))
@example(uuid.UUID("00000000-4222-4222-2222-200000000000"))
def test_no_uuid_is_a_card_number(one: uuid.UUID) -> None:
    """A random ID that is rejected stays rejected: nobody can send that payment."""
    for text in (str(one), str(one).upper(), one.hex, one.hex.upper(), f"txn_{one}", f"{one}-2"):
        assert not holds_card_number(text)


@pytest.mark.parametrize("length", [24, 32, 40, 64])
@pytest.mark.parametrize("digits", string.hexdigits[10:])
def test_a_digest_is_not_a_card_number(length: int, digits: str) -> None:
    """Digests have long groups of digits by chance."""
    digest = f"{digits}{VISA}{digits * length}"[:length]
    assert not holds_card_number(digest)
    assert not holds_card_number(f"id_{digest}-1")
    for other in (digest[:-1], f"{digest}{digits}", f"{digest}z", f"z{digest}"):
        assert holds_card_number(other)


@given(original=st.text(min_size=1).filter(lambda text: not holds_card_number(mapped_identifier(text)[:24])))
def test_the_hash_of_a_mapped_id_is_not_a_card_number(original: str) -> None:
    """The sender cannot choose another ID."""
    assert not holds_card_number(mapped_identifier(original))


@pytest.mark.parametrize("digest", [f"{VISA}d2812101" + "0" * 8, "4222222222222" + "a" * 19, "d" * 16 + VISA])
def test_a_mapped_id_is_exempt_by_its_form(digest: str) -> None:
    """The same is true if the hash has the form of a chip card's track, or continues `256` as a number."""
    assert not holds_card_number(f"order_42_sha256_{digest}")
    assert holds_card_number(f"{VISA}_sha256_{digest}")


@pytest.mark.parametrize(
    "iban",
    ["DK5000400440116243", "FI2112345600000785", "NO9386011117947", "DE89 3704 0044 0532 0130 00", "BE68539007547034"],
)
def test_an_iban_is_not_a_card_number(iban: str) -> None:
    """In some countries an IBAN is as long as a card number. Its own check digits identify it."""
    assert not holds_card_number(iban)
    country, digits = iban[:2], iban[2:].replace(" ", "")
    assert not cards._is_iban(f"{country}{int(digits) + 1}")


def test_ibans_that_look_like_card_numbers_are_none() -> None:
    """Three in a hundred Danish accounts would be card numbers: these are some of them."""
    looking = 0
    for account in range(40_000):
        bban = f"0040{account:010}"
        iban = f"DK{98 - int(f'{bban}132000') % 97:02}{bban}"
        looking += is_card_number(iban[2:])
        assert not holds_card_number(iban)
        assert not holds_card_number(f"from {iban[:4]} {iban[4:8]} {iban[8:12]} {iban[12:16]} {iban[16:]}")
    assert looking > 500


def test_a_phone_number_is_not_a_card_number() -> None:
    """E.164 has this form. German numbers begin with 49, and one in ten of 13 digits would be a Visa number."""
    number = with_check_digit("491761234567")
    assert holds_card_number(number)
    assert not holds_card_number(f"+{number}")
    assert not holds_card_number(f"+{number[:2]} {number[2:5]} {number[5:]}")


def epoch_s(dice: Random) -> int:
    """Return a second of the years 2025 to 2029."""
    return dice.randrange(1_735_689_600, 1_893_456_000)


def of(dice: Random, alphabet: str, length: int) -> str:
    """Return a random text."""
    return "".join(dice.choices(alphabet, k=length))


DIGITS, BASE_62 = string.digits, string.digits + string.ascii_letters

FORMATS: dict[str, tuple[Callable[[Random], str], float]] = {
    "ULID": (lambda dice: "01" + of(dice, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24), 0),
    **{
        f"Stripe's {kind}": (lambda dice, kind=kind: f"{kind}_3{of(dice, BASE_62, 23)}", 0)
        for kind in ("ch", "py", "pi", "evt")
    },
    "mapped": (lambda dice: mapped_identifier(f"order.{of(dice, DIGITS, 8)}/{of(dice, BASE_62, 4)}"), 0),
    "Adyen's former references": (lambda dice: f"8{of(dice, '13568', 1)}{epoch_s(dice)}{of(dice, DIGITS, 4)}", 0),
    "8 and 15 digits": (lambda dice: "8" + of(dice, DIGITS, 15), 0),
    "PayPal's": (lambda dice: of(dice, DIGITS + string.ascii_uppercase, 17), 0),
    "milliseconds": (lambda dice: f"{epoch_s(dice)}{of(dice, DIGITS, 3)}", 0),
    "milliseconds and a number": (lambda dice: f"{epoch_s(dice)}{of(dice, DIGITS, dice.choice([6, 7, 8, 9]))}", 0),
    "nanoseconds": (lambda dice: f"{epoch_s(dice)}{of(dice, DIGITS, 9)}", 0),
    "snowflake": (lambda dice: str(dice.randrange(10**18, 2 * 10**18)), 0),
    "yyyymmddhhmmss": (lambda dice: f"{datetime.fromtimestamp(epoch_s(dice), UTC):%Y%m%d%H%M%S}", 0),
    "yyyymmddhhmmss and a number": (
        lambda dice: f"{datetime.fromtimestamp(epoch_s(dice), UTC):%Y%m%d%H%M%S}{of(dice, DIGITS, 4)}", 0
    ),
    "yymmddhhmmss and four digits": (
        lambda dice: f"{datetime.fromtimestamp(epoch_s(dice), UTC):%y%m%d%H%M%S}{of(dice, DIGITS, 4)}", 0.075
    ),
    **{
        f"{length} digits": (lambda dice, length=length: of(dice, DIGITS, length), most)
        for length, most in (
            (12, 0), (13, 0.02), (14, 0.01), (15, 0.01), (16, 0.04), (17, 0.02), (18, 0.03), (19, 0.03), (20, 0)
        )
    },
}  # fmt: skip
"""By name: how an ID of the format is made, and which share is rejected at most: docs/internals/decisions.md."""


@pytest.mark.parametrize(("made", "most"), FORMATS.values(), ids=FORMATS)
def test_few_ids_of_a_format_are_rejected_by_chance(made: Callable[[Random], str], most: float) -> None:
    """Luhn's check alone would reject a tenth of all numbers, and nobody could send these payments."""
    dice = Random(16)  # noqa: S311  # the same IDs each time
    assert sum(holds_card_number(made(dice)) for _ in range(5000)) <= 5000 * most


# ── Keys ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "key",
    "cvv CVV cvv2 cvc CVC2 csc cvn cvd pin PIN pinblock pin_block PIN-Block track Track1 track_2 track2 track3 "  # noqa: SIM905
    "trackData track_1_data track2data securityCode security_code card_cvv card.cvv cardCVV cardPin card-pin "
    "payment_cvc paymentCardCvv payment_method.card.cvc credit_card_cvv debit-card-pin card_security_code "
    "verification_code card_verification_value magstripe c.v.v track2_equivalent_data".split(),
)
def test_a_key_of_what_nobody_may_keep_is_known(key: str) -> None:
    """PCI DSS allows nobody to keep this data after the authorisation, not even encrypted."""
    assert is_sensitive_key(key)


@pytest.mark.parametrize(
    "key",
    "pin_code postal_pin pincode tracking track_id tracking_number tracker card payment card_id card.last4 cid pint "  # noqa: SIM905
    "cvv_result cvc_check cvv2_response security pinned spin card_brand code order cards payment_method discard_cvv_at "
    "original.TransactionID stripe.event stripe.payment_intent stripe.account stripe.token".split(),
)
def test_other_keys_are_free(key: str) -> None:
    """India's postal code is a PIN, parcels have tracks, and the result of a check may be kept."""
    assert not is_sensitive_key(key)


# ── Cost ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["4 ", "6 5 ", "4-44-", "4444 ", "1 x", "AA11 ", "4" * 18 + " ", "4" * 100 + " "])
def test_the_cost_is_linear(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata may hold much text. The search must try a bounded number of card numbers for each digit of it."""
    tried: list[str] = []
    monkeypatch.setattr(cards, "_is_card_number", lambda digits: bool(tried.append(digits)))
    for length in (256, 2560):
        tried.clear()
        holds_card_number((text * length)[:length])
        assert len(tried) <= cards.MAX_DIGITS * length
