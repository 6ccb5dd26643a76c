"""Hostile input through the whole workflow: a named rule rejects it, or it is recorded exactly as it was sent."""

import base64
import itertools
import json
import re
import string
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ledger.currencies import MINOR_UNITS
from ledger.fields import MAX_METADATA_PAIRS
from ledger_cli import ROOT
from ledger_cli.engine import Engine

DECIMALS = 2
"""The decimals of the sample's currency."""

MAX_START_INPUT_BYTES = 262_144
"""Source: Step Functions Developer Guide, quotas, maximum input size."""

WORKFLOW_DEPTH, FUNCTION_DEPTH = 300, 700
"""Levels of nesting. moto's Step Functions fail at about 450 levels, and Python's own parser at about 1,000."""


@pytest.fixture
def naughty(corpora: Path) -> list[str]:
    """Return strings that break programs."""
    strings: list[str] = json.loads((corpora / "naughty-strings.json").read_text())
    assert len(strings) > 500
    return strings


def assert_valid_event(event: dict[str, Any], detail_type: str) -> None:
    """Check the event against its published schema."""
    assert event["detail-type"] == detail_type
    schema = json.loads((ROOT / f"events/schemas/{detail_type}.schema.json").read_text())
    Draft202012Validator(schema).validate(event["detail"])


def assert_rejected(engine: Engine, start_input: str, violations: list[str]) -> None:
    """Check that the input is rejected: one event with these violations, no item, and no technical failure."""
    items, events = engine.items(), len(engine.published())
    execution = engine.run(start_input)
    assert execution.status == "FAILED"
    assert execution.error == "InvalidPaymentError"
    assert execution.outcome == "REJECTED"
    assert execution.cause == "; ".join(sorted(violations))
    assert engine.items() == items
    (event,) = engine.published()[events:]
    assert_valid_event(event, "PaymentRejected")
    assert [f"{v['Field']}: {v['Rule']}" for v in event["detail"]["Violations"]] == sorted(violations)


def assert_recorded(engine: Engine, payment: dict[str, Any], amount: str | None = None) -> None:
    """Check that the payment is recorded exactly: its item, its event and its token are as they were sent.

    Args:
        engine: the stack.
        payment: a valid payment, with a plaintext token.
        amount: the JSON text of the amount, if it is not the payment's own.
    """
    text = json.dumps(payment) if amount is None else with_amount(payment, amount)
    execution = engine.run(text)
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.outcome == "RECORDED"
    key = {"TransactionID": {"S": payment["TransactionID"]}}
    item = engine.client("dynamodb").get_item(TableName=engine.outputs["TableName"], Key=key)["Item"]
    detail = engine.published()[-1]["detail"]
    assert_valid_event(engine.published()[-1], "PaymentImported" if "Import" in payment else "PaymentRecorded")
    for name in ("TransactionID", "ProcessorID", "Status", "Currency"):
        assert item[name]["S"] == payment[name]
        assert detail[name] == payment[name]
    sent = Decimal(json.loads(amount, parse_int=str, parse_float=str) if amount else payment["Amount"])
    assert Decimal(item["Amount"]["N"]) == sent
    assert Decimal(detail["Amount"]) == sent
    imported = {"ledger:import": payment["Import"]} if "Import" in payment else {}
    assert {key: value["S"] for key, value in item["Metadata"]["M"].items()} == payment["Metadata"] | imported
    assert detail["Metadata"] == payment["Metadata"]
    assert item["Timestamp"]["S"] == detail["Timestamp"]
    assert datetime.fromisoformat(item["Timestamp"]["S"]) == datetime.fromisoformat(payment["Timestamp"].upper())
    assert decrypted(engine, item["SecureToken"]["B"], payment["TransactionID"]) == payment["SecureToken"]


