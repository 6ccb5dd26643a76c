"""Exports of the ledger's tables that DynamoDB has written to S3, in a local copy of their folders.

    FOLDER/manifest-summary.json    what was exported, when, and how many items
    FOLDER/manifest-summary.md5     its MD5 in base64
    FOLDER/manifest-files.json      a line for each data file: its name, its number of items, its MD5
    FOLDER/manifest-files.md5       its MD5 in base64
    FOLDER/data/*.json.gz           the items, one a line, in DynamoDB's attribute form

The manifests decide what belongs to an export. Whatever differs from them is an error: a file that is missing, changed,
cut off or surplus, and a wrong count.

The ledger is in two tables, so an export of it is a pair, of one moment. If the entries were older than the payments,
refunds would be missing from the sums; if they were newer, entries would lack their payment. The sealed log is in a
third table, which only an export as of a seal needs.

Source: DynamoDB Developer Guide, DynamoDB table export output format. The guide calls the files with the MD5
`.checksum`, and DynamoDB calls them `.md5`; both are read. `md5Checksum` is of the file as S3 keeps it, in base64. The
guide's own example shows what `etag` is: the MD5 of that MD5, for an object that was uploaded in one part.
"""

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ledger.chain import entry_facts
from ledger.item import UnreadableItemError, published_at, read_attribute, recorded_facts, seal_of
from ledger.seal import UnreadableSealError, read_seal, seal_view
from ledger.strict_json import StrictJSONError, loads
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli.books.draft import Draft
from ledger_cli.errors import CommandError

PAYMENTS_TABLE, ENTRIES_TABLE, SEALS_TABLE = "PaymentLedger", "PaymentEntries", "PaymentSeals"
"""The names of the tables in the template, without the stack's suffix."""

MAX_LINE_BYTES = 4 * 1024 * 1024
"""An item has at most 400 KB, and JSON writes one byte of it with six characters at most."""

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
"""A line of a manifest has about 200 bytes, and a table has a data file for each partition of 10 GB."""

MAX_DEPTH = 32
"""Levels of an item. Source: DynamoDB Developer Guide, quotas, nested attribute depth."""

PAGE_SIZE, SEALS_PAGE_SIZE = 1000, 100
"""Items that one transaction adds to the draft: records, and seals, which are far larger."""

KEYS: Mapping[str, Mapping[str, str]] = {
    PAYMENTS_TABLE: {"TransactionID": "S"},
    ENTRIES_TABLE: {"TransactionID": "S", "Entry": "N"},
    SEALS_TABLE: {"Seal": "N"},
}
"""The attributes without which an item is not one of the table, with their types."""

TABLE_ARN = re.compile(rf"(arn:.+:table/)({PAYMENTS_TABLE}|{ENTRIES_TABLE}|{SEALS_TABLE})([A-Za-z0-9_.-]*)")
IN_PARTS = re.compile(r"[0-9a-f]{32}-([2-9]|[1-9][0-9]+)")
"""Form of the etag of an object that was uploaded in several parts. Such an etag is not made of the file's MD5."""

NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,130})?([Ee][+-]?[0-9]{1,3})?")


class DynamoDBExportError(CommandError):
    """A folder is not a whole and unchanged export of the ledger's table. The message names the file."""


class DataFile(NamedTuple):
    """A data file, as the manifest has it."""

    path: Path
    items: int
    md5: bytes


