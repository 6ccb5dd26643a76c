"""A random ledger of one processor, and what a true report of it says, before any format.

A *case* is what must meet: the records and the lines that are about the same movement of money. Each of them carries
the verdict that it must get, so that whatever is planted later says what it expects.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ledger.entry import KIND_BEFORE
from ledger.timestamps import utc_timestamp
from ledger_cli.books.matcher import MATCHED, MISSING_IN_REPORT, NOT_YET, Period
from ledger_cli.books.record import Record

ALONE = "alone"
"""What is expected of a record without a line: its time decides."""

DECIMALS = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
VALUES = {name: Decimal(value) for name, value in (
    ("EUR", "1"), ("USD", "0.92"), ("GBP", "1.17"), ("CHF", "1.05"), ("JPY", "0.0061"), ("KRW", "0.00066"),
    ("KWD", "3.01"), ("BHD", "2.45"),
)}  # fmt: skip
"""Each currency's value in euros. Any figures would do."""

CLOCK_CHANGES = ("2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01")
"""Days on which clocks change in America or in Europe."""

SIGNS = {"Payment": 1, "Captured": 1, "Refunded": -1, "RefundFailed": 1, "Disputed": -1, "DisputeWon": 1}
"""What each kind does to the merchant's balance, written down again: the proof must not ask the code that it judges."""


def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency."""
    return Decimal(1).scaleb(-DECIMALS[currency])


def in_currency(amount: Decimal, currency: str, settled: str) -> Decimal:
    """Return an amount in the currency of the settlement, rounded as a processor does."""
    return (amount * VALUES[currency] / VALUES[settled]).quantize(minor_unit(settled))


@dataclass(slots=True)
class Line:
    """A line of a report, before any format.

    Attributes:
        kind: the kind that a reader must give it.
        transaction_id: the payment's ID.
        entry_id: the ID of the capture, refund or dispute that the line is about.
        amount: what it adds to the merchant's balance.
        currency: the currency that the customer paid in.
        settled: the currency in which the processor settles it.
        at: when it was booked.
        own_id: the processor's ID of this very movement.
        role: what tells lines of one kind apart: `reversal`, `failure`, `second`, `fee`, `payout` and so on.
        status: `Success`, `Failure` or `Pending`.
        expected: the verdict that it must get.
        names_payment: whether the line names the payment; otherwise only the entry.
    """

    kind: str
    transaction_id: str | None
    entry_id: str | None
    amount: Decimal
    currency: str
    settled: str
    at: datetime
    own_id: str
    role: str = ""
    status: str = "Success"
    expected: str = MATCHED
    names_payment: bool = True


@dataclass(slots=True)
class Recorded:
    """A record, and the verdict that it must get."""

    record: Record
    expected: str = MATCHED

    def verdict(self, period: Period) -> str | None:
        """Return the verdict that the record must get in this period; None if it must get none."""
        if self.expected != ALONE:
            return self.expected
        at = self.record.timestamp
        if (period.first is not None and at < period.first) or (period.last is not None and at >= period.last):
            return None
        if self.record.status != "Success" or self.record.kind not in SIGNS or not self.record.amount:
            return MATCHED
        if (
            period.open_from is None
            or at < period.open_from
            or (period.open_until is not None and at >= period.open_until)
        ):
            return MISSING_IN_REPORT
        return NOT_YET


@dataclass(slots=True)
class Case:
    """Records and lines that are about the same.

    `meeting` is how far the report's IDs lead: only their amounts distinguish cases that share it.
    """

    meeting: tuple[str | None, ...]
    records: list[Recorded]
    lines: list[Line]
    form: str = "one"

    def leave_without_lines(self) -> None:
        """Take the lines away, so that the time of each record decides."""
        self.lines = []
        for recorded in self.records:
            recorded.expected = ALONE


class Abilities(NamedTuple):
    """What a format can say.

    Attributes:
        currencies: the currencies that it can write.
        has_entry_ids: whether it names refunds and disputes.
        has_identity: whether each line has an ID of its own.
        has_fee_ids: whether lines about no payment have IDs too.
        has_times: whether lines have times.
        captures: how it shows what was captured: `reversal` (the authorisation and what was not captured), `named`
            (each capture by its ID), `merged` (captures without IDs), or empty if it has one line for a payment.
        has_failed_refunds: whether it shows a refund that failed.
        has_failed_lines: whether payments that failed have lines.
        has_parts: whether several lines may be about one refund or dispute.
        settles_elsewhere: whether a line has the customer's amount beside the settled one.
        has_entries_alone: whether a line may name a refund or a dispute and not its payment.
        has_failing_debits: whether a payment that fails after days has two lines.
        has_second_disputes: whether a dispute may have a second one.
        wins_by: the ID that a won dispute's line has: `dispute`, or `own`.
    """

    currencies: tuple[str, ...]
    has_entry_ids: bool = True
    has_identity: bool = True
    has_fee_ids: bool = True
    has_times: bool = True
    captures: str = ""
    has_failed_refunds: bool = True
    has_failed_lines: bool = False
    has_parts: bool = False
    settles_elsewhere: bool = False
    has_entries_alone: bool = False
    has_failing_debits: bool = False
    has_second_disputes: bool = False
    wins_by: str = "dispute"


class Window(NamedTuple):
    """The time that a report covers: from midnight to midnight in a zone."""

    start: datetime
    end: datetime

    def has(self, moment: datetime) -> bool:
        """Return whether a moment is part of it."""
        return self.start <= moment < self.end


def window_in(zone: str, day: str, days: int) -> Window:
    """Return the window of some days in a zone."""
    start = datetime.combine(datetime.fromisoformat(day), time(), ZoneInfo(zone))
    return Window(start.astimezone(UTC), (start + timedelta(days=days)).astimezone(UTC))


def ledger_time(moment: datetime) -> str:
    """Return a time in the ledger's form."""
    return utc_timestamp(moment.isoformat())


