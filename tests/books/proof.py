"""The proof of one seed: what `ledger reconcile` finds is what was planted, and nothing else."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from ledger_cli.books.matcher import EXPLAINED, Finding, Period, match, remainders
from ledger_cli.books.reconciliation import Reconciliation, reconcile
from ledger_cli.books.record import Record
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, ReportLine
from ledger_cli.books.reports import read_report
from ledger_cli.commands.books import _period
from tests.books.formats import WRITERS, Writer
from tests.books.histories import CLOCK_CHANGES, Case, History, Line, Window, ledger_time, window_in
from tests.books.planted import STILL_RIGHT, plant

ZONES = ("UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Tokyo")
HARMLESS = frozenset(one.__name__ for one in STILL_RIGHT)


@dataclass
class Figures:
    """What was proven, and what was wrong.

    Attributes:
        ledgers: how many ledgers were compared with a true report and with a planted one.
        lines: how many lines the reports had.
        planted: how often each difference was planted.
        found: how many of the differences were found, and led to no false finding.
        findings: how many findings needed a person.
        wrong: what was wrong, one line each.
    """

    ledgers: int = 0
    lines: int = 0
    planted: Counter[str] = field(default_factory=Counter)
    found: int = 0
    findings: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """How many of the changes are differences."""
        return sum(number for name, number in self.planted.items() if name not in HARMLESS)

    def add(self, other: "Figures") -> None:
        """Add the figures of other seeds."""
        self.ledgers += other.ledgers
        self.lines += other.lines
        self.planted += other.planted
        self.found += other.found
        self.findings += other.findings
        self.wrong += other.wrong


class Request(NamedTuple):
    """What a user asks for: the zone and days of the report, the times of `--from` and `--to`, and the margin."""

    window: Window
    first: str | None
    last: str | None
    margin_hours: int


def prove(seed: int, format_name: str, folder: Path) -> Figures:
    """Compare the ledger of a seed with its true report, and with one that has planted differences.

    Args:
        seed: decides everything.
        format_name: a name of `WRITERS`.
        folder: an existing folder for the reports.
    """
    rng = random.Random(f"{format_name} {seed}")  # noqa: S311  # no secret
    writer = WRITERS[format_name](rng)
    day = (datetime.fromisoformat(rng.choice(CLOCK_CHANGES)) - timedelta(days=rng.randrange(2))).date().isoformat()
    days = rng.randrange(1, 4)
    window = window_in(writer.zone, day, days)
    history = History(rng, writer.abilities, window, rng.choice(writer.abilities.currencies))
    made = history.make(rng.randrange(1, 25))
    is_dated = any(writer.shows(line) and window.has(line.at) for case in made for line in case.lines)
    request = _request(rng, window, has_end=not is_dated)
    cases = _within(made, request)
    figures = Figures(ledgers=1)
    trial = _Trial(rng, writer, folder, request)
    for problem in trial.problems(deepcopy(cases), figures, is_true=True):
        figures.wrong.append(f"true report: {problem}")
    if request.first is not None and request.last is not None and rng.random() < 0.2:
        # The report was cut in another zone, so that the first or the last hours are in another report.
        trial.window = window_in(rng.choice(ZONES), day, days)
    figures.planted = plant(trial.reported(cases), writer.abilities, rng, rng.randrange(1, 9))
    for problem in trial.problems(cases, figures, is_true=False):
        figures.wrong.append(f"planted report: {problem}")
    figures.found = 0 if figures.wrong else figures.differences
    return figures


def _request(rng: random.Random, window: Window, *, has_end: bool) -> Request:
    """Return what the user asks for. Without a time in the report, the user has to say where it ends."""
    first = ledger_time(window.start) if rng.random() < 0.7 else None
    last = ledger_time(window.end) if has_end or rng.random() < 0.7 else None
    return Request(window, first, last, rng.choice((1, 1, 6, 24)))


def _within(cases: Sequence[Case], request: Request) -> list[Case]:
    """Return the cases, without those before or after the report if the user asks for all of the past or the future."""
    start, end = request.window.start, request.window.end

    def belongs(at: datetime) -> bool:
        return (request.first is not None or at >= start) and (request.last is not None or at < end)

    return [case for case in cases if not case.lines or belongs(case.lines[0].at)]


class _Trial:
    """One ledger, compared with reports."""

    def __init__(self, rng: random.Random, writer: Writer, folder: Path, request: Request) -> None:
        self.rng, self.writer, self.folder, self.request = rng, writer, folder, request
        self.window = request.window

    def reported(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Take away the lines that the report does not have, and return the cases."""
        for case in cases:
            if case.lines and not self.window.has(case.lines[0].at):
                case.leave_without_lines()
        return cases

    def problems(self, cases: Sequence[Case], figures: Figures, *, is_true: bool) -> Iterator[str]:
        """Yield what is wrong with the findings of these cases."""
        self.reported(cases)
        written = [line for case in cases for line in case.lines]
        self.rng.shuffle(written)
        written.sort(key=lambda line: line.at.date())
        lines, expected = self._read(written)
        figures.lines += len(lines)
        yield from self._misread(lines, expected)
        period = _period(lines, self.request.first, self.request.last, self.request.margin_hours)
        if period != self._period(expected):
            yield f"the period is {period}"
        records = [one.record for case in cases for one in case.records]
        self.rng.shuffle(records)
        result = reconcile("processor", lines, records, period)
        meetings = {line.own_id: case.meeting for case in cases for line in case.lines}
        names = [meetings.get(line.own_id, (line.own_id,)) for line in expected]
        yield from _wrong_verdicts(cases, lines, expected, names, result, period)
        yield from _wrong_sums(cases, expected, result, period)
        yield from self._blind_remainder(result, lines, records, period)
        if is_true and not result.is_explained:
            yield "something needs a person"
        if not is_true:
            figures.findings += len(result.to_decide)
        self.rng.shuffle(records)
        if match(lines, records, period) != result.findings:
            yield "another order of the records has other findings"
        self.rng.shuffle(lines)
        if _without_order(match(lines, records, period)) != _without_order(result.findings):
            yield "another order of the lines has other findings"

    def _read(self, written: Sequence[Line]) -> tuple[list[ReportLine], list[Line]]:
        """Write the lines in one or two files, and read these as the command does."""
        cut = self.rng.randrange(len(written) + 1) if self.rng.random() < 0.3 else len(written)
        lines: list[ReportLine] = []
        expected: list[Line] = []
        for number, part in enumerate((written[:cut], written[cut:]), 1):
            if not part and number == 2:
                continue
            file = self.folder / f"report-{number}.csv"
            content, found = self.writer.write(part)
            file.write_bytes(content)
            mapping = None
            if self.writer.mapping is not None:
                mapping = self.folder / "mapping.toml"
                mapping.write_text(self.writer.mapping)
            report = read_report(file, self.writer.name, zone=self.writer.read_zone, mapping=mapping)
            lines += [line._replace(report=str(file)) for line in report.lines]
            expected += found
        return lines, expected

    def _misread(self, lines: Sequence[ReportLine], expected: Sequence[Line]) -> Iterator[str]:
        if len(lines) != len(expected):
            yield f"the reader found {len(lines)} lines of {len(expected)}"
        for line, true in zip(lines, expected, strict=False):
            at = ledger_time(true.at) if self.writer.shows(true) else None
            read = line.kind, line.amount, line.currency, line.timestamp, line.status
            if read != (true.kind, true.amount, true.currency, at, true.status):
                yield f"line {line.number} was read as {read}"

    def _period(self, expected: Iterable[Line]) -> Period:
        """Return the period that the request and the report lead to, computed in another way."""
        first, last, margin_hours = self.request[1:]
        shown = [
            line.at for line in expected if self.writer.shows(line) and line.kind not in {NO_PAYMENT, UNKNOWN_TYPE}
        ]
        end = self.request.window.end if last is not None else max(shown, default=None)
        if end is None:
            return Period(first, last)
        margin = timedelta(hours=margin_hours)
        return Period(first, last, ledger_time(end - margin), None if last is not None else ledger_time(end + margin))

    def _blind_remainder(
        self, result: Reconciliation, lines: Sequence[ReportLine], records: Sequence[Record], period: Period
    ) -> Iterator[str]:
        """Lose a finding, and count one twice: the remainder must be what it was about."""
        if any(one.remainder for one in result.sums.values()):
            yield "a remainder is not 0"
        moving = [one for one in result.findings if one.report_amount != one.ledger_amount]
        if not moving:
            return
        one = self.rng.choice(moving)
        is_outside = one.record is not None and not period.has(one.record.timestamp)
        kept = [other for other in result.findings if other is not one]
        if not any(remainders(kept, lines, records, period).values()) and not (is_outside and not one.report_amount):
            yield "a lost finding leaves no remainder"
        if not any(remainders([*result.findings, one], lines, records, period).values()):
            yield "a finding that counts twice leaves no remainder"


