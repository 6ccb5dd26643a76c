"""Readers of settlement reports: from a processor's file to the lines that the matcher compares with the ledger.

Each format has a module with a function `read`, which is imported when the first report comes. To add a format, add its
line in `FORMATS` and its module, as `stripe` is one.
"""

import importlib
from collections.abc import Mapping
from decimal import localcontext
from pathlib import Path
from typing import NamedTuple

from ledger_cli.books.amounts import EXACT
from ledger_cli.books.report import Report, UnreadableReportError


class Format(NamedTuple):
    """A format of reports.

    Attributes:
        module: the module of this package that reads it.
        takes_zone: whether a report can leave its time zone open.
        takes_mapping: whether a mapping says what the columns are.
    """

    module: str
    takes_zone: bool
    takes_mapping: bool = False


FORMATS: Mapping[str, Format] = {
    "stripe": Format("stripe", takes_zone=True),
    "adyen": Format("adyen", takes_zone=True),
    "paypal": Format("paypal", takes_zone=False),
    "csv": Format("mapped_csv", takes_zone=True, takes_mapping=True),
}
"""Formats by the name that a user gives."""


def read_report(path: Path, format_name: str, *, zone: str | None = None, mapping: Path | None = None) -> Report:
    """Return a report that was read whole.

    Args:
        path: the report's file.
        format_name: a name of `FORMATS`.
        zone: the zone of times that have none in the file, by its name in the IANA database.
        mapping: the TOML file of the format `csv`.

    Raises:
        UnreadableReportError: the report cannot be read, is of another format or contradicts itself, or an argument
            does not fit the format. Nothing is half read.
    """
    chosen = FORMATS.get(format_name)
    if chosen is None:
        raise UnreadableReportError(f"unknown format of a report; give one of {', '.join(FORMATS)}")
    options: dict[str, str | Path | None] = {}
    if chosen.takes_zone:
        options["zone"] = zone
    elif zone is not None:
        raise UnreadableReportError(f"each time of the format {format_name} has its offset; leave --zone out")
    if chosen.takes_mapping:
        if mapping is None:
            raise UnreadableReportError(f"the format {format_name} needs a mapping; give --mapping FILE.toml")
        options["mapping"] = mapping
    elif mapping is not None:
        raise UnreadableReportError(
            f"the format {format_name} has no mapping; leave --mapping out, or give --format csv"
        )
    module = importlib.import_module(f"ledger_cli.books.reports.{chosen.module}")
    with localcontext(EXACT):
        read: Report = module.read(path, **options)
    return read
