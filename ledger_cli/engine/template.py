"""From `template.yaml` to a CloudFormation template that moto can deploy. Nothing is declared a second time."""

import copy
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from ledger_cli import REGION
from ledger_cli.engine import http_api
from ledger_cli.engine.parameters import checked, holds

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of feature toggles that only AWS has


def load(path: Path) -> dict[str, Any]:
    """The template as it is written, its short-form intrinsics spelled out."""
    template: dict[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
    return template


def expand(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template after the SAM transform, with the workflow's definition in it.

    Args:
        path: `template.yaml`; the definition is found relative to it.
        parameters: a value for each parameter that the template gives no default, or another one.

    Raises:
        ParameterError: a parameter is outside its range, or a rule of the template does not hold.
    """
    expanded = transformed(load(path), parameters)
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _inline_definition(resource["Properties"], path.parent)
    return expanded


def transformed(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the loaded *template* after the SAM transform; it is left as it was.

    Raises:
        ParameterError: a parameter is outside its range, or a rule of the template does not hold.
    """
    copied = copy.deepcopy(dict(template))
    # The transform wants an uploaded artefact; the engine runs the code where it lies.
    copied["Globals"]["Function"]["CodeUri"] = "s3://embedded-engine/functions"
    values = checked(copied, parameters)
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    expanded: dict[str, Any] = translator.translate(copied, values)
    translator.metrics.publish()  # to nowhere; unpublished, they are complained of on standard error
    return expanded


def created_resources(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the resources that CloudFormation creates if the parameters have these *values*, by their names."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if holds(resource.get("Condition", True), values, template.get("Conditions"))
    }


def _inline_definition(properties: dict[str, Any], folder: Path) -> None:
    """Replace the definition's location by its text.

    moto ignores `DefinitionSubstitutions`, and its `Fn::Sub` turns `$$` into `$`: so the text is cut
    at each `${Name}` and joined with what the template substitutes there.
    """
    text = (folder / properties.pop("DefinitionS3Location")).read_text(encoding="utf-8")
    substitutions = properties.pop("DefinitionSubstitutions", {})
    minified = json.dumps(json.loads(text))
    pieces = re.split(r"\$\{(\w+)\}", minified)
    properties["DefinitionString"] = {
        "Fn::Join": ["", [substitutions[piece] if i % 2 else piece for i, piece in enumerate(pieces)]]
    }


SKIPPED_TYPES = frozenset(
    {
        "AWS::ApiGatewayV2::Api",  # the engine's own is in `http_api`
        "AWS::ApiGatewayV2::Stage",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",  # moto has it, but not the alarms that it shows
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::Lambda::Alias",
        "AWS::Events::EventBusPolicy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",  # moto has it, but not the alias that it names
        "AWS::Lambda::Permission",  # moto has it, but not the API that it names
        "AWS::Logs::MetricFilter",  # moto has it, but not for CloudFormation
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
        "AWS::StepFunctions::StateMachineAlias",
        "AWS::StepFunctions::StateMachineVersion",
    }
)
"""What the engine leaves out: moto does not know these types. References to an alias become what it is an alias of,
and an API's endpoint becomes `http_api.ENDPOINT`."""


def adapted_to_moto(expanded: Mapping[str, Any]) -> dict[str, Any]:
    """The expanded template as moto can deploy it; `tests/engine` shows that each change is still needed."""
    resources = expanded["Resources"]
    skipped = {name: resource for name, resource in resources.items() if resource["Type"] in SKIPPED_TYPES}
    # An archive's reference is no text to moto.
    aliased: dict[str, Any] = {n: n for n, one in resources.items() if one["Type"] == "AWS::Events::Archive"}
    for name, resource in skipped.items():
        if resource["Type"] == "AWS::Lambda::Alias":
            function = {"Fn::GetAtt": [resource["Properties"]["FunctionName"]["Ref"], "Arn"]}
            aliased[name] = {"Fn::Join": [":", [function, resource["Properties"]["Name"]]]}
        elif resource["Type"] == "AWS::StepFunctions::StateMachineAlias":
            version = resource["Properties"]["DeploymentPreference"]["StateMachineVersionArn"]["Ref"]
            aliased[name] = resources[version]["Properties"]["StateMachineArn"]
        elif resource["Type"] == "AWS::Lambda::EventSourceMapping":
            aliased[name] = name  # a rule names it, which nothing delivers here
        elif resource["Type"] == "AWS::ApiGatewayV2::Api":
            aliased[f"${{{name}.ApiEndpoint}}"] = http_api.ENDPOINT
    kept = {name: resource for name, resource in resources.items() if name not in skipped}
    adapted: dict[str, Any] = _with_references({**expanded, "Resources": copy.deepcopy(kept)}, aliased)
    adapted["Outputs"] = {
        name: output for name, output in adapted["Outputs"].items() if not _mentions(output, skipped.keys())
    }
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Events::Archive":  # its pattern is JSON text to moto
            resource["Properties"]["EventPattern"] = json.dumps(resource["Properties"]["EventPattern"])
        if resource["Type"] == "AWS::DynamoDB::Table":  # nothing reads its stream here, and moto would keep all of it
            resource["Properties"].pop("StreamSpecification", None)
        if resource["Type"] == "AWS::KMS::Key":  # its tags are named as in the API of KMS to moto
            tags = resource["Properties"]["Tags"]
            resource["Properties"]["Tags"] = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
    return adapted


def _with_references(part: Any, replaced: Mapping[str, Any]) -> Any:
    """*part* with each `Ref` to a name in *replaced*, and each of its `${...}` in a text, changed to its value."""
    if isinstance(part, str):
        for name in filter(part.__contains__, (name for name in replaced if name.startswith("${"))):
            part = part.replace(name, replaced[name])
    if isinstance(part, dict):
        if part.keys() == {"Ref"} and part["Ref"] in replaced:
            return replaced[part["Ref"]]
        return {name: _with_references(value, replaced) for name, value in part.items()}
    if isinstance(part, list):
        return [_with_references(value, replaced) for value in part]
    return part


def _mentions(part: Any, names: Iterable[str]) -> bool:
    text = json.dumps(part)
    return any(f'"{name}"' in text or f"${{{name}" in text for name in names)
