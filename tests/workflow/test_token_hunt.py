"""The token hunt: a canary token, in every shape that it could take, in everything that a run leaves behind."""

import base64
import gzip
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote_plus

import pytest
from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from ledger.aws import CALL_ATTEMPTS
from ledger.formats import FORMATS
from ledger.intake import seal
from ledger.item import EncryptedPayment
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS
from ledger_cli.stack.webhook import signed_body
from tests.support.definitions import standard_states
from tests.support.faults import Faults
from tests.support.hunt import CANARY, FRAGMENT_BYTES, PLAIN_CANARY, Hunt
from tests.support.traces import ENCRYPTED, SENT, VALIDATED, Traces


@pytest.fixture(params=["plaintext", "sealed"])
def canary_payment(request: pytest.FixtureRequest, engine: Engine, payment: dict[str, Any]) -> dict[str, Any]:
    """Return a valid payment whose token is the canary. The sender seals it before the run, not as a part of it."""
    del payment["SecureToken"]
    if request.param == "plaintext":
        return {**payment, "SecureToken": CANARY}
    ids = payment["TransactionID"], payment["ProcessorID"]
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, CANARY)
    return {**payment, "SealedToken": sealed}


def unless_sealed(payment: Mapping[str, Any], places: set[str]) -> set[str]:
    """Return the places that may hold a valid payment's token: *places*, or none at all if it was sealed."""
    return set() if "SealedToken" in payment else places


def assert_in_exactly(places: set[str], traces: Traces, token: str = CANARY) -> None:
    """Check that each of *places* holds the token, which shows that the hunt works, and that no other place does."""
    assert Hunt(token).found(traces.places()).keys() == places


# ── Outcomes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("again", "outcome"), [(None, "RECORDED"), ({}, "DUPLICATE"), ({"Amount": "1.00"}, "CONFLICT")]
)
def test_a_valid_payments_token_goes_to_kms_and_nowhere_else(
    engine: Engine, traces: Traces, canary_payment: dict[str, Any], again: dict[str, str] | None, outcome: str
) -> None:
    """A token is worth money to anybody who reads it. The ledger keeps it, and only its holder gets it back."""
    execution = traces.run(canary_payment)
    if again is not None:
        execution = traces.run({**canary_payment, **again})
    assert execution.outcome == outcome
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)
    context, ciphertext = {"TransactionID": canary_payment["TransactionID"]}, engine.items()[0]["SecureToken"]["B"]
    reply = engine.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext=context)
    assert reply["Plaintext"].decode() == CANARY


@pytest.mark.parametrize("form", ["quiet", "published"])
def test_an_imported_payments_token_goes_to_kms_and_nowhere_else(
    engine: Engine, traces: Traces, faults: Faults, canary_payment: dict[str, Any], form: str
) -> None:
    """History holds tokens that are still worth money."""
    imported = {**canary_payment, "Import": form}
    if form == "published":  # by the sweep
        failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]}
        faults.answer("PutEvents", failed)
    assert traces.run(imported).status == ("FAILED" if form == "published" else "SUCCEEDED")
    reply, _ = engine.functions["RepublishOutcomes"].invoke(b'{"ScheduledTime": "9999-01-01T00:00:00Z"}')
    assert json.loads(reply)["Published"] == (form == "published")
    assert traces.run(imported).outcome == "DUPLICATE"
    assert traces.run(canary_payment).outcome == "DUPLICATE"
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)


def test_a_hunt_for_another_token_finds_nothing(traces: Traces, canary_payment: dict[str, Any]) -> None:
    """The hunt finds the token in these places, and not something that every run leaves there."""
    traces.run(canary_payment)
    assert Hunt(PLAIN_CANARY).found(traces.places()) == {}


def test_a_rejection_for_another_field_does_not_show_the_token(traces: Traces, canary_payment: dict[str, Any]) -> None:
    """A rejection is published, logged, and kept as the execution's cause."""
    assert traces.run({**canary_payment, "Status": "ok", "Amount": "x"}).outcome == "REJECTED"
    assert_in_exactly(unless_sealed(canary_payment, SENT), traces)


Fields = Callable[[str], dict[Any, Any]]
"""The fields of a payment that hold a token; `...` stands for a field that is left out."""


