"""A check of each fact about moto that a bridge of the engine corrects.

The script prints the facts and their answers as JSON. It runs in a process of its own, since an engine would change
the answers.
"""

import contextlib
import io
import json
import logging
import threading
import time
import warnings
from typing import Any
from unittest.mock import Mock, patch

import boto3
import botocore.endpoint
import jsonpath_ng.ext
import requests
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.loaders import JSONFileLoader
from moto import mock_aws
from moto.cloudformation.models import Stack
from moto.core import responses
from moto.core.serialize import JSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.events.utils import EventTemplateParser
from moto.stepfunctions.parser import models
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path

ROLE = "arn:aws:iam::123456789012:role/any"
PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
FAIL = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "e", "Cause": "c"}}})
ONE_ATTEMPT = Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=1)
RESOURCES = {
    "Machine": {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "machine",
            "RoleArn": ROLE,
            "StateMachineType": "EXPRESS",
            "DefinitionString": PASS.replace("Pass", "${Type}"),
            "DefinitionSubstitutions": {"Type": "Pass"},
        },
    },
    "Substituted": {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "substituted",
            "RoleArn": ROLE,
            "DefinitionString": {"Fn::Sub": [PASS.replace('P"', '$$.${Name}"'), {"Name": "P"}]},
        },
    },
}
BUS = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}}
ARCHIVE = {
    "Type": "AWS::Events::Archive",
    "Properties": {"SourceArn": {"Fn::GetAtt": ["Bus", "Arn"]}, "EventPattern": {"source": ["a"]}},
}


ENDPOINT = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/24"}},
    "Endpoint": {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {
            "VpcId": {"Ref": "Vpc"},
            "VpcEndpointType": "Interface",
            "ServiceName": "com.amazonaws.us-east-1.dynamodb",
        },
    },
    "Named": {
        "Type": "AWS::Events::EventBus",
        "Properties": {"Name": {"Fn::Select": [0, {"Fn::GetAtt": ["Endpoint", "DnsEntries"]}]}},
    },
}


def _client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1")  # type: ignore[call-overload]


def _deployed(name: str, resources: dict[str, Any]) -> None:
    _client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))


def _state_machines() -> dict[str, Any]:
    _deployed("machines", RESOURCES)
    from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415

    machines = stepfunctions_backends["123456789012"]["us-east-1"].state_machines
    definitions = {machine.name: machine.definition for machine in machines}
    return {
        "created_where_nothing_runs": _client("stepfunctions").list_state_machines()["stateMachines"] == [],
        "definition_substitutions_ignored": "${Type}" in definitions["machine"],
        "machines_of_a_stack_are_standard": all(machine.type == "STANDARD" for machine in machines),
        "sub_halves_dollars": "$$" not in definitions["substituted"],
    }


def _archive_pattern_fails() -> bool:
    try:
        _deployed("archive", {"Bus": BUS, "Archive": ARCHIVE})
    except TypeError:
        return True
    return False


def _key_tags_fail() -> bool:
    tagged = {"KeyPolicy": {}, "Tags": [{"Key": "Name", "Value": "key"}]}
    try:
        _deployed("key", {"Key": {"Type": "AWS::KMS::Key", "Properties": tagged}})
    except KeyError:
        return True
    return False


def _keeps_no_value_in_lists() -> bool:
    document = {"Version": "2012-10-17", "Statement": [{"Ref": "AWS::NoValue"}]}
    try:
        _deployed("policy", {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}})
    except ClientError as failed:
        return failed.response["Error"]["Code"] == "MalformedPolicyDocument"
    return False


def _lists_resources_that_are_not_there() -> bool:
    never = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}}
    _client("cloudformation").create_stack(
        StackName="absent", TemplateBody=json.dumps({**never, "Resources": {"Bus": {**BUS, "Condition": "Never"}}})
    )
    listed = _client("cloudformation").describe_stack_resources(StackName="absent")["StackResources"]
    return bool(listed)


def _buckets_of_a_stack_lock_nothing() -> bool:
    locked = {
        "ObjectLockEnabled": True,
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}},
        },
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    _deployed("bucket", {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {**locked, "BucketName": "locked"}}})
    try:
        return not _client("s3").get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"]["Rule"]
    except ClientError:
        return True


