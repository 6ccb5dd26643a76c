"""The text of `functions/ledger/currencies.py`, from the `iso4217` package."""

from collections.abc import Mapping

import iso4217

from ledger.currencies import FORMER_MINOR_UNITS, MINOR_UNITS
from ledger_cli import ROOT

TARGET = ROOT / "functions/ledger/currencies.py"

Former = Mapping[str, tuple[tuple[str, int], ...]]


def source() -> str:
    """Return the module's text, from the installed `iso4217` and from what the module keeps of earlier lists."""
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
        '"""Earlier decimals of a code, each with the date until which it had them.\n\n'
        'The date is that of the first list without the code, or with other decimals. The oldest is of 2014-03-28."""\n'
        f"\nNO_MINOR_UNIT = frozenset(\n    {{\n{''.join(no_minor_unit)}    }}\n)\n"
        '"""Codes in which no amount can be: metals, funds, tests and no currency at all."""\n'
    )


def with_changes(
    former: Former, before: Mapping[str, int], listed: Mapping[str, int | None], published: str
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return *former* with each entry of *before* that the list of the date *published* no longer has."""
    changed = {code: decimals for code, decimals in before.items() if listed.get(code) != decimals}
    return {
        code: former.get(code, ()) + (((published, changed[code]),) if code in changed else ())
        for code in former.keys() | changed.keys()
    }