def token_as(field: str) -> Fields:
    """Return the fields of a payment that has its token in another field."""
    return lambda token: {field: token}


MISPLACED: dict[str, tuple[Fields, str]] = {
    "too long": (lambda token: {"SecureToken": token * 100}, "SecureToken: token_length"),
    "in a list": (lambda token: {"SecureToken": [token]}, "SecureToken: type"),
    "metadata value": (lambda token: {"Metadata": {"note": f"charged {token} today"}}, "Metadata: holds_token"),
    "metadata name": (lambda token: {"Metadata": {token: ""}}, "Metadata: holds_token"),
    "deep in metadata": (lambda token: {"Metadata": {"card": {"token": token}}}, "Metadata: type"),
    **{
        field: (token_as(field), f"{field}: holds_token")
        for field in ("TransactionID", "ProcessorID", "Amount", "Currency", "Status", "Timestamp")
    },
    "import": (lambda token: {"Import": token}, "Import: import"),
    "import of a list": (lambda token: {"Import": [token]}, "Import: type"),
    "unknown field's value": (lambda token: {"Note": token}, "Payment: unknown_field"),
    "unknown field's name": (lambda token: {token: 1}, "Payment: unknown_field"),
    "misspelled field": (lambda token: {"secure_token": token, "SecureToken": ...}, "SecureToken: misspelled_field"),
    "both fields": (lambda token: {"SealedToken": token}, "SecureToken: exactly_one_token"),
    "unsealed": (lambda token: {"SealedToken": token, "SecureToken": ...}, "SealedToken: base64"),
}  # fmt: skip


@pytest.mark.parametrize("token", [CANARY, PLAIN_CANARY], ids=["hostile", "plain"])
@pytest.mark.parametrize(("fields", "violation"), MISPLACED.values(), ids=MISPLACED)
def test_a_token_in_the_wrong_place_is_rejected_and_goes_no_further(
    traces: Traces, payment: dict[str, Any], token: str, fields: Fields, violation: str
) -> None:
    """Integrations make this mistake. A rejection that repeated a value or an ID would publish the token."""
    changed = {**payment, "SecureToken": token, **fields(token)}
    execution = traces.run({name: value for name, value in changed.items() if value is not ...})
    assert execution.outcome == "REJECTED"
    assert violation in execution.cause.split("; ")
    assert_in_exactly(SENT, traces, token)


@pytest.mark.parametrize("whole", [CANARY, [CANARY], [{"SecureToken": CANARY}]], ids=["text", "list", "batch"])
def test_an_input_that_is_not_a_payment_is_not_repeated(traces: Traces, whole: object) -> None:
    """A sender that sends something else instead of a payment may have sent the token."""
    assert traces.run(whole).cause == "Payment: not_an_object"
    assert_in_exactly(SENT, traces)


