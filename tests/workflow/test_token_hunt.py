"""The token hunt: a canary token, in every shape it could take, in everything that a run leaves behind."""

import base64
import gzip
import hashlib
import html
import json
import logging
import re
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit
from moto.core.botocore_stubber import BotocoreStubber

from ledger.intake import seal
from ledger.item import EncryptedPayment
from ledger.payment import InvalidPaymentError
from ledger_cli import ROOT
from ledger_cli.engine import Engine, lambda_runtime
from ledger_cli.engine.engine import Call
from ledger_cli.engine.http_api import Request
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed
from tests.support.faults import Faults
from tests.support.intake import intake_of

CANARY = 'tók"7Kq\\2+vX/9ñw&R4%m\'Zu?5P=e8<J;3ß L6h#\\"d+Gy/1€sB\\'
"""Dense with characters that JSON, URLs, forms, HTML and `repr` write otherwise."""

PLAIN_CANARY = "tok_live_Zk3vQ9-hT7xW2mB8rN4cJ6yL1pD5sG0fA"
"""May stand in every field, identifiers and metadata names too; no escape changes it."""

# ── The hunt ────────────────────────────────────────────────────────────────────────────────────────

FRAGMENT_BYTES = 12
PACKINGS = 3
"""How often what is packed is opened again: base64 of gzip of base64, say."""

MAX_INFLATED_BYTES = 1 << 20
DIGESTS = ("md5", "sha1", "sha256", "sha512")
ZLIB_OR_GZIP, RAW_DEFLATE = 47, -15  # zlib's `wbits`
STREAM_START = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")
ENCODINGS: list[tuple[re.Pattern[bytes], int, Callable[[bytes], bytes]]] = [
    (re.compile(rb"[A-Za-z0-9+/]{16,}"), 4, base64.b64decode),
    (re.compile(rb"[A-Z2-7]{20,}"), 8, base64.b32decode),
    (re.compile(rb"[0-9A-Fa-f]{24,}"), 2, lambda run: bytes.fromhex(run.decode())),
]
"""Runs of at least a fragment, how many characters belong together, and what they stand for."""


def shapes(token: str) -> Iterator[tuple[str, bytes]]:
    """Every shape of the token that is looked for, by name. What is packed is opened: see `unpacked`."""
    plain = token.encode()
    binary = {"plain": plain, "UTF-16 LE": token.encode("utf-16-le"), "UTF-16 BE": token.encode("utf-16-be")}
    binary |= {name: hashlib.new(name, plain, usedforsecurity=False).digest() for name in DIGESTS}
    for name, data in binary.items():
        yield name, data
        yield f"{name} hex", data.hex().encode()  # also in part: digests are often cut
        yield f"{name} HEX", data.hex().upper().encode()
    yield "JSON", json.dumps(token)[1:-1].encode()
    yield "JSON, not ASCII", json.dumps(token, ensure_ascii=False)[1:-1].encode()
    yield "repr", repr(token)[1:-1].encode()
    yield "ascii", ascii(token)[1:-1].encode()
    yield "repr of bytes", repr(plain)[2:-1].encode()
    yield "URL", quote(token, safe="").encode()
    yield "URL path", quote(token).encode()
    yield "form", quote_plus(token).encode()
    yield "HTML", html.escape(token).encode()


def without_backslashes(data: bytes) -> bytes:
    """Escapes of escapes only double backslashes: without them, every depth looks the same."""
    return data.replace(b"\\", b"")


def inflated(data: bytes, wbits: int) -> bytes:
    """What the compressed stream at the start of *data* holds; nothing where there is none."""
    try:
        return zlib.decompressobj(wbits).decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        return b""


