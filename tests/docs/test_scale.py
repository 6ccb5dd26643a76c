"""The tables of scale and price follow from docs/concepts/scale.toml and the stack; the arithmetic is right."""

import copy
import itertools
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine, template
from tests.support.faults import Faults
from tests.support.intake import intake_of
from tools import scale
from tools.scale import Cost, Deployment, Index, Numbers, ScaleError, Way

TEXT = scale.INPUTS.read_text()
INPUTS = scale.inputs_of(TEXT)
DECLARED = template.load(ROOT / "template.yaml")
SAMCONFIG = scale.SAMCONFIG.read_text()
DEPLOYED = scale.deployments(SAMCONFIG, DECLARED)
PAGES = {name: page for name, page in scale.read_pages(scale.DOCS).items() if scale.MARKER.search(page)}
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
    "dynamodb_partition_units_per_s": "1000", "lambda_concurrency": "1000", "recorded_metrics": "20",
    "metric_month": "0.30", "alarm_metric_month": "0.10", "dashboard_month": "3.00", "secret_month": "0.40",
    "queue_month": "0", "dynamodb_gb_month": "0.25", "dynamodb_recovery_gb_month": "0.20", "logs_gb_month": "0.03",
}  # fmt: skip
"""What the sums below are written out for, whatever the file says by then."""

MILLION = Decimal(1_000_000)


GIVEN_INPUTS = INPUTS | {name: {**INPUTS[name], "value": Decimal(value)} for name, value in GIVEN.items()}


@pytest.fixture
def numbers() -> Numbers:
    """Return the file's inputs, with the given ones in their place."""
    return scale.numbers_of(GIVEN_INPUTS, DECLARED)


def amount(bill: list[Cost], what: str) -> Decimal:
    """Return the amount of one item of a bill."""
    (found,) = [cost.amount for cost in bill if cost.what == what]
    return found


def way(numbers: Numbers, part_of_the_name: str) -> Way:
    """Return one of the ways that are compared."""
    (found,) = [each for each in scale.ways(numbers) if part_of_the_name in each.name]
    return found


def padded(size_bytes: int) -> dict[str, Any]:
    """Return an unpublished item that has that size in all."""
    item = {"TransactionID": {"S": "t"}, "RecordedAt": {"S": "2026-11-24T00:00:00.000000Z"}, "Unpublished": {"S": "3"}}
    item["Metadata"] = {"S": ""}
    return {**item, "Metadata": {"S": "x" * (size_bytes - scale.item_bytes(item))}}


# ── The pages ────────────────────────────────────────────────────────────────────────────────────────


def test_the_pages_are_what_the_program_makes() -> None:
    """If a price were changed in one place only, readers would believe the other."""
    assert {"docs/operate/deploying.md", "docs/concepts/scale.md"} <= PAGES.keys()
    assert scale.pages_of(TEXT, PAGES) == PAGES, "run: make generate"


def test_a_part_is_the_same_in_every_page() -> None:
    """Both pages show what a month costs: the program makes one table for both."""
    made = scale.blocks(INPUTS, DECLARED, DEPLOYED)
    for path, name in itertools.product(("docs/operate/deploying.md", "docs/concepts/scale.md"), ("fixed", "removed")):
        assert f"<!-- {name}: made by make generate -->\n{made[name]}\n<!-- end -->" in PAGES[path]


