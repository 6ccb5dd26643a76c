"""docs/scale.md: its tables are what comes of docs/scale.toml and of the stack, and the arithmetic is right."""

import copy
import itertools
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT, scale
from ledger_cli.engine import Engine, template
from ledger_cli.scale import Cost, Index, Numbers, ScaleError, Way
from tests.conftest import Faults, intake_of

TEXT = scale.INPUTS.read_text()
INPUTS = scale.inputs_of(TEXT)
DECLARED = template.load(ROOT / "template.yaml")
GIVEN = {
    "start_transitions": "1", "transitions_per_1000": "0.025", "lambda_requests_per_million": "0.20",
    "lambda_gb_s": "0.0000133334", "validate_ms": "10", "encrypt_ms": "40", "persist_ms": "40", "publish_ms": "80",
    "state_ms": "25", "express_requests_per_million": "1.00", "express_gb_s": "0.00001667", "express_memory_mb": "64",
    "express_step_ms": "100", "durable_operations_per_million": "8.00", "durable_written_gb": "0.25",
    "durable_kept_gb_month": "0.15", "durable_bytes": "1000", "durable_days": "90", "hours_per_month": "720",
    "kms_requests_per_10000": "0.03", "kms_requests_per_call": "1", "kms_requests_for_history": "0",
    "dynamodb_writes_per_million": "0.625", "token_bytes": "64", "kms_ciphertext_overhead_bytes": "170",
    "endpoint_hour": "0.01", "kms_key_month": "1.00", "traces_per_s": "1", "traced_share": "0.05",
    "events_per_million": "1.00", "start_execution_per_s": "300", "state_transitions_per_s": "5000",
    "dynamodb_partition_units_per_s": "1000", "lambda_concurrency": "1000",
}  # fmt: skip
"""What the sums below are written out for, whatever the file says by then."""

MILLION = Decimal(1_000_000)


@pytest.fixture
def numbers() -> Numbers:
    """The file's inputs, with the given ones in their place."""
    inputs = INPUTS | {name: {**INPUTS[name], "value": Decimal(value)} for name, value in GIVEN.items()}
    return scale.numbers_of(inputs, DECLARED)


def amount(bill: list[Cost], what: str) -> Decimal:
    """Of one item of a bill."""
    (found,) = [cost.amount for cost in bill if cost.what == what]
    return found


def way(numbers: Numbers, part_of_the_name: str) -> Way:
    """One of the ways that are compared."""
    (found,) = [each for each in scale.ways(numbers) if part_of_the_name in each.name]
    return found


def padded(size_bytes: int) -> dict[str, Any]:
    """An unpublished item of that size in all."""
    item = {"TransactionID": {"S": "t"}, "RecordedAt": {"S": "2026-11-24T00:00:00.000000Z"}, "Unpublished": {"S": "3"}}
    item["Metadata"] = {"S": ""}
    return {**item, "Metadata": {"S": "x" * (size_bytes - scale.item_bytes(item))}}


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_is_what_the_program_makes() -> None:
    """A price that was changed in one place only would be believed in the other."""
    assert scale.PAGE.read_text() == scale.page_of(TEXT, scale.PAGE.read_text()), "run: make scale"


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_shows_on_the_page(name: str) -> None:
    """One that changes nothing is a number that somebody looks up for no purpose; so would be a page made once."""
    changed = INPUTS | {name: {**INPUTS[name], "value": INPUTS[name]["value"] * 10 + 1}}
    assert scale.blocks(changed, DECLARED) != scale.blocks(INPUTS, DECLARED)


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_input_is_named(name: str) -> None:
    """Not a traceback, and not a zero in a bill."""
    without = {other: line for other, line in INPUTS.items() if other != name}
    with pytest.raises(ScaleError, match=rf"\Adocs/scale\.toml: {name} is missing\Z"):
        scale.blocks(without, DECLARED)


