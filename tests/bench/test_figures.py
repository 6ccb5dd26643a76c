"""The benchmark's arithmetic and its page."""

import html
import shutil
from pathlib import Path

import pytest

from bench import plot
from bench.__main__ import DATA, PAGE, PLOT
from bench.figures import GOALS, Figure, Measured, figures_of, goal_rows, missed_by_far, page, to_json
from bench.measure import WARM_UP, Run
from bench.runtime_api import Call
from bench.variants import STEPS, SWITCHED_OFF, SWITCHED_OFF_WARM
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.views.graph import read
from tests.support.patches import apply_patch


def chain(variant: str, *seconds: float) -> dict[str, list[Run]]:
    """Return a round for each number of seconds: a variant's four starts, each a quarter of that time."""
    return {f"{variant} {step}": [Run([0, total / 4], 40) for total in seconds] for step in STEPS}


@pytest.fixture
def measured() -> Measured:
    """Return three rounds on a machine that is twice as slow in the second round."""
    cold = {
        **chain("ours", 0.3, 0.8, 0.35),
        **chain("lean", 0.5, 1.0, 0.5),
        **chain("typical", 1.0, 2.0, 1.0),
        "single record_payment": [Run([0, 0.2], 50)] * 3,
        "runtime nothing": [Run([0, 0.1], 30)] * 3,
    }
    for how in SWITCHED_OFF:
        cold |= chain(how, 0.6, 1.6, 0.7)
    warm_ms = {"runtime nothing": [0.1, 0.1, 0.1]}
    for step in STEPS[1:]:
        warm_ms |= {f"ours {step}": [1.3, 2.3, 1.2], f"bare {step}": [1.1, 2.1, 1.1]}
        warm_ms |= {f"{how} {step}": [1.6, 2.4, 1.3] for how in SWITCHED_OFF_WARM}
    few = {"items": 100, "requests": 4.0, "bytes": 1000.0, "write_units": 6.0}
    return Measured(
        cold=cold,
        warm_ms=warm_ms,
        calls=[Call("kms", "Encrypt", {}, 700)] * 4,
        connections=4,
        artefact_bytes=1_500_000,
        artefact_files=200,
        zipped_bytes=500_000,
        engine={
            "execution_ms": 41.2,
            "executions_per_s": 24.0,
            "memory_mib": 300.0,
            "memory_kib_per_payment": 50.0,
            "growth": [few, {**few, "items": 100_000, "bytes": 1100.0}],
        },
    )


def value(figures: list[Figure], name: str) -> Figure:
    """Return the one figure of that name."""
    (found,) = [figure for figure in figures if figure.name == name]
    return found


def test_a_ratio_is_the_median_of_pairs(measured: Measured) -> None:
    """A round on a busy machine slows both sides; the ratio of two medians would compare different rounds."""
    figures = figures_of(measured)
    against_lean = value(figures, "cold start of the four functions, relative to lean")
    assert against_lean.value == pytest.approx(0.7)  # of 0.6, 0.8 and 0.7
    assert against_lean.spread == pytest.approx((0.6, 0.8))
    assert value(figures, "cold start of the four functions, relative to typical").value == pytest.approx(0.35)
    assert value(figures, "with boto3, relative to the artefact as it is").value == pytest.approx(2.0)
    assert value(figures, "cold start of encrypt_token, relative to lean").value == pytest.approx(0.7)


def test_the_runtime_clients_own_part_is_not_counted_as_the_calls(measured: Measured) -> None:
    """The ratio is (1.3 - 0.1) / (1.1 - 0.1), and so on: the client's part on both sides would hide our own code's."""
    figure = value(figures_of(measured), "warm call of encrypt_token, relative to its bare SDK calls")
    assert figure.spread == pytest.approx((1.1, 1.2))
    assert figure.value == pytest.approx(1.1)
    saving = "warm calls with the SDK's check of parameters, relative to the artefact as it is"
    assert value(figures_of(measured), saving).value == pytest.approx((1.3 - 0.1) / (1.2 - 0.1))


def test_every_goal_has_a_figure(measured: Measured) -> None:
    """A goal whose figure was renamed would disappear from the table without an error."""
    rows = {row[0]: row for row in goal_rows(figures_of(measured))}
    assert rows.keys() == GOALS.keys()
    assert rows["cold start of the four functions, relative to lean"][1:] == (
        "0.65",
        "0.58",
        "0.7",
        "not met, within the noise",
    )
    assert rows["cold start of the four functions, relative to typical"][1:] == ("0.4", "0.35", "0.35", "met")
    assert rows["size of a function's artefact, MB"][1:] == ("2", "", "1.5", "met")
    assert rows["bytes sent per payment, with 100,000 payments in the table relative to 100"][3:] == ("1.1", "not met")


