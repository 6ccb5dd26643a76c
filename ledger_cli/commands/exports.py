"""`ledger export`: everything that the ledger has of some processors, written to a file."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import click

from ledger_cli.books.beancount import BeancountWriter
from ledger_cli.books.draft import Draft, RecordWriter, opened_draft
from ledger_cli.books.dynamodb_export import Wanted, gather_items, open_exports
from ledger_cli.books.export import Writer
from ledger_cli.commands.options import FILE, NAME, SEAL, TIME, ZONE, from_option, json_option, stack_command, to_option
from ledger_cli.errors import CommandError
from ledger_cli.stack.client import Stack, report_if_stopped
from ledger_cli.stack.exporting import gather, gather_log
from ledger_cli.stack.queries import describe_unreadable
from ledger_cli.views.terminal import note, progress, say, say_json

JSONL, PARQUET, BEANCOUNT = EXPORT_FORMATS = ("jsonl", "parquet", "beancount")
"""The formats of an export. Only the first is read again."""


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
    help="Read the exports to S3 of the tables from copies of their folders, and no stack. Repeat it for each table.",
)
@click.option(
    "--as-of-seal",
    "seal",
    type=SEAL,
    metavar="N|last",
    help="Export what the seals of the sealed log have, up to this one. It is the same whenever it is made.",
)
@click.option(
    "--as-of", "until", type=TIME, metavar="TIME", help="Export what was recorded until then and is sealed by now."
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
    seal: int | Literal["last"] | None,
    until: str | None,
    ciphertext: bool,
    as_json: bool,
) -> int:
    """Write every recorded payment and entry of processors to FILE.

    As lines of JSON, the last line has the number of records and the SHA-256 of all lines before it. If the command is
    interrupted, the same command continues where it stopped. No token is exported, not even an encrypted one, unless
    --ciphertext asks for it. From exports of the tables, all processors are exported if none is named.

    An export as of a seal is the same whenever it is made, and `ledger verify` can prove it. An export as of a time may
    get more records later, since an execution that is redriven records with the time of its start.

    \b
    Examples:
      ledger export ledger.jsonl --processor acme-pay
      ledger export november.jsonl --processor acme-pay --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z
      ledger export - --processor acme-pay > ledger.jsonl
      ledger export ledger.beancount --processor acme-pay --format beancount --zone Europe/Berlin
      ledger export ledger.parquet --dynamodb-export payments --dynamodb-export entries --format parquet
      ledger export sealed.jsonl --as-of-seal last
    """
    to_stdout = str(file) == "-"
    _check_target(file, format_name, as_json=as_json)
    if zone is not None and format_name != BEANCOUNT:
        raise click.UsageError("--zone is for --format beancount.")
    wanted = Wanted(
        sorted(set(processors)) or None, first, last, ciphertext, seal or ("last" if until else None), until
    )
    writer = _writer(format_name, zone)
    source = _tables(folders, wanted) if stack is None else _stack(stack, wanted)
    asked = {**source.query, "of": source.of}
    with _draft_file(file) as draft_file, opened_draft(draft_file, asked, source.now) as draft:
        kept = "" if to_stdout else f"what was read is in {draft_file}: give the same command again to continue"
        with report_if_stopped(lambda: kept):
            if draft.continues:
                note(f"continues an export that was interrupted, with {draft.number():,} records")
            with progress("Reading records") as track:
                for _ in track.over(source.gather(draft)):
                    pass
            header = {**source.query, "taken_at": draft.began_at, "version": version("payment-ledger")}
            if wanted.seal is not None:
                header["as_of_seal"] = draft.last_seal()
            if wanted.is_whole_log and format_name == JSONL:
                writer = partial(Writer, seals=draft.seal_lines())
            with _export_file(file) as written, progress("Writing records") as track:
                for _ in track.over(draft.write(written, header, writer), total=draft.number()):
                    pass
        number, unreadable, last_seal = draft.number(), draft.unreadable(), draft.last_seal()
        draft.delete()
    if until is not None and seal is None and last_seal:
        note(_how_to_repeat(last_seal))
    if wanted.seal is not None and not last_seal:
        note("the log has no seal yet: run `ledger seal`")
    if not number and not unreadable and wanted.seal is None:
        note("there is no record: are the ProcessorID and the period right?")
    for item in unreadable:
        note(describe_unreadable(item))
    if as_json:
        say_json({"file": str(file), "records": number, "unreadable": len(unreadable)})
    elif not to_stdout:
        say(f"{file}: {number:,} records")
    return 1 if unreadable else 0


def _how_to_repeat(seal: int) -> str:
    """Return what makes an export as of a time exact."""
    return (
        f"as of seal {seal}: an execution that is redriven may add records of that time later; "
        f"with --as-of-seal {seal} as well, the export stays the same"
    )


class _Source(NamedTuple):
    """What an export is read from.

    Attributes:
        query: what is asked of it, for the first line of the export.
        of: what no other source has. An export that was interrupted continues with the same query and source only.
        now: an export that begins now has what was recorded until this moment.
        gather: reads its records into a draft, and yields the number of records after each step.
    """

    query: dict[str, Any]
    of: str
    now: str
    gather: Callable[[Draft], Iterator[int]]


def _stack(stack: Stack, wanted: Wanted) -> _Source:
    """Return a stack as the source.

    Raises:
        UsageError: no processor is named, or what the stack shows nobody is wanted.
    """
    processors = wanted.processors
    if processors is None and wanted.seal is None:
        raise click.UsageError("Missing option '--processor'.")
    if wanted.ciphertext:
        raise click.UsageError("--ciphertext needs --dynamodb-export: the query function reads no token.")
    if wanted.seal is not None and (wanted.first is not None or wanted.last is not None):
        raise click.UsageError("--from and --to are about when a payment happened: give them without --as-of-seal.")

    def read(draft: Draft) -> Iterator[int]:
        if wanted.seal is None:
            yield from gather(stack, draft, processors or [], wanted.first, wanted.last)
            return
        yield from gather_log(stack, draft, wanted.last_seal)
        draft.keep_sealed(processors, wanted.until)

    return _Source(
        query={"stack": stack.name, "processors": processors, **_period(wanted)},
        of=stack.stack_id,
        now=stack.asked_at,
        gather=read,
    )


def _period(wanted: Wanted) -> dict[str, Any]:
    """Return the part of an export's first line that says which records are wanted."""
    as_of = {} if wanted.seal is None else {"as_of_seal": wanted.seal, "as_of": wanted.until}
    return {"from": wanted.first, "to": wanted.last, **as_of}


