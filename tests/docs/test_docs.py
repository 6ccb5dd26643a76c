"""The docs are true: their examples are run, and their tables are compared with the code."""

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from ledger.formats import FORMATS
from ledger.payment import RULES
from ledger_cli import ROOT
from ledger_cli.engine import Engine
from ledger_cli.samples import register_sample_processors
from tests.support.cli import ledger, lent

INDEX = ROOT / "docs/README.md"
LISTED = re.findall(r"^- \[.+?\]\((\w[\w/-]*\.md)\)", INDEX.read_text(), re.MULTILINE)
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    INDEX,
    *(ROOT / "docs" / name for name in LISTED),
]
"""Every page, in a reader's order: the examples of a page may rest on those of the pages before it."""

EXAMPLE = re.compile(r"^```console\n\$ (?P<command>.+)\n(?P<output>(?:.*\n)*?)```$", re.MULTILINE)
EXAMPLES = [(page.name, example) for page in PAGES for example in EXAMPLE.finditer(page.read_text())]

WEBHOOK_FILES = [ROOT / f"functions/{name}.py" for name in ("ledger/formats", "ledger/strict_json", "receive_payment")]
"""The files that have the webhook's own rules."""

ENTRY_FILES = [ROOT / f"functions/ledger/{name}.py" for name in ("chain", "entry", "totals")]
"""The files that have the rules of entries. No function uses them yet, so no sender can break one of these rules."""

SERVED = "http://127.0.0.1:4510"
"""The address of `ledger serve` on the pages. The tests' engine has another; it runs the commands in their order."""


@pytest.fixture(scope="module")
def served(deployed: tuple[Engine, list[float]], engine_address: str) -> str:
    """Return the address of an engine that is as `ledger serve` begins."""
    begin(deployed[0])
    return engine_address


def begin(engine: Engine) -> None:
    """Empty the engine, and register the sample processors."""
    engine.clear()
    register_sample_processors(engine)


def comparable(output: str) -> list[str]:
    """Return the output's words without times and secrets, however a terminal's width breaks the lines."""
    output = re.sub(r"whsec_\S+", "whsec_", output)
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?, \d+ ms|\d+ ms", "", output)
    output = re.sub(r'"milliseconds": [0-9.]+', '"milliseconds": 0', output)
    output = re.sub(r"(Payment|Token|Outcome|Conflict|Conflicted|Rejection|Rejected) [0-9]+\b", r"\1", output)
    return sorted(re.sub(r"[─\s]+", " ", output).split())


