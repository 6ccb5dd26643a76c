"""`ledger totals` and `ledger reconcile`: what the ledger has, added up, and compared with settlement reports."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from ledger.pages import FIRST, LAST
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli.books import reconciliation
from ledger_cli.books.matcher import MISSING_IN_LEDGER, Period
from ledger_cli.books.reconciliation import Reconciliation
from ledger_cli.books.reconciliation import reconcile as reconcile_records
from ledger_cli.books.record import Record
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, ReportLine
from ledger_cli.books.reports import FORMATS, read_report
from ledger_cli.books.sources import records_of_export
from ledger_cli.books.totals import day_in
from ledger_cli.books.totals import totals as totals_of
from ledger_cli.commands.options import FILE, NAME, ZONE, from_option, json_option, stack_command, to_option, write_text
from ledger_cli.errors import CommandError
from ledger_cli.stack.client import Stack
from ledger_cli.stack.queries import describe_unreadable, is_unreadable, query_ledger, read_pages
from ledger_cli.views import books_page, books_text
from ledger_cli.views.terminal import display, note, progress, say, say_json

MAX_LOOKUPS = 1000
"""Payments of a report that are read one by one. More of them show that the report is another processor's."""

processor_option = click.option(
    "--processor", "processor_id", required=True, type=NAME, metavar="PROCESSOR", help="The processor."
)
ledger_option = click.option(
    "--ledger",
    "export_file",
    metavar="EXPORT",
    type=FILE,
    help="Read the ledger from this file of `ledger export`. No stack and no AWS credentials are needed.",
)


@stack_command("0 the totals are shown, 2 they cannot be computed", instead="export_file")
@processor_option
@click.option("--day", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="The day: 2026-11-24.")
@click.option(
    "--zone",
    default="UTC",
    show_default=True,
    type=ZONE,
    metavar="ZONE",
    help="The day's time zone: Europe/Berlin.",
)
@ledger_option
@json_option
def totals(
    stack: Stack | None,
    *,
    processor_id: str,
    day: datetime,
    zone: ZoneInfo,
    export_file: Path | None,
    as_json: bool,
) -> int:
    """Add up what a processor reported on one day: captured, refunded, disputed and net.

    A record counts on the day of its own time. So a refund counts on the day of the refund.

    \b
    Examples:
      ledger totals --processor acme-pay --day 2026-11-23 --zone Europe/Berlin
      ledger totals --processor acme-pay --day 2026-11-23 --ledger ledger.jsonl
    """
    first, last = _day(day.date(), zone)
    records = _records(stack, export_file, processor_id, first, last)
    found = totals_of(record for record in records if first <= record.timestamp < last)
    if as_json:
        for record in books_text.totals_records(found):
            say_json(record)
    else:
        display(books_text.totals(found, day.date(), str(zone)))
    return 0


def _day(day: date, zone: ZoneInfo) -> tuple[str, str]:
    try:
        return day_in(zone, day)
    except (OverflowError, BrokenRuleError):
        raise click.UsageError("The day is too early or too late.") from None


def _records(
    stack: Stack | None, export_file: Path | None, processor_id: str, first: str | None, last: str | None
) -> Iterator[Record]:
    """Yield a processor's records, of an export or of the stack. The caller leaves out those of other times.

    Raises:
        CommandError: they cannot be read, or one of them is damaged.
    """
    if export_file is not None:
        with progress("Reading the export") as track:
            yield from track.over(records_of_export(export_file, processor_id, first, last))
    elif stack is not None:
        for listed in ({}, {"Entries": True}):
            query = {**listed, "ProcessorID": processor_id, "From": first, "To": last}
            with progress("Reading entries" if listed else "Reading payments") as track:
                for found in track.over(read_pages(stack, query, limit=None)):
                    if is_unreadable(found):
                        raise CommandError(f"sums would be wrong: {describe_unreadable(found)}")
                    yield Record.of(found)


@stack_command(
    "0 all is matched or explained, 1 some of it needs a person, 2 a report or the ledger cannot be read",
    instead="export_file",
)
@click.argument("reports", nargs=-1, required=True, metavar="REPORT…", type=FILE)
@processor_option
@click.option(
    "--format", "format_name", required=True, type=click.Choice(list(FORMATS)), help="The form of the reports."
)
@click.option("--mapping", metavar="FILE", type=FILE, help="For --format csv: the TOML file that names the columns.")
@click.option("--zone", metavar="ZONE", type=ZONE, help="The zone of times that have none in the report.")
@ledger_option
@from_option
@to_option
@click.option(
    "--margin",
    "margin_hours",
    default=1,
    show_default=True,
    type=click.IntRange(0, 24 * 366),
    metavar="HOURS",
    help="Records that are newer than this, counted from the end of the reports, may be in the next report.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--html", "html_file", metavar="FILE", type=FILE, help="Write a page for people to FILE.")
