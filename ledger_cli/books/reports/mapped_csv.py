"""Any other CSV file, which a mapping in TOML describes.

```toml
[columns]
id = "Payment"            # the TransactionID
entry_id = "Refund"       # optional: the refund, dispute or capture itself
amount = "Amount"         # or debit and credit
currency = "Currency"     # or [amount] currency
type = "Type"
time = "Date"             # optional
identity = "Row"          # optional: text that no other row has

[types]                   # of the file: Payment, Captured, Refunded, RefundFailed, Disputed, DisputeWon, or no_payment
"Sale" = "Payment"

[amount]
unit = "major"            # or "minor": whole numbers, by the decimals that ISO 4217 gives the currency
currency = "EUR"          # one for all rows
decimal_mark = "."        # or ","
grouping = ","            # optional: what groups the digits by three: . , ' or a space
sign = "as_written"       # or "by_kind": only no_payment keeps its sign, and a refund or dispute is negative

[time]
format = "rfc3339"        # or codes of strptime, such as "%d.%m.%Y %H:%M"
zone = "Europe/Berlin"    # if the format has no offset
```

Each key has one meaning, so that a key that is unknown, missing or superfluous is an error.

Source: Python's documentation, tomllib and datetime (`strptime`); ISO 4217, by `ledger.currencies`.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from ledger.amounts import minor_unit
from ledger.entry import KINDS
from ledger.timestamps import utc_timestamp
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine, UnreadableReportError
from ledger_cli.books.reports.rows import CURRENCY, Columns, Row, Table, exact, one_line, opened
from ledger_cli.books.reports.times import FIRST_YEAR, LAST_YEAR, Clock, with_offset, zone_of

MAX_MAPPING_BYTES = 1 << 16

COLUMN_KEYS = ("id", "entry_id", "amount", "debit", "credit", "currency", "type", "time", "identity")
KEYS: Mapping[str, tuple[str, ...]] = {
    "columns": COLUMN_KEYS,
    "types": (),
    "amount": ("unit", "currency", "decimal_mark", "grouping", "sign"),
    "time": ("format", "zone"),
}
"""Tables of a mapping and their keys. The keys of `types` are the file's own words."""

RFC_3339 = "rfc3339"
STRPTIME = re.compile(r"(?:[^%]|%[aAbBdfHIjmMpSyYz])+")
"""For `fullmatch`: text with codes of strptime that depend on no setting of the machine."""

HOUR = re.compile("%[HI]")

UNITS = ("major", "minor")
DECIMAL_MARKS = (".", ",")
GROUPINGS = (".", ",", "'", "’", " ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}")
SIGNS = ("as_written", "by_kind")

LINE_KINDS: Mapping[str, tuple[str, int]] = {
    "Payment": ("Payment", 1),
    "Captured": ("Payment", 1),
    "Refunded": ("Refunded", -1),
    "RefundFailed": ("RefundFailed", 1),
    "Disputed": ("Disputed", -1),
    "DisputeWon": ("DisputeWon", 1),
    NO_PAYMENT: (NO_PAYMENT, 1),
}
"""Kind of a line for each kind that a mapping may give, and the sign that `by_kind` gives its amount."""

ZERO = Decimal(0)


class Mapped(NamedTuple):
    """A mapping that was read.

    Attributes:
        columns: the file's column for each key that the mapping gives.
        types: the kind of a line, and its sign, for each type of the file.
        is_minor: whether amounts are whole numbers of the smallest unit.
        currency: the currency of all rows; None if a column has it.
        decimal_mark: what precedes the decimals.
        grouping: what groups the digits by three; empty if nothing does.
        is_signed_by_kind: whether the kind gives the sign.
        time_format: `RFC_3339`, or codes of strptime.
        zone: the zone of times without an offset.
    """

    columns: Mapping[str, str]
    types: Mapping[str, tuple[str, int]]
    is_minor: bool
    currency: str | None
    decimal_mark: str
    grouping: str
    is_signed_by_kind: bool
    time_format: str
    zone: ZoneInfo | None


def read(path: Path, *, mapping: Path, zone: str | None = None) -> Report:
    """Return a report as its mapping describes it.

    Args:
        path: the file.
        mapping: the TOML file.
        zone: the zone of times without an offset, if the mapping gives none.

    Raises:
        UnreadableReportError: the mapping is wrong, or the file does not fit it.
    """
    mapped = read_mapping(mapping, zone)
    title = f"the CSV file that {mapping} describes"
    columns = Columns("csv", title, tuple(dict.fromkeys(mapped.columns.values())), (), "give decimal_mark and grouping")
    with opened(path) as lines:
        clock = Clock()
        read_lines = [_line(row, mapped, clock) for row in Table(lines, columns)]
        return Report(read_lines, clock.notes())


