"""From `template.yaml` to a CloudFormation template that moto can deploy. Nothing is declared a second time."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REGION = "us-east-1"


def load(path: Path) -> dict[str, Any]:
    """The template as it is written, its short-form intrinsics spelled out."""
    template: dict[str, Any] = yaml_parse(path.read_text())  # type: ignore[no-untyped-call]
    return template


def expand(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template after the SAM transform, with the workflow's definition in it.

    Args:
        path: `template.yaml`; the definition is found relative to it.
        parameters: a value for each parameter that the template gives no default.
    """
    template = load(path)
    # The transform wants an uploaded artefact; the engine runs the code where it lies.
    template["Globals"]["Function"]["CodeUri"] = "s3://embedded-engine/functions"
    values = {name: spec["Default"] for name, spec in template["Parameters"].items() if "Default" in spec}
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    expanded: dict[str, Any] = translator.translate(template, {**values, **parameters})
    translator.metrics.publish()  # to nowhere; unpublished, they are complained of on standard error
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _inline_definition(resource["Properties"], path.parent)
    return expanded


def _inline_definition(properties: dict[str, Any], folder: Path) -> None:
    """Replace the definition's location by its text.

    moto ignores `DefinitionSubstitutions`, and its `Fn::Sub` turns `$$` into `$`: so the text is cut
    at each `${Name}` and joined with what the template substitutes there.
    """
    text = (folder / properties.pop("DefinitionS3Location")).read_text()
    substitutions = properties.pop("DefinitionSubstitutions", {})
    minified = json.dumps(json.loads(text))
    pieces = re.split(r"\$\{(\w+)\}", minified)
    properties["DefinitionString"] = {
        "Fn::Join": ["", [substitutions[piece] if i % 2 else piece for i, piece in enumerate(pieces)]]
    }


def adapted_to_moto(expanded: Mapping[str, Any]) -> dict[str, Any]:
    """The expanded template as moto can read it: an archive's event pattern is JSON text to moto."""
    adapted: dict[str, Any] = copy.deepcopy(dict(expanded))
    for resource in adapted["Resources"].values():
        if resource["Type"] == "AWS::Events::Archive":
            resource["Properties"]["EventPattern"] = json.dumps(resource["Properties"]["EventPattern"])
    return adapted