def test_the_command_writes_the_page_or_one_line(tmp_path: Path) -> None:
    """`make scale` after a slip of the pen must leave the page as it was."""
    inputs, page = tmp_path / "scale.toml", tmp_path / "scale.md"
    inputs.write_text(TEXT.replace('value = "0.025"', 'value = "0.05"'))
    page.write_text(scale.PAGE.read_text())
    scale.main(inputs, page)
    written = page.read_text()
    assert "| Step Functions: transitions | 250.00 |" in written
    inputs.write_text(TEXT.replace('value = "0.025"', "value = 0.025"))
    with pytest.raises(SystemExit, match=r"\Adocs/scale\.toml: transitions_per_1000: value must .* in quotes\Z"):
        scale.main(inputs, page)
    assert page.read_text() == written


@pytest.mark.parametrize(("marker", "name"), [("<!-- ways: made by make scale -->", "ways"), ("<!-- end -->", "first")])
def test_lost_markers_are_noticed(marker: str, name: str) -> None:
    """Else a table that somebody broke while editing would never be made again, or take the rest of the page along."""
    with pytest.raises(ScaleError, match=f"the markers of {name} are missing"):
        scale.page_of(TEXT, scale.PAGE.read_text().replace(marker, ""))


def test_tables_have_what_weighs_most_first_and_the_target_too() -> None:
    """A reader looks at the first line; and for what suffices nobody is to be asked."""
    inputs = INPUTS | {
        "target_per_s": {**INPUTS["target_per_s"], "value": INPUTS["start_execution_per_s"]["value"] * 2}
    }
    made = scale.blocks(inputs, DECLARED)
    amounts = [Decimal(found) for found in re.findall(r"\| ([0-9.]+) \|$", made["million"], re.MULTILINE)]
    assert amounts == sorted(amounts, reverse=True)
    assert re.search(r"^\| StartExecution .* \| 600: ask AWS \|$", made["limits"], re.MULTILINE)
    assert re.search(r"^\| 600 \| ", made["months"], re.MULTILINE)
    inputs["target_per_s"]["value"] = INPUTS["start_execution_per_s"]["value"]
    assert re.search(r"^\| StartExecution .* \| enough \|$", scale.blocks(inputs, DECLARED)["limits"], re.MULTILINE)


# ── The inputs ───────────────────────────────────────────────────────────────────────────────────────

