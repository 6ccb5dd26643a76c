"""What the page on the books says is what the code does."""

import re
import tomllib

from ledger_cli import ROOT
from ledger_cli.books.matcher import EXPLAINED, VERDICTS
from ledger_cli.books.reports import FORMATS
from ledger_cli.books.reports.mapped_csv import KEYS

PAGE = (ROOT / "docs/operate/books.md").read_text(encoding="utf-8")


def test_the_verdicts_are_those_of_the_matcher() -> None:
    """Each stands in the table, and whether it needs a person."""
    rows = re.findall(r"^\| `([a-z_]+)` \| .* \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(verdict, "no" if verdict in EXPLAINED else "yes") for verdict in VERDICTS]


def test_the_formats_of_reports_are_those_that_are_read() -> None:
    """Each stands in the table."""
    section = PAGE.partition("### Formats\n")[2].partition("### A mapping")[0]
    assert re.findall(r"^\| `([a-z]+)` \|", section, re.MULTILINE) == list(FORMATS)


def test_the_mapping_on_the_page_is_the_sample() -> None:
    """A reader copies it."""
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(block) == tomllib.loads((ROOT / "events/reports/acme-pay.toml").read_text())


def test_every_key_of_a_mapping_is_on_the_page() -> None:
    """And no other."""
    table = PAGE.partition("| key | value |\n")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", table)) | {"types"}
    assert named == {f"{table}.{key}" for table, keys in KEYS.items() for key in keys} | {"types"}
