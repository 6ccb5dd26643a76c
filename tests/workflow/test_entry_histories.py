"""Random histories of a payment, through the real workflow, beside a model that is short enough to be believed.

After each delivery the outcome, its reasons, the chain and the totals must be those of the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta, timezone
from decimal import ROUND_DOWN, Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ledger_cli.engine import Engine
from tests.support.entry_model import KIND_BEFORE, broken_rules, expected_totals

DECIMALS = {"EUR": 2, "JPY": 0, "BHD": 3, "BGN": 2}
"""Currencies and their decimals. BGN ended on 2026-01-01, after its payments and before most of their entries."""

PAID_AT = datetime.fromisoformat("2025-12-30T10:00:00+00:00")
WAITED_FOR = {"unknown_payment", "unknown_entry"}
MAX_EARLY_ENTRIES = 2
"""Entries of one history that come too early. Each is tried for an hour, and costs as much as six others."""

HISTORIES = 20
STEPS = 14

Entry = dict[str, Any]


def unit_of(currency: str) -> Decimal:
    """Return the smallest amount that a currency has."""
    return Decimal(1).scaleb(-DECIMALS[currency])


def identity(entry: Entry) -> Entry:
    """Return what makes two deliveries the same entry, however they are written."""
    values = {"Amount": Decimal(entry["Amount"]), "Timestamp": datetime.fromisoformat(entry["Timestamp"])}
    return {name: value for name, value in {**entry, **values}.items() if name != "Metadata"}


class History(RuleBasedStateMachine):
    """One payment, and what its processors report about it, in any order."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.engine.clear()
        self.is_recorded = False
        self.recorded: list[Entry] = []
        self.sent: list[Entry] = []
        self.early_entries = 0

    @initialize(
        currency=st.sampled_from(sorted(DECIMALS)),
        units=st.integers(2, 10**6),
        status=st.sampled_from(["Success"] * 15 + ["Failure"]),
        is_first=st.sampled_from([True] * 5 + [False]),
    )
    def begin(self, currency: str, units: int, status: str, *, is_first: bool) -> None:
        """Choose the payment. Most histories begin with it, as most processors' do."""
        self.unit = unit_of(currency)
        self.payment = {
            "TransactionID": "txn-history-1",
            "SecureToken": "tok_history",
            "Amount": str(units * self.unit),
            "Currency": currency,
            "ProcessorID": "acme-pay",
            "Status": status,
            "Timestamp": PAID_AT.isoformat(),
        }
        if is_first:
            self.deliver_payment()

    # One rule chooses, since Hypothesis would leave some of several rules out of most histories.
    @rule(data=st.data())
    def deliver_something(self, data: st.DataObject) -> None:
        """Deliver the payment if it is due, or something about it."""
        if not self.is_recorded and data.draw(st.booleans(), label="the payment comes"):
            self.deliver_payment()
            return
        others = [self.take_too_much, self.capture_or_release, self.undo_anything, self.misfit]
        repeats = [self.twin, self.twin, self.other_content] if self.sent else []
        undoing = [self.undo] * 5 if self.can_be_undone() else []
        entry, *rules = data.draw(st.sampled_from([*[self.take_back] * 4, *undoing, *repeats, *others]))(data)
        self.deliver(entry, *rules)

    def deliver_payment(self) -> None:
        """Deliver the payment, perhaps after entries that overtook it."""
        assert self.engine.run(json.dumps(self.payment)).outcome == "RECORDED"
        self.is_recorded = True

    # ── What can be delivered: an entry, and the rules that it breaks if the model does not know them ───

    def take_back(self, data: st.DataObject) -> tuple[Entry]:
        """Refund or dispute a part of what is left: all of it if the part is 1."""
        kind = data.draw(st.sampled_from(["Refunded", "Disputed"]))
        return (self.new(data, kind, self.left() / data.draw(st.integers(1, 5), label="part")),)

    def take_too_much(self, data: st.DataObject) -> tuple[Entry]:
        """Refund or dispute the smallest amount more than what is left."""
        return (self.new(data, data.draw(st.sampled_from(["Refunded", "Disputed"])), self.left() + self.unit),)

    def capture_or_release(self, data: st.DataObject) -> tuple[Entry]:
        """Take more, or release the rest of what was authorised."""
        kind = data.draw(st.sampled_from(["Captured", "Captured", "Voided"]))
        return (self.new(data, kind, data.draw(st.integers(1, 100)) * self.unit),)

    def undo(self, data: st.DataObject) -> tuple[Entry]:
        """Undo a refund, or decide a dispute: all that is left of it, a part, or a little more."""
        named = data.draw(st.sampled_from(self.can_be_undone()), label="undone")
        kind = data.draw(st.sampled_from([kind for kind in KIND_BEFORE if KIND_BEFORE[kind] == named["Kind"]]))
        part, excess = data.draw(st.sampled_from([(1, 0), (2, 0), (3, 0), (1, 1)]), label="part and excess")
        amount = self.left_of(named["EntryID"]) / part + excess * self.unit
        return ({**self.new(data, kind, amount), "Reverses": named["EntryID"]},)

    def undo_anything(self, data: st.DataObject) -> tuple[Entry]:
        """Undo an entry of a kind that cannot be undone so, whether it is recorded or not; or one that was not sent."""
        never_sent = {"EntryID": "never-sent", "Kind": ""}
        named = data.draw(st.sampled_from([*self.recorded, *self.sent, never_sent]), label="undone")
        kind = data.draw(st.sampled_from([kind for kind, before in KIND_BEFORE.items() if before != named["Kind"]]))
        return ({**self.new(data, kind, self.unit), "Reverses": named["EntryID"]},)

    def twin(self, data: st.DataObject) -> tuple[Entry]:
        """Deliver an entry again, written in another way. It is the same one, or is judged again if it was refused."""
        entry = data.draw(st.sampled_from(self.sent), label="twin of")
        elsewhere = timezone(timedelta(hours=data.draw(st.integers(-12, 12), label="time zone")))
        written = {
            "Amount": f"{Decimal(entry['Amount']).normalize():f}",
            "Timestamp": datetime.fromisoformat(entry["Timestamp"]).astimezone(elsewhere).isoformat(),
            "Metadata": {"delivery": "again"},
        }
        return ({**entry, **written},)

    def other_content(self, data: st.DataObject) -> tuple[Entry]:
        """Deliver another entry under an EntryID that was used before."""
        entry = data.draw(st.sampled_from(self.sent), label="under the ID of")
        later = datetime.fromisoformat(entry["Timestamp"]) + timedelta(seconds=1)
        changes = [
            {"Amount": str(Decimal(entry["Amount"]) + unit_of(entry["Currency"]))},
            {"Timestamp": later.isoformat()},
            {"ProcessorID": "other-pay"},
        ]
        return ({**entry, **data.draw(st.sampled_from(changes), label="changes")},)

    def misfit(self, data: st.DataObject) -> tuple[Entry, set[str]]:
        """Deliver an entry in another currency, of another processor, of another payment, or against the contract."""
        other = "JPY" if self.payment["Currency"] == "EUR" else "EUR"
        misfits: list[tuple[Entry, set[str]]] = [
            ({"Currency": other, "Amount": "1"}, set()),
            ({"ProcessorID": "other-pay"}, set()),
            ({"TransactionID": "txn-history-2"}, {"unknown_payment"}),
            ({"Amount": "0"}, {"zero"}),
            ({"Amount": str(self.unit / 10)}, {"decimals"}),
            ({"Kind": "refunded", "EntryID": "txn-history-1"}, {"kind", "id_of_the_payment"}),
            ({"Reverses": "entry-0"}, {"not_for_this_kind"}),
        ]
        fields, rules = data.draw(st.sampled_from(misfits), label="misfit")
        return {**self.new(data, "Refunded", self.unit), "EntryID": "misfit", **fields}, rules

    def new(self, data: st.DataObject, kind: str, amount: Decimal) -> Entry:
        """Return an entry that was not sent before, with an amount that its currency can have."""
        minutes = data.draw(st.integers(-60, 10**5), label="minutes after the payment")
        return {
            "TransactionID": self.payment["TransactionID"],
            "EntryID": f"entry-{len(self.sent)}",
            "Kind": kind,
            "Amount": str(max(amount.quantize(self.unit, ROUND_DOWN), self.unit)),
            "Currency": self.payment["Currency"],
            "ProcessorID": "acme-pay",
            "Timestamp": (PAID_AT + timedelta(minutes=minutes)).isoformat(),
        }

    # ── The model ───────────────────────────────────────────────────────────────────────────────────

    def expected(self, entry: Entry) -> tuple[str, AbstractSet[str]]:
        """Return the outcome that an entry must have, and its reasons."""
        twin = next((one for one in self.recorded if one["EntryID"] == entry["EntryID"]), None)
        if twin:
            mine, other = identity(entry), identity(twin)
            differs = {name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name)}
            return ("CONFLICT" if differs else "DUPLICATE"), differs
        rules = broken_rules(self.payment if self.is_recorded else None, self.recorded, entry)
        return ("REFUSED" if rules else "RECORDED"), rules

    def left(self) -> Decimal:
        """Return what could still be refunded."""
        totals = expected_totals(self.payment, self.recorded)
        return totals["Captured"] - totals["Refunded"] - totals["Disputed"]

    def left_of(self, named: str) -> Decimal:
        """Return how much of an entry is not undone or decided yet."""
        signed = {"EntryID": 1, "Reverses": -1}
        amounts = [
            sign * Decimal(one["Amount"])
            for one in self.recorded
            for name, sign in signed.items()
            if one.get(name) == named
        ]
        return sum(amounts, Decimal(0))

    def can_be_undone(self) -> list[Entry]:
        """Return the refunds and disputes, which an entry can undo or decide."""
        return [one for one in self.recorded if one["Kind"] in KIND_BEFORE.values()]

    def deliver(self, entry: Entry, rules: AbstractSet[str] = frozenset()) -> None:
        """Deliver an entry, and compare the outcome and its reasons."""
        outcome, reasons = ("REFUSED", rules) if rules else self.expected(entry)
        if outcome == "REFUSED" and reasons <= WAITED_FOR:
            self.early_entries += 1
            if self.early_entries > MAX_EARLY_ENTRIES:
                return
        before = len(self.engine.published())
        assert self.engine.run(json.dumps(entry)).outcome == outcome
        (event,) = self.engine.published()[before:]
        detail = event["detail"]
        if outcome == "REFUSED":
            assert {violation["Rule"] for violation in detail["Violations"]} == reasons
        elif outcome == "CONFLICT":
            assert set(detail["Differs"]) == reasons
        elif outcome == "RECORDED":
            self.recorded.append(entry)
            assert detail["Entry"] == len(self.recorded)
        if not rules and all(one["EntryID"] != entry["EntryID"] for one in self.sent):
            self.sent.append(entry)

    @invariant()
    def the_chain_is_the_models(self) -> None:
        """The table has the model's entries in the same order, and the model's totals after the last."""
        items = self.engine.entries()
        assert [item["EntryID"]["S"] for item in items] == [one["EntryID"] for one in self.recorded]
        if items:
            totals = items[-1]["Totals"]["M"]
            expected = expected_totals(self.payment, self.recorded)
            assert {name: Decimal(totals[name]["S"]) for name in expected} == expected
            assert Decimal(totals["Refundable"]["S"]) == self.left() >= 0


def test_every_history_is_recorded_as_the_model_says(engine: Engine) -> None:
    """A rule that is wrong only after a certain history shows here, such as a reversal of what was decided before."""
    machine: Callable[[], History] = type("HistoryOfOneEngine", (History,), {"engine": engine})
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=HISTORIES, stateful_step_count=STEPS, suppress_health_check=slow)
    )
