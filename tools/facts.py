"""The facts that the tables of scale and price calculate with. The proof uses the deployments, too.

The inputs come from `docs/concepts/scale.toml`, the deployments from samconfig.toml, and the other facts from the
template and the workflow's definition.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from ledger.item import SHARDS
from ledger.seal import MAX_RECORDS, Key
from ledger_cli import ROOT
from ledger_cli.engine import template
from ledger_cli.engine.parameters import ParameterError, holds, validate_parameters
from ledger_cli.views import graph
from tools import write_units

INPUTS, SAMCONFIG, TEMPLATE = ROOT / "docs/concepts/scale.toml", ROOT / "samconfig.toml", ROOT / "template.yaml"

CALLS = {
    "Step Functions": ("StartExecution",),
    "KMS": ("Encrypt", "ReEncrypt"),
    "DynamoDB": ("PutItem", "UpdateItem"),
    "EventBridge": ("PutEvents",),
}
"""The calls for one payment. Its sender makes StartExecution, and Encrypt to seal the token."""

ENTRY_CALLS = {
    "Step Functions": ("StartExecution",),
    "DynamoDB": ("GetItem", "Query", "PutItem", "UpdateItem"),
    "EventBridge": ("PutEvents",),
}
"""The calls for one entry, if its payment has few others."""

RECORD_CALLS = {"DynamoDB": ("UpdateItem",)}
"""The call of the sealer for each record. It reads a hundred records in one call more."""

SEAL_CALLS = {"DynamoDB": ("PutItem", "UpdateItem"), "KMS": ("GetPublicKey", "Sign"), "EventBridge": ("PutEvents",)}
"""The calls of the sealer for each seal."""

RUN_CALLS = {"DynamoDB": ("Query",) * (1 + 2 * SHARDS)}
"""The calls of each run of the sealer: for the last seal, and for each shard of two indexes."""

RETAINING = frozenset({"Retain", "RetainExceptOnCreate"})
"""Deletion policies under which a resource outlives its stack. Source: CloudFormation, DeletionPolicy attribute."""

VERSIONS = frozenset({"AWS::StepFunctions::StateMachineVersion"})
"""Types that do not outlive the stack although they are retained: a function or a workflow is deleted with all of its
versions. Source: Lambda API Reference, DeleteFunction; Step Functions API Reference, DeleteStateMachine."""


MILLION = Decimal(10**6)


class ScaleError(Exception):
    """An input, a deployment or a marker is missing or invalid. The message is one line that names it."""


class Numbers(dict[str, Decimal]):
    """The numbers of a calculation by their names: the inputs, the facts of a stack, and what follows from both."""

    def __missing__(self, name: str) -> Decimal:
        """Name the missing input in one clear line."""
        raise ScaleError(f"docs/concepts/scale.toml: {name} is missing")


def inputs_of(text: str) -> dict[str, Decimal]:
    """Return the value of each input in the TOML *text*, by its name.

    Raises:
        ScaleError: the text is invalid TOML, or an input is incomplete or a float, which may not be what was written.
    """
    try:
        inputs = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScaleError(f"docs/concepts/scale.toml: {error}") from None
    for name, line in inputs.items():
        value = line.get("value") if isinstance(line, dict) else None
        if type(value) not in {int, str} or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(value)):
            raise ScaleError(f"docs/concepts/scale.toml: {name}: value must be a whole number, or a decimal in quotes")
        if type(line.get("read")) is not date or not line.get("unit") or not line.get("source"):
            raise ScaleError(f"docs/concepts/scale.toml: {name}: needs a unit, the date of reading, and a source")
    return {name: Decimal(line["value"]) for name, line in inputs.items()}


def deployments(samconfig: str, declared: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the parameters that each deploying section of a samconfig.toml gives the template *declared*.

    Raises:
        ScaleError: the text is invalid TOML, no section deploys, or the template does not accept the parameters.
    """
    try:
        sections = tomllib.loads(samconfig)
    except tomllib.TOMLDecodeError as error:
        raise ScaleError(f"samconfig.toml: {error}") from None
    found = {}
    for name, commands in sections.items():
        if not isinstance(commands, dict) or "deploy" not in commands:
            continue
        options = {**commands.get("global", {}).get("parameters", {}), **commands["deploy"].get("parameters", {})}
        overrides = options.get("parameter_overrides", [])
        if not isinstance(overrides, list) or not all("=" in override for override in overrides):
            raise ScaleError(f"samconfig.toml: {name}: parameter_overrides must be a list of Name=value")
        found[name] = dict(override.split("=", 1) for override in overrides)
        try:
            validate_parameters(declared, found[name])
        except ParameterError as error:
            raise ScaleError(f"samconfig.toml: {name}: {error}") from None
    if not found:
        raise ScaleError("samconfig.toml: no section says how to deploy")
    return found


