"""The books from the command line: exports, totals and reconciliations, of a served engine and of an export."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ledger_cli import ROOT
from ledger_cli.books.export import Export
from ledger_cli.engine import Engine
from ledger_cli.stack import exporting, queries
from ledger_cli.stack.client import Stack
from tests.support.books import entry, exported, life, payment
from tests.support.cli import ledger
from tests.support.faults import Faults

FROM = "2026-11-23T00:00:00.000000Z"
REPORTS = ROOT / "events/reports"
ACME = ("--processor", "acme-pay")
CSV = (*ACME, "--format", "csv", "--mapping", f"{REPORTS}/acme-pay.toml")


@pytest.fixture
def at(endpoint: str) -> Any:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*arguments, LEDGER_ENDPOINT_URL=endpoint, **more)


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """Return an engine that has the sample payment and its refund, which the sample reports are about."""
    samples = ("01-success", "10-refund")
    outcomes = [engine.run((ROOT / f"events/start/{name}.json").read_text()).outcome for name in samples]
    assert outcomes == ["RECORDED", "RECORDED"]
    return engine


def records(path: Path) -> list[dict[str, Any]]:
    """Return all records of an export."""
    return list(Export.open(path).records())


def started(engine: Engine, number: int, *, of: str = "acme-pay", first: int = 0) -> None:
    """Record payments, each with a refund."""
    for one in range(first, first + number):
        common = {"TransactionID": f"txn-{of}-{one:03}", "Currency": "EUR", "ProcessorID": of}
        pay = {"SecureToken": "tok_1234", "Amount": "10.00", "Status": "Success", "Timestamp": "2026-11-24T10:00:00Z"}
        back = {"EntryID": f"re-{one}", "Kind": "Refunded", "Amount": "1.00", "Timestamp": "2026-11-25T10:00:00Z"}
        assert engine.run(json.dumps(common | pay)).outcome == "RECORDED"
        assert engine.run(json.dumps(common | back)).outcome == "RECORDED"


def test_a_ledger_is_exported_whole(at: Any, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, and sorted. It has what the ledger never changes, and no token."""
    monkeypatch.setattr(exporting, "PAGE_SIZE", 2)
    started(engine, 3)
    started(engine, 1, of="other-pay")
    file = tmp_path / "ledger.jsonl"
    done = at("export", str(file), *ACME)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: 6 records\n", "")
    items = {**{item["TransactionID"]["S"]: item for item in engine.items()}}
    assert [(one["TransactionID"], one.get("Entry")) for one in records(file)] == [
        (f"txn-acme-pay-00{number}", entry_number) for number in range(3) for entry_number in (None, 1)
    ]
    assert records(file)[0]["RecordedAt"] == items["txn-acme-pay-000"]["RecordedAt"]["S"]
    assert not re.search(r"SecureToken|tok_1234|PublishedAt", file.read_text())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["ledger.jsonl"]


