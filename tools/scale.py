"""The tables of scale and price in `docs/`, from `docs/concepts/scale.toml` and from the stack itself.

What the project knows is read from it: states, memory, indexes, shards, endpoints, keys, alarms, and the deployments
that samconfig.toml declares. What only AWS or an operator knows is in the TOML file, with its source. Each page gets
the tables that it has markers for. Money is decimal; a GB is 10^9 bytes.
"""

import decimal
import json
import re
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from ledger.intake import execution_name, execution_prefix
from ledger.item import SHARDS, EncryptedPayment
from ledger.payment import parse_payment
from ledger_cli import REGION, ROOT
from ledger_cli.engine import template
from ledger_cli.engine.parameters import ParameterError, holds, validate_parameters
from ledger_cli.views import graph

DOCS, SAMCONFIG, TEMPLATE = ROOT / "docs", ROOT / "samconfig.toml", ROOT / "template.yaml"
INPUTS = DOCS / "concepts/scale.toml"
MARKER = re.compile(r"^<!-- (?:(\w+): made by make generate|end) -->$", re.MULTILINE)
WHOLE, MILLION, GB = Decimal(1), Decimal(10**6), Decimal(10**9)

CALLS = {
    "Step Functions": ("StartExecution",),
    "KMS": ("Encrypt", "ReEncrypt"),
    "DynamoDB": ("PutItem", "UpdateItem"),
    "EventBridge": ("PutEvents",),
}
"""What is called for one payment; the first of Step Functions and of KMS by its sender, who seals the token."""

SDK_STATES = 5
"""Of a workflow that calls AWS itself: check, encrypt, put, publish and mark are a state each."""

RATES_PER_S = (1, 10, 100, 300)
"""For which a month is priced, besides the target."""

RETAINING = frozenset({"Retain", "RetainExceptOnCreate"})
"""Deletion policies under which a resource outlives its stack. Source: CloudFormation, DeletionPolicy attribute."""

VERSIONS = frozenset({"AWS::StepFunctions::StateMachineVersion"})
"""Types that do not outlive the stack although they are retained: a function or a workflow is deleted with all of its
versions. Source: Lambda API Reference, DeleteFunction; Step Functions API Reference, DeleteStateMachine."""


class ScaleError(Exception):
    """An input is missing or is not as it must be; the message is one line that names it."""


class Numbers(dict[str, Decimal]):
    """By name, what is calculated with: the inputs, and the facts of the stack."""

    def __missing__(self, name: str) -> Decimal:
        """One clear line instead of a traceback."""
        raise ScaleError(f"docs/concepts/scale.toml: {name} is missing")


@dataclass(frozen=True, slots=True)
class Index:
    """One index of the table: what its entries are keyed by, and every attribute that they have."""

    name: str
    keys: frozenset[str]
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Limit:
    """What there is a second of a resource, what one payment takes of it, and where more is to be had."""

    resource: str
    quota: Decimal
    unit: str
    used: Decimal
    raised: str

    @property
    def carried(self) -> Decimal:
        """Payments a second."""
        return (self.quota / self.used).quantize(WHOLE, ROUND_FLOOR)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to do the same, and what one payment takes of it."""

    name: str
    transitions: Decimal = Decimal()
    invocations: Decimal = Decimal()
    history_events: Decimal = Decimal()
    durable_operations: Decimal = Decimal()
    express: bool = False
    private: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    """One item of a bill, in dollars, not yet rounded; and how many there are of it, if that is counted."""

    group: str
    what: str
    amount: Decimal
    count: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stack that samconfig.toml declares: the section's name, the parameters given there, and what is created."""

    name: str
    given: Mapping[str, str]
    resources: Mapping[str, Mapping[str, Any]]


