"""The contract over the valid and the invalid space: accepted exactly, or rejected by a named rule."""

import base64
import json
import math
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger.cards import holds_card_number, is_sensitive_key
from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS, NO_MINOR_UNIT
from ledger.fields import MAX_CORRECTED_FIELDS, MAX_METADATA_PAIRS, refused_input
from ledger.payment import Payment, encryption_context, parse_payment, parse_rejection, valid_id
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, InvalidEntryError, InvalidInputError, InvalidPaymentError, Violation

VALID = {
    "TransactionID": "txn-1",
    "SecureToken": "tok_4f1d",
    "Amount": "10.50",
    "Currency": "EUR",
    "ProcessorID": "acme",
    "Status": "Success",
    "Timestamp": "2026-11-23T09:30:00Z",
}


def with_fields(**fields: Any) -> dict[str, Any]:
    """Return a valid input with other fields; `...` leaves a field out."""
    return {name: value for name, value in {**VALID, **fields}.items() if value is not ...}


def parsed(**fields: Any) -> Payment:
    """Return the canonical payment of a valid input with other fields."""
    return parse_payment(with_fields(**fields), default_currency="USD")[0]


def refused(**fields: Any) -> list[tuple[str, str]]:
    """Return every violation of an input with other fields."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(**fields), default_currency="USD")
    return [(violation.field, violation.rule) for violation in caught.value.violations]


# ── The whole ───────────────────────────────────────────────────────────────────────────────────────


def test_a_valid_payment_becomes_canonical() -> None:
    """The fingerprint and every consumer rely on the canonical form."""
    payment = parsed(Amount="0010.5", Timestamp="2026-11-23t10:30:00.5+01:00")
    assert payment.as_state() == {
        "TransactionID": "txn-1",
        "Amount": "10.50",
        "Currency": "EUR",
        "ProcessorID": "acme",
        "Status": "Success",
        "Timestamp": "2026-11-23T09:30:00.500000Z",
        "Metadata": {},
    }
    assert Payment.from_state(payment.as_state()) == payment


FORMS = ["quiet", "published"]


def imported(**fields: Any) -> Payment:
    """Return the canonical payment of a sender that may import."""
    return parse_payment(with_fields(**fields), default_currency="USD", imports=True)[0]


@pytest.mark.parametrize("form", FORMS)
def test_an_import_is_the_same_payment(form: str) -> None:
    """History that a processor delivers later is a duplicate, so the import is no part of the identity."""
    payment = imported(Import=form)
    assert (payment.imported, payment.as_state()["Import"]) == (form, form)
    assert payment._replace(imported=None) == parsed()
    assert payment.fingerprint == parsed().fingerprint
    assert Payment.from_state(payment.as_state()) == payment
    assert imported() == parsed()
    assert "Import" not in parsed().as_state()


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        *((value, "import") for value in ("", "Quiet", "quiet ", "loud", "quiet\n", "quie")),
        *((value, "type") for value in (None, True, 1, ["quiet"], {"quiet": "published"})),
    ],
)
def test_another_import_breaks_a_rule(value: object, rule: str) -> None:
    """If it were ignored, history would wake every consumer."""
    with pytest.raises(InvalidPaymentError) as caught:
        imported(Import=value, Amount="x")
    assert caught.value.violations == [("Amount", "decimal"), ("Import", rule)]


@pytest.mark.parametrize("value", [*FORMS, "loud", None])
def test_only_a_sender_that_may_import_has_the_field(value: object) -> None:
    """A processor that used it could keep consumers from learning of a payment. The default is that of processors."""
    assert refused(Import=value) == [("Import", "not_for_processors")]
    assert refused(Import=value, Amount="x") == [("Amount", "decimal"), ("Import", "not_for_processors")]


def test_a_misspelled_import_is_named_to_those_who_may_import() -> None:
    """A processor does not learn the name of a field that it must not send."""
    assert refused(imports="quiet") == [("Payment", "unknown_field")]
    with pytest.raises(InvalidPaymentError) as caught:
        imported(imports="quiet", amont="1")
    assert caught.value.violations == [("Amount", "misspelled_field"), ("Import", "misspelled_field")]


@pytest.mark.parametrize("rule", ["import", "not_for_processors", "misspelled_field", "type"])
def test_a_rejected_import_is_a_rejection(rule: str) -> None:
    """The webhook hands it to the workflow, which publishes it."""
    rejected = InvalidPaymentError([Violation("Import", rule)], transaction_id="txn-1", processor_id="acme")
    found = parse_rejection(refused_input(rejected))
    assert found is not None
    assert str(found) == str(rejected)


def test_every_violation_is_reported_at_once() -> None:
    """A sender fixes its integration in one step, not field by field."""
    broken = refused(
        TransactionID="a b",
        SecureToken=...,
        Amount="x",
        Currency="XAU",
        ProcessorID=...,
        Status="ok",
        Timestamp="now",
        Metadata=[],
    )
    assert broken == [
        ("Amount", "decimal"),
        ("Currency", "no_minor_unit"),
        ("Metadata", "type"),
        ("ProcessorID", "required"),
        ("SecureToken", "required"),
        ("Status", "status"),
        ("Timestamp", "timestamp"),
        ("TransactionID", "identifier"),
    ]


@pytest.mark.parametrize("start_input", [None, [], "text", 1, 1.5, True, [VALID]])
def test_an_input_that_is_not_an_object_is_rejected(start_input: object) -> None:
    """An execution can be started with any JSON at all."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(start_input, default_currency="USD")
    assert caught.value.violations == [Violation("Payment", "not_an_object")]


