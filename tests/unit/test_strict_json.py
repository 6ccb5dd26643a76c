"""JSON as it was written: what one parser reads otherwise than another is refused."""

from typing import Any

import pytest

from ledger.payment import InvalidPaymentError, parse_payment
from ledger.strict_json import StrictJSONError, loads


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1000000000000000.05", "1000000000000000.05"),
        ("10.50", "10.50"),
        ("1e2", "1e2"),
        ("1E-400", "1E-400"),
        ("100.000000000000001e0", "100.000000000000001e0"),
        ("7", 7),
        ("-0.0", "-0.0"),
        ('"7"', "7"),
    ],
)
def test_an_amount_is_what_was_written(written: str, amount: object) -> None:
    """A double would have rounded the first before anybody could see it."""
    assert loads(f'{{"Amount": {written}}}') == {"Amount": amount}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{}{}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b"\xff", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[" * 200_000, "not_json"),
        (b'{"a": ' * 200_000, "not_json"),
        (b'{"Amount": 1, "Amount": 1}', "duplicate_name"),
        (b'{"Amount": 1, "\\u0041mount": 2}', "duplicate_name"),
        (b'{"Metadata": {"a": "1", "a": "2"}}', "duplicate_name"),
        (b'[{"a": [{"b": 1, "b": 2}]}]', "duplicate_name"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(text: bytes, rule: str) -> None:
    """By a stable rule, whose message repeats nothing of the text."""
    with pytest.raises(StrictJSONError) as caught:
        loads(text)
    assert (caught.value.rule, str(caught.value)) == (rule, rule)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_integer_is_one_as_far_as_it_can_be_an_amount() -> None:
    """Longer ones would take long to make, and stay text."""
    assert loads("9" * 64) == int("9" * 64)
    assert loads("9" * 65) == "9" * 65


@pytest.mark.parametrize("digits", ["9" * 65, "9" * 100_000, "1e999", f"0.{'1' * 100_000}"])
def test_a_number_of_absurd_length_is_no_error_of_ours(payment: dict[str, Any], digits: str) -> None:
    """The contract refuses it by its own rule."""
    start_input = {**payment, "Amount": loads(digits)}
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(start_input, default_currency="USD")
    assert [violation.field for violation in caught.value.violations] == ["Amount"]
