"""`ledger export`, `import`, `totals` and `reconcile`: the ledger taken out, put in, added up, and compared."""

import csv
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from ledger.fields import PUBLISHED, QUIET
from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli.books import reconciliation
from ledger_cli.books.beancount import BeancountWriter
from ledger_cli.books.draft import Draft, RecordWriter, opened_draft
from ledger_cli.books.dynamodb_export import Wanted, gather_items, open_exports
from ledger_cli.books.export import Writer
from ledger_cli.books.history import Summary, check, histories
from ledger_cli.books.matcher import MISSING_IN_LEDGER, Period
from ledger_cli.books.reconciliation import Reconciliation
from ledger_cli.books.reconciliation import reconcile as reconcile_records
from ledger_cli.books.record import Record
from ledger_cli.books.report import ReportLine
from ledger_cli.books.reports import FORMATS, read_report
from ledger_cli.books.sources import records_of_export
from ledger_cli.books.totals import day_in
from ledger_cli.books.totals import totals as totals_of
from ledger_cli.commands.options import NAME, json_option, stack_command
from ledger_cli.errors import CommandError
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.exporting import gather
from ledger_cli.stack.importing import Imported, import_histories
from ledger_cli.stack.queries import describe_unreadable, is_unreadable, query_ledger, read_pages
from ledger_cli.views import books_page, books_text
from ledger_cli.views.terminal import display, note, progress, say, say_json


class _Time(click.ParamType[str]):
    """A time, in the ledger's form of UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the time in the ledger's form."""
        try:
            return utc_timestamp(value)
        except BrokenRuleError:
            self.fail("give a date and time with an offset, such as 2026-11-24T00:00:00Z", param, ctx)


class _Zone(click.ParamType[ZoneInfo]):
    """The name of a time zone."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Return the zone."""
        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail("give the name of a time zone, such as Europe/Berlin or UTC", param, ctx)


TIME, ZONE = _Time(), _Zone()
OUTCOMES = {
    "RECORDED": "imported",
    "DUPLICATE": "in the ledger before",
    "CONFLICT": "in conflict",
    "REJECTED": "rejected",
    "REFUSED": "refused",
    "FAILED": "failed",
    "RUNNING": "still running",
    "SKIPPED": "skipped",
}
"""What can come of an imported record, and the words for people."""

RECORDED = {"RECORDED", "DUPLICATE"}

MAX_LOOKUPS = 1000
"""Payments of a report that are read one by one. More of them show that the report is another processor's."""

JSONL, PARQUET, BEANCOUNT = EXPORT_FORMATS = ("jsonl", "parquet", "beancount")
"""The formats of an export. Only the first is read again."""

FILE = click.Path(dir_okay=False, path_type=Path)

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
from_option = click.option("--from", "first", metavar="TIME", type=TIME, help="From this time on.")
to_option = click.option("--to", "last", metavar="TIME", type=TIME, help="Before this time.")


@stack_command(
    "0 all is exported, 1 some items are damaged and are named instead, 2 nothing was exported", instead="folders"
)
@click.argument("file", metavar="FILE|-", type=FILE)
@click.option(
    "--processor",
    "processors",
    multiple=True,
    type=NAME,
    metavar="PROCESSOR",
    help="Export what this processor reported. Repeat the option for more processors.",
)
@from_option
@to_option
@click.option(
    "--format",
    "format_name",
    default=JSONL,
    show_default=True,
    type=click.Choice(EXPORT_FORMATS),
    help="Lines of JSON, which the other commands read; Parquet; or double-entry postings for Beancount.",
)
@click.option(
    "--zone", type=ZONE, metavar="ZONE", help="For --format beancount: the time zone of the dates. By default UTC."
)
@click.option(
    "--dynamodb-export",
    "folders",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read the exports to S3 of both tables from copies of their folders, and no stack. Repeat it for the second.",
)
@click.option(
    "--ciphertext", is_flag=True, help="With --dynamodb-export: export each payment's encrypted token and its key."
)
@json_option
def export(
    stack: Stack | None,
    *,
    file: Path,
    processors: tuple[str, ...],
    first: str | None,
    last: str | None,
    format_name: str,
    zone: ZoneInfo | None,
    folders: tuple[Path, ...],
    ciphertext: bool,
    as_json: bool,
) -> int:
    """Write every recorded payment and entry of processors to FILE.

    As lines of JSON, the last line has the number of records and the SHA-256 of all lines before it. If the command is
    interrupted, the same command continues where it stopped. No token is exported, not even an encrypted one, unless
    --ciphertext asks for it. From exports of the tables, all processors are exported if none is named.

    \b
    Examples:
      ledger export ledger.jsonl --processor acme-pay
      ledger export november.jsonl --processor acme-pay --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z
      ledger export - --processor acme-pay > ledger.jsonl
      ledger export ledger.beancount --processor acme-pay --format beancount --zone Europe/Berlin
      ledger export ledger.parquet --dynamodb-export payments --dynamodb-export entries --format parquet
    """
    to_stdout = str(file) == "-"
    if to_stdout and as_json:
        raise click.UsageError("Give FILE with --json: standard output has the export itself.")
    if to_stdout and format_name == PARQUET:
        raise click.UsageError("Give FILE with --format parquet: Parquet is not text.")
    if zone is not None and format_name != BEANCOUNT:
        raise click.UsageError("--zone is for --format beancount.")
    if not to_stdout:
        _require_absent(file)
    wanted = Wanted(sorted(set(processors)) or None, first, last, ciphertext)
    writer = _writer(format_name, zone)
    source = _tables(folders, wanted) if stack is None else _stack(stack, wanted)
    with _draft_file(file) as draft_file, opened_draft(draft_file, source.query) as draft:
        kept = "" if to_stdout else f"what was read is in {draft_file}: give the same command again to continue"
        with report_if_stopped(lambda: kept):
            if draft.continues:
                note(f"continues an export that was interrupted, with {draft.number():,} records")
            with progress("Reading records") as track:
                for _ in track.over(source.gather(draft)):
                    pass
            header = {**source.query, "taken_at": source.taken_at or _now(), "version": version("payment-ledger")}
            with _export_file(file) as written, progress("Writing records") as track:
                for _ in track.over(draft.write(written, header, writer), total=draft.number()):
                    pass
        number, unreadable = draft.number(), draft.unreadable()
        draft.delete()
    for item in unreadable:
        note(describe_unreadable(item))
    if as_json:
        say_json({"file": str(file), "records": number, "unreadable": len(unreadable)})
    elif not to_stdout:
        say(f"{file}: {number:,} records")
    return 1 if unreadable else 0


