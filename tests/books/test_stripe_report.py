"""Stripe's itemized reports as lines: what is joined, compared and checked."""

from decimal import Decimal
from pathlib import Path

import pytest

from ledger.identifiers import mapped_identifier
from ledger_cli.books.report import NO_PAYMENT, Report, ReportLine
from ledger_cli.books.reports import read_report
from tests.support.reports import as_csv, rejection, written

DEFAULTS = {
    "balance_transaction_id": "txn_1",
    "source_id": "ch_1",
    "charge_id": "ch_1",
    "created": "2026-11-24 10:00:00",
    "currency": "eur",
    "gross": "25",
    "fee": "0.95",
    "net": "24.05",
    "reporting_category": "charge",
    "automatic_payout_id": "",
    "customer_facing_amount": "",
    "customer_facing_currency": "",
}


def report_of(*rows: dict[str, str], without: tuple[str, ...] = ()) -> bytes:
    """Return a report whose rows have these values beside the defaults."""
    names = [name for name in DEFAULTS if name not in without]
    names += [name for row in rows for name in row if name not in names and name not in without]
    names = [*dict.fromkeys(names)]
    return as_csv([names, *([{**DEFAULTS, **row}.get(name, "") for name in names] for row in rows)])


def read(folder: Path, *rows: dict[str, str], zone: str | None = "UTC", without: tuple[str, ...] = ()) -> Report:
    """Return the report with these rows."""
    return read_report(written(folder, report_of(*rows, without=without)), "stripe", zone=zone)


def line(folder: Path, **row: str) -> ReportLine:
    """Return the only line of a report."""
    (only,) = read(folder, row).lines
    return only


def rejected(folder: Path, *rows: dict[str, str], zone: str | None = "UTC") -> str:
    """Return why the report with these rows is rejected."""
    path = written(folder, report_of(*rows))
    return rejection(lambda: read_report(path, "stripe", zone=zone), path)


@pytest.mark.parametrize(
    ("category", "source", "gross", "kind", "entry_id"),
    [
        ("charge", "ch_1", "25", "Payment", None),
        ("partial_capture_reversal", "re_9", "-5", "Payment", None),
        ("charge_failure", "pyr_9", "-25", "Payment", None),
        ("refund", "re_1", "-10", "Refunded", "re_1"),
        ("refund_failure", "re_1", "10", "RefundFailed", "re_1"),
        ("dispute", "dp_1", "-25", "Disputed", "dp_1"),
        ("dispute_reversal", "du_1", "25", "DisputeWon", "du_1"),
    ],
)
def test_each_category_of_a_payment_is_found_by_its_charge(
    category: str, source: str, gross: str, kind: str, entry_id: str | None, tmp_path: Path
) -> None:
    """The webhooks record a refund under its charge and its own ID, and what undoes it names that ID."""
    read_line = line(tmp_path, reporting_category=category, source_id=source, gross=gross, fee="0", net=gross)
    assert (read_line.kind, read_line.transaction_id, read_line.entry_id) == (kind, "ch_1", entry_id)
    assert (read_line.amount, read_line.currency, read_line.identity) == (Decimal(gross), "EUR", "txn_1")
    assert (read_line.type, read_line.status) == (category, "Success")


@pytest.mark.parametrize("category", ["fee", "payout", "topup", "transfer", "other_adjustment", "network_cost"])
def test_a_line_without_a_payment_has_no_ids(category: str, tmp_path: Path) -> None:
    """Its money is summed and not matched, in the settlement's currency."""
    values = {"source_id": "po_1", "gross": "-3.35", "fee": "0", "net": "-3.35"}
    read_line = line(
        tmp_path, **values, reporting_category=category, customer_facing_amount="4", customer_facing_currency="usd"
    )
    assert read_line.kind == NO_PAYMENT
    assert (read_line.transaction_id, read_line.entry_id) == (None, None)
    assert (read_line.amount, read_line.currency) == (Decimal("-3.35"), "EUR")


def test_a_charge_without_a_charge_id_is_found_by_its_source(tmp_path: Path) -> None:
    """Its source is the charge. The source of a refund is not, so that nothing stands in for its charge."""
    assert line(tmp_path, charge_id="", source_id="py_1").transaction_id == "py_1"
    assert line(tmp_path, charge_id="", source_id="").transaction_id is None
    refund = line(tmp_path, charge_id="", source_id="re_1", reporting_category="refund")
    assert (refund.transaction_id, refund.entry_id) == (None, "re_1")


