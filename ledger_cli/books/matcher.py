"""The matcher: it compares the lines of reports with the ledger's records, and gives each exactly one verdict.

Lines and records meet by the payment's ID, and then by the ID of the capture, refund or dispute. A processor may report
one capture in several lines, and several captures in one, so the lines and the records that meet are compared by their
sums. If a report does not name the refund or the dispute, those of the same payment meet by their amounts.

Everything here follows from the arguments alone. Memory and time grow with the number of lines and records, not faster.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from ledger_cli.books.amounts import difference, total
from ledger_cli.books.record import PAYMENT, Record
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, ReportLine

MATCHED, AMOUNT, CURRENCY, STATUS = "matched", "amount", "currency", "status"
MISSING_IN_LEDGER, MISSING_IN_REPORT, NOT_YET = "missing_in_ledger", "missing_in_report", "not_yet"
DUPLICATE_LINE = "duplicate_line"
PENDING = "Pending"

VERDICTS = (
    MATCHED, MISSING_IN_LEDGER, MISSING_IN_REPORT, AMOUNT, CURRENCY, STATUS, DUPLICATE_LINE, NOT_YET, NO_PAYMENT,
    UNKNOWN_TYPE,
)  # fmt: skip

EXPLAINED = frozenset({MATCHED, NOT_YET, NO_PAYMENT})
"""The verdicts that need nobody. Every other one needs a person."""

CAPTURED = "Captured"
ZERO = Decimal()


class Finding(NamedTuple):
    """A verdict, and what it is about.

    Attributes:
        verdict: one of `VERDICTS`.
        line: the report's line; None if a record has no line.
        record: the ledger's record; None if a line has no record, or shares the record of the finding before it.
        first: for a duplicate, the line that says the same.
    """

    verdict: str
    line: ReportLine | None = None
    record: Record | None = None
    first: ReportLine | None = None

    @property
    def report_amount(self) -> Decimal:
        """What the line adds to the merchant's balance; 0 if there is no line, or it moved no money."""
        return ZERO if self.line is None else moved(self.line)

    @property
    def ledger_amount(self) -> Decimal:
        """What the record adds to the merchant's balance; 0 if there is no record, or it moved no money."""
        return ZERO if self.record is None else self.record.moved


class Period(NamedTuple):
    """The time that reports cover. All texts are in the ledger's form of UTC.

    Attributes:
        first: the first moment; None if there is no limit.
        last: the first moment after it; None if there is no limit.
        open_from: records from here on may be missing in the reports, because their turn comes later; None if none may.
        open_until: records from here on may not; None if all may that are newer than `open_from`.
    """

    first: str | None = None
    last: str | None = None
    open_from: str | None = None
    open_until: str | None = None

    def has(self, timestamp: str) -> bool:
        """Return whether a time is part of the period."""
        return (self.first is None or self.first <= timestamp) and (self.last is None or timestamp < self.last)

    def expects(self, record: Record) -> bool:
        """Return whether the reports must have a record: it is of the period, and its turn does not come later."""
        return self.has(record.timestamp) and not self.is_open(record.timestamp)

    def is_open(self, timestamp: str) -> bool:
        """Return whether the next report may have what happened at a time."""
        begun = self.open_from is not None and timestamp >= self.open_from
        return begun and (self.open_until is None or timestamp < self.open_until)


def moved(line: ReportLine) -> Decimal:
    """Return what a line adds to the merchant's balance: nothing, unless it says that money moved."""
    return line.amount if line.status == "Success" else ZERO


def match(lines: Sequence[ReportLine], records: Iterable[Record], period: Period) -> list[Finding]:
    """Return the findings: those of the lines in their order, then those of the records without a line by time.

    Args:
        lines: the lines of all reports.
        records: the records of one processor, each once. One outside the period counts only if a line is about it.
        period: the time that the reports cover.
    """
    ledger = _Ledger.of(records)
    findings: list[Finding] = []
    seen: dict[str, ReportLine] = {}
    said: dict[tuple[object, ...], dict[str, list[ReportLine]]] = defaultdict(lambda: defaultdict(list))
    of_payments: dict[str, list[ReportLine]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: (line.report, line.number)):
        first = _in_earlier_report(line, said) if line.identity is None else seen.setdefault(line.identity, line)
        # Some processors number the rows of each file from 1, so that an identity may come again with something else.
        if first is not line and _movement(first) == _movement(line):
            findings.append(Finding(DUPLICATE_LINE, line, first=first))
        elif line.kind in {NO_PAYMENT, UNKNOWN_TYPE}:
            findings.append(Finding(line.kind, line))
        elif (transaction_id := ledger.payment_of(line)) is None:
            findings.append(Finding(MISSING_IN_LEDGER, line))
        else:
            of_payments[transaction_id].append(line)
    for transaction_id in {**ledger.records, **of_payments}:
        of_payment = sorted(of_payments.get(transaction_id, []), key=lambda line: line.timestamp or "")
        recorded = sorted(ledger.records.get(transaction_id, []), key=_record_order)
        for group in _groups(of_payment, recorded):
            findings.extend(_judge(group, period))
    return _ordered(findings)