def decrypted(engine: Engine, ciphertext: bytes, transaction_id: str) -> str:
    """Return the token, as its holder gets it back."""
    reply = engine.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext={"TransactionID": transaction_id})
    return str(reply["Plaintext"].decode())


def with_amount(payment: dict[str, Any], amount: str) -> str:
    """Return the payment's JSON text, with this text as its amount."""
    return json.dumps({**payment, "Amount": "AMOUNT"}).replace('"AMOUNT"', amount)


# ── Strings that break programs ─────────────────────────────────────────────────────────────────────
# The rules are written down here a second time, in another way than the code has them.


def only(characters: str, text: str) -> bool:
    """Return whether the text is not empty, and has no other characters."""
    return text != "" and set(text) <= set(characters)


def identifier_rule(text: str) -> str | None:
    """Return the rule that an ID breaks: it has 1 to 64 characters of a small alphabet."""
    return None if only(string.ascii_letters + string.digits + "_-", text) and len(text) <= 64 else "identifier"


def amount_rule(text: str) -> str | None:
    """Return the rule that an amount breaks: it has digits, with at most one point between them."""
    whole, point, fraction = text.removeprefix("-").partition(".")
    if not only(string.digits, whole) or (point and not only(string.digits, fraction)):
        return "decimal"
    if text.startswith("-"):
        return "negative"
    if len(fraction) > DECIMALS:
        return "decimals"
    return "digits" if len(whole + fraction) > 38 else None


def sealed_rule(text: str) -> str | None:
    """Return the rule that a sealed token breaks: it is base64. Only KMS can say what it encodes."""
    if not re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text):
        return "base64"
    return None if text else "ciphertext_length"


RULES: dict[str, Callable[[str], str | None]] = {
    "TransactionID": identifier_rule,
    "ProcessorID": identifier_rule,
    "SecureToken": lambda text: None if 1 <= len(text.encode()) <= 4096 else "token_length",
    "SealedToken": sealed_rule,
    "Amount": amount_rule,
    "Currency": lambda text: None if text in MINOR_UNITS else "currency",
    "Status": lambda text: None if text in {"Success", "Failure"} else "status",
    "Timestamp": lambda _: "timestamp",
    "Import": lambda text: None if text in {"quiet", "published"} else "import",
    "Metadata value": lambda text: None if len(text) <= 256 else "metadata_value",
    "Metadata name": lambda text: "metadata_key" if identifier_rule(text.replace(".", "-")) else None,
}
"""The rule that a text breaks, by its place in the payment, or None if it is valid there."""


def with_text(payment: dict[str, Any], place: str, text: str) -> dict[str, Any]:
    """Return the payment with the text in this place."""
    value = {"Metadata value": {"note": text}, "Metadata name": {text: ""}}.get(place, text)
    changed = {**payment, field_of(place): value}
    if place == "SealedToken":
        del changed["SecureToken"]
    return changed


def field_of(place: str) -> str:
    """Return the contract's field to which a place belongs."""
    return place.partition(" ")[0]


@pytest.mark.parametrize("place", RULES)
def test_every_naughty_string_is_accepted_as_it_is_or_rejected_by_its_rule(
    engine: Engine, payment: dict[str, Any], naughty: list[str], place: str
) -> None:
    """A crash would be retried and then ring an alarm, and a changed value would be recorded wrongly."""
    function, field = engine.functions["ValidatePayment"], field_of(place)
    for text in naughty:
        start_input = with_text(payment, place, text)
        reply, raised = function.invoke(json.dumps(start_input).encode())
        answer, rule = json.loads(reply), RULES[place](text)
        assert raised == (rule is not None), (text, answer)
        assert answer.get("errorType") == ("InvalidPaymentError" if rule else None), (text, answer)
        if rule:
            assert json.loads(answer["errorMessage"])["Violations"] == [{"Field": field, "Rule": rule}], text
        elif field == "Amount":
            assert Decimal(answer["Payment"][field]) == Decimal(text)
        else:
            assert {**answer["Payment"], **answer}[field] == start_input[field]