@pytest.mark.parametrize(
    "name",
    ["TransactionID", "Amount", "Currency", "ProcessorID", "Status", "Timestamp", "Metadata", "SecureToken"],
)
def test_null_is_not_absence(name: str) -> None:
    """A null may be a lost value; only an absent field may have a default."""
    assert refused(**{name: None}) == [(name, "type")]


def test_the_rejection_names_the_valid_ids_only() -> None:
    """A sender finds its payment by its ID. An invalid ID could be anything, also a token."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(Status="x"), default_currency="USD")
    assert json.loads(str(caught.value)) == {
        "TransactionID": "txn-1",
        "ProcessorID": "acme",
        "Violations": [{"Field": "Status", "Rule": "status"}],
    }
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(TransactionID="a b", ProcessorID=7), default_currency="USD")
    assert json.loads(str(caught.value)).keys() == {"Violations"}


def test_a_parsed_payment_cannot_be_changed() -> None:
    """The ledger must record what the fingerprint was made of, and KMS must get what was checked."""
    payment, token = parse_payment(VALID, default_currency="USD")
    for parsed_thing, field in ((payment, "amount"), (token, "text")):
        with pytest.raises(AttributeError):
            setattr(parsed_thing, field, "1")


# ── Unknown fields ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("currency", "Currency"),
        ("Curency", "Currency"),
        ("transaction_id", "TransactionID"),
        ("Secure-Token", "SecureToken"),
        ("CURRENCY", "Currency"),
        ("s_t_a_t_u_s", "Status"),
        ("s-t-a-t-u-s", "Status"),
    ],
)
def test_a_mistyped_field_is_rejected_by_the_name_it_should_have(name: str, meant: str) -> None:
    """A mistyped Currency must not quietly become the default."""
    assert refused(**{name: "JPY"}) == [(meant, "misspelled_field")]


def test_another_word_is_not_taken_for_a_mistyped_field() -> None:
    """A sender that gets the wrong field's name looks in the wrong place."""
    assert refused(Account="1") == [("Payment", "unknown_field")]


def test_of_a_long_name_only_the_beginning_is_compared() -> None:
    """A name may be as long as a whole input; 64 characters are more than any mistyped field has."""
    assert refused(**{"_" * 58 + "timest" + "x" * 100: 1}) == [("Timestamp", "misspelled_field")]


def test_an_unknown_fields_name_is_not_repeated() -> None:
    """The name is the sender's text: a token used as a key must not end in an error message."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(tok_4242secret=1), default_currency="USD")
    assert caught.value.violations == [Violation("Payment", "unknown_field")]
    assert "4242" not in str(caught.value)


# ── Identifiers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["TransactionID", "ProcessorID"])
@given(value=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
@example(value="-")
@example(value="a" * 64)
def test_identifiers_are_kept_as_they_are(name: str, value: str) -> None:
    """IDs are keys: the slightest change would make another payment."""
    assume(not holds_card_number(value))
    assert parsed(**{name: value}).as_state()[name] == value


@pytest.mark.parametrize("name", ["TransactionID", "ProcessorID"])
@pytest.mark.parametrize(
    "value", ["", "a" * 65, "a b", "a\n", "\na", "é", "ａ", "a/b", "a:b", "a.b", "a#1", "١", "a\x00"]
)
def test_other_characters_and_lengths_are_rejected(name: str, value: str) -> None:
    """The ID begins the execution's name, and a `#` in a processor's ID would split the index key."""
    assert refused(**{name: value}) == [(name, "identifier")]


# ── Amounts ─────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def amounts(draw: st.DrawFn) -> tuple[str, str]:
    """Return a currency, and a valid decimal text in it."""
    currency = draw(st.sampled_from(sorted(MINOR_UNITS)))
    decimals = draw(st.integers(0, MINOR_UNITS[currency]))
    whole = draw(st.text("0123456789", min_size=1, max_size=38 - decimals))
    fraction = draw(st.text("0123456789", min_size=decimals, max_size=decimals))
    return currency, f"{whole}.{fraction}" if fraction else whole


@given(amounts())
@example(("USD", "9" * 38))
@example(("USD", "9" * 36 + ".99"))
@example(("CLF", "0.0001"))
@example(("USD", "0"))
@example(("JPY", "007"))
def test_decimal_text_keeps_its_value_to_the_last_digit(case: tuple[str, str]) -> None:
    """An amount is recorded exactly as the sender wrote it."""
    currency, text = case
    amount = parsed(Currency=currency, Amount=text).amount
    assert Decimal(amount) == Decimal(text)
    assert len(amount.partition(".")[2]) == MINOR_UNITS[currency]


@given(st.integers(0, 10**38 - 1))
def test_json_integers_keep_their_value(value: int) -> None:
    """An integer is in major units, like the text."""
    assert Decimal(parsed(Amount=value).amount) == value


@given(amounts())
def test_a_json_number_with_a_point_is_exact_or_rejected(case: tuple[str, str]) -> None:
    """The runtime makes a double of the number first. If digits may have been lost, nothing is recorded."""
    currency, text = case
    try:
        amount = parsed(Currency=currency, Amount=float(text)).amount
    except InvalidPaymentError as error:
        assert {v.rule for v in error.violations} <= {"float_digits", "digits"}  # noqa: PT017
    else:
        assert Decimal(amount) == Decimal(text)


@given(whole=st.integers(0, 10**12), cents=st.integers(0, 99))
def test_everyday_json_numbers_are_taken(whole: int, cents: int) -> None:
    """Rejecting all of them would be exact as well, and useless."""
    assert parsed(Amount=float(f"{whole}.{cents:02}")).amount == f"{whole}.{cents:02}"


@pytest.mark.parametrize(
    ("currency", "value"),
    [
        ("EUR", 0.1 + 0.2),
        ("AED", 80000000000000.09),  # of whose double the shortest text is ….1
        ("EUR", 1000000000000000.05),  # reads back as 1000000000000000.0, five cents less
        ("KWD", 123456789012345.001),
        ("EUR", 12345678901234.567),
        ("EUR", 12345678901234.56),  # 16 digits: not every such text survives a double
        ("JPY", 1e16),  # the same double as 10000000000000001
        ("JPY", 1e17),
        ("JPY", 1e300),
    ],
)
def test_a_json_number_that_may_have_lost_digits_is_rejected(currency: str, value: float) -> None:
    """The sender's text cannot be known any more."""
    assert refused(Currency=currency, Amount=value) == [("Amount", "float_digits")]


