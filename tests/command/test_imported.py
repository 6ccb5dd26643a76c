"""Imported payments and entries from the command line: started, shown as what they are, and waited for by nobody."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger_cli.engine import Engine
from tests.support.cli import ledger, lent
from tests.support.faults import Faults


@pytest.fixture
def at(endpoint: str) -> Any:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*arguments, LEDGER_ENDPOINT_URL=endpoint, **more)


@pytest.fixture
def start(at: Any, payment: dict[str, Any], refund: dict[str, Any]) -> Any:
    """Return a function that starts the payment and a refund of it, in this form, by the command."""

    def started(form: str | None, **changes: Any) -> list[dict[str, Any]]:
        more = changes | ({} if form is None else {"Import": form})
        lines = "\n".join(json.dumps(one | more) for one in (payment, refund))
        done = at("start", "-", "--json", stdin=lines)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    return started


def row(text: str, beginning: str) -> str:
    """Return the line that begins so."""
    (line,) = [line for line in text.splitlines() if line.startswith(beginning)]
    return line


def test_a_quiet_import_is_started_and_shown_as_what_it_is(at: Any, start: Any) -> None:
    """An operator who looks for its event must see that there is none, and that nothing is wrong."""
    assert [one["outcome"] for one in start("quiet")] == ["RECORDED", "RECORDED"]
    shown = at("get", "txn-2026-0001").stdout
    assert re.search(r"^Import +quiet$", shown, re.MULTILINE)
    assert re.search(r"^PublishedAt +never: a quiet import$", shown, re.MULTILINE)
    assert re.search(r"^1 +Refunded \(imported\) .* no, imported *$", shown, re.MULTILINE)
    assert "ledger:import" not in shown
    report = json.loads(at("get", "txn-2026-0001", "--json").stdout)
    for one in (report, *report["entries"]):
        assert (one["import"], one["published_at"]) == ("quiet", None)


def test_a_published_import_is_shown_as_one(at: Any, start: Any) -> None:
    """It was published, and is history all the same."""
    start("published")
    shown = at("get", "txn-2026-0001").stdout
    assert re.search(r"^Import +published$", shown, re.MULTILINE)
    assert re.search(r"^PublishedAt +20", shown, re.MULTILINE)
    assert re.search(r"^1 +Refunded \(imported\) .* yes *$", shown, re.MULTILINE)
    report = json.loads(at("get", "txn-2026-0001", "--json").stdout)
    assert {one["import"] for one in (report, *report["entries"])} == {"published"}
    inspected = at("inspect", "txn-2026-0001").stdout
    assert "Published  PaymentImported, OutcomeID " in inspected
    assert "Nothing to do: it is recorded and published." in inspected


def test_what_happens_now_has_no_word_of_imports(at: Any, start: Any) -> None:
    """Scripts that read today's output find the same."""
    start(None)
    for command in (("get", "txn-2026-0001"), ("inspect", "txn-2026-0001"), ("list", "--processor", "acme-pay")):
        assert "mport" not in at(*command).stdout + at(*command, "--json").stdout


def test_the_lists_show_quiet_imports_and_none_of_them_waits(at: Any, start: Any) -> None:
    """`ledger unpublished` is what an alarm sends an operator to. History must not fill it."""
    for form in ("quiet", "published", None):
        start(form, TransactionID=f"txn-{form}")
    for command in ("list", "entries"):
        listed = at(command, "--processor", "acme-pay").stdout
        published = {form: row(listed, f"txn-{form} ").rstrip() for form in ("quiet", "published", None)}
        assert published["quiet"].endswith(" no, imported")
        assert published["published"].endswith(" yes")
        assert published[None].endswith(" yes")
        found = [json.loads(line) for line in at(command, "--processor", "acme-pay", "--json").stdout.splitlines()]
        forms = {one["transaction_id"]: one.get("import") for one in found}
        assert forms == {"txn-quiet": "quiet", "txn-published": "published", "txn-None": None}
        rows = csv.DictReader(io.StringIO(at(command, "--processor", "acme-pay", "--csv").stdout))
        forms = {one["TransactionID"]: one["Import"] for one in rows}
        assert forms == {"txn-quiet": "quiet", "txn-published": "published", "txn-None": ""}
    for command in (("unpublished",), ("unpublished", "--entries"), ("republish", "--dry-run")):
        assert "txn-" not in at(*command).stdout
    assert json.loads(at("republish", "--dry-run", "--json").stdout)["unpublished"] == 0


