"""The alarms: what they count, when they ring, whom they notify, and the page that explains each."""

import json
import re
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from ledger.outcome import DETAIL_TYPES, ENTRY_DETAIL_TYPES
from ledger_cli import ROOT
from tests.proof.contexts import ENTRIES_WORKFLOW, PARTNER_SOURCE, THIS_WORKFLOW
from tests.proof.policies import Resources, of_type
from tests.proof.resolved import arn
from tests.proof.rules.data import TABLES

COUNTED: Mapping[str, Mapping[str, str]] = {
    # `tests/proof/test_alarms.py` evaluates these expressions.
    "TechnicalFailuresAlarm": {
        "technical": "IF(difference - DIFF(difference) < 0, 2 * difference - DIFF(difference), difference)",
        "difference": "FILL(failed, 0) - FILL(refused, 0)",
        "failed": "PaymentLedger ExecutionsFailed, Sum of 60 s",
        "refused": "PaymentLedger ExecutionsRefused, Sum of 60 s",
        "rings": "above 0 in 2 of 5",
    },
    "FunctionErrorsAlarm": {
        "errors": "FILL(raised, 0) + FILL(publish, 0) + FILL(republish, 0) + FILL(seal, 0) + FILL(watch, 0)",
        "raised": "PaymentLedger UnexpectedErrors, Sum of 60 s",
        "publish": "AWS/Lambda Errors FunctionName=publish_outcome Resource=publish_outcome:live, Sum of 60 s",
        "republish": "AWS/Lambda Errors FunctionName=republish_outcomes Resource=republish_outcomes:live, Sum of 60 s",
        "seal": "AWS/Lambda Errors FunctionName=seal_ledger Resource=seal_ledger:live, Sum of 60 s",
        "watch": "AWS/Lambda Errors FunctionName=watch_ledger Resource=watch_ledger:live, Sum of 60 s",
        "rings": "above 0 in 3 of 5",
    },
    "ThrottledExecutionsAlarm": {
        "throttles": "FILL(payments, 0) + FILL(entries, 0)",
        "payments": f"AWS/States ExecutionThrottled StateMachineArn={THIS_WORKFLOW}, Sum of 300 s",
        "entries": f"AWS/States ExecutionThrottled StateMachineArn={ENTRIES_WORKFLOW}, Sum of 300 s",
        "rings": "above 0 in 3 of 3",
    },
    "ConflictsAlarm": {
        "conflicts": "FILL(payments, 0) + FILL(entries, 0)",
        "payments": "PaymentLedger PaymentConflict service=payment-ledger, Sum of 300 s",
        "entries": "PaymentLedger EntryConflict service=payment-ledger, Sum of 300 s",
        "rings": "above 0 in 1 of 1",
    },
    # A single refused entry is money that moved and that no total has.
    "RefusedEntriesAlarm": {
        "": "PaymentLedger EntryRefused service=payment-ledger, Sum of 300 s",
        "rings": "above 0 in 1 of 1",
    },
    "RejectionsAlarm": {
        "": "PaymentLedger PaymentRejected service=payment-ledger, Sum of 900 s",
        "rings": "above 10 in 1 of 1",
    },
    # The sweep runs every 300 s: a shorter period would have minutes without data.
    "UnpublishedAlarm": {
        "": "PaymentLedger UnpublishedOverdue service=payment-ledger, Maximum of 300 s",
        "rings": "above 900 in 3 of 3",
    },
    "UnpublishedBacklogAlarm": {
        "": "PaymentLedger UnpublishedOutcomes service=payment-ledger, Maximum of 300 s",
        "rings": "above 100 in 1 of 1",
    },
    "HeldBackAlarm": {
        "": "PaymentLedger OutcomesHeldBack service=payment-ledger, Maximum of 300 s",
        "rings": "above 0 in 3 of 3",
    },
    "UnsealedAlarm": {
        "": "PaymentLedger UnsealedAge service=payment-ledger, Maximum of 300 s",
        "rings": "above 900 in 3 of 3",
    },
    # A run may end early once. The next ones seal the rest.
    "UnsealedRecordsAlarm": {
        "": "PaymentLedger UnsealedRecords service=payment-ledger, Maximum of 300 s",
        "rings": "above 0 in 3 of 3",
    },
    "TableThrottlesAlarm": {
        "throttles": "FILL(ledger, 0) + FILL(processors, 0) + FILL(unpublished, 0) + FILL(unsealed, 0) "
        "+ FILL(entries, 0) + FILL(entryProcessors, 0) + FILL(unpublishedEntries, 0) + FILL(unsealedEntries, 0) "
        "+ FILL(seals, 0)",
        "ledger": "AWS/DynamoDB WriteThrottleEvents TableName=PaymentLedger, Sum of 60 s",
        "entries": "AWS/DynamoDB WriteThrottleEvents TableName=PaymentEntries, Sum of 60 s",
        "seals": "AWS/DynamoDB WriteThrottleEvents TableName=PaymentSeals, Sum of 60 s",
        **{
            name: f"AWS/DynamoDB WriteThrottleEvents TableName={table} GlobalSecondaryIndexName={index}, Sum of 60 s"
            for name, table, index in (
                ("processors", "PaymentLedger", "PaymentsByProcessor"),
                ("unpublished", "PaymentLedger", "UnpublishedPayments"),
                ("unsealed", "PaymentLedger", "UnsealedPayments"),
                ("entryProcessors", "PaymentEntries", "EntriesByProcessor"),
                ("unpublishedEntries", "PaymentEntries", "UnpublishedEntries"),
                ("unsealedEntries", "PaymentEntries", "UnsealedEntries"),
            )
        },
        "rings": "above 0 in 3 of 3",
    },
    "RefusedSignaturesAlarm": {
        "": "PaymentLedger SignatureRefused service=payment-ledger, Sum of 300 s",
        "rings": "above 10 in 1 of 1",
    },
    "WebhookFailuresAlarm": {
        "failures": "FILL(later, 0) + FILL(errors, 0) + FILL(throttles, 0)",
        "later": "PaymentLedger PaymentNotStarted service=payment-ledger, Sum of 60 s",
        "errors": "AWS/Lambda Errors FunctionName=receive_payment, Sum of 60 s",
        "throttles": "AWS/Lambda Throttles FunctionName=receive_payment, Sum of 60 s",
        "rings": "above 0 in 2 of 3",
    },
    "FastLaneAlarm": {
        "": "PaymentLedger FastLaneLeft service=payment-ledger, Average of 60 s",
        "rings": "above 0.05 in 3 of 5",
    },
    "ChangedItemsAlarm": {
        "": "PaymentLedger ItemChanged service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "ChangedProtectionAlarm": {
        "": "PaymentLedger ProtectionChanged service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "AcceptedEntriesAlarm": {
        "": "PaymentLedger EntryAccepted service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "RevealedTokensAlarm": {
        "": "PaymentLedger TokenRevealed service=payment-ledger, Sum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
    "UndeliveredPaymentsAlarm": {
        "": "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=undelivered-payments, Maximum of 60 s",
        "rings": "above 0 in 1 of 1",
    },
}
"""The metrics that each alarm counts, by their IDs (empty if there is only one), and when the alarm rings."""


def events_and_alarms(resources: Resources) -> Iterator[str]:
    """Check the archive, both schedules, and that each alarm notifies, is on the dashboard and in the runbook."""
    buses = {bus["Name"] for _, bus in of_type(resources, "AWS::Events::EventBus")}
    if buses != {"payment-ledger", "payment-processors", PARTNER_SOURCE}:
        yield f"buses: {sorted(buses)}"
    archived = [a["SourceArn"].rpartition("/")[2] for _, a in of_type(resources, "AWS::Events::Archive")]
    if archived != ["payment-ledger"]:  # not the processors' bus, whose events may hold tokens
        yield f"archived: {archived}"
    for name, archive in of_type(resources, "AWS::Events::Archive"):
        if archive.get("EventPattern") != {"source": ["payment.ledger"]}:
            yield f"{name}: does not archive every outcome"
    runbook = (ROOT / "docs/operate/runbook.md").read_text()
    sections = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^## (.+)$", runbook, re.MULTILINE)
    }
    alarms = dict(of_type(resources, "AWS::CloudWatch::Alarm"))
    shown = json.dumps([d["DashboardBody"] for _, d in of_type(resources, "AWS::CloudWatch::Dashboard")])
    if set(alarms) != COUNTED.keys():
        yield f"alarms: {sorted(set(alarms) ^ COUNTED.keys())}"
    for name, alarm in alarms.items():
        link = re.search(r"docs/operate/runbook\.md#([\w-]+)$", alarm.get("AlarmDescription", ""))
        if not link or link[1] not in sections:
            yield f"{name}: its description leads to no section of the runbook"
        if alarm["AlarmName"] not in shown:
            yield f"{name}: not on the dashboard"
        # The sweep and the sealer report a figure at each run, so missing data means that they do not run.
        missing = "breaching" if name in CREATED_AFTER else "notBreaching"
        if alarm.get("TreatMissingData") != missing or alarm.get("ComparisonOperator") != "GreaterThanThreshold":
            yield f"{name}: treats missing data wrongly, or compares in the wrong direction"
        topics = alarm.get("AlarmActions") if alarm.get("ActionsEnabled", True) else []
        if topics != ["arn:aws:sns:us-east-1:123456789012:alarms"]:
            yield f"{name}: notifies nobody"
    yield from _dashboard(resources)
    yield from _schedules(resources)


