"""Any CSV with a mapping: what a mapping may say, and how its amounts, types and times are read."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, UnreadableReportError
from ledger_cli.books.reports import mapped_csv, read_report
from ledger_cli.books.reports.mapped_csv import read_mapping
from tests.support.reports import FOLDER, rejection, written

MAPPING = """
[columns]
id = "ID"
entry_id = "Entry"
amount = "Sum"
currency = "Cur"
type = "What"
time = "When"
identity = "Row"
[types]
sale = "Payment"
part = "Captured"
back = "Refunded"
"back again" = "RefundFailed"
fight = "Disputed"
won = "DisputeWon"
fee = "no_payment"
[amount]
[time]
format = "rfc3339"
"""
HEADER = "ID,Entry,Sum,Cur,What,When,Row"
ROW = "tx-1,e-1,10.50,eur,sale,2026-11-24T10:00:00+01:00,r1"


def read(folder: Path, *rows: str, mapping: str = MAPPING, header: str = HEADER, zone: str | None = None) -> Report:
    """Return the report with these rows."""
    path = written(folder, "\n".join([header, *rows, ""]))
    return read_report(path, "csv", mapping=written(folder, mapping, "m.toml"), zone=zone)


def rejected(folder: Path, *rows: str, mapping: str = MAPPING, header: str = HEADER) -> str:
    """Return why the report with these rows is rejected."""
    return rejection(lambda: read(folder, *rows, mapping=mapping, header=header), folder / "report.csv")


def changed(*changes: tuple[str, str]) -> str:
    """Return the mapping with other lines."""
    mapping = MAPPING
    for old, new in changes:
        assert old in mapping
        mapping = mapping.replace(old, new, 1)
    return mapping


def refused(folder: Path, mapping: str | bytes, zone: str | None = None) -> str:
    """Return why a mapping is rejected."""
    path = written(folder, mapping, "m.toml")
    return rejection(lambda: read_mapping(path, zone), path)


def test_a_row_is_read_as_the_mapping_says(tmp_path: Path) -> None:
    """Each column goes where the mapping puts it."""
    (line,) = read(tmp_path, ROW).lines
    expected = (2, "sale", "Payment", "tx-1", "e-1", Decimal("10.50"), "EUR", "2026-11-24T09:00:00.000000Z", "r1")
    assert tuple(line) == (*expected, "Success", "")
    assert type(line.amount) is Decimal


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("sale", "Payment"),
        ("part", "Payment"),
        ("back", "Refunded"),
        ("back again", "RefundFailed"),
        ("fight", "Disputed"),
        ("won", "DisputeWon"),
        ("fee", NO_PAYMENT),
        ("Sale", UNKNOWN_TYPE),
        ("", UNKNOWN_TYPE),
    ],
)
def test_a_type_is_one_of_the_table_or_unknown(word: str, kind: str, tmp_path: Path) -> None:
    """A word that is only similar is another word."""
    (line,) = read(tmp_path, ROW.replace("sale", word)).lines
    assert (line.type, line.kind) == (word, kind)
    assert (line.transaction_id is None) == (line.entry_id is None) == (kind == NO_PAYMENT)


def test_optional_columns_may_be_absent_or_empty(tmp_path: Path) -> None:
    """Not every report has a time or an ID of a refund."""
    (line,) = read(tmp_path, "tx-1,,10.50,eur,sale,,").lines
    assert (line.entry_id, line.timestamp, line.identity) == (None, None, None)
    mapping = changed(
        ('entry_id = "Entry"', ""), ('time = "When"', ""), ('identity = "Row"', ""), ('format = "rfc3339"', "")
    )
    assert read(tmp_path, "tx-1,10.50,eur,sale", mapping=mapping, header="ID,Sum,Cur,What").lines == [line]


@pytest.mark.parametrize(
    ("mark", "grouping", "text", "amount"),
    [
        (".", None, "1234.56", "1234.56"),
        (".", None, "-.5", "-0.5"),
        (",", None, "1234,56", "1234.56"),
        (",", ".", "1.234,56", "1234.56"),
        (",", ".", "-1.234.567", "-1234567"),
        (",", ".", "1234,5", "1234.5"),
        (".", ",", '"1,234.56"', "1234.56"),
        (".", ",", "123", "123"),
        (".", "'", "12'345.60", "12345.60"),
        (",", "\N{NARROW NO-BREAK SPACE}", "12\N{NARROW NO-BREAK SPACE}345,60", "12345.60"),
        (",", None, "-0,00", "0.00"),
    ],
)
def test_a_number_has_the_marks_of_the_mapping(
    mark: str, grouping: str | None, text: str, amount: str, tmp_path: Path
) -> None:
    """The mapping declares them, so that nothing is guessed."""
    marks = f'decimal_mark = "{mark}"' + ("" if grouping is None else f'\ngrouping = "{grouping}"')
    row = ROW.replace("10.50", text if '"' in text else f'"{text}"')
    (line,) = read(tmp_path, row, mapping=changed(("[amount]", f"[amount]\n{marks}"))).lines
    assert str(line.amount) == amount


@pytest.mark.parametrize(
    ("mark", "grouping", "text"),
    [
        (".", "", "1,234.56"),
        (".", "", "1.234,56"),
        (",", "", "1234.56"),
        (",", ".", "12.34"),
        (",", ".", "1.2345"),
        (",", ".", ".234,56"),
        (",", ".", "1,234.56"),
        (",", "", "1,"),
        (",", "", ""),
        (",", "", "1e5"),
        (",", "", "1,5 EUR"),
    ],
)
def test_a_number_with_other_marks_is_rejected(mark: str, grouping: str, text: str, tmp_path: Path) -> None:
    """Two digits after a mark that groups three are not a group."""
    marks = f'decimal_mark = "{mark}"' + (f'\ngrouping = "{grouping}"' if grouping else "")
    row = ROW.replace("10.50", f'"{text}"')
    message = rejected(tmp_path, row, mapping=changed(("[amount]", f"[amount]\n{marks}")))
    assert message.startswith("line 2, column Sum: ")
    assert "decimal_mark and grouping" in message or "empty" in message


@pytest.mark.parametrize(
    ("currency", "text", "amount"),
    [("EUR", "1050", "10.50"), ("JPY", "1050", "1050"), ("KWD", "-1050", "-1.050"), ("CLF", "1050", "0.1050")],
)
def test_a_whole_number_has_the_decimals_of_its_currency(currency: str, text: str, amount: str, tmp_path: Path) -> None:
    """ISO 4217 says how many they are."""
    mapping = changed(("[amount]", '[amount]\nunit = "minor"'))
    (line,) = read(tmp_path, ROW.replace("10.50", text).replace("eur", currency), mapping=mapping).lines
    assert str(line.amount) == amount


def test_a_whole_number_needs_a_currency_with_a_minor_unit(tmp_path: Path) -> None:
    """Gold has none, and XYZ is no currency."""
    mapping = changed(("[amount]", '[amount]\nunit = "minor"'))
    for currency in ("XAU", "XYZ"):
        row = ROW.replace("10.50", "1050").replace("eur", currency)
        assert "ISO 4217 gives this currency no minor unit" in rejected(tmp_path, row, mapping=mapping)
    assert "not a whole number" in rejected(tmp_path, ROW, mapping=mapping)


SIDES = changed(('amount = "Sum"', 'debit = "Out"\ncredit = "In"'))
SIDES_HEADER = HEADER.replace("Sum", "Out,In")


@pytest.mark.parametrize(
    ("debit", "credit", "amount"),
    [("", "10.50", "10.50"), ("10.50", "", "-10.50"), ("0.50", "11", "10.50"), ("0", "0", "0")],
)
def test_a_debit_is_negative(debit: str, credit: str, amount: str, tmp_path: Path) -> None:
    """Two columns stand for one with signs."""
    (line,) = read(tmp_path, ROW.replace("10.50", f"{debit},{credit}"), mapping=SIDES, header=SIDES_HEADER).lines
    assert line.amount == Decimal(amount)


def test_a_debit_without_an_amount_or_with_a_sign_is_rejected(tmp_path: Path) -> None:
    """A negative debit is a debit in one report, and a credit in another."""
    for sides, message in (
        (",", "neither Out nor In has an amount"),
        ("-1,", "column Out: a debit or a credit has a sign"),
    ):
        row = ROW.replace("10.50", sides)
        assert message in rejected(tmp_path, row, mapping=SIDES, header=SIDES_HEADER)


def test_the_kind_gives_the_sign_if_the_mapping_says_so(tmp_path: Path) -> None:
    """Some reports have amounts without signs. A fee stays as it is written, for it has no kind."""
    mapping = changed(("[amount]", '[amount]\nsign = "by_kind"'))
    words = {"sale": 1, "part": 1, "back": -1, "back again": 1, "fight": -1, "won": 1, "fee": 1}
    lines = read(tmp_path, *(ROW.replace("sale", word) for word in words), mapping=mapping).lines
    assert [line.amount for line in lines] == [Decimal("10.50") * sign for sign in words.values()]
    negative = ROW.replace("10.50", "-10.50")
    assert "the amount has a sign" in rejected(tmp_path, negative, mapping=mapping)
    for word in ("fee", "unknown"):
        assert read(tmp_path, negative.replace("sale", word), mapping=mapping).lines[0].amount == Decimal("-10.50")


def test_a_mapping_of_two_values_that_exclude_each_other_is_rejected(tmp_path: Path) -> None:
    """Each of the two keys is right alone."""
    by_kind = SIDES.replace("[amount]", '[amount]\nsign = "by_kind"')
    assert refused(tmp_path, by_kind).startswith("the key amount.sign is superfluous: the columns debit and credit")
    euro = changed(('currency = "Cur"', ""), ("[amount]", '[amount]\ncurrency = "Euro"'))
    assert refused(tmp_path, euro) == "the key amount.currency must be a currency's code of three letters"


def test_one_currency_may_be_that_of_all_rows(tmp_path: Path) -> None:
    """A report of one account often has no column of it."""
    mapping = changed(('currency = "Cur"', ""), ("[amount]", '[amount]\ncurrency = "eur"'))
    (line,) = read(tmp_path, ROW.replace("eur", "not read"), mapping=mapping).lines
    assert line.currency == "EUR"


@pytest.mark.parametrize(
    ("time_format", "zone", "text", "timestamp"),
    [
        ("%d.%m.%Y %H:%M", "Europe/Berlin", "24.07.2026 10:00", "2026-07-24T08:00:00.000000Z"),
        ("%m/%d/%Y %I:%M %p", "America/New_York", "07/24/2026 10:00 PM", "2026-07-25T02:00:00.000000Z"),
        ("%Y%m%dT%H%M%S%z", None, "20260724T100000+0200", "2026-07-24T08:00:00.000000Z"),
        ("%Y-%m-%d", "UTC", "2026-07-24", "2026-07-24T00:00:00.000000Z"),
        ("%Y-%m-%d %H:%M:%S.%f", "UTC", "2026-07-24 10:00:00.25", "2026-07-24T10:00:00.250000Z"),
        ("%d.%m.%Y %H:%M", "Europe/Berlin", "25.10.2026 02:30", None),
    ],
)
def test_a_time_has_the_format_and_the_zone_of_the_mapping(
    time_format: str, zone: str | None, text: str, timestamp: str | None, tmp_path: Path
) -> None:
    """An hour that comes twice has no time, and the note says so."""
    row = ROW.replace("2026-11-24T10:00:00+01:00", text)
    given = changed(('"rfc3339"', f'"{time_format}"' + (f'\nzone = "{zone}"' if zone else "")))
    report = read(tmp_path, row, mapping=given)
    assert report.lines[0].timestamp == timestamp
    assert len(report.notes) == (timestamp is None)
    if zone:
        assert read(tmp_path, row, mapping=changed(('"rfc3339"', f'"{time_format}"')), zone=zone) == report


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("rfc3339", "2026-11-24 10:00:00"),
        ("rfc3339", "2026-11-24T10:00:00"),
        ('%Y-%m-%d"\nzone = "UTC', "24.11.2026"),
        ('%Y-%m-%d"\nzone = "UTC', "2026-02-30"),
        ('%H:%M"\nzone = "UTC', "10:00"),
        ('%Y-%m-%d %H:%M"\nzone = "Europe/Berlin', "2026-03-29 02:30"),
        ("%Y-%m-%d%z", "9999-12-31-0100"),
    ],
)
def test_a_time_of_another_form_is_rejected(time_format: str, text: str, tmp_path: Path) -> None:
    """A time without a date, or that no clock showed, would be a guess."""
    row = ROW.replace("2026-11-24T10:00:00+01:00", text)
    message = rejected(tmp_path, row, mapping=changed(('"rfc3339"', f'"{time_format}"')))
    assert message.startswith("line 2, column When: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "ID"', "", "the key columns.id is missing"),
        ('type = "What"', "", "the key columns.type is missing"),
        ('id = "ID"', "id = 7", "the key columns.id must be text that is not empty"),
        ('id = "ID"', 'id = ""', "the key columns.id must be text that is not empty"),
        ('id = "ID"', 'ident = "ID"', "unknown key columns.ident; the keys of columns are id, entry_id, amount, debit"),
        ("[amount]", "[amounts]", "unknown key amounts; the tables are columns, types, amount, time"),
        ('amount = "Sum"', "", "give either columns.amount, or both columns.debit and columns.credit"),
        ('amount = "Sum"', 'debit = "Sum"', "give either columns.amount, or both columns.debit and columns.credit"),
        ('amount = "Sum"', 'amount = "Sum"\ndebit = "D"', "give either columns.amount, or both columns.debit"),
        ('currency = "Cur"', "", "give either columns.currency or amount.currency"),
        ("[amount]", '[amount]\ncurrency = "EUR"', "give either columns.currency or amount.currency"),
        ("[amount]", '[amount]\nunit = "cents"', "the key amount.unit must be one of 'major' 'minor'"),
        ("[amount]", '[amount]\ndecimal_mark = ";"', "the key amount.decimal_mark must be one of '.' ','"),
        ("[amount]", '[amount]\ngrouping = "."', "the keys amount.decimal_mark and amount.grouping must differ"),
        ("[amount]", '[amount]\ngrouping = "_"', "the key amount.grouping must be one of "),
        ("[amount]", '[amount]\nunit = "minor"\ngrouping = ","', "the key amount.grouping is superfluous"),
        ("[amount]", '[amount]\nsign = "kind"', "the key amount.sign must be one of 'as_written' 'by_kind'"),
        ("[amount]", "[amount]\nsign = true", "the key amount.sign must be text that is not empty"),
        ('sale = "Payment"', 'sale = "payment"', "the kind of types.sale must be one of Payment, Captured, Refunded"),
        ('sale = "Payment"', "sale = 1", "the key types.sale must be text that is not empty"),
        ('sale = "Payment"', 'sale = "Voided"', "the kind Voided of types.sale moves no money"),
        ('sale = "Payment"', 'sale = "DisputeLost"', "the kind DisputeLost of types.sale moves no money"),
        ('"rfc3339"', '"%Y %H %Q"', "the key time.format must be rfc3339, or text with codes of strptime"),
        ('"rfc3339"', '"%c"', "the key time.format must be rfc3339, or text with codes of strptime"),
        ('"rfc3339"', '"%Y-%m-%d %"', "the key time.format must be rfc3339, or text with codes of strptime"),
        ('"rfc3339"', '"rfc3339"\nzone = "UTC"', "the key time.zone is superfluous: each time has its offset"),
        ('"rfc3339"', '"%Y-%m-%d"', "the key time.zone is missing; give it, or --zone"),
        ('format = "rfc3339"', "", "the key time.format is missing"),
        ('time = "When"', "", "the table time is superfluous without the key columns.time"),
        ('id = "ID"', 'id = "ID', "this is not TOML: "),
        ('id = "ID"', 'id = "ID"\nid = "X"', "this is not TOML: "),
    ],
)
def test_a_mapping_that_is_wrong_names_the_key(old: str, new: str, message: str, tmp_path: Path) -> None:
    """A key that is only ignored would be taken for one that has an effect."""
    assert refused(tmp_path, changed((old, new))).startswith(message)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("", "the table columns is missing or empty"),
        ('[columns]\nid = "ID"\n', "the table types is missing or empty"),
        ("columns = 1\n", "the key columns must be a table: [columns]"),
        (b"\xff", "this is not UTF-8"),
        (b"#" * (1 << 17), "the file has more than 65,536 bytes"),
        ('"a\\nb" = 1\n', "unknown key a b; the tables are"),
    ],
)
def test_what_is_not_a_mapping_is_rejected(mapping: str | bytes, message: str, tmp_path: Path) -> None:
    """The message is one line, whatever the file has."""
    assert refused(tmp_path, mapping).startswith(message)


def test_a_mapping_that_is_absent_is_rejected(tmp_path: Path) -> None:
    """The operating system's own words say why."""
    path = tmp_path / "none.toml"
    assert rejection(lambda: read_mapping(path), path) == "cannot be read: No such file or directory"


