"""What people read stays readable in a narrow terminal: no heading, no ID and no word is broken."""

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from ledger_cli.terminal import Column, fitting, wrapped

WORDS = st.text(
    st.characters(whitelist_categories=("Lu", "Ll", "Nd", "Lo"), max_codepoint=0x9FFF), min_size=1, max_size=70
)
COLUMNS = (
    Column("TransactionID"),
    Column("Amount", right=True),
    Column("Status", rank=1),
    Column("Recorded", rank=2),
    Column("Says", rank=3, words=True),
)


def printed(thing: object, width: int) -> list[str]:
    """The lines of *thing* in a terminal of so many cells."""
    console = Console(file=io.StringIO(), width=width)
    console.print(thing, soft_wrap=True)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(20, 200), st.integers(0, 12))
def test_lines_are_broken_between_words_alone(words: list[str], width: int, indent: int) -> None:
    """An ID that is cut in two cannot be copied, and a word that is cut in two is hard to read."""
    lines = printed(wrapped((" ".join(words), ""), indent=indent, width=width), width)
    assert " ".join(lines).split() == words
    for line in lines:
        assert cell_len(line) <= width or len(line.split()) == 1
    for line, following in itertools.pairwise(lines):
        assert following.startswith(" " * indent) or len(following.split()) == 1
        assert cell_len(line) + 1 + cell_len(following.split()[0]) > width, "the next word would have fitted"


@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, st.lists(WORDS, max_size=8).map(" ".join)), max_size=4),
    st.sampled_from([60, 80, 120, 200]),
)
def test_a_table_breaks_neither_headings_nor_values(rows: list[tuple[str, ...]], width: int) -> None:
    """It leaves out columns instead, the least important first, or becomes lines."""
    lines = printed(fitting("Title", COLUMNS, rows, width), width)
    text = "\n".join(lines)
    for row in rows:
        assert row[0] in text
        assert row[1] in text
    heading = next((line for line in lines if "TransactionID" in line), "")
    if rows and heading.split()[:2] == ["TransactionID", "Amount"]:
        assert max(map(cell_len, lines)) <= width
        shown = [column.name for column in COLUMNS if column.name in heading.split()]
        assert shown == [column.name for column in COLUMNS][: len(shown)], "the least important goes first"


@pytest.mark.parametrize(("width", "shown"), [(200, 5), (100, 5), (72, 4), (50, 3), (39, 2), (29, 0)])
def test_columns_go_in_the_order_of_their_rank(width: int, shown: int) -> None:
    """Identity and amount stay to the end."""
    row = ["3f1c2b9e-9d55", "129.90 EUR", "Success", "2026-11-23 08:30Z", "differs in: Amount, Currency, Timestamp"]
    heading = next(line for line in printed(fitting("", COLUMNS, [row], width), width) if "TransactionID" in line)
    names = [column.name for column in COLUMNS if column.name in heading]
    assert names == [column.name for column in COLUMNS][:shown] if shown else heading == f"TransactionID  {row[0]}"