def test_the_readme_states_the_idle_cost() -> None:
    """A team decides by it whether to try the stack."""
    text = (ROOT / "README.md").read_text()
    totals = scale.idle_totals()
    assert f"`prod` costs about {scale.money(totals['prod'])} USD a month" in text
    assert f"`dev` about {scale.money(totals['dev'])} USD" in text


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_shows_on_the_page(name: str) -> None:
    """Nobody should look up a number that changes nothing, and no page should be made only once."""
    changed = INPUTS | {name: {**INPUTS[name], "value": INPUTS[name]["value"] * 10 + 1}}
    assert scale.blocks(changed, DECLARED, DEPLOYED) != scale.blocks(INPUTS, DECLARED, DEPLOYED)


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_input_is_named(name: str) -> None:
    """The program prints no traceback, and puts no zero into a bill."""
    without = {other: line for other, line in INPUTS.items() if other != name}
    with pytest.raises(ScaleError, match=rf"\Adocs/concepts/scale\.toml: {name} is missing\Z"):
        scale.blocks(without, DECLARED, DEPLOYED)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Copy the folder of pages and inputs, with a page that has no markers, and return it."""
    folder = tmp_path / "docs"
    for path, page in PAGES.items():
        copied = folder / "concepts" / Path(path).name
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(page)
    (folder / "other.md").write_text("No table.\n")
    (folder / "scale.toml").write_text(TEXT)
    return folder


def test_a_changed_input_changes_the_pages_or_is_one_line(docs: Path) -> None:
    """`make generate` after a slip of the pen must leave the pages as they were."""
    inputs, pages = docs / "scale.toml", [docs / "concepts/scale.md", docs / "concepts/deploying.md"]
    changed = TEXT.replace('value = "0.025"', 'value = "0.05"').replace('value = "3.00"', 'value = "5.00"')
    inputs.write_text(changed)
    made = scale.generated_pages(inputs, docs)
    written = [made[page] for page in pages]
    assert "| Step Functions: transitions | 250.00 |" in written[0]
    assert all("| dashboards: 1 | 5.00 | 5.00 |" in page for page in written)
    assert made.keys() == {*pages}, "a page without markers has no reason to be written"
    inputs.write_text(TEXT.replace('value = "0.025"', "value = 0.025"))
    with pytest.raises(
        ScaleError, match=r"\Adocs/concepts/scale\.toml: transitions_per_1000: value must .* in quotes\Z"
    ):
        scale.generated_pages(inputs, docs)


BEGIN, END = "<!-- fixed: made by make generate -->", "<!-- end -->"
BROKEN = {
    "a beginning is lost": (f"# A\n\nold\n{END}\n", "a.md, line 4: a marker lacks its other"),
    "an end is lost": (f"# A\n\n{BEGIN}\nold\n", "a.md, line 3: a marker lacks its other"),
    "an end is lost before another part": (f"{BEGIN}\nold\n{BEGIN}\n{END}\n", "a.md, line 3: a marker lacks its other"),
    "an end is there twice": (f"{BEGIN}\nold\n{END}\n{END}\n", "a.md, line 4: a marker lacks its other"),
    "a name is misspelt": (f"\n{BEGIN.replace('fixed', 'fixd')}\nold\n{END}\n", "a.md, line 2: there is no part fixd"),
}


@pytest.mark.parametrize(("page", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_marker_is_named(page: str, message: str) -> None:
    """Without the line, a table that somebody broke would never be made again, or would remove the rest of the page."""
    with pytest.raises(ScaleError, match=rf"\A{re.escape(message)}\Z"):
        scale.page_of("a.md", page, {"fixed": "new"})


def test_a_page_keeps_what_is_outside_its_markers() -> None:
    """A part may stand in a page twice, empty or not, and beside others."""
    page = f"# A\n{BEGIN}\n{END}\nbetween\n{BEGIN}\nold\nold\n{END}\nand {END} in a line\n"
    made = f"# A\n{BEGIN}\nnew\n{END}\nbetween\n{BEGIN}\nnew\n{END}\nand {END} in a line\n"
    assert scale.page_of("a.md", page, {"fixed": "new", "other": "unused"}) == made


@pytest.mark.parametrize("name", ["ways", "first"])
def test_a_part_that_no_page_shows_is_named(name: str) -> None:
    """The program would calculate a table for nobody. If two pages may have it, one may do without."""
    without = {path: re.sub(rf"<!-- {name}: (?s:.*?)<!-- end -->\n", "", page) for path, page in PAGES.items()}
    with pytest.raises(ScaleError, match=rf"\Adocs: no page has the markers of {name}\Z"):
        scale.pages_of(TEXT, without)
    assert scale.pages_of(TEXT, {"docs/concepts/scale.md": PAGES["docs/concepts/scale.md"]})


def test_tables_have_what_weighs_most_first_and_the_target_too() -> None:
    """A reader looks at the first line, and need not ask about a limit that suffices."""
    inputs = INPUTS | {
        "target_per_s": {**INPUTS["target_per_s"], "value": INPUTS["start_execution_per_s"]["value"] * 2}
    }
    made = scale.blocks(inputs, DECLARED, DEPLOYED)
    amounts = [Decimal(found) for found in re.findall(r"\| ([0-9.]+) \|$", made["million"], re.MULTILINE)]
    assert amounts == sorted(amounts, reverse=True)
    assert re.search(r"^\| StartExecution .* \| 600: ask AWS \|$", made["limits"], re.MULTILINE)
    assert re.search(r"^\| 600 \| ", made["months"], re.MULTILINE)
    inputs["target_per_s"]["value"] = INPUTS["start_execution_per_s"]["value"]
    assert re.search(
        r"^\| StartExecution .* \| enough \|$", scale.blocks(inputs, DECLARED, DEPLOYED)["limits"], re.MULTILINE
    )


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
    """Nobody can check a number without a date and a source, and a float is not the number that was written."""
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: a: .+\Z"):
        scale.inputs_of(f"[prices]\n{text}")


def test_a_complete_line_is_taken_exactly() -> None:
    """Without this test, the one above proves nothing. A tenth stays a tenth."""
    assert scale.inputs_of(f"[prices]\n{LINE}")["a"]["value"] == Decimal("1.5")
    whole = LINE.replace('"1.5"', "3")
    assert scale.inputs_of(f"[prices]\n{whole}")["a"]["value"] == Decimal(3)


def test_a_line_stands_in_a_section() -> None:
    """Above the first section's head, TOML takes a line for a section."""
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: a stands in no section\Z"):
        scale.inputs_of("a = 3")