def test_a_goal_that_is_missed_by_far_is_reported() -> None:
    """CI fails if a start became twice as slow, and does not fail because its machine was busy."""
    name = "cold start of the four functions, relative to lean"
    assert missed_by_far([Figure("", name, 0.71), Figure("", "without a goal", 9.0)]) == []
    assert missed_by_far([Figure("", name, 0.72)]) == [name]
    assert missed_by_far([Figure("", name, 0.75, (0.64, 1.2))]) == []
    assert missed_by_far([Figure("", name, 0.75, (0.66, 1.2))]) == [name]
    time = "warm execution on the embedded engine, ms"
    assert missed_by_far([Figure("", time, 299.0)]) == []
    assert missed_by_far([Figure("", time, 301.0)]) == [time]


def test_a_call_is_one_of_those_after_the_first_ones() -> None:
    """The start and the first calls are slower, so a median over all of them would be another number."""
    seconds = [1.0, 2.0, *(2.0 + 0.5 * number for number in range(1, WARM_UP))]
    seconds += [seconds[-1] + 0.001 * number for number in range(1, 4)]
    assert Run(seconds, 0).warm_ms == pytest.approx(1.0)
    assert Run(seconds, 0).cold_s == 2.0


def test_the_page_is_made_from_the_data() -> None:
    """Nobody writes figures by hand, and a goal that is not met stays in the table."""
    data = DATA.read_text()
    assert PAGE.read_text() == page(data), "run: make generate"
    assert all(f"| {goal} |" in page(data) for goal in GOALS)
    assert PLOT.is_file()


def test_data_and_page_agree(measured: Measured) -> None:
    """A person reads the page, and a program reads the data."""
    text = page(to_json(figures_of(measured), "Python 3.13", 3))
    assert "(Python 3.13)" in text
    assert (
        "| cold start of the four functions, relative to lean | 0.65 | 0.58 | 0.7 | not met, within the noise |" in text
    )
    assert "| cold start of the four functions, relative to lean | 0.7 | 0.6 – 0.8 |" in text
    assert "{" not in text


def test_the_plot_has_every_variant_with_its_share(measured: Measured) -> None:
    """The share of lean is 1, and a bar's length is its number."""
    picture = plot.svg(measured)
    for label in ("this ledger", "lean", "typical", "one function that does it all", *map(html.escape, SWITCHED_OFF)):
        assert f"{label}</text>" in picture
        assert 7 * len(html.unescape(label)) <= plot.LABELS - 10  # or its beginning is cut off
    assert ">2.00</text>" in picture
    assert ">0.70</text>" in picture
    assert picture.count(">1.00</text>") == 1  # lean's


@pytest.mark.parametrize("patch", [patch for patch in (SWITCHED_OFF | SWITCHED_OFF_WARM).values() if patch])
def test_a_saving_is_switched_off_by_one_line(patch: Path, tmp_path: Path) -> None:
    """A reader who doubts a saving can repeat its measurement; a patch that no longer applies would measure nothing."""
    lines = [line for line in patch.read_text().splitlines() if not line.startswith(("---", "+++"))]
    assert sum(line.startswith("-") for line in lines) == 1
    assert sum(line.startswith("+") for line in lines) <= 1
    shutil.copytree(ROOT / "functions/ledger", tmp_path / "ledger", ignore=shutil.ignore_patterns("__pycache__"))
    apply_patch(patch, tmp_path, strip=2)
    changed = [
        file
        for file in (tmp_path / "ledger").glob("*.py")
        if file.read_text() != (ROOT / "functions/ledger" / file.name).read_text()
    ]
    assert len(changed) == 1
    compile(changed[0].read_text(), changed[0].name, "exec")


def test_a_payment_takes_four_calls_and_four_states(engine: Engine) -> None:
    """Each call costs time and money and can fail; AWS bills a Standard workflow by the state."""
    payment = (ROOT / "events/start/01-success.json").read_text()
    execution = engine.run(payment)
    assert execution.outcome == "RECORDED"
    assert [call.operation for call in engine.calls] == ["Encrypt", "PutItem", "PutEvents", "UpdateItem"]
    assert tuple(state.name for state in execution.states) == read().path
    assert len(execution.states) == 4