def test_a_stack_for_sealed_tokens_does_not_pass_a_plaintext_token_on(
    engine: Engine, traces: Traces, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history holds what was sent, and nothing can undo that. The token must not spread any further."""
    monkeypatch.setattr(engine.functions["ValidatePayment"].module, "PLAINTEXT_TOKENS", False)
    assert traces.run({**payment, "SecureToken": CANARY}).cause == "SecureToken: plaintext_token"
    assert_in_exactly(SENT, traces)


def test_a_rejection_that_a_sender_writes_itself_is_not_repeated(traces: Traces) -> None:
    """The workflow passes on only the rules and fields of the contract. Anything else may be the token."""
    rejections: list[object] = [CANARY, {"Violations": [{"Field": "Amount", "Rule": CANARY}]}]
    for rejection in (*rejections, {CANARY: [], "Violations": []}):
        assert traces.run({"Refused": rejection}).error == "InvalidPaymentError"
    assert_in_exactly(SENT, traces)


def test_base64_is_not_a_seal(traces: Traces, payment: dict[str, Any]) -> None:
    """Only KMS can distinguish base64 from a ciphertext, so the workflow must send it to KMS, and nowhere else."""
    del payment["SecureToken"]
    execution = traces.run({**payment, "SealedToken": base64.b64encode(CANARY.encode()).decode()})
    assert execution.cause == "SealedToken: not_sealed_for_this_payment"
    assert_in_exactly(VALIDATED | {"request: encrypt_token ReEncrypt CiphertextBlob"}, traces)


# ── The webhook ─────────────────────────────────────────────────────────────────────────────────────

SEALED_BY_THE_WEBHOOK = {"request: receive_payment Encrypt Plaintext"}
"""The one place that holds a posted token: the call by which the webhook seals it. The workflow never sees it."""


def test_the_webhook_seals_a_posted_token(webhook: Callable[..., int], traces: Traces, payment: dict[str, Any]) -> None:
    """A processor that cannot seal leaves no token in a history either, whether it delivers once or twice."""
    body = json.dumps({**payment, "SecureToken": CANARY}).encode()
    assert webhook(body) == 202
    assert webhook(body) == 200
    assert_in_exactly(SEALED_BY_THE_WEBHOOK, traces)


def test_a_token_in_a_processors_own_format_is_sealed_too(webhook: Callable[..., int], traces: Traces) -> None:
    """Such a message holds the token in another field, among many that the ledger does not keep."""
    event = json.loads((ROOT / "events/webhooks/stripe-charge.succeeded.json").read_text())
    event["data"]["object"]["payment_method"] = CANARY
    assert webhook(json.dumps(event).encode(), "stripe") == 202
    assert_in_exactly(SEALED_BY_THE_WEBHOOK, traces)


PAYMENTS = {
    "adyen": "adyen-authorisation",
    "checkout": "checkout-payment_captured",
    "lemon-squeezy": "lemon-squeezy-order_created",
    "mollie": "mollie-payment.paid",
    "paddle": "paddle-transaction.completed",
    "polar": "polar-order.paid",
    "razorpay": "razorpay-payment.captured",
    "square": "square-payment.updated",
    "stripe": "stripe-charge.succeeded",
}
"""A sample payment of each processor with a format of its own."""


@pytest.mark.parametrize("processor", PAYMENTS)
def test_what_stands_for_a_payment_method_is_sealed_in_every_format(
    engine: Engine, webhook: Callable[..., int], traces: Traces, processor: str
) -> None:
    """Recurring references are tokens too: a holder of one can charge again."""
    described = PROCESSORS[processor]
    text = (ROOT / f"events/webhooks/{PAYMENTS[processor]}.json").read_text()
    sample = FORMATS[described["Format"]].start_input(json.loads(text), processor)
    assert sample is not None
    # Lemon Squeezy's stand-in is a number behind a word.
    token = sample["SecureToken"].removeprefix("customer-")
    canary = PLAIN_CANARY if token == sample["SecureToken"] else "98700001234500067"
    changed = text.replace(f'"{token}"', f'"{canary}"').replace(f": {token},", f": {canary},")
    assert changed != text
    assert webhook(signed_body(described, changed.encode()), processor) in {200, 202}
    (arn,) = engine.executions()
    assert engine.wait_for(arn).outcome == "RECORDED"
    assert_in_exactly(SEALED_BY_THE_WEBHOOK, traces, canary)


@pytest.mark.parametrize("key", ["DisabledException", "ThrottlingException", "AccessDeniedException"])
def test_a_webhook_that_fails_does_not_show_the_token(
    webhook: Callable[..., int], traces: Traces, payment: dict[str, Any], faults: Faults, key: str
) -> None:
    """Neither the processor's answer nor the log may hold the token."""
    faults.refuse("Encrypt", key, times=2 if key == "ThrottlingException" else 1)
    assert webhook(json.dumps({**payment, "SecureToken": CANARY}).encode()) in {429, 503}
    assert_in_exactly(SEALED_BY_THE_WEBHOOK, traces)


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
        "not JSON",
        "cut off",
        "text",
        "a name",
        "identifiers",
        "an event",
        "a charge",
        "fields",
        "a rejection",
        "too large",
    ],
)
def test_a_post_that_is_rejected_is_not_repeated(
    engine: Engine, webhook: Callable[..., int], traces: Traces, body: bytes
) -> None:
    """Any value may be the token. An execution publishes the rejection, and an execution keeps its input."""
    statuses = [webhook(body, processor) for processor in PROCESSORS if processor != "adyen"]  # it signs none of these
    refused = len([status for status in statuses if status != 200])  # a message for another processor is ignored
    assert refused > 0
    assert len(engine.executions()) >= refused  # some processors get 200 for a refused message
    assert len(engine.published()) == len(engine.executions())
    assert_in_exactly(set(), traces)
    assert_in_exactly(set(), traces, PLAIN_CANARY)


