"""Exports of the tables by DynamoDB itself: read as the query function reads, and checked whole."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import DeliveredEntry, next_entry
from ledger.entry import Entry
from ledger.payment import Payment
from ledger_cli.books import dynamodb_export
from ledger_cli.books.draft import Draft
from ledger_cli.books.dynamodb_export import (
    DynamoDBExportError,
    TableExport,
    Wanted,
    gather_items,
    open_exports,
)
from tests.support.dynamodb_exports import (
    EXPORT_ID,
    EXPORTED_AT,
    base64_text,
    change_manifest,
    md5,
    write_export,
    write_manifest,
)
from tests.support.payments import ENCRYPTED, PAYMENT

DELIVERY = {"execution": ENCRYPTED.execution, "recorded_at": ENCRYPTED.recorded_at}


def payment_item(number: int, **changes: Any) -> dict[str, Any]:
    """Return the item of a payment."""
    payment = PAYMENT._replace(transaction_id=f"txn-{number}", **changes)
    return ENCRYPTED._replace(payment=payment).as_item()


def entry_items(payment: Payment, amounts: list[str]) -> list[dict[str, Any]]:
    """Return the items of a payment's refunds."""
    chain: list[Any] = []
    for number, amount in enumerate(amounts, 1):
        entry = Entry(
            payment.transaction_id, f"re-{number}", "Refunded", amount, payment.currency, payment.processor_id,
            "2026-11-24T10:00:00.000000Z", None, {},
        )  # fmt: skip
        chain.append(next_entry(payment, chain, DeliveredEntry(entry, **DELIVERY)))
    return [one.as_item() for one in chain]


PAYMENTS = [payment_item(number) for number in range(1, 6)]
ENTRIES = entry_items(PAYMENT, ["1.00", "2.50"]) + entry_items(PAYMENT._replace(transaction_id="txn-3"), ["10.50"])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of the exports of both tables."""
    return (
        write_export(tmp_path / "payments", "PaymentLedger", PAYMENTS),
        write_export(tmp_path / "entries", "PaymentEntries", ENTRIES),
    )


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    """Return an empty draft."""
    return Draft(tmp_path / "draft", {}, "2026-11-25T00:00:00.000000Z")


def read(folders: tuple[Path, ...], draft: Draft, **wanted: Any) -> list[dict[str, Any]]:
    """Return the records that the exports have, as an export has them."""
    exports = open_exports(folders)
    for export in exports:
        assert list(export.verify()) == [file.path for file in export.files]
    assert all(gather_items(exports, draft, Wanted(**wanted)))
    return [json.loads(line) for line, _ in draft.lines()]


def error_of(folders: tuple[Path, ...], draft: Draft, **wanted: Any) -> str:
    """Return the message of the error that reading raises. It is one line."""
    with pytest.raises(DynamoDBExportError) as caught:
        read(folders, draft, **wanted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_of(records: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return which records these are."""
    return [(one["TransactionID"], one.get("Entry", 0)) for one in records]


ALL = [("txn-1", 0), ("txn-1", 1), ("txn-1", 2), ("txn-2", 0), ("txn-3", 0), ("txn-3", 1), ("txn-4", 0), ("txn-5", 0)]


def test_all_items_of_both_tables_are_read(folders: tuple[Path, Path], draft: Draft) -> None:
    """A payment has the facts that its event had, and nothing of the table's own."""
    records = read(folders, draft)
    assert names_of(records) == ALL
    assert records[0] == {
        "record": "payment",
        **PAYMENT.as_state(),
        "Fingerprint": PAYMENT.fingerprint,
        "Execution": ENCRYPTED.execution,
        "RecordedAt": ENCRYPTED.recorded_at,
    }
    assert records[2]["Totals"]["Refunded"] == "3.50"
    assert open_exports(folders[::-1])[0].exported_at == "2026-11-26T09:00:00.000000Z"


def test_a_copy_of_the_whole_prefix_is_read(tmp_path: Path, draft: Draft) -> None:
    """`aws s3 sync` of the bucket brings both exports in one folder."""
    write_export(tmp_path / "AWSDynamoDB/01", "PaymentLedger-dev", PAYMENTS, exportType=None)
    write_export(tmp_path / "AWSDynamoDB/02", "PaymentEntries-dev", ENTRIES)
    assert names_of(read((tmp_path,), draft)) == ALL


