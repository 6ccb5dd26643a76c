"""What people read fits their terminal: at each width, no heading, no ID and no word is broken."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from ledger_cli import ROOT
from ledger_cli.commands import serve
from ledger_cli.engine import Engine
from ledger_cli.reading import StartInput
from ledger_cli.views.layout import Column, Labelled, Rows, glued
from ledger_cli.views.run_report import run_report
from ledger_cli.views.terminal import display
from tests.support.cli import ledger
from tests.support.faults import Faults

WIDTHS = (60, 80, 120, 200)
WIDE = 2000
"""Columns that leave room for everything."""

SHORT, LONG = "txn-2026-0001", "t" * 64
FAILED = "f" * 64
PROCESSOR = "p" * 64
AMOUNT = f"{'9' * 36}.90"
"""With as many digits as DynamoDB keeps."""

COLUMNS = (
    Column("TransactionID"),
    Column("Amount", right=True),
    Column("Processor", drop=1),
    Column("Happened", drop=2),
    Column("Reason", wraps=True),
)


def printed(thing: Any, width: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed on a terminal of *width* columns."""
    display(thing, console=Console(width=width))
    return capsys.readouterr().out


def words_of(text: str) -> set[str]:
    """Return every word, except the durations, which differ from run to run."""
    text = re.sub(r"\d[\d,.]* m?s\b|(?<=[a-z]) \d+(?= →|$)", "", text, flags=re.MULTILINE)
    return set(re.sub(r"[─\s]+", " ", text).split())


def assert_fits(narrow: str, wide: str, width: int) -> None:
    """Check that each line fits, unless it is a single word, and that each word is one of the wide terminal's."""
    lines = narrow.splitlines()
    assert [line for line in lines if cell_len(line) > width and len(line.split()) > 1] == []
    assert words_of(re.sub(r"^Too narrow for:", "", narrow, flags=re.MULTILINE).replace(",", "")) <= words_of(
        wide.replace(",", "")
    )


# ── Tables and lines ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("transaction_id", [SHORT, LONG])
@pytest.mark.parametrize("amount", ["1.00 EUR", f"{AMOUNT} EUR"])
@pytest.mark.parametrize(
    "reason", ["—", "differs from the recorded payment in: Amount", "読めない 理由が あります " * 9]
)
def test_rows_are_readable_at_every_width(
    capsys: pytest.CaptureFixture[str], width: int, transaction_id: str, amount: str, reason: str
) -> None:
    """A pipe and a CI log have 80 columns. A person who copies an ID from there must get the whole of it."""
    rows = Rows(COLUMNS, [(transaction_id, amount, PROCESSOR, "2026-11-23 08:30:00Z", reason)], "Payments")
    narrow, wide = printed(rows, width, capsys), printed(rows, WIDE, capsys)
    assert_fits(narrow, wide, width)
    for text in (transaction_id, amount):
        assert any(text in line for line in narrow.splitlines()), narrow
    assert set(reason.split()) <= set(narrow.split())