def test_a_zero_that_is_divided_by_is_one_line_of_complaint(docs: Path) -> None:
    """A traceback would not say which file to correct."""
    inputs = docs / "scale.toml"
    inputs.write_text(re.sub(r"(hours_per_month = { value = )\d+", r"\g<1>0", TEXT))
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: a value is 0 .+\Z"):
        scale.generated_pages(inputs, docs)


def test_the_webhook_may_stop_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit is the template's own. If somebody raises it, it is no longer among the first."""
    declared = copy.deepcopy(DECLARED)
    declared["Resources"]["WebhookApi"]["Properties"]["DefaultRouteSettings"]["ThrottlingRateLimit"] = 2500
    first = scale.blocks(INPUTS, declared, DEPLOYED)["first"]
    assert "StartExecution stops first" in first


def test_a_name_is_there_once() -> None:
    """TOML itself forbids a second one only within a section; otherwise the second would win without a message."""
    with pytest.raises(ScaleError, match="a is there twice"):
        scale.inputs_of(f"[prices]\n{LINE}\n[rules]\n{LINE}")
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: .*overwrite.*\Z"):
        scale.inputs_of(f"[prices]\n{LINE}\n{LINE}")


def test_a_source_says_how_sure_it_is() -> None:
    """The program takes any other beginning for an AWS document, which the source must then name."""
    kinds = ("from memory, to be checked: ", "second hand: ", "assumed: ", "measured: ")
    for name, line in INPUTS.items():
        of_aws = re.match(r"[\w -]+ (Developer Guide|User Guide|PrivateLink Guide|Pricing)\b", line["source"])
        assert line["source"].startswith(kinds) or of_aws, name


# ── The deployments ──────────────────────────────────────────────────────────────────────────────────


def deployed_with(*overrides: str) -> Deployment:
    """Return the deployment of a samconfig.toml that gives these parameters."""
    (deployment,) = scale.deployments(f"[trial.deploy.parameters]\nparameter_overrides = {[*overrides]}", DECLARED)
    return deployment


def idle_bills(deployed: list[Deployment]) -> list[list[Cost]]:
    """Return what a month without a payment costs each deployment, under the given prices."""
    numbers = [scale.numbers_of(GIVEN_INPUTS, DECLARED, deployment.given) for deployment in deployed]
    return [scale.fixed_costs(n, way(n, "ours")) for n in numbers]


def test_every_section_that_deploys_is_a_deployment() -> None:
    """A section that only validates, builds or invokes is not one. The parameters are those of the file."""
    assert [deployment.name for deployment in DEPLOYED] == ["dev", "prod"]
    assert DEPLOYED[0].given["Webhook"] == "open"
    assert DEPLOYED[1].given == {"PlaintextTokens": "refused", "LogRetentionDays": "400"}


