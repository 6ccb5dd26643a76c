"""Writers of true reports: lines before any format become the bytes of a file that a reader accepts.

Each writer computes fees, net amounts, payouts and control totals from the lines that it is given. So a report with a
planted difference is a report that a processor could have sent.
"""

import csv
import io
import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from zoneinfo import ZoneInfo

from tests.books.histories import DECIMALS, SIGNS, Abilities, Line, in_currency, minor_unit

PACIFIC = "America/Los_Angeles"


def fee_of(line: Line) -> Decimal:
    """Return the fee of a line, in the currency of the settlement."""
    gross = in_currency(line.amount, line.currency, line.settled)
    return (abs(gross) * Decimal("0.029")).quantize(minor_unit(line.settled))


def is_ambiguous(moment: datetime, zone: str) -> bool:
    """Return whether a clock in the zone shows this time twice."""
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return len({local.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}) == 2


class Writer(ABC):
    """One format, with what a user chooses about a report: columns, their order, zone, line ends.

    Attributes:
        abilities: what the format can say.
        zone: the zone in which a day of the report is cut.
        read_zone: the zone that the reader must be given.
        mapping: the mapping's text, if the format has one.
    """

    name: str
    abilities: Abilities
    zone: str
    read_zone: str | None = None
    mapping: str | None = None

    def __init__(self, rng: random.Random) -> None:
        """Choose."""
        self.rng = rng
        self.seed = rng.random()
        self.line_end = rng.choice(("\n", "\r\n"))
        self.mark = rng.choice((b"", b"\xef\xbb\xbf"))
        self.files = 0

    @abstractmethod
    def rows(self, lines: Sequence[Line]) -> tuple[list[Sequence[str]], list[Line]]:
        """Return the file's rows, and the lines that a reader must find in it, in this order."""

    def write(self, lines: Sequence[Line]) -> tuple[bytes, list[Line]]:
        """Return the file, and the lines that a reader must find in it, in this order."""
        self.files += 1
        rows, found = self.rows(lines)
        return self.mark + self.encoded(rows), found

    delimiter = ","

    def encoded(self, rows: Iterable[Sequence[str]]) -> bytes:
        """Return rows as CSV."""
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end).writerows(rows)
        return text.getvalue().encode()

    def shows(self, line: Line) -> bool:  # noqa: ARG002  # other formats look at it
        """Return whether the time of a line is certain in the file."""
        return self.abilities.has_times

    def arranged(self, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> list[Sequence[str]]:
        """Return rows of dicts as rows of fields, in an order of columns that is always the same for this writer."""
        order = [*columns, "A column of the user's own"]
        random.Random(self.seed).shuffle(order)  # noqa: S311  # no secret
        return [order, *([row.get(column, "") for column in order] for row in rows)]


class Stripe(Writer):
    """Stripe's itemized payout reconciliation."""

    name = "stripe"

    def __init__(self, rng: random.Random) -> None:
        """Choose."""
        super().__init__(rng)
        self.has_utc = rng.random() < 0.4
        self.is_customer_facing = rng.random() < 0.7
        self.zone = "UTC" if self.has_utc else rng.choice(("UTC", "Europe/Berlin", "America/New_York"))
        self.read_zone = None if self.zone == "UTC" else self.zone
        self.abilities = Abilities(
            ("EUR", "USD", "JPY", "KWD"),
            captures="reversal",
            has_parts=True,
            settles_elsewhere=self.is_customer_facing,
            has_entries_alone=True,
            has_failing_debits=True,
        )

    CATEGORIES: ClassVar[dict[str, str]] = {
        "Refunded": "refund",
        "RefundFailed": "refund_failure",
        "Disputed": "dispute",
        "DisputeWon": "dispute_reversal",
        "no_payment": "fee",
        "unknown_type": "a_new_category",
    }
    ROLES: ClassVar[dict[str, str]] = {
        "": "charge",
        "reversal": "partial_capture_reversal",
        "failure": "charge_failure",
    }
    COLUMNS = ("balance_transaction_id", "charge_id", "source_id", "currency", "gross", "fee", "net",
               "reporting_category", "automatic_payout_id", "description")  # fmt: skip

    def shows(self, line: Line) -> bool:
        """Return whether the time of a line is certain in the file."""
        return self.has_utc or not is_ambiguous(line.at, self.zone)

    def rows(self, lines: Sequence[Line]) -> tuple[list[Sequence[str]], list[Line]]:
        """Return the rows, with a payout for each day and currency but the last."""
        found: list[Line] = []
        rows: list[dict[str, str]] = []
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        ends: dict[tuple[str, str], datetime] = {}
        for line in lines:
            row = self._row(line)
            payout = f"{line.at:%Y%m%d}-{self.files}", line.settled
            row["automatic_payout_id"] = f"po_{payout[0]}{payout[1]}"
            sums[payout] += Decimal(row["net"])
            ends[payout] = max(line.at, ends.get(payout, line.at))
            rows.append(row)
            found.append(line)
        is_open = self.seed < 0.5
        for payout in sorted(sums)[: len(sums) - is_open]:
            day, currency = payout
            amount = -sums[payout]
            line = Line(
                "no_payment", None, None, amount, currency, currency, ends[payout], f"po_{day}{currency}", "payout",
                expected="no_payment",
            )  # fmt: skip
            row = self._row(line, fee=Decimal(0))
            row |= {"reporting_category": "payout", "automatic_payout_id": line.own_id, "source_id": line.own_id}
            rows.append(row)
            found.append(line)
        columns = [*self.COLUMNS, "created_utc" if self.has_utc else "created", "available_on"]
        if self.is_customer_facing:
            columns += ["customer_facing_amount", "customer_facing_currency"]
        return self.arranged(columns, rows), found

    def _row(self, line: Line, fee: Decimal | None = None) -> dict[str, str]:
        gross = in_currency(line.amount, line.currency, line.settled)
        fee = fee_of(line) if fee is None else fee
        clock = line.at.astimezone(ZoneInfo(self.zone))
        is_lower = line.settled < "K"  # codes come in both cases
        row = {
            "balance_transaction_id": f"txn_{line.own_id}",
            "source_id": line.entry_id or (line.own_id if line.kind == "no_payment" else line.transaction_id or ""),
            "charge_id": (line.transaction_id or "") if line.names_payment else "",
            "currency": line.settled.lower() if is_lower else line.settled,
            "gross": plain(gross),
            "fee": plain(fee),
            "net": plain(gross - fee),
            "reporting_category": self.CATEGORIES.get(line.kind) or self.ROLES[line.role],
            "created_utc": f"{line.at:%Y-%m-%d %H:%M:%S}",
            "created": f"{clock:%Y-%m-%d %H:%M:%S}",
            "available_on": f"{line.at:%Y-%m-%d} 00:00:00",
            "description": 'Says "yes", and\nno' if line.role == "fee" else "",
        }
        if line.kind != "no_payment":
            row |= {"customer_facing_amount": plain(line.amount), "customer_facing_currency": line.currency.lower()}
        return row


class Adyen(Writer):
    """Adyen's settlement detail report."""

    name = "adyen"

    def __init__(self, rng: random.Random) -> None:
        """Choose."""
        super().__init__(rng)
        self.zone = rng.choice(("Europe/Amsterdam", PACIFIC, "UTC"))
        self.abilities = Abilities(
            ("EUR", "USD", "GBP", "JPY", "KWD"),
            has_fee_ids=False,
            captures=rng.choice(("parts", "named", "")),
            settles_elsewhere=True,
            has_second_disputes=True,
        )

    TYPES: ClassVar[dict[str, str]] = {
        "Payment": "Settled",
        "Refunded": "Refunded",
        "RefundFailed": "RefundedReversed",
        "Disputed": "Chargeback",
        "DisputeWon": "ChargebackReversed",
        "no_payment": "Fee",
        "unknown_type": "ManualCorrected",
    }
    COLUMNS = ("Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Creation Date",
               "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
               "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)",
               "Batch Number")  # fmt: skip

    def rows(self, lines: Sequence[Line]) -> tuple[list[Sequence[str]], list[Line]]:
        """Return the rows, with a payout for each batch and currency."""
        found: list[Line] = []
        rows: list[dict[str, str]] = []
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        ends: dict[tuple[str, str], datetime] = {}
        for line in lines:
            batch = f"{line.at:%j}{self.files:04}"
            net = in_currency(line.amount, line.currency, line.settled) - fee_of(line)
            sums[batch, line.settled] += net
            ends[batch, line.settled] = max(line.at, ends.get((batch, line.settled), line.at))
            rows.append(self._row(line, batch, net))
            found.append(line if line.kind != "no_payment" else replace(line, amount=net))
        for (batch, currency), total in sorted(sums.items()):
            at = ends[batch, currency]
            line = Line(
                "no_payment", None, None, -total, currency, currency, at, f"po_{batch}{currency}", "payout",
                expected="no_payment",
            )  # fmt: skip
            rows.append(self._row(line, batch, -total) | {"Type": "MerchantPayout"})
            found.append(line)
        return self.arranged(self.COLUMNS, rows), found

    def _row(self, line: Line, batch: str, net: Decimal) -> dict[str, str]:
        clock = line.at.astimezone(ZoneInfo(self.zone))
        type_ = "SecondChargeback" if line.role == "second" else self.TYPES[line.kind]
        row = {
            "Merchant Account": "Shop",
            "Psp Reference": line.transaction_id or "",
            "Creation Date": f"{clock:%Y-%m-%d %H:%M:%S}",
            "TimeZone": clock.tzname() or "",
            "Type": type_,
            "Modification Reference": line.entry_id or line.own_id,
            "Exchange Rate": "1.2302025304E+022",
            "Net Currency": line.settled,
            "Batch Number": batch,
            **self._sides("Net", "NC", net),
        }
        if line.kind != "no_payment":
            row |= {"Gross Currency": line.currency, **self._sides("Gross", "GC", line.amount)}
            row |= {"Commission (NC)": plain(fee_of(line))}
        return row

    @staticmethod
    def _sides(name: str, currency: str, amount: Decimal) -> dict[str, str]:
        side = "Debit" if amount < 0 else "Credit"
        return {f"{name} {side} ({currency})": plain(abs(amount))}


class PayPal(Writer):
    """PayPal's settlement report, and its transaction detail report."""

    name = "paypal"
    zone = PACIFIC

    def __init__(self, rng: random.Random) -> None:
        """Choose."""
        super().__init__(rng)
        self.is_detailed = rng.random() < 0.5
        self.abilities = Abilities(
            ("EUR", "USD", "JPY", "KRW"),
            has_failed_refunds=False,
            has_failed_lines=self.is_detailed,
            has_parts=True,
            wins_by="own",
        )

    CODES: ClassVar[dict[str, str]] = {
        "Payment": "T0006",
        "Refunded": "T1107",
        "Disputed": "T1201",
        "DisputeWon": "T1202",
        "no_payment": "T0106",
        "unknown_type": "T9900",
    }
    STATUSES: ClassVar[dict[str, str]] = {"Success": "S", "Failure": "D", "Pending": "P"}
    COLUMNS = ("Transaction ID", "Invoice ID", "PayPal Reference ID", "PayPal Reference ID Type",
               "Transaction Event Code", "Transaction Initiation Date", "Transaction Completion Date",
               "Transaction Debit or Credit", "Gross Transaction Amount", "Gross Transaction Currency",
               "Fee Debit or Credit", "Fee Amount", "Fee Currency")  # fmt: skip

    def rows(self, lines: Sequence[Line]) -> tuple[list[Sequence[str]], list[Line]]:
        """Return the rows of one file with its control totals."""
        found = list(lines)
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        body: list[Sequence[str]] = []
        for line in found:
            amount, fee = self._hundredths(line.amount), self._hundredths(fee_of(line))
            if line.status == "Success" or self.seed < 0.5:
                totals[line.currency][amount < 0] += abs(amount)
                totals[line.currency][3] += fee
            row = self._row(line, abs(amount), fee)
            body.append(["SB", *(row[column] for column in self._columns())])
        sums = [[currency, *map(str, sums), "CR", "0"] for currency, sums in sorted(totals.items())]
        rows: list[Sequence[str]] = [
            ["RH", "2026/11/25 02:05:05 -0800", "A", "SAMPLE", "010"],
            ["FH", "01"],
            ["SH", "2026/11/24 00:00:00 -0800", "2026/11/24 23:59:59 -0800", "SAMPLE", ""],
            ["CH", *self._columns()],
            *body,
            *(["SF", *one] for one in sums),
            ["SC", f"{len(body)}"],
            *(["RF", *one] for one in sums),
            ["RC", f"{len(body)}"],
            ["FF", f"{len(body)}"],
        ]
        return rows, found

    def _columns(self) -> list[str]:
        return [*self.COLUMNS, *(["Transactional Status"] if self.is_detailed else [])]

    def _row(self, line: Line, amount: int, fee: int) -> dict[str, str]:
        clock = f"{line.at.astimezone(ZoneInfo(PACIFIC)):%Y/%m/%d %H:%M:%S %z}"
        own, reference = line.own_id, line.transaction_id or ""
        if line.kind == "Payment":
            own, reference = line.transaction_id or "", ""
        elif line.kind == "DisputeWon":
            reference = line.entry_id or ""
        elif line.kind in {"Refunded", "Disputed"}:
            own = line.entry_id or ""
        return {
            "Transaction ID": own,
            "Invoice ID": "",
            "PayPal Reference ID": reference,
            "PayPal Reference ID Type": "TXN" if reference else "",
            "Transaction Event Code": self.CODES[line.kind],
            "Transaction Initiation Date": "2026/01/01 00:00:00 -0800",
            "Transaction Completion Date": clock,
            "Transaction Debit or Credit": "DR" if line.amount < 0 else "CR",
            "Gross Transaction Amount": f"{amount}",
            "Gross Transaction Currency": line.currency,
            "Fee Debit or Credit": "DR" if fee else "",
            "Fee Amount": f"{fee}" if fee else "",
            "Fee Currency": line.currency if fee else "",
            "Transactional Status": self.STATUSES[line.status],
        }

    @staticmethod
    def _hundredths(amount: Decimal) -> int:
        return int(amount * 100)


class MappedCsv(Writer):
    """Any other CSV file, with its mapping."""

    name = "csv"

    def __init__(self, rng: random.Random) -> None:
        """Choose."""
        super().__init__(rng)
        self.zone = rng.choice(("Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata"))
        self.time = rng.choice(("rfc3339", "%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S%z", ""))
        self.unit = rng.choice(("major", "minor"))
        self.decimal_mark = rng.choice((".", ",")) if self.unit == "major" else "."
        self.grouping = rng.choice(("", ".", ",", " ", "'")) if self.unit == "major" else ""
        self.grouping = self.grouping.replace(self.decimal_mark, "")
        self.sides = rng.choice(("amount", "sides", "by_kind"))
        self.delimiter = rng.choice((",", ";", "\t"))
        has_entry_ids, has_identity = rng.random() < 0.6, rng.random() < 0.6
        self.abilities = Abilities(
            tuple(DECIMALS),
            has_entry_ids=has_entry_ids,
            has_identity=has_identity,
            has_times=bool(self.time),
            captures=rng.choice(("", "parts", "named", "merged") if has_entry_ids else ("", "parts", "merged")),
            has_parts=has_entry_ids,
        )
        self.mapping = self._mapping()

    TYPES: ClassVar[dict[str, str]] = {
        "Payment": "Sale",
        "Refunded": "Refund",
        "RefundFailed": "Refund, failed",
        "Disputed": "Chargeback",
        "DisputeWon": "Chargeback won",
        "no_payment": "Fee",
        "unknown_type": "Something new",
    }

    def _mapping(self) -> str:
        amount = 'amount = "Amount"' if self.sides != "sides" else 'debit = "Out"\ncredit = "In"'
        lines = ["[columns]", 'id = "Payment"', amount, 'currency = "Currency"', 'type = "Type"']
        lines += ['entry_id = "Object"'] if self.abilities.has_entry_ids else []
        lines += ['identity = "Row"'] if self.abilities.has_identity else []
        lines += ['time = "Booked"'] if self.time else []
        lines += ["[types]", *(f'"{word}" = "{kind}"' for kind, word in self.TYPES.items() if kind != "unknown_type")]
        lines += ["[amount]", f'unit = "{self.unit}"']
        lines += [f'decimal_mark = "{self.decimal_mark}"'] if self.unit == "major" else []
        lines += [f'grouping = "{self.grouping}"'] if self.grouping else []
        lines += ['sign = "by_kind"'] if self.sides == "by_kind" else []
        lines += ["[time]", f'format = "{self.time}"'] if self.time else []
        lines += [f'zone = "{self.zone}"'] if self._is_local() else []
        return "\n".join(lines) + "\n"

    def _is_local(self) -> bool:
        return bool(self.time) and "z" not in self.time and self.time != "rfc3339"

    def shows(self, line: Line) -> bool:
        """Return whether the time of a line is certain in the file."""
        return bool(self.time) and not (self._is_local() and is_ambiguous(line.at, self.zone))

    def rows(self, lines: Sequence[Line]) -> tuple[list[Sequence[str]], list[Line]]:
        """Return the rows."""
        columns = ["Payment", "Object", "Amount", "In", "Out", "Currency", "Type", "Booked", "Row"]
        return self.arranged(columns, [self._row(line) for line in lines]), list(lines)

    def _row(self, line: Line) -> dict[str, str]:
        clock = line.at.astimezone(ZoneInfo(self.zone))
        is_signed = self.sides == "by_kind" and line.kind in SIGNS
        amount = abs(line.amount) if is_signed else line.amount
        row = {
            "Payment": line.transaction_id or "",
            "Object": line.entry_id or "",
            "Currency": line.currency,
            "Type": self.TYPES[line.kind],
            "Booked": clock.isoformat() if self.time == "rfc3339" else clock.strftime(self.time),
            "Row": line.own_id,
        }
        if self.sides == "sides":
            return row | {"Out" if line.amount < 0 else "In": self._number(abs(line.amount), line.currency)}
        return row | {"Amount": self._number(amount, line.currency)}

    def _number(self, amount: Decimal, currency: str) -> str:
        if self.unit == "minor":
            return f"{int(amount / minor_unit(currency))}"
        text = f"{amount:,f}" if self.grouping else f"{amount:f}"
        return text.translate(str.maketrans({",": self.grouping, ".": self.decimal_mark}))


def plain(amount: Decimal) -> str:
    """Return an amount without needless zeros: `25`, `3.35`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


WRITERS: dict[str, type[Writer]] = {one.name: one for one in (Stripe, Adyen, PayPal, MappedCsv)}
"""The writers by the name of their format."""