SCHEDULED = {
    "RepublishSchedule": ("republish_outcomes", "paymentledger-schedule-role"),
    "SealSchedule": ("seal_ledger", "paymentledger-seal-schedule-role"),
}
"""The function that each schedule invokes, and the role with which EventBridge Scheduler does it."""

CREATED_AFTER = {"UnpublishedAlarm": "RepublishSchedule", "UnsealedAlarm": "SealSchedule"}
"""The alarms that ring without data, and the schedule without which there is none."""


def _schedules(resources: Resources) -> Iterator[str]:
    schedules = dict(of_type(resources, "AWS::Scheduler::Schedule"))
    if schedules.keys() != SCHEDULED.keys():
        yield f"schedules: {sorted(schedules)}"
    for name, schedule in schedules.items():
        target = schedule.get("Target", {})
        function, role = SCHEDULED[name]
        if target.get("Arn") != arn("lambda", f"function:{function}:live"):
            yield f"{name}: does not invoke the alias of {function}"
        if target.get("RoleArn") != arn("iam", f"role/{role}", region=""):
            yield f"{name}: does not have its own role"
        if target.get("Input") != '{"ScheduledTime": "<aws.scheduler.scheduled-time>"}':
            yield f"{name}: does not pass its time to the function"
        if target.get("RetryPolicy") != {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}:
            yield f"{name}: runs again although the next run does the rest"
        if schedule.get("ScheduleExpression") != "rate(5 minutes)" or schedule.get("State", "ENABLED") != "ENABLED":
            yield f"{name}: does not run every five minutes"


