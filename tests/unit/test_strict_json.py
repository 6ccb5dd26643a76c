"""One contract by whichever way a payment comes; what one parser reads otherwise than another is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.payment import CONTRACT_FIELDS, InvalidPaymentError, parse_payment
from ledger.strict_json import StrictJSONError, loads
from ledger_cli import ROOT
from ledger_cli.reading import UnreadableInputError, read

PAYMENT = json.loads((ROOT / "events/start/01-success.json").read_text())

NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["1e2", "10.500", "1.08", "4111111111111111.5", "9" * 70, "-0.0", "1e999", "0." + "1" * 5000]),
    st.builds(lambda sign, digits: sign + ("9" * digits or "0"), st.sampled_from(["", "-"]), st.integers(4290, 4310)),
)
"""JSON numbers as they may be written."""

VALUES = st.recursive(
    NUMBERS | st.sampled_from(["null", "true", "false"]) | st.text().map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.text().map(json.dumps), inner, max_size=3).map(
            lambda pairs: f"{{{', '.join(f'{name}: {value}' for name, value in pairs.items())}}}"
        )
    ),
    max_leaves=4,
)
"""JSON texts of any value."""


def verdict(value: Any) -> Any:
    """What the contract makes of a start input: the payment and its token, or the broken rules."""
    try:
        return parse_payment(value, default_currency="USD")
    except InvalidPaymentError as refused:
        return refused.violations


def of_the_runtime(text: str) -> Any:
    """The verdict of the workflow, whose start input the Lambda runtime has parsed. Source: awslambdaric."""
    try:
        return verdict(json.loads(text))
    except ValueError:
        return "not JSON"


def of_the_webhook(text: str) -> Any:
    """The verdict of the webhook and of `ledger start`."""
    try:
        return verdict(loads(text.encode()))
    except StrictJSONError as refused:
        return "not JSON" if refused.rule == "not_json" else refused.rule


def of_the_command(text: str, file: Path) -> Any:
    """The verdict of `ledger run`, which hands on the text of a file."""
    file.write_text(text)
    try:
        (start_input,) = read(str(file))
    except UnreadableInputError:
        return "not JSON"
    assert start_input.text == text
    return of_the_runtime(start_input.text)


@given(st.sampled_from(CONTRACT_FIELDS), VALUES)
def test_the_contract_is_one_whichever_way_a_payment_comes(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: str
) -> None:
    """A payment that one way in refuses and another records has no right outcome."""
    rest = {name: given for name, given in PAYMENT.items() if name != field}
    text = f"{{{json.dumps(field)}: {value}, {json.dumps(rest)[1:]}"
    file = tmp_path_factory.getbasetemp() / "payment.json"
    assert of_the_runtime(text) == of_the_webhook(text) == of_the_command(text, file)


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
    ],
)
def test_a_number_is_judged_as_the_workflow_judges_it(field: str, written: str, rules: list[str]) -> None:
    """Its text would be taken for a token, or refused for the way in which it is written."""
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
def test_what_cannot_be_relied_on_is_refused(text: bytes, rule: str) -> None:
    """By a stable rule, whose message repeats nothing of the text."""
    with pytest.raises(StrictJSONError) as caught:
        loads(text)
    assert (caught.value.rule, str(caught.value)) == (rule, rule)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("digits", ["9" * 65, "9" * 4300, "1e999", f"0.{'1' * 100_000}"])
def test_a_number_of_absurd_length_is_no_error_of_ours(payment: dict[str, Any], digits: str) -> None:
    """The contract refuses it by its own rule."""
    start_input = {**payment, "Amount": loads(digits)}
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(start_input, default_currency="USD")
    assert [violation.field for violation in caught.value.violations] == ["Amount"]


def test_an_integer_beyond_python_is_refused() -> None:
    """Python makes no number of so many digits, since that would take long."""
    with pytest.raises(StrictJSONError, match="not_json"):
        loads("9" * 100_000)
