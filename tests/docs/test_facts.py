"""The facts behind the tables of scale and price: inputs are complete, and a stack's facts are the template's."""

import copy
import itertools
import json
import re
import tomllib
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from ledger.seal import MAX_RECORDS
from ledger_cli import ROOT
from ledger_cli.engine import Engine, template
from ledger_cli.engine.parameters import validate_parameters
from tests.support.faults import Faults
from tests.support.functions import invoke, sample
from tests.support.intake import intake_of
from tools import facts
from tools.facts import ScaleError

TEXT = facts.INPUTS.read_text()
INPUTS = facts.inputs_of(TEXT)
DECLARED = template.load(ROOT / "template.yaml")
DEPLOYMENTS = facts.deployments(facts.SAMCONFIG.read_text(), DECLARED)

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
def test_an_input_that_is_not_complete_is_one_line_of_complaint(text: str) -> None:
    """Nobody can check a number without a date and a source, and a float is not the number that was written."""
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: a: .+\Z"):
        facts.inputs_of(text)


def test_a_complete_input_is_taken_exactly() -> None:
    """Without this test, the one above proves nothing. A tenth stays a tenth, and a second line is no correction."""
    assert facts.inputs_of(LINE) == {"a": Decimal("1.5")}
    assert facts.inputs_of(LINE.replace('"1.5"', "3")) == {"a": Decimal(3)}
    with pytest.raises(ScaleError, match=r"\Adocs/concepts/scale\.toml: .*overwrite.*\Z"):
        facts.inputs_of(f"{LINE}\n{LINE}")


def test_a_source_says_how_sure_it_is() -> None:
    """The program takes any other beginning for an AWS document, which the source must then name."""
    kinds = ("from memory, to be checked: ", "second hand: ", "assumed: ", "measured: ")
    for name, line in tomllib.loads(TEXT).items():
        of_aws = re.match(r"[\w -]+ (Developer Guide|User Guide|PrivateLink Guide|Pricing)\b", line["source"])
        assert line["source"].startswith(kinds) or of_aws, name


def given_by(*overrides: str) -> dict[str, str]:
    """Return the parameters of a samconfig.toml whose only section overrides these."""
    text = f"[trial.deploy.parameters]\nparameter_overrides = {[*overrides]}"
    return facts.deployments(text, DECLARED)["trial"]


def test_every_section_that_deploys_is_a_deployment() -> None:
    """A section that only validates, builds or invokes is not one. A section may also share its parameters."""
    assert [*DEPLOYMENTS] == ["dev", "prod"]
    assert DEPLOYMENTS["dev"]["Webhook"] == "open"
    assert DEPLOYMENTS["prod"] == {"PlaintextTokens": "refused", "LogRetentionDays": "400"}
    shared = '[a.global.parameters]\nparameter_overrides = ["Webhook=open"]\n[a.deploy.parameters]\n'
    assert facts.deployments(shared, DECLARED) == {"a": {"Webhook": "open"}}
    own = 'parameter_overrides = ["Suffix=-own"]\n'
    assert facts.deployments(shared + own, DECLARED) == {"a": {"Suffix": "-own"}}


@pytest.mark.parametrize(
    ("samconfig", "message"),
    [
        ("[dev", "samconfig.toml: "),
        ("version = 0.1\n[dev.build.parameters]\ncached = true", "samconfig.toml: no section says how to deploy"),
        ('[a.deploy.parameters]\nparameter_overrides = ["Webhook"]', "samconfig.toml: a: parameter_overrides must"),
        ('[a.deploy.parameters]\nparameter_overrides = "Suffix=-dev"', "samconfig.toml: a: parameter_overrides must"),
        ('[a.deploy.parameters]\nparameter_overrides = ["Webhok=open"]', "samconfig.toml: a: Webhok: "),
        ('[a.deploy.parameters]\nparameter_overrides = ["Webhook=ajar"]', "samconfig.toml: a: Webhook: "),
        ('[a.deploy.parameters]\nparameter_overrides = ["AlarmTopicArn=b=c"]', "samconfig.toml: a: AlarmTopicArn: "),
    ],
)
def test_a_wrong_samconfig_is_one_line_of_complaint(samconfig: str, message: str) -> None:
    """A parameter that CloudFormation would not take must not have a price."""
    with pytest.raises(ScaleError, match=rf"\A{re.escape(message)}.*\Z"):
        facts.deployments(samconfig, DECLARED)


