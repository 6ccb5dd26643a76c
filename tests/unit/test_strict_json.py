"""Strict JSON: numbers are those of the Lambda runtime, and ambiguous texts are rejected."""

import json
from typing import Any

import pytest

from ledger.payment import parse_payment
from ledger.strict_json import StrictJSONError, loads
from ledger.violations import InvalidPaymentError
from ledger_cli import ROOT

PAYMENT = json.loads((ROOT / "events/start/01-success.json").read_text())


def verdict(value: Any) -> Any:
    """Return the contract's result for a start input: the payment and its token, or the broken rules."""
    try:
        return parse_payment(value, default_currency="USD")
    except InvalidPaymentError as refused:
        return refused.violations


def of_the_webhook(text: str) -> Any:
    """The webhook and `ledger start` must come to the same result as the workflow."""
    try:
        return verdict(loads(text.encode()))
    except StrictJSONError as refused:
        return "not JSON" if refused.rule == "not_json" else refused.rule


@pytest.mark.parametrize(
    ("field", "written", "rules"),
    [
        ("SecureToken", "4111111111111111.5", ["type"]),
        ("Metadata", '{"fx": 1.08}', ["type"]),
        ("TransactionID", "9" * 70, ["type"]),
        ("Amount", "1e2", []),
        ("Amount", "10.500", []),
        ("Amount", "9" * 70, ["digits"]),
        ("Amount", "12345678901234567.89", ["float_digits"]),
        ("Amount", "48.00000000000000001", ["float_digits"]),
        ("Amount", "0.99999999999999999", ["float_digits"]),
        ("Amount", "1e-400", ["float_digits"]),
        ("Amount", "1e-99999999999999999999", ["float_digits"]),
        ("TransactionID", "48.00000000000000001", ["type"]),
    ],
)
def test_a_number_is_judged_as_the_workflow_judges_it(field: str, written: str, rules: list[str]) -> None:
    """Otherwise its text would count as a token, or be rejected because of the way in which it is written."""
    rest = {name: given for name, given in PAYMENT.items() if name != field}
    found = of_the_webhook(f"{{{json.dumps(field)}: {written}, {json.dumps(rest)[1:]}")
    assert found == [(field, rule) for rule in rules] if rules else found[0].amount in {"100.00", "10.50"}


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
def test_what_cannot_be_relied_on_is_rejected(text: bytes, rule: str) -> None:
    """The error names a stable rule, and its message repeats nothing of the text."""
    with pytest.raises(StrictJSONError) as caught:
        loads(text)
    assert (caught.value.rule, str(caught.value)) == (rule, rule)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("9" * 65, "digits"),
        ("9" * 100_000, "digits"),
        (f"-{'9' * 100_000}", "negative"),
        ("1e999", "decimal"),
        (f"0.{'1' * 100_000}", "float_digits"),
    ],
)
def test_a_number_of_absurd_length_is_no_error_of_ours(payment: dict[str, Any], number: str, rule: str) -> None:
    """The contract rejects the number by its own rule."""
    start_input = {**payment, "Amount": loads(number)}
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(start_input, default_currency="USD")
    assert [(violation.field, violation.rule) for violation in caught.value.violations] == [("Amount", rule)]


def test_an_integer_is_exact_as_far_as_it_can_be_an_amount() -> None:
    """A longer integer would take long to read. Only its sign matters, and that it is too large."""
    assert loads(f"[{'9' * 64}, -{'9' * 63}]") == [int("9" * 64), -int("9" * 63)]
    assert loads(f"[{'9' * 65}, -{'9' * 65}, {'9' * 100_000}]") == [int("9" * 64), -int("9" * 63), int("9" * 64)]