def test_the_workflow_rejects_naughty_strings_by_name(
    engine: Engine, payment: dict[str, Any], naughty: list[str]
) -> None:
    """The violations pass through a Catch, an event and an execution's cause, and stay the same."""
    for place, rule_of in RULES.items():
        one_of_each_rule = {rule_of(text): text for text in naughty}
        for text in {*one_of_each_rule.values(), *naughty[::120]}:
            if rule := rule_of(text):
                assert_rejected(engine, json.dumps(with_text(payment, place, text)), [f"{field_of(place)}: {rule}"])
    base64_of_nothing = next(text for text in naughty if not sealed_rule(text))
    sealed = with_text(payment, "SealedToken", base64_of_nothing)
    assert_rejected(engine, json.dumps(sealed), ["SealedToken: not_sealed_for_this_payment"])


def test_a_naughty_field_name_is_rejected_and_not_repeated(engine: Engine, naughty: list[str]) -> None:
    """The sender chooses a field's name as freely as its value, so neither may be repeated."""
    execution = engine.run(json.dumps(dict.fromkeys(naughty, 0)))
    assert execution.error == "InvalidPaymentError"
    assert "Payment: unknown_field" in str(execution.cause)
    assert_valid_event(engine.published()[0], "PaymentRejected")


def test_the_workflow_records_naughty_strings_exactly(
    engine: Engine, payment: dict[str, Any], naughty: list[str]
) -> None:
    """Each valid string is a metadata value or both IDs once, and each payment has a token of them: none may change."""
    ids = [text for text in dict.fromkeys(naughty) if not identifier_rule(text)]
    values = [text for text in naughty if len(text) <= 256]
    assert len(ids) * MAX_METADATA_PAIRS > len(values)
    for n, transaction_id in enumerate(ids):
        start_input = {
            **payment,
            "TransactionID": transaction_id,
            "ProcessorID": ids[-n],
            # Without the number, the token could equal one of the metadata values.
            "SecureToken": f"{n}→{naughty[n * len(naughty) // len(ids)]}",
            "Metadata": {
                f"note-{i}": text
                for i, text in enumerate(values[MAX_METADATA_PAIRS * n : MAX_METADATA_PAIRS * (n + 1)])
            },
        }
        assert_recorded(engine, start_input)
    assert len(engine.items()) == len(ids)


@pytest.mark.parametrize("text", [
    "e\u0301", "\u212b", "\ufb01", "\ufeff", "\ufffe", "\u2028", "\u202etext", "\0", "\x7f", "\x85", " a ", "\r\n\t",
    "\\u0000", "&amp;", "%00", "$.Payment", "$$.Execution.Id", "States.UUID()", "{% $states.input %}", "${TokenKey}",
])  # fmt: skip
def test_text_is_neither_normalised_nor_interpreted(engine: Engine, payment: dict[str, Any], text: str) -> None:
    """Two texts that look alike are two tokens, and a text that looks like an ASL expression is still a text."""
    assert_recorded(engine, {**payment, "SecureToken": f"{text}~{text}", "Metadata": {"note": text}})


def test_an_import_with_as_many_metadata_as_there_can_be_is_recorded(engine: Engine, payment: dict[str, Any]) -> None:
    """The ledger's own pair is one more than a sender may have, and its name is none that a sender can choose."""
    full = {f"ledger.import-{number}": "quiet" for number in range(MAX_METADATA_PAIRS)}
    assert_recorded(engine, {**payment, "Import": "published", "Metadata": full})
    own = {**payment, "TransactionID": "own-pair", "Metadata": {"ledger:import": "quiet"}}
    assert_rejected(engine, json.dumps(own), ["Metadata: metadata_key"])
    forms = [["quiet"], {"quiet": "published"}, 1, 0, True, 1e400, "quiet\n", "QUIET", "quiet\0", "published "]
    for form in forms:
        rule = "import" if isinstance(form, str) else "type"
        assert_rejected(engine, json.dumps({**payment, "Import": form}), [f"Import: {rule}"])


