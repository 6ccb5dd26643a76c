"""The sample reports, and what the tests of their readers share."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger_cli import ROOT
from ledger_cli.books.report import Report, UnreadableReportError
from ledger_cli.books.reports import read_report

FOLDER = ROOT / "events/reports"


class Sample(NamedTuple):
    """A sample report, and how it is read."""

    format: str
    path: Path
    options: dict[str, Any]
    title: str

    @property
    def content(self) -> bytes:
        """The file."""
        return self.path.read_bytes()

    def read(self, path: Path | None = None) -> Report:
        """Return the sample, or another file in its format."""
        return read_report(path or self.path, self.format, **self.options)


SAMPLES = (
    Sample("stripe", FOLDER / "stripe.csv", {}, "a Stripe report"),
    Sample("adyen", FOLDER / "adyen.csv", {}, "an Adyen settlement details report"),
    Sample("paypal", FOLDER / "paypal.csv", {}, "a PayPal report"),
    Sample("csv", FOLDER / "acme-pay.csv", {"mapping": FOLDER / "acme-pay.toml"}, "the CSV file that"),
)
TABLES = tuple(sample for sample in SAMPLES if sample.format != "paypal")
"""The formats that are one table."""

each_format = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.format)
each_table = pytest.mark.parametrize("sample", TABLES, ids=lambda sample: sample.format)


def rows_of(sample: Sample) -> list[list[str]]:
    """Return the rows of a sample, as Python reads them."""
    delimiter = ";" if sample.format == "csv" else ","
    return list(csv.reader(io.StringIO(sample.content.decode(), newline=""), delimiter=delimiter))


def as_csv(rows: Sequence[Sequence[str]], delimiter: str = ",", line_break: str = "\n") -> bytes:
    """Return rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_break).writerows(rows)
    return text.getvalue().encode()


def written(folder: Path, content: bytes | str, name: str = "report.csv") -> Path:
    """Return a file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rejection(read: Callable[[], object], path: Path) -> str:
    """Return the message of a report that is rejected, without the path, with which it begins.

    It is one line, and no amount of the file is in it.
    """
    with pytest.raises(UnreadableReportError) as raised:
        read()
    message = str(raised.value)
    assert raised.value.status == 2
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    message = message.removeprefix(f"{path}: ")
    assert not re.search(r"[0-9]+[.,][0-9]{2}\b", message)
    return message
