"""A picture of the workflow, drawn from its definition: in text or in SVG, of all states or of one execution."""

import html
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger_cli import ROOT
from ledger_cli.stack.execution import Execution, StateRun

PAYMENTS = ROOT / "statemachine/payment_ledger.asl.json"
ENTRIES = ROOT / "statemachine/payment_entries.asl.json"

MARKS = {"succeeded": "✓", "caught": "!", "failed": "✗", "running": "…", "not reached": "·"}
"""How a state ended, in one character, which is readable without colour."""

BOX_WIDTH, BOX_HEIGHT = 190, 46
COLUMN, ROW = 335, 92
MARGIN = 24


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of a state's Catch: the error's name, and the states from there to the end."""

    error: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """The states of the happy path, in order, and the branches that leave each of them."""

    path: tuple[str, ...]
    branches: Mapping[str, tuple[Branch, ...]]
    failing: frozenset[str]

    def chains(self) -> Iterator[tuple[tuple[str, ...], Mapping[str, list[str]]]]:
        """Yield each chain of states beside the path once, with each state that leads to it, and by which errors."""
        found: dict[tuple[str, ...], dict[str, list[str]]] = {}
        for name in self.path:
            for branch in self.branches[name]:
                found.setdefault(branch.states, {}).setdefault(name, []).append(branch.error)
        yield from found.items()


def of_execution(execution: Execution) -> Graph:
    """Return the graph of the workflow that an execution belongs to."""
    return read(ENTRIES if execution.is_entry else PAYMENTS)


def read(definition_file: Path = PAYMENTS) -> Graph:
    """Return the graph of a workflow's definition."""
    definition = json.loads(definition_file.read_text(encoding="utf-8"))
    states = definition["States"]
    path = tuple(_from(definition["StartAt"], states))
    branches = {
        name: tuple(
            Branch(error.strip("${}"), tuple(_from(catcher["Next"], states)))
            for catcher in states[name].get("Catch", [])
            for error in catcher["ErrorEquals"]
        )
        for name in path
    }
    return Graph(path, branches, frozenset(name for name, state in states.items() if state["Type"] == "Fail"))


def _from(name: str | None, states: Mapping[str, Any]) -> Iterator[str]:
    while name:
        yield name
        name = states[name].get("Next")


def text(graph: Graph) -> str:
    """Draw the happy path from top to bottom, and beside each state the branches of its rejections and conflicts."""
    name_width = max(map(len, graph.path))
    error_width = max(len(branch.error) for branches in graph.branches.values() for branch in branches)
    lines = []
    for number, name in enumerate(graph.path):
        if number:
            lines.append("  │")
        own = [
            f" ── {branch.error:─<{error_width + 1}}─▶ {' ─▶ '.join(branch.states)} ✗".replace(
                branch.error, f"{branch.error} ", 1
            )
            for branch in graph.branches[name]
        ]
        lines.append(f"{name:<{name_width}}{own[0] if own else ''}".rstrip())
        lines += [" " * name_width + more for more in own[1:]]
    lines += ["  │", "  ■ SUCCEEDED"]
    return "\n".join(lines)


def svg(graph: Graph, execution: Execution | None = None) -> str:
    """Draw the picture. A state of an execution has a mark, and a class by which a page colours it."""
    places = {name: (1, row) for row, name in enumerate(graph.path)}
    sides = (2, 0)
    for number, (chain, sources) in enumerate(graph.chains()):
        first_row = max(places[source][1] for source in sources)
        places |= {name: (sides[number % 2], first_row + step) for step, name in enumerate(chain)}
    runs = {} if execution is None else {run.name: run for run in execution.states}
    rows = max(row for _, row in places.values()) + 1
    width, height = 2 * MARGIN + 2 * COLUMN + BOX_WIDTH, 2 * MARGIN + (rows - 1) * ROW + BOX_HEIGHT
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The states of the workflow">'
    )
    boxes = [
        _box(name, place, None if execution is None else runs.get(name), drawn=execution is not None)
        for name, place in places.items()
    ]
    own_style = [STYLE] if execution is None else []
    return "\n".join([head, *own_style, MARKERS, *_edges(graph, places, runs), *boxes, "</svg>"]) + "\n"


