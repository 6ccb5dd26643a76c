"""The files of `functions/ledger/sdk_data`, from the pinned botocore.

They leave out the documentation, the services and operations that no function may call, and the certificate authorities
that are not Amazon's. The rest is botocore's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.httpsession import DEFAULT_CA_BUNDLE
from botocore.loaders import Loader

from ledger_cli import ROOT
from ledger_cli.engine import template

TARGET = ROOT / "functions/ledger/sdk_data"
SDK_NAMES = {"states": "stepfunctions"}
"""botocore's name of each service that IAM names differently."""

OPTIONAL = frozenset({"s3"})
"""Services whose regions and rules are left out.

Every start of every function reads the file of all regions. Without its own in there, the SDK takes a region for an
ordinary one, and the address from the service's rules. The rules of S3 are larger than the data of all other services,
so its client reads them from the runtime's own SDK.
"""

PERMISSIONS_ONLY = frozenset({("secretsmanager", "GetSecretValue"), ("secretsmanager", "ListSecrets")})
"""Permissions that `BatchGetSecretValue` needs beside its own. No function calls these."""

READ_BY_LAMBDA = frozenset(
    ("dynamodb", call) for call in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
)
"""Permissions to read a table's stream, which Lambda does with a function's role."""

KEPT_BY_LAMBDA = ("sqs", "SendMessage")
"""Permission to keep an event that a function could not take, which Lambda does with the function's role."""


def calls_of(resources: Mapping[str, Any], function: str) -> list[tuple[str, str]]:
    """Return the calls that a function makes, as IAM names them: its role's actions without those that Lambda uses."""
    role = resources[resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    written = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
    granted = [one["Fn::If"][1] if "Fn::If" in one else one for one in written]
    statements = [one for one in granted if "kms:ViaService" not in str(one.get("Condition"))]  # a service's call
    named = [one["Action"] if isinstance(one["Action"], list) else [one["Action"]] for one in statements]
    actions = [action.split(":") for names in named for action in names]
    # kms:ReEncryptFrom and kms:ReEncryptTo are two sides of one call.
    calls = {(service, re.sub("(?<=ReEncrypt)(From|To)$", "", name)) for service, name in actions if service != "logs"}
    return sorted(calls - PERMISSIONS_ONLY - READ_BY_LAMBDA - {KEPT_BY_LAMBDA})


def operations() -> dict[str, set[str]]:
    """Return the operations that the functions call, by botocore's name of the service."""
    resources = template.load(ROOT / "template.yaml")["Resources"]
    found: dict[str, set[str]] = {}
    for function in (name for name, resource in resources.items() if resource["Type"] == "AWS::Serverless::Function"):
        for service, operation in calls_of(resources, function):
            found.setdefault(SDK_NAMES.get(service, service), set()).add(operation)
    return found


def files() -> Iterator[tuple[str, Any]]:
    """Yield each file of the folder: its path without `.json`, and its content."""
    loader = Loader()
    used = operations()
    prefixes = set()
    for service, names in used.items():
        version = loader.determine_latest_version(service, "service-2")
        model = loader.load_data(f"{service}/{version}/service-2")
        others = ["service-2.sdk-extras"]
        if service not in OPTIONAL:
            prefixes.add(model["metadata"]["endpointPrefix"])
            others.append("endpoint-rule-set-1")
        yield f"{service}/{version}/service-2", _with_only(model, names)
        for other in others:
            path = f"{service}/{version}/{other}"
            if any(loader.file_loader.exists(str(Path(folder) / path)) for folder in loader.search_paths):
                yield path, loader.load_data(path)
    endpoints = loader.load_data("endpoints")
    partitions = [
        {**partition, "services": {name: one for name, one in partition["services"].items() if name in prefixes}}
        for partition in endpoints["partitions"]
    ]
    yield "endpoints", {**endpoints, "partitions": partitions}
    for name in ("partitions", "sdk-default-configuration"):
        yield name, loader.load_data(name)


def texts() -> dict[Path, str]:
    """Return the text of each file, by its path within the folder."""
    data = {Path(f"{path}.json"): json.dumps(data, separators=(",", ":")) + "\n" for path, data in files()}
    return {**data, Path("authorities.pem"): authorities()}


AMAZON = ("O=Amazon", "CN=Starfield Services Root Certificate Authority - G2")
"""What the names of Amazon's certificate authorities have. Source: Amazon Trust Services, repository."""


def authorities() -> str:
    """Return the certificates of Amazon's own authorities, from those that botocore brings along."""
    bundle = Path(DEFAULT_CA_BUNDLE).read_text(encoding="utf-8")
    pattern = r"^# Subject: (.+)\n(?:#.*\n)*(-----BEGIN CERTIFICATE-----\n(?:[^-]+\n)+-----END CERTIFICATE-----\n)"
    found = re.findall(pattern, bundle, re.MULTILINE)
    return "".join(text for subject, text in found if any(name in subject for name in AMAZON))


def _with_only(model: dict[str, Any], operation_names: set[str]) -> dict[str, Any]:
    kept = {name: operation for name, operation in model["operations"].items() if name in operation_names}
    if missing := operation_names - kept.keys():
        raise LookupError(f"no operations of the service: {', '.join(sorted(missing))}")
    # Any error of a service may answer any call, and its class is the name by which the workflow retries it or not.
    errors = [{"shape": name} for name, shape in model["shapes"].items() if shape.get("exception")]
    shapes: dict[str, Any] = {}
    _collect([*kept.values(), *errors], model["shapes"], shapes)
    trimmed: dict[str, Any] = _undocumented({**model, "operations": kept, "shapes": shapes})
    for parameter in trimmed.get("clientContextParams", {}).values():
        parameter["documentation"] = ""  # botocore reads it before each call
    return trimmed


def _collect(part: Any, every: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Add to *found* each shape that *part* of a model refers to, and what those refer to."""
    if isinstance(part, dict):
        name = part.get("shape")
        if isinstance(name, str) and name not in found:
            found[name] = every[name]
            _collect(every[name], every, found)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _collect(inner, every, found)


def _undocumented(part: Any) -> Any:
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if not (name == "documentation" and isinstance(value, str))}
        return {name: _undocumented(value) for name, value in kept.items()}
    return [_undocumented(value) for value in part] if isinstance(part, list) else part
