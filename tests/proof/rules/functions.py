"""The functions and the workflows: in the VPC, behind aliases, deployed gradually, and bound to their roles."""

import json
import re
from collections.abc import Iterator

from ledger_cli import ROOT
from tests.proof.contexts import ENTRIES_WORKFLOW, FAST_WORKFLOW, PARTNER_SOURCE, THIS_LOG, THIS_WORKFLOW
from tests.proof.policies import Resources, as_list, of_type
from tests.proof.resolved import arn
from tests.proof.rules.network import ENDPOINTS, endpoint_for
from tools.sdk_data import KEPT_BY_LAMBDA, READ_BY_LAMBDA

ROLE_OF = {
    "ValidatePayment": "paymentledger-validate-role",
    "EncryptToken": "paymentledger-encrypt-role",
    "PersistPaymentLedger": "paymentledger-role",
    "ValidateEntry": "paymentledger-validate-entry-role",
    "AppendEntry": "paymentledger-append-role",
    "AcceptEntry": "paymentledger-accept-role",
    "PublishOutcome": "paymentledger-publish-role",
    "RepublishOutcomes": "paymentledger-republish-role",
    "SealLedger": "paymentledger-seal-role",
    "ReceivePayment": "paymentledger-receive-role",
    "ReceivePartnerEvent": "paymentledger-partner-role",
    "QueryPaymentLedger": "paymentledger-query-role",
    "RevealSecureToken": "paymentledger-reveal-role",
    "WatchLedger": "paymentledger-watch-role",
}
"""The role of each function."""

CALLS_BY_LAMBDA = {f"{service}:{call}" for service, call in {*READ_BY_LAMBDA, KEPT_BY_LAMBDA}}
"""The calls that Lambda itself makes in a function's name, to read a table's stream and to keep an event."""

OWN_ALARMS = {
    "ReceivePaymentDeploymentGroup": ["payment-ledger-webhook-failures"],
    "ReceivePartnerEventDeploymentGroup": ["payment-ledger-undelivered-payments"],
}
"""The alarms that roll back the release of one function alone."""


def functions_are_inside(resources: Resources) -> Iterator[str]:
    """Check that every function is in the VPC, has its own role, log group and alias, and is deployed gradually."""
    functions = dict(of_type(resources, "AWS::Lambda::Function"))
    if set(functions) != set(ROLE_OF):
        yield f"functions: {sorted(functions)}"
    roles = {role["RoleName"]: role for _, role in of_type(resources, "AWS::IAM::Role")}
    for name, function in functions.items():
        if function.get("VpcConfig") != {
            "SecurityGroupIds": ["FunctionsSecurityGroup.GroupId"],
            "SubnetIds": ["PrivateSubnetA", "PrivateSubnetB"],
        }:
            yield f"{name}: not in both private subnets and the functions' group"
        variables = function["Environment"]["Variables"]
        documents = [policy["PolicyDocument"] for policy in roles[ROLE_OF.get(name, "")]["Policies"]]
        given = [statement for one in documents for statement in one["Statement"]]
        actions = {action for statement in given for action in as_list(statement["Action"])}
        actions -= CALLS_BY_LAMBDA
        for service, (variable, endpoint) in ENDPOINTS.items():
            called = service in {endpoint_for(action) for action in actions}
            label = "bucket." if service == "s3" else ""
            dns = f"https://{label}vpce-{endpoint}.{service}.us-east-1.vpce.amazonaws.com" if called else None
            if variables.get(variable) != dns:
                yield f"{name}: {variable} is not {dns}"
        if function.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{name}: not traced"
        module = function["Handler"].partition(".")[0]
        if function.get("LoggingConfig") != {"LogGroup": f"/payment-ledger/{module}"}:
            yield f"{name}: does not write to its own log group"
        if function.get("Role") != f"arn:aws:iam::123456789012:role/{ROLE_OF.get(name)}":
            yield f"{name}: does not have its own role"
    aliases = {alias["FunctionName"]: alias for _, alias in of_type(resources, "AWS::Lambda::Alias")}
    if any(alias["Name"] != "live" for alias in aliases.values()) or len(aliases) != len(functions):
        yield "functions: not every function has an alias `live`"
    groups = list(of_type(resources, "AWS::CodeDeploy::DeploymentGroup"))
    if len(groups) != len(functions):
        yield "functions: not every function is deployed gradually"
    for name, group in groups:
        alarms = [alarm["Name"] for alarm in group.get("AlarmConfiguration", {}).get("Alarms", [])]
        expected = ["payment-ledger-technical-failures", "payment-ledger-function-errors", *OWN_ALARMS.get(name, [])]
        if alarms != expected or not group["AlarmConfiguration"].get("Enabled"):
            yield f"{name}: does not watch exactly its alarms"
        if "DEPLOYMENT_STOP_ON_ALARM" not in group.get("AutoRollbackConfiguration", {}).get("Events", []):
            yield f"{name}: does not roll back when its alarm rings"
        if group.get("DeploymentConfigName") != "CodeDeployDefault.LambdaCanary10Percent10Minutes":
            yield f"{name}: does not deploy gradually"


