"""What is shown on a terminal: text of others made harmless, tables and lines that fit, and progress beside them."""

import io
import json
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ledger_cli.errors import NO_READER, UNWRITABLE, CommandError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

NOT_SHOWN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Unicode's categories of what moves a cursor, changes the direction of text, or is no character."""


def visible(text: object) -> str:
    """*text* with each control character spelled out: a sender's must not write over an operator's screen."""
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode() if unicodedata.category(char) in NOT_SHOWN else char
        for char in str(text)
    )


def say(text: str, *, err: bool = False) -> None:
    """Print one line, each control character spelled out."""
    click.echo(visible(text), err=err)  # noqa: TID251


def note(message: str) -> None:
    """Print a line of the command's own on standard error, each control character spelled out."""
    say(f"ledger: {message}", err=True)


def say_json(value: object) -> None:
    """Print a line of JSON for machines, which spells out every character beyond ASCII, and DEL."""
    click.echo(json.dumps(value).replace("\x7f", r"\u007f"))  # noqa: TID251


def argument(text: str) -> str:
    """Return *text* as the last argument of a command to type: quoted, and no option even if it begins with `-`."""
    return f"{'-- ' if text.startswith('-') else ''}{shlex.quote(text)}"


class _Descriptor(io.FileIO):
    """Standard output or error. After the first failure it drops what comes: the interpreter flushes once more."""

    failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write to the descriptor.

        Raises:
            CommandError: standard output cannot be written. Of standard error nobody can be informed.
        """
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                if self.fileno() == STDOUT:
                    raise _unwritable(error) from None
        return memoryview(data).nbytes


STDOUT, STDERR = 1, 2


def _unwritable(error: OSError) -> CommandError:
    if isinstance(error, BrokenPipeError):
        return CommandError("", NO_READER)
    return CommandError(f"standard output: {(error.strerror or 'cannot be written').lower()}", UNWRITABLE)


@contextmanager
def checked_streams() -> Iterator[None]:
    """Write through descriptors that report a failure once; a character that the terminal lacks is spelled out.

    Raises:
        CommandError: standard output cannot be written.
    """
    if sys.stdout is not sys.__stdout__:  # a test's own
        yield
        return
    if sys.stdout is None:
        raise CommandError("standard output is closed", UNWRITABLE)
    with redirect_stdout(_checked(sys.stdout, STDOUT)):
        if sys.stderr is None:
            yield
        else:
            with redirect_stderr(_checked(sys.stderr, STDERR)):
                yield


def _checked(stream: TextIO, descriptor: int) -> io.TextIOWrapper:
    raw = _Descriptor(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        errors="backslashreplace",
        line_buffering=descriptor == STDERR or raw.isatty(),
    )


@contextmanager
def progress(description: str) -> Iterator["Track"]:
    """A bar below the output where that is a terminal too; else on standard error, if anybody looks there."""
    output, errors = Console(), Console(stderr=True)
    console = output if output.is_terminal else errors
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Track(bar, description)


class Track:
    """Shows how far a loop has come."""

    def __init__(self, bar: Progress, description: str) -> None:
        self.bar, self.description = bar, description

    def over(self, things: Iterable[T], total: int | None = None) -> Iterator[T]:
        """The things, one after the other."""
        task = self.bar.add_task(self.description, total=total)
        for thing in things:
            yield thing
            self.bar.advance(task)

    @property
    def console(self) -> Console:
        """Where to print meanwhile: the bar stays below."""
        return self.bar.console if self.bar.console.is_terminal and not self.bar.console.stderr else Console()


GAP = 2
"""Cells between two columns, and between a name and its value."""


PROSE = 24
"""Cells that a column needs so that its sentences can be read; where there are fewer, another column is left out."""

GLUE = "\N{NO-BREAK SPACE}"
"""Keeps words on one line; it is shown as a space."""

WORD = re.compile(r" *[^ \n]+ *")


def glued(text: str) -> str:
    """Return *text* as one word, where lines are broken."""
    return text.replace(" ", GLUE)


def display(*things: RenderableType, console: Console | None = None) -> None:
    """Print each thing below the other, each control character spelled out.

    A word that is wider than the terminal stays whole: it can be copied.
    """
    for thing in things:
        (console or Console()).print(_Harmless(thing), crop=False)


class _Harmless:
    """Whatever is displayed, when it is laid out already: what others wrote must not reach the terminal as it is."""

    def __init__(self, thing: RenderableType) -> None:
        self.thing = thing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the thing's segments; a line's end stays one."""
        for segment in console.render(self.thing, options):
            yield Segment("\n".join(map(visible, segment.text.split("\n"))), segment.style)


def money(payment: Mapping[str, Any]) -> str:
    """Return the amount of a payment's facts with its currency, in the same text wherever it is shown."""
    return f"{payment['Amount']} {payment['Currency']}"


def moment(timestamp: str) -> str:
    """Return a canonical timestamp for people, to the second."""
    return f"{timestamp[:10]} {timestamp[11:19]}Z"


class Entry:
    """A value beside its name, or any text behind its beginning; what does not fit goes on below, indented.

    Lines are broken between words alone. A word that does not fit beside the name has a line of its own.
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


class Entries:
    """Names with their values, one below the other, the values aligned."""

    def __init__(self, values: Mapping[str, Text | str]) -> None:
        self.values = values

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Entry]:
        """Yield each name with its value."""
        indent = max(map(cell_len, self.values), default=0) + GAP
        yield from (Entry(name, value, indent) for name, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `drop` says which columns a terminal that is too narrow does without: the highest first, and those with 0 never.
    Values that `wraps` are broken between words; others never.
    """

    name: str
    drop: int = 0
    right: bool = False
    wraps: bool = False


class Rows:
    """Rows as a table of the columns that fit, or as a list if not even those fit that are never left out.

    Neither breaks a heading, an ID or a word.
    """

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[Text | str]], title: str = "") -> None:
        """Take the rows; each has a value for each column."""
        self.columns, self.title = columns, title
        self.rows = [dict(zip(columns, map(_text, row), strict=True)) for row in rows]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield what fits on a terminal as wide as the options say."""
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
            yield Entry(Text("Too narrow for:", style="dim"), Text(", ".join(left_out), style="dim"), 16)

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
            yield Entries({column.name: value for column, value in row.items()})


def _text(value: Text | str) -> Text:
    return Text(value) if isinstance(value, str) else value


def _broken(text: Text, width: int) -> Iterator[Text]:
    """Yield the lines of *text*, broken between words where they are wider than *width* cells."""
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