def test_a_double_is_taken_up_to_the_last_certain_one() -> None:
    """In this range every whole number still has a double of its own, so rejecting more would be arbitrary."""
    assert parsed(Currency="JPY", Amount=5e15).amount == "5000000000000000"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        *((text, "decimal") for text in [
            "", " ", "1_0", "1e2", "1E2", "+1", ".5", "5.", "1,5", "1,000.00", "1 000", "1..0", "1.0.0", "0x10", "NaN",
            "Infinity", "１０", "١٠", "10\n", "\n10", " 10", "10 ", "--1", "-", "10\x00", "$10", "1/2", "½", "-.5",
            "-1,5",
        ]),
        *((text, "negative") for text in ["-1", "-0", "-10", "-0.01", -1, -0.5, -0.0, -(10**40)]),
        *((value, "digits") for value in ["9" * 39, "0" * 39, "9" * 37 + ".99", 10**38]),
        *((value, "decimals") for value in ["1.001", "1.000", 1.001, 1e-7]),
        *((value, "type") for value in [True, False, None, [], {}, ["1"]]),
        *((value, "decimal") for value in [math.inf, -math.inf]),
        (math.nan, "float_digits"),
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_rejected(value: object, rule: str) -> None:
    """Python accepts many of these as numbers, but they are not amounts."""
    assert refused(Amount=value) == [("Amount", rule)]


def test_an_integer_too_long_for_python_to_print_is_rejected() -> None:
    """Python raises on the text of an integer of more than 4,300 digits."""
    assert refused(Amount=10**5000) == [("Amount", "digits")]


@pytest.mark.parametrize(
    ("currency", "text"), [("JPY", "1.0"), ("KWD", "1.0001"), ("CLF", "1.00001"), ("EUR", "1.001")]
)
def test_more_decimals_than_the_currency_has_are_rejected(currency: str, text: str) -> None:
    """A thousandth of a cent is either a mistake or another currency."""
    assert refused(Currency=currency, Amount=text) == [("Amount", "decimals")]


@pytest.mark.parametrize("value", ["1.12345", 1.5, 2e15, 10**37])
def test_an_amount_without_a_usable_currency_may_be_right(value: object) -> None:
    """The number of decimals is unknown, so the sender has to fix only the currency."""
    assert refused(Currency="XAU", Amount=value) == [("Currency", "no_minor_unit")]


# ── Currencies ──────────────────────────────────────────────────────────────────────────────────────


def test_an_absent_currency_is_the_stacks_default() -> None:
    """Only an absent field has a default: see the tests of null and of a mistyped name."""
    assert parse_payment(with_fields(Currency=..., Amount="5"), default_currency="JPY")[0].amount == "5"


@pytest.mark.parametrize("code", sorted(NO_MINOR_UNIT))
def test_codes_without_a_minor_unit_are_rejected(code: str) -> None:
    """No number of decimals is right for gold, or for no currency at all."""
    assert refused(Currency=code) == [("Currency", "no_minor_unit")]