MARKERS = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)
STYLE = """<style>
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5 }
  text { fill: #1f2328; font: 14px system-ui, sans-serif; text-anchor: middle }
  text.error { fill: #57606a; font-size: 11px }
  .edge { stroke: #57606a; fill: none; stroke-width: 1.5 }
  .head { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    .box { fill: #161b22; stroke: #8b949e } text { fill: #e6edf3 } text.error { fill: #8b949e }
    .edge { stroke: #8b949e } .head { fill: #8b949e }
  }
</style>
"""


def _left_top(place: tuple[int, int]) -> tuple[int, int]:
    column, row = place
    return MARGIN + column * COLUMN, MARGIN + row * ROW


def _box(name: str, place: tuple[int, int], run: StateRun | None, *, drawn: bool) -> str:
    x, y = _left_top(place)
    result = "" if not drawn else ("not reached" if run is None else run.result)
    label = f"{MARKS[result]} {name}" if result else name
    middle = x + BOX_WIDTH // 2
    lines = [f'<text x="{middle}" y="{y + (20 if run else 28)}">{html.escape(label)}</text>']
    if run:
        attempts = f", {run.attempts} attempts" if run.attempts > 1 else ""
        lines.append(f'<text class="error" x="{middle}" y="{y + 37}">{run.milliseconds:,.0f} ms{attempts}</text>')
    css = f"box {result.replace(' ', '-')}".strip()
    title = f"<title>{html.escape(name)}{': ' if result else ''}{result}</title>"
    return (
        f'<g class="state" data-state="{html.escape(name)}" data-result="{result}">{title}'
        f'<rect class="{css}" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>{"".join(lines)}</g>'
    )


def _edges(graph: Graph, places: Mapping[str, tuple[int, int]], runs: Mapping[str, StateRun]) -> Iterator[str]:
    for first, second in itertools.pairwise(graph.path):
        yield _down(places[first], places[second], taken=first in runs and second in runs)
    for chain, sources in graph.chains():
        for first, second in itertools.pairwise(chain):
            yield _down(places[first], places[second], taken=first in runs and second in runs)
        for source, errors in sources.items():
            taken = chain[0] in runs and runs.get(source) is not None and runs[source].result == "caught"
            yield _aside(places[source], places[chain[0]], errors, taken=taken)


def _down(first: tuple[int, int], second: tuple[int, int], *, taken: bool) -> str:
    (x, y), (_, below) = _left_top(first), _left_top(second)
    middle = x + BOX_WIDTH // 2
    return _line(f"M{middle} {y + BOX_HEIGHT} V{below - 2}", taken=taken)


def _aside(source: tuple[int, int], target: tuple[int, int], errors: Sequence[str], *, taken: bool) -> str:
    (x, y), (to_x, to_y) = _left_top(source), _left_top(target)
    y, to_y = y + BOX_HEIGHT // 2, to_y + BOX_HEIGHT // 2
    to_the_right = to_x > x
    start, end = (x + BOX_WIDTH, to_x - 2) if to_the_right else (x, to_x + BOX_WIDTH + 2)
    if y == to_y:
        line, at = f"M{start} {y} H{end}", (start + end) // 2
    else:  # from a state above: along its own row, then down into the target's top
        over = to_x + BOX_WIDTH // 2
        line, at = f"M{start} {y} H{over} V{to_y - BOX_HEIGHT // 2 - 2}", (start + (to_x if to_the_right else end)) // 2
    labels = (  # the first error stands above the line, and the second one below it
        f'<text class="error" x="{at}" y="{y - 6 + 20 * number}">{html.escape(error)}</text>'
        for number, error in enumerate(errors)
    )
    return f"{_line(line, taken=taken)}{''.join(labels)}"


def _line(path: str, *, taken: bool) -> str:
    return f'<path class="edge{" taken" if taken else ""}" d="{path}" marker-end="url(#arrow)"/>'