def _reencrypts_from_any_key() -> bool:
    kms = _client("kms")
    key, other = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    return bool(kms.re_encrypt(CiphertextBlob=sealed, SourceKeyId=other, DestinationKeyId=key)["CiphertextBlob"])


def _of_signing_keys() -> dict[str, bool]:
    """Return what moto makes of a stack's key that signs, and what it knows of the kind of key that signs the log."""
    kms, signs = _client("kms"), {"KeyPolicy": {}, "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}
    _deployed("signing-key", {"Key": {"Type": "AWS::KMS::Key", "Properties": signs}})
    (resource,) = _client("cloudformation").describe_stack_resources(StackName="signing-key")["StackResources"]
    made = kms.describe_key(KeyId=resource["PhysicalResourceId"])["KeyMetadata"]
    try:
        key = kms.create_key(KeySpec="ECC_NIST_EDWARDS25519", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        how: dict[str, Any] = {"MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512"}
        signs_with_ed25519 = bool(kms.sign(KeyId=key, Message=b"m", **how)["Signature"])
    except ClientError:
        signs_with_ed25519 = False
    return {
        "keys_of_a_stack_sign_nothing": made["KeyUsage"] != "SIGN_VERIFY",
        "knows_no_ed25519": not signs_with_ed25519,
    }


def _functions_echo() -> bool:
    iam = _client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions = _client("lambda")
    functions.create_function(FunctionName="f", Runtime="python3.13", Role=role, Handler="f.f", Code={"ZipFile": b""})
    reply = functions.invoke(FunctionName="f", Payload=b'{"a": 1}')
    return bool(json.loads(reply["Payload"].read()) == {"a": 1})


def _endpoints() -> dict[str, bool]:
    try:
        _deployed("endpoint", ENDPOINT)
        named = bool(_client("cloudformation").describe_stacks(StackName="endpoint")["Stacks"][0]["Outputs"])
    except Exception:  # noqa: BLE001  # whatever moto raises, the endpoint has no name
        named = False
    private = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="https://vpce-1-a.dynamodb.us-east-1.vpce.amazonaws.com",
        config=ONE_ATTEMPT,
    )
    try:
        answered = bool(private.list_tables())
    except Exception:  # noqa: BLE001
        answered = False
    return {"endpoints_have_no_dns_names": not named, "private_endpoints_do_not_answer": not answered}


def _rules_start_no_workflow() -> bool:
    states, events = _client("stepfunctions"), _client("events")
    arn = states.create_state_machine(name="target", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    events.put_rule(Name="rule", EventPattern='{"source": ["a"]}')
    events.put_targets(Rule="rule", Targets=[{"Id": "t", "Arn": arn, "RoleArn": ROLE, "InputPath": "$.detail"}])
    try:
        events.put_events(Entries=[{"Source": "a", "DetailType": "b", "Detail": "{}"}])
    except NotImplementedError:
        return True
    return not states.list_executions(stateMachineArn=arn)["executions"]


def _rules_invoke_no_function() -> bool:
    events = _client("events")
    events.put_rule(Name="invoking", EventPattern='{"source": ["invoking"]}')
    arn = "arn:aws:lambda:us-east-1:123456789012:function:any"
    events.put_targets(Rule="invoking", Targets=[{"Id": "t", "Arn": arn}])
    try:
        events.put_events(Entries=[{"Source": "invoking", "DetailType": "b", "Detail": "{}"}])
    except NotImplementedError:
        return True
    return False


def _partner_buses_lose_their_names() -> bool:
    events, name = _client("events"), "aws.partner/stripe.com/ed_1"
    events.create_partner_event_source(Name=name, Account="123456789012")
    events.create_event_bus(Name=name, EventSourceName=name)
    try:
        events.put_rule(Name="rule", EventBusName=name, EventPattern='{"source": ["a"]}')
    except ClientError:
        return True
    return False


def _redrives_nothing() -> bool:
    states = _client("stepfunctions")
    arn = states.create_state_machine(name="redriven", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    started = states.start_execution(stateMachineArn=arn, name="one")["executionArn"]
    try:
        states.redrive_execution(executionArn=started)
    except NotImplementedError:
        return True
    except states.exceptions.ExecutionNotRedrivable:
        return False
    return False


def _runs_nothing_synchronously() -> bool:
    one_host = Config(inject_host_prefix=False)  # moto does not know the host of its own that the operation has
    states = boto3.client("stepfunctions", region_name="us-east-1", config=one_host)
    arn = states.create_state_machine(name="sync", definition=PASS, roleArn=ROLE, type="EXPRESS")["stateMachineArn"]
    try:
        return not states.start_sync_execution(stateMachineArn=arn)["status"]
    except NotImplementedError:
        return True


def _with_a_table(name: str) -> Any:
    """Return a client of DynamoDB, after it has made a table whose key is `id`."""
    dynamodb = _client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def _looks_for_each_type_of_an_attribute() -> bool:
    """Count how often one attribute of an item that is read is looked for."""
    dynamodb = _with_a_table("read")
    dynamodb.put_item(TableName="read", Item={"id": {"S": "1"}})
    get_value = JSONSerializer.get_value
    looked_for: list[str] = []

    def counted(serializer: JSONSerializer, value: Any, key: str, shape: Any) -> Any:
        looked_for.append(key)
        return get_value(serializer, value, key, shape)

    with patch.object(JSONSerializer, "get_value", counted):
        dynamodb.get_item(TableName="read", Key={"id": {"S": "1"}})
    return {"S", "N", "BOOL", "NULL"} <= {*looked_for}


def _queries_start_anywhere() -> bool:
    dynamodb = _client("dynamodb")
    keys = [{"AttributeName": name, "KeyType": kind} for name, kind in (("p", "HASH"), ("s", "RANGE"))]
    dynamodb.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "p", "s")],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[{"IndexName": "index", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}],
    )
    values = {":p": {"S": "p"}, ":a": {"S": "a"}, ":b": {"S": "b"}}
    try:
        dynamodb.query(
            TableName="table",
            IndexName="index",
            KeyConditionExpression="p = :p AND s BETWEEN :a AND :b",
            ExpressionAttributeValues=values,
            ExclusiveStartKey={"id": {"S": "1"}, "p": {"S": "p"}, "s": {"S": "c"}},
        )
    except dynamodb.exceptions.ClientError:
        return False
    return True