@pytest.mark.parametrize(
    ("timestamp", "verdict"),
    [
        ("2025-12-31T23:59:59.999999Z", []),
        ("2026-01-01T00:30:00+02:00", []),
        ("2026-01-01T00:00:00Z", [("Currency", "retired_currency")]),
        ("yesterday", [("Timestamp", "timestamp")]),
    ],
)
def test_a_currency_is_judged_by_the_payments_own_time(timestamp: str, verdict: list[tuple[str, str]]) -> None:
    """A payment of December in leva is right in January, when ISO 4217 has retired the code."""
    fields = {"Currency": "BGN", "Amount": "10.5", "Timestamp": timestamp}
    if verdict:
        assert refused(**fields) == verdict
    else:
        assert parsed(**fields).amount == "10.50"
    assert ("Amount", "decimals") in refused(**{**fields, "Amount": "10.505", "Timestamp": "2025-01-01T00:00:00Z"})


def test_decimals_are_those_of_the_payments_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """ISO 4217 may change them; a payment delivered again after that is still the same."""
    monkeypatch.setitem(FORMER_MINOR_UNITS, "EUR", (("2020-01-01", 0), ("2021-01-01", 3)))
    for year, amount in ((2019, "5"), (2020, "5.000"), (2021, "5.00")):
        assert parsed(Amount="5", Currency="EUR", Timestamp=f"{year}-06-01T00:00:00Z").amount == amount


def test_a_code_that_lost_its_minor_unit_is_judged_by_the_payments_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code was a currency at that time."""
    monkeypatch.setitem(FORMER_MINOR_UNITS, "XAU", (("2026-01-01", 2),))
    assert parsed(Amount="5", Currency="XAU", Timestamp="2025-06-01T00:00:00Z").amount == "5.00"
    assert refused(Amount="5", Currency="XAU", Timestamp="2026-06-01T00:00:00Z") == [("Currency", "no_minor_unit")]


def test_a_default_currency_that_is_retired_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's parameter may outlive the currency."""
    monkeypatch.setitem(FORMER_MINOR_UNITS, "JPY", (("2026-01-01", 0),))
    monkeypatch.delitem(MINOR_UNITS, "JPY")
    with pytest.raises(InvalidPaymentError) as error:
        parse_payment(with_fields(Currency=..., Timestamp="2026-02-01T00:00:00Z"), default_currency="JPY")
    assert error.value.violations == [("Currency", "retired_currency")]


def is_no_code(text: str) -> bool:
    """The rule says whether ISO 4217 ever listed the code."""
    return text not in MINOR_UNITS and text not in NO_MINOR_UNIT and text not in FORMER_MINOR_UNITS


@given(st.text(max_size=4).filter(is_no_code))
@example("EUR\n")
@example("eur")
@example("ＥＵＲ")
def test_other_codes_are_rejected(code: str) -> None:
    """A wrong code is a wrong amount."""
    assert refused(Currency=code) == [("Currency", "currency")]


# ── Timestamps ──────────────────────────────────────────────────────────────────────────────────────


@given(
    moment=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    minutes=st.integers(-23 * 60 - 59, 23 * 60 + 59),
    digits=st.integers(0, 6),
)
def test_timestamps_become_utc_of_fixed_width(moment: datetime, minutes: int, digits: int) -> None:
    """Text order is time order only if every timestamp has the same width and zone."""
    moment = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
    sign, (hours, rest) = "+-"[minutes < 0], divmod(abs(minutes), 60)
    fraction = f".{moment.microsecond:06}"[: digits + 1] if digits else ""
    text = f"{moment.replace(microsecond=0).isoformat()}{fraction}{sign}{hours:02}:{rest:02}"
    canonical = parsed(Timestamp=text).timestamp
    assert len(canonical) == len("2026-11-23T09:30:00.000000Z")
    zone = timezone(timedelta(minutes=minutes))
    assert datetime.fromisoformat(canonical) == moment.replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-23T09:30:00z", "2026-11-23T09:30:00.000000Z"),
        ("2026-11-23T09:30:00-21:59", "2026-11-24T07:29:00.000000Z"),
        ("2026-11-23T09:30:00+22:00", "2026-11-22T11:30:00.000000Z"),
    ],
)
def test_all_that_rfc_3339_allows_is_taken(text: str, canonical: str) -> None:
    """A sender that follows the standard must not be rejected because of a rare form."""
    assert parsed(Timestamp=text).timestamp == canonical


