"""The stack can be deployed, changed and removed, judged by what AWS itself publishes about its resource types."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import template
from ledger_cli.engine.parameters import ParameterError
from tests.proof import changes, deployment, removals
from tests.proof.deployment_mutants import mutants_of_a_stack, mutants_of_changes
from tests.proof.evaluator import Evaluator
from tests.proof.parameters import EVERYTHING, PARAMETERS, configurations
from tests.proof.policies import of_type
from tests.proof.resolved import Resolver


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    """Return the template as it is written."""
    return template.load(ROOT / "template.yaml")


def test_aws_accepts_the_stack(source: dict[str, Any], evaluators: list[Evaluator], counts: dict[str, Any]) -> None:
    """No policy denies a handler's call, a failed creation does not block the next, and a page says what stays."""
    stacks = configurations()
    assert {"dev", "prod"} < stacks.keys()
    for parameters in stacks.values():
        expanded = template.transformed(source, parameters)
        assert list(deployment.faults_of_a_stack(expanded, parameters, evaluators[0], counts)) == []
    assert counts["handlers"] > 400
    assert counts["failures"] > 600


@pytest.mark.parametrize("snapshots", ["on", "off"])
@pytest.mark.parametrize("format_name", ["stripe", "stripe-test"])
def test_the_descriptions_fit_with_a_source_of_stripes_own(
    source: dict[str, Any], snapshots: str, format_name: str
) -> None:
    """The ID of a destination has 44 characters after its prefix, and `test_` before them in test mode."""
    destination = {"stripe": "ed_", "stripe-test": "ed_test_"}[format_name] + "6" * 44
    given = {"PartnerSource": f"aws.partner/stripe.com/{destination}", "PartnerFormat": format_name}
    parameters = {**PARAMETERS, **given, "SnapStart": snapshots}
    expanded = template.transformed(source, parameters)
    assert list(deployment.long_descriptions(expanded, Resolver(expanded, parameters).resources())) == []


def test_every_change_reaches_the_alias(source: dict[str, Any], counts: dict[str, Any]) -> None:
    """CloudFormation reports an update as done even if the alias still has the previous version."""
    assert list(changes.faults_of_changes(source, configurations(), counts)) == []
    assert counts["changes"] > 200


def test_every_parameter_has_another_value_to_try(source: dict[str, Any]) -> None:
    """A change of a parameter that is never tried could go wrong unseen."""
    together = {name for values in changes.TOGETHER.values() for name in values}
    changed = {name for name, _ in changes.other_values(source["Parameters"], {})}
    assert changed | together == source["Parameters"].keys() | changes.TOGETHER.keys()


def test_the_page_has_every_parameter(source: dict[str, Any]) -> None:
    """Operators must guess the value of a parameter that no page explains."""
    table = removals.PAGE.read_text().partition("## Parameters")[2].partition("\n## ")[0]
    for name, declared in source["Parameters"].items():
        row = next((line for line in table.splitlines() if line.startswith(f"| `{name}` |")), "")
        default = str(declared["Default"])
        assert f"`{default}`" in row if default else "empty" in row, name


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ZoneA": "us-east-1a"}, "ZoneB is missing"),
        ({"ZoneA": "us-east-1a", "ZoneB": "us-east-1a"}, "are one zone"),
        ({"ZoneA": "eu", "ZoneB": "us-east-1a"}, "ZoneA: the name of an availability zone"),
        ({"OwnVpcId": "vpc-12345678"}, "OwnSubnetA is missing"),
        ({"OwnVpcId": "vpc-12345678", "OwnSubnetA": "subnet-12345678"}, "OwnSubnetB is missing"),
        ({"OwnSubnetA": "subnet-12345678", "OwnSubnetB": "subnet-87654321"}, "OwnVpcId is missing"),
        ({"ZoneB": "us-east-1a"}, "ZoneA is missing"),
        ({"Release": "now"}, "Release: one of watched, at-once"),
    ],
)
def test_incomplete_parameters_are_not_accepted(source: dict[str, Any], given: dict[str, str], says: str) -> None:
    """CloudFormation reports the mistake before it creates anything."""
    with pytest.raises(ParameterError, match=says):
        template.transformed(source, given)


