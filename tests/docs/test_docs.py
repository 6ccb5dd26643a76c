"""The docs are true: their examples are run, and their tables are compared with the code."""

import hashlib
import itertools
import json
import os
import re
import runpy
import shlex
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import boto3
import pytest
import yaml

from ledger import signature
from ledger.chain import NEVER_ACCEPTED, DeliveredEntry, RecordedEntry, next_entry, totals_of
from ledger.entry import KIND_BEFORE, KINDS, Entry, parse_entry
from ledger.fields import RULES
from ledger.formats import FORMATS
from ledger.intake import execution_name
from ledger.outcome import DETAIL_TYPES, ENTRY_DETAIL_TYPES, Outcome
from ledger.payment import Payment
from ledger.totals import CHANGES, MAX_ENTRIES, violations
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

WEBHOOK_FILES = [
    ROOT / "functions/ledger/strict_json.py",
    ROOT / "functions/receive_payment.py",
    *sorted((ROOT / "functions/ledger/formats").glob("*.py")),
]
"""The files that have the webhook's own rules."""

SHARED_FILES = [ROOT / f"functions/ledger/{name}.py" for name in ("amounts", "cards", "fields", "timestamps")]
"""The files that have the rules of both contracts."""

PAYMENT_FILES = [ROOT / f"functions/{name}.py" for name in ("encrypt_token", "ledger/intake", "ledger/payment")]
"""The files that have the rules of payments."""

ENTRY_FILES = [
    ROOT / f"functions/{name}.py"
    for name in ("accept_entry", "append_entry", "ledger/chain", "ledger/entry", "ledger/totals")
]
"""The files that have the rules of entries."""

SERVED = "http://127.0.0.1:4510"
"""The address of `ledger serve` on the pages. The tests' engine has another; it runs the commands in their order."""


@pytest.fixture(scope="module")
def served(deployed: tuple[Engine, list[float]], engine_address: str) -> str:
    """Return the address of an engine that is as `ledger serve` begins."""
    begin(deployed[0])
    return engine_address


def begin(engine: Engine) -> None:
    """Empty the engine, forget its log, and register the sample processors."""
    engine.clear()
    shutil.rmtree(Path(os.environ["XDG_STATE_HOME"]) / "payment-ledger", ignore_errors=True)
    register_sample_processors(engine)


def comparable(output: str) -> list[str]:
    """Return the output's words without times and secrets, however a terminal's width breaks the lines."""
    output = re.sub(r"whsec_\S+", "whsec_", output)
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?, \d+ ms|\d+ ms", "", output)
    output = re.sub(r'"milliseconds": [0-9.]+', '"milliseconds": 0', output)
    output = re.sub(r"(Payment|Token|Outcome|Conflict|Conflicted|Rejection|Rejected) [0-9]+\b", r"\1", output)
    return sorted(re.sub(r"[─\s]+", " ", output).split())


def call_aws(service: str, operation: str, *options: str) -> None:
    """Make the call that a line of the AWS CLI makes. No test needs that program."""
    named = {name.removeprefix("--"): value for name, value in zip(options[::2], options[1::2], strict=True)}
    client = boto3.client(  # type: ignore[call-overload]  # the name of the service is text
        service,
        endpoint_url=named.pop("endpoint-url"),
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # the engine takes any
    )
    given = {name.title().replace("-", ""): value for name, value in named.items()}
    parsed = {name: json.loads(value) if value.startswith("{") else value for name, value in given.items()}
    getattr(client, operation.replace("-", "_"))(**parsed)