def outliving(declared: Mapping[str, Any], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the resources that outlive a stack of the template *declared* with these parameters *given*."""
    resources = template.created_resources(declared, validate_parameters(declared, given)).values()
    return [
        resource
        for resource in resources
        if resource.get("DeletionPolicy") in RETAINING and resource["Type"] not in VERSIONS
    ]


def stack_facts(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Decimal]:
    """Return the numbers of a stack that its price and its limits follow from, by their names.

    Args:
        declared: the template.
        given: the stack's parameters. The others have the template's defaults.

    Raises:
        ScaleError: the sealer has no rate.
    """
    values = validate_parameters(declared, given)
    resources = template.created_resources(declared, values)
    webhook, sealer = (declared["Resources"][name]["Properties"] for name in ("WebhookApi", "SealLedger"))
    rate = re.fullmatch(
        r"rate\((\d+) minutes\)", declared["Resources"]["SealSchedule"]["Properties"]["ScheduleExpression"]
    )
    if rate is None:
        raise ScaleError("template.yaml: the schedule of the sealer is not a rate in minutes")
    secrets = declared["Outputs"]["ProcessorSecrets"]  # without it, `ledger register-processor` makes no secret

    def of_type(kind: str) -> list[Any]:
        return [resource["Properties"] for resource in resources.values() if resource["Type"] == kind]

    functions = of_type("AWS::Serverless::Function")
    memory_mb = [each.get("MemorySize", declared["Globals"]["Function"]["MemorySize"]) for each in functions]
    alarms = [alarm.get("Metrics", [{"MetricStat": alarm}]) for alarm in of_type("AWS::CloudWatch::Alarm")]
    found = {
        "states": len(graph.read().path),
        "memory_gb": Decimal(declared["Globals"]["Function"]["MemorySize"]) / 1024,
        "functions": len(functions),
        "functions_gb": Decimal(sum(memory_mb)) / 1024,
        "sealer_memory_gb": Decimal(sealer["MemorySize"]) / 1024,
        "sealer_timeout_s": sealer["Timeout"],
        "sealer_period_s": int(rate[1]) * 60,
        "endpoint_zones": sum(len(endpoint["SubnetIds"]) for endpoint in of_type("AWS::EC2::VPCEndpoint")),
        "keys": len(of_type("AWS::KMS::Key")),
        "alarm_metrics": sum("MetricStat" in metric for metrics in alarms for metric in metrics),
        "dashboards": len(of_type("AWS::CloudWatch::Dashboard")),
        "processor_secrets": holds(secrets.get("Condition", True), values, declared["Conditions"]),
        "webhook_per_s": fixed(webhook["DefaultRouteSettings"]["ThrottlingRateLimit"], values, declared),
        "log_days": values["LogRetentionDays"],
        "archive_days": resources["LedgerArchive"]["Properties"]["RetentionDays"],
    }
    return {name: Decimal(value) for name, value in found.items()}


def fixed(value: Any, values: Mapping[str, str], declared: Mapping[str, Any]) -> Any:
    """Return a value of the template that may depend on a condition."""
    if isinstance(value, dict):
        condition, chosen, otherwise = value["Fn::If"]
        return chosen if holds(condition, values, declared["Conditions"]) else otherwise
    return value


def numbers_of(inputs: Mapping[str, Decimal], declared: Mapping[str, Any], given: Mapping[str, str]) -> Numbers:
    """Return every number of a stack of the template *declared* with these parameters *given*."""
    n = Numbers({**inputs, **stack_facts(declared, given)})
    n |= _table_numbers(n, _payment_item(n), write_units.indexes(declared))
    n["read_units"] = Decimal()
    n["function_s"] = (n["validate_ms"] + n["encrypt_ms"] + n["persist_ms"] + n["publish_ms"]) / 1000
    for kept in ("log", "archive", "durable"):
        n[f"{kept}_months"] = n[f"{kept}_days"] * 24 / n["hours_per_month"]
    n["transitions"] = n["states"] + n["start_transitions"]
    n["execution_s"] = n["function_s"] + n["states"] * n["state_ms"] / 1000
    n["kms_requests"] = len(CALLS["KMS"]) * n["kms_requests_per_call"]
    n["sealer_runs"] = n["hours_per_month"] * 3600 / n["sealer_period_s"]
    n["sealing_read_units"] = write_units.read_units(write_units.item_bytes(_sealed(_payment_item(n))))
    n |= _seal_numbers(n, (_sample_id(_payment_item(n)), 0))
    return n


def entry_numbers_of(n: Numbers, declared: Mapping[str, Any]) -> Numbers:
    """Return the numbers of a stack again, with those of an entry under the names of a payment's.

    The entry is the sample refund, the first of its payment. Its calls take as many bytes of the network as a payment's
    do.

    Args:
        n: what `numbers_of` returns for a stack.
        declared: the stack's template.
    """
    payment, item = _payment_item(n), write_units.sample_entry()
    reads = [write_units.item_bytes(write_units.published(payment)), 0]  # of the payment, and of no entry
    entry = Numbers(n)
    entry |= _table_numbers(n, item, write_units.indexes(declared, "PaymentEntriesTable"))
    entry["read_units"] = sum(map(write_units.read_units, reads), Decimal())
    entry["states"] = Decimal(len(graph.read(graph.ENTRIES).path))
    entry["transitions"] = entry["states"] + n["start_transitions"]
    entry["function_s"] = (n["validate_ms"] + n["append_ms"] + n["publish_ms"]) / 1000
    entry["kms_requests"] = Decimal()
    of_record = [write_units.item_bytes(_sealed(record)) for record in (item, payment)]  # each is read for itself
    entry["sealing_read_units"] = sum(map(write_units.read_units, of_record), Decimal())
    entry |= _seal_numbers(n, (_sample_id(item), 1))
    for name in ("event_bytes", "own_log_bytes", "own_log_events"):
        entry[name] = n[f"entry_{name}"]
    return entry


def _payment_item(n: Numbers) -> dict[str, Any]:
    """Return the item of the first sample payment, with a token of the assumed length."""
    return write_units.sample_item(int(n["token_bytes"] + n["kms_ciphertext_overhead_bytes"]))


def _sample_id(item: Mapping[str, Any]) -> str:
    return str(item["TransactionID"]["S"])


def _sealed(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item as its publication and its sealing leave it."""
    return write_units.sealed(write_units.published(item))


def _seal_numbers(n: Numbers, key: Key) -> dict[str, Decimal]:
    """Return what one seal takes, if a million records with keys of this length come evenly in a month.

    Each run of the sealer makes a seal then, so the seals are as many and as small as they can be.
    """
    records = min(MAX_RECORDS, math.ceil(MILLION / n["sealer_runs"]))
    seal = write_units.sample_seal([key] * records)
    kept = write_units.item_bytes(write_units.finished(seal))
    return {
        "seals": max(n["sealer_runs"], MILLION / MAX_RECORDS),
        "records_of_a_seal": Decimal(records),
        "units_of_a_seal": write_units.units_of_a_seal(seal),
        "read_units_of_a_seal": write_units.read_units(kept),
        "bytes_of_a_seal": kept + n["item_overhead_bytes"],
    }


def _table_numbers(n: Numbers, item: Mapping[str, Any], indexes: Sequence[write_units.Index]) -> dict[str, Decimal]:
    """Return what an item and its entries in indexes take: the bytes that stay, and the units that are written."""
    after, overhead = _sealed(item), n["item_overhead_bytes"]
    entries = [entry for index in indexes if (entry := write_units.entry_of(after, index))]
    units = write_units.units_of_an_item(item, indexes)
    without = write_units.units_of_an_item(write_units.unmarked(item), indexes)
    return {
        "stored_bytes": write_units.item_bytes(after) + overhead,
        "indexed_bytes": sum((write_units.item_bytes(entry) + overhead for entry in entries), Decimal()),
        **{f"units of {name}": count for name, count in units.items()},
        "units": sum(units.values(), Decimal()),
        "units_without_sealing": sum(without.values(), Decimal()),
    }
