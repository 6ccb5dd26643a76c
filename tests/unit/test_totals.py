"""What each entry does to a payment's totals, and which entries are refused."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import KIND_BEFORE, KINDS, Entry
from ledger.payment import Payment
from ledger.totals import MAX_ENTRIES, Totals, after, opening, violations

PAYMENT = Payment("ch_1", "50.00", "EUR", "acme-pay", "Success", "2026-11-24T09:00:00.000000Z", {})


def entry(kind: str, amount: str, *, entry_id: str = "e", reverses: str | None = None, **changes: Any) -> Entry:
    """Return an entry of the payment."""
    whole = Entry("ch_1", entry_id, kind, amount, "EUR", "acme-pay", "2026-11-25T09:00:00.000000Z", reverses, {})
    return whole._replace(**changes)


def totals_of(recorded: Sequence[Entry], payment: Payment = PAYMENT) -> Totals:
    """Return the totals after these entries."""
    totals = opening(payment)
    for one in recorded:
        totals = after(totals, one)
    return totals


def refused(recorded: Sequence[Entry], next_one: Entry, payment: Payment = PAYMENT) -> set[tuple[str, str]]:
    """Return what the next entry breaks."""
    return {*violations(payment, recorded, totals_of(recorded, payment), next_one)}


REFUND = entry("Refunded", "20.00", entry_id="re_1")
DISPUTE = entry("Disputed", "30.00", entry_id="dp_1")
FAILED_REFUND = entry("RefundFailed", "20.00", entry_id="rf_1", reverses="re_1")
WON = entry("DisputeWon", "30.00", entry_id="dw_1", reverses="dp_1")


@pytest.mark.parametrize(
    ("recorded", "totals", "refundable"),
    [
        ([], Totals("50.00", "0.00", "0.00"), "50.00"),
        ([entry("Captured", "5.00")], Totals("55.00", "0.00", "0.00"), "55.00"),
        ([entry("Voided", "5.00")], Totals("50.00", "0.00", "0.00"), "50.00"),
        ([REFUND], Totals("50.00", "20.00", "0.00"), "30.00"),
        ([REFUND, FAILED_REFUND], Totals("50.00", "0.00", "0.00"), "50.00"),
        ([DISPUTE], Totals("50.00", "0.00", "30.00"), "20.00"),
        ([DISPUTE, WON], Totals("50.00", "0.00", "0.00"), "50.00"),
        ([DISPUTE, entry("DisputeLost", "30.00", reverses="dp_1")], Totals("50.00", "0.00", "30.00"), "20.00"),
        ([REFUND, DISPUTE], Totals("50.00", "20.00", "30.00"), "0.00"),
        ([REFUND, DISPUTE, entry("Refunded", "0.01")], Totals("50.00", "20.01", "30.00"), "-0.01"),  # accepted
    ],
)
def test_each_kind_changes_its_total(recorded: list[Entry], totals: Totals, refundable: str) -> None:
    """A reader of the module can check its table with these."""
    assert totals_of(recorded) == totals
    assert totals_of(recorded).refundable == refundable


def test_a_failed_payment_has_nothing_to_refund() -> None:
    """Nothing was captured."""
    failed = PAYMENT._replace(status="Failure")
    assert opening(failed) == Totals("0.00", "0.00", "0.00")
    assert refused([], REFUND, failed) == {("TransactionID", "failed_payment"), ("Amount", "exceeds_captured")}


@pytest.mark.parametrize(
    ("recorded", "next_one", "expected"),
    [
        ([], REFUND, set()),
        ([], entry("Refunded", "50.00"), set()),
        ([], entry("Refunded", "50.01"), {("Amount", "exceeds_captured")}),
        ([REFUND], entry("Disputed", "30.00"), set()),
        ([REFUND], entry("Disputed", "30.01"), {("Amount", "exceeds_captured")}),
        ([REFUND, DISPUTE], entry("Refunded", "0.01"), {("Amount", "exceeds_captured")}),
        ([REFUND, DISPUTE, FAILED_REFUND], entry("Refunded", "20.00"), set()),
        ([REFUND, DISPUTE], entry("Captured", "1.00"), set()),
        ([], entry("Voided", "1.00"), set()),
        ([entry("Voided", "1.00")], entry("Captured", "1.00"), {("Kind", "voided")}),
        ([entry("Voided", "1.00")], entry("Voided", "1.00"), {("Kind", "voided")}),
        ([entry("Voided", "1.00")], REFUND, set()),
        ([], FAILED_REFUND, {("Reverses", "unknown_entry")}),
        ([DISPUTE], FAILED_REFUND._replace(reverses="dp_1"), {("Reverses", "unknown_entry")}),
        ([REFUND, FAILED_REFUND], entry("RefundFailed", "20.00", reverses="rf_1"), {("Reverses", "unknown_entry")}),
        ([REFUND, FAILED_REFUND], FAILED_REFUND, {("Reverses", "already_reversed")}),
        ([REFUND, FAILED_REFUND._replace(amount="5.00")], FAILED_REFUND._replace(amount="15.00"), set()),
        (
            [REFUND, FAILED_REFUND._replace(amount="5.00")],
            FAILED_REFUND._replace(amount="15.01"),
            {("Amount", "exceeds_refunded")},
        ),
        ([DISPUTE, WON._replace(amount="10.00")], WON._replace(kind="DisputeLost", amount="20.00"), set()),
        ([REFUND._replace(amount="50.00")], REFUND._replace(amount="50.00"), {("Amount", "exceeds_captured")}),
        ([], FAILED_REFUND._replace(currency="USD"), {("Currency", "currency"), ("Reverses", "unknown_entry")}),
        ([REFUND], FAILED_REFUND._replace(currency="USD", amount="99"), {("Currency", "currency")}),
        (
            [entry("Voided", "1.00")],
            entry("Captured", "1.00", currency="USD"),
            {("Currency", "currency"), ("Kind", "voided")},
        ),
        ([REFUND], FAILED_REFUND._replace(amount="20.01"), {("Amount", "exceeds_refunded")}),
        ([REFUND], FAILED_REFUND._replace(amount="19.99"), set()),
        ([DISPUTE], WON, set()),
        ([DISPUTE], WON._replace(amount="30.01"), {("Amount", "exceeds_disputed")}),
        ([DISPUTE, WON], WON._replace(kind="DisputeLost"), {("Reverses", "already_reversed")}),
        ([DISPUTE, WON], WON._replace(amount="31"), {("Reverses", "already_reversed")}),
        ([], REFUND._replace(currency="USD"), {("Currency", "currency")}),
        ([], REFUND._replace(processor_id="other"), {("ProcessorID", "processor")}),
        (
            [],
            REFUND._replace(currency="USD", processor_id="other"),
            {("Currency", "currency"), ("ProcessorID", "processor")},
        ),
        ([], entry("Captured", "9" * 38), set()),
        ([REFUND] * MAX_ENTRIES, entry("Captured", "1.00"), {("Entry", "too_many_entries")}),
        ([REFUND] * (MAX_ENTRIES - 1), entry("Captured", "1.00"), set()),
    ],
)  # fmt: skip
def test_an_entry_that_does_not_add_up_is_refused(
    recorded: list[Entry], next_one: Entry, expected: set[tuple[str, str]]
) -> None:
    """All broken rules are named at once."""
    assert refused(recorded, next_one) == expected


def test_amounts_of_other_decimals_add_up_exactly() -> None:
    """A currency may lose its decimals between a payment and its refund."""
    totals = totals_of([entry("Refunded", "20"), entry("Refunded", "0.125")])
    assert (totals, totals.refundable) == (Totals("50.000", "20.125", "0.000"), "29.875")
    assert totals_of([entry("Refunded", "50")], PAYMENT._replace(amount="100")) == Totals("100", "50", "0")
    assert refused([REFUND], FAILED_REFUND._replace(amount="20")) == set()
    assert refused([REFUND], FAILED_REFUND._replace(amount="19.999")) == set()
    assert refused([REFUND, FAILED_REFUND._replace(amount="0.001")], FAILED_REFUND._replace(amount="19.999")) == set()
    huge = PAYMENT._replace(amount="9" * 38 + ".00")
    assert totals_of([entry("Captured", "0.01")], huge).captured == "9" * 38 + ".01"
    assert refused([], REFUND, huge) == set()
    assert refused([REFUND], FAILED_REFUND._replace(amount="21")) == {("Amount", "exceeds_refunded")}


AMOUNTS = st.integers(1, 4000).map(lambda cents: f"{cents // 100}.{cents % 100:02}")


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Draw entries that a processor might send, right and wrong ones."""
    return [
        entry(kind, draw(AMOUNTS), entry_id=f"e{number}", reverses=reverses)
        for number in range(draw(st.integers(0, 12)))
        for kind in [draw(st.sampled_from(KINDS))]
        for reverses in [f"e{draw(st.integers(0, number))}" if kind in KIND_BEFORE else None]
    ]


