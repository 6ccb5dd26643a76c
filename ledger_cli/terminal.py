"""What is shown on a terminal: text of others made harmless, and progress that does not mix with the output."""

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

NOT_SHOWN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Unicode's categories of what moves a cursor, changes the direction of text, or is no character."""


def visible(text: object) -> str:
    """*text* with each control character spelled out: a sender's must not write over an operator's screen."""
    return "".join(
        char.encode("unicode_escape", "surrogatepass").decode() if unicodedata.category(char) in NOT_SHOWN else char
        for char in str(text)
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