def test_the_machines_zone_has_no_part_in_a_timestamp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda runs in UTC, but the machine of an engineer who replays a payment does not."""
    try:
        with monkeypatch.context() as machine:
            machine.setenv("TZ", "FIVE+5")
            time.tzset()
            assert utc_timestamp("2026-11-23T10:30:00+01:00") == "2026-11-23T09:30:00.000000Z"
    finally:
        time.tzset()


def test_a_rule_broken_outside_of_a_payment_is_named() -> None:
    """The same rule reads the workflow's own times, and an operator sees only the message."""
    with pytest.raises(BrokenRuleError, match=r"^timestamp$"):
        utc_timestamp("now")


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=2, max_size=2))
def test_text_order_is_time_order(moments: list[datetime]) -> None:
    """The index by processor sorts by this text."""
    texts = [parsed(Timestamp=moment.isoformat()).timestamp for moment in moments]
    assert (texts[0] < texts[1]) == (moments[0] < moments[1])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2016-12-31T23:59:60Z", "leap_second"),
        ("2017-01-01T00:59:60+01:00", "leap_second"),
        ("2016-12-31T23:59:60.0000001Z", "leap_second"),
        ("2016-12-31T22:59:60Z", "timestamp"),
        ("2026-11-23T09:30:00.0000001Z", "timestamp_precision"),
        ("2026-11-23T09:30:00.1234567+01:00", "timestamp_precision"),
        ("0001-01-01T00:00:00+01:00", "timestamp_range"),
        ("9999-12-31T23:59:59-01:00", "timestamp_range"),
        ("2026-11-23T09:30:00", "timestamp"),
        ("2026-11-23", "timestamp"),
        ("2026-W48-1T09:30:00Z", "timestamp"),
        ("2026-11-23 09:30:00Z", "timestamp"),
        ("2026-02-29T09:30:00Z", "timestamp"),
        ("2026-11-23T09:30:00Z\n", "timestamp"),
        ("2026-11-23T09:30Z", "timestamp"),
        ("2026-11-23T09:30:00,5Z", "timestamp"),
        ("2026-11-23T09:30:00.Z", "timestamp"),
        ("0000-01-01T00:00:00Z", "timestamp"),
        ("２０２６-11-23T09:30:00Z", "timestamp"),
        ("1763890200", "timestamp"),
        ("", "timestamp"),
        (1763890200, "type"),
    ],
)
def test_other_timestamps_are_rejected(text: object, rule: str) -> None:
    """A time that cannot be kept exactly is rejected by a rule of its own, and never rounded."""
    assert refused(Timestamp=text) == [("Timestamp", rule)]


def test_the_rfc_3339_vectors(corpora: Path) -> None:
    """Each vector of the JSON Schema suite is accepted or rejected, and no rejection repeats it."""
    suites = json.loads((corpora / "date-time.json").read_text())
    vectors = [test for suite in suites for test in suite["tests"]]
    assert len(vectors) > 25
    for vector in vectors:
        start_input = with_fields(Timestamp=vector["data"])
        try:
            parse_payment(start_input, default_currency="USD")
            rules = []
        except InvalidPaymentError as error:
            rules = [violation.rule for violation in error.violations]
            assert str(vector["data"]) not in str(error) or len(str(vector["data"])) < 3  # noqa: PT017
        if not isinstance(vector["data"], str):
            assert rules == ["type"], vector
        elif not vector["valid"]:
            assert rules == ["timestamp"], vector
        elif ":60" in vector["data"]:
            assert rules == ["leap_second"], vector
        elif "999999999" in vector["data"]:
            assert rules == ["timestamp_precision"], vector
        else:
            assert rules == [], vector


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(min_size=1, max_size=1024))
@example("x" * 4096)
@example("é" * 2048)
@example("\x00")
def test_a_token_is_kept_as_it_is(text: str) -> None:
    """The token's holder must get it back to the byte."""
    token = parse_payment(with_fields(SecureToken=text, TransactionID="1"), default_currency="USD")[1]
    assert (token.field, token.text) == ("SecureToken", text)


@pytest.mark.parametrize(
    ("fields", "violation"),
    [
        ({"SecureToken": ""}, ("SecureToken", "token_length")),
        ({"SecureToken": "x" * 4097}, ("SecureToken", "token_length")),
        ({"SecureToken": "é" * 2049}, ("SecureToken", "token_length")),
        ({"SecureToken": "\ud800"}, ("SecureToken", "not_unicode")),
        ({"SecureToken": 42}, ("SecureToken", "type")),
        ({"SecureToken": ...}, ("SecureToken", "required")),
        ({"SealedToken": "AAAA"}, ("SecureToken", "exactly_one_token")),
        ({"SecureToken": ..., "SealedToken": "AAA"}, ("SealedToken", "base64")),
        ({"SecureToken": ..., "SealedToken": "AAAA\n"}, ("SealedToken", "base64")),
        ({"SecureToken": ..., "SealedToken": "AA-_"}, ("SealedToken", "base64")),
        ({"SecureToken": ..., "SealedToken": "é"}, ("SealedToken", "base64")),
        ({"SecureToken": ..., "SealedToken": ""}, ("SealedToken", "ciphertext_length")),
        (
            {"SecureToken": ..., "SealedToken": base64.b64encode(bytes(6145)).decode()},
            ("SealedToken", "ciphertext_length"),
        ),
        ({"SecureToken": ..., "SealedToken": None}, ("SealedToken", "type")),
    ],
)
def test_other_tokens_are_rejected(fields: dict[str, Any], violation: tuple[str, str]) -> None:
    """A payment has exactly one token, of a size that KMS accepts."""
    assert refused(**fields) == [violation]