def read_mapping(path: Path, zone: str | None = None) -> Mapped:
    """Return a mapping.

    Args:
        path: the TOML file.
        zone: the zone of times without an offset, if the mapping gives none.

    Raises:
        UnreadableReportError: the file is not TOML, or a key is unknown, missing, superfluous or has another type. The
            message names the key.
    """
    tables = _Tables(path)
    columns = {key: tables.text("columns", key) for key in COLUMN_KEYS if tables.has("columns", key)}
    for key in ("id", "type"):
        if key not in columns:
            tables.fail(f"the key columns.{key} is missing")
    has_amount, has_sides = "amount" in columns, {"debit", "credit"} & columns.keys()
    if has_amount == bool(has_sides) or len(has_sides) == 1:
        tables.fail("give either columns.amount, or both columns.debit and columns.credit")
    currency = tables.text("amount", "currency") if tables.has("amount", "currency") else None
    if (currency is None) == ("currency" not in columns):
        tables.fail("give either columns.currency or amount.currency")
    if currency is not None and not CURRENCY.fullmatch(currency):
        tables.fail("the key amount.currency must be a currency's code of three letters")
    is_minor = tables.choice("amount", "unit", UNITS) == "minor"
    for key in ("decimal_mark", "grouping"):
        if is_minor and tables.has("amount", key):
            tables.fail(f"the key amount.{key} is superfluous: whole numbers have none")
    mark = tables.choice("amount", "decimal_mark", DECIMAL_MARKS)
    grouping = tables.choice("amount", "grouping", GROUPINGS) if tables.has("amount", "grouping") else ""
    if mark == grouping:
        tables.fail("the keys amount.decimal_mark and amount.grouping must differ")
    is_by_kind = tables.choice("amount", "sign", SIGNS) == "by_kind"
    if is_by_kind and has_sides:
        tables.fail("the key amount.sign is superfluous: the columns debit and credit give the sign")
    return Mapped(
        columns,
        tables.types(),
        is_minor,
        None if currency is None else currency.upper(),
        mark,
        grouping,
        is_by_kind,
        *_time(tables, columns, zone),
    )


def _time(tables: "_Tables", columns: Mapping[str, str], zone: str | None) -> tuple[str, ZoneInfo | None]:
    """Return the format of times, and the zone of those without an offset."""
    has_zone = tables.has("time", "zone")
    if "time" not in columns:
        if has_zone or tables.has("time", "format"):
            tables.fail("the table time is superfluous without the key columns.time")
        return RFC_3339, None
    if not tables.has("time", "format"):
        tables.fail("the key time.format is missing")
    time_format = tables.text("time", "format")
    if time_format != RFC_3339 and not STRPTIME.fullmatch(time_format):
        tables.fail("the key time.format must be rfc3339, or text with codes of strptime such as %Y-%m-%d %H:%M:%S")
    try:
        datetime.strptime("", time_format)  # noqa: DTZ007  # only the format is tried
    except re.error:
        tables.fail("the key time.format has a code twice")
    except ValueError:  # the format is one, and the text is none
        pass
    if time_format == RFC_3339 or "%z" in time_format:
        if has_zone:
            tables.fail("the key time.zone is superfluous: each time has its offset")
        if zone is not None:
            tables.fail("each time has its offset; leave --zone out")
        return time_format, None
    if has_zone:
        return time_format, zone_of(tables.text("time", "zone"), f"{tables.path}: time.zone")
    if zone is None:
        tables.fail("the key time.zone is missing; give it, or --zone")
    return time_format, zone_of(zone, "--zone")


