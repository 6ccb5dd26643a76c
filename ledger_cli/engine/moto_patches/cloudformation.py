"""CloudFormation: a template that moto can deploy, and state machines that run.

moto does not know some types of resources, and wants some properties in another form than AWS. It creates state
machines in a backend that does not run them.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import moto.stepfunctions.models
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from ledger_cli.engine import http_api
from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

SKIPPED_TYPES = frozenset(
    {
        "AWS::ApiGatewayV2::Api",  # the engine's own API is in `http_api`
        "AWS::ApiGatewayV2::Stage",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",  # moto knows it, but not the alarms that it shows
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        "AWS::Lambda::Alias",
        "AWS::Events::EventBusPolicy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",  # moto knows it, but not the alias that it names
        "AWS::Lambda::Permission",  # moto knows it, but not the API that it names
        "AWS::Logs::MetricFilter",  # moto knows it, but not for CloudFormation
        "AWS::S3::BucketPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
        "AWS::StepFunctions::StateMachineAlias",
        "AWS::StepFunctions::StateMachineVersion",
    }
)
"""Types that the engine leaves out, because moto does not know them.

A reference to an alias becomes a reference to its target, and an API's endpoint becomes `http_api.ENDPOINT`.
"""


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    # `deployment` gives moto JSON.
    yield MotoPatch(("reads_json_as_yaml",), patch.object(Stack, "parse_template", staticmethod(json.loads)))
    yield MotoPatch(("created_where_nothing_runs",), _executing_backend())
    yield MotoPatch(("keeps_no_value_in_lists",), patch.object(parsing, "clean_json", without_no_value()))


def without_no_value() -> Callable[[Any, Any], Any]:
    """Return a replacement of `clean_json`, which resolves the intrinsics of a part of a template and calls itself.

    A policy whose list of statements had nothing in it would not be valid.
    """
    clean_json = parsing.clean_json

    def clean(part: Any, resources: Any) -> Any:
        cleaned = clean_json(part, resources)
        return [each for each in cleaned if each is not None] if isinstance(cleaned, list) else cleaned

    return clean


@contextmanager
def _executing_backend() -> Iterator[None]:
    """Let CloudFormation create state machines in the backend that runs them. Empty that backend afterwards."""
    with patch.object(moto.stepfunctions.models, "stepfunctions_backends", stepfunctions_parser_backends):
        try:
            yield
        finally:
            stepfunctions_parser_backends.reset()


def adapted_to_moto(expanded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the expanded template in a form that moto can deploy. `tests/engine` shows that each change is needed."""
    resources = expanded["Resources"]
    skipped = {name: resource for name, resource in resources.items() if resource["Type"] in SKIPPED_TYPES}
    # In moto, a reference to an archive is not text.
    aliased: dict[str, Any] = {n: n for n, one in resources.items() if one["Type"] == "AWS::Events::Archive"}
    for name, resource in skipped.items():
        if resource["Type"] == "AWS::Lambda::Alias":
            function = {"Fn::GetAtt": [resource["Properties"]["FunctionName"]["Ref"], "Arn"]}
            aliased[name] = {"Fn::Join": [":", [function, resource["Properties"]["Name"]]]}
        elif resource["Type"] == "AWS::StepFunctions::StateMachineAlias":
            version = resource["Properties"]["DeploymentPreference"]["StateMachineVersionArn"]["Ref"]
            aliased[name] = resources[version]["Properties"]["StateMachineArn"]
        elif resource["Type"] == "AWS::Lambda::EventSourceMapping":
            aliased[name] = name  # only a rule names it, and nothing in the engine matches that rule
        elif resource["Type"] == "AWS::ApiGatewayV2::Api":
            aliased[f"${{{name}.ApiEndpoint}}"] = http_api.ENDPOINT
    kept = {name: resource for name, resource in resources.items() if name not in skipped}
    adapted: dict[str, Any] = _with_references({**expanded, "Resources": copy.deepcopy(kept)}, aliased)
    adapted["Outputs"] = {
        name: output for name, output in adapted["Outputs"].items() if not _mentions(output, skipped.keys())
    }
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Events::Archive":  # moto wants its pattern as JSON text
            resource["Properties"]["EventPattern"] = json.dumps(resource["Properties"]["EventPattern"])
        if resource["Type"] == "AWS::DynamoDB::Table":  # moto would keep the whole stream, which nothing reads here
            resource["Properties"].pop("StreamSpecification", None)
        if resource["Type"] == "AWS::KMS::Key":  # moto wants the names that tags have in the API of KMS
            tags = resource["Properties"]["Tags"]
            resource["Properties"]["Tags"] = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
    return adapted


def _with_references(part: Any, replaced: Mapping[str, Any]) -> Any:
    """Return *part* with its references to names in *replaced* changed to their values.

    A reference is a `Ref`, or a `${...}` in a text.
    """
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