@pytest.mark.parametrize("length", [1, 6144])
def test_a_sealed_token_is_kept_as_it_is(length: int) -> None:
    """Only KMS can open a sealed token."""
    sealed = base64.b64encode(bytes(length)).decode()
    token = parse_payment(with_fields(SecureToken=..., SealedToken=sealed), default_currency="USD")[1]
    assert (token.field, token.text) == ("SealedToken", sealed)


@pytest.mark.parametrize(
    "fields",
    [
        {"TransactionID": "tok_4f1d-secret"},
        {"ProcessorID": "tok_4f1d-secret"},
        {"Metadata": {"note": "charged tok_4f1d-secret today"}},
        {"Metadata": {"tok_4f1d-secret": ""}},
    ],
)
def test_a_token_in_another_field_is_rejected(fields: dict[str, Any]) -> None:
    """Other fields are recorded, logged and published in plaintext, and some processors repeat the token in them."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(SecureToken="tok_4f1d-secret", **fields), default_currency="USD")
    assert [(v.field, v.rule) for v in caught.value.violations] == [(next(iter(fields)), "holds_token")]
    assert "tok_4f1d" not in str(caught.value)


def test_the_shortest_token_that_is_searched_for_has_eight_characters() -> None:
    """Eight characters are a token already: `tok_4f1d` in an ID would be published in plaintext."""
    assert refused(SecureToken="tok_4f1d", TransactionID="a-tok_4f1d") == [("TransactionID", "holds_token")]


def test_a_short_token_may_stand_in_other_fields() -> None:
    """Seven characters are found by chance, so rejecting them would reject innocent payments."""
    assert parsed(SecureToken="Success", TransactionID="Success-1").transaction_id == "Success-1"


def test_a_ciphertext_is_bound_to_its_transaction_under_a_permanent_name() -> None:
    """KMS opens the token under no other context. If the name changed, no stored token could be read."""
    assert encryption_context("txn-1") == {"TransactionID": "txn-1"}


# ── Metadata ────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True), st.text(max_size=256), max_size=MAX_METADATA_PAIRS
    )
)
@example({"k" * 64: "v" * 256})
def test_metadata_is_kept_as_it_is(metadata: dict[str, str]) -> None:
    """The metadata belongs to the sender, and the ledger does not change it."""
    assume(not any(map(is_sensitive_key, metadata)))
    assume(not any(map(holds_card_number, [*metadata, *metadata.values()])))
    assert parsed(Metadata=metadata, SecureToken="x").metadata == metadata


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({str(i): "" for i in range(MAX_METADATA_PAIRS + 1)}, "metadata_pairs"),
        ({"": ""}, "metadata_key"),
        ({"a b": ""}, "metadata_key"),
        ({"a:b": ""}, "metadata_key"),
        ({"a\n": ""}, "metadata_key"),
        ({"k" * 65: ""}, "metadata_key"),
        ({"k": "v" * 257}, "metadata_value"),
        ({"k": "\udc00"}, "not_unicode"),
        ({"k": 1}, "type"),
        ({"k": None}, "type"),
        ({"k": {"k": "v"}}, "type"),
        ("k=v", "type"),
    ],
)
def test_other_metadata_is_rejected(metadata: object, rule: str) -> None:
    """Metadata is small and flat, so that an item and an event have a limit."""
    assert refused(Metadata=metadata) == [("Metadata", rule)]


# ── Card data ───────────────────────────────────────────────────────────────────────────────────────

CARD = "4111111111111111"
"""A public test number. tests/unit/test_cards.py has the numbers and keys; here is what becomes of them."""


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"TransactionID": CARD}, [("TransactionID", "card_number")]),
        ({"TransactionID": f"order_{CARD}"}, [("TransactionID", "card_number")]),
        ({"TransactionID": "4111-1111-1111-1111"}, [("TransactionID", "card_number")]),
        ({"ProcessorID": CARD}, [("ProcessorID", "card_number")]),
        ({"Metadata": {"card": "4111 1111 1111 1111"}}, [("Metadata", "card_number")]),
        ({"Metadata": {CARD: ""}}, [("Metadata", "card_number")]),
        ({"Metadata": {"cvv": "123"}}, [("Metadata", "card_data")]),
        ({"Metadata": {"cvv": "123", "note": f"paid by {CARD}"}}, [
            ("Metadata", "card_data"), ("Metadata", "card_number")
        ]),
        ({"SecureToken": CARD}, [("SecureToken", "card_number")]),
        ({"SecureToken": "4111 1111 1111 1111"}, [("SecureToken", "card_number")]),
        ({"SecureToken": CARD, "TransactionID": CARD}, [
            ("SecureToken", "card_number"), ("TransactionID", "card_number"), ("TransactionID", "holds_token")
        ]),
    ],
)  # fmt: skip
def test_card_data_is_rejected_and_not_repeated(fields: dict[str, Any], violations: list[tuple[str, str]]) -> None:
    """A record is permanent, and would bring the table, the events and every consumer into the scope of PCI DSS."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(**fields), default_currency="USD")
    assert [(v.field, v.rule) for v in caught.value.violations] == violations
    for text in (str(caught.value), str(caught.value.log_keys), str(refused_input(caught.value))):
        assert "1111" not in text
        assert "123" not in text


