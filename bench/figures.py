"""The figures: ratios and goals, computed from what was measured, and the data and the page that show them."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure import Run
from bench.runtime_api import Call
from bench.variants import STEPS, SWITCHED_OFF, SWITCHED_OFF_WARM
from ledger_cli.views import graph

PAGE = Path(__file__).parent / "page.md"
CHAIN = "cold start of the four functions"
VARIANTS = {"ours": "this ledger", "lean": "lean", "typical": "typical", "single": "one function that does it all"}
"""What the page calls each variant."""

GOALS: Mapping[str, tuple[float, float | None]] = {
    f"{CHAIN}, relative to lean": (0.65, 0.58),
    f"{CHAIN}, relative to typical": (0.40, 0.35),
    "cold start of validate_payment, relative to the runtime client with Logger and Metrics": (1.10, None),
    **{f"warm call of {step}, relative to its bare SDK calls": (1.10, None) for step in STEPS[1:]},
    "size of a function's artefact, MB": (2.0, None),
    "AWS calls per payment": (4, None),
    "states per payment": (4, None),
    "requests per payment, with 100,000 payments in the table relative to 100": (1, None),
    "bytes sent per payment, with 100,000 payments in the table relative to 100": (1, None),
    "write units per payment, with 100,000 payments in the table relative to 100": (1, None),
    "warm execution on the embedded engine, ms": (100, None),
}
"""The limit of a figure, by its name, and the target below the limit if it has one."""


class Figure(NamedTuple):
    """One measured number. *spread* is its least and greatest value in one round, if it was measured in rounds."""

    group: str
    name: str
    value: float
    spread: Sequence[float] = ()

    @property
    def met(self) -> bool | None:
        """Whether its goal is met; None if it has no goal."""
        return None if self.name not in GOALS else self.value <= GOALS[self.name][0]

    @property
    def verdict(self) -> str:
        """Whether the goal is met, and whether another run may say the opposite, as some rounds of this one did."""
        met = "met" if self.met else "not met"
        return f"{met}, within the noise" if self.within_the_noise else met

    @property
    def within_the_noise(self) -> bool:
        """Whether some rounds met the goal and others did not."""
        return bool(self.spread) and self.spread[0] <= GOALS[self.name][0] < self.spread[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that `make bench` measures: the runs of each function, one each round; what one payment sends; the rest."""

    cold: Mapping[str, Sequence[Run]]
    warm_ms: Mapping[str, Sequence[float]]
    calls: Sequence[Call]
    connections: int
    artefact_bytes: int
    artefact_files: int
    zipped_bytes: int
    engine: Mapping[str, Any]

    def functions_of(self, variant: str) -> list[str]:
        """Return the names of a variant's functions: `<variant> <step>`."""
        return [name for name in self.cold if name.rpartition(" ")[0] == variant]

    def chain_s(self, variant: str) -> list[float]:
        """Return the CPU seconds of all starts of a variant, for each round."""
        return [sum(together) for together in zip(*map(self.step_s, self.functions_of(variant)), strict=True)]

    def step_s(self, name: str) -> list[float]:
        """Return the CPU seconds of one function's start, for each round."""
        return [run.cold_s for run in self.cold[name]]


def figures_of(measured: Measured) -> list[Figure]:
    """Return every figure, in the order in which it is shown."""
    return [*_cold(measured), *_savings(measured), *_warm(measured), *_payment(measured), *_engine(measured)]


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each round, because what slows a round slows both sides of it."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def _ratio(group: str, name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    ratios = paired_ratios(ours, theirs)
    return Figure(group, name, statistics.median(ratios), (min(ratios), max(ratios)))


def _cold(measured: Measured) -> Iterator[Figure]:
    ours = measured.chain_s("ours")
    for variant in ("lean", "typical", "single"):
        yield _ratio("Cold start", f"{CHAIN}, relative to {VARIANTS[variant]}", ours, measured.chain_s(variant))
    validate, runtime = measured.step_s("ours validate_payment"), measured.step_s("runtime nothing")
    name = "cold start of validate_payment, relative to the runtime client with Logger and Metrics"
    yield _ratio("Cold start", name, validate, runtime)
    for step in STEPS:
        own, lean = measured.step_s(f"ours {step}"), measured.step_s(f"lean {step}")
        yield _ratio("Cold start", f"cold start of {step}, relative to lean", own, lean)


def _savings(measured: Measured) -> Iterator[Figure]:
    ours = measured.chain_s("ours")
    for how in SWITCHED_OFF:
        yield _ratio(
            "What each saving is worth", f"{how}, relative to the artefact as it is", measured.chain_s(how), ours
        )