def test_chosen_zones_are_used(source: dict[str, Any]) -> None:
    """AWS does not accept an endpoint in two subnets of one zone."""
    given = {"ZoneA": "us-east-1c", "ZoneB": "us-east-1d"}
    resources = Resolver(template.transformed(source, given), given).resources()
    zones = {name: subnet["AvailabilityZone"] for name, subnet in of_type(resources, "AWS::EC2::Subnet")}
    assert zones == {"PrivateSubnetA": "us-east-1c", "PrivateSubnetB": "us-east-1d"}


def test_a_tag_of_a_function_stops_a_release(source: dict[str, Any]) -> None:
    """SAM asks for a version, and Lambda sees no change. docs/operate/deploying.md says where tags belong."""
    everything = configurations()[EVERYTHING]
    before = Resolver(template.transformed(source, everything), everything).resources()
    tagged = changes.edited(source, "AWS::Serverless::Function", "Tags", {"team": "payments"})
    done = changes.change_set(before, template.transformed(tagged, everything), everything)
    faults = list(changes.not_live_after_a_change(before, done))
    assert len(faults) == len(list(of_type(before, "AWS::Lambda::Function")))
    assert all("publishes no version of an unchanged function" in fault for fault in faults)


def test_a_release_at_once_watches_no_alarm(source: dict[str, Any]) -> None:
    """A ringing alarm stops a deployment at its start, even the deployment that would end the incident."""
    everything = {**configurations()[EVERYTHING], "Release": "at-once"}
    resources = Resolver(template.transformed(source, everything), everything).resources()
    groups = [group for _, group in of_type(resources, "AWS::CodeDeploy::DeploymentGroup")]
    assert len(groups) == len(list(of_type(resources, "AWS::Lambda::Function")))
    for group in groups:
        assert group["AlarmConfiguration"] == {}
        assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaAllAtOnce"
    aliases = [alias for _, alias in of_type(resources, "AWS::StepFunctions::StateMachineAlias")]
    assert len(aliases) == len(list(of_type(resources, "AWS::StepFunctions::StateMachine")))
    for alias in aliases:
        assert alias["DeploymentPreference"].keys() == {"StateMachineVersionArn", "Type"}
        assert alias["DeploymentPreference"]["Type"] == "ALL_AT_ONCE"


def test_every_template_that_aws_would_not_accept_is_caught(
    source: dict[str, Any], evaluators: list[Evaluator], counts: dict[str, Any]
) -> None:
    """A proof that accepts every template proves nothing, as in `test_every_mutant_is_caught`."""
    everything = configurations()[EVERYTHING]
    of_a_stack = list(mutants_of_a_stack(template.transformed(source, everything)))
    of_changes = list(mutants_of_changes(source))
    assert len(of_a_stack) > 70
    assert len(of_changes) > 70
    survivors = [
        name
        for name, mutant in of_a_stack
        if not next(deployment.faults_of_a_stack(mutant, everything, evaluators[0], {}), None)
    ]
    with ProcessPoolExecutor(2) as pool:
        caught = pool.map(is_caught, [mutant for _, mutant in of_changes], chunksize=4)
    survivors += [name for (name, _), found in zip(of_changes, caught, strict=True) if not found]
    counts["deployment mutants"] = len(of_a_stack) + len(of_changes)
    counts["deployment mutants killed"] = counts["deployment mutants"] - len(survivors)
    assert survivors == []


def is_caught(mutant: Mapping[str, Any]) -> bool:
    """Return whether the simulated changes find a fault in the template."""
    stack = {EVERYTHING: configurations()[EVERYTHING]}
    return next(changes.faults_of_changes(mutant, stack, {}), None) is not None