def test_a_section_may_give_its_parameters_to_every_command_or_none() -> None:
    """SAM reads them so: the command's own replace those of the section."""
    samconfig = """
[common.global.parameters]
parameter_overrides = ["Webhook=open", "AlarmTopicArn=arn:aws:sns:us-east-1:123456789012:a=b"]
[common.deploy.parameters]
capabilities = "CAPABILITY_NAMED_IAM"
"""
    with pytest.raises(ScaleError, match=r"\Asamconfig\.toml: common: AlarmTopicArn: .+\Z"):
        scale.deployments(samconfig, DECLARED)  # all of a=b is the value
    (common,) = scale.deployments(samconfig.replace("a=b", "a"), DECLARED)
    assert common.given["Webhook"] == "open"
    own = samconfig.replace("a=b", "a") + 'parameter_overrides = ["Suffix=-own"]\n'
    assert scale.deployments(own, DECLARED)[0].given == {"Suffix": "-own"}
    assert scale.deployments("[plain.deploy.parameters]\n", DECLARED)[0].given == {}


@pytest.mark.parametrize(
    ("samconfig", "message"),
    [
        ("[dev", "samconfig.toml: "),
        ("version = 0.1\n[dev.build.parameters]\ncached = true", "samconfig.toml: no section says how to deploy"),
        ('[dev.deploy.parameters]\nparameter_overrides = ["Webhook"]', "samconfig.toml: dev: parameter_overrides must"),
        (
            '[dev.deploy.parameters]\nparameter_overrides = "Suffix=-dev"',
            "samconfig.toml: dev: parameter_overrides must",
        ),
        ('[dev.deploy.parameters]\nparameter_overrides = ["Webhok=open"]', "samconfig.toml: dev: Webhok: "),
        ('[dev.deploy.parameters]\nparameter_overrides = ["Webhook=ajar"]', "samconfig.toml: dev: Webhook: "),
    ],
)
def test_a_wrong_samconfig_is_one_line_of_complaint(samconfig: str, message: str) -> None:
    """A parameter that CloudFormation would not take must not have a price."""
    with pytest.raises(ScaleError, match=rf"\A{re.escape(message)}.*\Z"):
        scale.deployments(samconfig, DECLARED)


FEATURES = {
    "Webhook=open": {"endpoint_zones": 2 * 2, "alarm_metrics": 1 + 3, "processor_secrets": 1},
    "ProcessorsBus=open": {"alarm_metrics": 1},
    "RevealTokens=allowed": {"alarm_metrics": 1},
    "PlaintextTokens=accepted": {},
    "Suffix=-dev": {},
}


@pytest.mark.parametrize(("parameter", "more"), FEATURES.items(), ids=FEATURES)
def test_a_feature_adds_what_its_condition_creates(parameter: str, more: dict[str, int]) -> None:
    """An endpoint costs in both zones, and an alarm for each of its metrics."""
    before, after = scale.facts(DECLARED), scale.facts(DECLARED, deployed_with(parameter).given)
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == more