def test_an_export_of_a_period_has_what_happened_in_it(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """The payment is of the day before its refund."""
    file = tmp_path / "ledger.jsonl"
    period = ("--from", "2026-11-24T01:00:00+01:00", "--to", "2026-11-25T00:00:00Z")
    assert json.loads(at("export", str(file), *ACME, *period, "--json").stdout) == {
        "file": str(file), "records": 1, "unreadable": 0
    }  # fmt: skip
    assert [one["EntryID"] for one in records(file)] == ["re-2026-0001"]
    header = Export.open(file).header
    assert (header["from"], header["to"]) == ("2026-11-24T00:00:00.000000Z", "2026-11-25T00:00:00.000000Z")


def test_an_export_goes_to_standard_output(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """Another program may compress it at once."""
    done = at("export", "-", *ACME)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "ledger.jsonl").write_text(done.stdout)
    assert len(records(tmp_path / "ledger.jsonl")) == 2


def test_an_export_that_was_interrupted_continues(
    at: Any, engine: Engine, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is not read again, and the result is what it would have been."""
    monkeypatch.setattr(exporting, "PAGE_SIZE", 2)
    started(engine, 5)
    file = tmp_path / "ledger.jsonl"
    calls = []
    query_ledger = queries.query_ledger

    def stopped(stack: Any, query: Any) -> Any:
        calls.append(query)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return query_ledger(stack, query)

    monkeypatch.setattr(exporting, "query_ledger", stopped)
    done = at("export", str(file), *ACME)
    assert done.returncode == 130
    assert done.stderr == (
        f"ledger: interrupted; what was read is in {file}.part: give the same command again to continue\n"
    )
    assert not file.exists()
    done = at("export", str(file), *ACME)
    assert done.stderr == "ledger: continues an export that was interrupted, with 5 records\n"
    assert (done.returncode, len(records(file))) == (0, 10)
    assert len(calls) == 4 + 3
    assert [one.name for one in tmp_path.iterdir()] == ["ledger.jsonl"]


def test_an_export_has_what_was_recorded_when_it_began(
    at: Any, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list of entries is read before that of payments. A payment of between would lack its refund."""
    started(engine, 1)
    file = tmp_path / "ledger.jsonl"
    query_ledger = queries.query_ledger

    def interrupted(stack: Any, query: Any) -> Any:
        if "Entries" not in query:
            raise KeyboardInterrupt
        return query_ledger(stack, query)

    with monkeypatch.context() as patched:
        patched.setattr(exporting, "query_ledger", interrupted)
        assert at("export", str(file), *ACME).returncode == 130
    started(engine, 2, first=1)
    assert at("export", str(file), *ACME).returncode == 0
    assert [one["TransactionID"] for one in records(file)] == ["txn-acme-pay-000"] * 2
    assert Export.open(file).header["taken_at"] < engine.items()[1]["RecordedAt"]["S"]


def test_a_draft_belongs_to_one_stack(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """Another account may have a stack of the same name: its records are others."""
    file = tmp_path / "ledger.jsonl"
    (tmp_path / "ledger.jsonl.unfinished").mkdir()
    assert at("export", str(file), *ACME).returncode == 2
    with patch.object(Stack, "__getattribute__", _of_another_stack):
        done = at("export", str(file), *ACME)
    assert done.returncode == 2
    assert "left by another export that was interrupted" in done.stderr


def _of_another_stack(self: Stack, name: str) -> Any:
    return "arn:of:another" if name == "stack_id" else object.__getattribute__(self, name)


def test_an_export_without_a_record_says_so(at: Any, recorded: Engine) -> None:
    """A ProcessorID may be misspelled."""
    done = at("export", "-", "--processor", "acme-pya")
    message = "there is no record: are the ProcessorID and the period right?"
    assert (done.returncode, done.stderr) == (0, f"ledger: {message}\n")


def test_an_index_that_is_behind_leaves_no_gap(
    at: Any, recorded: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payment of an entry that a list lacks is read from the table itself."""
    query_ledger = queries.query_ledger

    def behind(stack: Any, query: Any) -> Any:
        page = query_ledger(stack, query)
        return {**page, "Payments": []} if "Payments" in page else page

    monkeypatch.setattr(exporting, "query_ledger", behind)
    file = tmp_path / "ledger.jsonl"
    assert at("export", str(file), *ACME).returncode == 0
    assert [one.get("EntryID") for one in records(file)] == [None, "re-2026-0001"]


def test_a_damaged_item_is_named_and_holds_up_no_other(at: Any, engine: Engine, tmp_path: Path) -> None:
    """The export says what it lacks, and nobody takes it for whole."""
    started(engine, 2)
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": "txn-acme-pay-000"}},
        UpdateExpression="SET Amount = :more",
        ExpressionAttributeValues={":more": {"N": "1000"}},
    )
    file = tmp_path / "ledger.jsonl"
    done = at("export", str(file), *ACME)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("ledger: txn-acme-pay-000: its attribute Fingerprint is not what the ledger has ")
    assert [(one["TransactionID"], one.get("Entry")) for one in records(file)] == [
        ("txn-acme-pay-000", 1), ("txn-acme-pay-001", None), ("txn-acme-pay-001", 1)
    ]  # fmt: skip
    assert Export.open(file).header["unreadable"] == [{"TransactionID": "txn-acme-pay-000", "Attribute": "Fingerprint"}]
    for asked in (("totals", "--day", "2026-11-24"), ("reconcile", f"{REPORTS}/acme-pay.csv", *CSV[2:])):
        done = at(*asked, *ACME, "--ledger", str(file))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"ledger: {file}: lacks damaged records, so its sums would be wrong: see the runbook\n"
        done = at(*asked, *ACME)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("ledger: sums would be wrong: txn-acme-pay-000: its attribute Fingerprint ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "{file}", *ACME), "{file}: exists already: name another file, or remove it"),
        (("export", "{folder}/none/a.jsonl", *ACME), "{folder}/none/a.jsonl: there is no folder {folder}/none"),
        (("export", "-", *ACME, "--json"), "Give FILE with --json: standard output has the export itself."),
        (("export", "-", *ACME, "--from", "yesterday"), "Invalid value for '--from': give a date and time with an "),
        (("export", "-"), "Missing option '--processor'."),
        (("export", "-", "--processor", "a b"), "--processor is 1 to 64 of A-Z a-z 0-9 _ -"),
        (("totals", *ACME, "--day", "2026-11-31"), "Invalid value for '--day': '2026-11-31' does not match the "),
        (("totals", *ACME, "--day", "9999-12-31"), "The day is too early or too late."),
        (("totals", *ACME, "--day", "2026-11-23", "--zone", "Mars"), "Invalid value for '--zone': give the name of a "),
        (("totals", *ACME, "--day", "2026-11-23", "--zone", "../etc/passwd"), "Invalid value for '--zone': give the "),
        (("totals", *ACME, "--day", "2026-11-23", "--ledger", "{file}"), "{file}:1: not a line of an export, or cut "),
        (("reconcile", "{folder}/none.csv", *CSV), "{folder}/none.csv: "),
        (("reconcile", "{file}", *CSV), "{file}"),
        (("reconcile", "{file}", *ACME, "--format", "csv"), "the format csv needs a mapping; give --mapping FILE.toml"),
        (("reconcile", *CSV), "Missing argument 'REPORT…'."),
        (("reconcile", "{file}", *CSV, "--json", "--csv"), "Give --json or --csv, and not both."),
        (("reconcile", "{file}", "{folder}/../{name}/there.jsonl", *CSV), "there.jsonl is given twice."),
        (("reconcile", "{file}", *CSV, "--html", "{file}"), "--html would overwrite {file}, which is read."),
        (("reconcile", "{file}", *CSV, "--zone", "Nope/Zone"), "Invalid value for '--zone': give the name of a time "),
        (
            ("reconcile", "{file}", *CSV, "--from", "2026-11-25T00:00:00Z", "--to", "2026-11-25T00:00:00Z"),
            "--from is not before --to.",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    at: Any, recorded: Engine, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Nothing is half done: no file is left behind."""
    file = tmp_path / "there.jsonl"
    file.write_text("there")
    names = {"file": file, "folder": tmp_path, "name": tmp_path.name}
    done = at(*(one.format(**names) for one in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message.format(**names) in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["there.jsonl"]


def test_an_export_that_cannot_be_written_leaves_its_draft(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """The records are read, and the next command only writes them."""
    file = tmp_path / "ledger.jsonl"
    (tmp_path / "ledger.jsonl.unfinished").mkdir()
    done = at("export", str(file), *ACME)
    assert done.returncode == 2
    assert done.stderr == (
        f"ledger: {file}: is a directory; what was read is in {file}.part: give the same command again to continue\n"
    )
    (tmp_path / "ledger.jsonl.unfinished").rmdir()
    assert at("export", str(file), *ACME).returncode == 0
    assert len(records(file)) == 2


def test_the_totals_of_a_day_are_the_same_from_the_stack_and_from_an_export(
    at: Any, recorded: Engine, tmp_path: Path
) -> None:
    """A controller without access to AWS gets the same figure."""
    file = tmp_path / "ledger.jsonl"
    assert at("export", str(file), *ACME).returncode == 0
    for day, expected in (
        ("2026-11-23", {"payments": 1, "entries": 0, "captured": "129.90", "refunded": "0.00", "net": "129.90"}),
        ("2026-11-24", {"payments": 0, "entries": 1, "captured": "0.00", "refunded": "29.90", "net": "-29.90"}),
    ):
        both = [at("totals", *ACME, "--day", day, "--json", *source).stdout for source in ((), ("--ledger", str(file)))]
        assert both[0] == both[1]
        assert json.loads(both[0]) == {"currency": "EUR", "status": "Success", "disputed": "0.00", **expected}


def test_the_day_of_a_zone_is_asked_for(at: Any, recorded: Engine) -> None:
    """The payment is of 8:30 in UTC, which is still the day before in Honolulu."""
    ask = ("totals", *ACME, "--day", "2026-11-22", "--zone", "Pacific/Honolulu")
    assert at(*ask).stdout == (
        "Totals of 2026-11-22 (Pacific/Honolulu)\n"
        "Currency  Status   Payments  Entries  Captured  Refunded  Disputed     Net\n"
        "──────────────────────────────────────────────────────────────────────────\n"
        "EUR       Success         1        0    129.90      0.00      0.00  129.90\n"
    )
    assert at("totals", *ACME, "--day", "2026-11-22").stdout == "Nothing is recorded for 2026-11-22 (UTC).\n"


@pytest.mark.parametrize("source", ["stack", "export"])
def test_a_report_is_reconciled(at: Any, recorded: Engine, tmp_path: Path, source: str) -> None:
    """A person with an export needs no stack and no credentials."""
    more: tuple[str, ...] = ()
    if source == "export":
        file = tmp_path / "ledger.jsonl"
        assert at("export", str(file), *ACME).returncode == 0
        recorded.clear()
        more = ("--ledger", str(file))
    done = (
        ledger("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, "--json", *more)
        if more
        else at("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, "--json")
    )
    assert (done.returncode, done.stderr) == (0, "")
    *found, last = map(json.loads, done.stdout.splitlines())
    assert [one["verdict"] for one in found] == ["matched", "matched", "no_payment", "no_payment"]
    assert found[1] == {
        "verdict": "matched", "transaction_id": "txn-2026-0001", "entry_id": "re-2026-0001",
        "report": f"{REPORTS}/acme-pay.csv", "line": 3, "report_amount": "-29.90", "ledger_amount": "-29.90",
        "currency": "EUR", "next": None,
    }  # fmt: skip
    assert last["summary"]["matched"] == 2
    assert last["summary"]["remainder"] == {"EUR": "0.00"}


def test_differences_are_shown_with_their_next_steps(at: Any, recorded: Engine) -> None:
    """The largest comes first, and the exit status says that somebody has to decide."""
    done = at("reconcile", f"{REPORTS}/acme-pay-differences.csv", *CSV, COLUMNS="80")
    assert (done.returncode, done.stderr) == (1, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.findall(r"^(missing_in_ledger|duplicate_line|amount) .*$", done.stdout, re.MULTILINE)[-3:] == [
        "missing_in_ledger", "duplicate_line", "amount"
    ]  # fmt: skip
    assert "ledger inspect txn-2026-0099" in done.stdout


def test_findings_are_comma_separated_values(at: Any, recorded: Engine) -> None:
    """A spreadsheet reads them."""
    done = at("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["verdict"], row["line"], row["report_amount"]) for row in rows] == [
        ("matched", "2", "129.90"), ("matched", "3", "-29.90"), ("no_payment", "4", "-1.45"),
        ("no_payment", "5", "-98.55"),
    ]  # fmt: skip


def test_a_page_is_written_for_a_controller(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """It needs no network, no script and no other file."""
    page = tmp_path / "page.html"
    done = at("reconcile", f"{REPORTS}/acme-pay-differences.csv", *CSV, "--html", str(page))
    assert (done.returncode, done.stdout) == (1, f"{page}: 3 need a person\n")
    html = page.read_text()
    assert html.index('id="sums"') < html.index('id="verdicts"') < html.index('id="findings"')
    assert not re.search(r"<script|src=|href=|https?:", html)
    done = at("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, "--html", f"{tmp_path}/none/page.html")
    assert (done.returncode, done.stderr) == (2, f"ledger: {tmp_path}/none/page.html: no such file or directory\n")


def test_a_line_about_an_older_payment_finds_it(at: Any, recorded: Engine) -> None:
    """The payment is not of the period, and the table is asked for it."""
    period = ("--from", "2026-11-24T00:00:00Z", "--to", "2026-11-25T00:00:00Z")
    done = at("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, *period, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[0])["verdict"] == "matched"


def test_a_report_of_another_processor_is_named(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """Asking for each of its payments would take hours."""
    lines = [f"23.11.2026 09:30;other-{number};;Sale;1,00;EUR;{number}" for number in range(1001)]
    report = tmp_path / "other.csv"
    report.write_text("\n".join(["Booked;Payment;Refund;Type;Amount;Currency;Row", *lines, ""]))
    done = at("reconcile", str(report), *CSV)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "ledger: 1,001 payments of the reports are not among the ledger's of this period: "
        "is acme-pay their processor? If so, give an earlier --from, or none\n"
    )


def test_several_reports_are_named(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """A line number alone would be of any of them."""
    reports = [tmp_path / name for name in ("a.csv", "b.csv")]
    for report in reports:
        report.write_text((REPORTS / "acme-pay.csv").read_text())
    done = at("reconcile", *map(str, reports), *CSV)
    assert done.returncode == 1
    assert f"line 2 of {reports[1]}" in done.stdout.replace("\n    ", " ")
    assert f"line 2 of {reports[0]} says the same" in done.stdout.replace("\n    ", " ")


def test_a_payment_whose_other_records_are_of_another_day_is_read_whole(
    at: Any, recorded: Engine, tmp_path: Path
) -> None:
    """The stack and an export lead to the same verdicts."""
    capture = json.loads((ROOT / "events/start/10-refund.json").read_text())
    capture |= {"EntryID": "c-1", "Kind": "Captured", "Amount": "20.00"}
    assert recorded.run(json.dumps(capture)).outcome == "RECORDED"
    report, file = tmp_path / "report.csv", tmp_path / "ledger.jsonl"
    lines = (REPORTS / "acme-pay.csv").read_text().replace("129,90", "149,90")
    report.write_text(lines)
    assert at("export", str(file), *ACME).returncode == 0
    period = ("--from", "2026-11-24T00:00:00Z", "--to", "2026-11-25T00:00:00Z")
    both = [at("reconcile", str(report), *CSV, *period, "--json", *more) for more in ((), ("--ledger", str(file)))]
    assert [one.returncode for one in both] == [0, 0]
    assert both[0].stdout == both[1].stdout


def test_an_old_report_explains_no_newer_payments(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """Without --to, it ends with its newest line. What is newer by more than the margin must be in a report."""
    later = json.loads((ROOT / "events/start/10-refund.json").read_text())
    for entry_id, timestamp in (("soon", "2026-11-24T10:30:00Z"), ("late", "2026-11-24T12:00:00Z")):
        changed = {**later, "EntryID": entry_id, "Amount": "1.00", "Timestamp": timestamp}
        assert recorded.run(json.dumps(changed)).outcome == "RECORDED"
    done = at("reconcile", f"{REPORTS}/acme-pay.csv", *CSV, "--json")
    found = {json.loads(line).get("entry_id"): json.loads(line).get("verdict") for line in done.stdout.splitlines()}
    assert (found["soon"], found["late"], done.returncode) == ("not_yet", "missing_in_report", 1)


def test_totals_of_a_day_that_was_not_over_are_refused(tmp_path: Path) -> None:
    """An export has nothing of what was recorded after it."""
    file = exported(tmp_path / "ledger.jsonl", life(payment("a")), taken_at="2026-11-23T20:00:00.000000Z")
    done = ledger("totals", *ACME, "--day", "2026-11-23", "--ledger", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ledger: {file}: taken before the end of what you ask for: export again\n"


def test_the_newest_records_may_be_in_the_next_report(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """How new they must be is counted from the end of the period, or from the newest line."""
    lines = (REPORTS / "acme-pay.csv").read_text().splitlines(keepends=True)
    report = tmp_path / "report.csv"
    report.write_text("".join(line for line in lines if ";Refund;-" not in line))
    for margin, to, verdict in (
        ("1", "2026-11-24T10:30:00Z", "not_yet"),
        ("1", "2026-11-24T11:00:00.000001Z", "missing_in_report"),
        ("72", "2026-11-26T00:00:00Z", "not_yet"),
    ):
        done = at("reconcile", str(report), *CSV, "--margin", margin, "--to", to, "--json")
        found = {json.loads(line).get("entry_id"): json.loads(line).get("verdict") for line in done.stdout.splitlines()}
        assert (found["re-2026-0001"], done.returncode) == (verdict, verdict != "not_yet")


def test_an_export_that_covers_less_is_refused(tmp_path: Path) -> None:
    """Its sums would be wrong."""
    file = exported(
        tmp_path / "ledger.jsonl",
        life(payment("a"), entry("Refunded", "1.00")),
        **{"from": FROM},
    )
    for arguments, message in (
        (("totals", *ACME, "--day", "2026-11-22"), "covers less than you ask for"),
        (("totals", "--processor", "other", "--day", "2026-11-23"), "has no records of other"),
        (("reconcile", f"{REPORTS}/acme-pay.csv", *CSV), "covers less than you ask for"),
    ):
        done = ledger(*arguments, "--ledger", str(file))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr
    assert ledger("totals", *ACME, "--day", "2026-11-23", "--ledger", str(file)).returncode == 0
