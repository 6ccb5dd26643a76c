"""`make reconcile-proof`: in thousands of ledgers, `ledger reconcile` finds what was planted and nothing else.

Each seed makes a ledger and its report in one format. The true report must leave nothing to a person, and the one with
planted differences must lead to exactly the verdicts that were planted. At the end, a report of 100,000 lines is
measured. The last line has the figures. To repeat a ledger, give what is printed with it: `--seed` and `--format`.

It earns its lines by what it has found: a bank debit that failed after days, an authorisation of 0 beside a capture
that the ledger lacks, a reversal whose chargeback is in an earlier report, sums that a capture of another report
spoiled, and findings that the order of the records decided.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.books import scale
from tests.books.formats import WRITERS
from tests.books.proof import Figures, prove

LEDGERS = 1_000
"""Of each format."""

BATCH = 10
WORKERS = min(2, os.cpu_count() or 1)


def prove_all(format_name: str, seeds: Sequence[int]) -> Figures:
    """Prove the ledgers of these seeds in one format."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            found = prove(seed, format_name, Path(folder))
            found.wrong = [f"--format {format_name} --seed {seed}: {problem}" for problem in found.wrong]
            figures.add(found)
    return figures


def report(figures: Figures, console: Console) -> None:
    """Print what was wrong."""
    for problem in figures.wrong[:20]:
        console.print(f"WRONG {problem}", style="bold red", markup=False, highlight=False, soft_wrap=True)


def everything(console: Console, seed: int, ledgers: int) -> int:
    """Prove so many ledgers of each format, then measure; return the exit status."""
    total = Figures()
    batches = [
        (format_name, range(start, min(start + BATCH, seed + ledgers)))
        for start in range(seed, seed + ledgers, BATCH)
        for format_name in WRITERS
    ]
    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress,
        ProcessPoolExecutor(WORKERS) as pool,
    ):
        results = pool.map(prove_all, *zip(*batches, strict=True))
        for figures in progress.track(results, total=len(batches), description=f"Ledgers, from {seed}"):
            total.add(figures)
        measured = list(progress.track(scale.measure(), total=len(scale.SIZES), description="100,000 lines"))
    report(total, console)
    too_much = scale.too_much(measured)
    for problem in too_much:
        console.print(f"WRONG {problem}", style="bold red", markup=False, highlight=False)
    figures_ = [
        f"reconciled: {total.ledgers:,} ledgers",
        f"{total.lines:,} lines",
        f"{total.differences:,} differences planted",
        f"{total.found:,} found by {total.findings:,} findings",
        f"{len(total.wrong)} false",
        str(measured[-1]),
        f"seed {seed}",
    ]
    console.print(", ".join(figures_), highlight=False, soft_wrap=True)
    return 1 if total.wrong or too_much else 0


def main() -> int:
    """Parse the command line and prove."""
    parser = argparse.ArgumentParser(prog="python -m tests.books", description=__doc__)
    parser.add_argument("--seed", type=int, help="prove the ledger of this seed again, in every format or in one")
    parser.add_argument("--format", choices=WRITERS, help="the format, with --seed")
    parser.add_argument("--ledgers", type=int, default=LEDGERS, help="how many ledgers of each format to prove")
    parser.add_argument(
        "--from-seed",
        type=int,
        default=random.SystemRandom().randrange(10**9),
        help="the seed of the first ledger (default: another one each time)",
    )
    arguments = parser.parse_args()
    console = Console()
    if arguments.seed is None:
        return everything(console, arguments.from_seed, arguments.ledgers)
    total = Figures()
    for format_name in [arguments.format] if arguments.format else WRITERS:
        total.add(prove_all(format_name, [arguments.seed]))
    report(total, console)
    planted = ", ".join(f"{number} {name}" for name, number in sorted(total.planted.items())) or "nothing"
    console.print(
        f"{total.ledgers} ledgers, planted: {planted}; {total.findings} findings, {len(total.wrong)} false",
        soft_wrap=True,
    )
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
