"""No input from outside costs more than its size, and none ends a parser otherwise than by a rule, however deep it is.

A function of 256 MB has a seventh of a processor: what takes seconds here takes a minute there, keeps the webhook from
everybody else, and makes a technical failure of what is a refusal.
"""

import base64
import functools
import itertools
import json
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from ledger.entry import is_entry, parse_entry
from ledger.fields import MAX_METADATA_PAIRS
from ledger.formats import FORMATS
from ledger.identifiers import mapped_identifier
from ledger.payment import parse_payment, parse_rejection
from ledger.processors import Processor, ProcessorSecretError
from ledger.signature import (
    ADYEN,
    MOLLIE,
    PADDLE,
    RAZORPAY,
    STANDARD_WEBHOOKS,
    STRIPE,
    InvalidSignatureError,
    Received,
    verify,
)
from ledger.strict_json import StrictJSONError, loads
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError, InvalidInputError
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS

LARGEST = 256 * 1024
"""Characters of the largest input of an execution, and of the largest body that the webhook reads."""

CPU_S = 1.5
"""For the largest input, on a machine that does other things too. What is linear takes a tenth of it."""

SIZES = (1_000, 2_000, 4_000)
STARTED = 400
"""Steps that a call may take whatever its input. They are fewer than the smallest size: no growth hides in them."""

VALID = json.loads((ROOT / "events/start/01-success.json").read_text())
NOW = 1_800_000_000


DEEP_LIST: Any = "x"
DEEP_OBJECT: Any = "x"
for _ in range(100_000):
    DEEP_LIST, DEEP_OBJECT = [DEEP_LIST], {"a": DEEP_OBJECT}
"""Values so deep that Python compares, prints and writes none of them."""


def paid(**fields: Any) -> Callable[[], Any]:
    """Parse a start input with these fields."""
    return lambda: parse_payment({**VALID, **fields}, default_currency="USD")


def without(*names: str, **fields: Any) -> Callable[[], Any]:
    """Parse a start input without some fields and with others."""
    given = {name: value for name, value in VALID.items() if name not in names}
    return lambda: parse_payment({**given, **fields}, default_currency="USD")