LINE = 'a = { value = "1.5", unit = "USD", read = 2026-11-24, source = "some document" }'
WRONG = {
    "a float": LINE.replace('"1.5"', "1.5"),
    "an exponent": LINE.replace('"1.5"', '"1e5"'),
    "a sign": LINE.replace('"1.5"', '"-1.5"'),
    "a boolean": LINE.replace('"1.5"', "true"),
    "no value": LINE.replace('value = "1.5", ', ""),
    "no unit": LINE.replace('unit = "USD", ', ""),
    "no date": LINE.replace("read = 2026-11-24, ", ""),
    "a date as text": LINE.replace("2026-11-24", '"2026-11-24"'),
    "no source": LINE.replace(', source = "some document"', ""),
    "a bare number": "a = 3",
    "an empty source": LINE.replace("some document", ""),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_line_that_is_not_complete_is_one_line_of_complaint(text: str) -> None:
    """A number without a date and a source cannot be checked by anybody, and a float is not what was written."""
    with pytest.raises(ScaleError, match=r"\Adocs/scale\.toml: a: .+\Z"):
        scale.inputs_of(f"[prices]\n{text}")


def test_a_complete_line_is_taken_exactly() -> None:
    """Else the test above proves nothing; and a tenth stays a tenth."""
    assert scale.inputs_of(f"[prices]\n{LINE}")["a"]["value"] == Decimal("1.5")
    whole = LINE.replace('"1.5"', "3")
    assert scale.inputs_of(f"[prices]\n{whole}")["a"]["value"] == Decimal(3)


def test_a_line_stands_in_a_section() -> None:
    """Above the first section's head, TOML takes a line for a section of its own."""
    with pytest.raises(ScaleError, match=r"\Adocs/scale\.toml: a stands in no section\Z"):
        scale.inputs_of("a = 3")


def test_a_zero_that_is_divided_by_is_one_line_of_complaint(tmp_path: Path) -> None:
    """A traceback would not say which file to mend."""
    inputs, page = tmp_path / "scale.toml", tmp_path / "scale.md"
    inputs.write_text(re.sub(r"(hours_per_month = { value = )\d+", r"\g<1>0", TEXT))
    page.write_text(scale.PAGE.read_text())
    with pytest.raises(SystemExit, match=r"\Adocs/scale\.toml: a value is 0 .+\Z"):
        scale.main(inputs, page)


def test_the_webhook_may_stop_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is the template's own: raised, it is no longer among the first."""
    declared = copy.deepcopy(DECLARED)
    declared["Resources"]["WebhookApi"]["Properties"]["DefaultRouteSettings"]["ThrottlingRateLimit"] = 2500
    first = scale.blocks(INPUTS, declared)["first"]
    assert "StartExecution stops first" in first


def test_a_name_is_there_once() -> None:
    """TOML itself forbids it within a section only; the second would win in silence."""
    with pytest.raises(ScaleError, match="a is there twice"):
        scale.inputs_of(f"[prices]\n{LINE}\n[rules]\n{LINE}")
    with pytest.raises(ScaleError, match=r"\Adocs/scale\.toml: .*overwrite.*\Z"):
        scale.inputs_of(f"[prices]\n{LINE}\n{LINE}")


def test_a_source_says_how_sure_it_is() -> None:
    """What begins with neither is taken for an AWS document, so it must name one."""
    kinds = ("from memory, to be checked: ", "second hand: ", "assumed: ", "measured: ")
    for name, line in INPUTS.items():
        of_aws = re.match(r"[\w -]+ (Developer Guide|User Guide|PrivateLink Guide|Pricing)\b", line["source"])
        assert line["source"].startswith(kinds) or of_aws, name


# ── What a payment takes, as it is and not as it was once written down ───────────────────────────────


def test_a_payment_makes_the_calls_that_are_priced(engine: Engine, faults: Faults, payment: dict[str, Any]) -> None:
    """One more call in a function is one more on every bill, and less under a quota."""
    execution = engine.ended(intake_of(engine).deliver(payment).execution)
    assert execution.outcome == "RECORDED"
    looks = {"Invoke", "DescribeExecution", "GetExecutionHistory"}  # the engine's own
    made = Counter(call for call in faults.calls if call not in looks)
    assert made == Counter(itertools.chain.from_iterable(scale.CALLS.values()))


def test_what_is_called_measured_is_measured_here(engine: Engine) -> None:
    """The logs and the event of the first sample, within a twentieth; its history to the event."""
    execution = engine.run((ROOT / "events/start/01-success.json").read_text())
    lines = [line for function in engine.functions.values() for text in function.logs for line in text.splitlines()]
    value = {name: int(line["value"]) for name, line in INPUTS.items()}
    assert len(lines) == value["own_log_events"]
    assert sum(len(line) + 1 for line in lines) == pytest.approx(value["own_log_bytes"], rel=0.05)
    (event,) = engine.published()
    assert 0.9 * value["event_bytes"] < len(json.dumps(event)) <= value["event_bytes"]
    states = len(execution.states)
    assert len(engine.history(execution.arn)) == states * value["history_events_per_state"] + 2


def test_the_item_is_the_one_that_is_written(engine: Engine) -> None:
    """Its size decides what a write costs: every attribute must be there, and no other."""
    engine.run((ROOT / "events/start/01-success.json").read_text())
    (item,) = engine.items()
    assert scale.published(scale.sample_item(10)).keys() == item.keys()


def test_the_facts_are_the_templates() -> None:
    """Only what is there by default is paid by default."""
    changed = copy.deepcopy(DECLARED)
    resources = changed["Resources"]
    changed["Globals"]["Function"]["MemorySize"] = 1024
    resources["Another"] = resources["KmsEndpoint"]
    resources["AnotherKey"] = resources["TokenKey"]
    resources["AnotherAlarm"] = resources["TechnicalFailuresAlarm"]  # an expression over three metrics
    resources["NotByDefault"] = {**resources["KmsEndpoint"], "Condition": "HasWebhook"}
    before, after = scale.facts(DECLARED), scale.facts(changed)
    assert after["memory_gb"] == 1
    assert after["endpoint_zones"] == before["endpoint_zones"] + 2
    assert after["keys"] == before["keys"] + 1
    assert after["alarm_metrics"] == before["alarm_metrics"] + 3


# ── Arithmetic, by hand ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("item", "size_bytes"),
    [
        ({}, 0),
        ({"ab": {"S": "xyz"}}, 2 + 3),
        ({"ü": {"S": "ü"}}, 2 + 2),
        ({"a": {"B": b"12345"}}, 1 + 5),
        ({"a": {"N": "129.9"}}, 1 + 2 + 1),  # four digits
        ({"a": {"N": "12900"}}, 1 + 2 + 1),  # three that count
        ({"a": {"N": "0"}}, 1 + 1),
        ({"m": {"M": {}}}, 1 + 3),
        ({"m": {"M": {"k": {"S": "v"}, "l": {"S": "w"}}}}, 1 + 3 + 2 * (1 + 1 + 1)),
    ],
)
def test_an_items_size(item: dict[str, Any], size_bytes: int) -> None:
    """DynamoDB's own rules: names count, a number has a byte for two digits."""
    assert scale.item_bytes(item) == size_bytes


