"""Strict reading of CSV files: bytes become rows of text, and text becomes exact amounts.

A report decides about money, so what is not certainly right is an error: it names the line and the column, and never an
amount or another value of a payment. A line is a physical line of the file, as an editor counts them.

Source: RFC 4180; Python's documentation, csv (`strict`, and the limit of 131,072 characters of a field).
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ledger.amounts import MAX_DIGITS
from ledger.identifiers import mapped_identifier
from ledger_cli.books.report import UnreadableReportError

MAX_FILE_BYTES = 1 << 30
"""A file of this size has millions of rows; the processors split their reports long before. Above it, the file is
something else."""

MAX_LINE_BYTES = 1 << 20
"""One line is in memory as a whole, so its length is bounded."""

MAX_HEADER_LINES = 1_000
"""Lines that the row of column names may have, if the names have line breaks in quotes."""

MAX_NAMED_LINES = 10
"""Lines that a note names before it only counts the rest."""

NOT_TERMINATED = "no line break follows the row, so the file may be cut off; if it is whole, add one"

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = (",", ";", "\t")

# For `fullmatch`. [0-9], because `\d` accepts the digits of any script. No exponent, and no sign but the minus.
AMOUNT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
LOCALE_AMOUNT = re.compile(r"[-+]?[0-9](?:[0-9.,'’\s]*[0-9])?")
CURRENCY = re.compile(r"[A-Za-z]{3}")

PAYPAL_ROW_TYPES = frozenset({"RH", "FH", "SH", "CH", "SB", "SF", "SC", "RF", "RC", "FF"})
SIGNATURES: Mapping[str, frozenset[str]] = {
    "stripe": frozenset({"balance_transaction_id", "reporting_category", "gross", "net"}),
    "adyen": frozenset({"Psp Reference", "Modification Reference", "Gross Credit (GC)", "Net Credit (NC)"}),
}
"""Columns by which a report of another format is recognised. PayPal's is recognised by the type of its first row."""


class Lines:
    """The physical lines of a file as text, and the number of the last one that was read.

    Attributes:
        path: the file.
        number: how many lines were read; the first line has the number 1.
        is_terminated: whether the last line that was read ended with a line break.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.number = 0
        self.is_terminated = True
        self._file = file
        self._bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line with its line break.

        Raises:
            UnreadableReportError: the line is too long, is not UTF-8 or has a NUL, or the file is too large.
        """
        line = self._file.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._bytes += len(line)
        if self.number == 1:
            if line.startswith(UTF_16_MARKS):
                raise self.error("this is UTF-16 and not UTF-8; save the report as UTF-8")
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) > MAX_LINE_BYTES:
            raise self.error(f"the line has more than {MAX_LINE_BYTES:,} bytes, so this is not a report", self.number)
        if self._bytes > MAX_FILE_BYTES:
            raise self.error(f"the file has more than {MAX_FILE_BYTES:,} bytes; split the report by days")
        if b"\0" in line:
            raise self.error("the line has a NUL byte, so this is not a report in UTF-8", self.number)
        self.is_terminated = line.endswith(b"\n")
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise self.error("the line is not UTF-8; save the report as UTF-8", self.number) from None

    def error(self, message: str, line: int | None = None, column: str | None = None) -> UnreadableReportError:
        """Return an error that names the file, the line and the column."""
        place = "" if line is None else f" line {line}:" if column is None else f" line {line}, column {column}:"
        return UnreadableReportError(one_line(f"{self.path}:{place} {message}"))

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of the line in which each row begins, and the row's fields; empty lines are no rows.

        Raises:
            UnreadableReportError: a row is not CSV, or ends within a quoted field.
        """
        reader = csv.reader(self, delimiter=delimiter, strict=True)
        while True:
            number = self.number + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self.error(_csv_message(error), number) from None
            if fields:
                yield number, fields


def _csv_message(error: csv.Error) -> str:
    """Return what is wrong with a row that Python's reader rejects, without text of the row."""
    text = str(error)
    if "unexpected end of data" in text:
        return "a quoted field does not end, so the file is cut off or has a quote too many"
    if "field larger than" in text:
        return f"a field has more than {csv.field_size_limit():,} characters, so this is not a report"
    if "new-line character" in text:
        return "the row has a carriage return without a line feed; save the report with LF or CRLF"
    return "the row is not CSV: text follows the closing quote of a field"


@contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """Open a file, and yield its lines.

    Raises:
        UnreadableReportError: the file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            yield Lines(path, file)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or type(error).__name__}"
        raise UnreadableReportError(one_line(message)) from None


class Columns(NamedTuple):
    """What a reader takes of a table.

    Attributes:
        format: the name of the reader's format.
        title: what the file is, for messages: `a Stripe report`.
        required: columns without which the file is another one.
        optional: columns that are read if the table has them.
        number_hint: what to do if numbers have a decimal comma or grouped digits.
    """

    format: str
    title: str
    required: Sequence[str]
    optional: Sequence[str] = ()
    number_hint: str = "export the report with a decimal point and without grouped digits"


class Row:
    """One row of a table. An absent column, and an empty field, are empty text."""

    __slots__ = ("_header", "fields", "number")

    def __init__(self, header: "Header", number: int, fields: Sequence[str]) -> None:
        self._header = header
        self.number = number
        self.fields = fields

    def __getitem__(self, column: str) -> str:
        """Return the field as it stands in the file."""
        index = self._header.index.get(column)
        return "" if index is None else self.fields[index]

    def error(self, message: str, column: str | None = None) -> UnreadableReportError:
        """Return an error that names the file, the row's line and the column."""
        return self._header.lines.error(message, self.number, column)

    def amount(self, column: str, empty: Decimal | None = None) -> Decimal:
        """Return an exact amount.

        Args:
            column: the column's name.
            empty: what an empty field stands for; None if it must not be empty.

        Raises:
            UnreadableReportError: the field is not a decimal number with a point, or has more than 38 digits.
        """
        text = self[column]
        if not text and empty is not None:
            return empty
        if not AMOUNT.fullmatch(text):
            if LOCALE_AMOUNT.fullmatch(text):
                hint = self._header.columns.number_hint
                raise self.error(f"the number has a decimal comma, grouped digits or a plus sign; {hint}", column)
            raise self.error("this is empty" if not text else "this is not a decimal number", column)
        return exact(text, self, column)

    def currency(self, column: str) -> str:
        """Return a currency's code in capital letters.

        Raises:
            UnreadableReportError: the field has another form than three letters.
        """
        if not CURRENCY.fullmatch(self[column]):
            raise self.error("this is not a currency's code of three letters", column)
        return self[column].upper()

    def id(self, column: str) -> str | None:
        """Return an ID as the ledger has it, mapped if it does not fit the contract; None if the field is empty."""
        return mapped_identifier(self[column]) if self[column] else None


def exact(text: str, row: Row, column: str) -> Decimal:
    """Return the amount of text that `AMOUNT` matches; zero has no sign.

    Raises:
        UnreadableReportError: it has more digits than the ledger keeps.
    """
    if sum(character.isdigit() for character in text) > MAX_DIGITS:
        raise row.error(f"the number has more than {MAX_DIGITS} digits", column)
    amount = Decimal(text)
    return amount or abs(amount)


class Header:
    """Names of columns, which may stand in any order and beside unknown ones.

    Attributes:
        lines: the file's lines.
        columns: what the reader takes of the file.
        index: the position of each column that the reader takes and the file has.
    """

    def __init__(self, lines: Lines, columns: Columns, names: Sequence[str]) -> None:
        """Find the columns.

        Raises:
            UnreadableReportError: a required column is missing, or two columns have the same name.
        """
        self.lines = lines
        self.columns = columns
        self._width = len(names)
        known = {*columns.required, *columns.optional}
        seen: dict[str, int] = {}
        for position, name in enumerate(names):
            if name and name in seen:
                which = f"column {name}" if name in known else "column"
                raise lines.error(f"the same {which} stands at positions {seen[name] + 1} and {position + 1}")
            seen[name] = position
        self.index = {name: position for name, position in seen.items() if name in known}
        missing = [name for name in columns.required if name not in seen]
        if missing:
            raise lines.error(f"this is not {columns.title}: it has no column {', '.join(missing)}")

    def row(self, number: int, fields: Sequence[str]) -> Row:
        """Return the row that begins in this line.

        Raises:
            UnreadableReportError: it has too few or too many fields.
        """
        if len(fields) != self._width:
            count = f"the row has {len(fields)} fields and the row of column names has {self._width}"
            is_cut = "; the file may be cut off" if len(fields) < self._width else ""
            raise self.lines.error(count + is_cut, number)
        return Row(self, number, fields)


