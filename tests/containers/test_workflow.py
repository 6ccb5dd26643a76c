"""Whole executions, with every task in a real container, compared with the same executions in this process."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ledger.intake import seal
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.http_api import ENDPOINT, Request
from ledger_cli.samples import PROCESSORS, register_sample_processors
from ledger_cli.stack.webhook import signed, signed_body
from tests.containers.conftest import start_lambda, with_timeout
from tests.support.faults import Faults

HAPPY_PATH = ["Validate Payment", "Encrypt Token", "Persist Payment", "Publish Outcome"]


def reason(cause: str | None) -> str | None:
    """Return a cause as it is, or only the message of a technical error: its request ID and stack differ."""
    return str(json.loads(cause)["errorMessage"]) if cause and cause.startswith("{") else cause


def observed(engine: Engine, *payments: dict[str, Any]) -> list[Any]:
    """Run the payments one after the other, and return what an operator sees, and the items and events."""
    engine.clear()
    executions = [engine.run(json.dumps(payment), f"p{number}") for number, payment in enumerate(payments)]
    new_each_time = {"SecureToken", "RecordedAt", "PublishedAt"}
    return [
        [(e.status, e.outcome, e.error, reason(e.cause), [(s.name, s.attempts) for s in e.states]) for e in executions],
        [
            {name: value for name, value in item.items() if name not in new_each_time}
            for item in [*engine.items(), *engine.entries()]
        ],
        [
            (event["detail-type"], {k: v for k, v in event["detail"].items() if k != "RecordedAt"})
            for event in engine.published()
        ],
    ]


def in_both(engine: Engine, address: str, *payments: dict[str, Any]) -> list[Any]:
    """Run the payments in containers and in this process, and return the results, which must be equal."""
    engine.lambda_endpoint = address
    in_containers = observed(engine, *payments)
    engine.lambda_endpoint = None
    assert in_containers == observed(engine, *payments)
    return in_containers


def test_the_four_outcomes(engine: Engine, warm: str, payment: dict[str, Any]) -> None:
    """A Catch matches only if the real runtime reports an error by the same name as the tests' process."""
    executions, items, events = in_both(
        engine,
        warm,
        payment,
        payment,
        {**payment, "Amount": "1.00"},
        {**payment, "TransactionID": "invalid", "Amount": "1.001", "Status": "success"},
    )
    assert [outcome for _, outcome, *_ in executions] == ["RECORDED", "DUPLICATE", "CONFLICT", "REJECTED"]
    assert [error for _, _, error, *_ in executions] == [None, None, "PaymentConflictError", "InvalidPaymentError"]
    assert [name for name, _ in executions[0][4]] == HAPPY_PATH
    assert len(items) == 1
    assert [name for name, _ in events] == ["PaymentRecorded", "PaymentDuplicate", "PaymentConflict", "PaymentRejected"]


def test_the_four_outcomes_of_an_entry(
    engine: Engine, warm: str, payment: dict[str, Any], refund: dict[str, Any]
) -> None:
    """The chain's hash and its totals must be the same, whatever writes the JSON."""
    changed = {**refund, "Amount": "1.00"}
    too_much = {**refund, "EntryID": "re-2", "Amount": "100.01", "Metadata": {"note": TEXTS[0]}}
    executions, items, events = in_both(engine, warm, payment, refund, refund, changed, too_much)
    assert [outcome for _, outcome, *_ in executions[1:]] == ["RECORDED", "DUPLICATE", "CONFLICT", "REFUSED"]
    assert [error for _, _, error, *_ in executions[3:]] == ["EntryConflictError", "InvalidEntryError"]
    assert len(items) == 2
    assert [name for name, _ in events[1:]] == ["EntryRecorded", "EntryDuplicate", "EntryConflict", "EntryRefused"]


def test_a_sealed_payment(engine: Engine, warm: str, payment: dict[str, Any]) -> None:
    """Base64, the ciphertext's bytes and the encryption context must pass unchanged through the real SDK."""
    token = payment.pop("SecureToken")
    ids = payment["TransactionID"], payment["ProcessorID"]
    sealed = seal(engine.client("kms"), engine.outputs["IntakeKeyArn"], *ids, token)
    executions, *_ = in_both(
        engine,
        warm,
        {**payment, "SealedToken": sealed},
        {**payment, "TransactionID": "another", "SealedToken": sealed},
    )
    assert [outcome for _, outcome, *_ in executions] == ["RECORDED", "REJECTED"]


POSTED = {
    "acme-pay": ("acme-pay", 202),
    "adyen": ("adyen-authorisation", 200),
    "square": ("square-payment.updated", 200),
    "stripe": ("stripe-charge.succeeded", 202),
}
"""What some of the sample processors post, and the first answer. Between them, they sign whatever can be signed."""