SPARSE = Index("sparse", frozenset({"Unpublished"}), frozenset({"Unpublished", "TransactionID", "Metadata"}))
MARKED = Index("marked", frozenset({"RecordedAt"}), frozenset({"RecordedAt", "TransactionID", "PublishedAt"}))
UNMARKED = Index("unmarked", frozenset({"RecordedAt"}), frozenset({"RecordedAt", "TransactionID"}))
ABSENT = Index("absent", frozenset({"Absent"}), frozenset({"Absent", "TransactionID"}))


@pytest.mark.parametrize(
    ("size_bytes", "table", "sparse"),
    [
        (300, 1 + 1, 1 + 1),
        (1000, 1 + 2, 1 + 1),  # the publication's time makes it larger than 1,024 bytes
        (1024, 1 + 2, 1 + 1),
        (1025, 2 + 2, 1 + 1),
        (2048, 2 + 3, 2 + 2),
    ],
)
def test_write_units_of_a_payment(size_bytes: int, table: int, sparse: int) -> None:
    """A put and an update of the table; an index pays for what enters, changes and leaves, and for nothing else."""
    units = scale.units_of_a_payment(padded(size_bytes), [SPARSE, MARKED, UNMARKED, ABSENT])
    assert units == {"table": table, "sparse": sparse, "marked": 1 + 1, "unmarked": 1, "absent": 0}


def test_transitions_are_four_states_and_the_start(numbers: Numbers) -> None:
    """The largest line: 5 transitions x 1,000,000 payments at 0.025 for 1,000 are 125 dollars."""
    bill = scale.costs(numbers, way(numbers, "ours"), MILLION, Decimal(1))
    assert amount(bill, "Step Functions: transitions") == Decimal(125)


def test_functions_and_services(numbers: Numbers) -> None:
    """4 x 0.20; 0.170 s x 0.25 GB x 0.0000133334 x 10^6; 2 KMS requests; 6 write units (2 in the table, 2 an index)."""
    bill = scale.costs(numbers, way(numbers, "ours"), MILLION, Decimal(1))
    assert amount(bill, "Lambda: requests") == Decimal("0.80")
    assert amount(bill, "Lambda: GB-seconds") == Decimal("0.5666695")
    assert amount(bill, "KMS: requests") == Decimal(6)
    assert amount(bill, "DynamoDB: writes") == Decimal("3.75")
    assert amount(bill, "EventBridge: events") == Decimal(1)
    assert scale.total(bill) == sum(cost.amount for cost in bill)
    assert scale.total(bill, "functions") == Decimal("1.3666695")