@pytest.mark.parametrize(
    ("page", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else value["command"]
)
def test_an_example_shows_what_happens(
    page: str, example: re.Match[str], deployed: tuple[Engine, list[float]], request: pytest.FixtureRequest
) -> None:
    """A newcomer compares the page with the terminal."""
    address = request.getfixturevalue("served")
    program, *arguments = shlex.split(example["command"].replace(SERVED, address))
    if program == "aws":
        call_aws(*arguments)
        return
    assert program == "ledger", page
    if arguments[0] == "run":
        with lent(deployed[0]):
            done = ledger(*arguments, COLUMNS="110")
        begin(deployed[0])
    else:
        done = ledger(*arguments, COLUMNS="110", LEDGER_ENDPOINT_URL=address)
        for arn in deployed[0].executions():  # a person types the next command a moment later
            deployed[0].wait_for(arn)
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


def rules_in(files: Iterable[Path]) -> set[str]:
    """Return the rules that the code in *files* names."""
    code = "".join(file.read_text() for file in files)
    rules = set(re.findall(r'BrokenRuleError\(\s*"(\w+)"', code))
    rules |= set(re.findall(r'BrokenRuleError\("\w+" if .+? else "(\w+)"\)', code))
    rules |= set(re.findall(r'Violation\([^,()]+, "(\w+)"\)', code))
    for either in re.findall(r'Violation\([^,()]+, "(\w+)" if .+? else "(\w+)"\)', code):
        rules.update(either)
    return rules


def rows(page: str, begin: str, end: str) -> set[str]:
    """Return the names in the first cells of the tables of a page's part."""
    part = (ROOT / f"docs/integrate/{page}.md").read_text().partition(begin)[2].partition(end)[0]
    return set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))


CONTRACT_ROWS = rows("contract", "## Rules", "## Outcome")
ENTRY_ROWS = rows("entries", "## Rules", "## Sending")
WEBHOOK_ROWS = rows("sending", "| rule |", "## ")


def test_the_rules_in_the_docs_are_those_of_the_code() -> None:
    """A sender looks a rejection up by its rule."""
    assert rules_in([*SHARED_FILES, *PAYMENT_FILES]) == CONTRACT_ROWS


def test_the_rules_of_entries_in_the_docs_are_those_of_the_code() -> None:
    """The page lists the rules that an entry shares with a payment. `currency` has one more meaning for entries."""
    page = (ROOT / "docs/integrate/entries.md").read_text()
    (line,) = re.findall(r"^These rules of .+", page, re.MULTILINE)
    of_entries = rules_in(ENTRY_FILES)
    shared = rules_in(SHARED_FILES) | (rules_in(PAYMENT_FILES) & of_entries)
    assert set(re.findall(r"`(\w+)`", line)) == shared - {"retired_currency"}
    assert of_entries - (shared - {"currency"}) == ENTRY_ROWS
    assert f"{MAX_ENTRIES:,} entries" in page


def test_every_file_of_the_domain_with_rules_is_looked_at() -> None:
    """A rule in a new file would be in no table."""
    files = {*(ROOT / "functions").glob("*.py"), *(ROOT / "functions/ledger").glob("*.py")}
    of_queries = {ROOT / "functions/ledger/pages.py", ROOT / "functions/query_payment_ledger.py"}
    assert not rules_in(files - {*SHARED_FILES, *PAYMENT_FILES, *ENTRY_FILES, *WEBHOOK_FILES} - of_queries)


def test_the_webhooks_rules_in_the_docs_are_those_of_the_code() -> None:
    """The webhook has rules beside the contract's; the people of a processor look a rejection up by its rule."""
    code = "".join(file.read_text() for file in WEBHOOK_FILES)
    rules = rules_in(WEBHOOK_FILES) | set(re.findall(r'StrictJSONError\("(\w+)"', code))
    assert rules - CONTRACT_ROWS == WEBHOOK_ROWS


def test_every_rule_may_be_published() -> None:
    """The workflow recognises a rejection of the webhook by its rules: it would publish an unlisted rule wrongly."""
    assert CONTRACT_ROWS | ENTRY_ROWS | WEBHOOK_ROWS == RULES


# ── Entries ──────────────────────────────────────────────────────────────────────────────────────────

PAID = Payment("txn-1", "100.00", "EUR", "acme-pay", "Success", "2026-11-23T08:30:00.000000Z", {})
"""The payment of the examples on the page of entries."""

EXAMPLES_OF_KINDS = [
    [cell.strip() for cell in line.strip("| ").split("|")]
    for line in re.findall(
        r"^\| `[A-Z].+",
        (ROOT / "docs/integrate/entries.md").read_text().partition("| refused next |")[2].partition("## ")[0],
        re.MULTILINE,
    )
]