@pytest.mark.parametrize("processor", POSTED)
def test_a_processors_post_is_recorded(in_containers: Engine, processor: str) -> None:
    """The signature, the exact body and each AWS call pass through the webhook's own container."""
    engine = in_containers
    register_sample_processors(engine)
    file, accepted = POSTED[processor]
    path = f"/processors/{processor}/payments"

    def post(secret: str | None = None) -> tuple[int, Any]:
        described = PROCESSORS[processor] if secret is None else {**PROCESSORS[processor], "Secrets": [secret]}
        body = signed_body(described, (ROOT / f"events/webhooks/{file}.json").read_bytes())
        headers = signed(described, body, round(time.time()), f"{ENDPOINT}{path}")
        answer = engine.answer(Request("POST", path, headers, body))
        assert answer is not None
        return answer[0], json.loads(answer[2])

    status, first = post()
    assert status == accepted
    prefix = engine.outputs["WorkflowArn"].replace(":stateMachine:", ":execution:")
    assert engine.wait_for(f"{prefix}:{first['Execution']}").outcome == "RECORDED"
    assert post() == (200, {**first, "Outcome": "RECORDED"})
    assert post("0A" * 32 if processor == "adyen" else f"whsec_{'QUFB' * 8}")[0] == 401
    assert len(engine.items()) == 1


TEXTS = ["Zürich 日本 😀", "\u2028\u0000", "</script>'\"\\"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_passes_unchanged(engine: Engine, warm: str, payment: dict[str, Any], text: str) -> None:
    """The containers read and write JSON with other libraries, and one escape more would change a record."""
    in_both(engine, warm, {**payment, "Metadata": {"note": text}})


@pytest.mark.parametrize("amount", ["0.10", 12, 12.5, 1e-7, 1e22, "99999999999999999999999999999999999999", None, True])
def test_amounts_pass_unchanged(engine: Engine, warm: str, payment: dict[str, Any], amount: Any) -> None:
    """The real runtime client parses a number before the handler sees it."""
    in_both(engine, warm, {**payment, "Currency": "JPY" if amount == 12 else "EUR", "Amount": amount})


def test_deliveries_at_once_are_recorded_once(in_containers: Engine, payment: dict[str, Any]) -> None:
    """Several deliveries run at the same time, each through its own process in a container."""
    ended = []
    threads = [
        threading.Thread(target=lambda n=n: ended.append(in_containers.run(json.dumps(payment), f"at-once-{n}")))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(str(execution.outcome) for execution in ended) == ["DUPLICATE"] * 5 + ["RECORDED"]
    assert len(in_containers.items()) == 1


PERMANENT = [
    ("Encrypt", "DisabledException", 400),
    ("Encrypt", "NotFoundException", 400),
    ("PutItem", "ResourceNotFoundException", 400),
    ("PutEvents", "ResourceNotFoundException", 400),
]


@pytest.mark.parametrize(("operation", "code", "status"), PERMANENT)
def test_errors_have_the_same_name(
    engine: Engine, warm: str, payment: dict[str, Any], faults: Faults, operation: str, code: str, status: int
) -> None:
    """Retry and Catch match the names of classes, which botocore makes at run time from its data."""
    faults.refuse(operation, code, status=status, times=2)
    executions, *_ = in_both(engine, warm, payment)
    assert executions[0][2] == code


def test_a_lost_reply_is_one_payment(engine: Engine, warm: str, payment: dict[str, Any], faults: Faults) -> None:
    """A real connection may break after the write has taken effect."""
    faults.lose_reply("PutItem", times=2)
    executions, items, _ = in_both(engine, warm, payment)
    assert executions[0][1] == "RECORDED"
    assert len(items) == 1


def test_an_unhandled_error_does_not_show_the_token(
    in_containers: Engine, start_lambda_log: Path, payment: dict[str, Any], faults: Faults
) -> None:
    """The text and the stack of every error go to the history and to the log."""
    faults.answer("Encrypt", {"unexpected": "reply"})
    execution = in_containers.run(json.dumps({**payment, "SecureToken": "tok_canary_5f7c21"}))
    assert execution.status == "FAILED"
    assert execution.error == "KeyError"
    assert "tok_canary" not in str(execution.cause)
    log = start_lambda_log.read_text()
    assert "KeyError" in log
    assert "tok_canary" not in log


TIMEOUT_S = 1


def test_a_function_that_times_out_is_retried(
    engine: Engine, env_file: Path, tmp_path: Path, payment: dict[str, Any], faults: Faults
) -> None:
    """The platform ends the function, and the workflow recognises that by the error's name."""
    with (
        with_timeout("EncryptToken", TIMEOUT_S) as built,
        start_lambda(env_file, tmp_path / "log", built) as address,
    ):
        faults.delay("Encrypt", TIMEOUT_S + 0.5)
        engine.lambda_endpoint = address
        in_container = engine.run(json.dumps(payment), "in-container")
        engine.lambda_endpoint = None
    encrypting = engine.functions["EncryptToken"]
    encrypting.timeout_s, before = TIMEOUT_S, encrypting.timeout_s
    engine.clear()
    faults.delay("Encrypt", TIMEOUT_S + 0.5)
    in_process = engine.run(json.dumps(payment), "in-process")
    encrypting.timeout_s = before
    for execution in (in_container, in_process):
        assert execution.outcome == "RECORDED"
        assert [(s.name, s.attempts) for s in execution.states][1] == ("Encrypt Token", 2)
