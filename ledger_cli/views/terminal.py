"""Everything that the command prints goes through here, so that text of others cannot write over the screen."""

import io
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, TextIO, TypeVar

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from ledger_cli.errors import NO_READER, UNWRITABLE, CommandError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

UNPRINTABLE_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Unicode's categories of what moves a cursor, changes the direction of text, or is not a character."""


def visible(text: object) -> str:
    """Return *text* with each control character spelled out. A sender's must not write over an operator's screen."""
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode()
        if unicodedata.category(char) in UNPRINTABLE_CATEGORIES
        else char
        for char in str(text)
    )


def say(text: str, *, err: bool = False) -> None:
    """Print one line, with each control character spelled out."""
    click.echo(visible(text), err=err)


def note(message: str) -> None:
    """Print a line on standard error that begins with `ledger:`, with each control character spelled out."""
    say(f"ledger: {message}", err=True)


def say_json(value: object) -> None:
    """Print a line of JSON, which spells out DEL and every character beyond ASCII."""
    click.echo(json.dumps(value).replace("\x7f", r"\u007f"))


def say_as_it_is(text: str | bytes, *, newline: bool = True, err: bool = False) -> None:
    """Print text as it is: several lines of the command's own, or bytes for a program."""
    click.echo(text, nl=newline, err=err)


def display(*things: RenderableType, console: Console | None = None) -> None:
    """Print each thing below the other, with each control character spelled out.

    A word that is wider than the terminal stays whole, so that it can be copied.
    """
    for thing in things:
        (console or Console()).print(_Harmless(thing), crop=False)


class _Harmless:
    """A thing whose control characters are spelled out after its layout is done."""

    def __init__(self, thing: RenderableType) -> None:
        self.thing = thing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the thing's segments. The end of a line stays one."""
        for segment in console.render(self.thing, options):
            yield Segment("\n".join(map(visible, segment.text.split("\n"))), segment.style)


@contextmanager
def progress(description: str) -> Iterator["Track"]:
    """Show a bar below the output if that is a terminal; otherwise on standard error, if that is one."""
    output, errors = Console(), Console(stderr=True)
    console = output if output.is_terminal else errors
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Track(bar, description)


class RateColumn(ProgressColumn):
    """How many were done in a second, over the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the rate; nothing as long as it is not known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Track:
    """The progress of a loop."""

    def __init__(self, bar: Progress, description: str) -> None:
        self.bar, self.description = bar, description

    def over(self, things: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Yield the things, and advance the bar after each."""
        task = self.bar.add_task(self.description, total=total)
        for thing in things:
            yield thing
            self.bar.advance(task)

    @property
    def console(self) -> Console:
        """The console to print on meanwhile, so that the bar stays below the output."""
        return self.bar.console if self.bar.console.is_terminal and not self.bar.console.stderr else Console()


@contextmanager
def checked_streams() -> Iterator[None]:
    """Write through descriptors that report a failure once, and spell out characters that the terminal lacks.

    Raises:
        CommandError: standard output cannot be written.
    """
    if sys.stdout is not sys.__stdout__:  # a test has replaced it
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


STDOUT, STDERR = 1, 2


def _checked(stream: TextIO, descriptor: int) -> io.TextIOWrapper:
    raw = _Descriptor(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        errors="backslashreplace",
        line_buffering=descriptor == STDERR or raw.isatty(),
    )


class _Descriptor(io.FileIO):
    """Standard output or error. It drops all output after the first failure, since the interpreter flushes again."""

    failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write to the descriptor.

        Raises:
            CommandError: standard output cannot be written. A failure of standard error can be reported to nobody.
        """
        if not self.failed:
            try:
                return super().write(data)
            except OSError as error:
                self.failed = True
                if self.fileno() == STDOUT:
                    raise _unwritable(error) from None
        return memoryview(data).nbytes


def _unwritable(error: OSError) -> CommandError:
    if isinstance(error, BrokenPipeError):
        return CommandError("", NO_READER)
    return CommandError(f"standard output: {(error.strerror or 'cannot be written').lower()}", UNWRITABLE)