NETWORK = ("OwnVpcId=vpc-12345678", "OwnSubnetA=subnet-12345678", "OwnSubnetB=subnet-23456789")
FUNCTION = {"functions": 1, "functions_gb": 0.25}
FEATURES = {
    ("Webhook=open",): {"endpoint_zones": 2 * 2, "alarm_metrics": 1 + 3, "processor_secrets": 1, **FUNCTION},
    ("ProcessorsBus=open",): {"alarm_metrics": 1},
    ("RevealTokens=allowed",): {"alarm_metrics": 1, **FUNCTION},
    ("AcceptEntries=allowed",): {"alarm_metrics": 1, **FUNCTION},
    ("CheckpointYears=10",): {"endpoint_zones": 2},
    ("PlaintextTokens=accepted", "Suffix=-dev"): {},
    ("LogRetentionDays=30",): {"log_days": 30 - 90},
    NETWORK: {},
}


@pytest.mark.parametrize(("parameters", "more"), FEATURES.items(), ids=str)
def test_a_feature_adds_what_its_condition_creates(parameters: tuple[str, ...], more: dict[str, float]) -> None:
    """An endpoint costs in both zones, also in a VPC of the team's own, and an alarm costs for each of its metrics."""
    before, after = facts.stack_facts(DECLARED, {}), facts.stack_facts(DECLARED, given_by(*parameters))
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == more