@json_option
def reconcile(
    stack: Stack | None,
    *,
    reports: tuple[Path, ...],
    processor_id: str,
    format_name: str,
    mapping: Path | None,
    zone: ZoneInfo | None,
    export_file: Path | None,
    first: str | None,
    last: str | None,
    margin_hours: int,
    as_csv: bool,
    html_file: Path | None,
    as_json: bool,
) -> int:
    """Compare the settlement reports of a processor with what the ledger recorded.

    Each line of the reports and each record of the period gets exactly one verdict. Without --from and --to, all
    records of the processor are expected in the reports.

    \b
    Examples:
      ledger reconcile acme-pay.csv --processor acme-pay --format csv --mapping acme-pay.toml
      ledger reconcile acme-pay.csv --processor acme-pay --format csv --mapping acme-pay.toml --ledger ledger.jsonl
    """
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, and not both.")
    _require_distinct(reports, html_file, [one for one in (mapping, export_file) if one is not None])
    if first is not None and last is not None and first >= last:
        raise click.UsageError("--from is not before --to.")
    lines: list[ReportLine] = []
    for file in reports:
        report = read_report(file, format_name, zone=None if zone is None else zone.key, mapping=mapping)
        lines += [line._replace(report=str(file)) for line in report.lines]
        for text in report.notes:
            note(f"{file}: {text}")
    period = _period(lines, first, last, margin_hours)
    records = list(_records(stack, export_file, processor_id, first, last))
    result = reconcile_records(processor_id, lines, records, period)
    if stack is not None and (unknown := _unknown_payments(result)):
        records = _completed(stack, records, unknown, processor_id)
        result = reconcile_records(processor_id, lines, records, period)
    if html_file is not None:
        write_text(html_file, books_page.page(result, [str(file) for file in reports]))
    _print_reconciliation(result, as_csv=as_csv, as_json=as_json, html_file=html_file)
    return 0 if result.is_explained else 1


def _period(lines: Sequence[ReportLine], first: str | None, last: str | None, margin_hours: int) -> Period:
    """Return the period, whose end is that of --to, or the newest time in the reports."""
    about_payments = (line.timestamp for line in lines if line.kind not in {NO_PAYMENT, UNKNOWN_TYPE})
    newest = max((timestamp for timestamp in about_payments if timestamp is not None), default=None)
    end = last or newest
    if end is None:
        return Period(first, last)
    begin, until = (_hours_from(end, hours) for hours in (-margin_hours, margin_hours))
    return Period(first, last, begin, None if last is not None else until)


def _hours_from(timestamp: str, hours: int) -> str:
    """Return a time that is earlier or later by some hours, or the first or last one that there is."""
    try:
        return utc_timestamp((datetime.fromisoformat(timestamp) + timedelta(hours=hours)).isoformat())
    except (OverflowError, BrokenRuleError):
        return FIRST if hours < 0 else LAST


def _unknown_payments(result: Reconciliation) -> list[str]:
    """Return the payments of lines that do not fit: their other records are of another time, or in no index yet.

    Raises:
        CommandError: too many of them are missing.
    """
    named: dict[str, bool] = {}
    for finding in result.to_decide:
        if finding.line is not None and (transaction_id := reconciliation.transaction_id_of(finding)) is not None:
            named[transaction_id] = named.get(transaction_id, False) or finding.verdict == MISSING_IN_LEDGER
    missing = sum(named.values())
    if missing > MAX_LOOKUPS:
        raise CommandError(
            f"{missing:,} payments of the reports are not among the ledger's of this period: "
            f"is {result.processor_id} their processor? If so, give an earlier --from, or none"
        )
    return list(named)


def _require_distinct(reports: Sequence[Path], html_file: Path | None, others: Sequence[Path]) -> None:
    """Raise an error if a report is given twice, or if the page would overwrite what is read."""
    resolved = [report.resolve() for report in reports]
    if twice := [report for place, report in enumerate(reports) if resolved[place] in resolved[:place]]:
        raise click.UsageError(f"{twice[0]} is given twice.")
    if html_file is not None and html_file.resolve() in [*resolved, *(other.resolve() for other in others)]:
        raise click.UsageError(f"--html would overwrite {html_file}, which is read.")


def _completed(stack: Stack, records: Sequence[Record], unknown: Sequence[str], processor_id: str) -> list[Record]:
    """Return the records, with all that the tables have of these payments.

    Raises:
        CommandError: an item is damaged, or AWS denies the call.
    """
    found = []
    with progress("Reading other payments") as track:
        for transaction_id in track.over(unknown, total=len(unknown)):
            answer = query_ledger(stack, {"TransactionID": transaction_id})
            if answer["Unreadable"]:
                raise CommandError(f"sums would be wrong: {describe_unreadable(answer['Unreadable'][0])}")
            found += [Record.of(one) for one in (answer["Payment"], *answer["Entries"]) if one is not None]
    read = set(unknown)
    others = [record for record in records if record.transaction_id not in read]
    return others + [record for record in found if record.processor_id == processor_id]


def _print_reconciliation(result: Reconciliation, *, as_csv: bool, as_json: bool, html_file: Path | None) -> None:
    if as_json:
        for row in reconciliation.rows(result):
            say_json(row)
        say_json(reconciliation.summary(result))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, reconciliation.COLUMNS)
        writer.writeheader()
        writer.writerows(reconciliation.rows(result))
    elif html_file is None:
        display(*books_text.reconciliation(result))
    else:
        say(f"{html_file}: {len(result.to_decide):,} need a person")
