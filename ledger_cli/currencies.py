"""Makes `functions/ledger/currencies.py` from the `iso4217` package: `python -m ledger_cli.currencies`."""

import iso4217

from ledger_cli import ROOT

TARGET = ROOT / "functions/ledger/currencies.py"


def source() -> str:
    """The module's text, as it should be for the installed `iso4217`."""
    currencies = sorted(iso4217.Currency, key=lambda currency: currency.code)
    minor_units = [f'    "{c.code}": {c.exponent},\n' for c in currencies if c.exponent is not None]
    no_minor_unit = [f'        "{c.code}",\n' for c in currencies if c.exponent is None]
    return (
        '"""ISO 4217: how many decimals an amount may have. Made by `make currencies`; do not edit."""\n'
        f"\nMINOR_UNITS = {{\n{''.join(minor_units)}}}\n"
        f"\nNO_MINOR_UNIT = frozenset(\n    {{\n{''.join(no_minor_unit)}    }}\n)\n"
        '"""Codes that no amount can be in: metals, funds, tests and no currency at all."""\n'
    )


if __name__ == "__main__":
    TARGET.write_text(source())
