"""Bugs that `make test` plants into the matcher. The proof must find each of them.

A bug is a piece of the matcher's source, and what stands in its place. `make mutate` makes hundreds of smaller ones.
"""

from types import ModuleType

import pytest

from ledger_cli import ROOT
from ledger_cli.books import matcher, reconciliation
from tests.books import proof

SOURCE = ROOT / "ledger_cli/books/matcher.py"

BUGS = {
    "sums are compared without their currency": ("return len(currencies) == 1 and is_sum", "return is_sum"),
    "sums are floats": (
        "total(map(moved, lines)) == total(record.moved for record in records)",
        "sum(map(float, map(moved, lines))) == sum(float(record.moved) for record in records)",
    ),
    "a cent does not matter": (
        "total(map(moved, lines)) == total(record.moved for record in records)",
        'abs(total(map(moved, lines)) - total(record.moved for record in records)) <= Decimal("0.01")',
    ),
    "the first record is taken for every line": ("same.pop(_nearest(line, same, period))", "same[0]"),
    "a doubled line is ignored": ("findings.append(Finding(DUPLICATE_LINE, line, first=first))", "continue"),
    "a doubled line counts": ("if first is not line and _movement(first) == _movement(line):\n", "if False:\n"),
    "a repetition without an identity counts": ("if _fits(once, summed)", "if False"),
    "everything may come later": ("elif period.is_open(record.timestamp)", "elif True"),
    "nothing comes later": ("elif period.is_open(record.timestamp)", "elif False"),
    "the margin is at the other end": ("and timestamp >= self.open_from", "and timestamp <= self.open_from"),
    "the period does not matter": ("if not period.has(record.timestamp):", "if False:"),
    "a failed payment must be in the report": ("if not record.moved:", "if False:"),
    "a status does not matter": ("if line.status != record.status:", "if False:"),
    "the ID of an entry does not matter": ("if (kind, one) in groups)", "if (kind, one) in groups and False)"),
    "an entry is not met by what it reverses": (
        "for one in (record.entry_id, record.reverses) if (kind",
        "for one in (record.entry_id,) if (kind",
    ),
    "a capture is no payment": ("PAYMENT if one.kind == CAPTURED else one.kind", "one.kind"),
    "an unknown type is matched": ("elif line.kind in {NO_PAYMENT, UNKNOWN_TYPE}", "elif line.kind == NO_PAYMENT"),
    "an authorisation is compared with a capture": ('if record.moved or record.status != "Success"]', "]"),
    "captures of other reports are summed": (
        "for chosen in choices:",
        "for chosen in choices[:1]:",
    ),
    "a reversal does not find the payment of its chargeback": (
        "if line.transaction_id in self.records or (line.transaction_id is not None and line.kind == PAYMENT):",
        "if line.transaction_id is not None:",
    ),
    "lines that are left over are lost": ("for line in differing[len(pairs) :]:", "for line in differing[:0]:"),
    "the remainder is made of the findings": (
        "    for line in lines:\n        amounts[line.currency].append(moved(line))",
        "    for line in [one.line for one in findings if one.line]: amounts[line.currency].append(moved(line))",
    ),
    "the remainder has records of all times": ("if record in used or period.has(record.timestamp)", "if True"),
}  # fmt: skip
"""What each bug does: a piece of the source, and what is there instead."""

SHOWN_BY = {
    "a repetition without an identity counts": "csv",
    "captures of other reports are summed": "csv",
    "lines that are left over are lost": "csv",
    "an authorisation is compared with a capture": "adyen",
    "a reversal does not find the payment of its chargeback": "paypal",
}
"""The format that shows a bug. Every format shows the others soon."""


def plant_bug(name: str, patch: pytest.MonkeyPatch) -> None:
    """Let the reconciliation use a matcher with this bug."""
    piece, instead = BUGS[name]
    source = SOURCE.read_text(encoding="utf-8")
    assert source.count(piece) == 1, f"the matcher has this {source.count(piece)} times: {piece}"
    changed = ModuleType(matcher.__name__)
    exec(compile(source.replace(piece, instead), "matcher with a bug", "exec"), changed.__dict__)  # noqa: S102
    for module in (reconciliation, proof):
        patch.setattr(module, "match", changed.match)
        patch.setattr(module, "remainders", changed.remainders)
    for method in ("has", "expects", "is_open"):
        patch.setattr(matcher.Period, method, getattr(changed.Period, method))
