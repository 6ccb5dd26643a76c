"""`ledger export` in its formats, and from exports of the tables by DynamoDB."""

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from beancount import loader
from beancount.core.data import Open, Transaction
from jsonschema import Draft202012Validator

from ledger_cli.books import draft as drafts
from ledger_cli.books.export import Export
from ledger_cli.engine import Engine
from tests.support.cli import ledger
from tests.support.dynamodb_exports import append_byte, base64_text, change_manifest, write_export
from tests.support.schema import schema_of

DAY = "2026-11-23"
PAYMENTS: list[dict[str, Any]] = [
    {"TransactionID": "txn-1", "Amount": "100.00", "Currency": "EUR", "Metadata": {"order": 'A "1" \\ \n ü😀\u2028'}},
    {"TransactionID": "txn-2", "Amount": "1500", "Currency": "JPY"},
    {"TransactionID": "txn_3", "Amount": "12.345", "Currency": "BHD"},
    {"TransactionID": "-txn-4", "Amount": "7.00", "Currency": "EUR", "Status": "Failure"},
    {"TransactionID": "txn-5", "Amount": "20.00", "Currency": "EUR"},
    {"TransactionID": "txn-6", "Amount": "0.05", "Currency": "EUR", "ProcessorID": "Other_Pay"},
]
ENTRIES: list[dict[str, Any]] = [
    {"TransactionID": "txn-1", "EntryID": "cap-1", "Kind": "Captured", "Amount": "5.00"},
    {"TransactionID": "txn-1", "EntryID": "re-1", "Kind": "Refunded", "Amount": "30.00", "Metadata": {"why": "wrong"}},
    {"TransactionID": "txn-1", "EntryID": "ref-1", "Kind": "RefundFailed", "Amount": "10.00", "Reverses": "re-1"},
    {"TransactionID": "txn-1", "EntryID": "di-1", "Kind": "Disputed", "Amount": "40.00"},
    {"TransactionID": "txn-1", "EntryID": "won-1", "Kind": "DisputeWon", "Amount": "15.00", "Reverses": "di-1"},
    {"TransactionID": "txn-1", "EntryID": "lost-1", "Kind": "DisputeLost", "Amount": "25.00", "Reverses": "di-1"},
    {"TransactionID": "txn-2", "EntryID": "re-2", "Kind": "Refunded", "Amount": "500", "Currency": "JPY"},
    {"TransactionID": "txn_3", "EntryID": "di-3", "Kind": "Disputed", "Amount": "0.005", "Currency": "BHD"},
    {"TransactionID": "txn-5", "EntryID": "void-5", "Kind": "Voided", "Amount": "1.00"},
    {"TransactionID": "txn-5", "EntryID": "re-5", "Kind": "Refunded", "Amount": "70.00"},
]
"""The last one is refused, since it exceeds what was captured, and an operator accepts it."""


@pytest.fixture
def at(endpoint: str) -> Callable[..., Any]:
    """Return a function that runs the command at this process's engine."""
    return lambda *arguments, **more: ledger(*map(str, arguments), LEDGER_ENDPOINT_URL=endpoint, **more)


TABLES = {"TableName": Engine.items, "EntriesTableName": Engine.entries}


@pytest.fixture(scope="module")
def kept() -> dict[str, list[dict[str, Any]]]:
    """Return the items of both tables, once they were recorded: to write them again takes no executions."""
    return {}


@pytest.fixture
def recorded(at: Any, engine: Engine, kept: dict[str, list[dict[str, Any]]]) -> Engine:
    """Return the engine, whose ledger has payments of two processors with entries of each kind."""
    if not kept:
        record(at)
        kept |= {output: items(engine) for output, items in TABLES.items()}
        return engine
    for output, items in kept.items():
        for item in items:
            engine.client("dynamodb").put_item(TableName=engine.outputs[output], Item=item)
    return engine


def record(at: Any) -> None:
    """Record the payments and the entries."""
    defaults = {"ProcessorID": "acme-pay", "Status": "Success", "Timestamp": f"{DAY}T23:30:00Z"}
    for payment in PAYMENTS:
        token = f"tok_{payment['TransactionID']}_secret"
        sent = json.dumps({**defaults, "SecureToken": token, **payment})
        assert at("start", "-", stdin=sent).returncode == 0
    del defaults["Status"]
    for number, entry in enumerate(ENTRIES):
        sent = json.dumps({**defaults, "Timestamp": f"2026-11-24T00:00:{number:02}Z", "Currency": "EUR", **entry})
        assert at("start", "-", stdin=sent).returncode == (entry["EntryID"] == "re-5"), entry
    assert at("accept", "txn-5", "--reason", 'the bank "did" it').returncode == 0


