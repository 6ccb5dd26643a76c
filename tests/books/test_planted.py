"""The quick part of `make reconcile-proof`, and bugs that the proof must find."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.books import scale
from tests.books.bugs import BUGS, SHOWN_BY, plant_bug
from tests.books.formats import WRITERS
from tests.books.planted import DIFFERENCES, STILL_RIGHT
from tests.books.proof import Figures, prove
from tests.support.cli import ledger

SEEDS = 25
"""Ledgers of each format. They are the same each time; `make reconcile-proof` takes new ones."""

SEEDS_FOR_A_BUG = 150


def figures(format_name: str, folder: Path, seeds: int) -> Iterator[Figures]:
    """Yield what each seed proves."""
    return (prove(seed, format_name, folder) for seed in range(seeds))


@pytest.mark.parametrize("format_name", WRITERS)
def test_what_is_found_is_what_was_planted(format_name: str, tmp_path: Path) -> None:
    """A true report leaves nothing to a person, and a false one leads to exactly the differences that it has."""
    planted: Counter[str] = Counter()
    for one in figures(format_name, tmp_path, SEEDS):
        assert not one.wrong
        planted += one.planted
    assert planted.total() > 2 * SEEDS


def test_every_difference_is_planted_somewhere(tmp_path: Path) -> None:
    """A difference that no ledger ever has would prove nothing."""
    missing = {one.__name__ for one in (*DIFFERENCES, *STILL_RIGHT)}
    for one in (one for name in WRITERS for one in figures(name, tmp_path, SEEDS)):
        missing -= set(one.planted)
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize("bug", BUGS)
def test_the_proof_finds_a_bug_of_the_matcher(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that is blind shows here."""
    plant_bug(bug, monkeypatch)
    formats = [SHOWN_BY[bug]] if bug in SHOWN_BY else WRITERS
    assert any(prove(seed, name, tmp_path).wrong for seed in range(SEEDS_FOR_A_BUG) for name in formats)


def test_the_command_finds_one_cent_among_many_lines(tmp_path: Path) -> None:
    """The measurement of `make reconcile-proof` reads this report and this export, in a larger size."""
    report, export = scale.write(tmp_path, 41)
    options = ("--processor", "stripe", "--format", "stripe", "--ledger", str(export), "--json")
    done = ledger("reconcile", str(report), *options)
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [row["line"] for row in rows[:-1] if row["verdict"] != "matched"] == [2]
    assert rows[-1]["summary"]["remainder"] == {"EUR": "0.00"}
    assert rows[-1]["summary"]["to_decide"] == {"EUR": "0.01"}


def test_a_measurement_above_a_limit_is_named() -> None:
    """The limits hold for the larger of two sizes, and for their proportion."""
    half = scale.Cost(50_000, 5, 100)
    assert not scale.too_much([half, scale.Cost(100_000, 12.5, 300)])
    assert len(scale.too_much([half, scale.Cost(100_000, 12.6, 300)])) == 1
    assert len(scale.too_much([half, scale.Cost(100_000, 9, 301)])) == 1
    assert len(scale.too_much([half, scale.Cost(100_000, 31, 200)])) == 2