def test_every_naughty_token_comes_back_to_the_byte(engine: Engine, naughty: list[str]) -> None:
    """A token that is normalised, trimmed or encoded in another way is lost permanently: nobody else has it."""
    event = json.loads((ROOT / "events/functions/encrypt_token.json").read_text())
    for token in filter(None, naughty):
        reply, _ = engine.functions["EncryptToken"].invoke(json.dumps({**event, "SecureToken": token}).encode())
        ciphertext = base64.b64decode(json.loads(reply)["EncryptedToken"])
        assert decrypted(engine, ciphertext, event["Payment"]["TransactionID"]) == token


def test_half_a_surrogate_pair_is_rejected_in_every_field(engine: Engine, payment: dict[str, Any]) -> None:
    """JSON can hold it and UTF-8 cannot. A payment with it would fail several states later, when it is encoded."""
    not_unicode = dict.fromkeys(["SecureToken", "Metadata value"], "not_unicode")
    for place, rule in ({place: rule_of("\0") for place, rule_of in RULES.items()} | not_unicode).items():
        assert_rejected(engine, json.dumps(with_text(payment, place, "half \ud83d")), [f"{field_of(place)}: {rule}"])
    assert_rejected(engine, json.dumps({**payment, "\udc00": ""}), ["Payment: unknown_field"])


# ── Times ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_rfc_3339_vectors_are_recorded_as_the_same_moment_or_rejected(
    engine: Engine, payment: dict[str, Any], corpora: Path
) -> None:
    """A payment's time is evidence: a moment that cannot be kept exactly is rejected, not rounded."""
    vectors = [test for suite in json.loads((corpora / "date-time.json").read_text()) for test in suite["tests"]]
    assert len(vectors) > 25
    for n, vector in enumerate(vectors):
        text, start_input = vector["data"], {**payment, "TransactionID": f"time-{n}", "Timestamp": vector["data"]}
        if not isinstance(text, str):
            rule = "type"
        elif not vector["valid"]:
            rule = "timestamp"
        elif ":60" in text:
            rule = "leap_second"
        elif re.search(r"\.[0-9]{7}", text):
            rule = "timestamp_precision"
        else:
            assert_recorded(engine, start_input)
            continue
        assert_rejected(engine, json.dumps(start_input), [f"Timestamp: {rule}"])


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [
    "1_0", "1e2", "1E2", "+1", " 1", "1 ", "1\n", "\n1", "1\t", "1\u00a0", "1\x00", "0x10", "0b1", "0o7", "1.", ".5",
    "-.5", ".", "", "-", "1,5", "1,000.00", "1'000", "1..0", "NaN", "nan", "Infinity", "-Infinity", "inf", "１０", "١٠",
    "१०", "²", "½", "五", "1.０", "1\u200b0", "$10", "10 EUR", "1/2", "1e400", "true", "1;DROP", "１",
])  # fmt: skip
def test_text_that_python_reads_as_a_number_is_not_an_amount(
    engine: Engine, payment: dict[str, Any], text: str
) -> None:
    """`int`, `float` and `Decimal` accept most of these texts, whose sender may have meant another amount."""
    assert_rejected(engine, json.dumps({**payment, "Amount": text}), ["Amount: decimal"])


