"""Adyen's settlement details report as lines: what is joined, compared and checked."""

from decimal import Decimal
from pathlib import Path

import pytest

from ledger.entry import parse_entry
from ledger.formats import adyen
from ledger.identifiers import mapped_identifier
from ledger_cli.books.report import NO_PAYMENT, UNKNOWN_TYPE, Report, ReportLine
from ledger_cli.books.reports import read_report
from tests.support.reports import as_csv, rejection, written

DEFAULTS = {
    "Merchant Account": "Shop",
    "Psp Reference": "PSP1",
    "Creation Date": "2026-11-24 10:00:00",
    "TimeZone": "CET",
    "Type": "Settled",
    "Modification Reference": "MOD1",
    "Gross Currency": "EUR",
    "Gross Debit (GC)": "",
    "Gross Credit (GC)": "10.00",
    "Exchange Rate": "1.2302025304E+022",
    "Net Currency": "EUR",
    "Net Debit (NC)": "",
    "Net Credit (NC)": "9.50",
    "Batch Number": "7",
}
DEBIT = {"Gross Credit (GC)": "", "Gross Debit (GC)": "10.00", "Net Credit (NC)": "", "Net Debit (NC)": "10.50"}
NO_GROSS = {"Psp Reference": "", "Gross Currency": "", "Gross Credit (GC)": "", "Net Credit (NC)": ""}
PAYOUT = {**NO_GROSS, "Type": "MerchantPayout", "Modification Reference": "TX1 batch 7, Shop", "Net Debit (NC)": "9.50"}


def report_of(*rows: dict[str, str]) -> bytes:
    """Return a report whose rows have these values beside the defaults."""
    return as_csv([[*DEFAULTS], *([{**DEFAULTS, **row}[name] for name in DEFAULTS] for row in rows)])


def read(folder: Path, *rows: dict[str, str], zone: str | None = None) -> Report:
    """Return the report with these rows."""
    return read_report(written(folder, report_of(*rows)), "adyen", zone=zone)


def line(folder: Path, **row: str) -> ReportLine:
    """Return the only line of a report."""
    (only,) = read(folder, row).lines
    return only


def rejected(folder: Path, *rows: dict[str, str], zone: str | None = None) -> str:
    """Return why the report with these rows is rejected."""
    path = written(folder, report_of(*rows))
    return rejection(lambda: read_report(path, "adyen", zone=zone), path)


@pytest.mark.parametrize(
    ("type_", "kind", "entry_id", "sides"),
    [
        ("Settled", "Payment", "MOD1", {}),
        ("Refunded", "Refunded", "MOD1", DEBIT),
        ("RefundedReversed", "RefundFailed", "MOD1", {}),
        ("Chargeback", "Disputed", "MOD1", DEBIT),
        ("SecondChargeback", "Disputed", "MOD1_second", DEBIT),
        ("ChargebackReversed", "DisputeWon", "MOD1", {}),
    ],
)
def test_each_type_of_a_payment_is_found_by_its_references(
    type_: str, kind: str, entry_id: str, sides: dict[str, str], tmp_path: Path
) -> None:
    """The amount is that which the customer paid, and a debit is negative."""
    read_line = line(tmp_path, Type=type_, **sides)
    assert (read_line.type, read_line.kind) == (type_, kind)
    assert (read_line.transaction_id, read_line.entry_id) == ("PSP1", entry_id)
    assert (read_line.amount, read_line.currency) == (Decimal(-10 if sides else 10), "EUR")
    assert read_line.timestamp == "2026-11-24T09:00:00.000000Z"
    assert read_line.identity == f"PSP1/MOD1/{type_}"


