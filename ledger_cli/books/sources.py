"""The records of an export that one question is about."""

from collections.abc import Iterator
from pathlib import Path

from ledger_cli.books.export import Export, UnreadableExportError
from ledger_cli.books.record import Record


def records_of_export(path: Path, processor_id: str, first: str | None, last: str | None) -> Iterator[Record]:
    """Yield a processor's records of an export, of all times.

    Args:
        path: the export.
        processor_id: the processor.
        first: the first moment that the export must cover; None for all of the past.
        last: the first moment after those that it must cover; None for all of the future.

    Raises:
        UnreadableExportError: the export cannot be read, or does not cover all of this. That it was changed is found
            at the latest after the last record.
    """
    export = Export.open(path)
    processors, begin, end = (export.header.get(name) for name in ("processors", "from", "to"))
    if processors is not None and processor_id not in processors:
        raise UnreadableExportError(f"{path}: has no records of {processor_id}: it was made with another --processor")
    if (begin is not None and (first is None or first < begin)) or (end is not None and (last is None or end < last)):
        raise UnreadableExportError(f"{path}: covers less than you ask for: export more, or give --from and --to")
    if last is not None and str(export.header.get("taken_at")) < last:
        raise UnreadableExportError(f"{path}: taken before the end of what you ask for: export again")
    if export.header["unreadable"]:
        raise UnreadableExportError(f"{path}: lacks damaged records, so its sums would be wrong: see the runbook")
    for facts in export.records():
        if facts["ProcessorID"] == processor_id:
            yield Record.of(facts)