def test_data_keys_of_the_history_are_priced_where_there_is_one(numbers: Numbers) -> None:
    """3 requests for ours and 2 for a plain function, at 0.03 for 10,000; and a third less under the quota."""
    numbers |= {"kms_requests_for_history": Decimal(1), "kms_requests_per_s": Decimal(100_000)}
    priced = [scale.costs(numbers, way(numbers, name), MILLION, Decimal(1)) for name in ("ours", "plain")]
    assert [amount(bill, "KMS: requests") for bill in priced] == [9, 6]
    (kms,) = [limit for limit in scale.limits(numbers, scale.indexes(DECLARED)) if limit.resource == "KMS"]
    assert kms.carried == 33_333


def test_what_is_kept_is_paid_for_as_long_as_it_is_kept(numbers: Numbers) -> None:
    """1.3 GB at 0.25; 0.8 GB at 0.20; 1 GB of events at 0.10 and for 12 months at 0.02; 3 months of logs at a tenth."""
    numbers |= {
        "stored_bytes": Decimal(800), "indexed_bytes": Decimal(500), "dynamodb_gb_month": Decimal("0.25"),
        "dynamodb_recovery_gb_month": Decimal("0.20"), "event_bytes": Decimal(1000), "archive_gb": Decimal("0.10"),
        "archive_gb_month": Decimal("0.02"), "archive_days": Decimal(360), "log_days": Decimal(90),
        "logs_gb": Decimal("0.50"), "logs_gb_month": Decimal("0.05"),
    }  # fmt: skip
    bill = scale.costs(numbers, way(numbers, "ours"), MILLION, Decimal(1))
    assert amount(bill, "DynamoDB: each month kept") == Decimal("0.325")
    assert amount(bill, "DynamoDB: each month's recovery") == Decimal("0.16")
    assert amount(bill, "EventBridge: archive, taken in") == Decimal("0.10")
    assert amount(bill, "EventBridge: archive, kept") == Decimal("0.24")
    assert amount(bill, "CloudWatch: logs, kept") == amount(bill, "CloudWatch: logs, taken in") * 3 / 10


def test_a_longer_token_is_in_the_table_alone() -> None:
    """1,024 bytes more: the table's two writes cost two units each; of the indexes, only one keeps an entry."""
    longer = {**INPUTS["token_bytes"], "value": INPUTS["token_bytes"]["value"] + 1024}
    before, after = (scale.numbers_of(inputs, DECLARED) for inputs in (INPUTS, INPUTS | {"token_bytes": longer}))
    assert after["units table"] == before["units table"] + 2
    assert after["units"] == before["units"] + 2
    assert after["stored_bytes"] == before["stored_bytes"] + 1024
    assert after["indexed_bytes"] == before["indexed_bytes"]
    overhead = {**INPUTS["item_overhead_bytes"], "value": INPUTS["item_overhead_bytes"]["value"] + 7}
    heavier = scale.numbers_of(INPUTS | {"item_overhead_bytes": overhead}, DECLARED)
    assert heavier["stored_bytes"] == before["stored_bytes"] + 7
    assert heavier["indexed_bytes"] == before["indexed_bytes"] + 7


def test_an_index_has_the_tables_key_too() -> None:
    """DynamoDB projects it unasked; without it an entry would seem smaller."""
    assert all("TransactionID" in index.attributes for index in scale.indexes(DECLARED))


def test_data_through_endpoints(numbers: Numbers) -> None:
    """20,000 bytes x 10^6 are 20 GB at 0.01; 10 Gbit/s are 1.25 x 10^9 bytes, enough for 62,500 payments."""
    numbers |= {name: Decimal(value) for name, value in
                {"network_bytes": 20_000, "endpoint_gb": "0.01", "endpoint_gigabits_per_s": 10}.items()}  # fmt: skip
    bill = scale.costs(numbers, way(numbers, "ours"), MILLION, Decimal(1))
    assert amount(bill, "endpoints: data") == Decimal("0.20")
    (zone,) = [each for each in scale.limits(numbers, scale.indexes(DECLARED)) if "in one zone" in each.resource]
    assert zone.carried == 62_500


