"""Lines and tables that fit the terminal: broken between words alone, never within a heading, an ID or a word."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

GAP = 2
"""Cells between two columns, and between a name and its value."""

PROSE = 24
"""Cells that a column of sentences needs. If the terminal has fewer, another column is left out."""

GLUE = "\N{NO-BREAK SPACE}"
"""A character that keeps words on one line. It is shown as a space."""

WORD = re.compile(r" *[^ \n]+ *")


def glued(text: str) -> str:
    """Return *text* so that no line is broken within it."""
    return text.replace(" ", GLUE)


class Labelled:
    """A value beside its name, or any text behind its first word. Further lines are indented.

    A word that does not fit beside the name has a line of its own.
    """

    def __init__(self, name: Text | str, value: Text | str, indent: int) -> None:
        self.name = Text(name, style="dim") if isinstance(name, str) else name
        self.value, self.indent = _text(value), max(indent, self.name.cell_len + 1) if self.name else indent

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines for a terminal as wide as the options say."""
        room = options.max_width - self.indent
        beginning = self.name
        for line in _broken(self.value, room):
            if line.cell_len <= room:
                yield _line(beginning, " " * (self.indent - beginning.cell_len), line)
            else:
                if beginning:
                    yield _line(beginning)
                yield _line(line)
            beginning = Text()


class Labels:
    """Names with their values, one below the other, with the values aligned."""

    def __init__(self, values: Mapping[str, Text | str]) -> None:
        self.values = values

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Labelled]:
        """Yield each name with its value."""
        indent = max(map(cell_len, self.values), default=0) + GAP
        yield from (Labelled(name, value, indent) for name, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        drop: the order in which columns are left out of a narrow terminal: the highest first, and those with 0 never.
        right: whether values are aligned to the right.
        wraps: whether values may be broken between words. Others are never broken.
    """

    name: str
    drop: int = 0
    right: bool = False
    wraps: bool = False


class Rows:
    """Rows as a table of the columns that fit, or as a list if the columns that are never left out do not fit."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]], title: str = "") -> None:
        """Take the rows. Each has a value for each column."""
        self.columns, self.title = columns, title
        self.rows = [dict(zip(columns, map(_text, row), strict=True)) for row in rows]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the table or the list that fits on a terminal as wide as the options say."""
        if self.title:
            yield Text(self.title, style="bold")
        shown = list(self.columns)
        while self._width(shown) > options.max_width:
            last = max(shown, key=lambda column: column.drop)
            if not last.drop:
                yield from self._list()
                return
            shown.remove(last)
        yield self._table(shown, options.max_width)
        left_out = [column.name for column in self.columns if column not in shown]
        if left_out:
            yield Labelled(Text("Too narrow for:", style="dim"), Text(", ".join(left_out), style="dim"), 16)

    def _width(self, shown: Sequence[Column]) -> int:
        return sum(map(self._least, shown)) + GAP * (len(shown) - 1)

    def _least(self, column: Column) -> int:
        """Return how narrow a column can be, in cells."""
        if not column.wraps:
            return self._natural(column)
        words = [word.strip(" ") for row in self.rows for word in WORD.findall(row[column].plain)]
        return max(min(self._natural(column), PROSE), *map(cell_len, [column.name, *words]))

    def _natural(self, column: Column) -> int:
        lines = [line for row in self.rows for line in row[column].plain.split("\n")]
        return max(cell_len(line) for line in [column.name, *lines])

    def _table(self, shown: Sequence[Column], width: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        rest = width - self._width(shown)
        widths = {}
        for column in shown:
            least = self._least(column)
            widths[column] = least + min(self._natural(column) - least, rest)
            rest -= widths[column] - least
            justify: Any = "right" if column.right else "left"
            table.add_column(column.name, width=widths[column], justify=justify, overflow="crop", no_wrap=True)
        for row in self.rows:
            table.add_row(*(Text("\n").join(_broken(row[column], widths[column])) for column in shown))
        return table

    def _list(self) -> Iterator[RenderableType]:
        for number, row in enumerate(self.rows):
            if self.title or number:
                yield Text()
            yield Labels({column.name: value for column, value in row.items()})


def _text(value: Text | str) -> Text:
    return Text(value) if isinstance(value, str) else value


def _broken(text: Text, width: int) -> Iterator[Text]:
    """Yield the lines of *text*. Lines that are wider than *width* cells are broken between words."""
    for line in text.split("\n", allow_blank=True):
        breaks, used = [], 0
        for word in WORD.finditer(line.plain):
            if used and used + cell_len(word[0].rstrip(" ")) > width:
                breaks.append(word.start())
                used = 0
            used += cell_len(word[0])
        for part in line.divide(breaks):
            part.rstrip()
            part.plain = part.plain.replace(GLUE, " ")
            yield part


def _line(*parts: Text | str) -> Text:
    """Return one line that rich neither breaks nor cuts."""
    line = Text.assemble(*parts, no_wrap=True, overflow="ignore")
    line.rstrip()
    return line
