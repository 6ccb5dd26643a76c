"""Times of reports: from a clock's text, in a zone that is known or not, to the ledger's form of UTC.

An hour that a change of clocks repeats is never guessed: its time is None, and a note names the lines. An hour that a
change of clocks leaves out cannot be in a right report, so that the zone is wrong.

Source: Python's documentation, zoneinfo and datetime (`fold`); PEP 495.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.timestamps import utc_timestamp
from ledger.violations import BrokenRuleError
from ledger_cli.books.report import UnreadableReportError
from ledger_cli.books.reports.rows import Row, named_lines

# For `fullmatch`. [0-9], because `\d` accepts the digits of any script.
LOCAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)")
OFFSET = re.compile(r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ([+-][0-9]{2})([0-9]{2})")

FIRST_YEAR, LAST_YEAR = 1970, 9998
"""Years that a report may be about. Within them, no offset leads out of the years that `datetime` knows."""

ABBREVIATIONS: Mapping[str, tuple[float, str]] = {
    "UTC": (0, "UTC"),
    "GMT": (0, "Europe/London"),
    "BST": (1, "Europe/London"),
    "WET": (0, "Europe/Lisbon"),
    "WEST": (1, "Europe/Lisbon"),
    "CET": (1, "Europe/Amsterdam"),
    "CEST": (2, "Europe/Amsterdam"),
    "EET": (2, "Europe/Helsinki"),
    "EEST": (3, "Europe/Helsinki"),
    "PST": (-8, "America/Los_Angeles"),
    "PDT": (-7, "America/Los_Angeles"),
    "MST": (-7, "America/Denver"),
    "MDT": (-6, "America/Denver"),
    "EST": (-5, "America/New_York"),
    "EDT": (-4, "America/New_York"),
    "AEST": (10, "Australia/Sydney"),
    "AEDT": (11, "Australia/Sydney"),
    "NZST": (12, "Pacific/Auckland"),
    "NZDT": (13, "Pacific/Auckland"),
    "JST": (9, "Asia/Tokyo"),
    "HKT": (8, "Asia/Hong_Kong"),
    "SGT": (8, "Asia/Singapore"),
}
"""Hours that each abbreviation is ahead of UTC, and a zone that uses it.

The table decides, and not the machine. CST, IST and AST are left out: each has several meanings.
Source: IANA's time zone database, the files `europe`, `northamerica`, `asia` and `australasia`.
"""


def zone_of(name: str, place: str) -> ZoneInfo:
    """Return a zone of the IANA database.

    Args:
        name: the zone's name, such as `Europe/Berlin`.
        place: what names the zone, for the message: a file or an option.

    Raises:
        UnreadableReportError: there is no such zone, or the machine has no database.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        # OSError: the name is that of a folder of the database, such as `Europe`.
        hint = "give a name of the IANA database, such as Europe/Berlin"
        raise UnreadableReportError(f"{place}: unknown time zone; {hint}") from None


class Clock:
    """Reads the times of a report, and collects the lines whose times are not certain."""

    def __init__(self) -> None:
        self._zones: dict[str, ZoneInfo] = {}
        self._ambiguous: list[int] = []
        self._out_of_season: list[int] = []

    def notes(self) -> list[str]:
        """Return one note for each thing that a person should know."""
        notes = []
        if self._ambiguous:
            notes.append(
                f"{named_lines(self._ambiguous)}: a change of clocks makes the hour ambiguous, so the time is not known"
            )
        if self._out_of_season:
            notes.append(
                f"{named_lines(self._out_of_season)}: the zone's abbreviation was not in force on that day, so the "
                "time may be wrong by an hour"
            )
        return notes

    def in_zone(self, row: Row, column: str, zone: str) -> str | None:
        """Return the time of a clock in a zone of the IANA database; None if the hour is ambiguous.

        Raises:
            UnreadableReportError: the text is not a time, or the zone is unknown or left that hour out.
        """
        local = _local(row, column)
        return self.moment(row, column, local, self._zone(zone, row, column))

    def moment(self, row: Row, column: str, local: datetime, zone: ZoneInfo) -> str | None:
        """Return the time of a clock in the zone; None if the hour is ambiguous.

        Raises:
            UnreadableReportError: the zone left that hour out, or the time is out of range.
        """
        if not FIRST_YEAR <= local.year <= LAST_YEAR:
            raise row.error("the time is out of range", column)
        first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        if before != after and before is not None and after is not None:
            if before < after:
                message = "a change of clocks left this hour out, so the time zone is probably wrong"
                raise row.error(f"{message}; give the report's own zone", column)
            self._ambiguous.append(row.number)
            return None
        return utc_timestamp(first.astimezone(UTC).isoformat())

    def abbreviated(self, row: Row, column: str, zone_column: str, fallback: str | None) -> str | None:
        """Return the time of a clock whose zone is text such as `PDT`; None if the hour is ambiguous.

        Args:
            row: the row.
            column: the column of the time.
            zone_column: the column of the abbreviation, or of a name of the IANA database.
            fallback: the zone to use if the abbreviation is unknown; None to raise the error.

        Raises:
            UnreadableReportError: the text is not a time, or the zone is unknown or left that hour out.
        """
        abbreviation = row[zone_column]
        if abbreviation not in ABBREVIATIONS:
            if fallback is None and "/" not in abbreviation:
                message = "unknown abbreviation of a time zone; give --zone with a name such as Europe/Berlin"
                raise row.error(message, zone_column)
            return self.in_zone(row, column, abbreviation if "/" in abbreviation else fallback or "")
        hours, name = ABBREVIATIONS[abbreviation]
        offset = timedelta(hours=hours)
        local = _local(row, column)
        if not FIRST_YEAR <= local.year <= LAST_YEAR:
            raise row.error("the time is out of range", column)
        moment = (local - offset).replace(tzinfo=UTC)
        if moment.astimezone(self._zone(name, row, zone_column)).utcoffset() != offset:
            self._out_of_season.append(row.number)
        return utc_timestamp(moment.isoformat())

    def _zone(self, name: str, row: Row, column: str) -> ZoneInfo:
        if name not in self._zones:
            self._zones[name] = zone_of(name, str(row.error("", column)).removesuffix(": "))
        return self._zones[name]


def _local(row: Row, column: str) -> datetime:
    """Return the time of a clock: `2026-11-24 10:00:00`, also without seconds."""
    match = LOCAL.fullmatch(row[column])
    try:
        if match is not None:
            return datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        pass
    raise row.error("this is not a time such as 2026-11-24 10:00:00", column)


def with_offset(row: Row, column: str) -> str:
    """Return a time that has its offset, in RFC 3339 or in PayPal's form: `2026/01/06 00:00:30 -0800`.

    Raises:
        UnreadableReportError: the text has another form, or the ledger cannot keep the time exactly.
    """
    text = row[column]
    match = OFFSET.fullmatch(text)
    if match is not None:
        year, month, day, clock, hours, minutes = match.groups()
        text = f"{year}-{month}-{day}T{clock}{hours}:{minutes}"
    try:
        return utc_timestamp(text)
    except BrokenRuleError:
        raise row.error("this is not a time with an offset", column) from None