@pytest.fixture
def folders(recorded: Engine, tmp_path: Path) -> tuple[Path, Path]:
    """Return exports of both tables of the ledger, as DynamoDB would write them."""
    return (
        write_export(tmp_path / "payments", "PaymentLedger", recorded.items()),
        write_export(tmp_path / "entries", "PaymentEntries", recorded.entries()),
    )


def lines_of(file: Path) -> list[str]:
    """Return the lines of an export between the first and the last one."""
    return file.read_text().split("\n")[1:-2]


def records_of(file: Path) -> list[dict[str, Any]]:
    """Return the records of an export, which was checked whole."""
    export = Export.open(file)
    return [{"record": "entry" if "EntryID" in facts else "payment", **facts} for facts in export.records()]


BOTH = ("--processor", "acme-pay", "--processor", "Other_Pay")


def from_tables(folders: tuple[Path, Path]) -> list[str]:
    """Return the options that name the exports."""
    return [argument for folder in folders for argument in ("--dynamodb-export", str(folder))]


def test_a_ledger_is_the_same_read_through_the_stack_or_from_its_tables(
    at: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Large ledgers are exported by DynamoDB. The first line alone says which way a file came."""
    stack, tables = tmp_path / "stack.jsonl", tmp_path / "tables.jsonl"
    assert at("export", stack, *BOTH).returncode == 0
    done = ledger("export", str(tables), *from_tables(folders))  # no stack is there
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tables}: 16 records\n", "")
    assert lines_of(tables) == lines_of(stack)
    assert len(lines_of(stack)) == len(PAYMENTS) + len(ENTRIES)
    assert len(records_of(tables)) == 16
    header = json.loads(tables.read_text().splitlines()[0])
    assert (header["stack"], header["processors"], header["from"], header["to"]) == (None, None, None, None)
    assert (header["taken_at"], header["ciphertext"]) == ("2026-11-26T09:00:00.000000Z", False)
    assert [arn.split("/")[1] for arn in header["dynamodb_exports"]] == ["PaymentLedger", "PaymentEntries"]
    assert not list(tmp_path.glob("*.part*"))
    done = ledger("export", "-", *from_tables(folders))
    assert (done.returncode, done.stdout.split("\n")[1:-2]) == (0, lines_of(tables))


def test_processors_and_times_mean_the_same_both_ways(at: Any, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A month that is exported from the tables is the month that the stack shows."""
    limits = ("--processor", "acme-pay", "--from", "2026-11-23T23:30:00Z", "--to", "2026-11-24T00:00:03Z")
    stack, tables = tmp_path / "stack.jsonl", tmp_path / "tables.jsonl"
    assert at("export", stack, *limits).returncode == 0
    assert ledger("export", str(tables), *from_tables(folders), *limits).returncode == 0
    assert lines_of(tables) == lines_of(stack)
    assert len(lines_of(tables)) == 8


def test_the_other_commands_read_what_came_from_the_tables(at: Any, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Totals are those of the stack."""
    tables = tmp_path / "tables.jsonl"
    assert ledger("export", str(tables), *from_tables(folders)).returncode == 0
    asked = ("totals", "--processor", "acme-pay", "--day", "2026-11-24", "--json")
    assert ledger(*asked, "--ledger", str(tables)).stdout == at(*asked).stdout != ""


def test_a_damaged_item_is_named_in_the_first_line(recorded: Engine, tmp_path: Path) -> None:
    """The rest is exported, and the exit status says that it is not all."""
    items = recorded.items()
    items[1] = {**items[1], "Amount": {"N": "99999"}}
    folders = (
        write_export(tmp_path / "payments", "PaymentLedger", items),
        write_export(tmp_path / "entries", "PaymentEntries", recorded.entries()),
    )
    file = tmp_path / "tables.jsonl"
    done = ledger("export", str(file), *from_tables(folders), "--json")
    name = items[1]["TransactionID"]["S"]
    assert (done.returncode, json.loads(done.stdout)["unreadable"]) == (1, 1)
    assert f"{name}: its attribute Fingerprint is not what the ledger has written" in done.stderr
    header = json.loads(file.read_text().splitlines()[0])
    assert header["unreadable"] == [{"TransactionID": name, "Attribute": "Fingerprint"}]
    assert len(records_of(file)) == 15


def test_the_ciphertext_is_exported_on_request_and_stays_encrypted(
    folders: tuple[Path, Path], recorded: Engine, tmp_path: Path
) -> None:
    """A move to another ledger needs it. Nothing else does."""
    file = tmp_path / "tables.jsonl"
    assert ledger("export", str(file), *from_tables(folders), "--ciphertext").returncode == 0
    validator = Draft202012Validator(schema_of("export"))
    shown = {one["TransactionID"]: one for one in records_of(file) if one["record"] == "payment"}
    for item in recorded.items():
        payment = shown[item["TransactionID"]["S"]]
        assert payment["SecureToken"] == base64_text(item["SecureToken"]["B"])
        assert payment["TokenKey"] == item["TokenKey"]["S"]
    assert "_secret" not in file.read_text()
    for line in file.read_text().split("\n")[:-1]:
        validator.validate(json.loads(line))


def test_a_wrong_export_of_a_table_is_one_line_and_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The file is checked before anything is written."""
    file = tmp_path / "tables.jsonl"
    changed = append_byte(folders[1])
    done = ledger("export", str(file), *from_tables(folders))
    line = f"ledger: {changed}: changed or cut off, its MD5 differs: copy the export again\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert not list(tmp_path.glob("tables*"))
    change_manifest(folders[0], "summary", {"exportType": "INCREMENTAL_EXPORT"})
    done = ledger("export", str(file), *from_tables(folders))
    assert (done.returncode, done.stderr.count("\n"), "incremental export" in done.stderr) == (2, 1, True)


def test_an_interrupted_export_of_tables_continues(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after an hour costs no hour."""
    file = tmp_path / "tables.jsonl"
    original = drafts.Draft.add
    calls = itertools.count()

    def interrupted(*arguments: Any) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(drafts.Draft, "add", interrupted)
    done = ledger("export", str(file), *from_tables(folders))
    assert (done.returncode, "give the same command again to continue" in done.stderr) == (130, True)
    monkeypatch.setattr(drafts.Draft, "add", original)
    done = ledger("export", str(file), *from_tables(folders))
    assert done.stderr == "ledger: continues an export that was interrupted, with 6 records\n"
    assert len(records_of(file)) == 16


USAGE = {
    "Parquet in a pipe": (("--processor", "a", "--format", "parquet"), "Give FILE with --format parquet"),
    "no processor": ((), "Missing option '--processor'."),
    "ciphertext of the stack": (("--processor", "a", "--ciphertext"), "--ciphertext needs --dynamodb-export"),
    "zone without dates": (("--processor", "a", "--zone", "UTC"), "--zone is for --format beancount."),
}


@pytest.mark.parametrize("usage", USAGE)
def test_options_that_do_not_go_together_are_wrong_usage(usage: str, at: Any, tmp_path: Path) -> None:
    """An option that does nothing would be believed to do something."""
    options, message = USAGE[usage]
    done = at("export", "-", *options)
    assert (done.returncode, message in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


def in_json(value: Any) -> Any:
    """Return a value of Parquet in the form that it has in JSON Lines."""
    if isinstance(value, list):  # a map
        return dict(value)
    if hasattr(value, "isoformat"):
        return f"{value.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
    return value


@pytest.mark.parametrize("options", [(), ("--ciphertext",)])
def test_parquet_has_the_records_of_the_lines_one_by_one(
    options: tuple[str, ...], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """An analyst gets the same figures, to the last decimal."""
    lines, parquet = tmp_path / "tables.jsonl", tmp_path / "tables.parquet"
    asked = (*from_tables(folders), *options)
    assert ledger("export", str(lines), *asked).returncode == 0
    assert ledger("export", str(parquet), *asked, "--format", "parquet").returncode == 0
    table = pq.read_table(parquet)
    rows = [{name: in_json(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]
    assert rows == records_of(lines)
    types = {name: str(table.schema.field(name).type) for name in table.schema.names}
    assert (types["Amount"], types["Timestamp"]) == ("string", "timestamp[us, tz=UTC]")
    assert types["Metadata"].startswith("map<string, string")
    assert {"SecureToken", "TokenKey"} & types.keys() == ({"SecureToken", "TokenKey"} if options else set())
    about = pq.read_metadata(parquet).metadata
    header = json.loads(lines.read_text().splitlines()[0])
    assert {"record": "export", "format": 1, **json.loads(about[b"payment-ledger-export"])} == header
    assert json.loads(about[b"payment-ledger-end"]) == {"payments": 6, "entries": 10}


def test_without_pyarrow_one_line_says_how_to_get_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra of the package, since few need it and it is large."""
    monkeypatch.delitem(sys.modules, "ledger_cli.books.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = ledger("export", str(tmp_path / "x"), *from_tables(folders), "--format", "parquet")
    line = "ledger: --format parquet needs pyarrow: pip install 'payment-ledger[parquet]'\n"
    assert (done.returncode, done.stderr) == (2, line)


Balances = dict[tuple[str, str], Decimal]


def balances_of(file: Path) -> tuple[list[Transaction], list[Open], Balances]:
    """Return what Beancount reads from a file, which it must find without errors, and the balance of each account."""
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    balances: Balances = defaultdict(Decimal)
    transactions = [one for one in entries if isinstance(one, Transaction)]
    for transaction in transactions:
        for posting in transaction.postings:
            balances[posting.account, posting.units.currency] += posting.units.number or 0
    return transactions, [one for one in entries if isinstance(one, Open)], dict(balances)


def test_beancount_has_the_balances_that_totals_shows(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """A bookkeeper and a controller must not have two truths, even if an accepted refund exceeds the payment."""
    file = tmp_path / "ledger.beancount"
    done = at("export", file, *BOTH, "--format", "beancount")
    assert (done.returncode, done.stdout) == (0, f"{file}: 16 records\n")
    transactions, _, balances = balances_of(file)
    names = {"acme-pay": "Acme-pay", "Other_Pay": "Other-Pay-21cd26d5231f"}
    expected: Balances = defaultdict(Decimal)
    for (processor, name), day in itertools.product(names.items(), (DAY, "2026-11-24")):
        shown = at("totals", "--processor", processor, "--day", day, "--json").stdout
        for one in map(json.loads, shown.splitlines()):
            for account, sums, sign in (
                ("Income:Revenue", "captured", -1),
                ("Income:Refunds", "refunded", 1),
                ("Expenses:Disputes", "disputed", 1),
                ("Assets:Clearing", "net", 1),
            ):
                expected[f"{account}:{name}", one["currency"]] += sign * Decimal(one[sums])
    assert {key: value for key, value in balances.items() if value} == {
        key: one for key, one in expected.items() if one
    }
    assert balances["Assets:Clearing:Acme-pay", "EUR"] == Decimal("10.00")
    assert len(transactions) == 13  # a failed payment, a void and a lost dispute move no money


def test_each_transaction_names_its_record(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """From a figure in the books, a bookkeeper finds the record in the ledger, and all others of its payment."""
    file = tmp_path / "ledger.beancount"
    assert at("export", file, *BOTH, "--format", "beancount").returncode == 0
    transactions, opened, _ = balances_of(file)
    by_record = {(one.meta["transaction-id"], one.meta.get("entry-id")): one for one in transactions}
    paid, failed, accepted = by_record["txn-1", None], by_record["txn-1", "ref-1"], by_record["txn-5", "re-5"]
    assert (paid.payee, paid.narration, paid.links) == ("acme-pay", "Payment", {"txn-1"})
    assert json.loads(paid.meta["metadata"]) == {"order": 'A "1" \\ \n ü😀\u2028'}
    assert (failed.narration, failed.links, failed.meta["reverses"]) == ("Failed refund", {"txn-1"}, "re-1")
    assert json.loads(accepted.meta["acceptance"])["Reason"] == 'the bank "did" it'
    assert {one.meta["processor"] for one in opened} == {"acme-pay", "Other_Pay"}
    assert {tuple(one.currencies) for one in opened if one.account == "Assets:Clearing:Acme-pay"} == {
        ("BHD", "EUR", "JPY")
    }


def test_the_zone_decides_the_day(at: Any, recorded: Engine, tmp_path: Path) -> None:
    """What a customer paid at half past midnight in Berlin belongs to that day, and perhaps to that month."""
    days = {}
    for zone in ("UTC", "Europe/Berlin"):
        file = tmp_path / f"{zone[:3]}.beancount"
        assert at("export", file, *BOTH, "--format", "beancount", "--zone", zone).returncode == 0
        days[zone] = {one.date.isoformat() for one in balances_of(file)[0] if "entry-id" not in one.meta}
    assert days == {"UTC": {DAY}, "Europe/Berlin": {"2026-11-24"}}


def test_the_same_records_give_the_same_postings(at: Any, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """So a difference between two files is a difference of the ledger."""
    files = [tmp_path / f"{number}.beancount" for number in range(2)]
    assert at("export", files[0], *BOTH, "--format", "beancount").returncode == 0
    assert ledger("export", str(files[1]), *from_tables(folders), "--format", "beancount").returncode == 0
    first, second = ([line for line in file.read_text().splitlines() if line[:3] != ";; "] for file in files)
    assert first == second
