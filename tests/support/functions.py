"""The functions of the engine's stack, called one at a time."""

import itertools
import json
import threading
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds

from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.engine.lambda_runtime import LocalFunction

SAMPLES = ROOT / "events/functions"


def sample(name: str) -> Any:
    """Return a sample input of one function."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def log_lines(engine: Engine, message: str) -> list[dict[str, Any]]:
    """Return the functions' structured log lines with this message."""
    lines = [json.loads(line) for line in engine.logs().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message") == message]


def invoke(engine: Engine, function: str, event: object) -> Any:
    """Return a function's reply; an error that it raises has the form that the runtime gives it."""
    reply, _ = engine.functions[function].invoke(json.dumps(event).encode())
    return json.loads(reply)


def decrypted(engine: Engine, ciphertext: bytes, transaction_id: str) -> str:
    """Return the plaintext, which a caller with the right to decrypt gets."""
    reply = engine.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext={"TransactionID": transaction_id})
    return str(reply["Plaintext"].decode())


def hang_once(monkeypatch: pytest.MonkeyPatch, function: LocalFunction, *, sooner: int, hangs_s: float) -> None:
    """Let the function's first invocation hang for so long, and each state time out so many times sooner."""
    real, calls = function.invoke, itertools.count()

    def invoke(payload: bytes) -> tuple[bytes, bool]:
        if next(calls) == 0:
            threading.Event().wait(hangs_s)
            return b"null", False  # the state has timed out, so nothing reads this reply
        return real(payload)

    def eval_seconds(seconds: TimeoutSeconds, env: object) -> float:  # moto names the argument
        return seconds.timeout_seconds / sooner

    monkeypatch.setattr(TimeoutSeconds, "_eval_seconds", eval_seconds)
    monkeypatch.setattr(function, "invoke", invoke)