def test_a_processors_secret_is_left_nowhere(
    engine: Engine, webhook: Callable[..., int], traces: Traces, payment: dict[str, Any]
) -> None:
    """Anybody who has the secret can send payments in the processor's name."""
    assert webhook(json.dumps(payment).encode()) == 202
    assert webhook(json.dumps(payment).encode().replace(b"129.90", b"129.905")) == 400
    (secret,) = PROCESSORS["acme-pay"]["Secrets"]
    assert_in_exactly(set(), traces, secret)
    assert engine.logs()


def test_no_variable_makes_a_function_log_its_event(
    engine: Engine, traces: Traces, canary_payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who looks for a fault may set this variable in the console."""
    for function in engine.functions.values():
        monkeypatch.setitem(function.environment, "POWERTOOLS_LOGGER_LOG_EVENT", "true")
        function.restart()
    assert traces.run(canary_payment).outcome == "RECORDED"
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)
    monkeypatch.undo()
    for function in engine.functions.values():
        function.restart()


# ── Technical failures ──────────────────────────────────────────────────────────────────────────────

STATES = standard_states("PaymentLedgerWorkflow")
STATE_OF = {
    "Encrypt": "Encrypt Token",
    "ReEncrypt": "Encrypt Token",
    "PutItem": "Persist Payment",
    "PutEvents": "Publish Outcome",
    "UpdateItem": "Publish Outcome",
}
"""The state whose function makes each call."""


def attempts(call: str) -> int:
    """Return how often a state calls its function: once, and for each of its retries."""
    return 1 + int(STATES[STATE_OF[call]]["Retry"][0]["MaxAttempts"])


FAULTS: dict[str, Callable[[Faults, str], None]] = {
    "ClientError": lambda faults, call: faults.refuse(call, "IncompleteSignature", times=attempts(call)),
    "ReadTimeoutError": lambda faults, call: faults.lose_reply(call, times=attempts(call) * CALL_ATTEMPTS),
    "KeyError": lambda faults, call: (
        faults.refuse(call, "ConditionalCheckFailedException") if call == "PutItem" else faults.answer(call, {})
    ),
}
"""Faults, by the error in which they end. A KeyError is an answer without a field that the code reads unchecked."""


@pytest.mark.parametrize(
    ("call", "error"),
    [
        *((call, error) for call in ("Encrypt", "PutItem", "PutEvents") for error in FAULTS),
        ("UpdateItem", "ClientError"),
        ("UpdateItem", "ReadTimeoutError"),
    ],
)
def test_a_call_that_fails_does_not_show_the_token(
    traces: Traces, faults: Faults, canary_payment: dict[str, Any], call: str, error: str
) -> None:
    """People log errors and send them by mail: a message, a traceback, an execution's cause."""
    if call == "Encrypt" and "SealedToken" in canary_payment:
        call = "ReEncrypt"
    FAULTS[error](faults, call)
    execution = traces.run(canary_payment)
    assert execution.status == "FAILED"
    assert execution.outcome is None
    assert execution.error == error
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)


