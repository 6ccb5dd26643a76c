"""History that is imported: equal to the letter, quiet unless asked, never twice, and checked before it starts."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import facts_hash
from ledger.intake import Intake
from ledger.violations import InvalidPaymentError, Violation
from ledger_cli import ROOT
from ledger_cli.books.export import Export
from ledger_cli.books.history import NO_TOKEN
from ledger_cli.engine import Engine
from ledger_cli.stack import importing
from tests.support.books import entry, exported, life, payment
from tests.support.cli import ledger
from tests.support.faults import Faults
from tests.support.histories import random_histories

ACME = ("--processor", "acme-pay")
HISTORY = f"{ROOT}/events/history.jsonl"


@pytest.fixture
def at(endpoint: str) -> Any:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*arguments, LEDGER_ENDPOINT_URL=endpoint, **more)


def written(path: Path, histories: Iterable[Iterable[dict[str, Any]]]) -> Path:
    """Write histories as lines of JSON."""
    with path.open("w", encoding="utf-8") as file:
        for one in (one for history in histories for one in history):
            file.write(json.dumps({"record": "entry" if "EntryID" in one else "payment", **one}) + "\n")
    return path


SKIPPED = "the payment or an entry before it is not recorded"
OWN = {"RecordedAt", "Execution", "Previous", "Import"}
"""What a ledger says of its own recording. `Previous` is a hash of the others."""


def letters(path: Path) -> list[str]:
    """Return each record of an export as text, without what each ledger says of its own recording."""
    return [
        json.dumps({name: value for name, value in facts.items() if name not in OWN}, ensure_ascii=False)
        for facts in Export.open(path).records()
    ]


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROUND_TRIPS", "3"))))
def test_a_ledger_that_is_moved_is_equal_to_the_letter(at: Any, engine: Engine, tmp_path: Path, seed: int) -> None:
    """Odd currencies, Unicode metadata, entries: exported, imported elsewhere, and exported again."""
    histories = random_histories(seed, 8)
    number = sum(map(len, histories))
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert at("import", str(written(tmp_path / "history.jsonl", histories))).returncode == 0
    assert at("export", str(first), *ACME).stdout == f"{first}: {number} records\n"
    engine.clear()
    done = at("import", str(first))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"entries, {number} imported\n")
    assert at("export", str(second), *ACME).returncode == 0
    assert letters(second) == letters(first)
    sent = {(one["TransactionID"], one.get("EntryID")): one for history in histories for one in history}
    for facts in Export.open(second).records():
        one = sent[facts["TransactionID"], facts.get("EntryID")]
        assert {name: facts[name] for name in one} == one


def test_history_wakes_no_consumer(at: Any, engine: Engine) -> None:
    """The payment has a token that says that there is none."""
    done = at("import", HISTORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{HISTORY}: 2 payments and 1 entries, 3 imported\n"
    assert engine.published() == []
    assert at("unpublished", "--json").stdout == ""
    report = json.loads(at("get", "old-2019-0001", "--json").stdout)
    assert (report["import"], report["entries"][0]["import"]) == ("quiet", "quiet")
    for transaction_id, token in (("old-2019-0001", NO_TOKEN), ("old-2019-0002", "tok_sample_0d41c7e9aa")):
        revealed = at("reveal", transaction_id, "--reason", "audit of 2019", "--json").stdout
        assert json.loads(revealed)["secure_token"] == token


def test_history_is_published_on_request(at: Any, engine: Engine) -> None:
    """Under types of its own, so that nobody ships goods of 2019 again."""
    assert at("import", HISTORY, "--publish").returncode == 0
    types = sorted(event["detail-type"] for event in engine.published())
    assert types == ["EntryImported", "PaymentImported", "PaymentImported"]


def test_what_the_ledger_has_is_not_imported_again(at: Any, engine: Engine) -> None:
    """After an interruption, the same command continues: the ledger itself is the record of the progress."""
    assert at("import", HISTORY).returncode == 0
    executions = engine.executions()
    done = at("import", HISTORY, "--json")
    assert json.loads(done.stdout)["summary"] == {
        "payments": 2, "entries": 1, "without_token": 1, "accepted": 0, "recorded": 0, "duplicate": 3, "conflict": 0,
        "rejected": 0, "refused": 0, "failed": 0, "running": 0, "skipped": 0,
    }  # fmt: skip
    assert engine.executions() == executions


def test_nothing_starts_if_one_line_is_wrong(at: Any, engine: Engine, tmp_path: Path) -> None:
    """Half a history would be hard to take back."""
    lines = [*Path(HISTORY).read_text().splitlines(), '{"record": "payment"}', ""]
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(lines))
    for arguments in ((), ("--dry-run",)):
        done = at("import", str(file), *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"ledger: {file}: nothing was imported: line 4: Amount: required, ")
    assert engine.executions() == []


def test_a_dry_run_says_what_the_file_holds(at: Any, engine: Engine) -> None:
    """It starts nothing."""
    done = at("import", HISTORY, "--dry-run")
    line = "2 payments and 1 entries, all keep the contract, 1 without a token; nothing was imported"
    assert (done.returncode, done.stdout) == (0, f"{HISTORY}: {line}\n")
    assert engine.executions() == []


def test_a_conflict_holds_up_no_other_payment(at: Any, engine: Engine, tmp_path: Path) -> None:
    """What comes after it in its own payment is skipped, and each of them is named."""
    histories = random_histories(1, 4)
    histories[1][1:] = [{**entry("Refunded", "0.01").as_state(), "TransactionID": histories[1][0]["TransactionID"]}]
    first = {**histories[1][0], "Currency": "EUR", "Amount": "10.00", "Status": "Success"}
    histories[1][0] = first
    sample = {**first, "SecureToken": "tok_12345678", "Amount": "11.00", "Metadata": {}}
    assert engine.run(json.dumps(sample)).outcome == "RECORDED"
    done = at("import", str(written(tmp_path / "history.jsonl", histories)))
    line = len(histories[0]) + 1
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [
        f"CONFLICT   line {line}, {first['TransactionID']}: differs from the recorded payment in: Amount",
        f"SKIPPED    line {line + 1}, {first['TransactionID']} refunded-1: {SKIPPED}",
    ]
    assert len(engine.items()) == 4
    assert [event["detail-type"] for event in engine.published()].count("PaymentConflict") == 1


def test_an_entry_that_was_accepted_elsewhere_is_refused_here(at: Any, engine: Engine, tmp_path: Path) -> None:
    """The command says so before it starts, and an operator decides again."""
    file = exported(tmp_path / "a.jsonl", life(payment("a", "1.00"), entry("Refunded", "2.00")))
    done = at("import", str(file), "--json")
    assert done.returncode == 1
    assert done.stderr == "ledger: 1 entries break rules about the totals, so that the ledger refuses them\n"
    refused, summary = map(json.loads, done.stdout.splitlines())
    assert refused == {
        "line": 3, "transaction_id": "a", "entry_id": "refunded-1", "outcome": "REFUSED",
        "reason": "Amount: exceeds_captured",
    }  # fmt: skip
    assert (summary["summary"]["recorded"], summary["summary"]["refused"]) == (1, 1)


def test_a_denied_call_ends_the_command_in_one_line(at: Any, engine: Engine, faults: Faults) -> None:
    """It says how far it came, and the same command continues."""
    faults.refuse("StartExecution", "AccessDeniedException")
    done = at("import", HISTORY)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.endswith(" of 3 records were handled: give the same command again\n")
    assert "these credentials lack a permission" in done.stderr
    assert at("import", HISTORY).returncode == 0
    assert len(engine.items()) == 2


def test_a_technical_failure_is_named_and_can_be_redriven(
    at: Any, engine: Engine, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The execution waits for an operator, as that of any other payment."""
    monkeypatch.setattr(importing, "DESCRIBED_EVERY_S", 0.1)
    faults.refuse("PutItem", "ResourceNotFoundException", times=1)
    done = at("import", HISTORY)
    assert done.returncode == 1
    assert "FAILED     line " in done.stdout
    assert "SKIPPED" in done.stdout or "old-2019-0002" in done.stdout
    assert at("import", HISTORY).returncode == 0
    assert len(engine.items()) == 2


def test_the_hash_of_an_entry_does_not_depend_on_its_import() -> None:
    """So a chain that was exported is checked in the same way, wherever it came from."""
    (_, facts) = life(payment("a"), entry("Refunded", "1.00"))
    assert facts_hash({**facts, "Import": "quiet"}) == facts_hash(facts)


def test_a_seal_that_nine_executions_found_wrong_is_a_rejection(
    at: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt would not help, and the other payments are imported."""

    def deliver(*_: Any, **__: Any) -> Any:
        raise InvalidPaymentError([Violation("SealedToken", "too_many_attempts")])

    monkeypatch.setattr(Intake, "deliver", deliver)
    done = at("import", HISTORY)
    assert (done.returncode, done.stderr) == (1, "")
    assert "REJECTED   line 1, old-2019-0001: SealedToken: too_many_attempts\n" in done.stdout
    assert done.stdout.endswith("2 rejected, 1 skipped\n")