def inputs_of(text: str) -> dict[str, dict[str, Any]]:
    """Every line of the TOML *text*, by its name, with its value as a decimal.

    Raises:
        ScaleError: it is no TOML, a name is there twice, or a line is not complete. A float is refused: it may have
            lost what was written.
    """
    try:
        sections = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ScaleError(f"docs/concepts/scale.toml: {error}") from None
    lines: dict[str, dict[str, Any]] = {}
    if loose := [name for name, section in sections.items() if not isinstance(section, dict)]:
        raise ScaleError(f"docs/concepts/scale.toml: {loose[0]} stands in no section")
    for name, line in (pair for section in sections.values() for pair in section.items()):
        value = line.get("value", "") if isinstance(line, dict) else ""
        if name in lines:
            raise ScaleError(f"docs/concepts/scale.toml: {name} is there twice")
        if type(value) not in {int, str} or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(value)):
            raise ScaleError(f"docs/concepts/scale.toml: {name}: value must be a whole number, or a decimal in quotes")
        if type(line.get("read")) is not date or not line.get("unit") or not line.get("source"):
            raise ScaleError(
                f"docs/concepts/scale.toml: {name}: needs a unit, the date on which it was read, and a source"
            )
        lines[name] = {**line, "value": Decimal(value)}
    return lines


def deployments(samconfig: str, declared: Mapping[str, Any]) -> list[Deployment]:
    """Return every deployment that the text of a samconfig.toml declares: each section that says how to deploy.

    Raises:
        ScaleError: the text is invalid TOML, no section deploys, or a section's parameters are not the template's.
    """
    try:
        sections = tomllib.loads(samconfig)
    except tomllib.TOMLDecodeError as error:
        raise ScaleError(f"samconfig.toml: {error}") from None
    found = []
    for name, commands in sections.items():
        if not isinstance(commands, dict) or "deploy" not in commands:
            continue
        options = {**commands.get("global", {}).get("parameters", {}), **commands["deploy"].get("parameters", {})}
        overrides = options.get("parameter_overrides", [])
        if not isinstance(overrides, list) or not all("=" in override for override in overrides):
            raise ScaleError(f"samconfig.toml: {name}: parameter_overrides must be a list of Name=value")
        given = dict(override.split("=", 1) for override in overrides)
        try:
            values = validate_parameters(declared, given)
        except ParameterError as error:
            raise ScaleError(f"samconfig.toml: {name}: {error}") from None
        expanded = template.transformed(declared, given)
        found.append(Deployment(name, given, template.created_resources(expanded, values)))
    if not found:
        raise ScaleError("samconfig.toml: no section says how to deploy")
    return found


def facts(declared: Mapping[str, Any], given: Mapping[str, str] | None = None) -> dict[str, Decimal]:
    """Return what the template as it is written, and the definition, say of a stack.

    Args:
        declared: the template.
        given: the stack's parameters; those that are not given have the template's defaults.
    """
    values = validate_parameters(declared, given or {})
    resources = template.created_resources(declared, values)
    webhook = declared["Resources"]["WebhookApi"]["Properties"]
    secrets = declared["Outputs"]["ProcessorSecrets"]  # without it, `ledger processor` makes no secret

    def created(kind: str) -> list[Any]:
        return [resource["Properties"] for resource in resources.values() if resource["Type"] == kind]

    alarms = [alarm.get("Metrics", [{"MetricStat": alarm}]) for alarm in created("AWS::CloudWatch::Alarm")]
    found = {
        "states": len(graph.read().path),
        "memory_gb": Decimal(declared["Globals"]["Function"]["MemorySize"]) / 1024,
        "endpoint_zones": sum(len(endpoint["SubnetIds"]) for endpoint in created("AWS::EC2::VPCEndpoint")),
        "keys": len(created("AWS::KMS::Key")),
        "alarm_metrics": sum("MetricStat" in metric for metrics in alarms for metric in metrics),
        "dashboards": len(created("AWS::CloudWatch::Dashboard")),
        "processor_secrets": holds(secrets.get("Condition", True), values, declared["Conditions"]),
        "webhook_per_s": webhook["DefaultRouteSettings"]["ThrottlingRateLimit"],
        "log_days": values["LogRetentionDays"],
        "archive_days": resources["LedgerArchive"]["Properties"]["RetentionDays"],
    }
    return {name: Decimal(value) for name, value in found.items()}