DEFINITIONS = {
    "PaymentLedgerWorkflow": "payment_ledger.asl.json",
    "PaymentEntriesWorkflow": "payment_entries.asl.json",
    "FastPaymentLedgerWorkflow": "payment_ledger.asl.json",
}
"""The file in `statemachine` that defines each workflow."""


NOTHING_RETRIED, ALL_RETRIED = ["States.TaskFailed", "States.Timeout"], ["NoError", "NoTimeout"]
LANES = {
    "PaymentLedgerWorkflow": (ALL_RETRIED, {"InvalidPaymentError", "PaymentConflictError"}),
    "FastPaymentLedgerWorkflow": (NOTHING_RETRIED, {"NoRejection", "NoConflict"}),
}
"""The errors that the payments' workflow never retries in each lane, and those that it catches."""


def lanes_differ_in_their_errors(resources: Resources) -> Iterator[str]:
    """Check that the Standard workflow retries and refuses, and that the fast lane leaves both to it."""
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine"):
        if name in LANES:
            states = json.loads(machine["DefinitionString"])["States"].values()
            retriers = [retrier for state in states for retrier in state.get("Retry", [])]
            caught = {error for state in states for one in state.get("Catch", []) for error in one["ErrorEquals"]}
            never = [retrier["ErrorEquals"] for retrier in retriers if retrier["MaxAttempts"] == 0]
            if (never, caught) != ([LANES[name][0]] * 4, LANES[name][1]):
                yield f"{name}: retries or catches the errors of another lane"


def workflows_run_this_code(resources: Resources) -> Iterator[str]:
    """Check that each workflow has its own definition, whose states invoke the aliases of their own functions."""
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine"):
        states = json.loads(machine["DefinitionString"])["States"]
        source = json.loads((ROOT / "statemachine" / DEFINITIONS[name]).read_text())["States"]
        if states.keys() != source.keys():
            yield f"{name}: does not have the states of {DEFINITIONS[name]}"
            continue
        for state, task in states.items():
            if task["Type"] == "Task":
                logical = source[state]["Parameters"]["FunctionName"][2:-1]
                function = resources[logical]["Properties"]["FunctionName"]
                if not task["Parameters"]["FunctionName"].endswith(f":function:{function}:live"):
                    yield f"{name}: {state} does not invoke the alias of {logical}"


NAMED_IN_VARIABLES = {
    "TABLE_NAME": "PaymentLedger",
    "ENTRIES_TABLE_NAME": "PaymentEntries",
    "SEALS_TABLE_NAME": "PaymentSeals",
    "LOG_ORIGIN": THIS_LOG,
    "WORKFLOW": f"{THIS_WORKFLOW}:live",
    "ENTRIES_WORKFLOW": f"{ENTRIES_WORKFLOW}:live",
    "FAST_WORKFLOW": f"{FAST_WORKFLOW}:live",
    "EVENT_BUS_NAME": "payment-ledger",
    "TOKEN_KEY": arn("kms", "key/TokenKey"),
    "INTAKE_KEY": arn("kms", "key/IntakeKey"),
    "SEAL_KEY_ARN": arn("kms", "key/SealKey"),
    "CHECKPOINTS_BUCKET": "checkpointsbucket",
    "PARTNER_SOURCE": PARTNER_SOURCE,
}
"""What each variable of a function must name, for variables that could name another thing of the stack by mistake."""


def variables_name_the_right_things(resources: Resources) -> Iterator[str]:
    """Check that no function takes a table, a workflow, a bus, a key or the log of the stack for another."""
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        for variable, named in NAMED_IN_VARIABLES.items():
            if variables.get(variable, named) != named:
                yield f"{name}: {variable} is not {named}"
        source = (ROOT / f"functions/{function['Handler'].partition('.')[0]}.py").read_text()
        read = set(re.findall(r'os\.environ\["(\w+)"\]', source))
        if missing := read - variables.keys():
            yield f"{name}: lacks {', '.join(sorted(missing))}"


THROUGH_SECRETS_MANAGER = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
"""The condition of a grant that Secrets Manager uses in the role's name."""


def roles_work_for_their_functions_only(resources: Resources) -> Iterator[str]:
    """Check that each grant to a function's role holds only for that function's code, through one endpoint."""
    functions = {
        function["Role"].rpartition("/")[2]: arn("lambda", f"function:{function['FunctionName']}")
        for _, function in of_type(resources, "AWS::Lambda::Function")
    }
    for name, role in of_type(resources, "AWS::IAM::Role"):
        statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        for statement in statements:
            actions = as_list(statement["Action"])
            service = endpoint_for(actions[0])
            conditions = statement.get("Condition", {})
            called = role["RoleName"] in functions and service in ENDPOINTS and not CALLS_BY_LAMBDA & {*actions}
            if not called or conditions == THROUGH_SECRETS_MANAGER:
                continue
            source = conditions.get("ArnEquals", {}).get("lambda:SourceFunctionArn")
            endpoint = conditions.get("StringEquals", {}).get("aws:SourceVpce")
            if (source, endpoint) != (functions[role["RoleName"]], ENDPOINTS[service][1]):
                yield f"{name}: {actions[0]} from {source} through {endpoint}"