@pytest.mark.parametrize(("amount", "rule"), [
    ('"-0"', "negative"), ('"-0.00"', "negative"), ('"-1"', "negative"), ("-0.0", "negative"), ("-1", "negative"),
    ("-0.01", "negative"), (f"-{10**40}", "negative"), ("1e400", "decimal"), ("-1e400", "decimal"),
    ("NaN", "float_digits"),
    ("1e-3", "decimals"), ("5e-324", "decimals"), ('"1.001"', "decimals"), ('"1.000"', "decimals"),
    ("1e22", "float_digits"), ("1.7976931348623157e308", "float_digits"), ("0.30000000000000004", "float_digits"),
    ("1" + "0" * 38, "digits"), ("9" * 5000, "digits"), (f"-{'9' * 5000}", "negative"),
    (f'"{"9" * 39}"', "digits"), (f'"{"0" * 39}"', "digits"),
    (f'"{"9" * 37}.99"', "digits"),
    ("true", "type"), ("null", "type"), ('["1"]', "type"), ('{"N": "1"}', "type"),
])  # fmt: skip
def test_an_amount_that_cannot_be_kept_is_rejected_by_its_own_rule(
    engine: Engine, payment: dict[str, Any], amount: str, rule: str
) -> None:
    """A sender fixes what the rule names. A number that lost digits on its way here must not be recorded."""
    assert_rejected(engine, with_amount(payment, amount), [f"Amount: {rule}"])


@pytest.mark.parametrize(("currency", "amount"), [
    *(("EUR", amount) for amount in [
        "0", "0.0", "0e0", "1e2", "1E+2", "10.50", "0.1", "9999999999999.99", "9" * 38, '"0"', '"0.00"', '"007"',
        '"00.10"', f'"{"9" * 38}"', f'"{"9" * 36}.99"', f'"{"0" * 37}1"', f'"{"0" * 35}1.01"',
    ]),
    *(("JPY", amount) for amount in ["0", "100", "100.0", "1e2", '"0"', '"1000"', f'"{"9" * 37}0"']),
    *(("KWD", amount) for amount in ["0.001", "1e-3", '"1.010"', f'"{"9" * 35}.990"']),
])  # fmt: skip
def test_an_amount_at_the_limits_is_recorded_to_the_last_digit(
    engine: Engine, payment: dict[str, Any], currency: str, amount: str
) -> None:
    """A ledger that rejected every unusual amount would be exact as well, and useless."""
    assert_recorded(engine, {**payment, "Currency": currency}, amount)


# ── Sizes ───────────────────────────────────────────────────────────────────────────────────────────

SIZES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"TransactionID": "T" * 64}, {"TransactionID": "T" * 65}, "TransactionID: identifier"),
    ({"TransactionID": "-"}, {"TransactionID": ""}, "TransactionID: identifier"),
    ({"ProcessorID": "_" * 64}, {"ProcessorID": "_" * 65}, "ProcessorID: identifier"),
    ({"SecureToken": "x" * 4096}, {"SecureToken": "x" * 4097}, "SecureToken: token_length"),
    ({"SecureToken": "é" * 2048}, {"SecureToken": "é" * 2048 + "x"}, "SecureToken: token_length"),
    ({"SecureToken": "€" * 1365 + "x"}, {"SecureToken": "€" * 1365 + "xx"}, "SecureToken: token_length"),
    ({"SecureToken": "𝄞" * 1024}, {"SecureToken": "𝄞" * 1025}, "SecureToken: token_length"),
    ({"SecureToken": "\0"}, {"SecureToken": ""}, "SecureToken: token_length"),
    ({"Metadata": {f"{n}": "" for n in range(MAX_METADATA_PAIRS)}},
        {"Metadata": {f"{n}": "" for n in range(MAX_METADATA_PAIRS + 1)}},
        "Metadata: metadata_pairs"),
    ({"Metadata": {".": "𝄞" * 256}}, {"Metadata": {".": "x" * 257}}, "Metadata: metadata_value"),
    ({"Metadata": {"k" * 64: ""}}, {"Metadata": {"k" * 65: ""}}, "Metadata: metadata_key"),
    ({"Metadata": {}}, {"Metadata": {"": ""}}, "Metadata: metadata_key"),
    ({"Metadata": {f"{n}".zfill(64): "\0" * 256 for n in range(MAX_METADATA_PAIRS)}, "SecureToken": "\1" * 4096},
        {"Metadata": {"k": ["\0"]}}, "Metadata: type"),
]  # fmt: skip


