"""Every run of a scenario with at most a given number of faults, and random runs with more.

A run is a sequence of choices in the order of their points. Each run shows what else could have happened after its last
choice, and each of these is a next run: so every run is made exactly once.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger_cli.engine import Engine
from tests.simulation.observations import ViolationError
from tests.simulation.run import Run, Simulator, intercepted_calls
from tests.simulation.scenarios import LASTING, SCENARIOS, Budget

Path = tuple[tuple[int, str], ...]
"""Choices in order: each point, and what happens there."""


@dataclass
class Results:
    """The totals and the violations of some runs."""

    runs: int = 0
    injected: int = 0
    violations: list[tuple[str, Path, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Results") -> None:
        """Add the results of *other* to these."""
        self.runs += other.runs
        self.injected += other.injected
        self.violations += other.violations
        self.kinds += other.kinds


class Searcher:
    """Makes runs on one engine."""

    def __init__(self, engine: Engine) -> None:
        self.simulator = Simulator(engine)
        self.current: Run | None = None

    def make(self, scenario: str, path: Path, results: Results, rng: random.Random | None = None) -> Run:
        """Make one run to its end, and let it converge; add to *results* what it violates."""
        self.current = Run(self.simulator, dict(path), rng)
        try:
            with intercepted_calls(lambda: self.current):
                SCENARIOS[scenario].play(self.current)
                self.current.converge()
        except ViolationError as violation:
            results.violations.append((scenario, tuple(sorted(self.current.choices.items())), str(violation)))
        finally:
            run, self.current = self.current, None
        results.runs += 1
        results.injected += run.injected
        results.kinds.update(run.choices.values())
        return run

    def next_paths(self, run: Run, path: Path, budget: Budget) -> Iterator[tuple[Path, Budget]]:
        """Yield what else could have happened after the last choice, and what is then left of the budget."""
        last = path[-1][0] if path else -1
        for point in range(last + 1, len(run.points)):
            for option in run.points[point]:
                if left := budget.after(option):
                    yield (*path, (point, option)), left

    def expand(self, scenario: str, path: Path, budget: Budget, results: Results) -> list[tuple[Path, Budget]]:
        """Make one run; return the paths that are to be searched from it."""
        run = self.make(scenario, path, results)
        return list(self.next_paths(run, path, budget))

    def search(self, scenario: str, path: Path, budget: Budget) -> Results:
        """Make the run and all that follow from it."""
        results = Results()
        left = [(path, budget)]
        while left:
            next_path, next_budget = left.pop()
            left += self.expand(scenario, next_path, next_budget, results)
        return results

    def quick(self, scenario: str) -> Results:
        """Search a scenario as `make test` does."""
        return self.search(scenario, (), SCENARIOS[scenario].quick)

    def at_random(self, seed: int) -> Results:
        """Make one run of any scenario, with any number of faults."""
        results = Results()
        rng = random.Random(seed)  # noqa: S311  # a replay needs the same numbers
        lasting = rng.choice(sorted(LASTING))  # all of them count as one
        self.make(rng.choice([*sorted(SCENARIOS.keys() - LASTING), lasting]), (), results, rng)
        return results