def indexes(declared: Mapping[str, Any]) -> list[Index]:
    """The table's, with what each projects."""
    table = declared["Resources"]["PaymentLedgerTable"]["Properties"]
    of_table = {key["AttributeName"] for key in table["KeySchema"]}
    found = []
    for index in table["GlobalSecondaryIndexes"]:
        keys = frozenset(key["AttributeName"] for key in index["KeySchema"])
        found.append(Index(index["IndexName"], keys, keys | of_table | {*index["Projection"]["NonKeyAttributes"]}))
    return found


def sample_item(ciphertext_bytes: int) -> dict[str, Any]:
    """The first sample payment in the table, before it is published, with a ciphertext of that length."""
    start_input = json.loads((ROOT / "events/start/01-success.json").read_text(encoding="utf-8"))
    payment, _ = parse_payment(start_input, default_currency="USD")
    machine = f"arn:aws:states:{REGION}:{'0' * 12}:stateMachine:PaymentLedger:live"
    return EncryptedPayment(
        payment=payment,
        ciphertext=bytes(ciphertext_bytes),
        token_key=f"arn:aws:kms:{REGION}:{'0' * 12}:key/{'0' * 36}",
        execution=f"{execution_prefix(machine)}:{execution_name(payment)}",
        recorded_at=payment.timestamp,
    ).as_item()


