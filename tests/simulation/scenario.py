"""What a scenario is, and how much of it the search tries."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.run import Run

ALL_TURNS = sys.maxsize


class Budget(NamedTuple):
    """How many faults a run meets at most, and how often another actor takes the turn. All combinations are tried.

    If `kinds` is not empty, it has the faults that are tried.
    """

    faults: int
    turns: int = ALL_TURNS
    kinds: frozenset[str] = frozenset()

    def after(self, option: str) -> "Budget | None":
        """Return what is left after a choice; None if the budget does not have it."""
        if self.kinds and not is_turn(option) and option not in self.kinds:
            return None
        left = self._replace(turns=self.turns - 1) if is_turn(option) else self._replace(faults=self.faults - 1)
        return None if min(left.faults, left.turns) < 0 else left


EVERY_ORDER = Budget(faults=0)


def is_turn(option: str) -> bool:
    """Return whether a choice gives the turn to another actor; all others are faults."""
    return option.startswith("turn of ")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in a run, and what is tried: each budget in the exhaustive search, and `quick` in `make test`."""

    play: Callable[[Run], object]
    budgets: tuple[Budget, ...]
    quick: Budget = EVERY_ORDER
