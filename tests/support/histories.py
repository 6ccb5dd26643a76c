"""Random payments with entries, which a ledger takes."""

import random
from typing import Any

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger.entry import Entry
from ledger.payment import Payment
from ledger.totals import after, opening, violations

CURRENCIES = ("EUR", "JPY", "BHD", "CLF", "ISK", "UYW", "HRK")
"""Currencies with two, no, three and four decimals, and one that is retired."""

TEXTS = ("", "A-1001", "naïve ☕", '\N{LINE SEPARATOR}\t"\\', "दस", "🧾" * 60)
"""Values of metadata."""

KINDS = ("Captured", "Refunded", "RefundFailed", "Disputed", "DisputeWon", "DisputeLost", "Voided")


def random_histories(seed: int, number: int, processor_id: str = "acme-pay") -> list[list[dict[str, Any]]]:
    """Return payments, each with entries that break no rule, as start inputs without a token."""
    rng = random.Random(seed)  # noqa: S311  # a test, not a secret
    return [_history(rng, f"txn-{seed}-{place}", processor_id) for place in range(number)]


def _history(rng: random.Random, transaction_id: str, processor_id: str) -> list[dict[str, Any]]:
    currency = rng.choice(CURRENCIES)
    decimals = MINOR_UNITS[currency] if currency in MINOR_UNITS else FORMER_MINOR_UNITS[currency][-1][1]
    day = rng.randrange(1, 29)

    def amount(most: int) -> str:
        units = f"{rng.randrange(1, most):0{decimals + 1}}"
        return f"{units[:-decimals]}.{units[-decimals:]}" if decimals else units

    def metadata() -> dict[str, str]:
        return {f"key{number}": rng.choice(TEXTS) for number in range(rng.randrange(3))}

    status = rng.choice(("Success", "Success", "Success", "Failure"))
    at = f"2019-11-{day:02}T{rng.randrange(24):02}:{rng.randrange(60):02}:00.{rng.randrange(10**6):06}Z"
    payment = Payment(transaction_id, amount(10**6), currency, processor_id, status, at, metadata())
    totals, chain = opening(payment), list[Entry]()
    for number in range(rng.randrange(6) if status == "Success" else 0):
        kind = rng.choice(KINDS)
        before = [one for one in chain if {"RefundFailed": "Refunded"}.get(kind, "Disputed") == one.kind]
        needs = kind in {"RefundFailed", "DisputeWon", "DisputeLost"}
        entry = Entry(
            transaction_id, f"e-{number}", kind, amount(10**5), currency, processor_id, at,
            rng.choice(before).entry_id if needs and before else None, metadata(),
        )  # fmt: skip
        if not violations(payment, chain, totals, entry) and needs is (entry.reverses is not None):
            chain.append(entry)
            totals = after(totals, entry)
    return [payment.as_state(), *(one.as_state() for one in chain)]
