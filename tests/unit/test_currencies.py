"""The currency table is the kept library's."""

from ledger_cli import currencies


def test_the_table_is_what_the_library_says_today() -> None:
    """ISO 4217 changes every year: after `make lock`, `make currencies` brings the table along."""
    assert currencies.TARGET.read_text() == currencies.source(), "run: make currencies"