def _dashboard(resources: Resources) -> Iterator[str]:
    dashboards = list(of_type(resources, "AWS::CloudWatch::Dashboard"))
    if len(dashboards) != 1:
        yield "dashboard: not exactly one"
    for name, dashboard in dashboards:
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        if len(widgets) < 7 or "${" in dashboard["DashboardBody"]:
            yield f"{name}: a widget is missing, or a reference was not resolved"
        rows = [row for widget in widgets for row in widget["properties"].get("metrics", [])]
        shown = {tuple(part for part in row if isinstance(part, str)) for row in rows} - {()}
        if shown != _metrics_of_the_dashboard(resources):
            yield f"{name}: {sorted(shown ^ _metrics_of_the_dashboard(resources))}"
        # Anybody can make this metric rise, so no alarm counts it, and only the dashboard shows it.
        if ("UnknownSenderRefused" in dashboard["DashboardBody"]) != ("ReceivePayment" in resources):
            yield f"{name}: shows the webhook's unknown senders without a webhook, or does not show them"


def _metrics_of_the_dashboard(resources: Resources) -> set[tuple[str, ...]]:
    """Return the metrics that an operator sees at a glance: namespace, name and dimensions.

    They are every outcome, the failures, the time, errors and throttles of each step, and the throttles of both
    workflows, all tables and their indexes.
    """
    outcomes = [*DETAIL_TYPES.values(), *ENTRY_DETAIL_TYPES.values(), "UnpublishedOutcomes", "UnsealedRecords"]
    if "ReceivePayment" in resources:
        outcomes += ["SignatureRefused", "UnknownSenderRefused", "PaymentNotStarted"]
    found: set[tuple[str, ...]] = {("PaymentLedger", name, "service", "payment-ledger") for name in outcomes}
    found |= {("PaymentLedger", name) for name in ("UnexpectedErrors", "ExecutionsFailed", "ExecutionsRefused")}
    names = [resources[step]["Properties"]["FunctionName"] for step in STEPS]
    for name in ("Duration", "Errors", "Throttles"):
        found |= {("AWS/Lambda", name, "FunctionName", function) for function in names}
    found |= {("AWS/Lambda", "Errors", "FunctionName", function) for function, _ in SCHEDULED.values()}
    for workflow in (THIS_WORKFLOW, ENTRIES_WORKFLOW):
        found.add(("AWS/States", "ExecutionThrottled", "StateMachineArn", workflow))
    for table in TABLES.values():
        throttles = ("AWS/DynamoDB", "WriteThrottleEvents", "TableName", table.name)
        found |= {throttles, *((*throttles, "GlobalSecondaryIndexName", index) for index in table.indexes)}
    return found