class _Tables:
    """The tables of a mapping's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                content = file.read(MAX_MAPPING_BYTES + 1)
        except OSError as error:
            self.fail(f"cannot be read: {error.strerror or type(error).__name__}")
        if len(content) > MAX_MAPPING_BYTES:
            self.fail(f"the file has more than {MAX_MAPPING_BYTES:,} bytes, so it is not a mapping")
        try:
            self._tables: dict[str, Any] = tomllib.loads(content.decode())
        except UnicodeDecodeError:
            self.fail("this is not UTF-8, which TOML is")
        except RecursionError:
            self.fail("this is nested too deep")
        except tomllib.TOMLDecodeError as error:
            self.fail(f"this is not TOML: {' '.join(str(error).split())}")
        self._check_keys()

    def _check_keys(self) -> None:
        for name, table in self._tables.items():
            if name not in KEYS:
                self.fail(f"unknown key {name}; the tables are {', '.join(KEYS)}")
            if not isinstance(table, dict):
                self.fail(f"the key {name} must be a table: [{name}]")
            unknown = [key for key in table if KEYS[name] and key not in KEYS[name]]
            if unknown:
                self.fail(f"unknown key {name}.{unknown[0]}; the keys of {name} are {', '.join(KEYS[name])}")
        for name in ("columns", "types"):
            if not self._tables.get(name):
                self.fail(f"the table {name} is missing or empty")

    def fail(self, message: str) -> NoReturn:
        """Raise an error that names the file."""
        raise UnreadableReportError(one_line(f"{self.path}: {message}")) from None

    def has(self, table: str, key: str) -> bool:
        """Return whether the mapping gives a key."""
        return key in self._tables.get(table, {})

    def text(self, table: str, key: str) -> str:
        """Return the text of a key.

        Raises:
            UnreadableReportError: its value has another type, or is empty.
        """
        value = self._tables[table][key]
        if not isinstance(value, str) or not value:
            self.fail(f"the key {table}.{key} must be text that is not empty")
        return value

    def choice(self, table: str, key: str, choices: tuple[str, ...]) -> str:
        """Return one of a key's values; the first if the mapping does not give the key.

        Raises:
            UnreadableReportError: the value is none of them.
        """
        if not self.has(table, key):
            return choices[0]
        value = self.text(table, key)
        if value not in choices:
            self.fail(f"the key {table}.{key} must be one of {' '.join(map(repr, choices))}")
        return value

    def types(self) -> dict[str, tuple[str, int]]:
        """Return the kind and the sign of each type.

        Raises:
            UnreadableReportError: a kind is unknown, or moves no money.
        """
        for key in self._tables["types"]:
            kind = self.text("types", key)
            if kind in KINDS and kind not in LINE_KINDS:
                self.fail(f"the kind {kind} of types.{key} moves no money, so no line of a report has it")
            if kind not in LINE_KINDS:
                self.fail(f"the kind of types.{key} must be one of {', '.join(LINE_KINDS)}")
        return {key: LINE_KINDS[kind] for key, kind in self._tables["types"].items()}


def _line(row: Row, mapped: Mapped, clock: Clock) -> ReportLine:
    columns = mapped.columns
    type_ = row[columns["type"]]
    kind, sign = mapped.types.get(type_, (UNKNOWN_TYPE, 1))
    timestamp = _timestamp(row, mapped, clock)
    currency = mapped.currency or row.currency(columns["currency"])
    amount = _amount(row, mapped, currency, timestamp)
    if mapped.is_signed_by_kind and kind not in {NO_PAYMENT, UNKNOWN_TYPE}:
        if amount < ZERO:
            message = "the amount has a sign, although amount.sign is by_kind; give as_written"
            raise row.error(message, columns["amount"])
        amount *= sign
    is_known = kind != NO_PAYMENT
    return ReportLine(
        row.number,
        intern(type_),
        kind,
        row.id(columns["id"]) if is_known else None,
        row.id(columns["entry_id"]) if is_known and "entry_id" in columns else None,
        amount,
        intern(currency),
        timestamp,
        (row[columns["identity"]] or None) if "identity" in columns else None,
    )


def _amount(row: Row, mapped: Mapped, currency: str, timestamp: str | None) -> Decimal:
    """Return the amount that the row adds to the balance."""
    if "amount" in mapped.columns:
        return _number(row, mapped, mapped.columns["amount"], currency, timestamp)
    total = ZERO
    debit, credit = mapped.columns["debit"], mapped.columns["credit"]
    if not row[debit] and not row[credit]:
        raise row.error(f"neither {debit} nor {credit} has an amount")
    for column, sign in ((debit, -1), (credit, 1)):
        if row[column]:
            side = _number(row, mapped, column, currency, timestamp)
            if side < ZERO:
                raise row.error("a debit or a credit has a sign", column)
            total += side * sign
    return total


def _number(row: Row, mapped: Mapped, column: str, currency: str, timestamp: str | None) -> Decimal:
    """Return an exact number in major units."""
    if mapped.is_minor:
        if not re.fullmatch("-?[0-9]+", row[column]):
            raise row.error("this is not a whole number, although amount.unit is minor", column)
        decimals = minor_unit(currency, timestamp)
        if decimals is None:
            raise row.error("ISO 4217 gives this currency no minor unit; give amount.unit as major", column)
        return exact(row[column], row, column).scaleb(-decimals)
    if mapped.decimal_mark == "." and not mapped.grouping:
        return row.amount(column)
    mark, grouping = re.escape(mapped.decimal_mark), re.escape(mapped.grouping)
    grouped = f"[0-9]{{1,3}}(?:{grouping}[0-9]{{3}})+|" if grouping else ""
    if not re.fullmatch(f"-?(?:{grouped}[0-9]+)(?:{mark}[0-9]+)?", row[column]):
        message = "this is empty" if not row[column] else "this is not a number with this decimal_mark and grouping"
        raise row.error(message, column)
    text = row[column].replace(mapped.grouping, "") if grouping else row[column]
    text = text.replace(mapped.decimal_mark, ".")
    return exact(text, row, column)


def _timestamp(row: Row, mapped: Mapped, clock: Clock) -> str | None:
    """Return the time of a row; None if there is no column of it, the field is empty, or the hour is ambiguous."""
    column = mapped.columns.get("time")
    if column is None or not row[column]:
        return None
    if mapped.time_format == RFC_3339:
        return with_offset(row, column)
    try:
        moment = datetime.strptime(row[column], mapped.time_format)  # noqa: DTZ007  # the zone follows
    except ValueError:
        raise row.error("this is not a time of the format time.format", column) from None
    if moment.tzinfo is None and mapped.zone is not None:
        if not HOUR.search(mapped.time_format):  # a day, which begins even if the clocks change at midnight
            return utc_timestamp(moment.replace(tzinfo=mapped.zone).astimezone(UTC).isoformat())
        return clock.moment(row, column, moment, mapped.zone)
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise row.error("the time is out of range", column)
    return utc_timestamp(moment.astimezone(UTC).isoformat())