@dataclass(frozen=True, slots=True)
class TableExport:
    """The export of one table.

    Attributes:
        folder: the folder that has the manifests.
        arn: the export's ARN.
        table: `PAYMENTS_TABLE`, `ENTRIES_TABLE` or `SEALS_TABLE`.
        stack: the rest of the table's ARN: its account, its region, and the suffix of the stack.
        exported_at: the moment of the table that was exported, in the ledger's form.
        files: the data files.
    """

    folder: Path
    arn: str
    table: str
    stack: tuple[str, str]
    exported_at: str
    files: tuple[DataFile, ...]

    @property
    def items(self) -> int:
        """The number of items."""
        return sum(file.items for file in self.files)

    @classmethod
    def open(cls, folder: Path) -> "TableExport":
        """Read the manifests, and look for the data files.

        Raises:
            DynamoDBExportError: a manifest was changed or is of something else, or files are missing or too many.
        """
        path = folder / "manifest-summary.json"
        summary = _object(path, _manifest(path))
        export_type = summary.get("exportType", "FULL_EXPORT")  # exports of before 2023 have none
        if export_type != "FULL_EXPORT":
            raise DynamoDBExportError(
                f"{path}: an incremental export has changes and no whole table: export it in full"
            )
        if summary.get("outputFormat") != "DYNAMODB_JSON":
            raise DynamoDBExportError(f"{path}: the items are not in DynamoDB JSON: export with DYNAMODB_JSON")
        named = TABLE_ARN.fullmatch(_text(path, summary, "tableArn"))
        if named is None:
            tables = f"{PAYMENTS_TABLE}, {ENTRIES_TABLE} and {SEALS_TABLE}"
            raise DynamoDBExportError(f"{path}: an export of another table than {tables}")
        try:
            exported_at = utc_timestamp(summary.get("exportTime"))
        except BrokenRuleError:
            raise DynamoDBExportError(f"{path}: exportTime is not a time") from None
        export = cls(
            folder=folder,
            arn=_text(path, summary, "exportArn"),
            table=named[2],
            stack=(named[1], named[3]),
            exported_at=exported_at,
            files=tuple(_data_files(folder, is_aes256=summary.get("s3SseAlgorithm") == "AES256")),
        )
        if export.items != _count(path, summary):
            raise DynamoDBExportError(f"{path}: has another number of items than manifest-files.json")
        export._require_all_files()
        return export

    def _require_all_files(self) -> None:
        """Raise an error unless the folder has each data file and no other. A name with a dot first is no data file."""
        for file in self.files:
            if not file.path.is_file():
                raise DynamoDBExportError(f"{file.path}: missing: copy the export again")
        listed = {file.path.name for file in self.files}
        data = self.folder / "data"
        if data.is_dir():
            surplus = sorted(
                one.name for one in data.iterdir() if not one.name.startswith(".") and one.name not in listed
            )
            if surplus:
                raise DynamoDBExportError(f"{data / surplus[0]}: not a file of this export: copy it to an empty folder")

    def verify(self) -> Iterator[Path]:
        """Compare the MD5 of each data file, and yield the file.

        Raises:
            DynamoDBExportError: a file was changed or cut off.
        """
        for file in self.files:
            with _readable(file.path), file.path.open("rb") as opened:
                if hashlib.file_digest(opened, _md5).digest() != file.md5:
                    raise DynamoDBExportError(
                        f"{file.path}: changed or cut off, its MD5 differs: copy the export again"
                    )
            yield file.path


def open_exports(folders: Sequence[Path], *, sealed: bool = False) -> tuple[TableExport, ...]:
    """Return the exports of the payments, of the entries, and of the seals if they are wanted.

    Args:
        folders: folders of exports, or folders that have them in `AWSDynamoDB`.
        sealed: whether the export of the sealed log is wanted as well.

    Raises:
        DynamoDBExportError: there is not exactly one of each, or they are not of one ledger at one moment.
    """
    found = [TableExport.open(one) for folder in folders for one in _export_folders(folder)]
    tables = (PAYMENTS_TABLE, ENTRIES_TABLE, SEALS_TABLE)[: 3 if sealed else 2]
    payments, *others = (_only(found, table) for table in tables)
    for other in others:
        if payments.stack != other.stack:
            raise DynamoDBExportError(
                f"{payments.folder} and {other.folder}: tables of two ledgers: export both of one"
            )
        if payments.exported_at != other.exported_at:
            raise DynamoDBExportError(
                f"{payments.folder} and {other.folder}: the tables of two moments, {payments.exported_at} and "
                f"{other.exported_at}: export both with the same --export-time"
            )
    return payments, *others


def _export_folders(folder: Path) -> list[Path]:
    """Return the folder itself, or those of the exports in it, if it is a copy of the whole prefix."""
    inside = sorted(one.parent for one in folder.glob("AWSDynamoDB/*/manifest-summary.json"))
    return inside or [folder]