def test_the_checksum_files_may_have_the_name_that_the_guide_gives(folders: tuple[Path, Path], draft: Draft) -> None:
    """The guide and the service disagree about the name."""
    for folder in folders:
        for file in folder.glob("*.md5"):
            file.rename(file.with_suffix(".checksum"))
    assert names_of(read(folders, draft)) == ALL


def test_a_file_of_no_bytes_has_no_items(folders: tuple[Path, Path], draft: Draft) -> None:
    """An empty partition's file is empty; whether it has the frame of gzip is not documented."""
    export = TableExport.open(folders[0])
    export.files[-1].path.write_bytes(b"")
    change_manifest(
        folders[0], "files", {"md5Checksum": base64_text(md5(b"")), "etag": f"{md5(md5(b'')).hex()}-1"}, line=-1
    )
    assert names_of(read(folders, draft)) == ALL


def test_the_etag_of_the_guides_example_is_the_md5_of_its_md5(tmp_path: Path) -> None:
    """So the rule that compares them is AWS's own. The example has no file, so only the manifest is read."""
    row = {
        "itemCount": 8,
        "md5Checksum": "sQMSpEILNgoQmarvDFonGQ==",
        "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
        "dataFileS3Key": "AWSDynamoDB/11111111111111-22222222/data/33334444EXAMPLE.json.gz",
    }
    write_manifest(tmp_path, "files", json.dumps(row))
    (file,) = dynamodb_export._data_files(tmp_path, is_aes256=True)
    assert (file.items, base64_text(file.md5)) == (8, row["md5Checksum"])


def data_file(folder: Path) -> Path:
    """Return the first data file that the manifest names."""
    key: str = json.loads((folder / "manifest-files.json").read_text().splitlines()[0])["dataFileS3Key"]
    return folder / "data" / key.rpartition("/")[2]


def rewrite(folder: Path, contents: bytes, **changes: Any) -> None:
    """Replace the first data file, so that the manifest's checksums fit it."""
    data_file(folder).write_bytes(contents)
    fitting = {"md5Checksum": base64_text(md5(contents)), "etag": md5(contents).hex()}
    change_manifest(folder, "files", {**fitting, **changes})


def rewrite_lines(folder: Path, *lines: str) -> None:
    """Replace the first data file by one with these lines and the rest of what it had."""
    old = gzip.decompress(data_file(folder).read_bytes()).decode().splitlines()
    rewrite(folder, gzip.compress("\n".join([*lines, *old[len(lines) :]]).encode() + b"\n"))


