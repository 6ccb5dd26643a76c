"""What all readers of reports have in common: they read a report as it is, or reject it in one clear line."""

import time
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import KINDS
from ledger.fields import IDENTIFIER
from ledger.timestamps import utc_timestamp
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, UnreadableReportError
from ledger_cli.books.reports import FORMATS, read_report, rows
from ledger_cli.books.reports.rows import Columns, Table, named_lines, opened
from tests.support.reports import (
    FOLDER,
    SAMPLES,
    TABLES,
    Sample,
    as_csv,
    each_format,
    each_table,
    rejection,
    rows_of,
    written,
)


def test_each_format_has_a_sample() -> None:
    """A user tries a format with it, and the tests below are about all of them."""
    assert [sample.format for sample in SAMPLES] == [*FORMATS]


@each_format
def test_a_sample_is_read_in_the_ledgers_terms(sample: Sample) -> None:
    """The matcher compares these lines with records of the contract."""
    report = sample.read()
    assert report.notes == []
    assert {line.kind for line in report.lines} >= {"Payment", "Refunded", NO_PAYMENT}
    for line in report.lines:
        assert line.kind in {"Payment", NO_PAYMENT, *KINDS}
        assert line.timestamp == utc_timestamp(line.timestamp)
        assert line.transaction_id is None or IDENTIFIER.fullmatch(line.transaction_id)
        assert (line.transaction_id is None) == (line.kind == NO_PAYMENT)
        assert (line.amount < 0) or line.kind not in {"Refunded", "Disputed"}
        assert isinstance(line.amount, Decimal)


@each_format
def test_each_line_has_the_number_of_its_row(sample: Sample) -> None:
    """A person looks the line up in an editor."""
    physical = sample.content.decode().splitlines()
    for line in sample.read().lines:
        assert line.type in physical[line.number - 1]


@each_table
def test_a_report_that_is_cut_off_is_rejected_or_has_fewer_rows(sample: Sample, tmp_path: Path) -> None:
    """A row that lost its end may have lost the end of an amount. Only a cut between two rows leaves no trace."""
    whole, content = sample.read(), sample.content
    for end in range(len(content)):
        path = written(tmp_path, content[:end])
        try:
            report = sample.read(path)
        except UnreadableReportError:
            continue
        assert content[:end].endswith(b"\n")
        assert report.lines == whole.lines[: len(report.lines)]
        assert len(report.lines) == content[:end].count(b"\n") - 1


def test_a_report_with_control_totals_that_is_cut_off_is_always_rejected(tmp_path: Path) -> None:
    """Its last row counts the transactions, so that a missing one is noticed."""
    (sample,) = (sample for sample in SAMPLES if sample.format == "paypal")
    content = sample.content
    assert content.endswith(b'"FF",7\r\n')
    for end in range(len(content) - 2):
        path = written(tmp_path, content[:end])
        rejection(lambda path=path: sample.read(path), path)
    for end in (len(content) - 2, len(content) - 1):
        path = written(tmp_path, content[:end])
        assert sample.read(path) == sample.read()


@each_format
def test_the_form_of_the_file_does_not_matter(sample: Sample, tmp_path: Path) -> None:
    """A byte order mark comes from Windows, and line breaks from whatever saved the report."""
    unix = sample.content.replace(b"\r\n", b"\n")
    for line_break in (b"\n", b"\r\n"):
        for mark in (b"", b"\xef\xbb\xbf"):
            for end in (b"", line_break, line_break * 3):
                path = written(tmp_path, mark + unix.replace(b"\n", line_break) + end)
                assert sample.read(path) == sample.read()


@each_format
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_header_decides_what_delimits_fields(sample: Sample, delimiter: str, tmp_path: Path) -> None:
    """A spreadsheet saves with the delimiter of its language."""
    path = written(tmp_path, as_csv(rows_of(sample), delimiter))
    assert sample.read(path) == sample.read()


