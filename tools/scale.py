"""The tables of scale and price in `docs/`: what stops a stack first, what it costs, and what others would cost.

The program calculates with the inputs of `docs/concepts/scale.toml` and with facts of the stack, and puts each table
between its markers. Money is decimal; a GB is 10^9 bytes.
"""

import decimal
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ledger.item import SHARDS
from ledger_cli import ROOT
from ledger_cli.engine import template
from tools import facts
from tools.facts import CALLS, ENTRY_CALLS, MILLION, RECORD_CALLS, RUN_CALLS, SEAL_CALLS, Numbers, ScaleError

__all__ = ["ScaleError", "generated_pages"]

MARKER = re.compile(r"^<!-- (?:(\w+): made by make generate|end) -->$", re.MULTILINE)
PART = re.compile(r"^(<!-- (\w+): made by make generate -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
ONE, GB = Decimal(1), Decimal(10**9)

SDK_STATES = 5
"""States of a workflow that calls AWS itself: check, encrypt, put, publish and mark."""


EVENTUAL_READ = Decimal("0.5")
"""Read units of an eventually consistent read of at most 4 KB, also if it finds nothing."""


class Architecture(NamedTuple):
    """A way to process the same payments: the price of its workflow for a million, and what one payment takes."""

    name: str
    workflow: Decimal
    invocations: Decimal
    history_events: Decimal = Decimal()
    private: bool = True


class Cost(NamedTuple):
    """A monthly cost of a deployment: the number of things that cause it, and dollars that are not rounded."""

    what: str
    number: Decimal
    amount: Decimal


class Limit(NamedTuple):
    """A resource: how much of it there is in a second, how much of it a payment takes, and how to get more."""

    name: str
    quota: Decimal
    unit: str
    used: Decimal
    more: str

    @property
    def per_s(self) -> Decimal:
        """The payments that it carries in a second."""
        return (self.quota / self.used).quantize(ONE, ROUND_FLOOR)

    def row(self, target_per_s: Decimal) -> list[str]:
        """Return its row of a table, with what payments at a given rate need."""
        needed = (self.used * target_per_s).quantize(ONE, ROUND_CEILING)
        more = "enough" if needed <= self.quota else f"{needed:,}: {self.more}"
        return [self.name, f"{self.quota:,.0f} {self.unit}", f"{self.used:,}", f"{self.per_s:,}", more]


NOT_WAITED_FOR = {"the webhook", "the sealer"}
"""Limits that stop no payment: the template itself sets the webhook's, and no payment waits for the sealer."""


def first_to_stop(limits: Iterable[Limit]) -> str:
    """Return which two resources stop first."""
    first, second = [limit for limit in limits if limit.name.split(",")[0] not in NOT_WAITED_FOR][:2]
    return f"{first.name} stops first, at {first.per_s:,} payments a second; then {second.name}, at {second.per_s:,}."


def quotas_table(n: Numbers) -> str:
    """Return which two resources stop first, and a table with the limit of each resource, the first to stop first."""
    ours = limits(n)
    head = ["what", "a second there are", "a payment takes", "payments/s", f"for {n['target_per_s']:,}/s"]
    return f"**{first_to_stop(ours)}**\n\n{table(head, [limit.row(n['target_per_s']) for limit in ours])}"


def fast_quotas_table(n: Numbers, fast: Numbers) -> str:
    """Return the same for a stack with the fast lane, with the limits that are others there.

    Of a payment in a thousand, both lanes are used. Its function waits for the execution.
    """
    left = n["fast_lane_left"]
    others = {
        "the webhook": (fast["webhook_per_s"], ONE),
        "StartExecution": (n["start_execution_per_s"], left),
        "state transitions": (n["state_transitions_per_s"], left * n["transitions"]),
        "Lambda: requests": (n["lambda_concurrency"] * n["lambda_requests_per_concurrency"], n["states"] + 1),
        "Lambda: concurrency": (n["lambda_concurrency"], n["function_s"] + n["execution_s"]),
    }
    found = []
    for limit in limits(n):
        quota, used = others.get(limit.name.split(",")[0], (limit.quota, limit.used))
        found.append(limit._replace(quota=quota, used=used))
    found.sort(key=lambda limit: (limit.quota / limit.used, limit.name))
    shown = [limit for limit in found if limit.name.split(",")[0] in others]
    head = ["in the fast lane", "a second there are", "a payment takes", "payments/s", f"for {n['target_per_s']:,}/s"]
    return f"**{first_to_stop(found)}**\n\n{table(head, [limit.row(n['target_per_s']) for limit in shown])}"


def limits(n: Numbers) -> list[Limit]:
    """Return the limit of each resource, the first to stop first."""
    requests = n["lambda_concurrency"] * n["lambda_requests_per_concurrency"]
    bandwidth, shards = n["endpoint_gigabits_per_s"] * GB / 8, SHARDS * n["dynamodb_partition_units_per_s"]
    new_table, endpoint = n["dynamodb_new_table_units_per_s"], n["dynamodb_endpoint_requests_per_s"]
    units = {name.removeprefix("units of "): used for name, used in n.items() if name.startswith("units of ")}
    endpoint_requests = len(CALLS["DynamoDB"]) + len(RECORD_CALLS["DynamoDB"])
    found: list[tuple[str, Decimal, str, Decimal | int, str]] = [
        ("the webhook, if it is open", n["webhook_per_s"], "requests", 1, "in `template.yaml`"),
        ("the sealer", sealer_ms(n), "ms", n["seal_ms"], "seals later"),
        ("StartExecution", n["start_execution_per_s"], "requests", len(CALLS["Step Functions"]), "ask AWS"),
        ("state transitions", n["state_transitions_per_s"], "transitions", n["transitions"], "ask AWS"),
        ("Lambda: requests", requests, "requests", n["states"], "ask AWS for concurrency"),
        ("Lambda: concurrency", n["lambda_concurrency"], "environments", n["function_s"], "ask AWS"),
        ("a new table, or an index of it", new_table, "write units", max(units.values()), "warm it up"),
        ("the table with its indexes", n["dynamodb_table_units_per_s"], "write units", n["units"], "ask AWS"),
        ("PutEvents", n["put_events_per_s"], "requests", len(CALLS["EventBridge"]), "ask AWS"),
        ("KMS", n["kms_requests_per_s"], "requests", n["kms_requests"] + n["kms_requests_for_history"], "ask AWS"),
        ("DynamoDB's endpoint", endpoint, "requests", endpoint_requests, "another endpoint"),
        ("an endpoint in one zone", bandwidth, "bytes", n["network_bytes"], "grows by itself"),
    ]
    for index in units.keys() - {"table"}:
        shared = ", one processor" if index == "PaymentsByProcessor" else ""
        found.append((f"index {index}{shared}", shards, "write units", units[index], "more `SHARDS`"))
    made = [Limit(name, quota, unit, Decimal(used), more) for name, quota, unit, used, more in found]
    return sorted(made, key=lambda limit: (limit.quota / limit.used, limit.name))


def sealer_ms(n: Numbers) -> Decimal:
    """Return for how many milliseconds of each second the sealer may run: a run ends before the next one is due."""
    return 1000 * n["sealer_timeout_s"] / n["sealer_period_s"]


def architectures(n: Numbers) -> list[Architecture]:
    """Return the architectures that are compared, ours first."""
    transition, ends = MILLION / 1000 * n["transitions_per_1000"], 2  # an execution's history has a start and an end
    events, sdk_events = (states * n["history_events_per_state"] + ends for states in (n["states"], SDK_STATES))
    sdk = transition * (SDK_STATES + n["start_transitions"])
    steps = (n["execution_s"] * 1000 / n["express_step_ms"]).quantize(ONE, ROUND_CEILING)
    express_gb_s = MILLION * steps * n["express_step_ms"] / 1000 * n["express_memory_mb"] / 1024
    express = n["express_requests_per_million"] + express_gb_s * n["express_gb_s"]
    durable_gb = n["durable_written_gb"] + n["durable_months"] * n["durable_kept_gb_month"]
    left = n["fast_lane_left"]
    counted_gb = MILLION * (n["fast_lane_log_bytes"] + n["log_event_overhead_bytes"]) / GB
    waiting = MILLION * n["execution_s"] * n["memory_gb"] * n["lambda_gb_s"] + counted_gb * n["logs_gb"]
    fast = express + waiting + left * transition * n["transitions"]
    operation = n["durable_operations_per_million"] + MILLION * n["durable_bytes"] / GB * durable_gb
    return [
        Architecture("**Standard workflow, four functions: ours**", transition * n["transitions"], n["states"], events),
        Architecture("**Express workflow first: our fast lane**", fast, n["states"] * (1 + left), events * (1 + left)),
        Architecture("Express workflow alone, the same functions", express, n["states"], events),
        Architecture("Standard workflow that calls AWS itself", sdk, Decimal(), sdk_events, private=False),
        Architecture("one durable function", operation * (1 + n["states"]), ONE),
        Architecture("one plain function", Decimal(), ONE),
    ]


def entry_costs(n: Numbers) -> dict[str, Decimal]:
    """Return what a million entries cost, from the numbers of an entry."""
    ours, *_ = architectures(n)
    return million_costs(n, ours)


def entries_table(n: Numbers) -> str:
    """Return what an entry takes, and a table of what a million entries cost, from the numbers of an entry."""
    takes = [
        (n["transitions"], "state transitions"),
        (n["states"], "invocations"),
        (Decimal(len(ENTRY_CALLS["DynamoDB"])), "requests to DynamoDB"),
        (n["read_units"], "read units"),
        (n["units"], "write units"),
    ]
    answer = ", ".join(f"{number:,} {what}" for number, what in takes)
    costs = entry_costs(n)
    body = [*price_rows(costs), ["**a million entries in a month**", f"**{money(sum(costs.values()))}**"]]
    return f"**An entry takes {answer} and one event.**\n\n{table(['what', 'USD'], body)}"


def sealing_units(n: Numbers) -> Decimal:
    """Return the write units that sealing adds to one record, with its share of a seal."""
    return n["units"] - n["units_without_sealing"] + n["seals"] * n["units_of_a_seal"] / MILLION


def sealing_costs(n: Numbers) -> dict[str, Decimal]:
    """Return what sealing adds to a million records that come evenly in a month, payments or entries."""
    kms, kept_gb = n["seals"] * len(SEAL_CALLS["KMS"]), n["seals"] * n["bytes_of_a_seal"] / GB
    return {
        "DynamoDB: writes": sealing_units(n) * n["dynamodb_writes_per_million"],
        "DynamoDB: reads": n["sealing_read_units"] * n["dynamodb_reads_per_million"],
        "KMS: requests": kms / 10000 * n["kms_asymmetric_requests_per_10000"],
        "Lambda: GB-seconds": MILLION * n["seal_ms"] / 1000 * n["sealer_memory_gb"] * n["lambda_gb_s"],
        "endpoints: data": MILLION * n["seal_network_bytes"] / GB * n["endpoint_gb"],
        "EventBridge: events": n["seals"] / MILLION * n["events_per_million"],
        "DynamoDB: each month kept": kept_gb * n["dynamodb_gb_month"],
        "DynamoDB: each month's recovery": kept_gb * n["dynamodb_recovery_gb_month"],
    }


def sealing_table(n: Numbers, entry: Numbers) -> str:
    """Return what sealing adds to a payment and to an entry, and a table of what it adds to a million of each."""
    payments, entries = sealing_costs(n), sealing_costs(entry)
    added = [
        f"{sealing_units(each):.1f} write units to {a_record} and {money(sum(costs.values()))} USD to a million"
        for each, costs, a_record in ((n, payments, "a payment"), (entry, entries, "an entry"))
    ]
    per_s = (sealer_ms(n) / n["seal_ms"]).quantize(ONE, ROUND_FLOOR)
    answer = f"**Sealing adds {added[0]}; {added[1]}. The sealer seals {per_s:,} records a second.**"
    body = [[what, money(amount), money(entries[what])] for what, amount in sorted(payments.items(), key=_falling)]
    body += [["**together**", *(f"**{money(sum(costs.values()))}**" for costs in (payments, entries))]]
    return f"{answer}\n\n{table(['sealing, USD', 'a million payments', 'a million entries'], body)}"


def run_cost(n: Numbers) -> Decimal:
    """Return what one run of the sealer costs that finds nothing to seal."""
    of_indexes = (len(RUN_CALLS["DynamoDB"]) - 1) * EVENTUAL_READ  # an index gives no other read than an eventual one
    reads = (of_indexes + n["read_units_of_a_seal"]) / MILLION * n["dynamodb_reads_per_million"]
    time = n["sealer_idle_ms"] / 1000 * n["sealer_memory_gb"] * n["lambda_gb_s"]
    return reads + time + (n["lambda_requests_per_million"] + n["traces_per_million"]) / MILLION


def million_costs(n: Numbers, way: Architecture) -> dict[str, Decimal]:
    """Return what a million payments cost in an architecture."""
    kms = n["kms_requests"] + bool(way.history_events) * n["kms_requests_for_history"]
    gb_s = bool(way.invocations) * n["function_s"] * n["memory_gb"]
    logs_gb, event_gb = MILLION * log_bytes(n, way) / GB, MILLION * n["event_bytes"] / GB
    stored_gb, indexed_gb = MILLION * n["stored_bytes"] / GB, MILLION * n["indexed_bytes"] / GB
    return {
        "Step Functions: transitions": way.workflow,  # another architecture pays what runs its steps
        "Lambda: requests": way.invocations * n["lambda_requests_per_million"],
        "Lambda: GB-seconds": MILLION * gb_s * n["lambda_gb_s"],
        "KMS: requests": MILLION / 10000 * kms * n["kms_requests_per_10000"],
        "DynamoDB: writes": n["units_without_sealing"] * n["dynamodb_writes_per_million"],
        "DynamoDB: reads": n["read_units"] * n["dynamodb_reads_per_million"],
        "DynamoDB: each month kept": (stored_gb + indexed_gb) * n["dynamodb_gb_month"],
        "DynamoDB: each month's recovery": stored_gb * n["dynamodb_recovery_gb_month"],
        "EventBridge: events": n["events_per_million"],
        "EventBridge: archive, taken in": event_gb * n["archive_gb"],
        "EventBridge: archive, kept": event_gb * n["archive_months"] * n["archive_gb_month"],
        "endpoints: data": way.private * MILLION * n["network_bytes"] / GB * n["endpoint_gb"],
        "CloudWatch: logs, taken in": logs_gb * n["logs_gb"],
        "CloudWatch: logs, kept": logs_gb * n["log_months"] * n["logs_gb_month"],
        "the sealed log": sum(sealing_costs(n).values(), Decimal()),
        "X-Ray: traces": n["traces_per_million"],  # all have a trace: a million in a month is less than one a second
    }


def log_bytes(n: Numbers, way: Architecture) -> Decimal:
    """Return the bytes that one payment writes into logs, with the overhead that CloudWatch adds to each event."""
    own = bool(way.invocations)
    events = way.invocations * n["platform_log_events"] + way.history_events + own * n["own_log_events"] + way.private
    written = way.invocations * n["platform_log_bytes"] + way.history_events * n["history_event_bytes"]
    written += own * n["own_log_bytes"] + way.private * n["flow_log_bytes"]
    return written + events * n["log_event_overhead_bytes"]


def idle_costs(n: Numbers) -> list[Cost]:
    """Return what a month without a payment costs: the same costs in the same order for each stack."""
    bill = [
        ("endpoints, one for each zone", "endpoint_zones", n["hours_per_month"] * n["endpoint_hour"]),
        ("keys, before their first rotation", "keys", n["kms_key_month"]),
        ("metrics of our own", "recorded_metrics", n["metric_month"]),
        ("metrics in alarms", "alarm_metrics", n["alarm_metric_month"]),
        ("dashboards", "dashboards", n["dashboard_month"]),
        ("processors' secrets", "processor_secrets", n["secret_month"]),
        ("runs of the sealer", "sealer_runs", run_cost(n)),
    ]
    return [Cost(what, n[number], n[number] * price) for what, number, price in bill]


def snapshot_costs(n: Numbers) -> list[Cost]:
    """Return what it costs if the functions start from snapshots: for a month of them, and for a million starts."""
    month_s = n["hours_per_month"] * 3600
    start = MILLION * n["memory_gb"] * n["snapshot_restored_gb"]
    return [
        Cost("a month of the functions' snapshots", n["functions"], n["functions_gb"] * month_s * n["snapshot_gb_s"]),
        Cost("a million starts of a function of this memory, MB", (n["memory_gb"] * 1024).quantize(ONE), start),
    ]


def removed_costs(n: Numbers, outliving: Iterable[Mapping[str, Any]]) -> tuple[list[Cost], list[Cost]]:
    """Return what a month costs after a stack is deleted: for the resources *outliving* it, and for each GB in them.

    Raises:
        ScaleError: a resource of a type that has no price here outlives the stack.
    """
    numbers = Counter(resource["Type"] for resource in outliving)
    recovery = [resource["Properties"].get("PointInTimeRecoverySpecification", {}) for resource in outliving]
    recovered = sum(each.get("PointInTimeRecoveryEnabled") is True for each in recovery)
    keys, queues = Decimal(numbers.pop("AWS::KMS::Key", 0)), Decimal(numbers.pop("AWS::SQS::Queue", 0))
    stores, groups = numbers.pop("AWS::DynamoDB::Table", 0), numbers.pop("AWS::Logs::LogGroup", 0)
    secrets = n["processor_secrets"]
    for priceless in ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"):  # a year of checkpoints is some 30 MB
        numbers.pop(priceless, None)
    if numbers:
        raise ScaleError(f"template.yaml: {min(numbers)} is retained, and tools/scale.py has no price for it")
    return [
        Cost("keys, before their first rotation", keys, keys * n["kms_key_month"]),
        Cost("processors' secrets, which the command made", secrets, secrets * n["secret_month"]),
        Cost("queues", queues, queues * n["queue_month"]),
    ], [
        Cost("each GB in tables and their indexes", Decimal(stores), n["dynamodb_gb_month"]),
        Cost("each GB in tables, for point-in-time recovery", Decimal(recovered), n["dynamodb_recovery_gb_month"]),
        Cost("each GB in log groups, until it expires", Decimal(groups), n["logs_gb_month"]),
    ]


def tables(
    inputs: Mapping[str, Decimal], declared: Mapping[str, Any], deployments: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return each generated table, by the name in its markers."""
    n = facts.numbers_of(inputs, declared, {})  # of a stack whose parameters have the template's defaults
    fast = facts.numbers_of(inputs, declared, {"Lane": "fast"})
    ways = {way: million_costs(n, way) for way in architectures(n)}
    million, entry = next(iter(ways.values())), facts.entry_numbers_of(n, declared)
    idle, kept, stored, snapshots = {}, {}, {}, {}
    for name, given in deployments.items():
        stack = facts.numbers_of(inputs, declared, given)
        idle[name], snapshots[name] = idle_costs(stack), snapshot_costs(stack)
        kept[name], stored[name] = removed_costs(stack, facts.outliving(declared, given))
    prices = [*price_rows(million), ["**a million payments in a month**", f"**{money(sum(million.values()))}**"]]
    prices += [[f"**a month without a payment, `{name}`**", amount] for name, amount in totals(idle).items()]
    prices += [[f"**a month after `sam delete`, `{name}`**", amount] for name, amount in totals(kept).items()]
    compared = [[way.name, money(sum(costs.values()))] for way, costs in ways.items()]
    together = [*rows(idle), ["**together**", *totals(idle).values()]]
    bucket = ["SAM's bucket, with the artefacts", *["unknown"] * len(deployments)]
    removed = [*rows(kept), ["**together, with nothing stored**", *totals(kept).values()], *rows(stored), bucket]
    return {
        "quotas": quotas_table(n),
        "fast": fast_quotas_table(n, fast),
        "prices": table(["what", "USD"], prices),
        "snapshots": table(["with `SnapStart=on`, USD", *snapshots], rows(snapshots)),
        "entries": entries_table(entry),
        "sealing": sealing_table(n, entry),
        "architectures": table(["architecture", "a million payments, USD"], compared),
        "idle": table(["a month without a payment, USD", *idle], together),
        "removed": table(["a month after `sam delete`, USD", *kept], removed),
    }


def table(head: list[str], body: Iterable[list[str]]) -> str:
    """Return a table in Markdown, whose first column is text and whose other columns are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _falling(cost: tuple[str, Decimal]) -> Decimal:
    return -cost[1]


def price_rows(costs: Mapping[str, Decimal]) -> list[list[str]]:
    """Return a row for each cost that there is, the highest first."""
    return [[what, money(amount)] for what, amount in sorted(costs.items(), key=_falling) if amount]


def rows(bills: Mapping[str, list[Cost]]) -> list[list[str]]:
    """Return a row for each cost that a deployment has, the highest first, with an amount for each deployment."""
    found = []
    for costs in sorted(zip(*bills.values(), strict=True), key=lambda costs: -max(cost.amount for cost in costs)):
        numbers = [cost.number for cost in costs]
        each = ", ".join(f"{number:,} in {name}" for number, name in zip(numbers, bills, strict=True))
        if any(numbers):
            what = f"{costs[0].what}: {f'{numbers[0]:,}' if len({*numbers}) == 1 else each}"
            found.append([what, *(money(cost.amount) for cost in costs)])
    return found


def totals(bills: Mapping[str, list[Cost]]) -> dict[str, str]:
    """Return the total of each deployment's bill, in bold type."""
    return {name: f"**{money(sum(cost.amount for cost in bill))}**" for name, bill in bills.items()}


def money(amount: Decimal | int) -> str:
    """Return an amount in dollars and cents."""
    return f"{Decimal(amount).quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def page_of(name: str, page: str, made: Mapping[str, str]) -> str:
    """Return the *page* with a new table between each pair of markers, by its name in *made*.

    Raises:
        ScaleError: a marker lacks its other, or no table has a marker's name.
    """
    markers = [marker[1] for marker in MARKER.finditer(page)]
    starts, ends = markers[::2], markers[1::2]
    if len(starts) != len(ends) or None in starts or any(ends):
        raise ScaleError(f"{name}: a marker lacks its other")
    if unknown := {*starts} - made.keys():
        raise ScaleError(f"{name}: there is no table {min(unknown)}")
    return PART.sub(lambda part: f"{part[1]}{made[part[2]]}\n{part[3]}", page)


def generated_pages(inputs: Path = facts.INPUTS, docs: Path = ROOT / "docs") -> dict[Path, str]:
    """Return the text of every page below *docs* that has markers, by its path.

    Raises:
        ScaleError: an input, a deployment or a marker is wrong, or no page shows a table.
    """
    declared = template.load(facts.TEMPLATE)
    deployments = facts.deployments(facts.SAMCONFIG.read_text(encoding="utf-8"), declared)
    try:
        made = tables(facts.inputs_of(inputs.read_text(encoding="utf-8")), declared, deployments)
    except decimal.DivisionByZero:
        raise ScaleError("docs/concepts/scale.toml: a value is 0 that others are divided by") from None
    pages = {path: text for path in docs.rglob("*.md") if MARKER.search(text := path.read_text(encoding="utf-8"))}
    if lost := made.keys() - {marker for text in pages.values() for marker in MARKER.findall(text)}:
        raise ScaleError(f"docs: no page has the markers of {min(lost)}")
    return {path: page_of(path.relative_to(docs.parent).as_posix(), text, made) for path, text in pages.items()}
