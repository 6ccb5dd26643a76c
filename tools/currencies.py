"""The text of `functions/ledger/currencies.py`, from the `iso4217` package."""

from collections.abc import Mapping

import iso4217

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger_cli import ROOT

TARGET = ROOT / "functions/ledger/currencies.py"

Former = Mapping[str, tuple[tuple[str, int], ...]]


def source() -> str:
    """The module's text, as it should be for the installed `iso4217` and what the module has of earlier lists."""
    listed = {currency.code: currency.exponent for currency in iso4217.Currency}
    published = f"{iso4217.__published__:%Y-%m-%d}"
    former = with_changes(FORMER_MINOR_UNITS, MINOR_UNITS, listed, published)
    minor_units = [f'    "{code}": {decimals},\n' for code, decimals in sorted(listed.items()) if decimals is not None]
    no_minor_unit = [f'        "{code}",\n' for code in sorted(listed) if listed[code] is None]
    changes = []
    for code, before in sorted(former.items()):
        pairs = ", ".join(f'("{until}", {decimals})' for until, decimals in before)
        changes.append(f'    "{code}": ({pairs}{"," if len(before) == 1 else ""}),\n')
    return (
        '"""ISO 4217: how many decimals an amount may have. Made by `make generate`; do not edit."""\n'
        f"\nMINOR_UNITS = {{\n{''.join(minor_units)}}}\n"
        f"\nFORMER_MINOR_UNITS: dict[str, tuple[tuple[str, int], ...]] = {{\n{''.join(changes)}}}\n"
        '"""What was true before a list of ISO 4217 said otherwise: until when, and the decimals until then.\n\n'
        'The date is that of the first list without the code, or with other decimals. The oldest is of 2014-03-28."""\n'
        f"\nNO_MINOR_UNIT = frozenset(\n    {{\n{''.join(no_minor_unit)}    }}\n)\n"
        '"""Codes that no amount can be in: metals, funds, tests and no currency at all."""\n'
    )


def with_changes(
    former: Former, before: Mapping[str, int], listed: Mapping[str, int | None], published: str
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return *former* with what *before* says and the list of the date *published* does not say any more."""
    changed = {code: decimals for code, decimals in before.items() if listed.get(code) != decimals}
    return {
        code: former.get(code, ()) + (((published, changed[code]),) if code in changed else ())
        for code in former.keys() | changed.keys()
    }