def _wrong_verdicts(
    cases: Sequence[Case],
    lines: Sequence[ReportLine],
    expected: Sequence[Line],
    names: Sequence[tuple[str | None, ...]],
    result: Reconciliation,
    period: Period,
) -> Iterator[str]:
    """Yield each difference between the verdicts that lines and records got and must get."""
    places = Counter((one.line.report, one.line.number) for one in result.findings if one.line is not None)
    if set(places) != {(line.report, line.number) for line in lines} or any(n != 1 for n in places.values()):
        yield "a line has no verdict, or two"
    counts = Counter(one.record for one in result.findings if one.record is not None)
    if any(number != 1 for number in counts.values()):
        yield "a record has two verdicts"
    name_of = {(line.report, line.number): name for line, name in zip(lines, names, strict=False)}
    case_of = {one.record: case.meeting for case in cases for one in case.records}
    got = Counter(
        (name_of[one.line.report, one.line.number], "line", abs(one.line.amount), one.line.currency, one.verdict)
        for one in result.findings
        if one.line is not None
    )
    got += Counter(
        (case_of[one.record], "record", one.record.amount, one.record.currency, one.verdict)
        for one in result.findings
        if one.record is not None
    )
    must = Counter(
        (name, "line", abs(line.amount), line.currency, line.expected)
        for line, name in zip(expected, names, strict=True)
    )
    must += Counter(
        (case.meeting, "record", one.record.amount, one.record.currency, verdict)
        for case in cases
        for one in case.records
        if (verdict := one.verdict(period)) is not None
    )
    for sign, rest in (("must be", must - got), ("and is", got - must)):
        yield from (f"{sign}: {' '.join(map(str, one))}" for one in rest)
    for one in result.findings:
        if one.line is not None and one.record is not None:
            name, other = name_of[one.line.report, one.line.number], case_of[one.record]
            if name != other:
                yield f"{name} was compared with {other}"