def test_a_vpc_of_ones_own_is_not_created() -> None:
    """Without this test, the case above could pass because the parameters change nothing."""
    created = [
        {
            resource["Type"]
            for resource in template.created_resources(DECLARED, validate_parameters(DECLARED, given)).values()
        }
        for given in ({}, given_by(*NETWORK))
    ]
    assert {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::FlowLog"} <= created[0] - created[1]


def test_the_facts_are_the_templates() -> None:
    """A team pays by default only for what the stack has by default."""
    changed = copy.deepcopy(DECLARED)
    resources = changed["Resources"]
    changed["Globals"]["Function"]["MemorySize"] = 1024
    resources["Another"] = resources["KmsEndpoint"]
    resources["AnotherKey"] = resources["TokenKey"]
    resources["SealLedger"]["Properties"].update(MemorySize=2048, Timeout=100)
    resources["SealSchedule"]["Properties"]["ScheduleExpression"] = "rate(7 minutes)"
    resources["AnotherAlarm"] = resources["TableThrottlesAlarm"]  # an expression over nine metrics
    resources["NotByDefault"] = {**resources["KmsEndpoint"], "Condition": "HasWebhook"}
    before, after = facts.stack_facts(DECLARED, {}), facts.stack_facts(changed, {})
    assert after["memory_gb"] == 1
    assert after["endpoint_zones"] == before["endpoint_zones"] + 2
    assert after["keys"] == before["keys"] + 1
    assert after["alarm_metrics"] == before["alarm_metrics"] + 9
    assert [after[f"sealer_{name}"] for name in ("memory_gb", "timeout_s", "period_s")] == [2, 100, 420]
    assert [before[f"sealer_{name}"] for name in ("timeout_s", "period_s")] == [280, 300]


def test_a_sealer_without_a_rate_is_one_line_of_complaint() -> None:
    """Without it, the runs of a month could not be counted."""
    changed = copy.deepcopy(DECLARED)
    changed["Resources"]["SealSchedule"]["Properties"]["ScheduleExpression"] = "cron(0 * * * ? *)"
    with pytest.raises(ScaleError, match=r"\Atemplate\.yaml: the schedule of the sealer is not a rate in minutes\Z"):
        facts.stack_facts(changed, {})


def test_a_payment_makes_the_calls_that_are_priced(engine: Engine, faults: Faults, payment: dict[str, Any]) -> None:
    """One more call in a function is one more on every bill, and less under a quota."""
    execution = engine.wait_for(intake_of(engine).deliver(payment).execution)
    assert execution.outcome == "RECORDED"
    looks = {"Invoke", "DescribeExecution", "GetExecutionHistory"}  # the engine's own
    made = Counter(call for call in faults.calls if call not in looks)
    assert made == Counter(itertools.chain.from_iterable(facts.CALLS.values()))


def test_an_entry_makes_the_calls_that_are_priced(engine: Engine, faults: Faults, payment: dict[str, Any]) -> None:
    """The same holds for an entry, which needs no KMS."""
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"
    faults.calls.clear()
    refund = json.loads((ROOT / "events/start/10-refund.json").read_text())
    execution = engine.wait_for(intake_of(engine).deliver(refund).execution)
    assert execution.outcome == "RECORDED"
    looks = {"Invoke", "DescribeExecution", "GetExecutionHistory"}
    made = Counter(call for call in faults.calls if call not in looks)
    assert made == Counter(itertools.chain.from_iterable(facts.ENTRY_CALLS.values()))
    assert facts.entry_numbers_of(facts.numbers_of(INPUTS, DECLARED, {}), DECLARED)["states"] == len(execution.states)


def test_a_seal_makes_the_calls_that_are_priced(engine: Engine, faults: Faults, payment: dict[str, Any]) -> None:
    """The same holds for each run of the sealer, each seal and each record. A call reads a hundred of a table."""
    assert engine.run(json.dumps(payment)).outcome == "RECORDED"
    assert engine.run((ROOT / "events/start/10-refund.json").read_text()).outcome == "RECORDED"
    faults.calls.clear()
    for sealed in (2, 0):
        assert invoke(engine, "SealLedger", sample("seal_ledger"))["Sealed"] == sealed
    of = [facts.RUN_CALLS] * 2 + [facts.SEAL_CALLS] + [facts.RECORD_CALLS] * 2
    expected = Counter(call for calls in of for names in calls.values() for call in names)
    assert Counter(faults.calls) == expected + Counter(BatchGetItem=2)


def test_a_million_records_in_a_month_are_sealed_by_every_run() -> None:
    """8,760 runs seal 115 records each. If more come than one full seal of each run holds, there are more seals."""
    n = facts.numbers_of(INPUTS, DECLARED, {})
    assert (n["sealer_runs"], n["seals"], n["records_of_a_seal"]) == (8760, 8760, 115)
    assert facts.entry_numbers_of(n, DECLARED)["bytes_of_a_seal"] == n["bytes_of_a_seal"] + 2 * 115
    rare = facts.numbers_of(INPUTS | {"hours_per_month": Decimal(5)}, DECLARED, {})
    assert (rare["sealer_runs"], rare["records_of_a_seal"]) == (60, MAX_RECORDS)
    assert rare["seals"] == Decimal(10**6) / MAX_RECORDS


def test_what_is_called_measured_is_measured_here(engine: Engine) -> None:
    """The logs and events of the first sample and the refund agree within a twentieth, the histories to the event."""
    for start_input, of_an in (("01-success", ""), ("10-refund", "entry_")):
        for function in engine.functions.values():
            function.logs.clear()
        execution = engine.run((ROOT / f"events/start/{start_input}.json").read_text())
        lines = [line for function in engine.functions.values() for text in function.logs for line in text.splitlines()]
        assert len(lines) == INPUTS[f"{of_an}own_log_events"]
        written = sum(len(line) + 1 for line in lines)
        assert written == pytest.approx(int(INPUTS[f"{of_an}own_log_bytes"]), rel=0.05)
        event_bytes = int(INPUTS[f"{of_an}event_bytes"])
        assert 0.9 * event_bytes < len(json.dumps(engine.published()[-1])) <= event_bytes
        states = len(execution.states)
        assert len(engine.history(execution.arn)) == states * INPUTS["history_events_per_state"] + 2


def test_a_longer_token_is_in_the_table_alone() -> None:
    """1,024 bytes more: the table's three writes cost two units each; of the indexes, only one keeps an entry."""
    longer, heavier = (
        INPUTS | {name: INPUTS[name] + more} for name, more in [("token_bytes", 1024), ("item_overhead_bytes", 7)]
    )
    before, after = (facts.numbers_of(inputs, DECLARED, {}) for inputs in (INPUTS, longer))
    assert after["units of table"] == before["units of table"] + 3
    assert after["units"] == before["units"] + 3
    assert after["units_without_sealing"] == before["units_without_sealing"] + 2
    assert after["stored_bytes"] == before["stored_bytes"] + 1024
    assert after["indexed_bytes"] == before["indexed_bytes"]
    overhead = facts.numbers_of(heavier, DECLARED, {})
    assert overhead["stored_bytes"] == before["stored_bytes"] + 7
    assert overhead["indexed_bytes"] == before["indexed_bytes"] + 7
