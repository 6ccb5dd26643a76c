"""`make simulate`: every one and every two faults, random ones, and planted bugs; the last line has the totals.

A run is replayed from what is printed with a violation: `--world` and `--path`, or `--seed`.
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
from tests.simulation import bugs
from tests.simulation.search import Found, Path, Searcher
from tests.simulation.worlds import WORLDS

RANDOM_RUNS = 1_000
BATCH = 50
WORKERS = os.cpu_count() or 1
_searcher: Searcher | None = None


def _begin() -> None:
    """One engine for each process, for its whole life."""
    global _searcher  # noqa: PLW0603  # a pool's processes have no other place
    _searcher = Searcher(Engine(wait=lambda _: None))


def _expand(world: str, path: Path, faults: int) -> tuple[Found, list[tuple[Path, int]]]:
    assert _searcher
    found = Found()
    return found, _searcher.expand(world, path, faults, found)


def _search(world: str, paths: list[tuple[Path, int]]) -> Found:
    assert _searcher
    found = Found()
    for path, faults in paths:
        found.add(_searcher.search(world, path, faults))
    return found


def _at_random(seeds: list[int]) -> Found:
    assert _searcher
    found = Found()
    for seed in seeds:
        found.add(_searcher.at_random(seed))
    return found


def exhaustive(pool: ProcessPoolExecutor, progress: Progress) -> Iterator[Found]:
    """Every world with every one fault, and every two where the world says so."""
    roots: dict[Future[tuple[Found, list[tuple[Path, int]]]], str] = {
        pool.submit(_expand, name, (), world.faults): name for name, world in WORLDS.items()
    }
    searches: set[Future[Found]] = set()
    task = progress.add_task("Every fault", total=None)
    for root, name in roots.items():
        found, children = root.result()
        yield found
        step = 1 if WORLDS[name].faults > 1 else 12
        searches |= {pool.submit(_search, name, children[n : n + step]) for n in range(0, len(children), step)}
    progress.update(task, total=len(searches))
    while searches:
        done, searches = wait(searches, return_when=FIRST_COMPLETED)
        for search in done:
            yield search.result()
            progress.advance(task)


def randomly(pool: ProcessPoolExecutor, progress: Progress, seed: int, runs: int) -> Iterator[Found]:
    """Random worlds, faults and turns; a run's seed is the first one plus its number."""
    seeds = [list(range(start, min(start + BATCH, seed + runs))) for start in range(seed, seed + runs, BATCH)]
    yield from progress.track(pool.map(_at_random, seeds), total=len(seeds), description=f"At random, from {seed}")


def planted(progress: Progress) -> dict[str, str | None]:
    """Each planted bug, and what found it."""
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(bugs.found_by, bugs.BUGS)
        tracked = progress.track(answers, total=len(bugs.BUGS), description="Planted bugs")
        return dict(zip((bug.name for bug in bugs.BUGS), tracked, strict=True))


def quick() -> Found:
    """What `make test` runs: every single fault of the plain worlds, and every order of calls."""
    found = Found()
    with Engine(wait=lambda _: None) as engine:
        searcher = Searcher(engine)
        for name, world in WORLDS.items():
            found.add(searcher.search(name, (), world.quick))
            if found.violations:
                break
    return found


def report(found: Found, console: Console) -> None:
    """Each violation, and how to see it again."""
    for world, path, message in found.violations[:10]:
        console.print(f"VIOLATION {message}", style="bold red", markup=False, highlight=False)
        again = f"python -m tests.simulation --world '{world}' --path '{json.dumps(path)}'"
        console.print(f"  again: {again}", markup=False, highlight=False, soft_wrap=True)


def replay(world: str, path: Path) -> Found:
    """One run again."""
    found = Found()
    with Engine(wait=lambda _: None) as engine:
        run = Searcher(engine).make(world, path, found)
        for point, options in enumerate(run.points):
            chosen = run.deviations.get(point, "")
            print(f"{point:4} {chosen or '·'}   ({len(options)} ways)")  # noqa: T201
        for execution in run.executions:
            print(execution.arn, execution.status, execution.states, execution.error or "")  # noqa: T201
        print(engine.logs())  # noqa: T201
    return found


def everything(console: Console, seed: int) -> int:
    """Search, roll the dice, plant the bugs; returns the exit status."""
    total, started = Found(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    with (
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
        ProcessPoolExecutor(WORKERS, initializer=_begin) as pool,
    ):
        for found in exhaustive(pool, progress):
            total.add(found)
        for found in randomly(pool, progress, seed, RANDOM_RUNS):
            total.add(found)
        taken_s = time.monotonic() - started
        if total.violations:
            report(total, console)
        by_bug = planted(progress) if not total.violations else {}
    missed = [name for name, finder in by_bug.items() if finder is None]
    for name in missed:
        console.print(f"NOT FOUND: {name}", style="bold red")
    by_simulation = sum(finder == "simulation" for finder in by_bug.values())
    totals = [
        f"simulated: {len(WORLDS)} worlds",
        f"{total.runs:,} runs ({total.runs / taken_s:.0f}/s)",
        f"{total.injected:,} faults injected, of {len(total.kinds)} kinds",
        f"{len(total.violations)} violations",
        f"{len(by_bug) - len(missed)} planted bugs found of {len(by_bug)} ({by_simulation} by the simulation)",
        f"seed {seed}",
    ]
    console.print(", ".join(totals), highlight=False, soft_wrap=True)
    return 1 if total.violations or missed or not by_bug else 0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="what make test runs; stops at the first violation")
    parser.add_argument("--seed", type=int, help="one random run again")
    parser.add_argument(
        "--from-seed", type=int, default=random.SystemRandom().randrange(10**9), help="where random runs begin"
    )
    parser.add_argument("--world", choices=WORLDS, help="with --path: one run again")
    parser.add_argument("--path", default="[]", help="the deviations that were printed")
    arguments = parser.parse_args()
    console = Console()
    if arguments.world:
        found = replay(arguments.world, tuple((point, kind) for point, kind in json.loads(arguments.path)))
    elif arguments.seed is not None:
        with Engine(wait=lambda _: None) as engine:
            found = Searcher(engine).at_random(arguments.seed)
    elif arguments.quick:
        found = quick()
    else:
        return everything(console, arguments.from_seed)
    report(found, console)
    console.print(
        f"{found.runs:,} runs, {found.injected:,} faults injected, {len(found.violations)} violations", highlight=False
    )
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main())