@dataclass
class History:
    """Makes the payments of one ledger, from a source of chance.

    A payment is booked in the second of its record, or up to an hour later.
    """

    rng: random.Random
    abilities: Abilities
    window: Window
    settled: str
    cases: list[Case] = field(default_factory=list)
    _ids: int = 0

    def make(self, payments: int) -> list[Case]:
        """Return the cases of so many payments, and of what has no payment."""
        forms: list[Callable[[], None]] = [self._payment] * 5 + [self._failed]
        if self.abilities.has_failing_debits:
            forms.append(self._failing_debit)
        for _ in range(payments):
            self.rng.choice(forms)()
        for _ in range(self.rng.randrange(3)):
            currency = self.settled if self.abilities.settles_elsewhere else self._currency()
            amount = -self._amount(currency)
            at = self._moment()
            line = Line("no_payment", None, None, amount, currency, currency, at, self._id("fee"), "fee")
            self.cases.append(Case((line.own_id,), [], [replace(line, expected="no_payment")], "no_payment"))
        return self.cases

    def _id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:04}{self.rng.randrange(16**6):06x}"

    def _currency(self) -> str:
        return self.rng.choice(self.abilities.currencies)

    def _amount(self, currency: str, most: Decimal | None = None) -> Decimal:
        """Return an amount of at least ten units, which divides well often enough to give equal amounts."""
        unit = minor_unit(currency)
        units = self.rng.choice((self.rng.randrange(10, 500_000), 100 * self.rng.randrange(1, 20)))
        amount = units * unit
        return amount if most is None or amount <= most else most

    def _moment(self, after: datetime | None = None) -> datetime:
        """Return a second around the window, more often near its ends than chance would have it."""
        start, end = (one.timestamp() for one in self.window)
        second = self.rng.choice((
            self.rng.uniform(start - 90_000, end + 90_000),
            self.rng.uniform(start, end),
            self.rng.uniform(start, end),
            self.rng.choice((start, end)) + self.rng.randrange(-4000, 4000),
            self.rng.choice((start, end)) + self.rng.randrange(-1, 2),
        ))  # fmt: skip
        moment = datetime.fromtimestamp(int(second), UTC)
        if after is not None and moment < after:
            return after + timedelta(seconds=self.rng.randrange(1, 200_000))
        return moment

    def _record(self, kind: str, amount: Decimal, of: "_Of", **changes: str | None) -> Recorded:
        at = of.at + timedelta(microseconds=self.rng.choice((0, self.rng.randrange(10**6))))
        facts: dict[str, object] = {
            "TransactionID": of.transaction_id,
            "Amount": f"{amount:f}",
            "Currency": of.currency,
            "ProcessorID": "processor",
            "Timestamp": ledger_time(at),
        }
        if kind == "Payment":
            facts |= {"Status": changes.get("status", "Success")}
        else:
            facts |= {"Kind": kind, "EntryID": changes["entry_id"]}
            if kind in KIND_BEFORE:
                facts |= {"Reverses": changes["reverses"]}
        return Recorded(Record.of(facts))

    def _line(self, kind: str, amount: Decimal, of: "_Of", entry_id: str | None = None, role: str = "") -> Line:
        """Return a line, with the sign that its kind has."""
        named = entry_id if self.abilities.has_entry_ids else None
        signed = amount * SIGNS[kind]
        kind = "Payment" if kind == "Captured" else kind
        return Line(
            kind, of.transaction_id, named, signed, of.currency, of.settled, of.booked, self._id("mv"), role
        )  # fmt: skip

    def _of(self, transaction_id: str, currency: str, settled: str, after: datetime | None = None) -> "_Of":
        at = self._moment(after)
        is_late = self.abilities.has_entry_ids and self.rng.random() < 0.3
        booked = at + timedelta(seconds=self.rng.randrange(3500)) if is_late else at
        return _Of(transaction_id, currency, settled, at, booked)

    def _new(self) -> "_Of":
        currency = self._currency()
        elsewhere = self.abilities.settles_elsewhere and self.rng.random() < 0.4
        return self._of(self._id("pay"), currency, self.settled if elsewhere else currency)

    def _failed(self) -> None:
        of = self._new()
        recorded = self._record("Payment", self._amount(of.currency), of, status="Failure")
        case = Case((of.transaction_id, "Payment"), [recorded], [], "silent")
        if self.abilities.has_failed_lines:
            line = self._line("Payment", recorded.record.amount, of)
            case.lines.append(replace(line, status="Failure"))
            case.form = "failed"
        else:
            case.leave_without_lines()
        self.cases.append(case)

    def _failing_debit(self) -> None:
        of = self._new()
        amount = self._amount(of.currency)
        recorded = self._record("Payment", amount, of, status="Failure")
        lines = [
            self._line("Payment", amount, of),
            replace(self._line("Payment", amount, of, role="failure"), amount=-amount),
        ]
        self.cases.append(Case((of.transaction_id, "Payment"), [recorded], lines, "debit"))

    def _payment(self) -> None:
        of = self._new()
        amount = self._amount(of.currency)
        self.cases.extend(self._capture(of, amount))
        unnamed: set[tuple[str, Decimal]] = set()
        rest = amount
        for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2, 3))):
            if rest < 10 * minor_unit(of.currency):
                break
            part = self._amount(of.currency, rest)
            undo = self.rng.choice((self._refund, self._refund, self._dispute))
            kind = "Refunded" if undo == self._refund else "Disputed"
            is_known = (kind, part) in unnamed
            if is_known and not (self.abilities.has_entry_ids or self.abilities.has_identity):
                continue  # nothing could tell these two lines from one line that stands there twice
            unnamed.add((kind, part))
            later = self._of(of.transaction_id, of.currency, of.settled, of.at)
            came_back = undo(later, part)
            rest -= part - came_back

    def _capture(self, of: "_Of", amount: Decimal) -> Iterator[Case]:
        """Yield the cases of what was captured."""
        captures, meeting = self.abilities.captures, (of.transaction_id, "Payment")
        payment = self._record("Payment", amount, of)
        form = self.rng.choice(("one", "one", "parts", "later"))
        if form == "one" or not captures:
            yield Case(meeting, [payment], [self._line("Payment", amount, of)])
        elif captures == "reversal":
            more = self._amount(of.currency)
            held = replace(self._line("Payment", amount, of), amount=amount + more)
            lines = [held, replace(self._line("Payment", amount, of, role="reversal"), amount=-more)]
            yield Case(meeting, [payment], lines, "split")
        elif form == "parts":
            first = self._part(amount, of.currency)
            lines = [self._line("Payment", part, of, self._id("cap")) for part in (first, amount - first)]
            if self.rng.random() < 0.5 and first != amount - first:
                entry = self._record("Captured", amount - first, of, entry_id=self._id("other"))
                records = [self._record("Payment", first, of), entry]
                if self.rng.random() < 0.5:
                    lines = [self._line("Payment", amount, of)]
                yield Case(meeting, records, lines, "many" if len(lines) == 2 else "merged")
            else:
                yield Case(meeting, [payment], lines, "split")
        elif captures == "named":
            opened = self._record("Payment", Decimal(0), of)  # an authorisation that took nothing yet
            case = Case((*meeting, "authorisation"), [opened], [], "silent")
            case.leave_without_lines()
            yield case
            first = self._part(amount, of.currency)
            for part in (first, amount - first):
                later = self._of(of.transaction_id, of.currency, of.settled, of.at)
                entry_id = self._id("cap")
                record = self._record("Captured", part, later, entry_id=entry_id)
                yield Case((*meeting, entry_id), [record], [self._line("Captured", part, later, entry_id)])
        else:
            # The first capture, and one some days later that may be in another report: nothing names either.
            yield Case(meeting, [payment], [self._line("Payment", amount, of)], "unnamed")
            later = self._of(of.transaction_id, of.currency, of.settled, of.at + timedelta(seconds=1))
            more = self._amount(of.currency)
            while more == amount:
                more += minor_unit(of.currency)
            record = self._record("Captured", more, later, entry_id=self._id("other"))
            lines = [self._line("Payment", more, later)]
            if self.rng.random() < 0.4:
                first = self._part(more, of.currency)
                while first == amount or more - first in {amount, first}:
                    first += minor_unit(of.currency)
                lines = [self._line("Payment", part, later) for part in (first, more - first)]
            yield Case(meeting, [record], lines, "unnamed")

    def _part(self, amount: Decimal, currency: str) -> Decimal:
        unit = minor_unit(currency)
        return self.rng.randrange(1, int(amount / unit)) * unit

    def _meeting(self, of: "_Of", kind: str, entry_id: str) -> tuple[str | None, ...]:
        return (of.transaction_id, kind, entry_id) if self.abilities.has_entry_ids else (of.transaction_id, kind)

    def _refund(self, of: "_Of", amount: Decimal) -> Decimal:
        """Add a refund, which may fail; return what came back."""
        entry_id = self._id("re")
        record = self._record("Refunded", amount, of, entry_id=entry_id)
        line = self._line("Refunded", amount, of, entry_id)
        line.names_payment = not (self.abilities.has_entries_alone and self.rng.random() < 0.2)
        self.cases.append(Case(self._meeting(of, "Refunded", entry_id), [record], [line]))
        if not self.abilities.has_failed_refunds or self.rng.random() < 0.7:
            return Decimal(0)
        later = self._of(of.transaction_id, of.currency, of.settled, of.at)
        failed = self._record("RefundFailed", amount, later, entry_id=self._id("rf"), reverses=entry_id)
        line = self._line("RefundFailed", amount, later, entry_id)
        self.cases.append(Case(self._meeting(of, "RefundFailed", entry_id), [failed], [line]))
        return amount

    def _dispute(self, of: "_Of", amount: Decimal) -> Decimal:
        """Add a dispute, which may be won, in parts too, or lost; return what came back."""
        entry_id = self._id("dp")
        record = self._record("Disputed", amount, of, entry_id=entry_id)
        line = self._line("Disputed", amount, of, entry_id)
        self.cases.append(Case(self._meeting(of, "Disputed", entry_id), [record], [line]))
        outcome = self.rng.choice(("open", "lost", "won", "won", "parts", "second"))
        later = self._of(of.transaction_id, of.currency, of.settled, of.at)
        if outcome == "lost":
            lost = self._record("DisputeLost", amount, later, entry_id=self._id("lost"), reverses=entry_id)
            case = Case((of.transaction_id, "DisputeLost", entry_id), [lost], [], "silent")
            case.leave_without_lines()
            self.cases.append(case)
        if outcome in {"open", "lost"}:
            return Decimal(0)
        if outcome == "parts" and self.abilities.has_parts and self.abilities.has_entry_ids:
            first = self._part(amount, of.currency)
            self._won(later, entry_id, first, amount - first)
            return amount
        self._won(later, entry_id, amount)
        if outcome == "second" and self.abilities.has_second_disputes:
            again = self._of(of.transaction_id, of.currency, of.settled, later.at)
            second = self._record("Disputed", amount, again, entry_id=f"{entry_id}_second")
            line = self._line("Disputed", amount, again, entry_id, "second")
            self.cases.append(Case((of.transaction_id, "Disputed", entry_id, "second"), [second], [line]))
            return Decimal(0)
        return amount

    def _won(self, of: "_Of", dispute_id: str, *parts: Decimal) -> None:
        own = [self._id("won") for _ in parts]
        records = [
            self._record("DisputeWon", part, of, entry_id=entry_id, reverses=dispute_id)
            for part, entry_id in zip(parts, own, strict=True)
        ]
        if self.abilities.wins_by == "own":
            for record, part, entry_id in zip(records, parts, own, strict=True):
                line = replace(self._line("DisputeWon", part, of, dispute_id), own_id=entry_id)
                self.cases.append(Case((of.transaction_id, "DisputeWon", dispute_id), [record], [line]))
            return
        lines = [self._line("DisputeWon", part, of, dispute_id) for part in parts]
        form = "one" if len(parts) == 1 else "many" if parts[0] != parts[1] else "equal"
        self.cases.append(Case(self._meeting(of, "DisputeWon", dispute_id), records, lines, form))


class _Of(NamedTuple):
    """What a movement belongs to, and when it happened and was booked."""

    transaction_id: str
    currency: str
    settled: str
    at: datetime
    booked: datetime