def test_a_vpc_of_ones_own_has_its_endpoints_too() -> None:
    """The owner of the subnets changes no price. Only the stack's own network is left out."""
    own = deployed_with("OwnVpcId=vpc-12345678", "OwnSubnetA=subnet-12345678", "OwnSubnetB=subnet-23456789")
    assert scale.facts(DECLARED, own.given) == scale.facts(DECLARED)
    left_out = {DEPLOYED[1].resources[name]["Type"] for name in DEPLOYED[1].resources.keys() - own.resources.keys()}
    assert {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::FlowLog"} <= left_out


def test_logs_are_kept_as_long_as_the_section_says() -> None:
    """The bill has the parameter's value, and not its default."""
    assert scale.facts(DECLARED, {"LogRetentionDays": "30"})["log_days"] == 30


def test_a_month_without_a_payment_by_hand() -> None:
    """Work out both columns: 720 h x 0.01 are 7.20 an endpoint; dev has 5 x 2 of them and 23 metrics in alarms.

    72.00 + 6.00 + 4.00 + 3.00 + 2.30 + 0.40, and 43.20 + 6.00 + 4.00 + 3.00 + 1.70. A row names both counts if they
    differ.
    """
    assert scale.blocks(GIVEN_INPUTS, DECLARED, DEPLOYED)["fixed"].splitlines() == [
        "| a month without a payment, USD | dev | prod |",
        "| --- | --: | --: |",
        "| endpoints, one for each zone: 10 in dev, 6 in prod | 72.00 | 43.20 |",
        "| metrics of our own: 20 | 6.00 | 6.00 |",
        "| keys, before their first rotation: 4 | 4.00 | 4.00 |",
        "| dashboards: 1 | 3.00 | 3.00 |",
        "| metrics in alarms: 23 in dev, 17 in prod | 2.30 | 1.70 |",
        "| processors' secrets: 1 in dev, 0 in prod | 0.40 | 0.00 |",
        "| **together** | **87.70** | **57.90** |",
    ]


def test_the_item_that_is_dearest_anywhere_comes_first() -> None:
    """An item may be the largest of one bill and absent from the other. An item that neither bill has is left out."""
    items = [("everywhere", 3, 3), ("in one", 5, 0), ("nowhere", 0, 0)]
    bills = {
        name: [Cost("fixed", item[0], Decimal(item[column]), Decimal(item[column])) for item in items]
        for column, name in ((1, "a"), (2, "b"))
    }
    assert scale._bill_rows(bills) == [["in one: 5 in a, 0 in b", "5.00", "0.00"], ["everywhere: 3", "3.00", "3.00"]]


def test_a_changed_section_changes_the_tables() -> None:
    """If dev closes its webhook, 2 x 2 x 7.20 for endpoints, 4 x 0.10 for metrics and 0.40 for a secret are saved."""
    open_total, prod_total = (scale.total(bill) for bill in idle_bills(DEPLOYED))
    closed = scale.deployments(SAMCONFIG.replace("Webhook=open", "Webhook=closed"), DECLARED)
    made = scale.blocks(GIVEN_INPUTS, DECLARED, closed)
    assert "| endpoints, one for each zone: 6 | 43.20 | 43.20 |" in made["fixed"]
    total = scale.money(open_total - Decimal("28.80") - Decimal("0.40") - Decimal("0.40"))
    assert f"| **together** | **{total}** | **{scale.money(prod_total)}** |" in made["fixed"]
    assert "secrets" not in made["fixed"] + made["removed"]
    renamed = scale.deployments(SAMCONFIG.replace("[prod.", "[live."), DECLARED)
    assert scale.blocks(INPUTS, DECLARED, renamed)["fixed"].startswith(
        "| a month without a payment, USD | dev | live |"
    )


def test_the_totals_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sentence in another page is tested against them; they follow samconfig.toml."""
    totals = scale.idle_totals()
    assert [*totals] == ["dev", "prod"]
    shown = " | ".join(f"**{scale.money(amount)}**" for amount in totals.values())
    assert f"| **together** | {shown} |" in PAGES["docs/concepts/scale.md"]
    samconfig = tmp_path / "samconfig.toml"
    samconfig.write_text(SAMCONFIG.replace("Webhook=open", "Webhook=closed"))
    monkeypatch.setattr(scale, "SAMCONFIG", samconfig)
    closed = scale.idle_totals()
    assert closed["prod"] == totals["prod"]
    assert closed["dev"] < totals["dev"]


# ── After the stack is deleted ───────────────────────────────────────────────────────────────────────


def retained(kind: str, policy: str = "Retain", **properties: Any) -> dict[str, Any]:
    """Return a resource of the type *kind* with a deletion policy."""
    return {"Type": kind, "DeletionPolicy": policy, "Properties": properties}


RECOVERABLE = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}


def test_what_stays_by_hand() -> None:
    """Work out both columns: 4 keys at 1.00, in dev a secret at 0.40; then what each GB costs."""
    assert scale.blocks(GIVEN_INPUTS, DECLARED, DEPLOYED)["removed"].splitlines() == [
        "| a month after `sam delete`, USD | dev | prod |",
        "| --- | --: | --: |",
        "| keys, before their first rotation: 4 | 4.00 | 4.00 |",
        "| processors' secrets, which the command made: 1 in dev, 0 in prod | 0.40 | 0.00 |",
        "| queues: 1 | 0.00 | 0.00 |",
        "| **together, with nothing stored** | **4.40** | **4.00** |",
        "| each GB in tables and their indexes: 1 | 0.25 | 0.25 |",
        "| each GB in tables, for point-in-time recovery: 1 | 0.20 | 0.20 |",
        "| each GB in log groups, until it expires: 12 | 0.03 | 0.03 |",
        "| SAM's bucket, with the artefacts | unknown | unknown |",
    ]


def test_a_resource_stays_if_its_deletion_policy_says_so(numbers: Numbers) -> None:
    """Both retaining policies count, and no other; a retained version is deleted with its function."""
    numbers["queue_month"] = Decimal("0.5")
    resources = {
        "Kept": retained("AWS::KMS::Key"),
        "KeptToo": retained("AWS::KMS::Key", "RetainExceptOnCreate"),
        "Deleted": retained("AWS::KMS::Key", "Delete"),
        "DeletedToo": {"Type": "AWS::KMS::Key", "Properties": {}},
        "Queue": retained("AWS::SQS::Queue"),
        "Version": retained("AWS::StepFunctions::StateMachineVersion"),
        "Table": retained("AWS::DynamoDB::Table", **RECOVERABLE),
        "Another": retained("AWS::DynamoDB::Table"),
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
    }
    bill = scale.removed_costs(numbers, resources)
    assert {cost.what: (cost.count, cost.amount) for cost in bill if cost.count} == {
        "keys, before their first rotation": (2, Decimal("2.00")),
        "queues": (1, Decimal("0.5")),
        "each GB in tables and their indexes": (2, Decimal("0.25")),
        "each GB in tables, for point-in-time recovery": (1, Decimal("0.20")),
    }
    assert scale.total(bill, "kept") == Decimal("2.50")
    assert scale.total(scale.removed_costs(numbers, {})) == 0


def test_what_stays_without_a_price_is_named(numbers: Numbers) -> None:
    """A retained bucket that the table leaves out would be paid by somebody who read that it costs nothing."""
    with pytest.raises(ScaleError, match=r"\Atemplate\.yaml: AWS::S3::Bucket is retained, .+\Z"):
        scale.removed_costs(numbers, {"Bucket": retained("AWS::S3::Bucket")})


def test_what_stays_is_read_from_the_template() -> None:
    """Another key, a condition that does not hold, and a table without recovery change the table by themselves."""
    changed = copy.deepcopy(DECLARED)
    resources = changed["Resources"]
    resources["AnotherKey"] = resources["TokenKey"]
    resources["NotInProd"] = {**resources["TokenKey"], "Condition": "HasWebhook"}
    del resources["PaymentLedgerTable"]["Properties"]["PointInTimeRecoverySpecification"]
    made = scale.blocks(GIVEN_INPUTS, changed, scale.deployments(SAMCONFIG, changed))["removed"]
    assert "| keys, before their first rotation: 6 in dev, 5 in prod | 6.00 | 5.00 |" in made
    assert "point-in-time" not in made


# ── What a payment takes, as it is and not as it was once written down ───────────────────────────────


def test_a_payment_makes_the_calls_that_are_priced(engine: Engine, faults: Faults, payment: dict[str, Any]) -> None:
    """One more call in a function is one more on every bill, and less under a quota."""
    execution = engine.wait_for(intake_of(engine).deliver(payment).execution)
    assert execution.outcome == "RECORDED"
    looks = {"Invoke", "DescribeExecution", "GetExecutionHistory"}  # the engine's own
    made = Counter(call for call in faults.calls if call not in looks)
    assert made == Counter(itertools.chain.from_iterable(scale.CALLS.values()))


def test_what_is_called_measured_is_measured_here(engine: Engine) -> None:
    """The logs and the event of the first sample agree within a twentieth, its history to the event."""
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
    """A team pays by default only for what the stack has by default."""
    changed = copy.deepcopy(DECLARED)
    resources = changed["Resources"]
    changed["Globals"]["Function"]["MemorySize"] = 1024
    resources["Another"] = resources["KmsEndpoint"]
    resources["AnotherKey"] = resources["TokenKey"]
    resources["AnotherAlarm"] = resources["TableThrottlesAlarm"]  # an expression over three metrics
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
    """Its put and its update write the table. An index pays only for what enters, changes and leaves."""
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


def test_data_keys_of_the_history_are_priced_if_it_has_a_key(numbers: Numbers) -> None:
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
    """DynamoDB projects it unasked. Without it, an entry would seem smaller."""
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
    """A bill does so. Sums add exact amounts."""
    assert scale.money(Decimal(exact)) == shown
