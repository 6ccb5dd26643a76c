"""The tables of scale and price follow from docs/concepts/scale.toml and the stack; the arithmetic is right."""

import copy
import re
from decimal import Decimal
from pathlib import Path

import pytest

from ledger.seal import MAX_RECORDS
from ledger.totals import MAX_ENTRIES
from ledger_cli import ROOT
from ledger_cli.engine import template
from tools import facts, scale, write_units
from tools.facts import Numbers, ScaleError
from tools.scale import Architecture, Cost

TEXT = facts.INPUTS.read_text()
INPUTS = facts.inputs_of(TEXT)
DECLARED = template.load(ROOT / "template.yaml")
SAMCONFIG = facts.SAMCONFIG.read_text()
DEPLOYMENTS = facts.deployments(SAMCONFIG, DECLARED)
TABLES = scale.tables(INPUTS, DECLARED, DEPLOYMENTS)
GIVEN = {
    "start_transitions": "1", "transitions_per_1000": "0.025", "lambda_requests_per_million": "0.20",
    "snapshot_gb_s": "0.0000015", "snapshot_restored_gb": "0.00014",
    "lambda_gb_s": "0.0000133334", "validate_ms": "10", "encrypt_ms": "40", "persist_ms": "40", "publish_ms": "80",
    "state_ms": "25", "express_requests_per_million": "1.00", "express_gb_s": "0.00001667", "express_memory_mb": "64",
    "express_step_ms": "100", "durable_operations_per_million": "8.00", "durable_written_gb": "0.25",
    "durable_kept_gb_month": "0.15", "durable_bytes": "1000", "durable_days": "90", "hours_per_month": "720",
    "kms_requests_per_10000": "0.03", "kms_requests_per_call": "1", "kms_requests_for_history": "0",
    "dynamodb_writes_per_million": "0.625", "dynamodb_reads_per_million": "0.125",
    "token_bytes": "64", "kms_ciphertext_overhead_bytes": "170",
    "endpoint_hour": "0.01", "kms_key_month": "1.00", "events_per_million": "1.00", "start_execution_per_s": "300",
    "state_transitions_per_s": "5000", "dynamodb_partition_units_per_s": "1000", "lambda_concurrency": "1000",
    "recorded_metrics": "20", "metric_month": "0.30", "alarm_metric_month": "0.10", "dashboard_month": "3.00",
    "secret_month": "0.40", "queue_month": "0", "dynamodb_gb_month": "0.25", "dynamodb_recovery_gb_month": "0.20",
    "logs_gb_month": "0.03", "archive_gb": "0.10", "archive_gb_month": "0.02", "logs_gb": "0.50", "event_bytes": "1000",
    "network_bytes": "20000", "endpoint_gb": "0.01", "endpoint_gigabits_per_s": "10", "platform_log_events": "3",
    "platform_log_bytes": "450", "own_log_events": "5", "own_log_bytes": "1960", "flow_log_bytes": "500",
    "kms_asymmetric_requests_per_10000": "0.15", "seal_ms": "5", "sealer_idle_ms": "100", "seal_network_bytes": "4000",
    "fast_lane_left": "0.001", "fast_lane_log_bytes": "300",
    "traces_per_million": "5.00", "item_overhead_bytes": "100", "log_event_overhead_bytes": "26",
    "history_event_bytes": "350", "history_events_per_state": "5",
}  # fmt: skip
"""The inputs of the calculations by hand, which stay when the file changes."""

SEALS = {
    "seals": "8640", "units_of_a_seal": "20", "bytes_of_a_seal": "10000", "read_units_of_a_seal": "3",
    "sealer_memory_gb": "1.75",
}  # fmt: skip
"""Seals of the calculations by hand: one in each run of a month of 720 hours."""

ENTRY_GIVEN = {"own_log_bytes": "1580", "own_log_events": "4", "event_bytes": "1200"}

GIVEN_SEALS = {name: Decimal(value) for name, value in SEALS.items()}
GIVEN_INPUTS = INPUTS | {name: Decimal(value) for name, value in GIVEN.items()}