class Table:
    """The rows below one row of column names, which is the first of the file."""

    def __init__(self, lines: Lines, columns: Columns) -> None:
        """Read the row of column names.

        Raises:
            UnreadableReportError: a required column is missing, two columns have the same name, or the row has no line
                break at its end.
        """
        names, self._delimiter = _names(lines, columns)
        if not lines.is_terminated:
            raise lines.error(NOT_TERMINATED, lines.number)
        self._lines = lines
        self._header = Header(lines, columns, names)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows.

        Raises:
            UnreadableReportError: a row has too few or too many fields, or has no line break at its end, so that the
                file may be cut off.
        """
        for number, fields in self._lines.rows(self._delimiter):
            row = self._header.row(number, fields)
            if not self._lines.is_terminated:
                raise row.error(NOT_TERMINATED)
            yield row

    def __contains__(self, column: object) -> bool:
        return column in self._header.index


def _names(lines: Lines, columns: Columns) -> tuple[list[str], str]:
    """Return the names of the columns, and the delimiter: the one by which every required column is found."""
    text = first_row(lines)
    names_by = {delimiter: split(text, delimiter) for delimiter in DELIMITERS}
    required = set(columns.required)
    for delimiter, names in names_by.items():
        if required <= set(names):
            return names, delimiter
    names = max(names_by.values(), key=lambda names: (len(required & set(names)), len(names)))
    missing = ", ".join(name for name in columns.required if name not in names)
    raise lines.error(
        f"this is not {columns.title}: it has no column {missing}{recognised(names_by.values(), columns)}"
    )


def first_row(lines: Lines) -> list[str]:
    """Return the physical lines of the first row that is not empty; its quotes decide where it ends.

    Raises:
        UnreadableReportError: the file has no such row, or the row does not end.
    """
    text: list[str] = []
    quotes = 0
    for line in lines:
        if not text and not line.strip("\r\n"):
            continue
        text.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            return text
        if len(text) == MAX_HEADER_LINES:
            break
    raise lines.error("a quoted field of the first row does not end" if text else "the file is empty")


def split(text: Sequence[str], delimiter: str) -> list[str]:
    """Return the fields of one row; none if it is not CSV."""
    try:
        rows = list(csv.reader(text, delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []


def recognised(headers: Iterable[Sequence[str]], columns: Columns) -> str:
    """Return the end of a message that says which format to give, if the first row is that of another known report."""
    for names in headers:
        found = [name for name, signature in SIGNATURES.items() if signature <= set(names)]
        if names and names[0] in PAYPAL_ROW_TYPES:
            found.append("paypal")
        if found and found[0] != columns.format:
            return f"; it looks like another report: give --format {found[0]}"
    return ""


def one_line(message: str) -> str:
    """Return a message without line breaks, which the name of a file or of a column may have."""
    return "".join(character if character.isprintable() else " " for character in message)


def named_lines(numbers: Sequence[int]) -> str:
    """Return text that names lines, and counts those beyond the first ten: `lines 4, 7 and 9`."""
    named = [str(number) for number in numbers[:MAX_NAMED_LINES]]
    if len(numbers) > MAX_NAMED_LINES:
        return f"lines {', '.join(named)} and {len(numbers) - MAX_NAMED_LINES:,} more"
    if len(named) == 1:
        return f"line {named[0]}"
    return f"lines {', '.join(named[:-1])} and {named[-1]}"
