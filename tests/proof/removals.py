"""What a creation that fails and a removal of the stack leave behind, and whether a page says so."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ledger_cli import ROOT
from ledger_cli.engine import template
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import Resolver, arn
from tests.proof.resource_types import unique_name
from tools import facts

PAGE = ROOT / "docs/operate/deploying.md"

REMOVE_A_TABLE = (
    "scan --table-name {} --select COUNT --query Count",
    "update-table --table-name {} --no-deletion-protection-enabled",
    "delete-table --table-name {}",
)
"""The commands of `aws dynamodb` that remove a table after somebody has seen that it is empty."""


def references(part: Any) -> set[str]:
    """Return the names that a part of a template refers to."""
    if isinstance(part, list):
        return {name for one in part for name in references(one)}
    if not isinstance(part, dict):
        return set()
    found = {name for key, value in part.items() if key != "Fn::Sub" for name in references(value)}
    if isinstance(part.get("Ref"), str):
        found.add(part["Ref"])
    if "Fn::GetAtt" in part:
        attribute = part["Fn::GetAtt"]
        found.add(attribute[0] if isinstance(attribute, list) else attribute.partition(".")[0])
    if "Fn::Sub" in part:
        text, own = part["Fn::Sub"] if isinstance(part["Fn::Sub"], list) else (part["Fn::Sub"], {})
        found |= {name.partition(".")[0] for name in re.findall(r"\$\{([\w.]+)\}", text)} | references(own)
    found |= set(as_list(part["DependsOn"])) if isinstance(part.get("DependsOn"), (str, list)) else set()
    return found


def created_before(needs: Mapping[str, set[str]], failed: str) -> set[str]:
    """Return the resources that may exist when the creation of *failed* fails: all that do not wait for it."""
    waiting = {failed}
    while more := {name for name, needed in needs.items() if needed & waiting} - waiting:
        waiting |= more
    return needs.keys() - waiting


def _unrolled(page: str) -> str:
    """Return the page with the commands of a loop over tables once for each table."""

    def repeated(loop: re.Match[str]) -> str:
        return "".join(f"{loop[2].replace('$table', table)}\n" for table in loop[1].split())

    return re.sub(r"for table in ([\w ]+); do\n(.*?)\s*done\n", repeated, page, flags=re.DOTALL)


def faults_of_failures(
    expanded: Mapping[str, Any], parameters: Mapping[str, str], counts: dict[str, int]
) -> Iterator[str]:
    """Yield each resource that a failed creation leaves behind, unless the page has the command that removes it."""
    page = _unrolled(PAGE.read_text().partition("## A first deployment that failed")[2].partition("\n## ")[0])
    declared = template.created_resources(expanded, Resolver(expanded, parameters).parameters)
    resources = Resolver(expanded, parameters).resources()
    needs = {name: references(resource) & declared.keys() for name, resource in declared.items()}
    found: set[str] = set()
    for failed in declared:
        counts["failures"] = counts.get("failures", 0) + 1
        for name in created_before(needs, failed) - found:
            resource = resources[name]
            protected = resource["Properties"].get("DeletionProtectionEnabled")
            if (protected or resource.get("DeletionPolicy") == "Retain") and resource["Type"] not in facts.VERSIONS:
                found.add(name)
    for name, version in declared.items():
        if version["Type"] == "AWS::Lambda::Version":
            counts["failures"] += 1
            if version.get("DeletionPolicy") != "Delete":
                yield f"{name}: survives a rollback, and Lambda publishes no second version of the same code"
    suffix = Resolver(expanded, parameters).parameters["Suffix"]
    for name in sorted(found):
        table = str(resources[name]["Properties"].get("TableName")).removesuffix(suffix)  # as a page names it
        if not all(f"aws dynamodb {command.format(table)}\n" in page for command in REMOVE_A_TABLE):
            yield f"{name}: survives a failed creation, and the page does not say how to remove it"


def faults_of_a_removal(resources: Resources) -> Iterator[str]:
    """Yield each resource that survives or blocks the removal of the stack, unless the page names it."""
    page = PAGE.read_text().partition("## Remove the stack")[2].partition("\n## ")[0]
    attached = {one for _, role in of_type(resources, "AWS::IAM::Role") for one in role.get("ManagedPolicyArns", [])}
    for name, resource in resources.items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if resource.get("DeletionPolicy") in facts.RETAINING and kind not in facts.VERSIONS:
            words = {
                "AWS::KMS::Key": "keys",
                "AWS::Logs::LogGroup": "log groups",
                "AWS::S3::Bucket": "bucket of checkpoints",
                "AWS::S3::BucketPolicy": "bucket of checkpoints",
            }
            if words.get(kind, str(unique_name(resource))) not in page:
                yield f"{name}: survives the stack, and the page does not say so"
        if kind == "AWS::DynamoDB::Table" and resource.get("DeletionPolicy") != "Retain":
            yield f"{name}: is deleted with the stack"
        # A partner's bus has its source's name, which the page cannot know.
        if kind == "AWS::Events::EventBus" and properties["Name"].partition("/stripe.com/")[0] not in page:
            yield f"{name}: cannot be deleted while other stacks have rules on it, and the page does not say so"
        if kind == "AWS::Events::Archive" and name not in page:
            yield f"{name}: is deleted with the stack, and the page does not say so"
        outside = kind == "AWS::IAM::ManagedPolicy" and arn("iam", f"policy/{name}", region="") not in attached
        if outside and str(properties.get("ManagedPolicyName")) not in page:
            yield f"{name}: cannot be deleted while it is attached, and the page does not say so"
