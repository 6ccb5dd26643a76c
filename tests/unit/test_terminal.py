"""Terminal output: whatever the words, widths and columns are, no heading, ID or word is broken."""

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from ledger_cli.views.layout import Column, Labelled, Labels, Rows
from ledger_cli.views.terminal import display, note, say, say_json

WORDS = st.text(
    st.characters(whitelist_categories=("Lu", "Ll", "Nd", "Lo"), max_codepoint=0x9FFF), min_size=1, max_size=70
)
COLUMNS = (
    Column("TransactionID"),
    Column("Amount", right=True),
    Column("Status", drop=1),
    Column("Recorded", drop=2),
    Column("Says", drop=3, wraps=True),
)


def printed(thing: RenderableType, width: int) -> list[str]:
    """Return the lines of *thing* in a terminal of this many cells."""
    written = io.StringIO()
    display(thing, console=Console(file=written, width=width))
    return written.getvalue().splitlines()


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(20, 200), st.integers(0, 12))
def test_lines_are_broken_between_words_alone(words: list[str], width: int, indent: int) -> None:
    """An ID that is cut in two cannot be copied, and a word that is cut in two is hard to read."""
    lines = printed(Labelled("", " ".join(words), indent), width)
    assert " ".join(lines).split() == words
    for line in lines:
        assert cell_len(line) <= width or len(line.split()) == 1
        assert line.startswith(" " * indent) or len(line.split()) == 1


@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, st.lists(WORDS, max_size=8).map(" ".join)), min_size=1, max_size=4),
    st.sampled_from([60, 80, 120, 200]),
)
def test_a_table_breaks_neither_headings_nor_values(rows: list[tuple[str, ...]], width: int) -> None:
    """The table leaves out columns instead, the least important first, and names them; or it becomes a list."""
    title, *lines = printed(Rows(COLUMNS, rows, "Title"), width)
    assert title == "Title"
    names = [column.name for column in COLUMNS]
    shown = [name for name in names if name in lines[0].split()]
    words = set(" ".join(lines).split())
    for line in lines:
        assert cell_len(line) <= width or len(line.split()) == 1
    if shown:  # the heading of a table
        assert shown == names[: len(shown)]
        left_out = ", ".join(names[len(shown) :])
        assert (lines[-1] == f"Too narrow for: {left_out}") == bool(left_out)
        for row in rows:
            assert set(" ".join(row[: len(shown)]).split()) <= words
    else:
        for row in rows:
            assert set(" ".join(row).split()) <= words


CONTROLS = [char for char in map(chr, range(0x110000)) if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}]


@pytest.mark.parametrize("wide", [True, False])
def test_no_control_character_reaches_a_terminal_whatever_displays_it(*, wide: bool) -> None:
    """A sender's text, an execution's name, a person's cause: it is enough if one place forgets to escape it."""
    hostile = "".join(f"a{char}" for char in CONTROLS if char != "\n")
    things = [
        Text(hostile),
        Labelled(hostile, hostile, 3),
        Labels({hostile: hostile, "b": Text(hostile, "red")}),
        Rows([Column(hostile), Column("b", wraps=True)], [[hostile, Text(hostile, "red")]], hostile),
    ]
    for thing in things:
        written = io.StringIO()
        display(thing, console=Console(file=written, width=100_000 if wide else 40, color_system=None))
        assert not set(CONTROLS) - {"\n"} & set(written.getvalue())
        assert r"a\x1ba" in written.getvalue()


def test_no_control_character_reaches_a_terminal_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No control character is in a message of the command's own, or in JSON, whose value stays the same."""
    hostile = "".join(CONTROLS)
    say(hostile)
    note(hostile)
    say_json({"a": hostile})
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert not set(CONTROLS) - {"\n"} & set(text)
    assert text.count("\n") == 3
    assert json.loads(printed.out.splitlines()[1]) == {"a": hostile}
    assert printed.err.startswith("ledger: ")