def _only(found: Sequence[TableExport], table: str) -> TableExport:
    exports = [one for one in found if one.table == table]
    if not exports and table == SEALS_TABLE:
        raise DynamoDBExportError(f"the export of the table {table} is missing: it has the seals")
    if not exports:
        raise DynamoDBExportError(f"the export of the table {table} is missing: a ledger is in both of its tables")
    if len(exports) > 1:
        raise DynamoDBExportError(f"{exports[1].folder}: a second export of the table {table}: name one of each table")
    return exports[0]


class Wanted(NamedTuple):
    """The records that are exported.

    Attributes:
        processors: the processors that reported them; None for all.
        first: the first moment; None for all of the past.
        last: the first moment after them; None for all of the future.
        ciphertext: whether a payment has its encrypted token.
        seal: the number of the last seal, whose records and those before are wanted; `last` for the log's last one;
            None for all records, sealed or not.
        until: the last RecordedAt of a record, if a seal is given; None for any.
    """

    processors: Sequence[str] | None = None
    first: str | None = None
    last: str | None = None
    ciphertext: bool = False
    seal: int | Literal["last"] | None = None
    until: str | None = None

    @property
    def last_seal(self) -> int | None:
        """The number of the last seal; None for the log's last one."""
        return None if self.seal == "last" else self.seal

    @property
    def is_whole_log(self) -> bool:
        """Whether every record of the log's seals is wanted, so that the export can be verified."""
        return self.seal is not None and self == Wanted(ciphertext=self.ciphertext, seal=self.seal)

    def has(self, processor_id: str | None, timestamp: str | None) -> bool:
        """Return whether a record is exported. None stands for what a damaged item does not show."""
        return (self.processors is None or processor_id is None or processor_id in self.processors) and (
            timestamp is None
            or ((self.first is None or self.first <= timestamp) and (self.last is None or timestamp < self.last))
        )


def gather_items(exports: Sequence[TableExport], draft: Draft, wanted: Wanted) -> Iterator[int]:
    """Read the items that the draft does not have yet, and yield the number of items after each page.

    Raises:
        DynamoDBExportError: a data file has another number of items, or what is not an item of the ledger. The draft
            keeps what was read.
    """
    for export in exports:
        for file in export.files:
            yield from _gather_file(export, file, draft, wanted)
    if wanted.last_seal is not None and draft.last_seal() != wanted.last_seal:
        raise DynamoDBExportError(
            f"{exports[-1].folder}: the log has no seal {wanted.last_seal}: its last one is {draft.last_seal()}"
        )
    if wanted.seal is not None:
        draft.keep_sealed(wanted.processors, wanted.until)
        return
    if wanted.first is None and wanted.last is None and (incomplete := draft.incomplete()):
        raise DynamoDBExportError(
            f"{incomplete[0]}: an entry without what is before it: export both tables again, as of five minutes ago"
        )
    if wanted == Wanted(ciphertext=wanted.ciphertext) and not draft.unreadable():
        expected = sum(export.items for export in exports)
        if draft.number() != expected:
            raise DynamoDBExportError(
                f"{exports[0].folder}: items are there twice: the two exports have {draft.number():,}, "
                f"and the manifests say {expected:,}"
            )


def _gather_file(export: TableExport, file: DataFile, draft: Draft, wanted: Wanted) -> Iterator[int]:
    name = f"{export.arn} {file.path.name}"
    if draft.cursor_of(name)[1]:
        return
    is_of_seals = export.table == SEALS_TABLE
    add, page_size = (_add_seals, SEALS_PAGE_SIZE) if is_of_seals else (_add_records, PAGE_SIZE)
    number = 0
    items = _items(file)
    while page := list(islice(items, page_size)):
        add(export, draft, wanted, name, [(f"{file.path}:{at}", item) for at, item in enumerate(page, number + 1)])
        number += len(page)
        yield len(page)
    if number != file.items:
        raise DynamoDBExportError(f"{file.path}: has {number:,} items, and the manifest says {file.items:,}")
    draft.add(name, None, [])