def entry_of(text: str, number: int, chain: list[RecordedEntry]) -> Entry:
    """Return the entry that a cell names by its kind and its amount. It undoes the first entry of the fitting kind."""
    (found,) = re.findall(r"`(\w+)` ([\d.]+)", text)
    kind, amount = found
    named = [one.entry.entry_id for one in chain if one.entry.kind == KIND_BEFORE.get(kind)]
    reverses = named[0] if named else None
    return Entry("txn-1", f"entry-{number}", kind, amount, "EUR", "acme-pay", PAID.timestamp, reverses, {})


@pytest.mark.parametrize("row", EXAMPLES_OF_KINDS, ids=lambda row: row[0])
def test_an_example_of_a_kind_adds_up(row: list[str]) -> None:
    """A sender copies the arithmetic of the page."""
    kind, entries, *totals, refused = row
    chain: list[RecordedEntry] = []
    for number, text in enumerate(entries.split(","), 1):
        delivered = DeliveredEntry(entry_of(text, number, chain), "arn", PAID.timestamp)
        chain.append(next_entry(PAID, chain, delivered))
    assert f"`{chain[-1].entry.kind}`" == kind
    shown = chain[-1].totals.as_dict()
    assert [shown[name] for name in ("Captured", "Refunded", "Disputed", "Refundable")] == totals
    text, _, rule = refused.partition(": ")
    following = entry_of(text, len(chain) + 1, chain)
    broken = violations(PAID, [one.entry for one in chain], totals_of(PAID, chain), following)
    assert [f"`{violation.rule}`" for violation in broken] == [rule]


def test_every_kind_has_an_example_and_its_effect() -> None:
    """A new kind is explained before it is used."""
    assert [row[0] for row in EXAMPLES_OF_KINDS] == [f"`{kind}`" for kind in KINDS]
    page = (ROOT / "docs/integrate/entries.md").read_text()
    effects = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page.partition("## Rules")[0], re.MULTILINE))
    assert [*effects][-len(KINDS) :] == [*KINDS]
    for kind in KINDS:
        total, sign = CHANGES.get(kind, ("", 0))
        begin = {1: f"adds to `{total.capitalize()}`", -1: f"takes from `{total.capitalize()}`", 0: "none"}[sign]
        assert effects[kind].startswith(begin), kind


def test_the_hour_on_the_pages_is_the_workflows() -> None:
    """A refund that overtakes its payment waits as long as the pages say, and each attempt has a price."""
    states = json.loads((ROOT / "statemachine/payment_entries.asl.json").read_text())["States"]
    (retrier,) = [one for one in states["Append Entry"]["Retry"] if one["ErrorEquals"] == ["EntryTooEarlyError"]]
    waits_s = [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"])
        for number in range(retrier["MaxAttempts"])
    ]
    assert 3600 <= sum(waits_s) < 3660
    pages = {name: (ROOT / f"docs/{name}.md").read_text() for name in ("concepts/scale", "internals/decisions")}
    assert f"is tried up to {len(waits_s) + 1} times within an hour" in pages["concepts/scale"]
    assert f"takes {len(waits_s)} retries" in pages["internals/decisions"]
    assert (min(waits_s), max(waits_s)) == (5, 300)
    assert "waits from 5 seconds to 5 minutes" in pages["internals/decisions"]


def test_what_nobody_can_accept_is_what_the_code_says() -> None:
    """An operator must not expect a rule to be waived that cannot be."""
    page = (ROOT / "docs/integrate/entries.md").read_text()
    (line,) = re.findall(r"Nobody can accept .+", page)
    assert set(re.findall(r"`(\w+)`", line)) == NEVER_ACCEPTED | {"unknown_payment"}