def test_a_quiet_import_is_inspected_without_a_next_step(
    at: Any, start: Any, engine: Engine, payment: dict[str, Any], tmp_path: Path
) -> None:
    """Without this, its page would say forever that the next sweep publishes it."""
    start("quiet")
    shown = at("inspect", "txn-2026-0001").stdout
    assert "Nothing to do: it was imported, and is not published." in shown
    assert "OutcomeID" not in shown
    report = json.loads(at("inspect", "txn-2026-0001", "--json").stdout)
    assert (report["outcome"], report["payment"]["import"]) == ("RECORDED", "quiet")
    assert report["deciding_execution"]["published"] is None
    page = tmp_path / "page.html"
    assert at("inspect", "txn-2026-0001", "--html", str(page)).returncode == 0
    assert "never: a quiet import" in page.read_text()
    assert "Refunded (imported)" in page.read_text()
    engine.forget_history()
    assert "Nothing to do: it was imported, and is not published." in at("inspect", "txn-2026-0001").stdout


def test_a_quiet_import_whose_execution_failed_after_the_write_is_settled(
    at: Any, engine: Engine, payment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to redrive an execution that has nothing left to do."""

    def broken(*_: Any) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(engine.functions["PublishOutcome"].module, "emit_outcome_metrics", broken)
    assert engine.run(json.dumps({**payment, "Import": "quiet"}), "txn-2026-0001-a56e4564f0ce").status == "FAILED"
    report = json.loads(at("inspect", "txn-2026-0001", "--json").stdout)
    assert (report["outcome"], report["deciding_execution"]["status"]) == ("RECORDED", "FAILED")
    assert report["next_step"].startswith("Nothing to do")


def test_a_published_import_that_stopped_waits_for_the_sweep(
    at: Any, engine: Engine, payment: dict[str, Any], faults: Faults
) -> None:
    """It is on the list of what is unpublished, and `ledger republish` publishes it as an import."""
    faults.answer("PutEvents", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]})
    assert engine.run(json.dumps({**payment, "Import": "published"})).status == "FAILED"
    (waiting,) = at("unpublished", "--json").stdout.splitlines()
    assert json.loads(waiting)["import"] == "published"
    sweep = {"ScheduledTime": "2099-01-01T00:00:00Z"}
    engine.functions["RepublishOutcomes"].invoke(json.dumps(sweep).encode())
    assert [event["detail-type"] for event in engine.published()] == ["PaymentImported"]
    assert at("unpublished", "--json").stdout == ""


def test_the_report_of_a_run_shows_what_was_not_published(
    engine: Engine, payment: dict[str, Any], refund: dict[str, Any], tmp_path: Path
) -> None:
    """A developer tries an import on the embedded engine first."""
    file = tmp_path / "history.jsonl"
    for form, events in {"quiet": [], "published": ["PaymentImported", "EntryImported"]}.items():
        ids = {"TransactionID": f"txn-{form}", "Import": form}
        file.write_text("\n".join(json.dumps({**one, **ids}) for one in (payment, refund)))
        engine.clear()
        with lent(engine):
            shown = ledger("run", str(file)).stdout
        assert shown.count("no, imported") == (2 if form == "quiet" else 0)
        assert [event["detail-type"] for event in engine.published()] == events
        assert all(event in shown for event in events)


def test_retry_delivers_a_refused_import_as_one(at: Any, start: Any, engine: Engine, refund: dict[str, Any]) -> None:
    """The cause of the refusal is gone, and it is history all the same."""
    start("quiet", TransactionID="txn-1")
    too_much = {**refund, "TransactionID": "txn-1", "EntryID": "re-2", "Amount": "100.01", "Import": "quiet"}
    refused = json.loads(at("start", "-", "--json", stdin=json.dumps(too_much)).stdout)
    assert refused["outcome"] == "REFUSED"
    captured = {**refund, "TransactionID": "txn-1", "EntryID": "cap-1", "Kind": "Captured", "Amount": "10.00"}
    assert engine.run(json.dumps(captured)).outcome == "RECORDED"
    done = at("retry", refused["execution"])
    assert done.returncode == 0, done.stderr
    report = json.loads(at("get", "txn-1", "--json").stdout)
    assert [(one["entry_id"], one.get("import")) for one in report["entries"]][-1] == ("re-2", "quiet")
