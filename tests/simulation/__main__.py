"""`make simulate`: every single fault and every pair of faults, random faults, and planted bugs.

The last line has the totals. To replay a run, give what is printed with its violation: `--scenario` and `--choices`.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ledger_cli.engine import Engine
from tests.simulation import planted_bugs
from tests.simulation.scenario import Budget
from tests.simulation.scenarios import LASTING, SCENARIOS
from tests.simulation.search import Path, Results, Searcher
from tests.support.patches import comment_of

RANDOM_RUNS = 1_000
BATCH = 50
WORKERS = os.cpu_count() or 1
_searcher: Searcher | None = None


def stack() -> Engine:
    """Deploy a stack with every lane. Waits take no time."""
    return Engine(parameters={"Lane": "fast"}, wait=lambda _: None)


def _start_worker() -> None:
    """Start one engine for the whole life of a worker process."""
    global _searcher  # noqa: PLW0603  # a pool's processes have no other place
    _searcher = Searcher(stack())


def _expand(scenario: str, budget: Budget) -> tuple[Results, list[tuple[Path, Budget]]]:
    assert _searcher
    results = Results()
    return results, _searcher.expand(scenario, (), budget, results)


def _search(scenario: str, paths: list[tuple[Path, Budget]]) -> Results:
    assert _searcher
    results = Results()
    for path, budget in paths:
        results.add(_searcher.search(scenario, path, budget))
    return results


def _at_random(seeds: list[int]) -> Results:
    assert _searcher
    results = Results()
    for seed in seeds:
        results.add(_searcher.at_random(seed))
    return results


def exhaustive(pool: ProcessPoolExecutor, progress: Progress) -> Iterator[Results]:
    """Search every scenario with as many faults and turns as it allows."""
    roots: dict[Future[tuple[Results, list[tuple[Path, Budget]]]], tuple[str, Budget]] = {
        pool.submit(_expand, name, budget): (name, budget)
        for name, scenario in SCENARIOS.items()
        for budget in scenario.budgets
    }
    searches: set[Future[Results]] = set()
    task = progress.add_task("Every fault", total=None)
    for root, (name, budget) in roots.items():
        results, paths = root.result()
        yield results
        step = 1 if budget.faults > 1 else 12
        searches |= {pool.submit(_search, name, paths[n : n + step]) for n in range(0, len(paths), step)}
    progress.update(task, total=len(searches))
    while searches:
        done, searches = wait(searches, return_when=FIRST_COMPLETED)
        for search in done:
            yield search.result()
            progress.advance(task)


def at_random(pool: ProcessPoolExecutor, progress: Progress, seed: int, runs: int) -> Iterator[Results]:
    """Make runs of random scenarios, faults and turns; a run's seed is *seed* plus the run's number."""
    seeds = [list(range(start, min(start + BATCH, seed + runs))) for start in range(seed, seed + runs, BATCH)]
    yield from progress.track(pool.map(_at_random, seeds), total=len(seeds), description=f"At random, from {seed}")


def find_planted_bugs(progress: Progress) -> dict[str, str | None]:
    """Plant each bug; return what found it."""
    patches = planted_bugs.PATCHES
    with ThreadPoolExecutor(WORKERS) as pool:
        finders = pool.map(planted_bugs.find, patches.values())
        tracked = progress.track(finders, total=len(patches), description="Planted bugs")
        return dict(zip(patches, tracked, strict=True))


def quick() -> Results:
    """Search as `make test` does, until the first violation: the plain run of each scenario comes first."""
    results = Results()
    with stack() as engine:
        searcher = Searcher(engine)
        plain_runs = [(name, Budget(faults=0, turns=0)) for name in SCENARIOS if name not in LASTING]
        searches = sorted(((name, scenario.quick) for name, scenario in SCENARIOS.items()), key=lambda pair: pair[1])
        for name, budget in [*plain_runs, *searches]:
            results.add(searcher.search(name, (), budget))
            if results.violations:
                break
    return results


def report(results: Results, console: Console) -> None:
    """Print each violation, and the command that replays its run."""
    for scenario, path, message in results.violations[:10]:
        console.print(f"VIOLATION {message}", style="bold red", markup=False, highlight=False)
        command = f"python -m tests.simulation --scenario '{scenario}' --choices '{json.dumps(path)}'"
        console.print(f"  replay: {command}", markup=False, highlight=False, soft_wrap=True)


def replay(scenario: str, path: Path) -> Results:
    """Make one run again, and print its points, its executions and its logs."""
    results = Results()
    with stack() as engine:
        run = Searcher(engine).make(scenario, path, results)
        for point, options in enumerate(run.points):
            chosen = run.choices.get(point, "")
            print(f"{point:4} {chosen or '·'}   ({len(options)} options)")  # noqa: T201
        for execution in run.executions:
            print(execution.arn, execution.status, execution.states, execution.error or "")  # noqa: T201
        print(engine.logs())  # noqa: T201
    return results


def everything(console: Console, seed: int) -> int:
    """Search every fault, make the random runs, and plant the bugs; return the exit status."""
    total, started = Results(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    with (
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
        ProcessPoolExecutor(WORKERS, initializer=_start_worker) as pool,
    ):
        for results in exhaustive(pool, progress):
            total.add(results)
        for results in at_random(pool, progress, seed, RANDOM_RUNS):
            total.add(results)
        taken_s = time.monotonic() - started
        if total.violations:
            report(total, console)
        finders = find_planted_bugs(progress) if not total.violations else {}
    missed = [name for name, finder in finders.items() if finder is None]
    for name in missed:
        console.print(f"NOT FOUND: {name}: {comment_of(planted_bugs.PATCHES[name])}", style="bold red")
    by_simulation = sum(finder == "simulation" for finder in finders.values())
    totals = [
        f"simulated: {len(SCENARIOS)} scenarios",
        f"{total.runs:,} runs ({total.runs / taken_s:.0f}/s)",
        f"{total.injected:,} faults injected, of {len(total.kinds)} kinds",
        f"{len(total.violations)} violations",
        f"{len(finders) - len(missed)} planted bugs found of {len(finders)} ({by_simulation} by the simulation)",
        f"seed {seed}",
    ]
    console.print(", ".join(totals), highlight=False, soft_wrap=True)
    return 1 if total.violations or missed or not finders else 0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="search as make test does; stop at the first violation")
    parser.add_argument("--seed", type=int, help="make the random run of this seed again")
    parser.add_argument(
        "--from-seed",
        type=int,
        default=random.SystemRandom().randrange(10**9),
        help="the seed of the first random run (default: another one each time)",
    )
    parser.add_argument("--scenario", choices=SCENARIOS, help="make one run of this scenario again, with --choices")
    parser.add_argument("--choices", default="[]", help="the choices that were printed with a violation, as JSON")
    arguments = parser.parse_args()
    console = Console()
    if arguments.scenario:
        results = replay(arguments.scenario, tuple((point, kind) for point, kind in json.loads(arguments.choices)))
    elif arguments.seed is not None:
        with stack() as engine:
            results = Searcher(engine).at_random(arguments.seed)
    elif arguments.quick:
        results = quick()
    else:
        return everything(console, arguments.from_seed)
    report(results, console)
    console.print(
        f"{results.runs:,} runs, {results.injected:,} faults injected, {len(results.violations)} violations",
        highlight=False,
    )
    return 1 if results.violations else 0


if __name__ == "__main__":
    sys.exit(main())