STEPS = ("ValidatePayment", "EncryptToken", "PersistPaymentLedger", "ValidateEntry", "AppendEntry", "PublishOutcome")
"""The functions of the workflows."""

# The last is not an answer, and yet expected: other deliveries took the next number, and the caller tries again.
ANSWERS_OF_AN_APPEND = "-InvalidEntryError -EntryTooEarlyError -EntryConflictError -EntryContentionError"

BUSINESS_ERRORS = {
    "ValidatePayment": "-InvalidPaymentError",
    "EncryptToken": "-InvalidPaymentError",
    "PersistPaymentLedger": "-PaymentConflictError",
    "ValidateEntry": "-InvalidEntryError",
    "AppendEntry": ANSWERS_OF_AN_APPEND,
    "AcceptEntry": f"-InvalidRequestError {ANSWERS_OF_AN_APPEND}",
    "QueryPaymentLedger": "-InvalidQueryError",
    "RevealSecureToken": "-InvalidRequestError -PaymentNotFoundError",
}
"""The functions whose answer can be an error, and the filter that leaves these answers out of a count of errors."""


def what_alarms_count(resources: Resources) -> Iterator[str]:
    """Check that each alarm counts a metric that something writes, and that no rejection counts as a failure."""
    workflow = "/aws/vendedlogs/states/payment-ledger"
    expected = {
        (workflow, '{ $.type = "ExecutionFailed" || $.type = "ExecutionTimedOut" }', "ExecutionsFailed"),
        (workflow, '{ $.type = "FailStateEntered" }', "ExecutionsRefused"),
    }
    for function, without_them in BUSINESS_ERRORS.items():
        group = resources[function]["Properties"]["LoggingConfig"]["LogGroup"]
        expected.add((group, f'"[ERROR]" {without_them}', "UnexpectedErrors"))
        expected.add((group, '?"Task timed out" ?"Runtime exited"', "UnexpectedErrors"))
    found = set()
    for _, each in of_type(resources, "AWS::Logs::MetricFilter"):
        for metric in each["MetricTransformations"]:
            # The alarm counts the difference of the two. Until a first rejection, one would have no time series.
            default = 0 if metric["MetricName"].startswith("Executions") else None
            counts_one = metric["MetricNamespace"] == "PaymentLedger" and metric["MetricValue"] == "1"
            if counts_one and metric.get("DefaultValue") == default:
                found.add((each["LogGroupName"], each["FilterPattern"], metric["MetricName"]))
    if found != expected:
        yield f"metric filters: {sorted(found ^ expected)}"
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm"):
        counted = _counted(alarm)
        if counted != COUNTED.get(name):
            yield f"{name}: counts {counted}"
    own = {
        metric["MetricName"]
        for _, each in of_type(resources, "AWS::Logs::MetricFilter")
        for metric in each["MetricTransformations"]
    }
    for name in re.findall(r'"PaymentLedger (\w+)', json.dumps(COUNTED)):
        if name not in own | _metrics_of_functions():
            yield f"{name}: an alarm counts it, and nothing writes it"
    for name, schedule in CREATED_AFTER.items():
        if resources[name].get("DependsOn") != schedule:
            yield f"{name}: may be created before what it waits for is scheduled"
    repeats = [each for _, each in of_type(resources, "AWS::Lambda::EventInvokeConfig")]
    if sorted(repeats, key=itemgetter("FunctionName")) != REPEATS:
        yield f"Lambda repeats failed functions otherwise: {repeats}"