@pytest.mark.parametrize(("at_the_limit", "beyond", "violation"), SIZES)
def test_the_limit_is_recorded_and_one_more_is_rejected(
    engine: Engine, payment: dict[str, Any], at_the_limit: dict[str, Any], beyond: dict[str, Any], violation: str
) -> None:
    """The contract's limits are promises: a value beyond them is not cut, and a value within them is not rejected."""
    assert_recorded(engine, {**payment, **at_the_limit})
    assert_rejected(engine, json.dumps({**payment, **beyond}), [violation])


@pytest.mark.parametrize(("place", "rule"), [
    ("TransactionID", "identifier"), ("ProcessorID", "identifier"), ("SecureToken", "token_length"),
    ("SealedToken", "ciphertext_length"), ("Amount", "digits"), ("Currency", "currency"), ("Status", "status"),
    ("Timestamp", "timestamp"), ("Metadata value", "metadata_value"), ("Metadata name", "metadata_key"),
])  # fmt: skip
def test_the_largest_input_is_rejected_by_name(engine: Engine, payment: dict[str, Any], place: str, rule: str) -> None:
    """Work that grows faster than the input would end in a timeout, which is retried and then rings an alarm."""
    filling = "9" * (MAX_START_INPUT_BYTES - len(json.dumps(with_text(payment, place, ""))))
    whole_base64_groups = filling[len(filling) % 4 :]
    assert_rejected(engine, json.dumps(with_text(payment, place, whole_base64_groups)), [f"{field_of(place)}: {rule}"])


def test_the_largest_number_of_unknown_fields_is_rejected_by_name(engine: Engine, payment: dict[str, Any]) -> None:
    """Each name is compared with all that it could be a misspelling of. Nearly right names cost the most."""
    names = ("".join(letters) for letters in itertools.permutations("amounts_-"))
    text = json.dumps({**payment, **dict.fromkeys(itertools.islice(names, 18_000), 0)}, separators=(",", ":"))
    assert MAX_START_INPUT_BYTES * 0.9 < len(text) <= MAX_START_INPUT_BYTES
    execution = engine.run(text)
    assert execution.outcome == "REJECTED"
    assert execution.states[0].attempts == 1
    assert set(str(execution.cause).split("; ")) <= {"Payment: unknown_field", "Amount: misspelled_field"}


@pytest.mark.parametrize(("opening", "closing", "violations"), [
    ('{"Amount": ', "}", ["Amount: type"]),
    ('{"Metadata": ', "}", ["Metadata: type"]),
    ('{"Metadata": {"note": ', "}}", ["Metadata: type"]),
    ('{"SecureToken": ', "}", ["SecureToken: type"]),
    ('{"a": ', "}", ["Payment: unknown_field"]),
])  # fmt: skip
@pytest.mark.parametrize("level", ["[]", '{"a":}'], ids=["arrays", "objects"])
def test_deep_nesting_is_rejected_by_name(
    engine: Engine, payment: dict[str, Any], level: str, opening: str, closing: str, violations: list[str]
) -> None:
    """Code that descends into every level exhausts Python's stack."""
    field = opening.split('"')[1]
    rest = json.dumps({name: value for name, value in payment.items() if name != field})

    def nested(depth: int) -> str:
        return f"{opening}{level[:-1] * depth}0{level[-1] * depth}{closing[:-1]}, {rest[1:]}"

    assert_rejected(engine, nested(WORKFLOW_DEPTH), violations)
    reply, _ = engine.functions["ValidatePayment"].invoke(nested(FUNCTION_DEPTH).encode())
    assert json.loads(reply)["errorType"] == "InvalidPaymentError"
