"""`template.yaml` as CloudFormation gets it: after the SAM transform, with the workflow's definition in it.

Nothing is declared a second time.
"""

import copy
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from ledger_cli import REGION
from ledger_cli.engine.parameters import holds, validate_parameters

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns about feature toggles that only AWS has


class TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads a template ten times as fast as samtranslator's `yaml_parse`, if PyYAML was built with its C library."""


TemplateLoader.add_multi_constructor("!", intrinsics_multi_constructor)


def load(path: Path) -> dict[str, Any]:
    """Return the template as it is written, with its short-form intrinsics spelled out."""
    template: dict[str, Any] = TemplateLoader(path.read_text(encoding="utf-8")).get_single_data()
    return template


def expand(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template after the SAM transform, with the workflow's definition in it.

    Args:
        path: `template.yaml`. The path of the definition is relative to it.
        parameters: values of parameters. They replace the template's defaults; a parameter without a default needs one.

    Raises:
        ParameterError: a parameter is outside its range, or a rule of the template does not hold.
    """
    expanded = transformed(load(path), parameters)
    for resource in expanded["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            _inline_definition(resource["Properties"], path.parent)
    return expanded


def transformed(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the loaded *template* after the SAM transform. The *template* itself does not change.

    Raises:
        ParameterError: a parameter is outside its range, or a rule of the template does not hold.
    """
    copied = copy.deepcopy(dict(template))
    # The transform wants an uploaded artefact. The engine runs the code from its own folder.
    copied["Globals"]["Function"]["CodeUri"] = "s3://embedded-engine/functions"
    values = validate_parameters(copied, parameters)
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    expanded: dict[str, Any] = translator.translate(copied, values)
    translator.metrics.publish()  # to nowhere; otherwise the translator complains on standard error
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

    moto ignores `DefinitionSubstitutions`, and its `Fn::Sub` turns `$$` into `$`. So this function cuts the text at
    each `${Name}` and joins the pieces with the values that the template gives these names.
    """
    text = (folder / properties.pop("DefinitionS3Location")).read_text(encoding="utf-8")
    substitutions = properties.pop("DefinitionSubstitutions", {})
    minified = json.dumps(json.loads(text))
    pieces = re.split(r"\$\{(\w+)\}", minified)
    properties["DefinitionString"] = {
        "Fn::Join": ["", [substitutions[piece] if i % 2 else piece for i, piece in enumerate(pieces)]]
    }