def test_a_token_may_have_digits() -> None:
    """A token is rejected only if all of it is a card number. Its content is the processor's own."""
    assert parsed(SecureToken=f"tok_{CARD}").transaction_id == "txn-1"
    assert parsed(SecureToken="4111111111111112").transaction_id == "txn-1"


def test_only_texts_within_their_length_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start input has up to 256 KiB, and the search looks at each digit."""
    searched: list[str] = []
    monkeypatch.setattr("ledger.fields.holds_card_number", lambda text: bool(searched.append(text)))
    parsed(TransactionID="1" * 64, ProcessorID="2" * 64, Metadata={"k": "3" * 256})
    assert {len(text) for text in searched} == {64, 1, 256}
    searched.clear()
    assert refused(TransactionID="1" * 65, Metadata={"k": "3" * 256, "l": "3" * 257})
    assert {len(text) for text in searched} == {4}


# ── Secrecy ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "TransactionID",
        "Amount",
        "Currency",
        "ProcessorID",
        "Status",
        "Timestamp",
        "Metadata",
        "SecureToken",
        "SealedToken",
    ],
)
def test_no_rejection_repeats_a_hostile_string(name: str, corpora: Path) -> None:
    """Any field can hold a token by mistake, so a rejection names only fields and rules."""
    hostile = json.loads((corpora / "naughty-strings.json").read_text())
    assert len(hostile) > 500
    for text in hostile:
        fields = {name: text, "SecureToken": ...} if name == "SealedToken" else {name: text}
        try:
            payment, token = parse_payment(with_fields(**fields), default_currency="USD")
        except InvalidPaymentError as error:
            message = str(error)
            for always_there in ("TransactionID", "ProcessorID", "txn-1", "acme", "Violations", "Field", "Rule", name):
                message = message.replace(f'"{always_there}"', "")
            for violation in error.violations:
                message = message.replace(f'"{violation.rule}"', "")
            assert set(message) <= set('{}[]:, "'), (text, message)
        else:
            kept = {**payment.as_state(), token.field: token.text}[name]
            assert kept == text or (name == "Amount" and Decimal(str(kept)) == Decimal(text))


# ── The fingerprint ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fields",
    [
        {"TransactionID": "txn-2"},
        {"Amount": "10.51"},
        {"Currency": "USD"},
        {"ProcessorID": "acme2"},
        {"Status": "Failure"},
        {"Timestamp": "2026-11-23T09:30:00.000001Z"},
    ],
)
def test_another_payment_has_another_fingerprint(fields: dict[str, str]) -> None:
    """The fingerprint distinguishes a duplicate from a conflict."""
    assert parsed(**fields).fingerprint != parsed().fingerprint


@pytest.mark.parametrize(
    "fields",
    [
        {"Amount": "010.5"},
        {"Amount": 10.5},
        {"Timestamp": "2026-11-23T10:30:00.000+01:00"},
        {"SecureToken": "tok_reissued"},
        {"Metadata": {"attempt": "2"}},
    ],
)
def test_the_same_payment_has_the_same_fingerprint(fields: dict[str, Any]) -> None:
    """A processor's retry may write the same values differently, and carry a newly issued token."""
    assert parsed(**fields).fingerprint == parsed().fingerprint


def test_fields_cannot_flow_into_each_other() -> None:
    """Without a delimiter, `a`+`bc` and `ab`+`c` would be one payment."""
    assert (
        parsed(TransactionID="a", ProcessorID="bc").fingerprint
        != parsed(TransactionID="ab", ProcessorID="c").fingerprint
    )


def test_the_fingerprint_never_changes() -> None:
    """The fingerprint is stored permanently. If a release changed it, every repeat would be a conflict."""
    assert parsed().fingerprint == "8600cac9c7e48beae53536a07e521d8db4096449d7c7024096e574614a1bfa0a"


def test_a_stack_for_sealed_tokens_rejects_a_plaintext_one() -> None:
    """An integration that forgets to seal is found on its first payment, with its other mistakes."""
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(Status="x"), default_currency="USD", plaintext_tokens=False)
    assert [(v.field, v.rule) for v in caught.value.violations] == [
        ("SecureToken", "plaintext_token"),
        ("Status", "status"),
    ]
    sealed = with_fields(SecureToken=..., SealedToken="AAAA")
    assert parse_payment(sealed, default_currency="USD", plaintext_tokens=False)[1].field == "SealedToken"
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(with_fields(SecureToken=...), default_currency="USD", plaintext_tokens=False)
    assert [(v.field, v.rule) for v in caught.value.violations] == [("SealedToken", "required")]