def test_the_sweep_does_not_see_the_token(
    engine: Engine, traces: Traces, faults: Faults, canary_payment: dict[str, Any]
) -> None:
    """The sweep reads recorded payments and publishes them, as the workflow does."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    assert traces.run(canary_payment).error == "OutcomeRefusedError"
    reply, _ = engine.functions["RepublishOutcomes"].invoke(b'{"ScheduledTime": "9999-01-01T00:00:00Z"}')
    assert json.loads(reply)["Published"] == 1
    assert_in_exactly(unless_sealed(canary_payment, ENCRYPTED), traces)


PLACES_AFTER_A_CRASH = {
    "ValidatePayment": SENT,
    "EncryptToken": ENCRYPTED,
    "PersistPaymentLedger": ENCRYPTED,
    "PublishOutcome": ENCRYPTED,
}


@pytest.mark.parametrize(("function", "places"), PLACES_AFTER_A_CRASH.items(), ids=PLACES_AFTER_A_CRASH)
@pytest.mark.parametrize("error", ["Sandbox.Timedout", "FileNotFoundError"])
def test_a_function_that_crashes_does_not_show_the_token(
    engine: Engine,
    traces: Traces,
    canary_payment: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    places: set[str],
    error: str,
) -> None:
    """The platform, or an error that nothing expects, ends a function while its variables hold the token."""
    crashing = engine.functions[function]
    if error == "FileNotFoundError":
        monkeypatch.setattr(crashing.module.logger, "info", lambda *_, **__: Path("/nowhere/at/all").read_text())
    else:
        monkeypatch.setattr(crashing, "timeout_s", 0.0)
        monkeypatch.setattr(crashing, "restart", lambda: None)  # a cold start takes long, and shows nothing here
    execution = traces.run(canary_payment)
    assert execution.status == "FAILED"
    assert execution.outcome is None
    assert execution.error == error
    assert_in_exactly(unless_sealed(canary_payment, places), traces)


# ── Planted leaks ───────────────────────────────────────────────────────────────────────────────────

HASH = hashlib.sha256(CANARY.encode()).hexdigest()
BEGINNING = CANARY[:FRAGMENT_BYTES]
IN_BASE64 = base64.b64encode(CANARY.encode()).decode()

Leak = Callable[[Any, dict[str, Any], pytest.MonkeyPatch], object]
"""A leak that a test plants at the beginning of a handler; it gets the handler's module and event."""


def use_token_as_dimension(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the token as a metric's dimension."""
    with single_metric(name="Payments", unit=MetricUnit.Count, value=1, namespace="Leak") as metric:
        metric.add_dimension("token", CANARY)


def store_token_compressed(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the compressed token as one more attribute of the item."""
    as_item, packed = EncryptedPayment.as_item, {"B": gzip.compress(CANARY.encode())}
    monkeypatch.setattr(EncryptedPayment, "as_item", lambda self: {**as_item(self), "Debug": packed})


def bind_ciphertext_to_token(module: Any, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the token into the encryption context, which CloudTrail keeps in plaintext."""
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
    "it is written beside the log": ("PublishOutcome", lambda *_: sys.stderr.write(CANARY), {"stderr": "plain"}),
    "it is a metric's dimension": ("ValidatePayment", use_token_as_dimension, {"logs: validate_payment": "JSON"}),
    "an error's message repeats it": ("EncryptToken", lambda _, event, __: int(event["SecureToken"]),
        {"logs: encrypt_token": "plain", "history: Encrypt Token, TaskFailed": "repr",
            "DescribeExecution: cause": "repr"}),
    "it is stored in the metadata": ("ValidatePayment", lambda _, event, __: event["Metadata"].update(hint=IN_BASE64),
        dict.fromkeys(["history: Persist Payment, TaskScheduled", "request: persist_payment_ledger PutItem Item",
            "request: publish_outcome PutEvents Entries", "table", "bus"], "plain")),
    "it is stored compressed": ("ValidatePayment", store_token_compressed,
        {"request: persist_payment_ledger PutItem Item": "plain", "table": "plain"}),
    "the ciphertext is bound to it": ("EncryptToken", bind_ciphertext_to_token,
        {"request: encrypt_token Encrypt EncryptionContext": "plain"}),
}  # fmt: skip
"""Each planted leak: the function, what it does, and the places that hold the token then, each with its shape."""


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
    """Each leak is a mistake that people make. A hunt that misses one proves nothing."""
    module = engine.functions[function].module
    handler = module.handler

    def leaking(event: dict[str, Any], context: object) -> Any:
        leak(module, event, monkeypatch)
        return handler(event, context)

    monkeypatch.setattr(module, "handler", leaking)
    traces.run({**payment, "SecureToken": CANARY})
    found = Hunt(CANARY).found(traces.places())
    assert not places.keys() & ENCRYPTED
    for place, shape in places.items():
        assert shape in found.get(place, set()), found