def _movement(line: ReportLine) -> tuple[object, ...]:
    """Return what a line says about the money alone. How a line names the payment may depend on the lines before it."""
    return line.type, line.amount, line.currency, line.timestamp, line.status


def _in_earlier_report(line: ReportLine, said: dict[tuple[object, ...], dict[str, list[ReportLine]]]) -> ReportLine:
    """Return the line of an earlier report that is the same one; the line itself if there is none.

    Reports may overlap. Two lines of one report are different ones, even if they say the same. Without a time, nothing
    distinguishes two days.

    Args:
        line: the line.
        said: the lines before it, by what they say and by their report. The line is added.
    """
    if line.timestamp is None:
        return line
    of_reports = said[_content(line)]
    place = len(of_reports[line.report])
    of_reports[line.report].append(line)
    return next(lines[place] for lines in of_reports.values() if len(lines) > place)


def _ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of the lines in the order of the reports, then those of the records by time."""
    of_lines = sorted(
        (one.line.report, one.line.number, place) for place, one in enumerate(findings) if one.line is not None
    )
    of_records = sorted(
        (one.record.timestamp, one.record.transaction_id, place)
        for place, one in enumerate(findings)
        if one.line is None and one.record is not None
    )
    return [findings[place] for *_, place in (*of_lines, *of_records)]


def _record_order(record: Record) -> tuple[str, str]:
    return record.timestamp, record.entry_id or ""


@dataclass
class _Ledger:
    """The records by the ID of their payment, and the payments by the IDs that their entries have and name."""

    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    payments: dict[str | None, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, records: Iterable[Record]) -> "_Ledger":
        ledger = cls()
        for record in records:
            ledger.records[record.transaction_id].append(record)
            for entry_id in (record.entry_id, record.reverses):
                if entry_id is not None:
                    ledger.payments[entry_id].add(record.transaction_id)
        return ledger

    def payment_of(self, line: ReportLine) -> str | None:
        """Return the ID of the payment that a line is about; None if it names none, or if several could be meant.

        A line may name an entry in the place of its payment, as PayPal's reversal of a chargeback does.
        """
        if line.transaction_id in self.records or (line.transaction_id is not None and line.kind == PAYMENT):
            return line.transaction_id
        named = self.payments.get(line.transaction_id or line.entry_id, set())
        return next(iter(named)) if len(named) == 1 else line.transaction_id


class _Group(NamedTuple):
    """Lines and records of one payment that are about the same.

    `is_sum` says whether their sums decide. Otherwise each line has a record of its own.
    """

    lines: list[ReportLine]
    records: list[Record]
    is_sum: bool


def _groups(lines: Sequence[ReportLine], records: Sequence[Record]) -> Iterator[_Group]:
    """Yield the lines and records of one payment in groups: by kind, and by the ID of the entry if a line names it."""
    captures = {record.entry_id for record in records if _class(record) == PAYMENT}
    reversed_ = {(record.kind, record.reverses) for record in records if record.reverses is not None}
    groups: dict[tuple[str, str | None], _Group] = {}

    def group(kind: str, entry_id: str | None) -> _Group:
        return groups.setdefault((kind, entry_id), _Group([], [], is_sum=entry_id is not None or kind == PAYMENT))

    for line in lines:
        kind = _class(line)
        # A processor names each capture. The ledger may have recorded all of them as one payment.
        is_named = kind != PAYMENT or line.entry_id in captures
        # A line may name what it undoes in the place of the payment.
        entry_id = line.transaction_id if (kind, line.transaction_id) in reversed_ else line.entry_id
        group(kind, entry_id if is_named else None).lines.append(line)
    for record in records:
        kind = _class(record)
        named = (one for one in (record.entry_id, record.reverses) if (kind, one) in groups)
        group(kind, next(named, None)).records.append(record)
    yield from groups.values()


def _class(one: ReportLine | Record) -> str:
    """Return the kind, which is `PAYMENT` for every capture."""
    return PAYMENT if one.kind == CAPTURED else one.kind


def _judge(group: _Group, period: Period) -> list[Finding]:
    """Return the findings of one group."""
    lines, records, is_sum = group
    if not lines:
        return [finding for record in records for finding in _without_line(record, period)]
    ended = {(line.amount, line.currency) for line in lines if line.status != PENDING}
    pending = [line for line in lines if line.status == PENDING]
    superseded = [line for line in pending if (line.amount, line.currency) in ended]
    if superseded:  # what was pending has an end, in another line
        rest = [line for line in lines if line not in superseded]
        return [*(Finding(MATCHED, line) for line in superseded), *_judge(_Group(rest, records, is_sum), period)]
    if pending == lines and not records:
        return [Finding(NOT_YET, line) for line in lines]
    once, repeated = _split_repeated(lines)
    if is_sum:
        for summed, others in _choices(lines, records, period):
            without_line = [finding for record in others for finding in _without_line(record, period)]
            if _fits(lines, summed):
                return [*_paired(lines, summed), *without_line]
            if _fits(once, summed):
                return [*_paired(once, summed), *repeated, *without_line]
    pairs, left_lines, left_records = _pair_equal(lines, records, period)
    fitting = {_content(line): line for line, _ in pairs}
    return [
        *(Finding(MATCHED, line, record) for line, record in pairs),
        *_judge_rest(left_lines, left_records, fitting, period, is_sum=is_sum),
    ]


def _choices(
    lines: Sequence[ReportLine], records: Sequence[Record], period: Period
) -> Iterator[tuple[Sequence[Record], Sequence[Record]]]:
    """Yield what the lines may be the sum of, and the rest, whose lines are missing or in another report.

    That is all records, those of the period, those that the reports must have, or the one with the sum of the lines.
    """
    sum_ = total(map(moved, lines))
    choices = (
        records,
        [record for record in records if period.has(record.timestamp)],
        [record for record in records if period.expects(record)],
        [record for record in records if record.moved == sum_][:1],
    )
    for chosen in choices:
        if chosen:
            yield chosen, [record for record in records if record not in chosen]


def _without_line(record: Record, period: Period) -> Iterator[Finding]:
    """Yield the finding of a record that no line is about; none if the record is outside the period."""
    if not period.has(record.timestamp):
        return
    if not record.moved:
        yield Finding(MATCHED, record=record)  # no money moved, and the report has none
    elif period.is_open(record.timestamp):
        yield Finding(NOT_YET, record=record)
    else:
        yield Finding(MISSING_IN_REPORT, record=record)


def _split_repeated(lines: Sequence[ReportLine]) -> tuple[list[ReportLine], list[Finding]]:
    """Return the lines without exact repetitions, and a finding for each repetition.

    Lines with an identity are never repetitions, since those were found before.
    """
    seen: dict[tuple[object, ...], ReportLine] = {}
    once, repeated = [], []
    for line in lines:
        first = seen.setdefault(_content(line), line)
        if first is line:
            once.append(line)
        else:
            repeated.append(Finding(DUPLICATE_LINE, line, first=first))
    return once, repeated


def _content(line: ReportLine) -> tuple[object, ...]:
    """Return what a line says, without its place: its number, which comes first, and its report, which comes last."""
    return line[1:-1]


def _fits(lines: Sequence[ReportLine], records: Sequence[Record]) -> bool:
    """Return whether the lines and the records have one currency, the same sum, and statuses that agree.

    Several lines that succeeded and sum to zero agree with a failure: the money came and went again.
    """
    currencies = {line.currency for line in lines} | {record.currency for record in records}
    is_sum = total(map(moved, lines)) == total(record.moved for record in records)
    line_statuses, record_statuses = {line.status for line in lines}, {record.status for record in records}
    is_undone = len(lines) > 1 and line_statuses == {"Success"} and record_statuses == {"Failure"}
    return len(currencies) == 1 and is_sum and (is_undone or len(line_statuses | record_statuses) == 1)


def _paired(lines: Sequence[ReportLine], records: Sequence[Record]) -> list[Finding]:
    """Return a finding for each line that fits, with a record; what is left of the longer list has its own findings."""
    by_size = sorted(records, key=lambda record: record.moved, reverse=True)
    return [Finding(MATCHED, line, record) for line, record in zip_longest(lines, by_size)]


def _pair_equal(
    lines: Sequence[ReportLine], records: Sequence[Record], period: Period
) -> tuple[list[tuple[ReportLine, Record]], list[ReportLine], list[Record]]:
    """Return each line that has a record of its own with the same amount, beside it, and what is left of both."""
    waiting: dict[tuple[str, str, Decimal], list[Record]] = defaultdict(list)
    for record in records:
        waiting[record.currency, record.status, record.moved].append(record)
    pairs, left = [], []
    for line in lines:
        same = waiting[line.currency, line.status, moved(line)]
        if same:
            pairs.append((line, same.pop(_nearest(line, same, period))))
        else:
            left.append(line)
    return pairs, left, [record for same in waiting.values() for record in same]


def _nearest(line: ReportLine, records: Sequence[Record], period: Period) -> int:
    """Return the place of the record that a line means, of records that differ in their times only."""
    if line.timestamp is None:
        return next((place for place, record in enumerate(records) if period.expects(record)), 0)
    after = bisect_left(records, line.timestamp, key=lambda record: record.timestamp)
    if after in {0, len(records)}:
        return max(after - 1, 0)
    moment, before, behind = (
        datetime.fromisoformat(text)
        for text in (line.timestamp, records[after - 1].timestamp, records[after].timestamp)
    )
    return after - 1 if moment - before <= behind - moment else after


def _judge_rest(
    lines: Sequence[ReportLine],
    records: Sequence[Record],
    fitting: Mapping[tuple[object, ...], ReportLine],
    period: Period,
    *,
    is_sum: bool,
) -> Iterator[Finding]:
    """Yield the findings of lines and records that did not fit.

    Args:
        lines: the lines.
        records: the records.
        fitting: the lines of the same group that did fit, by what they say.
        period: the time that the reports cover.
        is_sum: whether all of them are about the same movement of money.
    """
    differing: list[ReportLine] = []
    for line in lines:
        first = fitting.get(_content(line))
        if first is not None:
            yield Finding(DUPLICATE_LINE, line, first=first)
        else:
            differing.append(line)
    # An authorisation took nothing: whatever was taken is another record.
    taken = [record for record in records if record.moved or record.status != "Success"]
    compared, others = _compared(differing, taken, period, is_sum=is_sum)
    for record in (*others, *(record for record in records if record not in taken)):
        yield from _without_line(record, period)
    differing.sort(key=lambda line: moved(line).copy_abs())
    compared.sort(key=lambda record: record.moved.copy_abs())
    pairs = list(zip(differing, compared, strict=False))
    for line, record in pairs:
        yield Finding(_difference(line, record), line, record)
    for line in differing[len(pairs) :]:
        yield Finding(_difference(line, compared[-1]) if is_sum and compared else MISSING_IN_LEDGER, line)
    for record in compared[len(pairs) :]:
        yield Finding(_difference(differing[-1], record), record=record)


def _compared(
    lines: Sequence[ReportLine], records: Sequence[Record], period: Period, *, is_sum: bool
) -> tuple[list[Record], list[Record]]:
    """Return the records to compare with the lines, and the rest.

    Without a sum, there is one for each line: the one nearest in amount, and of two that are as near the one that the
    reports must have.
    """
    expected = [record for record in records if period.expects(record)]
    others = [record for record in records if not period.expects(record)]
    if is_sum and lines:
        return (expected, others) if expected else (others, [])
    left, compared = [*expected, *others], []
    for line in lines[: len(records)]:
        amount = moved(line)
        nearest = min(left, key=lambda one: difference(one.moved, amount).copy_abs())
        left.remove(nearest)
        compared.append(nearest)
    return compared, left


def _difference(line: ReportLine, record: Record) -> str:
    if line.status != record.status:
        return STATUS
    return CURRENCY if line.currency != record.currency else AMOUNT


def remainders(
    findings: Iterable[Finding], lines: Iterable[ReportLine], records: Iterable[Record], period: Period
) -> dict[str, Decimal]:
    """Return by currency what of the difference between reports and ledger no finding explains: always 0.

    The sums of the lines and of the records are made without the findings. So a line or a record that was lost, or that
    counts twice, would show.
    """
    amounts: dict[str, list[Decimal]] = defaultdict(list)
    used = set()
    for finding in findings:
        if finding.line is not None:
            amounts[finding.line.currency].append(finding.report_amount.copy_negate())
        if finding.record is not None:
            amounts[finding.record.currency].append(finding.ledger_amount)
            used.add(finding.record)
    for line in lines:
        amounts[line.currency].append(moved(line))
    for record in records:
        if record in used or period.has(record.timestamp):
            amounts[record.currency].append(record.moved.copy_negate())
    return {currency: total(parts) for currency, parts in sorted(amounts.items())}