def test_the_least_important_columns_go_first(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names what it leaves out: a reader would not look for it otherwise."""
    rows = Rows(COLUMNS, [(SHORT, "1.00 EUR", "acme-pay", "2026-11-23 08:30:00Z", "")])
    assert printed(rows, 80, capsys).splitlines()[0].split() == [column.name for column in COLUMNS]
    for width, left_out in ((60, ["Happened"]), (40, ["Processor", "Happened"])):
        head, *_, last = printed(rows, width, capsys).splitlines()
        assert head.split() == [column.name for column in COLUMNS if column.name not in left_out]
        assert last == f"Too narrow for: {', '.join(left_out)}"


def test_rows_that_fit_nowhere_become_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows every value beside its name."""
    rows = Rows(COLUMNS, [(LONG, "1.00 EUR", "acme-pay", "2026-11-23 08:30:00Z", "none")] * 2)
    one = [
        f"TransactionID  {LONG}",
        "Amount         1.00 EUR",
        "Processor      acme-pay",
        "Happened       2026-11-23 08:30:00Z",
        "Reason         none",
    ]
    assert printed(rows, 80, capsys).splitlines() == [*one, "", *one]


def test_values_are_aligned_by_the_cells_that_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    """A wide character takes two cells."""
    rows = Rows((Column("Name"), Column("Amount", right=True)), [("日本", "1980 JPY"), ("acme", "1.00 EUR")])
    lines = printed(rows, 60, capsys).splitlines()
    assert (lines[2], lines[3]) == ("日本  1980 JPY", "acme  1.00 EUR")


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("none", ["Reason     none"]),
        ("a word or two more", ["Reason     a word or", "           two more"]),
        (f"a word {glued('or two')}", ["Reason     a word", "           or two"]),
        (f"{'x' * 15} y", ["Reason", "x" * 15, "           y"]),
        (f"y {'x' * 25} y", ["Reason     y", "x" * 25, "           y"]),
        ("one\ntwo", ["Reason     one", "           two"]),
        ("", ["Reason"]),
    ],
)
def test_a_long_value_goes_on_below(capsys: pytest.CaptureFixture[str], value: str, lines: list[str]) -> None:
    """Lines are broken between words alone, and a word that does not fit is still one word."""
    assert printed(Labelled("Reason", value, 11), 20, capsys).splitlines() == lines


def test_a_name_that_is_longer_than_its_place_stays_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """An error stands at the place of an outcome, and has a longer name."""
    assert printed(Labelled("TooManyAttemptsError", "txn", 11), 60, capsys) == "TooManyAttemptsError txn\n"


# ── Commands ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def payments(engine: Engine, payment: dict[str, Any], faults: Faults) -> list[dict[str, Any]]:
    """Run three payments of one processor: one with a long ID, a rejected one, and one that has a technical failure."""
    long = {"TransactionID": LONG, "ProcessorID": PROCESSOR, "Amount": AMOUNT}
    invalid = {"Amount": "x", "Status": "ok", "Timestamp": "now", "Currency": "no"}
    made = [
        {**payment, **long, "Metadata": {"order": "日本語" * 20, "note": "two words " * 9}},
        {**payment, **long, **invalid},
        {**payment, **long, "TransactionID": FAILED},
    ]
    assert engine.run(json.dumps(made[0]), f"{LONG}-a56e4564f0ce").outcome == "RECORDED"
    assert engine.run(json.dumps(made[1]), f"{LONG}-bcc172d3b78d").outcome == "REJECTED"
    faults.refuse("Encrypt", "DisabledException")
    assert engine.run(json.dumps(made[2]), f"{FAILED}-0123456789ab").outcome is None
    return made


@pytest.fixture
def command(endpoint: str) -> Callable[..., str]:
    """Return a function that runs a command at this process's engine, on a terminal of some columns."""

    def at(width: int, *arguments: str) -> str:
        return ledger(*arguments, COLUMNS=str(width), LEDGER_ENDPOINT_URL=endpoint).stdout

    return at


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("list", "--processor", PROCESSOR), [LONG, AMOUNT]),
        (("unpublished",), [LONG, AMOUNT]),
        (("executions",), [f"{LONG}-a56e4564f0ce", f"{FAILED}-0123456789ab"]),
        (("inspect", LONG), [f"{LONG}-a56e4564f0ce", PROCESSOR, AMOUNT]),
        (("inspect", f"{LONG}-bcc172d3b78d"), [f"{LONG}-bcc172d3b78d"]),
        (("inspect", FAILED), [f"{FAILED}-0123456789ab"]),
        (("get", LONG), [LONG, PROCESSOR, AMOUNT]),
        (("redrive", "--all", "--dry-run"), [f"{FAILED}-0123456789ab"]),
        (("republish", "--dry-run"), []),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_a_command_is_readable_at_every_width(
    command: Callable[..., str],
    engine: Engine,
    payments: list[dict[str, Any]],
    arguments: tuple[str, ...],
    shown: list[str],
) -> None:
    """IDs have 64 characters, amounts 38 digits, and some characters are wide."""
    if arguments == ("unpublished",):
        unpublish(engine, LONG)
    wide = command(WIDE, *arguments)
    assert wide
    for width in WIDTHS:
        narrow = command(width, *arguments)
        assert_fits(narrow, wide, width)
        assert [text for text in shown if not any(text in line for line in narrow.splitlines())] == [], narrow
    assert payments


