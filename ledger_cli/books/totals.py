"""What a processor's payments of some days add up to, by currency and status."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.timestamps import utc_timestamp
from ledger_cli.books.amounts import difference, total
from ledger_cli.books.record import PAYMENT, Record


class Sums(NamedTuple):
    """What records of one currency and one status add up to.

    Attributes:
        payments: how many payments they are.
        entries: how many entries they are.
        captured: successful payments, and what was captured beyond them.
        refunded: refunds, without those that failed.
        disputed: what was taken for disputes, without what came back.
    """

    payments: int = 0
    entries: int = 0
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    disputed: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        """What remains of what was captured."""
        return difference(difference(self.captured, self.refunded), self.disputed)

    def plus(self, record: Record) -> "Sums":
        """Return the sums with one more record."""
        is_payment = record.kind == PAYMENT
        counted = self._replace(payments=self.payments + is_payment, entries=self.entries + (not is_payment))
        if record.total is None:
            return counted
        changed: dict[str, Any] = {record.total: total((getattr(self, record.total), record.change))}
        return counted._replace(**changed)


def totals(records: Iterable[Record]) -> dict[tuple[str, str], Sums]:
    """Return the sums by currency and status, in this order. Memory does not grow with the records."""
    sums: dict[tuple[str, str], Sums] = {}
    for record in records:
        key = record.currency, record.status
        sums[key] = sums.get(key, Sums()).plus(record)
    return dict(sorted(sums.items()))


def day_in(zone: tzinfo, day: date) -> tuple[str, str]:
    """Return the first moment of a day in a zone and that of the next day, in the ledger's form of UTC.

    A day has 23 or 25 hours if the clocks change in it.

    Raises:
        OverflowError: the day is the first or the last that there is.
    """
    return _midnight(zone, day), _midnight(zone, day + timedelta(days=1))


def _midnight(zone: tzinfo, day: date) -> str:
    return utc_timestamp(datetime.combine(day, time(), zone).astimezone(UTC).isoformat())
