"""The benchmark's own arithmetic, and that its page says what was measured."""

import pytest

from bench import plot
from bench.figures import GOALS, Figure, Measured, as_json, far_off, figures_of, goal_rows, page
from bench.measure import WARM_UP, Run
from bench.runtime_api import Call
from bench.variants import STEPS, SWITCHED_OFF
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.views.graph import read


def chain(variant: str, *seconds: float) -> dict[str, list[Run]]:
    """Three rounds of a variant's four starts, each a quarter of so many seconds."""
    return {f"{variant} {step}": [Run([0, total / 4], 40) for total in seconds] for step in STEPS}


@pytest.fixture
def measured() -> Measured:
    """Three rounds on a machine that is twice as slow in the second."""
    cold = {
        **chain("ours", 0.4, 1.0, 0.5),
        **chain("lean", 0.5, 1.0, 0.5),
        **chain("typical", 1.0, 2.0, 1.0),
        "single record_payment": [Run([0, 0.2], 50)] * 3,
        "runtime nothing": [Run([0, 0.1], 30)] * 3,
    }
    for how in SWITCHED_OFF:
        cold |= chain(how, 0.8, 2.0, 1.0)
    warm_ms = {"runtime nothing": [0.1, 0.1, 0.1]}
    for step in STEPS[1:]:
        warm_ms |= {f"ours {step}": [1.3, 2.3, 1.2], f"bare {step}": [1.1, 2.1, 1.1]}
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
    """The one figure of that name."""
    (found,) = [figure for figure in figures if figure.name == name]
    return found


def test_a_ratio_is_the_median_of_pairs(measured: Measured) -> None:
    """A round on a busy machine slows both sides; the ratio of two medians would compare different rounds."""
    figures = figures_of(measured)
    against_lean = value(figures, "cold start of the four functions, against lean")
    assert against_lean.value == pytest.approx(1.0)  # 0.8, 1.0 and 1.0; the medians' ratio is 0.5 / 0.5 by chance
    assert against_lean.spread == pytest.approx((0.8, 1.0))
    assert value(figures, "cold start of the four functions, against typical").value == pytest.approx(0.5)
    assert value(figures, "with boto3, against as it is").value == pytest.approx(2.0)
    assert value(figures, "cold start of encrypt_token, against lean").value == pytest.approx(1.0)


def test_the_runtime_clients_own_part_is_not_counted_as_the_calls(measured: Measured) -> None:
    """(1.3 - 0.1) / (1.1 - 0.1), and so on: with the client's part on both sides, own code would look smaller."""
    figure = value(figures_of(measured), "warm call of encrypt_token, against its bare SDK calls")
    assert figure.spread == pytest.approx((1.1, 1.2))
    assert figure.value == pytest.approx(1.1)


def test_every_goal_has_a_figure(measured: Measured) -> None:
    """A goal whose figure was renamed would drop out of the table without a word."""
    rows = {row[0]: row for row in goal_rows(figures_of(measured))}
    assert rows.keys() == GOALS.keys()
    assert rows["cold start of the four functions, against lean"][1:] == (
        "0.85",
        "0.75",
        "1",
        "not met, within the noise",
    )
    assert rows["cold start of the four functions, against typical"][1:] == ("0.5", "0.4", "0.5", "met")
    assert rows["size of a function's artefact, MB"][1:] == ("1.5", "", "1.5", "met")
    assert rows["bytes sent a payment, with 100,000 payments there against 100"][3:] == ("1.1", "not met")


def test_what_is_far_off_is_told() -> None:
    """CI fails by it: a start that became twice as slow must not land, and a busy machine must not fail a good one."""
    name = "cold start of the four functions, against lean"
    assert far_off([Figure("", name, 0.93), Figure("", "without a goal", 9.0)]) == []
    assert far_off([Figure("", name, 0.94)]) == [name]
    assert far_off([Figure("", name, 0.95, (0.84, 1.2))]) == []
    assert far_off([Figure("", name, 0.95, (0.86, 1.2))]) == [name]
    time = "warm execution on the embedded engine, ms"
    assert far_off([Figure("", time, 299.0)]) == []
    assert far_off([Figure("", time, 301.0)]) == [time]


def test_a_call_is_one_of_those_after_the_first_ones() -> None:
    """The start and the first calls are slower: a median over all of them would be another number."""
    seconds = [1.0, 2.0, *(2.0 + 0.5 * number for number in range(1, WARM_UP))]
    seconds += [seconds[-1] + 0.001 * number for number in range(1, 4)]
    assert Run(seconds, 0).warm_ms == pytest.approx(1.0)
    assert Run(seconds, 0).cold_s == 2.0


def test_the_page_is_made_from_the_data() -> None:
    """Figures are written by `make bench`, never by hand; and a goal that is not met stays in the table."""
    docs = ROOT / "docs/concepts"
    data = (docs / "benchmarks.json").read_text()
    assert (docs / "benchmarks.md").read_text() == page(data), "run: make bench ARGUMENTS=--write"
    assert all(f"| {goal} |" in page(data) for goal in GOALS)
    assert (docs / "benchmarks.svg").is_file()


def test_data_and_page_agree(measured: Measured) -> None:
    """The page is what a person reads, the data what a program reads."""
    text = page(as_json(figures_of(measured), "Python 3.13", 3))
    assert "(Python 3.13)" in text
    assert "| cold start of the four functions, against lean | 0.85 | 0.75 | 1 | not met, within the noise |" in text
    assert "| cold start of the four functions, against lean | 1 | 0.8 – 1 |" in text
    assert "{" not in text


def test_the_plot_has_every_variant_with_its_share(measured: Measured) -> None:
    """Lean is 1, and a bar's length is its number."""
    picture = plot.svg(measured)
    for label in ("this ledger", "lean", "typical", "one function that does it all", *map(_escaped, SWITCHED_OFF)):
        assert f"{label}</text>" in picture
    assert ">2.00</text>" in picture
    assert picture.count(">1.00</text>") == 2  # lean's, and ours in these rounds


def _escaped(how: str) -> str:
    return how.replace("'", "&#x27;")


@pytest.mark.parametrize("how", [how for how, change in SWITCHED_OFF.items() if change.file])
def test_a_saving_is_switched_off_by_one_line(how: str) -> None:
    """Who doubts one can do the same; and a line that is not there any more would measure nothing."""
    change = SWITCHED_OFF[how]
    source = (ROOT / "functions" / change.file).read_text()
    assert source.count(change.line) == 1
    compile(source.replace(change.line, change.instead), change.file, "exec")


def test_a_payment_takes_four_calls_and_four_states(engine: Engine) -> None:
    """Each call is time, money and something that can fail; a Standard workflow is paid by the state."""
    payment = (ROOT / "events/start/01-success.json").read_text()
    execution = engine.run(payment)
    assert execution.outcome == "RECORDED"
    assert [call.operation for call in engine.calls] == ["Encrypt", "PutItem", "PutEvents", "UpdateItem"]
    assert tuple(state.name for state in execution.states) == read().path
    assert len(execution.states) == 4
