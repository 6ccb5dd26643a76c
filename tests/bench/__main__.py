"""`make bench`: cold starts and warm calls of the built artefact, beside others; ratios of medians of interleaved runs.

CPU seconds are counted, not the wall clock: what else runs on the machine changes them little, and a Lambda's share of
a processor makes its start as much longer as it is smaller.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ledger_cli import ROOT
from tests.bench.engine import warm_execution_ms
from tests.bench.measure import Bench, BenchError, Function
from tests.bench.runtime_api import Aws

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv/bench/bin/python"
STEPS = ("validate_payment", "encrypt_token", "persist_payment_ledger", "publish_outcome")
SAMPLES = {
    "validate_payment": "start/01-success",
    "encrypt_token": "functions/encrypt_token",
    "persist_payment_ledger": "functions/persist_payment_ledger",
    "publish_outcome": "functions/publish_outcome-recorded",
}
WARM_CALLS = 400
PAGE, DATA = ROOT / "docs/benchmarks.md", ROOT / "docs/benchmarks.json"

GOALS = {
    "cold start of the four functions, against lean": 0.85,
    "cold start of the four functions, against typical": 0.50,
    "cold start of validate_payment, against the runtime client with Logger and Metrics": 1.10,
    "largest artefact of a function (MB)": 1.5,
    "AWS calls a payment": 4,
    "warm execution on the embedded engine (ms)": 100,
}


def functions(folder: Path, variant: str) -> list[Function]:
    """The functions of one variant; ours is what `sam build` makes, by the same Makefile."""
    samples = {step: (ROOT / f"events/{name}.json").read_bytes() for step, name in SAMPLES.items()}
    if variant == "single":
        return [Function(variant, HERE / variant, "record_payment.handler", samples["validate_payment"])]
    if variant == "ours":
        artefact = folder / "ours"
        artefact.mkdir(exist_ok=True)
        if not any(artefact.iterdir()):
            command = ["make", "--quiet", "build-bench", f"ARTIFACTS_DIR={artefact}"]
            subprocess.run(command, cwd=ROOT / "functions", check=True, capture_output=True)  # noqa: S603
        return [Function(f"ours {step}", artefact, f"{step}.handler", samples[step]) for step in STEPS]
    if variant == "runtime":
        source = folder / "runtime"
        source.mkdir(exist_ok=True)
        imports = "from aws_lambda_powertools import Logger, Metrics\nlogger, metrics = Logger(), Metrics()\n"
        (source / "nothing.py").write_text(f"{imports}def handler(event, context): return event\n")
        artefact = folder / "ours"
        target = source / "aws_lambda_powertools"
        if not target.exists():
            for entry in artefact.iterdir():
                if entry.name not in {f"{step}.py" for step in STEPS} | {"ledger"}:
                    (source / entry.name).symlink_to(entry)
        return [Function(variant, source, "nothing.handler", b"{}")]
    return [Function(f"{variant} {step}", HERE / variant, f"{step}.handler", samples[step]) for step in STEPS]


def measured(bench: Bench, folder: Path, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """CPU seconds of each function's cold start, all variants in turn in every round."""
    every = [one for variant in ("ours", "runtime", "lean", "typical", "single") for one in functions(folder, variant)]
    cold: dict[str, list[float]] = {one.name: [] for one in every}
    memory: dict[str, float] = {}
    for one in every:
        bench.run(one)  # so that files are read and byte code of the runtime's packages is there
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for one in every:
            cost = bench.run(one)
            cold[one.name].append(cost.cpu_s)
            memory[one.name] = max(memory.get(one.name, 0.0), cost.memory_mib)
    tell("warm calls")
    warm = {one.name: _warm_ms(bench, one) for one in every if one.name.startswith(("ours", "lean"))}
    bench.aws.calls.clear()
    for one in functions(folder, "ours"):
        bench.run(one)
    return {"cold": cold, "memory_mib": memory, "warm_ms": warm, "calls": list(bench.aws.calls)}


def _warm_ms(bench: Bench, function: Function) -> float:
    """CPU milliseconds of one more call, from the difference of many and few."""
    few, many = (
        statistics.median(bench.run(function, count).cpu_s for _ in range(3)) for count in (20, 20 + WARM_CALLS)
    )
    return (many - few) / WARM_CALLS * 1000


def chain(cold: dict[str, list[float]], variant: str) -> float:
    """The median of a variant's starts together."""
    own = [times for name, times in cold.items() if name.split()[0] == variant]
    return statistics.median(sum(times) for times in zip(*own, strict=True))


def results(raw: dict[str, Any], artefact_bytes: int, engine_ms: float) -> dict[str, float]:
    """Every figure that has a goal, or that a reader asks for."""
    cold = raw["cold"]
    ours = chain(cold, "ours")
    validate = statistics.median(cold["ours validate_payment"])
    figures = {
        "cold start of the four functions, against lean": ours / chain(cold, "lean"),
        "cold start of the four functions, against typical": ours / chain(cold, "typical"),
        "cold start of the four functions, against one function that does it all": ours / chain(cold, "single"),
        "cold start of validate_payment, against the runtime client with Logger and Metrics": validate
        / chain(cold, "runtime"),
        "largest artefact of a function (MB)": artefact_bytes / 1e6,
        "AWS calls a payment": len(raw["calls"]),
        "warm execution on the embedded engine (ms)": engine_ms,
    }
    for step in STEPS:
        figures[f"cold start of {step}, against lean"] = statistics.median(cold[f"ours {step}"]) / statistics.median(
            cold[f"lean {step}"]
        )
    for step in STEPS[1:]:
        figures[f"warm call of {step}, against lean"] = raw["warm_ms"][f"ours {step}"] / raw["warm_ms"][f"lean {step}"]
    return figures


def rows(figures: dict[str, float]) -> Iterator[tuple[str, str, str, str]]:
    """What is measured, its goal, the figure, and whether the goal is met."""
    for name, value in figures.items():
        goal = GOALS.get(name)
        met = "" if goal is None else ("met" if value <= goal else "not met")
        yield name, "" if goal is None else f"{goal:g}", f"{value:.3g}", met


def page(figures: dict[str, float]) -> str:
    """`docs/benchmarks.md`."""
    lines = [f"| {name} | {goal} | {value} | {met} |" for name, goal, value, met in rows(figures)]
    return (HERE / "page.md").read_text().replace("{rows}", "\n".join(lines))


def main() -> int:
    """Measure and print; with --write, write the page and the data too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.json")
    arguments = parser.parse_args()

    def tell(text: str) -> None:
        print(f"bench: {text}", file=sys.stderr)  # noqa: T201

    with tempfile.TemporaryDirectory(prefix="payment-ledger-bench-") as name:
        folder = Path(name)
        try:
            with Aws(folder) as aws:
                raw = measured(Bench(str(PYTHON), aws), folder, arguments.rounds, tell)
        except BenchError as error:
            print(f"bench: {error}", file=sys.stderr)  # noqa: T201
            return 1
        artefact_bytes = sum(file.stat().st_size for file in (folder / "ours").rglob("*") if file.is_file())
    tell("the embedded engine")
    figures = results(raw, artefact_bytes, warm_execution_ms())
    for row in [("measured", "goal", "figure", ""), *rows(figures)]:
        print(f"{row[0]:<84} {row[1]:>6} {row[2]:>8}  {row[3]}".rstrip())  # noqa: T201
    if arguments.write:
        PAGE.write_text(page(figures))
        DATA.write_text(json.dumps({"figures": figures, "memory_mib": raw["memory_mib"]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