def anagrams(n: int, letters: str) -> dict[str, int]:
    """Return names with the same letters as a field's, which take a comparison long."""
    words = itertools.islice(itertools.permutations(letters), n // (len(letters) + 4) + 1)
    return {"".join(word): 1 for word in words}


def refusal(n: int, **changed: Any) -> Callable[[], Any]:
    """Parse a rejection with this many violations."""
    violations = [{"Field": "Amount", "Rule": "decimals"}] * (n // 40 + 1)
    return lambda: parse_rejection({"Refused": {"Violations": violations, **changed}})


def claimed(scheme: Any, headers: dict[str, str]) -> Callable[[], Any]:
    """Check a signature."""
    return lambda: verify(scheme, ["whsec_" + "QUFB" * 8] * 2, Received.of(headers, "https://x", b"{}"), NOW)


def notified(item: dict[str, Any], more: int = 0) -> Callable[[], Any]:
    """Check a notification of Adyen's, whose signature is in the body."""
    signed = {"NotificationRequestItem": {"additionalData": {"hmacSignature": "x"}, **item}}
    body = json.dumps({"notificationItems": [signed, *[{}] * more]}).encode()
    return lambda: verify(ADYEN, ["0A" * 32] * 2, Received({}, "https://x", body), NOW)


def standard(**changed: str) -> Callable[[], Any]:
    """Check a signature of Standard Webhooks."""
    headers = {"webhook-id": "m", "webhook-timestamp": f"{NOW}", "webhook-signature": "v1,x"}
    return claimed(STANDARD_WEBHOOKS, {**headers, **{f"webhook-{name}": value for name, value in changed.items()}})


def secret(text: str) -> Callable[[], Any]:
    """Parse the text that Secrets Manager has for a processor."""
    return lambda: Processor.parse(text)


def said(name: str, message: Any) -> Callable[[], Any]:
    """Read a webhook's message in a processor's format, then check it against the contract."""

    def read() -> None:
        start_input = FORMATS[name].start_input(message, "acme-pay")
        if is_entry(start_input):
            parse_entry(start_input)
        elif start_input is not None:
            parse_payment(start_input, default_currency="USD")

    return read


SAMPLES = {
    file.stem: FORMATS[processor["Format"]]
    for processor_id, processor in PROCESSORS.items()
    for file in sorted((ROOT / "events/webhooks").glob(f"{processor_id}-*.json"))
    if processor["Format"] != "standard-webhooks"
}
"""The samples of the processors' own messages, each with its format."""


def lengthened(value: Any, share: int) -> Any:
    """Return a message with *share* characters more in each text that is not a type or a state."""
    if isinstance(value, dict):
        return {name: lengthened(one, share) for name, one in value.items()}
    if isinstance(value, list):
        return [lengthened(one, share) for one in value]
    return f"{value}{'é' * share}" if isinstance(value, str) and any(map(str.isdigit, value)) else value


def long_sample(name: str, n: int) -> Callable[[], Any]:
    """Read a sample with texts of *n* characters together."""
    message = json.loads((ROOT / f"events/webhooks/{name}.json").read_text())
    texts = max(1, json.dumps(lengthened(message, 1), ensure_ascii=False).count("é"))

    def read() -> None:
        start_input = SAMPLES[name].start_input(lengthened(message, n // texts), "acme-pay")
        assert start_input is not None  # otherwise nothing of the texts was read
        parse_entry(start_input) if is_entry(start_input) else parse_payment(start_input, default_currency="USD")

    return read


def charge(**fields: Any) -> dict[str, Any]:
    """Return an event of Stripe's about a charge."""
    made = {"id": "ch_1", "status": "succeeded", "captured": True, "amount_captured": 100, "currency": "eur",
            "created": NOW, "payment_method": "pm_1", **fields}  # fmt: skip
    return {"type": "charge.succeeded", "livemode": True, "id": "evt", "data": {"object": made}}


INPUTS: dict[str, Callable[[int], Callable[[], Any]]] = {
    # Each rule of the contract.
    "made-up names like SecureToken": lambda n: paid(**anagrams(n, "securetoken")),
    "made-up names like Timestamp": lambda n: paid(**anagrams(n, "timestamp")),
    "short made-up names": lambda n: paid(**{f"{number:x}": 1 for number in range(n // 8)}),
    "one long name": lambda n: paid(**{"securetoke" * (n // 10): 1}),
    "a long TransactionID": lambda n: paid(TransactionID="a" * n),
    "a TransactionID in other letters": lambda n: paid(TransactionID="é" * n),
    "a long ProcessorID": lambda n: paid(ProcessorID="a-" * (n // 2)),
    "a long amount": lambda n: paid(Amount="9" * n),
    "an amount of zeros": lambda n: paid(Amount="0" * n),
    "an amount with many decimals": lambda n: paid(Amount="0." + "0" * n),
    "an amount that ends wrongly": lambda n: paid(Amount="9" * n + "x"),
    "an amount of points": lambda n: paid(Amount="1." * (n // 2)),
    "a negative amount": lambda n: paid(Amount="-" + "9" * n + "x"),
    "a huge integer": lambda n: paid(Amount=1 << 3 * n),
    "a huge negative integer": lambda n: paid(Amount=-(1 << 3 * n)),
    "a tiny double": lambda _: paid(Amount=5e-324),
    "a huge double": lambda _: paid(Amount=1.7e308),
    "a long currency": lambda n: paid(Currency="E" * n),
    "a long time": lambda n: paid(Timestamp="2026-01-01T00:00:00." + "0" * n + "Z"),
    "a time that ends wrongly": lambda n: paid(Timestamp="2026-01-01T00:00:00." + "0" * n + "x"),
    "a long status": lambda n: paid(Status="S" * n),
    "many pairs": lambda n: paid(Metadata={f"{number:x}": "v" for number in range(n // 10)}),
    "a long key": lambda n: paid(Metadata={"k" * n: "v"}),
    "a long value": lambda n: paid(Metadata={"k": "é" * n}),
    "half pairs in a value": lambda n: paid(Metadata={"k": "\ud800" * n}),
    "a long token": lambda n: paid(SecureToken="t" * n),
    "half pairs in a token": lambda n: paid(SecureToken="\ud800" * n),
    "a token that nearly stands in a field": lambda n: paid(SecureToken="a" * (n // 2) + "b", TransactionID="a" * n),
    "a token that nearly stands in each value": lambda n: paid(
        SecureToken="ab" * 1000 + "a",
        Metadata={f"{number}": "ab" * (n // (2 * MAX_METADATA_PAIRS)) for number in range(MAX_METADATA_PAIRS)},
    ),
    "a long sealed token": lambda n: without("SecureToken", SealedToken="A" * n),
    "a sealed token of padding": lambda n: without("SecureToken", SealedToken="=" * n),
    "a sealed token in other letters": lambda n: without("SecureToken", SealedToken="é" * n),
    # The webhook's body.
    "brackets": lambda n: lambda: loads("[" * n),
    "braces": lambda n: lambda: loads('{"a":' * (n // 5)),
    "closed brackets": lambda n: lambda: loads("[" * (n // 2) + "]" * (n // 2)),
    "digits": lambda n: lambda: loads("9" * n),
    "numbers": lambda n: lambda: loads("[" + "9," * (n // 2) + "9]"),
    "an exponent": lambda n: lambda: loads("1e" + "9" * n),
    "decimals": lambda n: lambda: loads("0." + "9" * n),
    "minus signs": lambda n: lambda: loads("-" * n),
    "spaces": lambda n: lambda: loads(" " * n),
    "escapes": lambda n: lambda: loads('"' + r"\u0041" * (n // 6) + '"'),
    "a string without an end": lambda n: lambda: loads('"' + "\\" * n),
    "one name again and again": lambda n: lambda: loads("{" + '"a":1,' * (n // 6) + '"a":1}'),
    "many names": lambda n: lambda: loads(json.dumps({f"{number:x}": 1 for number in range(n // 12)})),
    "many objects": lambda n: lambda: loads("[" + '{"a":1},' * (n // 8) + "1]"),
    "bytes that are no text": lambda n: lambda: loads(b"\xff" * n),
    "a mark of order": lambda n: lambda: loads("\ufeff" * n),
    # Each format.
    "a message of many names": lambda n: said("standard-webhooks", anagrams(n, "securetoken")),
    "data of many names": lambda n: said("standard-webhooks", {"type": "a", "data": anagrams(n, "timestamp")}),
    "a message of a long type": lambda n: said("standard-webhooks", {"type": "payment" + "s" * n}),
    "a message of a type of spaces": lambda n: said("standard-webhooks", {"type": " " * n}),
    "a charge with a long id": lambda n: said("stripe", charge(id="é" * n)),
    "a charge with a long currency": lambda n: said("stripe", charge(currency="ß" * n)),
    "a charge of many digits": lambda _: said("stripe", charge(amount_captured=10**64)),
    "a charge of another time": lambda _: said("stripe", charge(created=10**64)),
    "a charge with a long method": lambda n: said("stripe", charge(payment_method="p" * n)),
    **{f"{name} with long texts": functools.partial(long_sample, name) for name in SAMPLES},
    "an id of another system": lambda n: lambda: mapped_identifier("é" * n),
    # Signatures, secrets, rejections, times.
    "many signatures": lambda n: standard(signature="v1,a " * (n // 5)),
    "a long signature": lambda n: standard(signature="v1," + "A" * n),
    "signatures of blanks": lambda n: standard(signature=" " * n),
    "a long message id": lambda n: standard(id="é" * n),
    "a long time of sending": lambda n: standard(timestamp="9" * n),
    "many of Stripe's signatures": lambda n: claimed(STRIPE, {"stripe-signature": f"t={NOW}" + ",v1=a" * (n // 5)}),
    "many of Stripe's times": lambda n: claimed(STRIPE, {"stripe-signature": f"t={NOW}," * (n // 13)}),
    "many of Paddle's signatures": lambda n: claimed(PADDLE, {"paddle-signature": f"ts={NOW}" + ";h1=a" * (n // 5)}),
    "many of Mollie's signatures": lambda n: claimed(MOLLIE, {"x-mollie-signature": "sha256=a," * (n // 9)}),
    "a long signature of the body": lambda n: claimed(RAZORPAY, {"x-razorpay-signature": "a" * n}),
    "a notification of Adyen's with a long reference": lambda n: notified({"merchantReference": "é" * n}),
    "a notification of Adyen's with many names": lambda n: notified({f"{number:x}": 1 for number in range(n // 12)}),
    "a notification of Adyen's with many items": lambda n: notified({}, n // 8),
    "a secret of brackets": lambda n: secret("[" * n),
    "a secret of digits": lambda n: secret("9" * n),
    "a long secret": lambda n: secret(json.dumps({"Format": "stripe", "Secrets": ["whsec_" + "a" * n]})),
    "a long standard secret": lambda n: secret(
        json.dumps({"Format": "standard-webhooks", "Secrets": ["whsec_" + "A" * n]})
    ),
    "many secrets": lambda n: secret(json.dumps({"Format": "stripe", "Secrets": ["a"] * (n // 5)})),
    "a refusal of many rules": refusal,
    "a refusal with long ids": lambda n: refusal(1, TransactionID="t" * n, ProcessorID="é" * n),
    "a refusal of unknown rules": lambda n: (
        lambda: parse_rejection({"Refused": {"Violations": [{"Field": "F" * n, "Rule": "R" * n}]}})
    ),
    "the time of a query": lambda n: lambda: utc_timestamp("2026-01-01T00:00:00." + "1" * n + "+00:00x"),
}

DEEP: dict[str, Callable[[], Any]] = {
    **{f"a deep {name}": paid(**{name: DEEP_LIST}) for name in VALID},
    **{f"a deep object as {name}": paid(**{name: DEEP_OBJECT}) for name in VALID},
    "a deep sealed token": without("SecureToken", SealedToken=DEEP_LIST),
    "a deep unknown field": paid(other=DEEP_LIST),
    "a deep start input": lambda: parse_payment(DEEP_LIST, default_currency="USD"),
    "a deep metadata value": paid(Metadata={"k": DEEP_LIST}),
    "a deep refusal": lambda: parse_rejection(DEEP_OBJECT),
    "a refusal of deep rules": lambda: parse_rejection(
        {"Refused": {"Violations": [{"Field": DEEP_LIST, "Rule": DEEP_LIST}]}}
    ),
    "a refusal of a deep id": lambda: parse_rejection(
        {"Refused": {"Violations": [{"Field": "Amount", "Rule": "type"}], "TransactionID": DEEP_LIST}}
    ),
    "a deep message": said("standard-webhooks", {"type": "payment.x", "data": DEEP_OBJECT}),
    **{f"a charge with a deep {name}": said("stripe", charge(**{name: DEEP_OBJECT}))
       for name in ("id", "status", "captured", "amount_captured", "currency", "created", "payment_method")},
    "a deep event of Stripe's": said("stripe", {"type": "charge.failed", "livemode": True, "data": DEEP_LIST}),
    "deep brackets": lambda: loads("[" * 100_000 + "]" * 100_000),
    "deep braces": lambda: loads('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a deep secret": secret("[" * 100_000 + "]" * 100_000),
    "a deep format of a secret": secret('{"Secrets": [], "Format": ' + "[" * 500 + "]" * 500 + "}"),
}  # fmt: skip

RULES = (InvalidInputError, BrokenRuleError, StrictJSONError, ProcessorSecretError, InvalidSignatureError)


def outcome(call: Callable[[], Any]) -> type[Exception] | None:
    """Return the rule's error that the call ends in. Any other error fails the test."""
    try:
        call()
    except RULES as broken:
        return type(broken)
    return None


def steps(call: Callable[[], Any]) -> int:
    """Return how many lines of Python a call executes, in the ledger's code and in its libraries."""
    counted = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal counted
        counted += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outcome(call)
    finally:
        sys.settrace(before)
    return counted


@pytest.mark.parametrize("what", INPUTS)
def test_an_input_takes_steps_in_proportion(what: str) -> None:
    """`difflib` compared each of 17,000 made-up names with nine fields: 17 seconds of the webhook's function."""
    outcome(INPUTS[what](SIZES[0]))  # imports the modules that only a rejection needs
    counted = [steps(INPUTS[what](size)) for size in SIZES]
    assert all(later < 2.2 * before + STARTED for before, later in itertools.pairwise(counted)), counted
    assert counted[-1] < 40 * SIZES[-1], counted


@pytest.mark.parametrize("what", INPUTS)
def test_the_largest_input_takes_no_time(what: str) -> None:
    """The count of steps does not include what patterns, searches and parsers do within one line."""
    call = INPUTS[what](LARGEST)
    began = time.process_time()
    outcome(call)
    assert time.process_time() - began < CPU_S


@pytest.mark.parametrize("what", DEEP)
def test_a_deep_input_breaks_a_rule(what: str) -> None:
    """A `RecursionError` is a technical failure. The execution fails, and no event says why."""
    outcome(DEEP[what])


TEXTS = ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 100_000, '["a","b",' + "[" * 50_000]
CURSORS = [base64.urlsafe_b64encode(text.encode()).decode() for text in TEXTS]


@pytest.mark.parametrize(
    "cursor",
    [*CURSORS, "A" * LARGEST, "=" * LARGEST, "é" * LARGEST],
    ids=lambda cursor: f"{cursor[:6]}_{len(cursor)}",
)
def test_a_deep_or_huge_cursor_breaks_its_rule(engine: Engine, cursor: str) -> None:
    """A caller that may list payments may send any text. The answer names the field, and takes no time."""
    began = time.process_time()
    reply, _ = engine.functions["QueryPaymentLedger"].invoke(
        json.dumps({"ProcessorID": "acme-pay", "Cursor": cursor}).encode()
    )
    error = json.loads(reply)
    assert (error["errorType"], json.loads(error["errorMessage"])["Violations"]) == (
        "InvalidQueryError",
        [{"Field": "Cursor", "Rule": "cursor"}],
    )
    assert time.process_time() - began < CPU_S
