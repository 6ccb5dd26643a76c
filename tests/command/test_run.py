"""`ledger run` as a person and as a machine meet it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger_cli.engine import Engine
from ledger_cli.engine.lambda_runtime import LocalFunction
from tests.support.cli import ledger, ledger_process, lent

SUCCESS = "events/start/01-success.json"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(engine: Engine) -> Iterator[Run]:
    """Yield a function that runs `ledger run` with the engine of this process; `ledger_process` deploys another."""
    with lent(engine):
        yield lambda *arguments, **more: ledger("run", *arguments, **more)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the lines of `--json`; nothing else may be on standard output."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_twice_is_recorded_then_duplicate() -> None:
    """Each delivery has an execution of its own, and the table decides its outcome."""
    done = ledger_process("run", "--json", SUCCESS, SUCCESS)
    first, second = rows(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert first.keys() == {"file", "execution", "status", "outcome", "error", "cause", "states"}
    assert (first["file"], first["status"], first["outcome"]) == (SUCCESS, "SUCCEEDED", "RECORDED")
    assert (second["outcome"], second["error"]) == ("DUPLICATE", None)
    assert first["execution"] != second["execution"]
    assert [state["name"] for state in first["states"]][-1] == "Publish Outcome"


def test_a_changed_amount_and_an_invalid_one(run: Run, tmp_path: Path, payment: dict[str, Any]) -> None:
    """A conflict and a rejection are outcomes: the exit status stays 0."""
    file = tmp_path / "payments.jsonl"
    invalid = {**payment, "Amount": "1.999", "Status": "ok", "Timestamp": "now"}
    payments = [payment, {**payment, "Amount": "1"}, invalid]
    file.write_text("\n".join(json.dumps(payment) for payment in payments))
    done = run("--json", str(file))
    assert done.returncode == 0
    outcomes = [(row["outcome"], row["error"], row["cause"]) for row in rows(done)]
    assert outcomes == [
        ("RECORDED", None, None),
        ("CONFLICT", "PaymentConflictError", "differs from the recorded payment in: Amount"),
        ("REJECTED", "InvalidPaymentError", "Amount: decimals; Status: status; Timestamp: timestamp"),
    ]


def test_the_samples_show_every_outcome(run: Run) -> None:
    """A newcomer sees them first. The command seals one of them when it runs."""
    done = run("--json")
    outcomes = {Path(row["file"]).stem: row["outcome"] for row in rows(done)}
    assert done.returncode == 0
    assert outcomes == {
        "01-success": "RECORDED",
        "02-failure": "RECORDED",
        "03-number-amount": "RECORDED",
        "04-zero-decimal-currency": "RECORDED",
        "05-duplicate": "DUPLICATE",
        "06-conflict": "CONFLICT",
        "07-invalid-amount": "REJECTED",
        "08-invalid-many": "REJECTED",
        "09-invalid-unknown-field": "REJECTED",
        "10-refund": "RECORDED",
        "11-refund-refused": "REFUSED",
        "(sealed when run)": "RECORDED",
    }


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_people_get_tables(run: Run, columns: str, payment: dict[str, Any]) -> None:
    """They show payments, items and events, as plain text if piped. Of a token they show its ciphertext's length."""
    long_id = f"order-{'4711' * 10}-of-2026"
    another = {
        **payment,
        "TransactionID": long_id,
        "Amount": "12345678901234567890.5",
        "Timestamp": "2026-11-23T08:30:00Z",
    }
    done = run(SUCCESS, "-", COLUMNS=columns, stdin=json.dumps(another))
    assert all(
        word in done.stdout for word in (long_id, "12345678901234567890.50", "TransactionID", "Amount", "129.90")
    )
    assert (done.returncode, done.stderr) == (0, "")
    for title in ("Executions", "Payments in the ledger", "Events from payment.ledger"):
        assert title in done.stdout
    assert done.stdout.endswith("2 executions, 2 payments, 0 entries, 2 events\n")
    assert "tok_sample" not in done.stdout
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= int(columns)


def test_standard_input_and_the_folder_it_is_called_from(payment: dict[str, Any], tmp_path: Path) -> None:
    """The command finds the template from every folder."""
    done = ledger_process("run", "--json", "-", stdin=json.dumps([payment]), folder=tmp_path)
    assert [(row["file"], row["outcome"]) for row in rows(done)] == [("-", "RECORDED")]


def test_a_shells_aws_settings_do_not_matter() -> None:
    """An engineer's profile or endpoint must not reach the engine, and need not exist."""
    done = ledger_process(
        "run", "--json", SUCCESS, AWS_PROFILE="none", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_REGION="eu-west-1"
    )
    assert [row["outcome"] for row in rows(done)] == ["RECORDED"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["none.json"], "", "ledger: none.json: no such file or directory"),
        (["-"], "", "ledger: -: holds no payment"),
        (["-"], '{"Amount": NaN}', "ledger: -:1:12: NaN and Infinity are not JSON"),
        (
            [SUCCESS, "-"],
            '{"a": 1, "a": 2}',
            "ledger: -:1:13: the field before this colon is given twice in its object",
        ),
    ],
)
def test_what_cannot_be_read_starts_nothing(arguments: list[str], stdin: str, message: str) -> None:
    """The command prints one line, and starts no execution: not even of the payments that it could read."""
    done = ledger("run", "--json", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{message}\n")


def test_an_unknown_option_is_named() -> None:
    """The exit status is that of unreadable input."""
    done = ledger("run", "--jsno")
    assert done.returncode == 2
    assert "No such option '--jsno'" in done.stderr


def test_a_technical_failure_is_exit_status_1(
    run: Run, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is null; its error and its last state show where it stopped."""
    invoke = LocalFunction.invoke

    def broken(function: LocalFunction, payload: bytes) -> tuple[bytes, bool]:
        error = b'{"errorType": "DisabledException", "errorMessage": "x"}'
        return (error, True) if "encrypt" in function.name else invoke(function, payload)

    monkeypatch.setattr(LocalFunction, "invoke", broken)
    done = run("--json", "-", stdin=json.dumps(payment))
    (row,) = rows(done)
    assert (done.returncode, row["outcome"], row["error"]) == (1, None, "DisabledException")
    assert row["states"][-1]["name"] == "Encrypt Token"
    assert row["status"] == "FAILED"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], []])
def test_help_is_given(arguments: list[str]) -> None:
    """It has examples, for people who have no documentation at hand."""
    done = ledger(*arguments)
    assert "ledger" in done.stdout + done.stderr
    assert "Examples:" in done.stdout or "run" not in arguments