@pytest.fixture
def numbers() -> Numbers:
    """Return the numbers of a stack with the template's defaults, from the given inputs."""
    return facts.numbers_of(GIVEN_INPUTS, DECLARED, {})


def architecture(numbers: Numbers, part_of_the_name: str) -> Architecture:
    """Return one of the architectures that are compared."""
    (found,) = [each for each in scale.architectures(numbers) if part_of_the_name in each.name]
    return found


def cells(table: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table, by the row's first cell."""
    return {name: row for name, *row in (line.strip("| ").split(" | ") for line in table.splitlines())}


# ── The pages ────────────────────────────────────────────────────────────────────────────────────────


def test_the_pages_are_what_the_program_makes() -> None:
    """If a price were changed in one place only, readers would believe the other."""
    made = scale.generated_pages()
    assert {path.name for path in made} == {"deploying.md", "scale.md"}
    assert made == {path: path.read_text() for path in made}, "run: make generate"


def test_the_price_table_has_the_totals_of_the_deployments() -> None:
    """The page that compares prices says the same as the page of a person who deploys."""
    prices, idle, removed = (cells(TABLES[name]) for name in ("prices", "idle", "removed"))
    for column, name in enumerate(DEPLOYMENTS):
        assert prices[f"**a month without a payment, `{name}`**"] == [idle["**together**"][column]]
        kept = removed["**together, with nothing stored**"][column]
        assert prices[f"**a month after `sam delete`, `{name}`**"] == [kept]


def test_the_readme_states_the_idle_cost() -> None:
    """A team decides by it whether to try the stack."""
    dev, prod = (amount.strip("*") for amount in cells(TABLES["idle"])["**together**"])
    assert f"`prod` costs about {prod} USD a month and `dev` about {dev} USD" in (ROOT / "README.md").read_text()


def test_snapshots_by_hand() -> None:
    """A team compares this with the time that its senders wait."""
    stack = facts.numbers_of(GIVEN_INPUTS, DECLARED, {})
    month, starts = scale.snapshot_costs(stack)
    # 720 hours of 3,600 s; each function but the sealer has 256 MB.
    gigabytes = (month.number - 1) * 256 / 1024 + Decimal(facts.stack_facts(DECLARED, {})["sealer_memory_gb"])
    assert month.amount == gigabytes * 2_592_000 * Decimal("0.0000015")
    assert (starts.number, starts.amount) == (256, 35)


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_shows_on_a_page(name: str) -> None:
    """Nobody should look up a number that changes nothing."""
    assert scale.tables(INPUTS | {name: INPUTS[name] * 10 + 1}, DECLARED, DEPLOYMENTS) != TABLES


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_input_is_named(name: str) -> None:
    """The program prints no traceback, and puts no zero into a bill."""
    without = {other: value for other, value in INPUTS.items() if other != name}
    with pytest.raises(ScaleError, match=rf"\Adocs/concepts/scale\.toml: {name} is missing\Z"):
        scale.tables(without, DECLARED, DEPLOYMENTS)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Copy the pages and the inputs, add a page that has no markers, and return the folder."""
    for path in (facts.INPUTS, *scale.generated_pages()):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(path.read_text())
    (tmp_path / "docs/other.md").write_text("No table.\n")
    return tmp_path / "docs"


def test_a_changed_input_changes_the_pages_or_is_one_line(docs: Path) -> None:
    """`make generate` after a slip of the pen must leave the pages as they were."""
    inputs, pages = docs / "concepts/scale.toml", [docs / "concepts/scale.md", docs / "operate/deploying.md"]
    inputs.write_text(TEXT.replace('value = "0.025"', 'value = "0.05"').replace('value = "3.00"', 'value = "5.00"'))
    made = scale.generated_pages(inputs, docs)
    assert "| Step Functions: transitions | 250.00 |" in made[pages[0]]
    assert "| dashboards: 1 | 5.00 | 5.00 |" in made[pages[1]]
    assert made.keys() == {*pages}, "a page without markers has no reason to be written"
    inputs.write_text(TEXT.replace('value = "0.025"', "value = 0.025"))
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: transitions_per_1000: value .* in quotes\Z"):
        scale.generated_pages(inputs, docs)


def test_a_zero_that_is_divided_by_is_one_line_of_complaint(docs: Path) -> None:
    """A traceback would not say which file to correct."""
    inputs = docs / "concepts/scale.toml"
    inputs.write_text(re.sub(r"(hours_per_month = { value = )\d+", r"\g<1>0", TEXT))
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: a value is 0 .+\Z"):
        scale.generated_pages(inputs, docs)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_no_page_shows_is_named(docs: Path, name: str) -> None:
    """The program would calculate a table for nobody."""
    for page in docs.rglob("*.md"):
        page.write_text(re.sub(rf"<!-- {name}: (?s:.*?)<!-- end -->\n", "", page.read_text()))
    with pytest.raises(ScaleError, match=rf"\Adocs: no page has the markers of {name}\Z"):
        scale.generated_pages(docs=docs)


BEGIN, END = "<!-- idle: made by make generate -->", "<!-- end -->"
BROKEN = {
    "a beginning is lost": (f"# A\n\nold\n{END}\n", "a.md: a marker lacks its other"),
    "an end is lost": (f"# A\n\n{BEGIN}\nold\n", "a.md: a marker lacks its other"),
    "an end is lost before another part": (f"{BEGIN}\nold\n{BEGIN}\n{END}\n", "a.md: a marker lacks its other"),
    "an end is there twice": (f"{BEGIN}\nold\n{END}\n{END}\n", "a.md: a marker lacks its other"),
    "both are in the wrong order": (f"{END}\nold\n{BEGIN}\n", "a.md: a marker lacks its other"),
    "a name is misspelt": (f"\n{BEGIN.replace('idle', 'idel')}\nold\n{END}\n", "a.md: there is no table idel"),
}


@pytest.mark.parametrize(("page", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_marker_is_named(page: str, message: str) -> None:
    """Without the line, a table that somebody broke would never be made again, or would remove the rest of the page."""
    with pytest.raises(ScaleError, match=rf"\A{re.escape(message)}\Z"):
        scale.page_of("a.md", page, {"idle": "new"})


def test_a_page_keeps_what_is_outside_its_markers() -> None:
    """A table may stand in a page twice, empty or not, and beside others."""
    page = f"# A\n{BEGIN}\n{END}\nbetween\n{BEGIN}\nold\nold\n{END}\nand {END} in a line\n"
    made = f"# A\n{BEGIN}\nnew\n{END}\nbetween\n{BEGIN}\nnew\n{END}\nand {END} in a line\n"
    assert scale.page_of("a.md", page, {"idle": "new", "other": "unused"}) == made


# ── Arithmetic, by hand ──────────────────────────────────────────────────────────────────────────────


def test_the_limits_by_hand(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 starts; 5,000 / 5; 6 shards x 1,000 / 2; 1,000 / 0.17 rounded down; 1.25 x 10^9 / 20,000 bytes.

    The sealer has 280 of each 300 s, at 5 ms a record. Sealing is the third write of an item, and its third request.
    """
    numbers |= {name: Decimal(40_000) for name in ("dynamodb_table_units_per_s", "dynamodb_endpoint_requests_per_s")}
    numbers["dynamodb_new_table_units_per_s"] = Decimal(4000)
    monkeypatch.setattr(scale, "SHARDS", 6)
    _, _, *table = scale.quotas_table(numbers).splitlines()
    carried = {name: int(row[2].replace(",", "")) for name, row in [*cells("\n".join(table)).items()][2:]}
    assert carried["StartExecution"] == 300
    assert carried["state transitions"] == 1000
    assert carried["index UnpublishedPayments"] == carried["index PaymentsByProcessor, one processor"] == 3000
    assert carried["the sealer"] == 186
    assert carried["index UnsealedPayments"] == 3000
    assert carried["a new table, or an index of it"] == 1333
    assert carried["the table with its indexes"] == 4444
    assert carried["DynamoDB's endpoint"] == 13_333
    assert carried["Lambda: concurrency"] == 5882
    assert carried["an endpoint in one zone"] == 62_500
    assert list(carried.values()) == sorted(carried.values())


@pytest.mark.parametrize(("webhook_per_s", "target", "more"), [(100, 600, "600: ask AWS"), (2500, 300, "enough")])
def test_the_quotas_table_says_what_stops_first_and_what_suffices(
    numbers: Numbers, webhook_per_s: int, target: int, more: str
) -> None:
    """Neither the webhook, whose limit is the template's own, nor the sealer is the answer, wherever they stand."""
    numbers |= {"webhook_per_s": Decimal(webhook_per_s), "target_per_s": Decimal(target)}
    numbers |= {"seal_ms": Decimal(webhook_per_s) / 50}
    text = scale.quotas_table(numbers)
    assert text.startswith(
        "**StartExecution stops first, at 300 payments a second; then state transitions, at 1,000.**"
    )
    assert f"| payments/s | for {target}/s |" in text
    assert cells(text)["StartExecution"] == ["300 requests", "1", "300", more]


def test_a_million_payments_by_hand(numbers: Numbers) -> None:
    """Each line by hand: 5 transitions; 4 invocations and 0.170 s x 0.25 GB; 2 KMS requests; 6 write units.

    2 in the table and 2 in each of two indexes. The sealed log has a test of its own. 1.3 GB stored with the indexes,
    0.8 GB without; 1 GB of events for 12 months; 20 GB through endpoints. Logs: 4 invocations of 450 bytes, 1,960 of
    our own, 22 history events of 350 and a flow record of 500, and 26 bytes for each of 12 + 5 + 22 + 1 events, are
    13 GB, kept 3 months.
    """
    numbers |= {"stored_bytes": Decimal(800), "indexed_bytes": Decimal(500), "archive_months": Decimal(12)}
    numbers |= GIVEN_SEALS
    costs = scale.million_costs(numbers, architecture(numbers, "ours"))
    assert scale.log_bytes(numbers, architecture(numbers, "ours")) == 1800 + 1960 + 7700 + 500 + 40 * 26
    assert costs == {
        "Step Functions: transitions": Decimal(125),
        "Lambda: requests": Decimal("0.80"),
        "Lambda: GB-seconds": Decimal("0.5666695"),
        "KMS: requests": Decimal(6),
        "DynamoDB: writes": Decimal("3.75"),
        "DynamoDB: reads": Decimal(),
        "DynamoDB: each month kept": Decimal("0.325"),
        "DynamoDB: each month's recovery": Decimal("0.16"),
        "EventBridge: events": Decimal(1),
        "EventBridge: archive, taken in": Decimal("0.10"),
        "EventBridge: archive, kept": Decimal("0.24"),
        "endpoints: data": Decimal("0.20"),
        "CloudWatch: logs, taken in": Decimal("6.50"),
        "CloudWatch: logs, kept": Decimal("1.17"),
        "the sealed log": Decimal("2.57138725"),
        "X-Ray: traces": Decimal(5),
    }
    table = cells(scale.tables(GIVEN_INPUTS, DECLARED, DEPLOYMENTS)["prices"])
    amounts = [Decimal(amount) for name, (amount,) in [*table.items()][2:] if "**" not in name]
    assert amounts == sorted(amounts, reverse=True)
    assert len(amounts) == len(costs) - 1  # a payment reads nothing, and the table has no row for it


def test_a_million_entries_by_hand(numbers: Numbers) -> None:
    """Each line by hand: 4 transitions; 3 invocations and 0.150 s x 0.25 GB; no KMS; 2 read and 6 write units.

    A payment's item of less than 4 KB and a query that finds nothing are a read unit each. 2 write units are in the
    table and 2 in each of two indexes; sealing adds 4. Logs: 3 invocations of 450 bytes, 1,580 of our own, 17 history
    events of 350 and a flow record of 500, and 26 bytes for each of 9 + 4 + 17 + 1 events, are 10.186 GB, kept 3
    months.
    """
    numbers |= {"append_ms": Decimal(60), "archive_months": Decimal(12)}
    numbers |= {f"entry_{name}": Decimal(value) for name, value in ENTRY_GIVEN.items()}
    entry = facts.entry_numbers_of(numbers, DECLARED)
    entry |= {"stored_bytes": Decimal(700), "indexed_bytes": Decimal(700), **GIVEN_SEALS}
    assert scale.entry_costs(entry) == {
        "Step Functions: transitions": Decimal(100),
        "Lambda: requests": Decimal("0.60"),
        "Lambda: GB-seconds": Decimal("0.5000025"),
        "KMS: requests": Decimal(),
        "DynamoDB: writes": Decimal("3.75"),
        "DynamoDB: reads": Decimal("0.25"),
        "DynamoDB: each month kept": Decimal("0.35"),
        "DynamoDB: each month's recovery": Decimal("0.14"),
        "EventBridge: events": Decimal(1),
        "EventBridge: archive, taken in": Decimal("0.12"),
        "EventBridge: archive, kept": Decimal("0.288"),
        "endpoints: data": Decimal("0.20"),
        "CloudWatch: logs, taken in": Decimal("5.093"),
        "CloudWatch: logs, kept": Decimal("0.91674"),
        "the sealed log": Decimal("3.32138725"),
        "X-Ray: traces": Decimal(5),
    }
    assert scale.entries_table(entry).startswith(
        "**An entry takes 4 state transitions, 3 invocations, 4 requests to DynamoDB, 2 read units, 10 write units and "
        "one event.**"
    )


def test_sealing_a_million_by_hand(numbers: Numbers) -> None:
    """8,640 seals of 20 write units are 0.1728 units a record; with them, a payment takes 3.1728 and an entry 4.1728.

    A read unit for the payment's item, and another for the entry's; 2 requests to KMS and an event for each seal; 5 ms
    x 1.75 GB; 4 GB through the endpoints; 86.4 MB of seals.
    """
    numbers |= GIVEN_SEALS
    entry = facts.entry_numbers_of(numbers, DECLARED)
    entry |= GIVEN_SEALS
    assert [scale.sealing_units(each) for each in (numbers, entry)] == [Decimal("3.1728"), Decimal("4.1728")]
    assert scale.sealing_costs(numbers) == {
        "DynamoDB: writes": Decimal("1.983"),
        "DynamoDB: reads": Decimal("0.125"),
        "KMS: requests": Decimal("0.2592"),
        "Lambda: GB-seconds": Decimal("0.11666725"),
        "endpoints: data": Decimal("0.04"),
        "EventBridge: events": Decimal("0.00864"),
        "DynamoDB: each month kept": Decimal("0.0216"),
        "DynamoDB: each month's recovery": Decimal("0.01728"),
    }
    of_entry = {"DynamoDB: writes": Decimal("2.608"), "DynamoDB: reads": Decimal("0.25")}
    assert scale.sealing_costs(entry) == scale.sealing_costs(numbers) | of_entry
    answer, _, head, _, *body = scale.sealing_table(numbers, entry).splitlines()
    assert answer == (
        "**Sealing adds 3.2 write units to a payment and 2.57 USD to a million; "
        "4.2 write units to an entry and 3.32 USD to a million. The sealer seals 186 records a second.**"
    )
    assert head == "| sealing, USD | a million payments | a million entries |"
    assert body[0] == "| DynamoDB: writes | 1.98 | 2.61 |"
    assert body[-1] == "| **together** | **2.57** | **3.32** |"
    amounts = [Decimal(line.split(" | ")[1]) for line in body[:-1]]
    assert amounts == sorted(amounts, reverse=True)


LONGEST_KEY = ("T" * 64, MAX_ENTRIES)
"""Of a TransactionID that has all characters that the contract allows, and the last entry of its payment."""


@pytest.mark.parametrize("records", [115, MAX_RECORDS], ids=["evenly", "all at once"])
def test_sealing_keeps_its_promise(records: int) -> None:
    """Sealing adds at most 4 write units to a payment and 3 USD to a million, whatever their IDs and their times."""
    now = facts.numbers_of(INPUTS, DECLARED, {})
    seal = write_units.sample_seal([LONGEST_KEY] * records)
    now |= {
        "seals": Decimal(10**6) / records,
        "units_of_a_seal": write_units.units_of_a_seal(seal),
        "bytes_of_a_seal": Decimal(write_units.item_bytes(write_units.finished(seal)) + 100),
    }
    assert scale.sealing_units(now) <= 4
    assert sum(scale.sealing_costs(now).values()) <= 3
    assert "**Sealing adds 3.2 write units to a payment and 2.58 USD to a million;" in TABLES["sealing"]


def test_a_payment_pays_nothing_for_entries(numbers: Numbers) -> None:
    """Whatever an entry costs, the price of a payment stays."""
    before = scale.million_costs(numbers, architecture(numbers, "ours"))
    dearer = Numbers(numbers)
    dearer |= {name: number * 2 for name, number in numbers.items() if name.startswith(("entry_", "append_"))}
    assert scale.million_costs(dearer, architecture(dearer, "ours")) == before
    assert scale.entry_costs(facts.entry_numbers_of(dearer, DECLARED)) != scale.entry_costs(
        facts.entry_numbers_of(numbers, DECLARED)
    )


def test_data_keys_of_the_history_are_priced_if_it_has_a_key(numbers: Numbers) -> None:
    """3 requests for ours and 2 for a plain function, at 0.03 for 10,000; and a third less under the quota."""
    numbers |= {"kms_requests_for_history": Decimal(1), "kms_requests_per_s": Decimal(100_000)}
    priced = [scale.million_costs(numbers, architecture(numbers, name)) for name in ("ours", "plain")]
    assert [costs["KMS: requests"] for costs in priced] == [9, 6]
    assert cells(scale.quotas_table(numbers))["KMS"][2] == "33,333"


def test_the_fast_lane_stops_later(numbers: Numbers) -> None:
    """4 calls and the webhook's take 5 requests; its 0.27 s and the functions' 0.17 s take concurrency at once."""
    fast = facts.numbers_of(GIVEN_INPUTS, DECLARED, {"Lane": "fast"})
    shown = cells(scale.fast_quotas_table(numbers, fast))
    assert {name: row[2] for name, row in shown.items() if row[2:]} == {
        "in the fast lane": "payments/s",
        "---": "--:",
        "the webhook, if it is open": "1,000",
        "Lambda: requests": "2,000",
        "Lambda: concurrency": "2,272",
        "StartExecution": "300,000",
        "state transitions": "1,000,000",
    }
    assert cells(scale.quotas_table(numbers))["the webhook, if it is open"][2] == "100"


WORKFLOWS = {
    "ours": Decimal(125),
    "Express workflow alone": Decimal("1.00") + Decimal("0.3125625"),
    "our fast lane": Decimal("1.3125625") + Decimal("0.9000045") + Decimal("0.163") + Decimal("0.125"),
    "calls AWS itself": Decimal(150),
    "durable": Decimal(40) + Decimal("1.25") + Decimal("2.25"),
    "plain": Decimal(0),
}


@pytest.mark.parametrize(("name", "amount"), WORKFLOWS.items(), ids=WORKFLOWS)
def test_the_architectures_by_hand(numbers: Numbers, name: str, amount: Decimal) -> None:
    """5 states and a start are 6 transitions. Express and durable functions are paid by time, data and operations.

    Express: 170 ms of functions and 4 x 25 ms of states are 270 ms, paid as 300: 0.3 s x 0.0625 GB x 0.00001667 x 10^6.
    Fast lane: the webhook waits 0.27 s with 0.25 GB at 0.0000133334, writes 326 bytes at 0.50 for each GB, and one of a
    thousand payments also pays for the Standard workflow.
    Durable: a start and 4 steps are 5 x 8.00; 5 GB are written at 0.25, and kept for 3 months at 0.15.
    """
    assert architecture(numbers, name).workflow == amount
    shown = scale.tables(GIVEN_INPUTS, DECLARED, DEPLOYMENTS)["architectures"]
    total = sum(scale.million_costs(numbers, architecture(numbers, name)).values())
    assert cells(shown)[architecture(numbers, name).name] == [scale.money(total)]


def test_a_workflow_without_functions_and_endpoints(numbers: Numbers) -> None:
    """It pays neither Lambda nor an endpoint, and its only logs are those of 5 states: 27 events of 350 bytes."""
    bare = architecture(numbers, "calls AWS itself")
    costs = scale.million_costs(numbers, bare)
    assert costs["Lambda: requests"] == costs["Lambda: GB-seconds"] == costs["endpoints: data"] == 0
    assert scale.log_bytes(numbers, bare) == 27 * (350 + 26)


def test_a_month_without_a_payment_by_hand() -> None:
    """720 h x 0.01 are 7.20 an endpoint. dev has 5 x 2 of them, and 36 metrics in alarms.

    72.00 + 6.00 + 5.00 + 3.60 + 3.00 + 0.40 + 0.08, and 43.20 + 6.00 + 5.00 + 3.00 + 2.90 + 0.08. A row names both
    numbers if they differ. 12 x 720 runs of the sealer have a test of their own.
    """
    assert scale.tables(GIVEN_INPUTS, DECLARED, DEPLOYMENTS)["idle"].splitlines() == [
        "| a month without a payment, USD | dev | prod |",
        "| --- | --: | --: |",
        "| endpoints, one for each zone: 10 in dev, 6 in prod | 72.00 | 43.20 |",
        "| metrics of our own: 20 | 6.00 | 6.00 |",
        "| keys, before their first rotation: 5 | 5.00 | 5.00 |",
        "| metrics in alarms: 36 in dev, 29 in prod | 3.60 | 2.90 |",
        "| dashboards: 1 | 3.00 | 3.00 |",
        "| processors' secrets: 1 in dev, 0 in prod | 0.40 | 0.00 |",
        "| runs of the sealer: 8,640 | 0.08 | 0.08 |",
        "| **together** | **90.08** | **60.18** |",
    ]


def test_a_run_of_the_sealer_by_hand(numbers: Numbers) -> None:
    """16 queries of indexes are 8 read units, and the last seal 3: 11 x 0.125; a request 0.20 and a trace 5.00.

    All of this is for a million. 0.1 s x 1.75 GB are 2.333345.
    """
    numbers |= GIVEN_SEALS
    assert scale.run_cost(numbers) * 10**6 == Decimal("1.375") + Decimal("5.20") + Decimal("2.333345")


def test_the_cost_that_is_highest_anywhere_comes_first() -> None:
    """A cost may be the largest of one bill and absent from the other. A cost that neither bill has is left out."""
    costs = [("everywhere", 3, 3), ("in one", 5, 0), ("nowhere", 0, 0)]
    bills = {
        name: [Cost(cost[0], Decimal(cost[column]), Decimal(cost[column])) for cost in costs]
        for column, name in ((1, "a"), (2, "b"))
    }
    assert scale.rows(bills) == [["in one: 5 in a, 0 in b", "5.00", "0.00"], ["everywhere: 3", "3.00", "3.00"]]


def test_a_changed_section_changes_the_tables() -> None:
    """If dev closes its webhook, 2 x 2 x 7.20 for endpoints, 4 x 0.10 for metrics and 0.40 for a secret are saved."""
    closed = facts.deployments(SAMCONFIG.replace("Webhook=open", "Webhook=closed"), DECLARED)
    made = scale.tables(GIVEN_INPUTS, DECLARED, closed)
    assert "| endpoints, one for each zone: 6 | 43.20 | 43.20 |" in made["idle"]
    assert "| **together** | **60.48** | **60.18** |" in made["idle"]
    assert "secrets" not in made["idle"] + made["removed"]
    renamed = facts.deployments(SAMCONFIG.replace("[prod.", "[live."), DECLARED)
    assert scale.tables(INPUTS, DECLARED, renamed)["idle"].startswith("| a month without a payment, USD | dev | live |")


def test_what_stays_by_hand() -> None:
    """5 keys at 1.00, and in dev a secret at 0.40; below them, what each GB costs."""
    assert scale.tables(GIVEN_INPUTS, DECLARED, DEPLOYMENTS)["removed"].splitlines() == [
        "| a month after `sam delete`, USD | dev | prod |",
        "| --- | --: | --: |",
        "| keys, before their first rotation: 5 | 5.00 | 5.00 |",
        "| processors' secrets, which the command made: 1 in dev, 0 in prod | 0.40 | 0.00 |",
        "| queues: 1 | 0.00 | 0.00 |",
        "| **together, with nothing stored** | **5.40** | **5.00** |",
        "| each GB in tables and their indexes: 3 | 0.25 | 0.25 |",
        "| each GB in tables, for point-in-time recovery: 3 | 0.20 | 0.20 |",
        "| each GB in log groups, until it expires: 18 | 0.03 | 0.03 |",
        "| SAM's bucket, with the artefacts | unknown | unknown |",
    ]


def test_a_resource_stays_if_its_deletion_policy_says_so() -> None:
    """Both retaining policies count, and no other; a retained version is deleted with its function."""
    changed = copy.deepcopy(DECLARED)
    resources = changed["Resources"]
    resources["Another"] = {**resources["TokenKey"], "DeletionPolicy": "Retain"}
    resources["InDev"] = {**resources["TokenKey"], "Condition": "HasWebhook"}
    resources["Deleted"] = {**resources["TokenKey"], "DeletionPolicy": "Delete"}
    resources["AnotherTable"] = copy.deepcopy(resources["PaymentLedgerTable"])
    resources["PaymentLedgerTable"]["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] = (
        False
    )
    made = cells(scale.tables(GIVEN_INPUTS, changed, DEPLOYMENTS)["removed"])
    assert made["keys, before their first rotation: 7 in dev, 6 in prod"] == ["7.00", "6.00"]
    assert made["each GB in tables and their indexes: 4"] == ["0.25", "0.25"]
    assert made["each GB in tables, for point-in-time recovery: 3"] == ["0.20", "0.20"]
    resources["Disk"] = {"Type": "AWS::EFS::FileSystem", "DeletionPolicy": "Retain", "Properties": {}}
    with pytest.raises(ScaleError, match=r"\Atemplate\.yaml: AWS::EFS::FileSystem is retained, .+\Z"):
        scale.tables(GIVEN_INPUTS, changed, DEPLOYMENTS)


def test_a_bucket_of_checkpoints_costs_nearly_nothing_after_its_stack() -> None:
    """Its endpoint goes with the stack, and a checkpoint has some 300 bytes."""
    kept = {"dev": {**DEPLOYMENTS["dev"], "CheckpointYears": "10"}, "prod": {"CheckpointYears": "10"}}
    without = {"dev": DEPLOYMENTS["dev"], "prod": {}}
    removed = [scale.tables(GIVEN_INPUTS, DECLARED, deployed)["removed"] for deployed in (kept, without)]
    assert removed[0] == removed[1]


@pytest.mark.parametrize(("exact", "shown"), [("0.005", "0.01"), ("0.0049", "0.00"), ("1234.5", "1,234.50")])
def test_money_is_rounded_once_and_half_up(exact: str, shown: str) -> None:
    """A bill does so. Sums add exact amounts."""
    assert scale.money(Decimal(exact)) == shown
