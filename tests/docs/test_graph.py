"""The workflows' pictures are drawn from their definitions, and the docs have the newest."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.views import graph
from tests.support.cli import ledger

DEFINITIONS = pytest.mark.parametrize("file", [graph.PAYMENTS, graph.ENTRIES], ids=lambda file: file.name)


def states_of(file: Path) -> dict[str, Any]:
    """Return the states of a definition, by their names."""
    states: dict[str, Any] = json.loads(file.read_text())["States"]
    return states


@DEFINITIONS
def test_every_state_and_every_edge_is_drawn(file: Path) -> None:
    """An operator does not look for a state that is missing. Errors with one target share an edge."""
    states, drawn = states_of(file), graph.read(file)
    svg, text = graph.svg(drawn), graph.text(drawn)
    assert set(re.findall(r'data-state="([^"]+)"', svg)) == set(states)
    assert all(name in text for name in states)
    edges = sum("Next" in state for state in states.values())
    edges += sum(len({catcher["Next"] for catcher in state.get("Catch", [])}) for state in states.values())
    assert svg.count('class="edge"') == edges
    caught = {error for state in states.values() for one in state.get("Catch", []) for error in one["ErrorEquals"]}
    errors = {error.strip("${}") for error in caught}  # a placeholder is named after the error that it stands for
    assert errors
    assert all(error in text for error in errors)


@DEFINITIONS
def test_boxes_do_not_overlap(file: Path) -> None:
    """One more branch on a side would make them overlap."""
    drawn = graph.svg(graph.read(file))
    boxes = [(int(x), int(y)) for x, y in re.findall(r'<rect class="box" x="(\d+)" y="(\d+)"', drawn)]
    assert len(set(boxes)) == len(boxes) == len(states_of(file))
    for x, y in boxes:
        assert not [
            other for other in boxes
            if other != (x, y) and abs(other[0] - x) < graph.BOX_WIDTH and abs(other[1] - y) < graph.BOX_HEIGHT
        ]  # fmt: skip


def test_the_readme_shows_the_picture() -> None:
    """The first thing that a visitor sees is the workflow as it is."""
    assert "docs/workflow.svg" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("options", "file"), [([], graph.PAYMENTS), (["--entries"], graph.ENTRIES)])
def test_the_command_draws_both(options: list[str], file: Path) -> None:
    """A terminal gets text, and a file gets a picture."""
    assert ledger("graph", *options).stdout == graph.text(graph.read(file)) + "\n"
    assert ledger("graph", *options, "--svg").stdout == graph.svg(graph.read(file))