def test_the_name_of_an_entrys_execution_is_the_ledgers(tmp_path: Path) -> None:
    """A sender that copies the code meets the execution that the webhook has started."""
    page = (ROOT / "docs/integrate/entries.md").read_text()
    (code,) = re.findall(r"^```python\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "name.py").write_text(code)
    module = runpy.run_path(str(tmp_path / "name.py"))
    refund = json.loads((ROOT / "events/start/10-refund.json").read_text())
    failed = {**refund, "EntryID": "failed-1", "Kind": "RefundFailed", "Reverses": refund["EntryID"]}
    for entry in (parse_entry(refund), parse_entry({**failed, "Metadata": {}})):
        assert module["execution_name"](entry.as_state()) == execution_name(entry)


def test_a_consumer_can_check_the_chain_by_the_events() -> None:
    """The page names the facts that are hashed, and how they are written."""
    chain: list[RecordedEntry] = []
    for number, text in enumerate(("`Refunded` 40.00", "`RefundFailed` 40.00"), 1):
        delivered = DeliveredEntry(entry_of(text, number, chain), "arn", PAID.timestamp)
        chain.append(next_entry(PAID, chain, delivered))
    first, second = (Outcome.from_recorded("RECORDED", one.facts(), "arn").detail for one in chain)
    facts = {name: value for name, value in first.items() if name not in {"Version", "OutcomeID", "Outcome"}}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert second["Previous"] == hashlib.sha256(text.encode()).hexdigest()
    assert first["Previous"] == PAID.fingerprint


def test_the_formats_in_the_docs_are_those_of_the_code() -> None:
    """A processor is registered by its format's name, which a page, the command's help and `ledger formats` have."""
    pages = [ROOT / "docs/integrate/sending.md", *(ROOT / "docs/integrate/processors").glob("*.md")]
    texts = [page.read_text() for page in pages]
    help_text, listed = ledger("register-processor", "--help").stdout, ledger("formats").stdout
    for name in FORMATS:
        assert any(f"`{name}`" in text for text in texts), name
        assert name in help_text, name
        assert re.search(rf"^{name} ", listed, re.MULTILINE), name


PROCESSORS_PAGE = (ROOT / "docs/integrate/processors.md").read_text()


def test_each_processor_has_a_row_a_page_and_a_judge() -> None:
    """The table promises what `make test-vendors` and the pages keep."""
    pages = {page.stem for page in (ROOT / "docs/integrate/processors").glob("*.md")}
    assert set(re.findall(r"^\| \[.+?\]\(processors/([\w-]+)\.md\)", PROCESSORS_PAGE, re.MULTILINE)) == pages
    judges = set(re.findall(r"^\| \[.+\| `([\w-]+)` \|$", PROCESSORS_PAGE, re.MULTILINE))
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements/vendors.txt").read_text(), re.MULTILINE))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["vendors"]
    assert judges == set(declared) <= pinned
    schemes = {format_.scheme for format_ in FORMATS.values()}
    assert {getattr(signature, name) for name in vars(signature) if name.isupper()} >= schemes == set(signature.SCHEMES)


def test_the_table_counts_the_vendors_own_vectors(corpora: Path) -> None:
    """Each of them is judged by tests/unit/test_signature.py."""
    vectors = Counter(one["scheme"] for one in json.loads((corpora / "webhook-signatures.json").read_text()))
    rows = re.findall(r"^\| \[.+?\]\(processors/([\w-]+)\.md\) .*\| (\d+|–) \| .*\|$", PROCESSORS_PAGE, re.MULTILINE)
    assert {name: int(number) for name, number in rows if number != "–"} == vectors


def test_the_answers_in_the_docs_are_those_of_the_webhook() -> None:
    """A processor's people look an answer up by its status."""
    code = (ROOT / "functions/receive_payment.py").read_text()
    statuses = set(re.findall(r"Response\((\d+)", code))
    statuses.update(*re.findall(r"(\d{3}) if .+ else (\d{3})", code))
    statuses.update(re.findall(r": (\d{3})\b", code.partition("STATUSES = {")[2].partition("}")[0]))
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


@pytest.mark.parametrize(
    ("page", "begin", "subject", "types"),
    [("contract", "## Outcome events", "Payment", DETAIL_TYPES), ("entries", "## Events", "Entry", ENTRY_DETAIL_TYPES)],
    ids=["contract", "entries"],
)
def test_the_outcome_events_in_the_docs_are_those_with_a_schema(
    page: str, begin: str, subject: str, types: dict[str, str]
) -> None:
    """A consumer subscribes by detail type."""
    files = (ROOT / "events/schemas").glob(f"{subject}*.json")
    schemas = {json.loads(file.read_text())["title"] for file in files}
    assert rows(page, begin, "\n## ") == schemas == set(types.values())