def _warm(measured: Measured) -> Iterator[Figure]:
    def calls_ms(variant: str, steps: Sequence[str] = STEPS[1:]) -> list[float]:
        rounds = zip(*(measured.warm_ms[f"{variant} {step}"] for step in steps), strict=True)
        loop = measured.warm_ms["runtime nothing"]
        return [sum(calls) - len(steps) * client for calls, client in zip(rounds, loop, strict=True)]

    for step in STEPS[1:]:
        name = f"warm call of {step}, relative to its bare SDK calls"
        yield _ratio("Warm call", name, calls_ms("ours", [step]), calls_ms("bare", [step]))
    for how in SWITCHED_OFF_WARM:
        name = f"warm calls {how}, relative to the artefact as it is"
        yield _ratio("Warm call", name, calls_ms(how), calls_ms("ours"))


def _payment(measured: Measured) -> Iterator[Figure]:
    group = "A payment"
    yield Figure(group, "AWS calls per payment", len(measured.calls))
    yield Figure(group, "states per payment", len(graph.read().path))
    yield Figure(group, "connections that the four environments open", measured.connections)
    yield Figure(
        group, "bytes to and from AWS per payment, without TLS", sum(call.size_bytes for call in measured.calls)
    )
    group = "Artefact and memory"
    yield Figure(group, "size of a function's artefact, MB", measured.artefact_bytes / 1e6)
    yield Figure(group, "size of the artefact as a zip file, MB", measured.zipped_bytes / 1e6)
    yield Figure(group, "files in a function's artefact", measured.artefact_files)
    for variant, label in VARIANTS.items():
        peaks = [run.memory_mib for name in measured.functions_of(variant) for run in measured.cold[name]]
        yield Figure(group, f"peak memory of a function, {label}, MiB", max(peaks))


def _engine(measured: Measured) -> Iterator[Figure]:
    group, engine = "Embedded engine, a thousand payments", measured.engine
    yield Figure(group, "warm execution on the embedded engine, ms", engine["execution_ms"])
    yield Figure(group, "executions per second", engine["executions_per_s"])
    yield Figure(group, "memory after a thousand payments, MiB", engine["memory_mib"])
    yield Figure(group, "memory kept for each payment, KiB", engine["memory_kib_per_payment"])
    group, few, many = "As the table grows", engine["growth"][0], engine["growth"][-1]
    for key, name in (("requests", "requests"), ("bytes", "bytes sent"), ("write_units", "write units")):
        growth = f"with {many['items']:,} payments in the table relative to {few['items']:,}"
        yield Figure(group, f"{name} per payment", many[key])
        yield Figure(group, f"{name} per payment, {growth}", many[key] / few[key])


def goal_rows(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    """Yield the row of each goal: the figure, its limit, its target, what was measured, and the verdict."""
    for figure in figures:
        if figure.name in GOALS:
            limit, target = GOALS[figure.name]
            yield (
                figure.name,
                f"{limit:g}",
                "" if target is None else f"{target:g}",
                shown(figure.value),
                figure.verdict,
            )


def shown(value: float) -> str:
    """Format a number with three digits, or with all digits of a whole number."""
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


RATIO_TOLERANCE, TIME_TOLERANCE = 1.1, 3
"""How far a machine can move a figure.

Both sides of a ratio slow down together. A time alone differs from machine to machine: one commit took 41 ms an
execution in one place and about 110 ms in another.
"""


def missed_by_far(figures: Sequence[Figure]) -> list[str]:
    """Return the figures that miss their goals by more than the machine explains."""
    found = []
    for figure in figures:
        tolerance = TIME_TOLERANCE if figure.name.endswith(", ms") else RATIO_TOLERANCE
        # If some rounds met the goal, the machine may have been busy. A start that is twice as slow meets it in none.
        if figure.name in GOALS and figure.value > tolerance * GOALS[figure.name][0] and not figure.within_the_noise:
            found.append(figure.name)
    return found


def to_json(figures: Sequence[Figure], versions: str, rounds: int) -> str:
    """Return the figures as JSON, with four digits: the data from which the page is made."""
    data = []
    for figure in figures:
        value, *spread = (float(f"{number:.4g}") for number in (figure.value, *figure.spread))
        data.append({"group": figure.group, "name": figure.name, "value": value, "spread": spread, "met": figure.met})
    return json.dumps({"versions": versions, "rounds": rounds, "figures": data}, indent=1) + "\n"


def page(data: str) -> str:
    """Return the text of the page, made from the data that `to_json` returned."""
    read = json.loads(data)
    figures = [Figure(one["group"], one["name"], one["value"], one["spread"]) for one in read["figures"]]
    text = PAGE.read_text().replace("{versions}", read["versions"]).replace("{rounds}", str(read["rounds"]))
    return text.replace("{tables}", tables(figures))


def tables(figures: Sequence[Figure]) -> str:
    """Return all figures in Markdown: the goals first, then each group."""
    lines = ["| figure | limit | target | measured | verdict |", "|---|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in goal_rows(figures)]
    for group in dict.fromkeys(figure.group for figure in figures):
        lines += ["", f"### {group}", "", "| figure | measured | range over the rounds |", "|---|--:|--:|"]
        for figure in figures:
            if figure.group == group:
                lines.append(f"| {figure.name} | {shown(figure.value)} | {' – '.join(map(shown, figure.spread))} |")
    return "\n".join(lines)