def test_an_id_that_does_not_fit_the_contract_is_mapped(tmp_path: Path) -> None:
    """The ledger has recorded it under the mapped ID."""
    assert line(tmp_path, charge_id="ch:1").transaction_id == mapped_identifier("ch:1")


@pytest.mark.parametrize(
    ("gross", "shown", "amount"),
    [("25", "29.90", "29.90"), ("-25", "-29.90", "-29.90"), ("-25", "29.90", "-29.90"), ("0", "-1", "-1")],
)
def test_the_customers_amount_is_compared_with_the_sign_of_gross(
    gross: str, shown: str, amount: str, tmp_path: Path
) -> None:
    """The ledger has the amount in the currency that the customer paid in."""
    values = {"gross": gross, "fee": "0", "net": gross, "customer_facing_amount": shown}
    read_line = line(tmp_path, **values, customer_facing_currency="usd")
    assert (read_line.amount, read_line.currency) == (Decimal(amount), "USD")
    half = line(tmp_path, **values, customer_facing_currency="")
    assert (half.amount, half.currency) == (Decimal(gross), "EUR")


def test_amounts_are_exact(tmp_path: Path) -> None:
    """A double has 15 digits, and Python's default context 28."""
    gross = "12345678901234567890123456789012345.99"
    assert str(line(tmp_path, gross=gross, fee="0.01", net=gross[:-1] + "8").amount) == gross
    assert "net is not gross less fee" in rejected(tmp_path, {"gross": gross, "fee": "0.01", "net": gross})
    assert "more than 38 digits" in rejected(tmp_path, {"gross": "1" * 39})


@pytest.mark.parametrize(
    "text", ["1,234.56", "1.234,56", "25,00", "1 234", "1'234.56", "1\N{NARROW NO-BREAK SPACE}000", "+25"]
)
def test_a_number_of_a_language_is_rejected_with_what_to_do(text: str, tmp_path: Path) -> None:
    """Stripe's report has a parameter for it, and 1.234 is two amounts."""
    message = rejected(tmp_path, {}, {"gross": text})
    assert message.startswith("line 3, column gross: the number has a decimal comma, grouped digits or a plus sign")
    assert message.endswith("run the report with a point as its decimal_separator")


@pytest.mark.parametrize("text", ["2.5e1", "25.", "NaN", "Infinity", "-", "٢٥", "0x19", "25 EUR", "1_000", "--1", ""])
def test_what_is_not_a_decimal_number_is_rejected(text: str, tmp_path: Path) -> None:
    """Python's Decimal accepts most of these."""
    assert rejected(tmp_path, {"fee": text}).startswith("line 2, column fee: this is ")


def test_net_is_gross_less_fee(tmp_path: Path) -> None:
    """A report that contradicts itself was changed, and nothing of it is certain."""
    for net in ("24.06", "24.04"):
        message = rejected(tmp_path, {}, {"net": net})
        assert message == "line 3, column net: net is not gross less fee, so the report was changed or is damaged"


PAYOUT = {
    "reporting_category": "payout",
    "source_id": "po_1",
    "charge_id": "",
    "automatic_payout_id": "po_1",
    "fee": "0",
}
PAID_OUT = {"automatic_payout_id": "po_1"}


def test_the_lines_of_a_payout_sum_to_it(tmp_path: Path) -> None:
    """A line that is missing changes the sum. Other payouts of the file are sums of their own."""
    payout = {**PAYOUT, "gross": "-48.10", "net": "-48.10"}
    other = {"automatic_payout_id": "po_2"}
    assert len(read(tmp_path, PAID_OUT, other, PAID_OUT, payout).lines) == 4
    message = rejected(tmp_path, PAID_OUT, other, payout)
    assert message == "line 4: the payout is not the sum of its lines, so lines are missing or were changed"