def test_an_unknown_zone_names_its_place(tmp_path: Path) -> None:
    """It stands in the mapping or in the option."""
    with_zone = changed(('"rfc3339"', '"%Y-%m-%d"\nzone = "Mars/Base"'))
    assert refused(tmp_path, with_zone).startswith("time.zone: unknown time zone; ")
    with pytest.raises(UnreadableReportError, match=r"^--zone: unknown time zone; "):
        read_mapping(written(tmp_path, changed(('"rfc3339"', '"%Y-%m-%d"')), "m.toml"), "Mars/Base")


def test_the_modules_example_is_a_mapping(tmp_path: Path) -> None:
    """A user copies its keys. It gives a currency in both forms, and a user deletes one of them."""
    example = mapped_csv.__doc__.partition("```toml\n")[2].partition("```")[0]
    given: dict[str, Any] = tomllib.loads(example)
    assert {name: {*table} for name, table in given.items() if name != "types"} == {
        "columns": {*mapped_csv.COLUMN_KEYS} - {"debit", "credit"},
        "amount": {*mapped_csv.KEYS["amount"]},
        "time": {*mapped_csv.KEYS["time"]},
    }


def test_the_sample_reads_the_sample_payments() -> None:
    """The README's walk compares it with the payments of `events/start`."""
    report = read_report(FOLDER / "acme-pay.csv", "csv", mapping=FOLDER / "acme-pay.toml")
    sale, refund, *others = report.lines
    assert (sale.transaction_id, sale.amount, sale.currency) == ("txn-2026-0001", Decimal("129.90"), "EUR")
    assert (refund.entry_id, refund.amount) == ("re-2026-0001", Decimal("-29.90"))
    assert sum(line.amount for line in report.lines) == 0
    assert {line.kind for line in others} == {NO_PAYMENT}


def test_a_day_begins_even_if_the_clocks_change_at_midnight(tmp_path: Path) -> None:
    """In Cairo, the first hour of that day does not exist. A report of dates alone is right all the same."""
    mapping = changed(('"rfc3339"', '"%Y-%m-%d"\nzone = "Africa/Cairo"'))
    row = "tx-1,e-1,10.50,eur,sale,2026-04-24,r1"
    assert read(tmp_path, row, mapping=mapping).lines[0].timestamp == "2026-04-23T22:00:00.000000Z"


def test_a_format_with_a_code_twice_is_named(tmp_path: Path) -> None:
    """Python would raise an error of its own."""
    assert "the key time.format has a code twice" in refused(tmp_path, changed(('"rfc3339"', '"%d%d"')))


def test_a_mapping_that_is_nested_too_deep_is_named(tmp_path: Path) -> None:
    """Python reads it by recursion."""
    assert "this is nested too deep" in refused(tmp_path, f"a = {'[' * 5000}")


def test_a_zone_that_nothing_needs_is_named(tmp_path: Path) -> None:
    """It may be another one than that of the report."""
    assert "each time has its offset; leave --zone out" in refused(tmp_path, MAPPING, zone="UTC")