class _Source(NamedTuple):
    """What an export is read from.

    Attributes:
        query: what it is and what is asked of it. An export that was interrupted continues with the same query only.
        gather: reads its records into a draft, and yields the number of records after each step.
        taken_at: the moment of which it has the records; None if it has those of now.
    """

    query: dict[str, Any]
    gather: Callable[[Draft], Iterator[int]]
    taken_at: str | None = None


def _stack(stack: Stack, wanted: Wanted) -> _Source:
    """Return a stack as the source.

    Raises:
        UsageError: no processor is named, or what the stack shows nobody is wanted.
    """
    processors = wanted.processors
    if processors is None:
        raise click.UsageError("Missing option '--processor'.")
    if wanted.ciphertext:
        raise click.UsageError("--ciphertext needs --dynamodb-export: the query function reads no token.")
    return _Source(
        query={"stack": stack.name, "processors": processors, "from": wanted.first, "to": wanted.last},
        gather=lambda draft: gather(stack, draft, processors, wanted.first, wanted.last),
    )


def _tables(folders: Sequence[Path], wanted: Wanted) -> _Source:
    """Return the exports of both tables as the source, all of whose files were checked.

    Raises:
        DynamoDBExportError: they are not whole, unchanged, and of one ledger at one moment.
    """
    tables = open_exports(folders)
    with progress("Checking files") as track:
        for _ in track.over(file for table in tables for file in table.verify()):
            pass
    asked = {"processors": wanted.processors, "from": wanted.first, "to": wanted.last, "ciphertext": wanted.ciphertext}
    return _Source(
        query={"stack": None, "dynamodb_exports": [table.arn for table in tables], **asked},
        gather=lambda draft: gather_items(tables, draft, wanted),
        taken_at=tables[0].exported_at,
    )


def _writer(format_name: str, zone: ZoneInfo | None) -> Callable[[IO[bytes], Mapping[str, Any]], RecordWriter]:
    """Return what writes an export in a format.

    Raises:
        CommandError: the package that the format needs is not installed.
    """
    if format_name == PARQUET:
        try:
            from ledger_cli.books.parquet import ParquetWriter
        except ModuleNotFoundError:
            raise CommandError("--format parquet needs pyarrow: pip install 'payment-ledger[parquet]'") from None
        return ParquetWriter
    return partial(BeancountWriter, zone=zone or UTC) if format_name == BEANCOUNT else Writer


def _require_absent(file: Path) -> None:
    """Raise an error if the file exists: an export is evidence, and is not overwritten by accident."""
    if file.exists():
        raise CommandError(f"{file}: exists already: name another file, or remove it")
    if not file.parent.is_dir():
        raise CommandError(f"{file}: there is no folder {file.parent}")


@contextmanager
def _draft_file(file: Path) -> Iterator[Path]:
    """Yield the name of the draft: beside the export, or in a folder that is deleted if that is standard output."""
    if str(file) != "-":
        yield file.with_name(f"{file.name}.part")
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / "export.part"


@contextmanager
def _export_file(file: Path) -> Iterator[IO[bytes]]:
    """Yield an open file that has the name *file* once it is whole; standard output for `-`.

    Raises:
        CommandError: the file cannot be written.
    """
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        with unfinished.open("wb") as written:
            yield written
        unfinished.replace(file)
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'cannot be written').lower()}") from None


def _now() -> str:
    return utc_timestamp(datetime.now(UTC).isoformat())


