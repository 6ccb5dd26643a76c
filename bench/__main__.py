"""`make bench`: cold starts and warm calls of the built artefact, beside functions that are written in other ways.

All figures are ratios, medians of interleaved pairs. CPU seconds are counted and not the wall clock, because what else
runs on the machine changes them little.

It earns its lines by its figures: they led to the savings in `functions/ledger/aws.py`, say what each of them is worth,
and fail CI if a start becomes a tenth slower than its goal (`--check`).
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import plot, variants
from bench.figures import Figure, Measured, figures_of, goal_rows, missed_by_far, page, to_json
from bench.measure import WARM_UP, Bench, BenchError, Run
from bench.runtime_api import Aws
from ledger_cli import ROOT
from ledger_cli.engine import template
from ledger_cli.views.terminal import progress

RUNTIME = template.load(ROOT / "template.yaml")["Globals"]["Function"]["Runtime"].removeprefix("python")
ROUNDS = 11
WARM_ROUNDS = 7
WARM_CALLS = 200
PAGE, DATA, PLOT = (ROOT / f"docs/concepts/benchmarks.{kind}" for kind in ("md", "json", "svg"))


def measure(folder: Path, rounds: int) -> Measured:
    """Measure everything; in each round, every variant has its turn."""
    with Aws(folder) as aws:
        artefact = variants.build(folder, aws)
        bench = Bench(str(variants.PYTHON), aws)
        ours = variants.own_functions(artefact)
        others = list(variants.other_functions(folder, artefact))
        every = [*ours, *others, *variants.functions_without_a_saving(folder, artefact, variants.SWITCHED_OFF)]
        for function in every:
            bench.run(function)  # afterwards the files are in the page cache, and the packages have their byte code
        cold: dict[str, list[Run]] = {function.name: [] for function in every}
        with progress("cold starts") as track:
            for _ in track.over(range(rounds), total=rounds):
                for function in every:
                    cold[function.name].append(bench.run(function))
        callers = [*ours, *variants.functions_without_a_saving(folder, artefact, variants.SWITCHED_OFF_WARM)]
        warm = [function for function in callers if not function.name.endswith(variants.STEPS[0])]
        warm += [variants.bare_function(folder, bench, function) for function in ours[1:]]
        warm += [function for function in others if function.name == "runtime nothing"]
        warm_ms: dict[str, list[float]] = {function.name: [] for function in warm}
        with progress("warm calls") as track:
            for _ in track.over(range(WARM_ROUNDS), total=WARM_ROUNDS):
                for function in warm:
                    warm_ms[function.name].append(bench.run(function, WARM_UP + WARM_CALLS).warm_ms)
        calls, aws.connections = [call for function in ours for call in variants.record_calls(bench, function)], 0
        for function in ours:
            bench.run(function, WARM_UP)
        connections = aws.connections
    files = [file for file in artefact.rglob("*") if file.is_file()]
    zipped = Path(shutil.make_archive(str(folder / "artefact"), "zip", artefact))
    return Measured(
        cold=cold,
        warm_ms=warm_ms,
        calls=calls,
        connections=connections,
        artefact_bytes=sum(file.stat().st_size for file in files),
        artefact_files=len(files),
        zipped_bytes=zipped.stat().st_size,
        engine=measure_engine(),
    )


def measure_engine() -> dict[str, Any]:
    """Measure the embedded engine, in a process of its own."""
    print("bench: measuring the embedded engine with a thousand payments and a growing table", file=sys.stderr)
    command = [sys.executable, "-m", "bench.engine"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the embedded engine failed: {done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def print_goals(figures: list[Figure]) -> None:
    """Print the goals as a table."""
    table = Table("figure")
    for name in ("limit", "target", "measured"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in goal_rows(figures):
        table.add_row(*row, style="yellow" if row[-1].startswith("not") else "")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def read_versions() -> str:
    """Return the versions of Python and botocore that are measured."""
    script = "import platform, awslambdaric, botocore; print(platform.python_version(), botocore.__version__)"
    done = subprocess.run([str(variants.PYTHON), "-c", script], capture_output=True, text=True, check=True)
    python, sdk = done.stdout.split()
    return f"Python {python}, botocore {sdk}"


def write(measured: Measured, figures: list[Figure], versions: str, rounds: int) -> None:
    """Write the data, the page and the plot."""
    data = to_json(figures, versions, rounds)
    DATA.write_text(data)
    PAGE.write_text(page(data))
    PLOT.write_text(plot.svg(measured))


def main() -> int:
    """Measure and print; with --write, write the docs. Return 1 if a function fails, or a goal with --check."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of cold starts (default: {ROUNDS})")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}, .json and .svg")
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail if a figure misses its goal by more than a tenth, or a time is more than three times its goal",
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    versions = read_versions()
    if arguments.write and f"Python {RUNTIME}." not in versions:
        parser.error(f"--write accepts only figures of Lambda's Python {RUNTIME}, and .venv/bench has {versions}")
    with tempfile.TemporaryDirectory(prefix="payment-ledger-bench-") as folder:
        try:
            measured = measure(Path(folder), arguments.rounds)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    figures = figures_of(measured)
    if arguments.write:
        write(measured, figures, versions, arguments.rounds)
    print_goals(figures)
    if arguments.check and (missed := missed_by_far(figures)):
        print(f"bench: missed by more than a slow machine explains: {'; '.join(missed)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