def test_a_payout_whose_lines_are_elsewhere_is_not_checked(tmp_path: Path) -> None:
    """A report of one category has the payouts alone, or only the other lines. One that failed came back."""
    payout = {**PAYOUT, "gross": "-48.10", "net": "-48.10"}
    back = {**PAYOUT, "reporting_category": "payout_reversal", "gross": "48.10", "net": "48.10"}
    for rows in ([payout], [PAID_OUT], [PAID_OUT, PAID_OUT, payout, back]):
        assert len(read(tmp_path, *rows).lines) == len(rows)


def test_created_is_in_the_zone_of_the_report(tmp_path: Path) -> None:
    """The user chose the zone when the report was run. `created_utc` needs none, and is preferred."""
    summer = {"created": "2026-07-24 10:00:00"}
    for zone, time in (("Europe/Berlin", "08"), ("America/New_York", "14"), ("UTC", "10")):
        assert read(tmp_path, summer, zone=zone).lines[0].timestamp == f"2026-07-24T{time}:00:00.000000Z"
    both = {**summer, "created_utc": "2026-07-24 07:30:00"}
    assert read(tmp_path, both, zone="Europe/Berlin").lines[0].timestamp == "2026-07-24T07:30:00.000000Z"


def test_what_limits_the_comparison_is_a_note(tmp_path: Path) -> None:
    """The report is right, but with other columns more of it could be compared."""
    assert read(tmp_path, {}).notes == []
    (zone,) = read(tmp_path, {}, zone=None).notes
    assert "read as UTC" in zone
    assert read(tmp_path, {"created_utc": "2026-11-24 10:00:00"}, zone=None).notes == []
    (charge,) = read(tmp_path, {}, without=("charge_id",)).notes
    assert "no column charge_id" in charge
    (facing,) = read(tmp_path, {}, without=("customer_facing_currency",)).notes
    assert "customer_facing_amount and customer_facing_currency" in facing


def test_an_hour_that_comes_twice_has_no_time(tmp_path: Path) -> None:
    """Whether it is the first or the second one is not in the report. The note names the lines."""
    twice = {"created": "2026-10-25 02:30:00"}
    report = read(tmp_path, {}, twice, {"created": "2026-10-25 03:00:00"}, twice, zone="Europe/Berlin")
    assert [one.timestamp is None for one in report.lines] == [False, True, False, True]
    assert report.notes == ["lines 3 and 5: a change of clocks makes the hour ambiguous, so the time is not known"]


def test_an_hour_that_does_not_exist_shows_a_wrong_zone(tmp_path: Path) -> None:
    """Clocks in that zone never showed it."""
    message = rejected(tmp_path, {"created": "2026-03-29 02:30:00"}, zone="Europe/Berlin")
    assert message.startswith("line 2, column created: a change of clocks left this hour out")
    assert len(read(tmp_path, {"created": "2026-03-29 02:30:00"}, zone="America/New_York").lines) == 1


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe", "../etc/passwd", "CEST", "a\0b"])
def test_an_unknown_zone_is_one_line(zone: str, tmp_path: Path) -> None:
    """A zone that is guessed would move payments to other days."""
    assert "unknown time zone; give a name of the IANA database" in rejected(tmp_path, {}, zone=zone)


@pytest.mark.parametrize(
    "text",
    ["24.11.2026 10:00", "2026-11-24", "2026-13-24 10:00:00", "2026-02-30 10:00", "0001-01-01 00:00:00", "", "now"],
)
def test_what_is_not_a_time_is_rejected(text: str, tmp_path: Path) -> None:
    """A spreadsheet changes times when it saves them."""
    assert rejected(tmp_path, {"created": text}).startswith("line 2, column created: ")


@pytest.mark.parametrize("text", ["", "EURO", "E1R", "€"])
def test_a_currency_has_three_letters(text: str, tmp_path: Path) -> None:
    """Anything else would be compared with no record."""
    message = rejected(tmp_path, {"currency": text})
    assert message == "line 2, column currency: this is not a currency's code of three letters"


def test_a_report_without_any_creation_time_is_rejected(tmp_path: Path) -> None:
    """`available_on` is another day, and does not stand in."""
    path = written(tmp_path, report_of({"available_on": "2026-11-26"}, without=("created",)))
    message = rejection(lambda: read_report(path, "stripe"), path)
    assert message == "this is not a Stripe report: it has no column created or created_utc"