@stack_command("0 all is imported, 1 some of it is not, 2 nothing was started, or the command stopped", name="import")
@click.argument("file", metavar="FILE", type=FILE)
@click.option("--publish", is_flag=True, help="Publish each record as PaymentImported or EntryImported.")
@click.option(
    "--rate",
    default=50,
    show_default=True,
    type=click.IntRange(1, 1000),
    metavar="NUMBER",
    help="Start at most this number of executions a second. Payments of today share the account's quota with them.",
)
@click.option("--dry-run", is_flag=True, help="Check the file, and import nothing.")
@json_option
def import_(stack: Stack, *, file: Path, publish: bool, rate: int, dry_run: bool, as_json: bool) -> int:
    """Import history from elsewhere: payments with their entries, from an export or from lines of JSON.

    The whole file is checked before anything starts. Consumers learn nothing of what is imported, unless you give
    --publish. If the command stops, give it again: what the ledger has is not imported again.

    \b
    Examples:
      ledger import history.jsonl --dry-run
      ledger import history.jsonl --rate 20
    """
    with progress("Checking") as track:
        checked = track.over(check(file, default_currency=stack.parameters["DefaultCurrency"]))
        summary = deque(checked, maxlen=1).pop()
    if summary.accepted:
        note(f"{summary.accepted:,} entries break rules about the totals, so that the ledger refuses them")
    counts: Counter[str] = Counter()

    def where() -> str:
        return f"{counts.total():,} of {summary.records:,} records were handled: give the same command again"

    if not dry_run:
        results = import_histories(stack, histories(file), mode=PUBLISHED if publish else QUIET, per_second=rate)
        with report_if_stopped(where), progress("Importing") as track:
            for one in track.over((one for history in results for one in history), total=summary.records):
                counts[one.outcome] += 1
                if not one.is_recorded:
                    _print_not_imported(one, as_json=as_json)
    if as_json:
        say_json({"summary": {**summary._asdict(), **{name.lower(): counts[name] for name in OUTCOMES}}})
    else:
        say(f"{file}: {summary.payments:,} payments and {summary.entries:,} entries, {_described(counts, summary)}")
    return 1 if counts.keys() - RECORDED else 0


def _described(counts: Counter[str], summary: Summary) -> str:
    """Return what came of the records, or that nothing was imported."""
    if not counts:
        return f"all valid, {summary.without_token:,} without a token; nothing was imported"
    return ", ".join(f"{counts[name]:,} {word}" for name, word in OUTCOMES.items() if counts[name])


def _print_not_imported(one: Imported, *, as_json: bool) -> None:
    ids = {"transaction_id": one.step.start_input["TransactionID"], "entry_id": one.step.start_input.get("EntryID")}
    if as_json:
        say_json({"line": one.step.line, **ids, "outcome": one.outcome, "reason": one.reason})
    else:
        named = " ".join(filter(None, ids.values()))
        say(f"{one.outcome:<10} line {one.step.line}, {named}: {one.reason}")


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
@click.option("--zone", metavar="ZONE", help="The time zone of the report's times, if the report does not say it.")
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
    zone: str | None,
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
    if first is not None and last is not None and first >= last:
        raise click.UsageError("--from is not before --to.")
    lines: list[ReportLine] = []
    for file in reports:
        report = read_report(file, format_name, zone=zone, mapping=mapping)
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
        _write_page(html_file, books_page.page(result, [str(file) for file in reports], _now()))
    _print_reconciliation(result, as_csv=as_csv, as_json=as_json, html_file=html_file)
    return 0 if result.is_explained else 1


def _period(lines: Sequence[ReportLine], first: str | None, last: str | None, margin_hours: int) -> Period:
    """Return the period, whose end is that of --to, or the newest time in the reports."""
    end = last or max((line.timestamp for line in lines if line.timestamp is not None), default=None)
    if end is None:
        return Period(first, last)
    try:
        open_from = datetime.fromisoformat(end) - timedelta(hours=margin_hours)
    except OverflowError:
        return Period(first, last, end)
    return Period(first, last, utc_timestamp(open_from.isoformat()))


def _unknown_payments(result: Reconciliation) -> list[str]:
    """Return the payments of the lines that the records lack: those of another time, or not in an index yet."""
    lines = [finding.line for finding in result.findings if finding.verdict == MISSING_IN_LEDGER and finding.line]
    return list(dict.fromkeys(line.transaction_id for line in lines if line.transaction_id is not None))


def _completed(stack: Stack, records: Sequence[Record], unknown: Sequence[str], processor_id: str) -> list[Record]:
    """Return the records, with all that the tables have of these payments.

    Raises:
        CommandError: they are too many, an item is damaged, or AWS denies the call.
    """
    if len(unknown) > MAX_LOOKUPS:
        raise CommandError(
            f"{len(unknown):,} payments of the reports are not among the ledger's of this period: "
            f"is {processor_id} their processor? If so, give an earlier --from, or none"
        )
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


def _write_page(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'cannot be written').lower()}") from None


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
