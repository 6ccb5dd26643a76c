"""The docs say what is so: their examples are run, and their tables compared with the code."""

import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.formats import FORMATS
from ledger.payment import RULES
from ledger_cli import ROOT
from tests.support.cli import ledger

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^```console\n\$ (?P<command>.+)\n(?P<output>(?:.*\n)*?)```$", re.MULTILINE)
EXAMPLES = [(page.name, example) for page in PAGES for example in EXAMPLE.finditer(page.read_text())]


SERVED = "http://127.0.0.1:4510"
"""Where the pages say that `ledger serve` is; each test run has its own, with the pages' commands in their order."""


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of a `ledger serve` in a process of its own."""
    command = [sys.executable, "-m", "ledger_cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("Ready"), server.stdout))
        yield lines[0].removeprefix("Endpoint").split(",")[0].strip()
        server.send_signal(signal.SIGINT)


def comparable(output: str) -> list[str]:
    """The output's words without times and secrets, and without how a terminal's width breaks lines."""
    output = re.sub(r"whsec_\S+", "whsec_", output)
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?, \d+ ms|\d+ ms", "", output)
    output = re.sub(r'"milliseconds": [0-9.]+', '"milliseconds": 0', output)
    output = re.sub(r"(Payment|Token|Outcome|Conflict|Conflicted|Rejection|Rejected) [0-9]+\b", r"\1", output)
    return sorted(re.sub(r"[─\s]+", " ", output).split())


@pytest.mark.parametrize(
    ("page", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else value["command"]
)
def test_an_example_shows_what_happens(page: str, example: re.Match[str], request: pytest.FixtureRequest) -> None:
    """A newcomer compares."""
    address = request.getfixturevalue("served")
    program, *arguments = shlex.split(example["command"].replace(SERVED, address))
    assert program == "ledger", page
    where = {} if arguments[0] == "run" else {"LEDGER_ENDPOINT_URL": address}
    done = ledger(*arguments, COLUMNS="110", **where)
    shown, printed = comparable(example["output"].replace(SERVED, address)), comparable(done.stdout)
    assert shown
    missing = [word for word in set(shown) if shown.count(word) > printed.count(word)]
    assert not missing, done.stdout


def test_the_readme_has_examples() -> None:
    """Else the test above proves nothing."""
    assert {page for page, _ in EXAMPLES} >= {"README.md"}


def test_the_rules_in_the_docs_are_those_of_the_code() -> None:
    """A sender looks a refusal up by its rule."""
    files = ("ledger/payment.py", "ledger/amounts.py", "ledger/timestamps.py", "ledger/intake.py", "encrypt_token.py")
    code = "".join((ROOT / "functions" / file).read_text() for file in files)
    rules = set(re.findall(r'BrokenRuleError\(\s*"(\w+)"', code)) | set(
        re.findall(r'Violation\([^,()]+, "(\w+)"\)', code)
    )
    rules |= set(re.findall(r'BrokenRuleError\("\w+" if .+? else "(\w+)"\)', code))
    section = (ROOT / "docs/contract.md").read_text().partition("## Rules")[2].partition("## Outcome")[0]
    assert rules == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_webhooks_rules_in_the_docs_are_those_of_the_code() -> None:
    """Beside the contract's; a processor's people look a refusal up by its rule."""
    code = "".join((ROOT / f"functions/ledger/{name}.py").read_text() for name in ("formats", "strict_json"))
    code += (ROOT / "functions/receive_payment.py").read_text()
    rules = set(re.findall(r'Violation\([^,()]+, "(\w+)"\)', code)) | set(re.findall(r'StrictJSONError\("(\w+)"', code))
    section = (ROOT / "docs/sending.md").read_text().partition("| rule |")[2].partition("## ")[0]
    contract = (ROOT / "docs/contract.md").read_text()
    in_contract = set(re.findall(r"^\| `(\w+)` \|", contract.partition("## Rules")[2], re.MULTILINE))
    assert rules - in_contract == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_every_rule_may_be_published() -> None:
    """The workflow knows a refusal of the webhook by its rules: one that is not listed would be published wrongly."""
    rows = r"^\| `(\w+)` \|"
    contract = (ROOT / "docs/contract.md").read_text().partition("## Rules")[2].partition("## Outcome")[0]
    webhook = (ROOT / "docs/sending.md").read_text().partition("| rule |")[2].partition("## ")[0]
    assert {*re.findall(rows, contract, re.MULTILINE), *re.findall(rows, webhook, re.MULTILINE)} == RULES


def test_the_formats_in_the_docs_are_those_of_the_code() -> None:
    """And of the command."""
    section = (ROOT / "docs/sending.md").read_text().partition("| format |")[2].partition("| answer |")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == FORMATS.keys()
    help_text = ledger("processor", "--help").stdout
    assert all(name in help_text for name in FORMATS)


def test_the_answers_in_the_docs_are_those_of_the_webhook() -> None:
    """A processor's people look an answer up by its status."""
    code = (ROOT / "functions/receive_payment.py").read_text()
    statuses = set(re.findall(r"Answer\((\d+)", code)) | set(re.findall(r"(\d{3}) if .+ else (\d{3})", code)[0])
    section = (ROOT / "docs/sending.md").read_text().partition("| answer |")[2].partition("| rule |")[0]
    listed = set(re.findall(r"^\| .*?(\d{3})", section, re.MULTILINE)) | {"503"}
    assert statuses | {"500"} == listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Within the project; others cannot be followed from a test."""
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_paths_in_the_docs_exist() -> None:
    """Pages name files in backticks as well."""
    for page in PAGES:
        for path in re.findall(
            r"`((?:docs|tests|events|functions|statemachine|ledger_cli)/[\w./-]*\w)`", page.read_text()
        ):
            assert (ROOT / path).exists() or (ROOT / path.split("::")[0]).exists(), f"{page.name}: {path}"


def test_the_outcome_events_in_the_docs_are_those_with_a_schema() -> None:
    """A consumer subscribes by detail type."""
    section = (ROOT / "docs/contract.md").read_text().partition("## Outcome events")[2]
    schemas = {json.loads(file.read_text())["title"] for file in (ROOT / "events/schemas").glob("Payment*.json")}
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == schemas