REPEATS = [
    {
        "FunctionName": "receive_partner_event",
        "Qualifier": "live",
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 21600,
        "DestinationConfig": {"OnFailure": {"Destination": arn("sqs", "undelivered-payments")}},
    },
    *(
        {
            "FunctionName": function,
            "Qualifier": "live",
            "MaximumRetryAttempts": 0,
            "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": {},
        }
        for function, _ in SCHEDULED.values()
    ),
]
"""How often Lambda repeats each function that it invokes without waiting, and where it keeps what that did not take."""


def _counted(alarm: Mapping[str, Any]) -> dict[str, str]:
    """Return what an alarm counts and when it rings, in the form of `COUNTED`."""
    metrics = list(alarm.get("Metrics", []))
    if alarm.keys() & {"Dimensions", "MetricName", "Namespace", "Period", "Statistic"}:
        metrics.append({"Id": "", "MetricStat": {**alarm, "Metric": alarm, "Stat": alarm.get("Statistic")}})
    found = {}
    for metric in metrics:
        statistic = metric.get("MetricStat", {})
        stated = statistic.get("Metric", {})
        dimensions = [f"{dimension['Name']}={dimension['Value']}" for dimension in stated.get("Dimensions", [])]
        words = " ".join(map(str, [stated.get("Namespace"), stated.get("MetricName"), *dimensions]))
        counted = f"{words}, {statistic.get('Stat')} of {statistic.get('Period')} s"
        found[metric["Id"]] = metric.get("Expression") or counted
    periods = alarm["EvaluationPeriods"]
    return {**found, "rings": f"above {alarm['Threshold']} in {alarm.get('DatapointsToAlarm', periods)} of {periods}"}


def _metrics_of_functions() -> set[str]:
    """Return the names of the metrics that the functions' code writes."""
    files = [*(ROOT / "functions").glob("*.py"), *(ROOT / "functions/ledger").glob("*.py")]
    named = {name for file in files for name in re.findall(r'\bname="(\w+)"', file.read_text())}
    return named | {*DETAIL_TYPES.values(), *ENTRY_DETAIL_TYPES.values()}