def unpacked(data: bytes) -> Iterator[bytes]:
    """What is packed in *data*: compressed streams, and text that stands for bytes, at every alignment."""
    for stream in STREAM_START.finditer(data):
        yield inflated(data[stream.start() :], ZLIB_OR_GZIP)
    bare = without_backslashes(data).translate(STANDARD_BASE64)
    for pattern, group, decode in ENCODINGS:
        for run in pattern.findall(bare):
            for start in range(group):
                decoded = decode(run[start : start + (len(run) - start) // group * group])
                yield decoded
                yield inflated(decoded, RAW_DEFLATE)


def views(data: bytes, packings: int = PACKINGS) -> Iterator[bytes]:
    """*data* in each way that it is looked at."""
    yield data
    yield without_backslashes(data)
    if packings:
        for inner in unpacked(data):
            if len(inner) >= FRAGMENT_BYTES:
                yield from views(inner, packings - 1)


def leaves(trace: object) -> Iterator[bytes]:
    """Every text in *trace*, names too."""
    if isinstance(trace, Mapping):
        trace = [*trace.keys(), *trace.values()]
    if isinstance(trace, list | tuple):
        for part in trace:
            yield from leaves(part)
    else:
        yield trace if isinstance(trace, bytes) else str(trace).encode(errors="surrogatepass")


class Hunt:
    """Knows every 12 bytes of every shape of one token."""

    def __init__(self, token: str) -> None:
        self._fragments: dict[bytes, str] = {}
        for name, shape in shapes(token):
            for form in (shape, without_backslashes(shape)):
                for start in range(len(form) - FRAGMENT_BYTES + 1):
                    self._fragments.setdefault(form[start : start + FRAGMENT_BYTES], name)

    def shapes_in(self, trace: object) -> set[str]:
        """The shapes in which the token, or 12 bytes of it, stands in *trace*."""
        known, names = self._fragments, set()
        for view in views(b"\n".join(leaves(trace))):
            starts = range(len(view) - FRAGMENT_BYTES + 1)
            names |= {known[part] for start in starts if (part := view[start : start + FRAGMENT_BYTES]) in known}
        return names

    def found(self, places: Mapping[str, object]) -> dict[str, set[str]]:
        """The places that hold the token, each with the shapes it has there."""
        return {place: names for place, trace in places.items() if (names := self.shapes_in(trace))}


BINARY = {
    "plain": CANARY.encode(),
    "UTF-16 LE": CANARY.encode("utf-16-le"),
    "UTF-16 BE": CANARY.encode("utf-16-be"),
    **{name: hashlib.new(name, CANARY.encode()).digest() for name in DIGESTS},
}

DISGUISES: list[tuple[str, object]] = [
    *BINARY.items(),
    *((f"{name} hex", data.hex()) for name, data in BINARY.items()),
    *((f"{name} HEX", data.hex().upper()) for name, data in BINARY.items()),
    *((name, base64.b64encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(3)),
    *((name, base64.urlsafe_b64encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(3)),
    *((name, base64.b32encode(b"~" * n + data + b"~")) for name, data in BINARY.items() for n in range(5)),
    *(("plain", b"A" * n + base64.b64encode(CANARY.encode())) for n in range(1, 4)),
    *(("plain", b"A" * n + base64.b32encode(CANARY.encode())) for n in range(1, 8)),
    ("JSON", json.dumps(CANARY)),
    ("JSON", json.dumps({"Cause": json.dumps({"errorMessage": json.dumps({"token": json.dumps(CANARY)})})})),
    ("JSON, not ASCII", json.dumps(CANARY, ensure_ascii=False)),
    ("plain", json.dumps(json.dumps(CANARY, ensure_ascii=False), ensure_ascii=False)),
    ("repr", repr({"SecureToken": CANARY})),
    ("ascii", ascii(CANARY)),
    ("ascii", json.dumps(json.dumps(ascii(CANARY)))),
    ("repr of bytes", json.dumps(repr({"Plaintext": CANARY.encode()}))),
    ("URL", quote(CANARY, safe="")),
    ("URL path", quote(CANARY)),
    ("form", quote_plus(CANARY)),
    ("HTML", html.escape(CANARY)),
    ("plain", {"Debug": {"B": zlib.compress(CANARY.encode())}}),
    ("plain", [b"\x00prefix" + gzip.compress(CANARY.encode()) + b"suffix"]),
    ("plain", json.dumps({"body": base64.b64encode(gzip.compress(CANARY.encode())).decode().replace("/", "\\/")})),
    ("plain", base64.urlsafe_b64encode(zlib.compress(CANARY.encode(), wbits=RAW_DEFLATE))),
    ("JSON", gzip.compress(json.dumps(CANARY).encode()).hex()),
    ("plain", base64.b64encode(b"~" + base64.b64encode(CANARY.encode()))),
    ("plain", base64.encodebytes(CANARY.encode() * 9)),
    ("plain", {CANARY: "the name tells it"}),
]


@pytest.mark.parametrize(("shape", "disguised"), DISGUISES, ids=[shape for shape, _ in DISGUISES])
def test_the_hunt_knows_the_token_in_disguise(shape: str, disguised: object) -> None:
    """A shape that the hunt is blind to could leave with every payment, and every test below would pass."""
    assert shape in Hunt(CANARY).shapes_in(["before it", disguised, "after it"])


@pytest.mark.parametrize("token", [CANARY, PLAIN_CANARY], ids=["hostile", "plain"])
def test_the_hunt_knows_every_fragment(token: str) -> None:
    """A token cut by a limit, or its beginning as a hint, is a leak as well."""
    hunt, plain = Hunt(token), token.encode()
    for start in range(len(plain) - FRAGMENT_BYTES + 1):
        assert hunt.shapes_in(b"~" + plain[start : start + FRAGMENT_BYTES] + b"~")


def test_the_hunt_finds_no_token_where_none_is() -> None:
    """One that cries at everything proves as little as one that is blind."""
    innocent = [CANARY[:5], json.dumps(PLAIN_CANARY), hashlib.sha512(b"another").hexdigest(), bytes(range(256)) * 8]
    assert Hunt(CANARY).shapes_in(innocent) == set()


# ── What a run leaves behind ────────────────────────────────────────────────────────────────────────

SENT = {
    "DescribeExecution: input",
    "history: start, ExecutionStarted",
    "history: Validate Payment, TaskStateEntered",
    "history: Validate Payment, TaskScheduled",
}
"""Where an unsealed token stands because the sender put it there."""

VALIDATED = SENT | {
    "history: Validate Payment, TaskSucceeded",
    "history: Validate Payment, TaskStateExited",
    "history: Encrypt Token, TaskStateEntered",
    "history: Encrypt Token, TaskScheduled",
}
"""Where the workflow carries it on, to the one state that needs it."""

ENCRYPTED = VALIDATED | {"request: encrypt_token Encrypt Plaintext"}
"""The one call that must hold it. These are all the places; a sealed token is in none of them."""


class Traces:
    """All that functions and executions leave behind, from the fixture's beginning on."""

    def __init__(self, engine: Engine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        self._engine, self._caplog, self._capsys = engine, caplog, capsys
        self._arns: list[str] = []
        self._requests: dict[str, list[object]] = defaultdict(list)
        self._answers: list[object] = []

    def keep(self, function: str, request: Any) -> None:
        """A request that a function sends, by field: of Encrypt's, only one may hold the token."""
        place = f"request: {function} {Call.of(function, request).operation}"
        self._requests[f"{place} headers"].append([request.url, dict(request.headers)])
        for name, value in json.loads(request.body).items():
            self._requests[f"{place} {name}"].append([name, value])

    def run(self, start_input: object) -> Any:
        """The execution that this start input ends in."""
        execution = self._engine.run(json.dumps(start_input))
        self._arns.append(execution.arn)
        return execution

    def ended(self, arn: str) -> Any:
        """The execution that somebody else started, once it has ended."""
        self._arns.append(arn)
        return self._engine.ended(arn)

    def answered(self, answer: tuple[int, dict[str, str], bytes]) -> int:
        """Keep a webhook's answer, and the execution that it names; returns its status."""
        status, headers, body = answer
        self._answers.append([headers, body])
        if name := json.loads(body).get("Execution"):
            prefix = self._engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
            self.ended(f"{prefix}:{name}")
        return status

    def places(self) -> dict[str, object]:
        """Each place, by name."""
        places: dict[str, Any] = defaultdict(list, self._requests)
        for arn in self._arns:
            state = "start"
            for event in self._engine.history(arn):
                state = event.get("stateEnteredEventDetails", {}).get("name", state)
                places[f"history: {state}, {event['type']}"].append(event)
            described = self._engine.client("stepfunctions").describe_execution(executionArn=arn)
            for name, value in described.items():
                places[f"DescribeExecution: {name}"].append(value)
        for function in self._engine.functions.values():  # metrics and tracebacks are in them, too
            places[f"logs: {function.name}"] = function.logs
        printed = self._capsys.readouterr()
        places |= {"table": self._engine.items(), "bus": self._engine.published()}
        places |= {"stdout": printed.out, "stderr": printed.err, "webhook": self._answers}
        return {**places, "log records": [[record.getMessage(), vars(record)] for record in self._caplog.records]}


@pytest.fixture
def traces(
    engine: Engine, faults: Faults, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[Traces]:
    """Keeps what functions send, whatever becomes of it: `faults` acts behind this."""
    caplog.set_level(logging.INFO)  # at DEBUG, which nothing in the stack sets, the SDK logs its requests' bodies
    kept = Traces(engine, caplog, capsys)
    call = BotocoreStubber.__call__

    def keeping(stubber: BotocoreStubber, event_name: str, request: Any, **kwargs: Any) -> Any:
        if function := lambda_runtime.running_function():
            kept.keep(function, request)
        return call(stubber, event_name, request, **kwargs)

    with patch.object(BotocoreStubber, "__call__", keeping):
        yield kept


@pytest.fixture(params=["plaintext", "sealed"])
def canary_payment(request: pytest.FixtureRequest, engine: Engine, payment: dict[str, Any]) -> dict[str, Any]:
    """A valid payment whose token is the canary. The sender's own sealing is no part of the run."""
    del payment["SecureToken"]
    if request.param == "plaintext":
        return {**payment, "SecureToken": CANARY}
    ids = payment["TransactionID"], payment["ProcessorID"]
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, CANARY)
    return {**payment, "SealedToken": sealed}


def unless_sealed(payment: Mapping[str, Any], places: set[str]) -> set[str]:
    """Where a valid payment's token may be: *places*, and nowhere at all where it was sealed."""
    return set() if "SealedToken" in payment else places


def assert_in_exactly(places: set[str], traces: Traces, token: str = CANARY) -> None:
    """The token is in each of *places*, so the hunt is alive; and in no other."""
    assert Hunt(token).found(traces.places()).keys() == places


# ── Outcomes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("again", "outcome"), [(None, "RECORDED"), ({}, "DUPLICATE"), ({"Amount": "1.00"}, "CONFLICT")]
)
def test_a_valid_payments_token_goes_to_kms_and_nowhere_else(
    engine: Engine, traces: Traces, canary_payment: dict[str, Any], again: dict[str, str] | None, outcome: str
) -> None:
    """The token is worth money to whoever reads it. It is kept all the same, and only its holder gets it back."""
    execution = traces.run(canary_payment)
    if again is not None:
        execution = traces.run({**canary_payment, **again})
    assert execution.outcome == outcome
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)
    context, ciphertext = {"TransactionID": canary_payment["TransactionID"]}, engine.items()[0]["SecureToken"]["B"]
    reply = engine.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext=context)
    assert reply["Plaintext"].decode() == CANARY


def test_a_hunt_for_another_token_finds_nothing(traces: Traces, canary_payment: dict[str, Any]) -> None:
    """What is found in these places is the token, and not something that every run has."""
    traces.run(canary_payment)
    assert Hunt(PLAIN_CANARY).found(traces.places()) == {}


def test_a_refusal_for_another_field_tells_nothing_of_the_token(traces: Traces, canary_payment: dict[str, Any]) -> None:
    """A refusal is published, logged, and stands in the execution's cause."""
    assert traces.run({**canary_payment, "Status": "ok", "Amount": "x"}).outcome == "REJECTED"
    assert_in_exactly(unless_sealed(canary_payment, SENT), traces)


MISPLACED: dict[str, tuple[Callable[[str], dict[Any, Any]], str]] = {
    "too long": (lambda token: {"SecureToken": token * 100}, "SecureToken: token_length"),
    "in a list": (lambda token: {"SecureToken": [token]}, "SecureToken: type"),
    "metadata value": (lambda token: {"Metadata": {"note": f"charged {token} today"}}, "Metadata: holds_token"),
    "metadata name": (lambda token: {"Metadata": {token: ""}}, "Metadata: holds_token"),
    "deep in metadata": (lambda token: {"Metadata": {"card": {"token": token}}}, "Metadata: type"),
    **{
        field: (lambda token, field=field: {field: token}, f"{field}: holds_token")
        for field in ("TransactionID", "ProcessorID", "Amount", "Currency", "Status", "Timestamp")
    },
    "unknown field's value": (lambda token: {"Note": token}, "Payment: unknown_field"),
    "unknown field's name": (lambda token: {token: 1}, "Payment: unknown_field"),
    "misspelled field": (lambda token: {"secure_token": token, "SecureToken": ...}, "SecureToken: misspelled_field"),
    "both fields": (lambda token: {"SealedToken": token}, "SecureToken: exactly_one_token"),
    "unsealed": (lambda token: {"SealedToken": token, "SecureToken": ...}, "SealedToken: base64"),
}  # fmt: skip


@pytest.mark.parametrize("token", [CANARY, PLAIN_CANARY], ids=["hostile", "plain"])
@pytest.mark.parametrize(("fields", "violation"), MISPLACED.values(), ids=MISPLACED)
def test_a_token_where_it_does_not_belong_is_refused_and_goes_no_further(
    traces: Traces, payment: dict[str, Any], token: str, fields: Callable[[str], dict[Any, Any]], violation: str
) -> None:
    """Integrations make this mistake; a refusal that repeats a value, or an id, would tell the token to the bus."""
    changed = {**payment, "SecureToken": token, **fields(token)}
    execution = traces.run({name: value for name, value in changed.items() if value is not ...})
    assert execution.outcome == "REJECTED"
    assert violation in execution.cause.split("; ")
    assert_in_exactly(SENT, traces, token)


@pytest.mark.parametrize("whole", [CANARY, [CANARY], [{"SecureToken": CANARY}]], ids=["text", "list", "batch"])
def test_an_input_that_is_no_payment_is_not_repeated(traces: Traces, whole: object) -> None:
    """Whatever is sent in the place of a payment may be its token."""
    assert traces.run(whole).cause == "Payment: not_an_object"
    assert_in_exactly(SENT, traces)


def test_a_stack_that_takes_sealed_tokens_only_does_not_hand_a_plaintext_one_on(
    engine: Engine, traces: Traces, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent stands in the history, which nothing can undo; it must not spread any further."""
    monkeypatch.setattr(engine.functions["ValidatePayment"].module, "PLAINTEXT_TOKENS", False)
    assert traces.run({**payment, "SecureToken": CANARY}).cause == "SecureToken: plaintext_token"
    assert_in_exactly(SENT, traces)


def test_a_refusal_that_a_sender_writes_itself_is_not_repeated(traces: Traces) -> None:
    """Only rules and fields that the contract knows come through; anything else may be the token."""
    for refused in (CANARY, {"Violations": [{"Field": "Amount", "Rule": CANARY}]}, {CANARY: [], "Violations": []}):
        assert traces.run({"Refused": refused}).error == "InvalidPaymentError"
    assert_in_exactly(SENT, traces)


def test_base64_is_no_seal(traces: Traces, payment: dict[str, Any]) -> None:
    """Only KMS can tell it from a ciphertext, so KMS gets it; nothing but the refusal comes of it."""
    del payment["SecureToken"]
    execution = traces.run({**payment, "SealedToken": base64.b64encode(CANARY.encode()).decode()})
    assert execution.cause == "SealedToken: not_sealed_for_this_payment"
    assert_in_exactly(VALIDATED | {"request: encrypt_token ReEncrypt CiphertextBlob"}, traces)


# ── The webhook ─────────────────────────────────────────────────────────────────────────────────────

SEALED_AT_THE_DOOR = {"request: receive_payment Encrypt Plaintext"}
"""The one call that the webhook makes with a token; the workflow never sees it."""


@pytest.fixture
def webhook(engine: Engine, traces: Traces) -> Callable[..., int]:
    """Posts a body as the sample processor of that name; returns the status, and keeps the answer."""
    register_sample_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    engine.functions["ReceivePayment"].restart()

    def post(body: bytes, processor: str = "acme-pay") -> int:
        headers = signed(PROCESSORS[processor], body, round(time.time()))
        answer = engine.answer(Request("POST", f"/processors/{processor}/payments", headers, body))
        assert answer is not None
        return traces.answered(answer)

    return post


def test_a_token_that_is_posted_is_sealed_at_the_door(
    webhook: Callable[..., int], traces: Traces, payment: dict[str, Any]
) -> None:
    """So it is in no history, although the processor knows nothing of sealing; a second delivery changes nothing."""
    body = json.dumps({**payment, "SecureToken": CANARY}).encode()
    assert (webhook(body), webhook(body)) == (202, 200)
    assert_in_exactly(SEALED_AT_THE_DOOR, traces)


def test_a_token_in_a_processors_own_format_is_sealed_too(webhook: Callable[..., int], traces: Traces) -> None:
    """It stands elsewhere there, among much that is not kept."""
    event = json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())
    event["data"]["object"]["payment_method"] = CANARY
    assert webhook(json.dumps(event).encode(), "stripe") == 202
    assert_in_exactly(SEALED_AT_THE_DOOR, traces)


@pytest.mark.parametrize("key", ["DisabledException", "ThrottlingException", "AccessDeniedException"])
def test_a_webhook_that_fails_tells_no_token(
    webhook: Callable[..., int], traces: Traces, payment: dict[str, Any], faults: Faults, key: str
) -> None:
    """Neither the processor nor the log."""
    faults.refuse("Encrypt", key, times=2 if key == "ThrottlingException" else 1)
    assert webhook(json.dumps({**payment, "SecureToken": CANARY}).encode()) in {429, 503}
    assert_in_exactly(SEALED_AT_THE_DOOR, traces)


@pytest.mark.parametrize(
    "body",
    [
        CANARY.encode(),
        f'{{"SecureToken": "{PLAIN_CANARY}"'.encode(),
        json.dumps(CANARY).encode(),
        json.dumps({CANARY: CANARY}).encode(),
        json.dumps({"TransactionID": CANARY, "SecureToken": CANARY, "ProcessorID": CANARY}).encode(),
        json.dumps({"type": f"payment.{CANARY}", "data": {"object": {"id": CANARY}}}).encode(),
        json.dumps(
            {
                "id": CANARY,
                "type": "charge.failed",
                "livemode": False,
                "data": {"object": {"id": "ch_1", "payment_method": [CANARY], "amount": CANARY, "currency": CANARY}},
            }
        ).encode(),
        json.dumps({"TransactionID": "txn-1", "Amount": CANARY, "SecureTokn": CANARY, "Status": [CANARY]}).encode(),
        json.dumps({"Refused": {"Violations": [{"Field": CANARY, "Rule": CANARY}]}}).encode(),
        json.dumps({"SecureToken": CANARY, "Metadata": {"x": " " * (1 << 18)}}).encode(),
    ],
    ids=[
        "no JSON",
        "cut off",
        "text",
        "a name",
        "identifiers",
        "an event",
        "a charge",
        "fields",
        "a refusal",
        "too large",
    ],
)
def test_a_post_that_is_refused_is_not_repeated(
    engine: Engine, webhook: Callable[..., int], traces: Traces, body: bytes
) -> None:
    """Whatever stands where may be the token; the refusal is published by an execution, which keeps its input."""
    refusals = sum(webhook(body, processor) != 200 for processor in PROCESSORS)  # what another has sent is ignored
    assert len(engine.executions()) == len(engine.published()) == refusals > 0
    assert_in_exactly(set(), traces)
    assert_in_exactly(set(), traces, PLAIN_CANARY)


def test_a_processors_secret_is_told_to_nobody(
    engine: Engine, webhook: Callable[..., int], traces: Traces, payment: dict[str, Any]
) -> None:
    """Whoever has it sends payments in the processor's name."""
    assert webhook(json.dumps(payment).encode()) == 202
    assert webhook(json.dumps(payment).encode().replace(b"129.90", b"129.905")) == 400
    (secret,) = PROCESSORS["acme-pay"]["Secrets"]
    assert_in_exactly(set(), traces, secret)
    assert engine.logs()


def test_no_variable_makes_a_function_log_what_it_is_given(
    engine: Engine, traces: Traces, canary_payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who looks for a fault may set it in the console."""
    for function in engine.functions.values():
        monkeypatch.setitem(function.environment, "POWERTOOLS_LOGGER_LOG_EVENT", "true")
        function.restart()
    assert traces.run(canary_payment).outcome == "RECORDED"
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)
    monkeypatch.undo()
    for function in engine.functions.values():
        function.restart()


# ── Card data ───────────────────────────────────────────────────────────────────────────────────────

CARD = "5425233430109903"
"""A public test number of Mastercard's. The ledger never takes one, so its digits are in no place of ours."""

GROUPED = "5425 2334 3010 9903"

CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "TransactionID": ({"TransactionID": CARD}, "TransactionID: card_number"),
    "in a TransactionID": ({"TransactionID": f"order_{CARD}-1"}, "TransactionID: card_number"),
    "ProcessorID": ({"ProcessorID": CARD}, "ProcessorID: card_number"),
    "metadata value": ({"Metadata": {"note": f"card {CARD} 12/28"}}, "Metadata: card_number"),
    "metadata name": ({"Metadata": {CARD: ""}}, "Metadata: card_number"),
    "metadata in groups": ({"Metadata": {"card": GROUPED}}, "Metadata: card_number"),
    "a verification code": ({"Metadata": {"card_cvv": CARD[-4:], "pan": CARD}}, "Metadata: card_data"),
    "the token": ({"SecureToken": CARD}, "SecureToken: card_number"),
    "everywhere": (dict.fromkeys(("TransactionID", "ProcessorID", "SecureToken", "Status", CARD), CARD),
        "TransactionID: card_number"),
}  # fmt: skip
"""By place: the fields, and the rule that they break."""


def cards_found(traces: Traces) -> set[str]:
    """The places that have the number, however it was written."""
    places = traces.places()
    return {*Hunt(CARD).found(places), *Hunt(GROUPED).found(places)}


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_in_an_execution_stays_where_its_sender_put_it(
    traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """An execution keeps its input, which the ledger cannot prevent; no log, event, cause or metric repeats it."""
    execution = traces.run({**payment, **fields})
    assert execution.outcome == "REJECTED"
    assert violation in execution.cause.split("; ")
    assert cards_found(traces) == SENT


@pytest.mark.parametrize("refused", ["TransactionID", "ProcessorID"])
def test_a_card_number_in_a_refusal_that_a_sender_writes_stays_there(traces: Traces, refused: str) -> None:
    """It has the form of an ID, which a refusal publishes."""
    violations = [{"Field": "Amount", "Rule": "decimal"}]
    execution = traces.run({"Refused": {refused: CARD, "Violations": violations}})
    assert "Payment: unknown_field" in execution.cause.split("; ")
    assert cards_found(traces) == SENT


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_that_is_posted_is_nowhere(
    engine: Engine,
    webhook: Callable[..., int],
    traces: Traces,
    payment: dict[str, Any],
    fields: dict[str, Any],
    violation: str,
) -> None:
    """Neither is a hash of it, which anybody can turn back: there are not many numbers of one bank."""
    status = webhook(json.dumps({**payment, **fields}).encode())
    assert status == 400
    (event,) = engine.published()
    rules = [f"{broken['Field']}: {broken['Rule']}" for broken in event["detail"]["Violations"]]
    assert (violation in rules) != (rules == ["ProcessorID: another_processor"])
    assert cards_found(traces) == set()


@pytest.mark.parametrize(
    "fields", [{"id": f"ch_{CARD}"}, {"id": CARD}, {"payment_method": CARD}, {"payment_intent": GROUPED}]
)
def test_a_card_number_in_a_processors_own_format_is_nowhere(
    webhook: Callable[..., int], traces: Traces, fields: dict[str, str]
) -> None:
    """What a format makes of a message is judged by the same rules."""
    event = json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())
    event["data"]["object"] |= fields
    assert webhook(json.dumps(event).encode(), "stripe") == 400
    assert cards_found(traces) == set()


def test_a_card_number_in_the_webhooks_address_is_nowhere(engine: Engine, traces: Traces) -> None:
    """It has the form of a ProcessorID, which the log names, and which Secrets Manager is asked for."""
    engine.functions["ReceivePayment"].restart()
    headers = signed(PROCESSORS["acme-pay"], b"{}", round(time.time()))
    answer = engine.answer(Request("POST", f"/processors/{CARD}/payments", headers, b"{}"))
    assert answer is not None
    assert traces.answered(answer) == 401
    assert "unknown_processor" in engine.logs()
    assert cards_found(traces) == set()


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_that_a_sender_starts_with_is_nowhere(
    engine: Engine, traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """`Intake` checks before it starts anything; `ledger start` and senders' own code use it."""
    intake = intake_of(engine)
    with pytest.raises(InvalidPaymentError) as caught:
        intake.deliver({**payment, **fields})
    assert violation in caught.value.log_keys["rules"]
    assert engine.executions() == []
    assert traces.ended(intake.refuse(caught.value, "message")).outcome == "REJECTED"
    assert cards_found(traces) == set()


@pytest.mark.parametrize(("fields", "violation"), CARDS.values(), ids=CARDS)
def test_a_card_number_on_the_processors_bus_goes_no_further(
    engine: Engine, traces: Traces, payment: dict[str, Any], fields: dict[str, Any], violation: str
) -> None:
    """The bus starts the execution with the event's detail, as its sender put it."""
    (sample,) = json.loads((ROOT / "events/bus/put-events.json").read_text())
    engine.client("events").put_events(Entries=[{**sample, "Detail": json.dumps({**payment, **fields})}])
    (arn,) = engine.executions()
    assert violation in traces.ended(arn).cause.split("; ")
    assert cards_found(traces) == SENT


# ── Technical failures ──────────────────────────────────────────────────────────────────────────────

ATTEMPTS = 7
"""Of a state: the first, and its retries."""

SDK_ATTEMPTS = 3

FAULTS: dict[str, Callable[[Faults, str], None]] = {
    "ClientError": lambda faults, call: faults.refuse(call, "IncompleteSignature", times=ATTEMPTS),
    "ReadTimeoutError": lambda faults, call: faults.lose_reply(call, times=ATTEMPTS * SDK_ATTEMPTS),
    "KeyError": lambda faults, call: (
        faults.refuse(call, "ConditionalCheckFailedException") if call == "PutItem" else faults.answer(call, {})
    ),
}
"""By the error that they end in. A KeyError is an answer without what it must have: nothing expects it."""


@pytest.mark.parametrize(
    ("call", "error"),
    [
        *((call, error) for call in ("Encrypt", "PutItem", "PutEvents") for error in FAULTS),
        ("UpdateItem", "ClientError"),
        ("UpdateItem", "ReadTimeoutError"),
    ],
)
def test_a_call_that_fails_does_not_tell_the_token(
    traces: Traces, faults: Faults, canary_payment: dict[str, Any], call: str, error: str
) -> None:
    """Errors are what people log and mail around: a message, a traceback, an execution's cause."""
    if call == "Encrypt" and "SealedToken" in canary_payment:
        call = "ReEncrypt"
    FAULTS[error](faults, call)
    execution = traces.run(canary_payment)
    assert (execution.status, execution.outcome, execution.error) == ("FAILED", None, error)
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)


def test_the_sweep_does_not_know_the_token(
    engine: Engine, traces: Traces, faults: Faults, canary_payment: dict[str, Any]
) -> None:
    """It reads what was recorded and tells of it, as the workflow does."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    assert traces.run(canary_payment).error == "OutcomeRefusedError"
    reply, _ = engine.functions["RepublishOutcomes"].invoke(b'{"ScheduledTime": "9999-01-01T00:00:00Z"}')
    assert json.loads(reply)["Published"] == 1
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)


FUNCTIONS = {
    "ValidatePayment": SENT,
    "EncryptToken": ENCRYPTED,
    "PersistPaymentLedger": ENCRYPTED,
    "PublishOutcome": ENCRYPTED,
}


@pytest.mark.parametrize(("function", "where"), FUNCTIONS.items(), ids=FUNCTIONS)
@pytest.mark.parametrize("error", ["Sandbox.Timedout", "FileNotFoundError"])
def test_a_function_that_crashes_does_not_tell_the_token(
    engine: Engine,
    traces: Traces,
    canary_payment: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    where: set[str],
    error: str,
) -> None:
    """It is ended by the platform, or by an error that nothing expects, with the token in its variables."""
    crashing = engine.functions[function]
    if error == "FileNotFoundError":
        monkeypatch.setattr(crashing.module.logger, "info", lambda *_, **__: Path("/nowhere/at/all").read_text())
    else:
        monkeypatch.setattr(crashing, "timeout_s", 0.0)
        monkeypatch.setattr(crashing, "restart", lambda: None)  # cold starts take long, and tell nothing
    execution = traces.run(canary_payment)
    assert (execution.status, execution.outcome) == ("FAILED", None)
    assert execution.error == error
    assert_in_exactly(unless_sealed(canary_payment, where), traces)


# ── Planted leaks ───────────────────────────────────────────────────────────────────────────────────

HASH = hashlib.sha256(CANARY.encode()).hexdigest()
BEGINNING = CANARY[:FRAGMENT_BYTES]
IN_BASE64 = base64.b64encode(CANARY.encode()).decode()

Leak = Callable[[Any, dict[str, Any], pytest.MonkeyPatch], object]
"""What is done at the beginning of a handler, with its module and event."""


def count_by_it(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The token as a metric's dimension."""
    with single_metric(name="Payments", unit=MetricUnit.Count, value=1, namespace="Leak") as metric:
        metric.add_dimension("token", CANARY)


def keep_it_packed(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute beside the payment's own, in a shape that nobody reads."""
    as_item, packed = EncryptedPayment.as_item, {"B": gzip.compress(CANARY.encode())}
    monkeypatch.setattr(EncryptedPayment, "as_item", lambda self: {**as_item(self), "Debug": packed})


def bind_to_it(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An encryption context is kept in clear by CloudTrail."""
    monkeypatch.setattr(module, "encryption_context", lambda name: {"TransactionID": name, "Token": CANARY})


PLANTED: dict[str, tuple[str, Leak, dict[str, str]]] = {
    "the event is logged": ("ValidatePayment", lambda module, event, _: module.logger.info("received", received=event),
        {"logs: validate_payment": "JSON"}),
    "the event is printed": ("EncryptToken", lambda _, event, __: sys.stdout.write(repr(event)),
        {"logs: encrypt_token": "repr"}),
    "a hash is logged": ("EncryptToken", lambda module, *_: module.logger.info("token", token=HASH),
        {"logs: encrypt_token": "sha256 hex"}),
    "its beginning is logged": ("EncryptToken", lambda module, *_: module.logger.info("token", token=BEGINNING),
        {"logs: encrypt_token": "JSON"}),
    "a library logs it": ("EncryptToken", lambda *_: logging.getLogger("library").error("%s", quote_plus(CANARY)),
        {"log records": "form"}),
    "another thread prints it": ("EncryptToken", lambda *_: Thread(target=print, args=[CANARY]).start(),
        {"stdout": "plain"}),
    "it is written past the log": ("PublishOutcome", lambda *_: sys.stderr.write(CANARY), {"stderr": "plain"}),
    "it is counted by": ("ValidatePayment", count_by_it, {"logs: validate_payment": "JSON"}),
    "an error's message repeats it": ("EncryptToken", lambda _, event, __: int(event["SecureToken"]),
        {"logs: encrypt_token": "plain", "history: Encrypt Token, TaskFailed": "repr",
            "DescribeExecution: cause": "repr"}),
    "it is kept in the metadata": ("ValidatePayment", lambda _, event, __: event["Metadata"].update(hint=IN_BASE64),
        dict.fromkeys(["history: Persist Payment, TaskScheduled", "request: persist_payment_ledger PutItem Item",
            "request: publish_outcome PutEvents Entries", "table", "bus"], "plain")),
    "it is kept packed": ("ValidatePayment", keep_it_packed,
        {"request: persist_payment_ledger PutItem Item": "plain", "table": "plain"}),
    "the ciphertext is bound to it": ("EncryptToken", bind_to_it,
        {"request: encrypt_token Encrypt EncryptionContext": "plain"}),
}  # fmt: skip
"""In which function, what it does, and where it must be found in which shape."""


@pytest.mark.parametrize(("function", "leak", "places"), PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_is_found(
    engine: Engine,
    traces: Traces,
    payment: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    leak: Leak,
    places: dict[str, str],
) -> None:
    """Each is a mistake that somebody makes; a hunt that misses it proves nothing."""
    module = engine.functions[function].module
    handler = module.handler

    def leaking(event: dict[str, Any], context: object) -> Any:
        leak(module, event, monkeypatch)
        return handler(event, context)

    monkeypatch.setattr(module, "handler", leaking)
    traces.run({**payment, "SecureToken": CANARY})
    found = Hunt(CANARY).found(traces.places())
    assert not places.keys() & ENCRYPTED
    assert all(shape in found.get(place, set()) for place, shape in places.items()), found
