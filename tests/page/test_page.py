"""The page of `ledger inspect --html` in a real browser: what a person sees, in both themes, on paper, on a phone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from ledger_cli import REGION, STACK_NAME
from ledger_cli.engine import Engine
from ledger_cli.stack.client import Stack
from ledger_cli.stack.inspection import inspect
from ledger_cli.views import page
from tests.support.faults import Faults

HOSTILE = """<img src=x onerror="document.title='script ran'"><script>document.title='script ran'</script>'"&"""
READABLE = 4.5
"""WCAG 2.2, contrast of text, level AA."""


class Opened:
    """A page in the browser, with the requests that it sent and the errors that it reported."""

    def __init__(self, browser: Browser, file: Path, **context: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**context).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())

    def results(self) -> dict[str, str]:
        """Return how each state ended, as the graph shows it."""
        script = "all => Object.fromEntries(all.map(g => [g.dataset.state, g.dataset.result]))"
        found: dict[str, str] = self.page.eval_on_selector_all("g.state", script)
        return found

    def colour(self, selector: str, name: str) -> tuple[float, ...]:
        """Return a computed colour, as red, green and blue from 0 to 1."""
        value = self.page.eval_on_selector(selector, f"e => getComputedStyle(e)['{name}']")
        return tuple(float(number) / 255 for number in re.findall(r"[\d.]+", value)[:3])

    def contrast(self, text: str, behind: str, *, of: str = "color", on: str = "backgroundColor") -> float:
        """Return the contrast between a text's colour and the colour behind it."""
        lighter, darker = sorted((luminance(self.colour(text, of)), luminance(self.colour(behind, on))), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: tuple[float, ...]) -> float:
    """Return the relative luminance of a colour. Source: WCAG 2.2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.fixture
def write(engine: Engine, tmp_path: Path) -> Any:
    """Return a function that writes the page of a payment or an execution."""

    def written(asked: str) -> Path:
        file = tmp_path / "page.html"
        file.write_text(page.page(inspect(Stack(STACK_NAME, region=REGION), asked)))
        return file

    assert engine
    return written


OUTCOMES = {
    "RECORDED": {
        "Validate Payment": "succeeded", "Encrypt Token": "succeeded", "Persist Payment": "succeeded",
        "Publish Outcome": "succeeded",
    },
    "REJECTED": {"Validate Payment": "caught", "Publish Rejection": "succeeded", "Rejected": "failed"},
    "CONFLICT": {
        "Validate Payment": "succeeded", "Encrypt Token": "succeeded", "Persist Payment": "caught",
        "Publish Conflict": "succeeded", "Conflicted": "failed",
    },
    "FAILED": {"Validate Payment": "succeeded", "Encrypt Token": "succeeded", "Persist Payment": "failed"},
}  # fmt: skip


def run(engine: Engine, payment: dict[str, Any], faults: Faults, outcome: str) -> str:
    """Run an execution to this outcome, and return its name."""
    changes = {"REJECTED": {"Amount": "x"}, "CONFLICT": {"Amount": "1.00"}}.get(outcome, {})
    if outcome == "CONFLICT":
        engine.run(json.dumps(payment))
    if outcome == "FAILED":
        faults.refuse("PutItem", "ResourceNotFoundException")
    return engine.run(json.dumps({**payment, **changes}), f"a-{outcome}").name


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_shows_what_happened(
    engine: Engine, write: Any, browser: Browser, payment: dict[str, Any], faults: Faults, outcome: str, theme: Any
) -> None:
    """Each state has a colour that can be read, and a mark for people who see no colour. The page fetches nothing."""
    asked = run(engine, payment, faults, outcome)
    file = write(asked)
    opened = Opened(browser, file, color_scheme=theme)
    results = opened.results()
    assert {state: what for state, what in results.items() if what != "not reached"} == OUTCOMES[outcome]
    assert len(results) == 8
    assert opened.page.inner_text(".outcome") == outcome
    assert opened.page.inner_text(".next").startswith("Next: ")
    assert (opened.requests, opened.complaints) == ([file.as_uri()], [])

    # Readable in this theme; and a state that was not reached looks otherwise than each that was.
    assert (luminance(opened.colour("body", "backgroundColor")) > 0.5) is (theme == "light")
    for text in ("h1", "p.soft", "th", "td"):
        assert opened.contrast(text, "body") >= READABLE, text
    assert opened.contrast(".outcome", ".outcome") >= READABLE
    idle = opened.colour(".box.not-reached", "fill")
    for what in set(OUTCOMES[outcome].values()):
        assert opened.colour(f".box.{what}", "fill") != idle
        assert opened.contrast("svg text", f".box.{what}", of="fill", on="fill") >= READABLE, what

    marks = opened.page.eval_on_selector_all("g.state text:first-of-type", "all => all.map(t => t.textContent[0])")
    assert len(set(marks)) == len(set(results.values()))


def test_the_table_has_every_event(
    engine: Engine, write: Any, browser: Browser, payment: dict[str, Any], faults: Faults
) -> None:
    """The events are in order, each with its error if there was one."""
    name = run(engine, payment, faults, "FAILED")
    opened = Opened(browser, write(name))
    rows = opened.page.eval_on_selector_all("#events tr", "all => all.map(r => [...r.cells].map(c => c.textContent))")
    arn = engine.executions()[0]
    history = engine.history(arn)
    assert [(row[0], row[2]) for row in rows[1:]] == [(str(event["id"]), event["type"]) for event in history]
    assert {row[4] for row in rows[1:]} == {"", "ResourceNotFoundException"}
    assert "ResourceNotFoundException: " in opened.page.inner_text(".why")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_token_is_on_the_page(
    engine: Engine, write: Any, payment: dict[str, Any], faults: Faults, outcome: str
) -> None:
    """People send pages around, so a page has the token neither in plaintext nor encrypted."""
    text = write(run(engine, payment, faults, outcome)).read_text()
    assert payment["SecureToken"] not in text
    assert "Token" not in re.sub("Encrypt Token", "", text)


def test_what_a_sender_wrote_is_text(engine: Engine, write: Any, browser: Browser, payment: dict[str, Any]) -> None:
    """Metadata may hold anything; on an operator's screen it must do nothing."""
    engine.run(json.dumps({**payment, "Metadata": {"note": HOSTILE}}))
    file = write(payment["TransactionID"])
    opened = Opened(browser, file)
    assert HOSTILE in opened.page.inner_text("table")
    assert opened.page.title() == f"{payment['TransactionID']}: RECORDED"
    assert (opened.requests, opened.complaints) == ([file.as_uri()], [])


def test_the_page_fits_a_phone_and_paper(engine: Engine, write: Any, browser: Browser, payment: dict[str, Any]) -> None:
    """Nothing leaves the screen. On paper the page is dark on white, whatever the screen's theme."""
    engine.run(json.dumps({**payment, "TransactionID": "t" * 64, "Metadata": {"k" * 64: "v" * 256}}))
    opened = Opened(browser, write("t" * 64), viewport={"width": 375, "height": 800}, color_scheme="dark")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 375
    opened.page.emulate_media(media="print")
    assert opened.contrast("h1", "body") >= READABLE
    assert luminance(opened.colour("body", "color")) < 0.2
    assert opened.page.pdf().startswith(b"%PDF")


def test_a_payment_whose_execution_is_gone_has_a_page(
    engine: Engine, write: Any, browser: Browser, payment: dict[str, Any]
) -> None:
    """After 90 days only the table has it."""
    engine.run(json.dumps(payment))
    engine.forget_history()
    opened = Opened(browser, write(payment["TransactionID"]))
    assert opened.page.inner_text(".outcome") == "RECORDED"
    assert opened.page.locator("svg").count() == 0
    assert "129.90" in opened.page.inner_text("table")
    assert opened.complaints == []