@pytest.mark.parametrize(
    ("event", "type_", "reference"),
    [
        ("CAPTURE", "Settled", "MOD1"),
        ("REFUND", "Refunded", "MOD1"),
        ("REFUNDED_REVERSED", "RefundedReversed", "MOD1"),
        ("REFUND_FAILED", "RefundedReversed", "MOD/1"),
        ("CHARGEBACK", "Chargeback", "MOD1"),
        ("SECOND_CHARGEBACK", "SecondChargeback", "MOD1"),
        ("CHARGEBACK_REVERSED", "ChargebackReversed", "MOD1"),
    ],
)
def test_a_line_names_the_entry_that_the_webhook_records(
    event: str, type_: str, reference: str, tmp_path: Path
) -> None:
    """The matcher finds the entry by its EntryID, or by the one that it reverses."""
    item = {
        "amount": {"currency": "EUR", "value": 1000},
        "eventCode": event,
        "eventDate": "2026-11-24T10:00:00+01:00",
        "merchantAccountCode": "Shop",
        "originalReference": "PSP1",
        "pspReference": reference,
        "success": "true",
    }
    message = {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}
    entry = parse_entry(adyen.start_input(message, "adyen", live=True, variant="manual"))
    read_line = line(tmp_path, Type=type_, **{"Modification Reference": reference})
    assert read_line.transaction_id == entry.transaction_id
    assert read_line.entry_id in {entry.entry_id, entry.reverses}
    assert read_line.kind == ("Payment" if entry.kind == "Captured" else entry.kind)


@pytest.mark.parametrize(
    "type_", ["Fee", "MiscCosts", "InvoiceDeduction", "DepositCorrection", "Balancetransfer", "PaymentCost"]
)
def test_a_line_without_a_payment_has_its_net_amount(type_: str, tmp_path: Path) -> None:
    """It has no gross amount. Its text, which stands where a reference would, distinguishes it within its batch."""
    values = {**NO_GROSS, "Type": type_, "Net Debit (NC)": "1.80", "Net Currency": "USD"}
    read_line = line(tmp_path, **values)
    assert (read_line.kind, read_line.transaction_id, read_line.entry_id) == (NO_PAYMENT, None, None)
    assert (read_line.amount, read_line.currency) == (Decimal("-1.80"), "USD")
    assert read_line.identity == f"7/MOD1/{type_}"
    assert line(tmp_path, **values, **{"Modification Reference": ""}).identity is None


def test_the_customers_currency_is_compared(tmp_path: Path) -> None:
    """The net amount is in another one. No rounding of an exchange rate is on the way."""
    values = {"Gross Currency": "JPY", "Gross Credit (GC)": "3158", "Net Credit (NC)": "21.08"}
    assert line(tmp_path, **values)[5:7] == (Decimal(3158), "JPY")


def test_an_unknown_type_has_the_amount_that_it_has(tmp_path: Path) -> None:
    """A person sees its references, and nothing of it is compared with a second line."""
    gross = line(tmp_path, Type="ManualCorrected")
    assert (gross.kind, gross.transaction_id, gross.entry_id, gross.identity) == (UNKNOWN_TYPE, "PSP1", "MOD1", None)
    assert gross.amount == Decimal("10.00")
    assert line(tmp_path, **{**PAYOUT, "Type": "ManualCorrected"}).amount == Decimal("-9.50")


def test_an_id_that_does_not_fit_the_contract_is_mapped(tmp_path: Path) -> None:
    """The suffix is a part of what is mapped, as in the webhook."""
    read_line = line(tmp_path, **{"Psp Reference": "P/1", "Type": "SecondChargeback", "Modification Reference": "M/1"})
    assert read_line.transaction_id == mapped_identifier("P/1")
    assert read_line.entry_id == mapped_identifier("M/1_second")


def test_a_batch_sums_to_its_payout(tmp_path: Path) -> None:
    """A line that is missing changes the sum."""
    assert read(tmp_path, {}, PAYOUT).notes == []
    message = rejected(tmp_path, {}, {}, PAYOUT)
    assert message == "the payout of batch 7 in EUR is not the sum of its lines, so lines are missing or were changed"


def test_each_account_batch_and_currency_has_a_sum_of_its_own(tmp_path: Path) -> None:
    """A report may have several accounts, whose batches have the same numbers."""
    other = {"Merchant Account": "Other"}
    dollars = {"Net Currency": "USD"}
    eight = {"Batch Number": "8"}
    rows = [{}, other, dollars, eight]
    assert len(read(tmp_path, *rows, *({**PAYOUT, **row} for row in rows)).lines) == 8
    for row in rows:
        assert "is not the sum" in rejected(tmp_path, {}, PAYOUT, {**PAYOUT, **row})
        if row:
            assert "is not the sum" in rejected(tmp_path, {}, {**PAYOUT, **row})