def _wrong_sums(
    cases: Sequence[Case], expected: Sequence[Line], result: Reconciliation, period: Period
) -> Iterator[str]:
    """Yield each sum that differs from what was written and recorded."""
    report, ledger, decide = Counter[str](), Counter[str](), Counter[str]()
    for line in expected:
        thousandths = _thousandths(line.amount) if line.status == "Success" else 0
        report[line.currency] += thousandths
        decide[line.currency] += 0 if line.expected in EXPLAINED else thousandths
    for recorded in (one for case in cases for one in case.records):
        verdict, record = recorded.verdict(period), recorded.record
        thousandths = 0 if verdict is None else _thousandths(record.moved)
        ledger[record.currency] += thousandths
        decide[record.currency] -= 0 if verdict in EXPLAINED else thousandths
    for currency, sums in result.sums.items():
        got = tuple(map(_thousandths, (sums.report, sums.ledger, sums.to_decide)))
        must = report[currency], ledger[currency], decide[currency]
        if got != must:
            yield f"sums in {currency} are {got} and must be {must}"


def _thousandths(amount: Decimal) -> int:
    return int(amount * 1000)


def _without_order(findings: Iterable[Finding]) -> Counter[tuple[object, ...]]:
    """Return the verdicts, without which of equal lines was the first and which line stands beside a record."""
    found: Counter[tuple[object, ...]] = Counter()
    for one in findings:
        if one.line is not None:
            found[one.verdict, one.line.identity or one.line._replace(number=0, report="")] += 1
        if one.record is not None:
            found[one.verdict, one.record] += 1
    return found
