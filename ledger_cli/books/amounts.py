"""Exact sums of amounts, which may be negative.

An operator such as `-` or `*` rounds to the 28 digits of Python's usual context, and so do `abs` and a minus sign. An
amount has up to 38 digits. So the books use the functions of this module, and `copy_negate` and `copy_abs`.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow])
"""An amount has at most 38 digits. So 200 digits hold the sum of any number of them, and nothing is ever rounded."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the sum, with as many decimals as the most precise amount has; 0 if there are no amounts."""
    sum_ = Decimal(0)
    for amount in amounts:
        sum_ = EXACT.add(sum_, amount)
    return sum_


def difference(amount: Decimal, other: Decimal) -> Decimal:
    """Return how much more *amount* is than *other*."""
    return EXACT.subtract(amount, other)


def signed(amount: Decimal, sign: int) -> Decimal:
    """Return an amount, or its negative if *sign* is negative."""
    return amount.copy_negate() if sign < 0 else amount


def decimals_of(amount: Decimal) -> int:
    """Return how many decimals an amount is written with."""
    exponent = amount.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def text(amount: Decimal, decimals: int = 0) -> str:
    """Return an amount as decimal text, with at least *decimals* decimals. Zero has no sign."""
    places = max(decimals_of(amount), decimals)
    written = f"{EXACT.quantize(amount, Decimal(1).scaleb(-places)):f}"
    return written if amount else written.removeprefix("-")
