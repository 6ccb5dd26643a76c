"""The workflow's pictures are drawn from its definition, and the docs have the newest."""

import json
import re

from ledger_cli import ROOT
from ledger_cli.views import graph
from tests.support.cli import ledger

STATES = json.loads((ROOT / "statemachine/payment_ledger.asl.json").read_text())["States"]


def test_every_state_and_every_edge_is_drawn() -> None:
    """An operator does not look for a state that is missing."""
    drawn = graph.read()
    svg, text = graph.svg(drawn), graph.text(drawn)
    assert set(re.findall(r'data-state="([^"]+)"', svg)) == set(STATES)
    assert all(name in text for name in STATES)
    edges = sum("Next" in state for state in STATES.values())
    edges += sum(len(state.get("Catch", [])) for state in STATES.values())
    assert svg.count('class="edge"') == edges


def test_boxes_do_not_overlap() -> None:
    """One more branch on a side would make them overlap."""
    boxes = [(int(x), int(y)) for x, y in re.findall(r'<rect class="box" x="(\d+)" y="(\d+)"', graph.svg(graph.read()))]
    assert len(set(boxes)) == len(boxes) == len(STATES)
    for x, y in boxes:
        assert not [
            other for other in boxes
            if other != (x, y) and abs(other[0] - x) < graph.BOX_WIDTH and abs(other[1] - y) < graph.BOX_HEIGHT
        ]  # fmt: skip


def test_the_readme_shows_the_picture() -> None:
    """The first thing that a visitor sees is the workflow as it is."""
    assert "docs/workflow.svg" in (ROOT / "README.md").read_text()


def test_the_command_draws_both() -> None:
    """A terminal gets text, and a file gets a picture."""
    assert ledger("graph").stdout == graph.text(graph.read()) + "\n"
    assert ledger("graph", "--svg").stdout == graph.svg(graph.read())