@given(data=st.data())
def test_columns_may_stand_in_any_order_beside_unknown_ones(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The user of a report chooses its columns."""
    sample = data.draw(st.sampled_from(TABLES))
    unknown = data.draw(
        st.lists(st.text(min_size=1).filter(lambda name: not set(name) & set('\0\r\n",;\t')), unique=True)
    )
    header, *rows = rows_of(sample)
    unknown = [name for name in unknown if name not in header and name.isprintable()]
    values = [data.draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]))) for _ in unknown]
    order = data.draw(st.permutations(range(len(header) + len(unknown))))
    table = [[*header, *unknown], *([*row, *values] for row in rows)]
    path = written(tmp_path_factory.getbasetemp(), as_csv([[row[position] for position in order] for row in table]))
    assert sample.read(path) == sample.read()


@each_table
def test_a_field_may_have_line_breaks_and_delimiters_in_quotes(sample: Sample, tmp_path: Path) -> None:
    """A description is text of a customer. The rows after it keep their physical lines."""
    header, *rows = rows_of(sample)
    rows[0] = [*rows[0], 'two\nlines, "quoted"; and\tmore\r\n']
    table = [[*header, "a column,\nin two lines"], rows[0], *([*row, ""] for row in rows[1:])]
    report = sample.read(written(tmp_path, as_csv(table)))
    assert [line.number for line in report.lines] == [3, *range(6, 6 + len(rows) - 1)]
    assert [line._replace(number=0) for line in report.lines] == [
        line._replace(number=0) for line in sample.read().lines
    ]


@each_table
def test_a_row_with_too_few_or_too_many_fields_is_rejected(sample: Sample, tmp_path: Path) -> None:
    """A field may have moved, so that no field of the row is certain."""
    header, first, *rows = rows_of(sample)
    for second, fewer_or_more in ((rows[0][:-1], "cut off"), ([*rows[0], ""], "fields")):
        path = written(tmp_path, as_csv([header, first, second, *rows[1:]]))
        message = rejection(lambda path=path: sample.read(path), path)
        assert message.startswith(f"line 3: the row has {len(second)} fields")
        assert fewer_or_more in message


@each_table
def test_missing_columns_are_named_at_once(sample: Sample, tmp_path: Path) -> None:
    """A user adds all of them in one go."""
    path = written(tmp_path, b"one,other\n1,2\n")
    message = rejection(lambda: sample.read(path), path)
    assert message.startswith(f"this is not {sample.title}")
    header, *rows = rows_of(sample)
    gone = {"stripe": ["gross", "net"], "adyen": ["TimeZone", "Type"], "csv": ["Type", "Amount"]}[sample.format]
    kept = [position for position, name in enumerate(header) if name not in gone]
    path = written(tmp_path, as_csv([[row[position] for position in kept] for row in [header, *rows]]))
    message = rejection(lambda: sample.read(path), path)
    assert {*message.partition("it has no column ")[2].split(", ")} == {*gone}


@each_table
def test_a_column_that_is_there_twice_is_rejected(sample: Sample, tmp_path: Path) -> None:
    """Nothing says which of the two is right."""
    header, *rows = rows_of(sample)
    path = written(tmp_path, as_csv([[*row, row[2]] for row in [header, *rows]]))
    message = rejection(lambda: sample.read(path), path)
    assert message.endswith(f" stands at positions 3 and {len(header) + 1}")


@pytest.mark.parametrize("other", SAMPLES, ids=lambda sample: f"as-{sample.format}")
@each_format
def test_a_report_of_another_format_is_rejected(sample: Sample, other: Sample) -> None:
    """A wrong option must not become a wrong match. If the report is recognised, the message says what to give."""
    if sample is other:
        return
    message = rejection(lambda: other.read(sample.path), sample.path)
    assert message.startswith(f"this is not {other.title}")
    assert message.endswith(f"give --format {sample.format}") == (sample.format != "csv")


@each_format
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:0], "the file is empty"),
        (lambda content: content[:0] + b"\n\r\n\n", "the file is empty"),
        (lambda content: content + b"\0", "has a NUL byte"),
        (lambda content: content.replace(b"2026", b"20\x0026", 1), "has a NUL byte"),
        (lambda content: content + b'"' + b"x" * 200_000 + b'"\n', "a field has more than 131,072 characters"),
        (lambda content: content[:0] + b"x" * (2 << 20), "more than 1,048,576 bytes"),
        (lambda content: content + b"\xe9\n", "is not UTF-8"),
        (lambda content: content.decode().encode("utf-16"), "this is UTF-16 and not UTF-8"),
        (lambda content: content + b'"', "a quoted field does not end"),
        (lambda content: content + b'"a"b\n', "text follows the closing quote"),
        (lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r"), ""),
    ],
)
def test_what_is_not_csv_in_utf_8_is_rejected(
    sample: Sample, spoil: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """Nothing is guessed about a file whose bytes are not those of a report."""
    path = written(tmp_path, spoil(sample.content))
    assert message in rejection(lambda: sample.read(path), path)


@each_format
def test_a_file_has_a_bounded_size(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file, such as a backup, ends with a message and not with the machine's memory."""
    size = len(sample.content)
    monkeypatch.setattr(rows, "MAX_FILE_BYTES", size)
    assert sample.read()
    monkeypatch.setattr(rows, "MAX_FILE_BYTES", size - 1)
    assert rejection(sample.read, sample.path) == f"the file has more than {size - 1:,} bytes; split the report by days"


@each_table
def test_the_first_row_may_have_line_breaks_within_limits(sample: Sample, tmp_path: Path) -> None:
    """A quote that never closes would make one row of the whole file."""
    path = written(tmp_path, b'"' + b"line\n" * 5_000)
    assert rejection(lambda: sample.read(path), path) == "a quoted field of the first row does not end"


def test_a_file_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    """The operating system's own words say why."""
    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        assert rejection(lambda path=path: read_report(path, "stripe"), path) == f"cannot be read: {why}"


def test_the_name_of_a_file_cannot_break_the_line(tmp_path: Path) -> None:
    """A message is one line, whatever a file is called."""
    path = tmp_path / "a\nb\x1b[0m"
    with pytest.raises(UnreadableReportError) as raised:
        read_report(path, "stripe")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("format_name", "options", "message"),
    [
        ("sripe", {}, "unknown format of a report; give one of stripe, adyen, paypal, csv"),
        ("paypal", {"zone": "UTC"}, "each time of the format paypal has its offset; leave --zone out"),
        ("csv", {}, "the format csv needs a mapping; give --mapping FILE.toml"),
        ("adyen", {"mapping": Path("m.toml")}, "the format adyen has no mapping; leave --mapping out"),
    ],
)
def test_an_option_that_does_not_fit_the_format_is_rejected(
    format_name: str, options: dict[str, Any], message: str
) -> None:
    """An option without effect would be taken for one that had it."""
    with pytest.raises(UnreadableReportError, match=message):
        read_report(FOLDER / "stripe.csv", format_name, **options)


