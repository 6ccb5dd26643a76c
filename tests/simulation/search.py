"""Every run of a world with at most so many faults, and random ones with more.

A run is a sequence of deviations in the order of their points. Each run shows what else could have happened after its
last deviation, and each of these is the next run: so every one is made exactly once.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger_cli.engine import Engine
from tests.simulation.invariants import ViolationError
from tests.simulation.world import Run, Simulator, calls_pass_through
from tests.simulation.worlds import WORLDS

Path = tuple[tuple[int, str], ...]
"""Deviations: point and what happens there, in order."""


@dataclass
class Found:
    """What some runs came to."""

    runs: int = 0
    injected: int = 0
    violations: list[tuple[str, Path, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Found") -> None:
        """Count those of *other* too."""
        self.runs += other.runs
        self.injected += other.injected
        self.violations += other.violations
        self.kinds += other.kinds


class Searcher:
    """Makes runs on one engine."""

    def __init__(self, engine: Engine) -> None:
        self.simulator = Simulator(engine)
        self.run: Run | None = None

    def make(self, world: str, path: Path, found: Found, dice: random.Random | None = None) -> Run:
        """One run to its end, and through the calm after it; what it violates is noted."""
        self.run = Run(self.simulator, dict(path), dice)
        try:
            with calls_pass_through(lambda: self.run):
                WORLDS[world].play(self.run)
                self.run.converge()
        except ViolationError as violation:
            found.violations.append((world, tuple(sorted(self.run.deviations.items())), str(violation)))
        finally:
            run, self.run = self.run, None
        found.runs += 1
        found.injected += run.injected
        found.kinds.update(run.deviations.values())
        return run

    def children(self, run: Run, path: Path, faults: int) -> Iterator[tuple[Path, int]]:
        """What else could have happened after the last deviation, and how many faults are then left."""
        last = path[-1][0] if path else -1
        for point in range(last + 1, len(run.points)):
            for option in run.points[point]:
                cost = 0 if option.startswith("turn of ") else 1
                if cost <= faults:
                    yield (*path, (point, option)), faults - cost

    def expand(self, world: str, path: Path, faults: int, found: Found) -> list[tuple[Path, int]]:
        """Make one run; returns what is to be searched from it."""
        run = self.make(world, path, found)
        return list(self.children(run, path, faults))

    def search(self, world: str, path: Path, faults: int) -> Found:
        """Make the run, and all that follow from it."""
        found = Found()
        left = [(path, faults)]
        while left:
            next_path, next_faults = left.pop()
            left += self.expand(world, next_path, next_faults, found)
        return found

    def at_random(self, seed: int) -> Found:
        """One run of any world, with any number of faults."""
        found = Found()
        dice = random.Random(seed)  # noqa: S311  # a replay needs the same numbers
        # Most worlds are one world with another lasting fault: they count as one.
        plain = [name for name in sorted(WORLDS) if "without end" not in name]
        lasting = dice.choice(sorted(WORLDS.keys() - plain))
        self.make(dice.choice([*plain, lasting]), (), found, dice)
        return found