def test_what_unknown_fields_cost_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start input of 256 KiB may have forty thousand of them; comparing each name would take minutes."""
    asked: list[str] = []
    monkeypatch.setattr("difflib.get_close_matches", lambda name, *_, **__: asked.append(name) or [])
    with pytest.raises(InvalidPaymentError) as error:
        parse_payment({f"f{number}": 1 for number in range(10_000)}, default_currency="USD")
    assert ("Payment", "unknown_field") in error.value.violations
    assert len(asked) == MAX_CORRECTED_FIELDS


# ── Rejections from before the workflow ──────────────────────────────────────────────────────────────

BROKEN = [Violation("Amount", "decimals"), Violation("Payment", "unknown_field")]


@pytest.mark.parametrize(
    "ids", [{}, {"transaction_id": "t"}, {"processor_id": "p"}, {"transaction_id": "t", "processor_id": "p"}]
)
def test_a_rejection_comes_through_the_workflow_as_it_was(ids: dict[str, str]) -> None:
    """The event, the log and the metrics must say the same as the response to the sender."""
    before = InvalidPaymentError(BROKEN, **ids)
    after = parse_rejection(json.loads(json.dumps(refused_input(before))))
    assert after is not None
    assert (str(after), after.violations) == (str(before), BROKEN)
    assert after.log_keys == {
        "transaction_id": ids.get("transaction_id"),
        "processor_id": ids.get("processor_id"),
        "rules": ["Amount: decimals", "Payment: unknown_field"],
    }


@pytest.mark.parametrize("error", [InvalidPaymentError, InvalidEntryError])
@pytest.mark.parametrize("said", [None, "another"])
def test_a_rejection_names_the_processor_that_sent_it(error: type[InvalidInputError], said: str | None) -> None:
    """An input may name another processor, whose operators would then look for a message that it never sent."""
    rejected = error(BROKEN, transaction_id="t", entry_id="e", processor_id=said).sent_by("acme")
    assert type(rejected) is error
    assert json.loads(str(rejected)) == {
        "TransactionID": "t",
        "EntryID": "e",
        "ProcessorID": "acme",
        "Violations": [{"Field": field, "Rule": rule} for field, rule in BROKEN],
    }


REFUSED = {"Violations": [{"Field": "Amount", "Rule": "decimals"}]}


@pytest.mark.parametrize(
    "start_input",
    [
        None,
        [],
        {},
        VALID,
        {"Refused": None},
        {"Refused": REFUSED, "Amount": "1"},
        {"Refused": {**REFUSED, "Note": "tok_4f1d"}},
        {"Refused": {**REFUSED, "SecureToken": "tok_4f1d"}},
        {"Refused": {**REFUSED, "TransactionID": "tok 4f1d"}},
        {"Refused": {**REFUSED, "ProcessorID": None}},
        {"Refused": {**REFUSED, "TransactionID": 7}},
        {"Refused": {**REFUSED, "ProcessorID": ["acme"]}},
        {"Refused": {**REFUSED, "TransactionID": CARD}},
        {"Refused": {**REFUSED, "ProcessorID": CARD}},
        *(
            {"Refused": {"Violations": violations}}
            for violations in (
                None,
                [],
                {},
                "tok_4f1d",
                [None],
                ["Amount"],
                [{}],
                [{"Field": "Amount"}],
                [{"Field": "Amount", "Rule": "tok_4f1d"}],
                [{"Field": "tok_4f1d", "Rule": "decimals"}],
                [{"Field": "Amount", "Rule": ["decimals"]}],
                [{"Field": 1, "Rule": 1}, *REFUSED["Violations"]],
                [{**REFUSED["Violations"][0], "Value": "tok_4f1d"}],
                REFUSED["Violations"] * 2,
                [*REFUSED["Violations"], {"Field": "Amount", "Rule": "tok_4f1d"}],
            )
        ),
    ],
)
def test_nothing_else_is_a_rejection(start_input: object) -> None:
    """A sender may start an execution with any input. Its text must not become a metric, or appear in an event."""
    assert parse_rejection(start_input) is None
    with pytest.raises(InvalidPaymentError) as caught:
        parse_payment(start_input if start_input != VALID else {}, default_currency="USD")
    assert "4f1d" not in str(caught.value)
    assert CARD not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "token", "expected"),
    [
        ("txn-1", "tok_4f1d-secret", "txn-1"),
        ("txn 1", "tok_4f1d-secret", None),
        ("txn-1\n", "tok_4f1d-secret", None),
        (1, "tok_4f1d-secret", None),
        (None, "tok_4f1d-secret", None),
        ("tok_4f1d-secret", "tok_4f1d-secret", None),
        ("a-tok_4f1d-secret", "tok_4f1d-secret", None),
        ("tok_4f1d-secret", None, "tok_4f1d-secret"),
        (CARD, None, None),
        ("order_4111-1111-1111-1111", None, None),
    ],
)
def test_an_id_is_named_only_if_it_is_valid_and_holds_no_secret(value: Any, token: Any, expected: str | None) -> None:
    """The ID appears in logs, events and the execution's name."""
    start_input = {"TransactionID": value, "SecureToken": token, "ProcessorID": "tok_4f1d-secret"}
    assert valid_id(start_input, "TransactionID") == expected
    assert valid_id({}, "TransactionID") is None
