"""What is shown on a terminal: text of others made harmless, and progress that does not mix with the output."""

import io
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
