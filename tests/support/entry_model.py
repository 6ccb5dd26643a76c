"""What the ledger must answer to an entry: a model that is short enough to be believed.

It shares no code with `ledger.totals`. Payments and entries have the contract's fields; amounts are anything that
`Decimal` reads.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

CHANGES = {
    "Captured": ("Captured", 1),
    "Refunded": ("Refunded", 1),
    "RefundFailed": ("Refunded", -1),
    "Disputed": ("Disputed", 1),
    "DisputeWon": ("Disputed", -1),
}
KIND_BEFORE = {"RefundFailed": "Refunded", "DisputeWon": "Disputed", "DisputeLost": "Disputed"}

Facts = Mapping[str, Any]


def expected_totals(payment: Facts, entries: Sequence[Facts]) -> dict[str, Decimal]:
    """Return what was captured, refunded and disputed after these entries."""
    totals = {"Captured": Decimal(payment["Amount"] if payment["Status"] == "Success" else 0)}
    totals |= {"Refunded": Decimal(0), "Disputed": Decimal(0)}
    for entry in entries:
        name, sign = CHANGES.get(entry["Kind"], ("Captured", 0))
        totals[name] += sign * Decimal(entry["Amount"])
    return totals


def broken_rules(payment: Facts | None, entries: Sequence[Facts], entry: Facts) -> set[str]:
    """Return the rules that an entry breaks after these entries. Its EntryID is not among theirs."""
    if payment is None:
        return {"unknown_payment"}
    kind, amount = entry["Kind"], Decimal(entry["Amount"])
    totals, comparable = expected_totals(payment, entries), entry["Currency"] == payment["Currency"]
    named = [one for one in entries if (one["EntryID"], one["Kind"]) == (entry.get("Reverses"), KIND_BEFORE.get(kind))]
    open_amount = sum(Decimal(one["Amount"]) for one in named)
    undoing = [one for one in entries if named and KIND_BEFORE.get(one["Kind"]) == named[0]["Kind"]]
    open_amount -= sum(Decimal(one["Amount"]) for one in undoing if one.get("Reverses") == entry["Reverses"])
    exceeds = {"Refunded": "exceeds_refunded", "Disputed": "exceeds_disputed"}.get(KIND_BEFORE.get(kind, ""), "")
    rules = {
        "failed_payment": payment["Status"] != "Success",
        "processor": entry["ProcessorID"] != payment["ProcessorID"],
        "currency": not comparable,
        "voided": kind in {"Captured", "Voided"} and any(one["Kind"] == "Voided" for one in entries),
        "exceeds_captured": comparable
        and kind in {"Refunded", "Disputed"}
        and totals["Refunded"] + totals["Disputed"] + amount > totals["Captured"],
        "unknown_entry": kind in KIND_BEFORE and not named,
        "already_reversed": bool(named) and open_amount <= 0,
        exceeds: comparable and bool(named) and 0 < open_amount < amount,
    }
    return {rule for rule, is_broken in rules.items() if is_broken}