def test_a_batch_that_nothing_closes_is_a_note(tmp_path: Path) -> None:
    """Perhaps nothing was paid out. Perhaps the end of the file is missing."""
    report = read(tmp_path, {}, {"Batch Number": "8"}, {**PAYOUT, "Type": "Balancetransfer", "Batch Number": "8"})
    assert report.notes == ["batch 7 has no payout: if one was made, the file is cut off"]


@pytest.mark.parametrize(
    ("abbreviation", "date", "utc"),
    [
        ("PST", "2026-01-24", "18:00"),
        ("PDT", "2026-07-24", "17:00"),
        ("CET", "2026-01-24", "09:00"),
        ("CEST", "2026-07-24", "08:00"),
        ("GMT", "2026-01-24", "10:00"),
        ("BST", "2026-07-24", "09:00"),
        ("UTC", "2026-07-24", "10:00"),
        ("EST", "2026-01-24", "15:00"),
        ("AEDT", "2026-01-23", "23:00"),
        ("Europe/Berlin", "2026-07-24", "08:00"),
    ],
)
def test_a_zones_abbreviation_is_that_of_a_fixed_table(abbreviation: str, date: str, utc: str, tmp_path: Path) -> None:
    """The zone of the machine decides nothing."""
    report = read(
        tmp_path,
        {**PAYOUT, "Net Debit (NC)": "", "TimeZone": abbreviation, "Creation Date": f"2026-{date[5:7]}-24 10:00:00"},
    )
    assert report.lines[0].timestamp == f"{date}T{utc}:00.000000Z"
    assert report.notes == []


def test_an_abbreviation_out_of_its_season_is_a_note(tmp_path: Path) -> None:
    """Perhaps the report means the hour of the clock there, which is another one."""
    summer = {"Creation Date": "2026-07-24 10:00:00", "TimeZone": "CET"}
    report = read(tmp_path, {**PAYOUT, "Net Debit (NC)": ""}, {**summer, "Net Credit (NC)": ""})
    assert report.lines[1].timestamp == "2026-07-24T09:00:00.000000Z"
    assert report.notes == [
        "line 3: the zone's abbreviation was not in force on that day, so the time may be wrong by an hour"
    ]


def test_an_hour_that_comes_twice_is_certain_with_its_abbreviation(tmp_path: Path) -> None:
    """CEST and CET say which of the two it is."""
    hour = {"Creation Date": "2026-10-25 02:30:00"}
    report = read(
        tmp_path, {**hour, "TimeZone": "CEST"}, {**hour, "TimeZone": "CET"}, {**hour, "TimeZone": "Europe/Berlin"}
    )
    assert [one.timestamp for one in report.lines] == [
        "2026-10-25T00:30:00.000000Z",
        "2026-10-25T01:30:00.000000Z",
        None,
    ]


def test_an_unknown_abbreviation_needs_a_zone(tmp_path: Path) -> None:
    """CST is the time of Chicago, of Shanghai and of Havana."""
    message = rejected(tmp_path, {"TimeZone": "CST"})
    assert message.startswith("line 2, column TimeZone: unknown abbreviation of a time zone; give --zone")
    assert (
        read(tmp_path, {"TimeZone": "CST"}, zone="America/Chicago").lines[0].timestamp == "2026-11-24T16:00:00.000000Z"
    )
    assert "unknown time zone" in rejected(tmp_path, {"TimeZone": "CST"}, zone="Chicago")
    assert "unknown time zone" in rejected(tmp_path, {"TimeZone": "Europe/Nowhere"})


def test_a_number_of_a_language_is_rejected(tmp_path: Path) -> None:
    """Columns that are no amounts may have what they like, such as an exponent."""
    message = rejected(tmp_path, {"Gross Credit (GC)": "1.234,56"})
    assert message.startswith("line 2, column Gross Credit (GC): the number has a decimal comma")


def test_a_payment_without_an_amount_is_zero_in_its_currency(tmp_path: Path) -> None:
    """Both sides may be empty. A currency may not."""
    assert line(tmp_path, **{"Gross Credit (GC)": ""}).amount == 0
    assert "column Gross Currency" in rejected(tmp_path, {"Gross Currency": ""})
    assert "column Net Currency" in rejected(tmp_path, {**PAYOUT, "Net Currency": ""})