Page = Sequence[tuple[str, Mapping[str, Any]]]
"""Items of a data file, each with its place: the file and the line."""


def _add_records(export: TableExport, draft: Draft, wanted: Wanted, name: str, page: Page) -> None:
    found: list[Mapping[str, Any]] = []
    unreadable: list[Mapping[str, Any]] = []
    for place, item in page:
        _require_key(export, place, item)
        try:
            facts = _facts(export, item, ciphertext=wanted.ciphertext)
        except UnreadableItemError as error:
            if wanted.has(_shown(item, "ProcessorID"), _shown_time(item)):
                unreadable.append(error.as_dict())
        else:
            if wanted.has(facts["ProcessorID"], facts["Timestamp"]):
                found.append(facts)
    draft.add(name, page[-1][0], found, unreadable)


def _add_seals(export: TableExport, draft: Draft, wanted: Wanted, name: str, page: Page) -> None:
    seals = []
    for place, item in page:
        _require_key(export, place, item)
        try:
            seal = read_seal({attribute: _with_bytes(value) for attribute, value in item.items()})
        except (UnreadableSealError, ValueError):
            raise DynamoDBExportError(f"{place}: seal {item['Seal']['N']} is damaged") from None
        if wanted.last_seal is None or seal.number <= wanted.last_seal:
            seals.append(seal_view(seal))
    draft.add_seals(name, page[-1][0], seals)


def _with_bytes(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute with its bytes, which an export has in base64."""
    return {kind: base64.b64decode(value, validate=True) if kind == "B" else value for kind, value in attribute.items()}


def _facts(export: TableExport, item: Mapping[str, Any], *, ciphertext: bool) -> dict[str, Any]:
    """Return the facts that the query function shows of an item, and the encrypted token on request.

    Raises:
        UnreadableItemError: the item is damaged.
    """
    if export.table == ENTRIES_TABLE:
        return entry_facts(item)
    facts = recorded_facts(item)
    published_at(item)  # the query function names an item as damaged if a marker is
    seal_of(item)
    if ciphertext:
        for name, kind in (("SecureToken", "B"), ("TokenKey", "S")):
            facts[name] = read_attribute(item, name, kind, facts["TransactionID"])
    return facts


def _shown(item: Mapping[str, Any], attribute: str) -> str | None:
    """Return a damaged item's text; None if it does not show any."""
    text: str | None = item.get(attribute, {}).get("S")
    return text


def _shown_time(item: Mapping[str, Any]) -> str | None:
    try:
        return utc_timestamp(_shown(item, "Timestamp"))
    except BrokenRuleError:
        return None


def _require_key(export: TableExport, place: str, item: Mapping[str, Any]) -> None:
    if any(kind not in item.get(name, {}) for name, kind in KEYS[export.table].items()):
        raise DynamoDBExportError(f"{place}: not an item of the table {export.table}")


def _items(file: DataFile) -> Iterator[dict[str, Any]]:
    """Yield the items of a data file. Memory does not grow with the file."""
    with _readable(file.path), gzip.open(file.path) as lines:
        number = 0
        while line := lines.readline(MAX_LINE_BYTES):
            number += 1
            item = _item(line)
            if item is None:
                raise DynamoDBExportError(f"{file.path}:{number}: not an item in DynamoDB JSON")
            yield item


def _item(line: bytes) -> dict[str, Any] | None:
    """Return the item of a line; None if it is not one in DynamoDB's attribute form."""
    try:
        value = loads(line)
        if b"\\u" in line:  # half of a character beyond the 16-bit ones is JSON, and not text
            json.dumps(value, ensure_ascii=False).encode()
    except (StrictJSONError, UnicodeError):
        return None
    if not isinstance(value, dict) or value.keys() != {"Item"} or not _is_attribute({"M": value["Item"]}):
        return None
    item: dict[str, Any] = value["Item"]
    return item


def _is_attribute(value: object, depth: int = 0) -> bool:
    """Return whether a value has DynamoDB's attribute form: an object that has the type as its only name."""
    if not isinstance(value, dict) or len(value) != 1 or depth > MAX_DEPTH:
        return False
    ((kind, content),) = value.items()
    if kind in {"S", "B"}:
        return isinstance(content, str)
    if kind == "N":
        return isinstance(content, str) and NUMBER.fullmatch(content) is not None
    if kind == "M":
        return isinstance(content, dict) and all(_is_attribute(one, depth + 1) for one in content.values())
    if kind == "L":
        return isinstance(content, list) and all(_is_attribute(one, depth + 1) for one in content)
    return kind in {"BOOL", "NULL", "SS", "NS", "BS"}


def _data_files(folder: Path, *, is_aes256: bool) -> Iterator[DataFile]:
    """Yield the data files of the manifest.

    Args:
        folder: the folder that has the manifests.
        is_aes256: whether S3 encrypts the files with its own keys. Only then is an etag made of the MD5.
    """
    path = folder / "manifest-files.json"
    names: set[str] = set()
    for number, line in enumerate(_manifest(path).splitlines(), 1):
        row = _object(path, line, number)
        name = _text(path, row, "dataFileS3Key", number).rpartition("/")[2]
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name) or name in names:
            raise DynamoDBExportError(f"{path}:{number}: a data file's name is there twice, or is not one")
        names.add(name)
        md5 = _md5_in(_text(path, row, "md5Checksum", number))
        if md5 is None:
            raise DynamoDBExportError(f"{path}:{number}: md5Checksum is not an MD5 in base64")
        etag = _text(path, row, "etag", number)
        if is_aes256 and not IN_PARTS.fullmatch(etag) and etag not in {md5.hex(), f"{_md5(md5).hexdigest()}-1"}:
            raise DynamoDBExportError(f"{path}:{number}: etag and md5Checksum are of different files")
        yield DataFile(folder / "data" / name, _count(path, row, number), md5)