def append(file: Path, more: bytes) -> None:
    """Append bytes to a file."""
    file.write_bytes(file.read_bytes() + more)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda at: data_file(at).unlink(), ".json.gz: missing: copy the export again"),
    "changed": (lambda at: append(data_file(at), b"x"), "changed or cut off, its MD5 differs: copy the export again"),
    "cut off": (
        lambda at: data_file(at).write_bytes(data_file(at).read_bytes()[:-20]),
        "changed or cut off, its MD5 differs: copy the export again",
    ),
    "cut off with its MD5": (
        lambda at: rewrite(at, data_file(at).read_bytes()[:-20]),
        ".json.gz: not a whole file of gzip: copy the export again",
    ),
    "not gzip": (lambda at: rewrite(at, b"hello"), ".json.gz: not a whole file of gzip: copy the export again"),
    "a folder": (
        lambda at: (data_file(at).rename(at / "moved"), data_file(at).mkdir()),
        ".json.gz: missing: copy the export again",
    ),
    "surplus": (
        lambda at: (at / "data/other.json.gz").touch(),
        "other.json.gz: not a file of this export: copy it to an empty folder",
    ),
    "fewer items": (
        lambda at: rewrite(at, gzip.compress(b"")),
        "has 0 items, and the manifest says 3",
    ),
    "another count": (
        lambda at: change_manifest(at, "files", {"itemCount": 2}),
        "has another number of items than manifest-files.json",
    ),
    "a count that is not a number": (
        lambda at: change_manifest(at, "files", {"itemCount": True}),
        "manifest-files.json:1: has no itemCount: is this a manifest of DynamoDB?",
    ),
    "another total": (
        lambda at: change_manifest(at, "summary", {"itemCount": 6}),
        "manifest-summary.json: has another number of items than manifest-files.json",
    ),
    "another etag": (
        lambda at: change_manifest(at, "files", {"etag": f"{'0' * 32}-1"}),
        "manifest-files.json:1: etag and md5Checksum are of different files",
    ),
    "a checksum that is not one": (
        lambda at: change_manifest(at, "files", {"md5Checksum": "AAAA"}),
        "manifest-files.json:1: md5Checksum is not an MD5 in base64",
    ),
    "a file twice": (
        lambda at: write_manifest(at, "files", (at / "manifest-files.json").read_text() * 2),
        "manifest-files.json:4: a data file's name is there twice, or is not one",
    ),
    "a file elsewhere": (
        lambda at: change_manifest(at, "files", {"dataFileS3Key": "data/.."}),
        "manifest-files.json:1: a data file's name is there twice, or is not one",
    ),
    "a changed summary": (
        lambda at: append(at / "manifest-summary.json", b" "),
        "manifest-summary.json: changed or cut off, its MD5 is not that of manifest-summary.md5",
    ),
    "a changed list": (
        lambda at: append(at / "manifest-files.json", b" "),
        "manifest-files.json: changed or cut off, its MD5 is not that of manifest-files.md5",
    ),
    "no list": (
        lambda at: (at / "manifest-files.json").unlink(),
        "manifest-files.json: missing: name the folder of an export, with its manifests",
    ),
    "no summary": (
        lambda at: (at / "manifest-summary.json").unlink(),
        "manifest-summary.json: missing: name the folder of an export, with its manifests",
    ),
    "no checksum": (
        lambda at: (at / "manifest-summary.md5").unlink(),
        "manifest-summary.md5: missing: copy the export again",
    ),
    "a summary that is not JSON": (
        lambda at: write_manifest(at, "summary", "{"),
        "manifest-summary.json: not an object of JSON",
    ),
    "a list that is not text": (
        lambda at: (
            (at / "manifest-files.json").write_bytes(b"\xff\n"),
            (at / "manifest-files.md5").write_text(base64_text(md5(b"\xff\n"))),
        ),
        "manifest-files.json:1: not an object of JSON",
    ),
    "incremental": (
        lambda at: change_manifest(at, "summary", {"exportType": "INCREMENTAL_EXPORT"}),
        "an incremental export has changes and no whole table: export it in full",
    ),
    "Ion": (
        lambda at: change_manifest(at, "summary", {"outputFormat": "ION"}),
        "the items are not in DynamoDB JSON: export with DYNAMODB_JSON",
    ),
    "another table": (
        lambda at: change_manifest(at, "summary", {"tableArn": "arn:aws:dynamodb:us-east-1:1:table/Music"}),
        "an export of another table than PaymentLedger, PaymentEntries and PaymentSeals",
    ),
    "no table": (
        lambda at: change_manifest(at, "summary", {"tableArn": None}),
        "manifest-summary.json: has no tableArn: is this a manifest of DynamoDB?",
    ),
    "another moment": (
        lambda at: change_manifest(at, "summary", {"exportTime": "2026-11-26T09:00:00.001Z"}),
        "00.001000Z and 2026-11-26T09:00:00.000000Z: export both with the same --export-time",
    ),
    "no moment": (
        lambda at: change_manifest(at, "summary", {"exportTime": 1}),
        "manifest-summary.json: exportTime is not a time",
    ),
    "another ledger": (
        lambda at: change_manifest(
            at, "summary", {"tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/PaymentLedger-dev"}
        ),
        "tables of two ledgers: export both of one",
    ),
    "another account": (
        lambda at: change_manifest(
            at, "summary", {"tableArn": "arn:aws:dynamodb:us-east-1:210987654321:table/PaymentLedger"}
        ),
        "tables of two ledgers: export both of one",
    ),
    "the other table's name": (
        lambda at: change_manifest(
            at, "summary", {"tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/PaymentEntries"}
        ),
        "the export of the table PaymentLedger is missing: a ledger is in both of its tables",
    ),
    "not JSON": (lambda at: rewrite_lines(at, "{"), ".json.gz:1: not an item in DynamoDB JSON"),
    "not an item": (lambda at: rewrite_lines(at, '{"Keys": {}}'), ".json.gz:1: not an item in DynamoDB JSON"),
    "a float": (
        lambda at: rewrite_lines(at, '{"Item": {"TransactionID": {"S": "a"}, "Amount": {"N": 1.5}}}'),
        ".json.gz:1: not an item in DynamoDB JSON",
    ),
    "half a character": (
        lambda at: rewrite_lines(at, r'{"Item": {"TransactionID": {"S": "\ud800"}}}'),
        ".json.gz:1: not an item in DynamoDB JSON",
    ),
    "too deep": (
        lambda at: rewrite_lines(at, '{"Item": {"a": ' + '{"M": {"b": ' * 60 + '{"S": ""}' + "}}" * 60 + "}}"),
        ".json.gz:1: not an item in DynamoDB JSON",
    ),
    "without its key": (
        lambda at: rewrite_lines(at, '{"Item": {"Amount": {"N": "1"}}}'),
        ".json.gz:1: not an item of the table PaymentLedger",
    ),
    "an item twice": (
        lambda at: rewrite_lines(
            at, *(json.dumps({"Item": PAYMENTS[number]}, default=base64_text) for number in (0, 2, 3))
        ),
        "/payments: items are there twice: the two exports have 7, and the manifests say 8",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_differs_from_the_manifests_is_one_line(damage: str, folders: tuple[Path, Path], draft: Draft) -> None:
    """An export that lacks one file looks right, and its sums are wrong."""
    make, message = DAMAGE[damage]
    make(folders[0])
    assert error_of(folders, draft).endswith(message)


def test_an_entry_needs_its_number(folders: tuple[Path, Path], draft: Draft) -> None:
    """A payment's item in the table of entries would pass as one that is damaged."""
    rewrite_lines(folders[1], '{"Item": {"TransactionID": {"S": "txn-1"}}}')
    assert error_of(folders, draft).endswith(".json.gz:1: not an item of the table PaymentEntries")


def test_an_etag_is_not_compared_if_it_is_not_made_of_the_md5(folders: tuple[Path, Path], draft: Draft) -> None:
    """An object under a key of KMS has another etag, and so has one that was uploaded in several parts."""
    change_manifest(folders[0], "files", {"etag": f"{'0' * 32}-12"})
    change_manifest(folders[1], "summary", {"s3SseAlgorithm": "KMS"})
    change_manifest(folders[1], "files", {"etag": "0" * 32})
    assert names_of(read(folders, draft)) == ALL


def test_there_is_one_export_of_each_table(tmp_path: Path, folders: tuple[Path, Path], draft: Draft) -> None:
    """Payments alone have the wrong sums, since refunds are entries."""
    missing = "the export of the table PaymentEntries is missing: a ledger is in both of its tables"
    assert error_of(folders[:1], draft) == missing
    second = write_export(tmp_path / "second", "PaymentLedger", PAYMENTS)
    message = f"{second}: a second export of the table PaymentLedger: name one of each table"
    assert error_of((*folders, second), draft) == message


def test_processors_and_times_narrow_the_records(tmp_path: Path, draft: Draft) -> None:
    """The limits mean what they mean to the query function: the first moment is included, the last is not."""
    times = [f"2026-11-2{number}T00:00:00.000000Z" for number in range(1, 5)]
    items = [payment_item(number, timestamp=time) for number, time in enumerate(times, 1)]
    items += [payment_item(5, processor_id="other", timestamp=times[1])]
    folders = (
        write_export(tmp_path / "payments", "PaymentLedger", items),
        write_export(tmp_path / "entries", "PaymentEntries", []),
    )
    wanted = {"processors": ["acme"], "first": times[1], "last": times[3]}
    assert names_of(read(folders, draft, **wanted)) == [("txn-2", 0), ("txn-3", 0)]


def test_damaged_items_are_named_and_the_rest_is_read(tmp_path: Path, draft: Draft) -> None:
    """Each has the name under which the query function shows it. A processor's export names the processor's only."""
    payments = [
        PAYMENTS[0],
        {**PAYMENTS[1], "Amount": {"N": "11"}},
        {**PAYMENTS[2], "PublishedAt": {"S": "yesterday"}},
        {**PAYMENTS[3], "Amount": {"S": "1"}, "ProcessorID": {"S": "other"}},
        {**PAYMENTS[4], "Amount": {"S": "1"}, "Timestamp": {"S": "2025-01-01T00:00:00Z"}},
        {**payment_item(6), "ProcessorID": {"N": "1"}},
    ]
    entries = [ENTRIES[0], {**ENTRIES[1], "Amount": {"S": "0.01"}}]
    folders = (
        write_export(tmp_path / "payments", "PaymentLedger", payments),
        write_export(tmp_path / "entries", "PaymentEntries", entries),
    )
    found = read(folders, draft, processors=["acme"], first="2026-01-01T00:00:00.000000Z")
    assert names_of(found) == [("txn-1", 0), ("txn-1", 1)]
    assert draft.unreadable() == [
        {"TransactionID": "txn-1", "Entry": 2, "Attribute": "Fingerprint"},
        {"TransactionID": "txn-2", "Attribute": "Fingerprint"},
        {"TransactionID": "txn-3", "Attribute": "PublishedAt"},
        {"TransactionID": "txn-6", "Attribute": "ProcessorID"},
    ]


def test_an_entry_without_what_is_before_it_is_one_line(tmp_path: Path, draft: Draft) -> None:
    """Then the two tables are not of one moment, whatever the manifests say."""
    folders = (
        write_export(tmp_path / "payments", "PaymentLedger", PAYMENTS[1:]),
        write_export(tmp_path / "entries", "PaymentEntries", ENTRIES),
    )
    message = "txn-1: an entry without what is before it: export both tables again, as of five minutes ago"
    assert error_of(folders, draft) == message


def test_the_ciphertext_comes_on_request_only(folders: tuple[Path, Path], draft: Draft, tmp_path: Path) -> None:
    """An encrypted token is for few people. A payment that lacks it is damaged."""
    assert not [one for one in read(folders, draft) if {"SecureToken", "TokenKey"} & one.keys()]
    first = read(folders, Draft(tmp_path / "second", {}, "2026-11-25T00:00:00.000000Z"), ciphertext=True)[0]
    assert (first["SecureToken"], first["TokenKey"]) == (base64_text(ENCRYPTED.ciphertext), ENCRYPTED.token_key)
    item = {name: value for name, value in PAYMENTS[0].items() if name != "SecureToken"}
    rewrite_lines(folders[0], json.dumps({"Item": item}, default=base64_text))
    third = Draft(tmp_path / "third", {}, "2026-11-25T00:00:00.000000Z")
    assert names_of(read(folders, third, ciphertext=True)) == [*ALL[1:]]
    assert third.unreadable() == [{"TransactionID": "txn-1", "Attribute": "SecureToken"}]


def test_what_was_read_is_not_read_again(
    folders: tuple[Path, Path], draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption, whole files of the draft are left out, and the file that was begun is read again."""
    monkeypatch.setattr(dynamodb_export, "PAGE_SIZE", 2)
    exports = open_exports(folders)
    stopped = gather_items(exports, draft, Wanted())
    assert [next(stopped) for _ in range(3)] == [2, 1, 2]
    del stopped
    assert draft.number() == 5
    assert list(gather_items(exports, draft, Wanted())) == [2, 2, 1]
    assert names_of([json.loads(line) for line, _ in draft.lines()]) == ALL


def test_memory_does_not_grow_with_a_line(folders: tuple[Path, Path], draft: Draft) -> None:
    """A line that is longer than any item is an error, and is not read whole."""
    item = json.dumps({"Item": PAYMENTS[0]}, default=base64_text)
    rewrite_lines(folders[0], f"{' ' * dynamodb_export.MAX_LINE_BYTES}{item}")
    assert error_of(folders, draft).endswith(".json.gz:1: not an item in DynamoDB JSON")


def test_an_export_has_its_own_name(folders: tuple[Path, Path]) -> None:
    """The header of the result names it, and so does an export that continues."""
    arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/PaymentEntries/export/{EXPORT_ID}"
    assert open_exports(folders)[1].arn == arn
    assert EXPORTED_AT.startswith(open_exports(folders)[1].exported_at[:23])