def test_a_report_without_its_first_row_is_rejected(tmp_path: Path) -> None:
    """A user may have saved the rows alone."""
    path = written(tmp_path, SAMPLES[0].content.partition(b"\n")[2])
    assert "it has no column balance_transaction_id" in rejection(lambda: read_report(path, "stripe"), path)


def test_lines_are_named_until_there_are_too_many() -> None:
    """A note stays one line that a person can read."""
    assert named_lines([4]) == "line 4"
    assert named_lines([4, 7, 9]) == "lines 4, 7 and 9"
    assert named_lines(range(1, 11)).endswith("9 and 10")
    assert named_lines(range(1, 2012)) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2,001 more"


def test_rows_take_memory_of_one_row_and_time_in_proportion(tmp_path: Path) -> None:
    """A month of a large merchant has a million rows."""
    paths = {
        count: written(tmp_path, "id,text\n" + "1,some text of a row\n" * count, f"{count}")
        for count in (10_000, 100_000)
    }
    seconds = {}
    for count, path in paths.items():
        before = time.process_time()
        assert _count(path) == count
        seconds[count] = time.process_time() - before
    assert seconds[100_000] < 30 * seconds[10_000]
    tracemalloc.start()
    assert _count(paths[100_000]) == 100_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def _count(path: Path) -> int:
    with opened(path) as lines:
        return sum(1 for _ in Table(lines, Columns("csv", "a table", ("id", "text"))))


def test_a_hundred_thousand_lines_are_read_in_seconds(tmp_path: Path) -> None:
    """The whole reconciliation has thirty seconds for as many."""
    header, charge, *_ = SAMPLES[0].content.decode().splitlines()
    lines = [charge.replace("_3SampleLedger000000000000", f"_{number}") for number in range(100_000)]
    path = written(tmp_path, "\n".join([header, *lines, ""]))
    before = time.process_time()
    report = read_report(path, "stripe")
    assert time.process_time() - before < 20
    assert len(report.lines) == 100_000
    assert len({line.identity for line in report.lines}) == 100_000


def test_an_unknown_type_is_named_and_not_guessed(tmp_path: Path) -> None:
    """A processor adds types. A person decides about each, and the rest of the report can be matched."""
    for sample, known, unknown in (
        (SAMPLES[0], b",topup,", b",top_up,"),
        (SAMPLES[1], b",DepositCorrection,", b",DepositCorrected,"),
        (SAMPLES[2], b'"T0400"', b'"T9900"'),
        (SAMPLES[3], b";Fee;", b";Fees;"),
    ):
        content = sample.content
        assert content.count(known) == 1
        path = written(tmp_path, content.replace(known, unknown))
        kinds = {line.type: line.kind for line in sample.read(path).lines}
        assert [kind for kind in kinds.values() if kind == UNKNOWN_TYPE] == [UNKNOWN_TYPE]
        assert kinds[unknown.decode().strip(',;"')] == UNKNOWN_TYPE