def _tables(folders: Sequence[Path], wanted: Wanted) -> _Source:
    """Return the exports of the tables as the source, all of whose files were checked.

    Raises:
        DynamoDBExportError: they are not whole, unchanged, and of one ledger at one moment.
    """
    tables = open_exports(folders, sealed=wanted.seal is not None)
    with progress("Checking files") as track:
        for _ in track.over(file for table in tables for file in table.verify()):
            pass
    asked = {"processors": wanted.processors, **_period(wanted), "ciphertext": wanted.ciphertext}
    return _Source(
        query={"stack": None, "dynamodb_exports": [table.arn for table in tables], **asked},
        of="tables",
        now=tables[0].exported_at,
        gather=lambda draft: gather_items(tables, draft, wanted),
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


def _check_target(file: Path, format_name: str, *, as_json: bool) -> None:
    """Return if the export can be written to the file or to standard output.

    Raises:
        UsageError: standard output cannot have both.
        CommandError: the file exists. An export is evidence, and is not overwritten by accident.
    """
    if str(file) == "-":
        if as_json:
            raise click.UsageError("Give FILE with --json: standard output has the export itself.")
        if format_name == PARQUET:
            raise click.UsageError("Give FILE with --format parquet: Parquet is not text.")
        return
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
    finally:
        with suppress(OSError):  # it is gone if the export is whole
            unfinished.unlink()