@pytest.mark.parametrize(
    ("page", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else value["command"]
)
def test_an_example_shows_what_happens(
    page: str, example: re.Match[str], deployed: tuple[Engine, list[float]], request: pytest.FixtureRequest
) -> None:
    """A newcomer compares the page with the terminal."""
    address = request.getfixturevalue("served")
    program, *arguments = shlex.split(example["command"].replace(SERVED, address))
    assert program == "ledger", page
    if arguments[0] == "run":
        with lent(deployed[0]):
            done = ledger(*arguments, COLUMNS="110")
        begin(deployed[0])
    else:
        done = ledger(*arguments, COLUMNS="110", LEDGER_ENDPOINT_URL=address)
    shown, printed = comparable(example["output"].replace(SERVED, address)), comparable(done.stdout)
    assert shown
    missing = [word for word in set(shown) if shown.count(word) > printed.count(word)]
    assert not missing, done.stdout


def test_the_readme_has_examples() -> None:
    """Without an example, the test above would prove nothing."""
    assert {page for page, _ in EXAMPLES} >= {"README.md"}


def test_the_index_lists_every_page() -> None:
    """A reader finds a page only if something leads there, and a page that no test reads goes stale."""
    pages = {page.relative_to(INDEX.parent).as_posix() for page in INDEX.parent.rglob("*.md")}
    assert sorted([*LISTED, "README.md"]) == sorted(pages)


def test_the_site_has_every_page() -> None:
    """`make docs` checks the links of the pages that it knows."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = [
        page for entry in nav for page in ([entry] if isinstance(entry, str) else itertools.chain(*entry.values()))
    ]
    assert sorted(pages) == sorted([*LISTED, "README.md"])


def test_the_rules_in_the_docs_are_those_of_the_code() -> None:
    """A sender looks a rejection up by its rule."""
    files = {ROOT / "functions/encrypt_token.py", *(ROOT / "functions/ledger").glob("*.py")}
    code = "".join(
        file.read_text() for file in files - {*WEBHOOK_FILES, *ENTRY_FILES, ROOT / "functions/ledger/pages.py"}
    )
    rules = set(re.findall(r'BrokenRuleError\(\s*"(\w+)"', code)) | set(
        re.findall(r'Violation\([^,()]+, "(\w+)"\)', code)
    )
    rules |= set(re.findall(r'BrokenRuleError\("\w+" if .+? else "(\w+)"\)', code))
    section = (ROOT / "docs/integrate/contract.md").read_text().partition("## Rules")[2].partition("## Outcome")[0]
    assert rules == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_webhooks_rules_in_the_docs_are_those_of_the_code() -> None:
    """The webhook has rules beside the contract's; the people of a processor look a rejection up by its rule."""
    code = "".join(file.read_text() for file in WEBHOOK_FILES)
    rules = set(re.findall(r'Violation\([^,()]+, "(\w+)"\)', code)) | set(re.findall(r'StrictJSONError\("(\w+)"', code))
    section = (ROOT / "docs/integrate/sending.md").read_text().partition("| rule |")[2].partition("## ")[0]
    contract = (ROOT / "docs/integrate/contract.md").read_text()
    in_contract = set(re.findall(r"^\| `(\w+)` \|", contract.partition("## Rules")[2], re.MULTILINE))
    assert rules - in_contract == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_every_rule_may_be_published() -> None:
    """The workflow recognises a rejection of the webhook by its rules: it would publish an unlisted rule wrongly."""
    rows = r"^\| `(\w+)` \|"
    contract = (ROOT / "docs/integrate/contract.md").read_text().partition("## Rules")[2].partition("## Outcome")[0]
    webhook = (ROOT / "docs/integrate/sending.md").read_text().partition("| rule |")[2].partition("## ")[0]
    assert {*re.findall(rows, contract, re.MULTILINE), *re.findall(rows, webhook, re.MULTILINE)} == RULES


def test_the_formats_in_the_docs_are_those_of_the_code() -> None:
    """A processor is registered by the name of its format, which the page and the command's help both list."""
    section = (ROOT / "docs/integrate/sending.md").read_text().partition("| format |")[2].partition("| answer |")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == FORMATS.keys()
    help_text = ledger("register-processor", "--help").stdout
    assert all(name in help_text for name in FORMATS)


def test_the_answers_in_the_docs_are_those_of_the_webhook() -> None:
    """A processor's people look an answer up by its status."""
    code = (ROOT / "functions/receive_payment.py").read_text()
    statuses = set(re.findall(r"Response\((\d+)", code))
    statuses.update(*re.findall(r"(\d{3}) if .+ else (\d{3})", code))
    section = (ROOT / "docs/integrate/sending.md").read_text().partition("| answer |")[2].partition("| rule |")[0]
    listed = set(re.findall(r"^\| .*?(\d{3})", section, re.MULTILINE)) | {"503"}
    assert statuses | {"500"} == listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """A test can follow the links within the project, and no others."""
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_paths_in_the_docs_exist() -> None:
    """Pages also name files in backticks."""
    for page in PAGES:
        for path in re.findall(
            r"`((?:docs|tests|events|functions|statemachine|ledger_cli|tools|bench)/[\w./-]*\w)`", page.read_text()
        ):
            assert (ROOT / path).exists() or (ROOT / path.split("::")[0]).exists(), f"{page.name}: {path}"


def test_the_outcome_events_in_the_docs_are_those_with_a_schema() -> None:
    """A consumer subscribes by detail type."""
    section = (ROOT / "docs/integrate/contract.md").read_text().partition("## Outcome events")[2]
    schemas = {json.loads(file.read_text())["title"] for file in (ROOT / "events/schemas").glob("Payment*.json")}
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == schemas