def _manifest(path: Path) -> bytes:
    """Return a manifest that has the MD5 which the file beside it says.

    Raises:
        DynamoDBExportError: one of the two is missing, or the manifest was changed.
    """
    with _readable(path), path.open("rb") as file:
        contents = file.read(MAX_MANIFEST_BYTES)
    beside = next((one for one in (path.with_suffix(end) for end in (".md5", ".checksum")) if one.exists()), None)
    if beside is None:
        raise DynamoDBExportError(f"{path.with_suffix('.md5')}: missing: copy the export again")
    with _readable(beside), beside.open("rb") as file:
        expected = _md5_in(file.read(1000).decode("ascii", "replace").strip())
    if expected != _md5(contents).digest():
        raise DynamoDBExportError(f"{path}: changed or cut off, its MD5 is not that of {beside.name}")
    return contents


def _md5(contents: bytes = b"") -> Any:
    """Return an MD5, which finds accidents: the export's own checksums are no protection against a forger."""
    return hashlib.md5(contents, usedforsecurity=False)


def _md5_in(text: str) -> bytes | None:
    """Return the MD5 that a text in base64 has; None if it has none."""
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return digest if len(digest) == 16 else None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Report in one line what makes a file unreadable."""
    try:
        yield
    except FileNotFoundError:
        raise DynamoDBExportError(f"{path}: missing: name the folder of an export, with its manifests") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DynamoDBExportError(f"{path}: not a whole file of gzip: copy the export again") from None
    except OSError as error:
        raise DynamoDBExportError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def _object(path: Path, text: bytes, number: int | None = None) -> dict[str, Any]:
    try:
        value = loads(text)
    except (StrictJSONError, UnicodeError):
        value = None
    if not isinstance(value, dict):
        raise DynamoDBExportError(f"{_place(path, number)}: not an object of JSON")
    return value


def _text(path: Path, row: Mapping[str, Any], name: str, number: int | None = None) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise DynamoDBExportError(f"{_place(path, number)}: has no {name}: is this a manifest of DynamoDB?")
    return value


def _count(path: Path, row: Mapping[str, Any], number: int | None = None) -> int:
    value = row.get("itemCount")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DynamoDBExportError(f"{_place(path, number)}: has no itemCount: is this a manifest of DynamoDB?")
    return value


def _place(path: Path, number: int | None) -> str:
    return f"{path}" if number is None else f"{path}:{number}"
