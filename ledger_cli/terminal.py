"""What is shown on a terminal: text of others made harmless, and progress that does not mix with the output."""

import io
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
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


def moment(timestamp: str) -> str:
    """A canonical timestamp for people, to the second."""
    return f"{timestamp[:10]} {timestamp[11:19]}Z"


def argument(text: str) -> str:
    """Return *text* as the last argument of a command to type: quoted, and no option even if it begins with `-`."""
    return f"{'-- ' if text.startswith('-') else ''}{shlex.quote(text)}"


def wrapped(*parts: tuple[str, str], indent: int = 0, width: int | None = None) -> Text:
    """Return the parts, each a text and its style, as lines that fit the terminal; print it with `soft_wrap=True`.

    Lines are broken between words alone: a word that is wider than the terminal, such as an ID, stays whole.

    Args:
        parts: a newline in one ends the line.
        indent: the cells before each line but the first; fewer, if its word would not fit otherwise.
        width: the terminal's in cells, if another than the real one.
    """
    width = width or Console().width
    line, column, gap = Text(), 0, ""
    for text, style in parts:
        for word in re.findall(r"\n| +|[^ \n]+", text):
            if word == "\n":
                line.append("\n")
                column, gap = 0, " " * indent
            elif word[0] == " ":
                gap += word
            else:
                cells = cell_len(word)
                if gap and column and column + len(gap) + cells > width:
                    line.append("\n")
                    column, gap = 0, " " * max(0, min(indent, width - cells))
                line.append(gap + word, style)
                column, gap = column + len(gap) + cells, ""
    return line


class Column(NamedTuple):
    """One of a table's columns. Where not all fit, the one with the highest `rank` goes first; rank 0 stays.

    Values are on one line each, but in a column of `words`, whose values may be broken between words.
    """

    name: str
    rank: int = 0
    right: bool = False
    words: bool = False


MIN_WORDS_CELLS = 24
"""What a column of words needs at least to be readable."""


def fitting(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], width: int) -> RenderableType:
    """Return a table of as many columns as fit into *width* cells; print it with `soft_wrap=True`.

    No heading and no value is broken. If not even the columns of rank 0 fit, each row becomes lines, one a column.
    """
    shown = list(range(len(columns)))
    while _needed(columns, rows, shown) > width:
        last = max(shown, key=lambda index: columns[index].rank)
        if columns[last].rank == 0:
            return _as_lines(title, columns, rows, width)
        shown.remove(last)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, width=None)
    for index in shown:
        column = columns[index]
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            no_wrap=not column.words,
            min_width=None if column.words else max(cell_len(text) for text in _texts(columns, rows, index)),
        )
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    return table


def _texts(columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], index: int) -> list[str]:
    return [columns[index].name, *(str(row[index]) for row in rows)]


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], shown: Sequence[int]) -> int:
    """The cells of a table of these columns: each has one on either side and one between it and the next."""
    needed = 1
    for index in shown:
        texts = _texts(columns, rows, index)
        if columns[index].words:
            whole = max(map(cell_len, texts))
            words = max(cell_len(word) for text in texts for word in text.split() or [""])
            needed += max(words, min(whole, MIN_WORDS_CELLS)) + 3
        else:
            needed += max(map(cell_len, texts)) + 3
    return needed


def _as_lines(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]], width: int) -> Text:
    names = max(len(column.name) for column in columns)
    text = Text(f"{title}\n", style="bold") if title else Text()
    lines = []
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            style = str(value.style) if isinstance(value, Text) else ""
            lines.append(
                wrapped((f"{column.name:<{names}}  ", "dim"), (str(value), style), indent=names + 2, width=width)
            )
        lines.append(Text())
    return Text("\n").join([text, *lines[:-1]])


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
