"""The pages of processors: a newcomer types their commands, one after the other, on a served engine."""

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from ledger.formats import FORMATS
from ledger.totals import Totals
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import PROCESSORS, register_sample_processors
from tests.docs.test_docs import SERVED
from tests.support.cli import ledger

PAGES = sorted((ROOT / "docs/integrate/processors").glob("*.md"))
BLOCK = re.compile(r"^```\n((?:ledger (?:send|get) .+ http://127\.0\.0\.1:4510\n)+)```$", re.MULTILINE)
BLOCKS = [(page, block[1].splitlines()) for page in PAGES for block in BLOCK.finditer(page.read_text())]
WAIT_S = 20


@pytest.mark.parametrize(("page", "commands"), BLOCKS, ids=lambda value: getattr(value, "stem", None) or value[0])
def test_the_commands_of_a_page_record_a_payment_and_its_entries(
    page: Path, commands: list[str], engine: Engine, endpoint: str
) -> None:
    """Each sample is taken, and the last command shows what they come to."""
    register_sample_processors(engine)
    *sends, get = [shlex.split(command.replace(SERVED, endpoint))[1:] for command in commands]
    for number, send in enumerate(sends, 1):
        done = ledger(*send, "--json")
        assert (done.returncode, done.stderr) == (0, ""), page.name
        answer = json.loads(done.stdout)
        assert "Violations" not in str(answer)
        assert answer.get("status") in {None, 200, 202}  # an event bus has none
        ended(engine, number)
    shown = json.loads(ledger(*get, "--json").stdout)
    assert shown["entries"], page.name
    refundable = shown["totals"]["refundable"]
    assert Totals(*(shown["totals"][name] for name in ("captured", "refunded", "disputed"))).refundable == refundable
    assert not refundable.startswith("-")
    assert {engine.wait_for(arn).outcome for arn in engine.executions()} == {"RECORDED"}


def ended(engine: Engine, number: int) -> None:
    """Wait until so many executions have ended: the bus starts them after the command has."""
    deadline = time.monotonic() + WAIT_S
    while len(engine.executions()) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for arn in engine.executions():
        engine.wait_for(arn)


def test_each_page_has_commands_to_try() -> None:
    """Stripe's page has a second block, for the event bus."""
    assert sorted(page.stem for page, _ in BLOCKS) == sorted([*(page.stem for page in PAGES), "stripe"])


def test_each_format_has_samples() -> None:
    """A mapping that nobody can try is a mapping that nobody believes."""
    sampled: set[Any] = {FORMATS[processor["Format"]].module for processor in PROCESSORS.values()}
    assert sampled == {format_.module for format_ in FORMATS.values()}