def _parameters_are_not_checked() -> bool:
    template = {
        "Parameters": {"P": {"Type": "String", "AllowedPattern": "a"}},
        "Resources": {"Bus": {**BUS, "Properties": {"Name": "another"}}},
    }
    given = [{"ParameterKey": "P", "ParameterValue": "b"}]
    _client("cloudformation").create_stack(StackName="p", TemplateBody=json.dumps(template), Parameters=given)
    return True


def _parses_for_each_execution() -> bool:
    parses = []
    parse = AmazonStateLanguageParser.parse
    AmazonStateLanguageParser.parse = staticmethod(lambda text: parses.append(text) or parse(text))
    states = _client("stepfunctions")
    arn = states.create_state_machine(name="p", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    before = len(parses)
    for name in ("one", "two"):
        states.start_execution(stateMachineArn=arn, name=name)
    deadline = time.monotonic() + 20
    while len(parses) - before < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(parses) - before == 2


def _kept_by_tasks() -> dict[str, bool]:
    with patch.object(json_path, "parse", Mock(wraps=json_path.parse)) as parse:
        for _ in range(2):
            json_path.extract_json("$.a", {"a": 1})
    client = Mock()
    client.return_value.invoke.return_value = {"Payload": io.BytesIO(b"{}")}
    with patch.object(lambda_eval_utils, "boto_client_for", client):
        lambda_eval_utils._invoke_lambda_function(parameters={"FunctionName": "f"}, region="", state_credentials=None)
    return {
        "invokes_functions_as_over_http": client.return_value.invoke.called,
        "parses_paths_for_each_state": parse.call_count == 2,
    }


def _of_executions() -> dict[str, bool]:
    """Return what moto copies for an execution, and what it keeps of it after its end."""
    states = _client("stepfunctions")
    arn = states.create_state_machine(name="kept", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    with patch.object(models, "copy", Mock(wraps=models.copy)) as copied:
        started = states.start_execution(stateMachineArn=arn, name="one")["executionArn"]
    deadline = time.monotonic() + 20
    while states.describe_execution(executionArn=started)["status"] == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.05)
    execution = models.stepfunctions_parser_backends["123456789012"]["us-east-1"].describe_execution(started)
    return {
        "copies_the_machine_for_each_execution": copied.deepcopy.called,
        "keeps_what_an_execution_needed": execution.exec_worker.env is not None,
    }


def _lists_methods_for_each_call() -> bool:
    listed = Mock(wraps=responses.method_names_from_class)
    with patch.object(responses, "method_names_from_class", listed):
        for _ in range(2):
            _client("stepfunctions").list_state_machines()
    return bool(listed.call_count == 2)


def _reads_json_as_yaml() -> bool:
    with patch.object(yaml, "load", Mock(wraps=yaml.load)) as load:
        Stack.parse_template("{}")
    return bool(load.called)


def _the_sdk_parses_for_each_session() -> bool:
    with patch.object(JSONFileLoader, "load_file", autospec=True, side_effect=JSONFileLoader.load_file) as load:
        for _ in range(2):
            boto3.Session(region_name="us-east-1").client("sts")
    paths = [call.args[1] for call in load.call_args_list if call.args[1].endswith("sts/2011-06-15/service-2")]
    return len(paths) > len(set(paths))


def _a_deleted_secret_stops_a_batch() -> bool:
    client = boto3.client("secretsmanager", "us-east-1")
    client.create_secret(Name="processors/a", SecretString="a")
    client.delete_secret(SecretId="processors/a")
    try:
        client.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["processors/"]}])
    except client.exceptions.InvalidRequestException:
        return True
    return False