def published(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the item as it is once its outcome is published."""
    return {**{name: item[name] for name in item if name != "Unpublished"}, "PublishedAt": item["RecordedAt"]}


def item_bytes(item: Mapping[str, Any]) -> int:
    """As DynamoDB counts. Source: DynamoDB Developer Guide, item sizes and formats."""
    return sum(len(name.encode()) + _value_bytes(*value.items()) for name, value in item.items())


def _value_bytes(typed: tuple[str, Any]) -> int:
    kind, content = typed
    if kind == "N":  # a byte for two digits that count, and one more
        return (len(content.replace(".", "").strip("0")) + 1) // 2 + 1
    if kind == "M":  # three bytes, and one for each element
        return 3 + len(content) + item_bytes(content)
    return len(content) if kind == "B" else len(content.encode())


def write_units(*sizes_bytes: int) -> Decimal:
    """Of one write, which costs by the larger of what was there and what is there."""
    return Decimal(-(-max(sizes_bytes) // 1024))


def entry_of(item: Mapping[str, Any], index: Index) -> dict[str, Any]:
    """What of *item* is in the index; nothing where it lacks one of the index's keys."""
    return {name: item[name] for name in item if name in index.attributes} if index.keys <= item.keys() else {}


def units_of_a_payment(item: Mapping[str, Any], declared: Iterable[Index]) -> dict[str, Decimal]:
    """Write units of the put and of the marker's update together: the table's, and each index's.

    Source: DynamoDB Developer Guide, global secondary indexes, write capacity units: a new entry, a changed projected
    attribute and a removed entry cost one write each.
    """
    after = published(item)
    units = {"table": write_units(item_bytes(item)) + write_units(item_bytes(item), item_bytes(after))}
    for index in declared:
        entry, entry_after = entry_of(item, index), entry_of(after, index)
        update = write_units(item_bytes(entry), item_bytes(entry_after)) if entry != entry_after else Decimal()
        units[index.name] = write_units(item_bytes(entry)) + update
    return units


def numbers_of(
    inputs: Mapping[str, Mapping[str, Any]], declared: Mapping[str, Any], given: Mapping[str, str] | None = None
) -> Numbers:
    """The inputs, the stack's facts, and what follows from both for one payment; *given* as in `facts`."""
    n = Numbers({name: line["value"] for name, line in inputs.items()} | facts(declared, given))
    item = sample_item(int(n["token_bytes"] + n["kms_ciphertext_overhead_bytes"]))
    after, overhead = published(item), n["item_overhead_bytes"]
    n["stored_bytes"] = item_bytes(after) + overhead
    kept = [entry for index in indexes(declared) if (entry := entry_of(after, index))]
    n["indexed_bytes"] = sum((item_bytes(entry) + overhead for entry in kept), Decimal())
    n |= {f"units {name}": units for name, units in units_of_a_payment(item, indexes(declared)).items()}
    n["units"] = sum((n[name] for name in n if name.startswith("units ")), Decimal())
    n["function_s"] = sum((n[f"{step}_ms"] for step in ("validate", "encrypt", "persist", "publish")), Decimal()) / 1000
    n["transitions"] = n["states"] + n["start_transitions"]
    n["kms_requests"] = len(CALLS["KMS"]) * n["kms_requests_per_call"]
    n["days_per_month"] = n["hours_per_month"] / 24
    return n


def limits(n: Numbers, declared: Iterable[Index]) -> list[Limit]:
    """Every resource that has a limit, the first to stop first."""
    calls = {service: Decimal(len(names)) for service, names in CALLS.items()}
    requests = n["lambda_concurrency"] * n["lambda_requests_per_concurrency"]
    bandwidth, new = n["endpoint_gigabits_per_s"] * GB / 8, n["dynamodb_new_table_units_per_s"]
    largest = max(units for name, units in n.items() if name.startswith("units "))
    table, endpoint = n["dynamodb_table_units_per_s"], n["dynamodb_endpoint_requests_per_s"]
    kms = n["kms_requests"] + n["kms_requests_for_history"]
    found = [
        Limit("the webhook, if it is open", n["webhook_per_s"], "requests", WHOLE, "in `template.yaml`"),
        Limit("StartExecution", n["start_execution_per_s"], "requests", calls["Step Functions"], "ask AWS"),
        Limit("state transitions", n["state_transitions_per_s"], "transitions", n["transitions"], "ask AWS"),
        Limit("Lambda: requests", requests, "requests", n["states"], "ask AWS for concurrency"),
        Limit("Lambda: concurrency", n["lambda_concurrency"], "environments", n["function_s"], "ask AWS"),
        Limit("a new table, or an index of it", new, "write units", largest, "warm it up"),
        Limit("the table with its indexes", table, "write units", n["units"], "ask AWS"),
        Limit("PutEvents", n["put_events_per_s"], "requests", calls["EventBridge"], "ask AWS"),
        Limit("KMS", n["kms_requests_per_s"], "requests", kms, "ask AWS"),
        Limit("DynamoDB's endpoint", endpoint, "requests", calls["DynamoDB"], "another endpoint"),
        Limit("an endpoint in one zone", bandwidth, "bytes", n["network_bytes"], "grows by itself"),
    ]
    for index in declared:
        label = f"index {index.name}" + ("" if "Unpublished" in index.keys else ", one processor")
        shards = SHARDS * n["dynamodb_partition_units_per_s"]
        found.append(Limit(label, shards, "write units", n[f"units {index.name}"], "more `SHARDS`"))
    return sorted(found, key=lambda limit: limit.quota / limit.used)


def ways(n: Numbers) -> list[Way]:
    """The ways that are compared, ours first."""
    per_state, ends = n["history_events_per_state"], 2  # an execution's start and its end
    events, sdk_events = n["states"] * per_state + ends, SDK_STATES * per_state + ends
    sdk = SDK_STATES + n["start_transitions"]
    return [
        Way("**Standard workflow, four functions: ours**", n["transitions"], n["states"], events),
        Way("Express workflow, the same functions", Decimal(), n["states"], events, express=True),
        Way("Standard workflow that calls AWS itself", sdk, Decimal(), sdk_events, private=False),
        Way("one durable function", invocations=WHOLE, durable_operations=1 + n["states"]),
        Way("one plain function", invocations=WHOLE),
    ]


def log_bytes(n: Numbers, way: Way) -> Decimal:
    """What one payment writes into logs, with what CloudWatch adds to each event of them."""
    own, flow = bool(way.invocations), bool(way.private)
    events = way.invocations * n["platform_log_events"] + way.history_events + own * n["own_log_events"] + flow
    written = way.invocations * n["platform_log_bytes"] + way.history_events * n["history_event_bytes"]
    written += own * n["own_log_bytes"] + flow * n["flow_log_bytes"]
    return written + events * n["log_event_overhead_bytes"]


def traced_share(n: Numbers, payments_per_s: Decimal) -> Decimal:
    """Of the payments, those that have a trace: all, where few come."""
    first = min(payments_per_s, n["traces_per_s"])
    return (first + (payments_per_s - first) * n["traced_share"]) / payments_per_s


def costs(n: Numbers, way: Way, payments: Decimal, payments_per_s: Decimal) -> list[Cost]:
    """What so many payments cost that come at such a rate."""
    run_ms, step_ms = n["function_s"] * 1000 + n["states"] * n["state_ms"], n["express_step_ms"]
    billed_ms = (run_ms / step_ms).quantize(WHOLE, ROUND_CEILING) * step_ms
    express_gb_s = way.express * billed_ms / 1000 * n["express_memory_mb"] / 1024
    kms = n["kms_requests"] + bool(way.history_events) * n["kms_requests_for_history"]
    run_gb_s = bool(way.invocations) * n["function_s"] * n["memory_gb"]
    logs, durable = log_bytes(n, way), way.durable_operations * n["durable_bytes"]
    log_months, archive_months, durable_months = (
        n[f"{kept}_days"] / n["days_per_month"] for kept in ("log", "archive", "durable")
    )
    bill: list[tuple[str, str, Decimal, str, Decimal | int]] = [
        ("workflow", "Step Functions: transitions", way.transitions, "transitions_per_1000", 1000),
        ("workflow", "Step Functions: Express", Decimal(way.express), "express_requests_per_million", MILLION),
        ("workflow", "Step Functions: Express, GB-seconds", express_gb_s, "express_gb_s", 1),
        ("workflow", "durable operations", way.durable_operations, "durable_operations_per_million", MILLION),
        ("workflow", "durable data, written", durable, "durable_written_gb", GB),
        ("workflow", "durable data, kept", durable * durable_months, "durable_kept_gb_month", GB),
        ("functions", "Lambda: requests", way.invocations, "lambda_requests_per_million", MILLION),
        ("functions", "Lambda: GB-seconds", run_gb_s, "lambda_gb_s", 1),
        ("services", "KMS: requests", kms, "kms_requests_per_10000", 10000),
        ("services", "DynamoDB: writes", n["units"], "dynamodb_writes_per_million", MILLION),
        ("services", "DynamoDB: each month kept", n["stored_bytes"] + n["indexed_bytes"], "dynamodb_gb_month", GB),
        ("services", "DynamoDB: each month's recovery", n["stored_bytes"], "dynamodb_recovery_gb_month", GB),
        ("services", "EventBridge: events", WHOLE, "events_per_million", MILLION),
        ("services", "EventBridge: archive, taken in", n["event_bytes"], "archive_gb", GB),
        ("services", "EventBridge: archive, kept", n["event_bytes"] * archive_months, "archive_gb_month", GB),
        ("services", "endpoints: data", way.private * n["network_bytes"], "endpoint_gb", GB),
        ("observing", "CloudWatch: logs, taken in", logs, "logs_gb", GB),
        ("observing", "CloudWatch: logs, kept", logs * log_months, "logs_gb_month", GB),
        ("observing", "X-Ray: traces", traced_share(n, payments_per_s), "traces_per_million", MILLION),
    ]
    return [Cost(group, what, payments * used * n[price] / per) for group, what, used, price, per in bill if used]


def fixed_costs(n: Numbers, way: Way) -> list[Cost]:
    """Return what a month without a payment costs: the same items in the same order for each stack."""
    zones = way.private * n["endpoint_zones"]
    bill = [
        ("endpoints, one for each zone", zones, n["hours_per_month"] * n["endpoint_hour"]),
        ("keys, before their first rotation", n["keys"], n["kms_key_month"]),
        ("metrics of our own", n["recorded_metrics"], n["metric_month"]),
        ("metrics in alarms", n["alarm_metrics"], n["alarm_metric_month"]),
        ("dashboards", n["dashboards"], n["dashboard_month"]),
        ("processors' secrets", n["processor_secrets"], n["secret_month"]),
    ]
    return [Cost("fixed", what, count * price, count) for what, count, price in bill]


def removed_costs(n: Numbers, resources: Mapping[str, Mapping[str, Any]]) -> list[Cost]:
    """Return what a month costs after a stack with these *resources* was deleted.

    The costs of group `kept` are for as many as there are, those of group `stored` for each GB. The items and their
    order are the same for each stack.

    Raises:
        ScaleError: the template retains a resource of a type that has no price here.
    """
    retained = [resource for resource in resources.values() if resource.get("DeletionPolicy") in RETAINING]
    number = Counter(resource["Type"] for resource in retained if resource["Type"] not in VERSIONS)
    tables = [resource["Properties"] for resource in retained if resource["Type"] == "AWS::DynamoDB::Table"]
    recovered = [
        table
        for table in tables
        if table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is True
    ]
    keys, queues = number.pop("AWS::KMS::Key", 0), number.pop("AWS::SQS::Queue", 0)
    kept = [
        ("keys, before their first rotation", Decimal(keys), n["kms_key_month"]),
        ("processors' secrets, which the command made", n["processor_secrets"], n["secret_month"]),
        ("queues", Decimal(queues), n["queue_month"]),
    ]
    stored = [
        ("each GB in tables and their indexes", number.pop("AWS::DynamoDB::Table", 0), n["dynamodb_gb_month"]),
        ("each GB in tables, for point-in-time recovery", len(recovered), n["dynamodb_recovery_gb_month"]),
        ("each GB in log groups, until it expires", number.pop("AWS::Logs::LogGroup", 0), n["logs_gb_month"]),
    ]
    if number:
        raise ScaleError(f"template.yaml: {min(number)} is retained, and tools/scale.py has no price for it")
    return [Cost("kept", what, count * price, count) for what, count, price in kept] + [
        Cost("stored", what, bool(count) * price, Decimal(count)) for what, count, price in stored
    ]


def total(bill: Iterable[Cost], group: str = "") -> Decimal:
    """Of all, or of one group."""
    return sum((cost.amount for cost in bill if group in {"", cost.group}), Decimal())


def money(amount: Decimal) -> str:
    """Dollars and cents."""
    return f"{amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def idle_totals() -> dict[str, Decimal]:
    """Return what a month without a payment costs in each section of samconfig.toml, in dollars that are not rounded.

    Raises:
        ScaleError: an input or a parameter is invalid.
    """
    inputs, declared, totals = inputs_of(INPUTS.read_text(encoding="utf-8")), template.load(TEMPLATE), {}
    for deployment in deployments(SAMCONFIG.read_text(encoding="utf-8"), declared):
        n = numbers_of(inputs, declared, deployment.given)
        totals[deployment.name] = total(fixed_costs(n, ways(n)[0]))
    return totals


def blocks(
    inputs: Mapping[str, Mapping[str, Any]], declared: Mapping[str, Any], deployed: Sequence[Deployment]
) -> dict[str, str]:
    """Return each generated part, by the name in its marker.

    What a month costs without a payment, and after the stack is removed, is shown for each deployment. Every other part
    is of a stack whose parameters are the template's defaults.
    """
    n = numbers_of(inputs, declared)
    found, month_s, target = limits(n, indexes(declared)), n["hours_per_month"] * 3600, n["target_per_s"]
    bills = [(way, costs(n, way, MILLION, MILLION / month_s), fixed_costs(n, way)) for way in ways(n)]
    (ours, million, fixed), *_ = bills
    idle, removed = {}, {}
    for deployment in deployed:
        its = numbers_of(inputs, declared, deployment.given)
        idle[deployment.name] = fixed_costs(its, ours)
        removed[deployment.name] = removed_costs(its, deployment.resources)

    def month(rate: Decimal) -> list[str]:
        bill = [*costs(n, ours, rate * month_s, rate), *fixed]
        return [f"{rate:,}", f"{rate * month_s / MILLION:,.1f}", money(total(bill))]

    def compared(way: Way, bill: list[Cost], unused: list[Cost]) -> list[str]:
        groups = [money(total(bill, group)) for group in ("workflow", "functions", "services", "observing")]
        return [way.name, *groups, f"**{money(total(bill))}**", money(total(unused))]

    months = [month(rate) for rate in sorted({*map(Decimal, RATES_PER_S), target})]
    quotas = ["what", "a second there are", "a payment takes", "payments/s", f"for {target:,}/s"]
    head = ["way", "workflow", "functions", "KMS, table, bus", "logs, traces", "a million, USD", "and a month, USD"]
    return {
        "first": _first(n, found),
        "limits": _table(quotas, [_limit_row(limit, target) for limit in found]),
        "million": _bill("a million payments in a month", {"USD": million}),
        "fixed": _bill("a month without a payment, USD", idle),
        "removed": _removed(removed),
        "months": _table(["payments/s, all month", "million payments", "USD a month"], months),
        "ways": _table(head, [compared(*bill) for bill in bills]),
        "sources": _sources(inputs),
    }


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _first(n: Numbers, found: list[Limit]) -> str:
    first, second = [limit for limit in found if "webhook" not in limit.resource][:2]
    text = (
        f"**{first.resource} stops first, at {first.carried:,} payments a second; then {second.resource}, at "
        f"{second.carried:,}.** A burst of {n['start_execution_burst']:,} starts is accepted at once. From idle, "
        f"each function gets {n['lambda_scaling_per_10_s']:,} environments in ten seconds, and the account "
        f"{n['lambda_concurrency']:,} in all: calls above that are throttled, and the workflow retries them. A payment "
        "that is sent again while its execution runs costs a `DescribeExecution`, and the account has "
        f"{n['describe_execution_per_s']} of these a second. An Express workflow would start "
        f"{n['express_start_per_s']:,} a second."
    )
    return textwrap.fill(text, 120)


def _limit_row(limit: Limit, target: Decimal) -> list[str]:
    needed = (limit.used * target).quantize(WHOLE, ROUND_CEILING)
    more = "enough" if needed <= limit.quota else f"{needed:,}: {limit.raised}"
    return [limit.resource, f"{limit.quota:,.0f} {limit.unit}", f"{limit.used:,f}", f"{limit.carried:,}", more]


def _bill(title: str, bills: Mapping[str, Sequence[Cost]]) -> str:
    return _table([title, *bills], [*_bill_rows(bills), _total_row("together", bills)])


def _removed(bills: Mapping[str, Sequence[Cost]]) -> str:
    """Show what is paid by number, its total, and below it what cannot be known here: what is stored, and where."""
    kept, stored = (
        {name: [cost for cost in bill if cost.group == group] for name, bill in bills.items()}
        for group in ("kept", "stored")
    )
    bucket = ["SAM's bucket, with the artefacts", *["unknown"] * len(bills)]
    together = _total_row("together, with nothing stored", kept)
    return _table(
        ["a month after `sam delete`, USD", *bills], [*_bill_rows(kept), together, *_bill_rows(stored), bucket]
    )


def _bill_rows(bills: Mapping[str, Sequence[Cost]]) -> list[list[str]]:
    """Return a row for each item that a bill has any of, the most expensive first, with an amount for each bill."""
    items = [costs for costs in zip(*bills.values(), strict=True) if any(cost.count != 0 for cost in costs)]
    items.sort(key=lambda costs: -max(cost.amount for cost in costs))
    return [[_label(dict(zip(bills, costs, strict=True))), *(money(cost.amount) for cost in costs)] for costs in items]


def _label(costs: Mapping[str, Cost]) -> str:
    """Return an item's name with its count, or with each bill's if they differ."""
    ((what, count), *others) = {(cost.what, cost.count): None for cost in costs.values()}
    if others:
        return f"{what}: {', '.join(f'{cost.count} in {name}' for name, cost in costs.items())}"
    return what if count is None else f"{what}: {count}"


def _total_row(title: str, bills: Mapping[str, Sequence[Cost]]) -> list[str]:
    return [f"**{title}**", *(f"**{money(total(bill))}**" for bill in bills.values())]


def _sources(inputs: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for kind in ("from memory, to be checked", "second hand", "assumed", "measured"):
        names = [f"`{name}`" for name, line in inputs.items() if line["source"].startswith(f"{kind}:")]
        line = f"- {kind}, {len(names)} of {len(inputs)}: {', '.join(names)}"
        lines.append(textwrap.fill(line, 120, subsequent_indent="  ", break_on_hyphens=False))
    return "\n".join(lines)


def page_of(name: str, page: str, made: Mapping[str, str]) -> str:
    """Return the page as it should be: each part between its markers made again, the rest as it is.

    Args:
        name: the page's, for messages.
        page: its text.
        made: the generated parts, as `blocks` returns them.

    Raises:
        ScaleError: a marker lacks its other, or a marker's part does not exist.
    """
    text, part, done = "", None, 0
    for marker in MARKER.finditer(page):
        if (part is None) == (marker[1] is None):
            raise ScaleError(f"{name}, line {_line(page, marker.start())}: a marker lacks its other")
        if part is None:
            text += page[done : marker.end()]
            if marker[1] not in made:
                raise ScaleError(f"{name}, line {_line(page, marker.start())}: there is no part {marker[1]}")
        else:
            text += f"\n{made[part]}\n{marker[0]}"
        part, done = marker[1], marker.end()
    if part is not None:
        raise ScaleError(f"{name}, line {_line(page, done)}: a marker lacks its other")
    return text + page[done:]


def _line(page: str, position: int) -> int:
    return page.count("\n", 0, position) + 1


def pages_of(inputs_text: str, pages: Mapping[str, str]) -> dict[str, str]:
    """Return the *pages*, which are texts by their names, each with its parts made again.

    Raises:
        ScaleError: an input, a parameter or a marker is wrong, or a part is in no page.
    """
    declared = template.load(TEMPLATE)
    made = blocks(inputs_of(inputs_text), declared, deployments(SAMCONFIG.read_text(encoding="utf-8"), declared))
    shown = {marker[1] for page in pages.values() for marker in MARKER.finditer(page)}
    if lost := sorted(made.keys() - shown):
        raise ScaleError(f"docs: no page has the markers of {lost[0]}")
    return {name: page_of(name, page, made) for name, page in pages.items()}


def read_pages(docs: Path) -> dict[str, str]:
    """Return the text of every page below the folder *docs*, by its path relative to the folder's parent."""
    return {
        path.relative_to(docs.parent).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(docs.rglob("*.md"))
    }


def generated_pages(inputs: Path = INPUTS, docs: Path = DOCS) -> dict[Path, str]:
    """Return the text of every page below *docs* that has markers, by its path.

    Raises:
        ScaleError: an input, a parameter or a marker is wrong, or no page shows a part.
    """
    pages = read_pages(docs)
    try:
        made = pages_of(inputs.read_text(encoding="utf-8"), pages)
    except decimal.DivisionByZero:
        raise ScaleError(
            "docs/concepts/scale.toml: a value is 0 that others are divided by: "
            "durations, bytes, hours and quotas are more"
        ) from None
    return {docs.parent / name: page for name, page in made.items() if MARKER.search(page)}