def unpublish(engine: Engine, transaction_id: str) -> None:
    """Make a payment one that was recorded and not published."""
    engine.client("dynamodb").update_item(
        TableName=engine.outputs["TableName"],
        Key={"TransactionID": {"S": transaction_id}},
        UpdateExpression="SET Unpublished = :shard REMOVE PublishedAt",
        ExpressionAttributeValues={":shard": {"S": "0"}},
    )


def test_what_start_prints_is_readable_at_every_width(
    command: Callable[..., str], payments: list[dict[str, Any]], tmp_path: Any
) -> None:
    """One payment meets its execution, one is rejected, and one conflicts."""
    file = tmp_path / "payments.json"
    file.write_text(json.dumps([*payments[:2], {**payments[0], "Amount": "1.00"}]))
    command(WIDE, "start", str(file))
    wide = command(WIDE, "start", str(file))
    assert "REJECTED" in wide
    assert "CONFLICT" in wide
    for width in WIDTHS:
        assert_fits(command(width, "start", str(file)), wide, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_run_prints_is_readable_at_every_width(
    engine: Engine,
    payments: list[dict[str, Any]],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Executions, items and events have long IDs, and the samples have short ones."""
    executions = [
        (StartInput(str(file.relative_to(ROOT)), text), engine.run(text))
        for file in sorted((ROOT / "events/start").glob("*.json"))
        if (text := file.read_text())
    ]
    executions += [(StartInput("-", json.dumps(one)), engine.run(json.dumps(one))) for one in payments]
    printed_at = {}
    for columns in (width, WIDE):
        monkeypatch.setenv("COLUMNS", str(columns))
        display(*run_report(executions, engine.items(), engine.entries(), engine.published()))
        printed_at[columns] = capsys.readouterr().out
    assert_fits(printed_at[width], printed_at[WIDE], width)
    for shown in (SHORT, LONG, AMOUNT, f"{LONG}-a56e4564f0ce"[:64]):
        assert [line for line in printed_at[width].splitlines() if shown in line]


def test_an_amount_is_one_text_wherever_it_is_shown(
    engine: Engine,
    command: Callable[..., str],
    payment: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """DynamoDB keeps 129.9 for 129.90: a person who compares two tables must not see two amounts."""
    monkeypatch.setenv("COLUMNS", "200")
    executions = [(StartInput("-", json.dumps(payment)), engine.run(json.dumps(payment)))]
    display(*run_report(executions, engine.items(), engine.entries(), engine.published()))
    out = capsys.readouterr().out
    assert (out.count("129.90 EUR"), re.findall(r"129\.9\b", out)) == (2, [])
    assert "129.90 EUR" in command(200, "list", "--processor", "acme-pay")
    assert "129.90" in command(200, "get", payment["TransactionID"])


@pytest.mark.parametrize("width", WIDTHS)
def test_what_serve_prints_is_readable_at_every_width(
    engine: Engine, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People copy its ARNs into other commands."""
    monkeypatch.setenv("COLUMNS", str(width))
    serve._print_addresses(4510, engine, Path("folder") / LONG / "env.json", None)
    lines = capsys.readouterr().out.splitlines()
    for name in ("WorkflowArn", "TableName", "IntakeKeyArn"):
        assert [line for line in lines if engine.outputs[name] in line]
    assert [line for line in lines if cell_len(line) > width and " " in line] == []


def test_what_rotate_secret_prints_is_readable_at_every_width(command: Callable[..., str]) -> None:
    """It shows the secret once: a person must be able to copy it as one word."""
    assert command(WIDE, "register-processor", PROCESSOR)
    for width in WIDTHS:
        narrow = command(width, "rotate-secret", PROCESSOR)
        assert re.search(r"(^| )whsec_[\w+/]{43}=( |$)", narrow, re.MULTILINE), narrow
        assert re.search(rf"(^| )http://127\.0\.0\.1:\d+/processors/{PROCESSOR}/payments *$", narrow, re.MULTILINE), (
            narrow
        )
        assert_fits(narrow, narrow, width)