@given(histories())
def test_the_model_and_the_ledger_agree(history: list[Entry]) -> None:
    """The model is short enough to be believed: numbers, and what is still open."""
    left, taken, open_entries, voided = Decimal(50), Decimal(0), {}, False
    recorded: list[Entry] = []
    for one in history:
        amount, key = Decimal(one.amount), (KIND_BEFORE.get(one.kind), one.reverses)
        if one.kind in KIND_BEFORE:
            fits = amount <= open_entries.get(key, Decimal(0))
        elif one.kind in {"Captured", "Voided"}:
            fits = not voided
        else:
            fits = amount <= left
        assert (not refused(recorded, one)) is fits
        if not fits:
            continue
        recorded.append(one)
        if key in open_entries:
            open_entries[key] -= amount
        if one.kind in {"Refunded", "Disputed"}:
            open_entries[one.kind, one.entry_id] = amount
        voided = voided or one.kind == "Voided"
        change = {"Captured": 1, "RefundFailed": 1, "DisputeWon": 1, "Refunded": -1, "Disputed": -1}
        left += change.get(one.kind, 0) * amount
        taken += -change.get(one.kind, 0) * amount if one.kind != "Captured" else 0
        totals = totals_of(recorded)
        assert Decimal(totals.refundable) == left >= 0
        assert Decimal(totals.refunded) + Decimal(totals.disputed) == taken >= 0