def _wants_code_in_a_bucket() -> bool:
    role = _client("iam").create_role(RoleName="of-a-bucket", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = {"S3Bucket": "embedded-engine", "S3Key": "functions"}
    try:
        _client("lambda").create_function(
            FunctionName="of-a-bucket", Runtime="python3.13", Role=role, Handler="f.f", Code=code
        )
    except ClientError:
        return True
    return False


def _logs_each_rejection() -> bool:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("moto")
    logger.addHandler(handler)
    states = _client("stepfunctions")
    arn = states.create_state_machine(name="failing", definition=FAIL, roleArn=ROLE)["stateMachineArn"]
    states.start_execution(stateMachineArn=arn, name="one")
    deadline = time.monotonic() + 20
    while not records and time.monotonic() < deadline:
        time.sleep(0.05)
    logger.removeHandler(handler)
    return bool(records)


def _limits_integers() -> bool:
    states = _client("stepfunctions")
    arn = states.create_state_machine(name="counting", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    try:
        states.start_execution(stateMachineArn=arn, name="one", input='{"i": ' + "9" * 4301 + "}")
    except (ClientError, ValueError):
        return True
    return False


def _takes_actions_from_bodies() -> bool:
    dynamodb = _with_a_table("noted")
    with contextlib.suppress(ClientError):
        dynamodb.put_item(TableName="noted", Item={"id": {"S": "1"}, "note": {"S": "a&Action=ListTables&b"}})
    return "Item" not in dynamodb.get_item(TableName="noted", Key={"id": {"S": "1"}})


def _posts_to_callers_addresses() -> bool:
    sent = []

    def send(_session: requests.Session, request: requests.PreparedRequest, **_: Any) -> Any:
        sent.append(request.url)
        raise requests.ConnectionError

    sns = _client("sns")
    topic = sns.create_topic(Name="outside")["TopicArn"]
    with patch.object(requests.Session, "send", send), contextlib.suppress(requests.ConnectionError):
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://127.0.0.2:1/")
        sns.publish(TopicArn=topic, Message="m")
    return bool(sent)


def _leaves_unknown_hosts_to_the_sdk() -> bool:
    sent = []

    def send(_session: URLLib3Session, request: Any) -> Any:
        sent.append(request.url)
        raise ConnectionError

    elsewhere = boto3.client("dynamodb", region_name="us-east-1", endpoint_url="http://127.0.0.2:1", config=ONE_ATTEMPT)
    with patch.object(URLLib3Session, "send", send), contextlib.suppress(ConnectionError):
        elsewhere.list_tables()
    return bool(sent)


def _answers_calls_at_once() -> bool:
    """Return whether two calls are within the backend at the same moment."""
    met, both, list_tables = [], threading.Barrier(2, timeout=10), DynamoDBBackend.list_tables

    def meeting(*arguments: Any, **named: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(both.wait())
        return list_tables(*arguments, **named)

    clients = [_client("dynamodb") for _ in range(2)]
    with patch.object(DynamoDBBackend, "list_tables", meeting):
        threads = [threading.Thread(target=client.list_tables) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(met) == 2


def _parses_paths_for_each_event() -> bool:
    parsed, parse = [], jsonpath_ng.ext.parse

    def noted(path: str) -> Any:
        parsed.append(path)
        return parse(path)

    with patch.object(jsonpath_ng.ext, "parse", noted):
        for _ in range(2):
            EventTemplateParser.parse('"<a>"', {"a": "$.source"}, {"source": "s", "ingestion-time": "t"})  # type: ignore[typeddict-item]
    return len(parsed) == 2


with mock_aws(config={"lambda": {"use_docker": False}, "stepfunctions": {"execute_state_machine": True}}):
    warnings.simplefilter("ignore")
    facts = {
        **_state_machines(),
        **_endpoints(),
        **_kept_by_tasks(),
        **_of_executions(),
        **_of_signing_keys(),
        "a_deleted_secret_stops_a_batch": _a_deleted_secret_stops_a_batch(),
        "answers_calls_at_once": _answers_calls_at_once(),
        "archive_pattern_fails": _archive_pattern_fails(),
        "buckets_of_a_stack_lock_nothing": _buckets_of_a_stack_lock_nothing(),
        "functions_echo": _functions_echo(),
        "keeps_no_value_in_lists": _keeps_no_value_in_lists(),
        "key_tags_fail": _key_tags_fail(),
        "leaves_unknown_hosts_to_the_sdk": _leaves_unknown_hosts_to_the_sdk(),
        "limits_integers": _limits_integers(),
        "lists_methods_for_each_call": _lists_methods_for_each_call(),
        "lists_resources_that_are_not_there": _lists_resources_that_are_not_there(),
        "loads_machine_images": bool(_client("ec2").describe_images()["Images"]),
        "logs_each_rejection": _logs_each_rejection(),
        "parameters_are_not_checked": _parameters_are_not_checked(),
        "parses_for_each_execution": _parses_for_each_execution(),
        "parses_paths_for_each_event": _parses_paths_for_each_event(),
        "partner_buses_lose_their_names": _partner_buses_lose_their_names(),
        "posts_to_callers_addresses": _posts_to_callers_addresses(),
        "looks_for_each_type_of_an_attribute": _looks_for_each_type_of_an_attribute(),
        "queries_start_anywhere": _queries_start_anywhere(),
        "reads_json_as_yaml": _reads_json_as_yaml(),
        "redrives_nothing": _redrives_nothing(),
        "reencrypts_from_any_key": _reencrypts_from_any_key(),
        "retries_sleep": retrier_decl.time is time,
        "runs_nothing_synchronously": _runs_nothing_synchronously(),
        "rules_invoke_no_function": _rules_invoke_no_function(),
        "rules_start_no_workflow": _rules_start_no_workflow(),
        "takes_actions_from_bodies": _takes_actions_from_bodies(),
        "the_sdk_parses_for_each_session": _the_sdk_parses_for_each_session(),
        "the_sdk_sleeps": botocore.endpoint.time is time,
        "wants_code_in_a_bucket": _wants_code_in_a_bucket(),
    }
print(json.dumps(facts))  # noqa: T201