def test_an_express_execution_is_rounded_up(numbers: Numbers) -> None:
    """170 ms of functions and 4 x 25 ms of states are 270 ms, paid as 300: 0.3 s x 0.0625 GB x 0.00001667 x 10^6."""
    bill = scale.costs(numbers, way(numbers, "Express"), MILLION, Decimal(1))
    assert scale.total(bill, "workflow") == Decimal("1.00") + Decimal("0.3125625")


def test_durable_operations(numbers: Numbers) -> None:
    """A start and 4 steps: 5 x 8.00; 5 GB written at 0.25; kept 90 days, which are 3 months of 720 hours, at 0.15."""
    bill = scale.costs(numbers, way(numbers, "durable"), MILLION, Decimal(1))
    assert scale.total(bill, "workflow") == Decimal(40) + Decimal("1.25") + Decimal("2.25")


def test_a_workflow_without_functions_and_endpoints(numbers: Numbers) -> None:
    """5 states and the start are 6 transitions: 150 dollars; no Lambda, and no endpoint to pay by the hour."""
    bare = way(numbers, "calls AWS itself")
    bill = scale.costs(numbers, bare, MILLION, Decimal(1))
    assert scale.total(bill, "workflow") == Decimal(150)
    assert {cost.what for cost in bill}.isdisjoint({"Lambda: requests", "Lambda: GB-seconds", "endpoints: data"})
    ours = scale.fixed_costs(numbers, way(numbers, "ours"))
    assert scale.total(ours) - scale.total(scale.fixed_costs(numbers, bare)) == Decimal("43.20")  # 3 x 2 x 720 x 0.01


def test_logs_count_each_event(numbers: Numbers) -> None:
    """1 invocation: 3 + 5 events of 450 + 1,960 bytes, a flow record of 500, 26 bytes for each; a history has 22."""
    numbers |= {
        "platform_log_events": Decimal(3), "platform_log_bytes": Decimal(450), "own_log_events": Decimal(5),
        "own_log_bytes": Decimal(1960), "flow_log_bytes": Decimal(500), "log_event_overhead_bytes": Decimal(26),
        "history_event_bytes": Decimal(350),
    }  # fmt: skip
    assert way(numbers, "ours").history_events == 22
    assert scale.log_bytes(numbers, Way("one", invocations=Decimal(1))) == 450 + 1960 + 500 + 9 * 26
    assert scale.log_bytes(numbers, Way("none", history_events=Decimal(22), private=False)) == 22 * (350 + 26)


@pytest.mark.parametrize(("payments_per_s", "share"), [("0.4", "1"), ("1", "1"), ("5", "0.24")])
def test_few_payments_are_all_traced(numbers: Numbers, payments_per_s: str, share: str) -> None:
    """One a second and a twentieth of the rest: of 5 a second, 1 + 4 x 0.05 are 1.2, which is 0.24 of them."""
    assert scale.traced_share(numbers, Decimal(payments_per_s)) == Decimal(share)


def test_limits_stand_in_the_order_in_which_they_stop(numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 starts; 5,000 / 5; 6 shards x 1,000 / 2; 1,000 / 0.17 rounded down."""
    monkeypatch.setattr(scale, "SHARDS", 6)
    found = scale.limits(numbers, scale.indexes(DECLARED))
    carried = {limit.resource: limit.carried for limit in found}
    assert carried["StartExecution"] == 300
    assert carried["state transitions"] == 1000
    assert carried["index UnpublishedPayments"] == 3000
    assert carried["Lambda: concurrency"] == 5882
    assert list(carried.values()) == sorted(carried.values())


@pytest.mark.parametrize(("exact", "shown"), [("0.005", "0.01"), ("0.0049", "0.00"), ("1234.5", "1,234.50")])
def test_money_is_rounded_once_and_half_up(exact: str, shown: str) -> None:
    """As on a bill; sums are made of what is exact."""
    assert scale.money(Decimal(exact)) == shown
