"""The deployment of `template.yaml` into the embedded account."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger_cli import REGION, STACK_NAME
from ledger_cli.engine import template
from ledger_cli.engine.account import ACCOUNT_ID
from ledger_cli.engine.lambda_runtime import LocalFunction
from ledger_cli.engine.moto_patches.cloudformation import SKIPPED_TYPES, adapted_to_moto
from ledger_cli.engine.parameters import validate_parameters

LOCAL_PARAMETERS = {
    "AcceptEntries": "allowed",
    "PartnerFormat": "stripe-test",
    "PartnerSource": "aws.partner/stripe.com/ed_test_sample",
    "PlaintextTokens": "accepted",
    "ProcessorsBus": "open",
    "RevealTokens": "allowed",
    "Webhook": "open",
}
"""Parameters of a local stack that differ from the template's defaults.

Every way to send a payment is open, and the samples' tokens may be in plaintext.
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: its template after the SAM transform, and what CloudFormation made of it."""

    template: dict[str, Any]
    outputs: dict[str, str]
    physical_ids: dict[str, str | None]
    functions: dict[str, LocalFunction]
    """The functions by their logical ids."""

    skipped: dict[str, str]
    """The types of the resources that the engine leaves out, by their logical ids."""


def deploy(template_file: Path, parameters: Mapping[str, str], client: Callable[[str], Any]) -> Deployment:
    """Deploy the stack.

    Args:
        template_file: the SAM template. The code, the workflow and the events are in its folder.
        parameters: the stack's parameters; they replace the template's defaults.
        client: returns a boto3 client of a service.

    Raises:
        ParameterError: a parameter is outside its range, or a rule of the template does not hold.
    """
    expanded = template.expand(template_file, parameters)
    created = template.created_resources(expanded, validate_parameters(expanded, parameters))
    if parameters.get("PartnerSource"):  # the partner makes it, before anybody deploys the stack
        client("events").create_partner_event_source(Name=parameters["PartnerSource"], Account=ACCOUNT_ID)
    cloudformation = client("cloudformation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about types that moto skips; `skipped` has them
        cloudformation.create_stack(
            StackName=STACK_NAME,
            TemplateBody=json.dumps(adapted_to_moto({**expanded, "Resources": created})),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    described = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    resources = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    physical_ids = {r["LogicalResourceId"]: r.get("PhysicalResourceId") for r in resources}
    types = {name: resource["Type"] for name, resource in expanded["Resources"].items()}
    return Deployment(
        template=expanded,
        outputs={output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]},
        physical_ids=physical_ids,
        functions={
            name: _function(client("lambda"), physical_ids, name, template_file.parent / "functions")
            for name, kind in types.items()
            if kind == "AWS::Lambda::Function" and physical_ids.get(name)
        },
        skipped={name: kind for name, kind in types.items() if kind in SKIPPED_TYPES},
    )


def _function(aws_lambda: Any, physical_ids: Mapping[str, str | None], logical_id: str, folder: Path) -> LocalFunction:
    deployed = aws_lambda.get_function_configuration(FunctionName=physical_ids[logical_id])
    name, memory_mb = deployed["FunctionName"], deployed["MemorySize"]
    # moto passes a number parameter on as a number. In Lambda, every variable is text.
    variables = {variable: str(value) for variable, value in deployed["Environment"]["Variables"].items()}
    return LocalFunction(
        name=name,
        arn=deployed["FunctionArn"],
        handler=deployed["Handler"],
        declared=variables,
        environment={
            **variables,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "embedded-engine",
            "AWS_SECRET_ACCESS_KEY": "embedded-engine",
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": str(physical_ids[f"{logical_id}Logs"]),
        },
        timeout_s=deployed["Timeout"],
        memory_mb=memory_mb,
        folder=folder,
    )
