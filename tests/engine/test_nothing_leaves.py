"""Nothing leaves the machine, whatever a caller asks the engine to do, and whatever moto does by itself."""

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from ledger_cli import REGION
from ledger_cli.engine import Engine
from tests.engine.listening import listening

ROLE = "arn:aws:iam::123456789012:role/any"


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server on this machine, which stands for any address, and the list of its requests."""
    with listening("127.0.0.2") as (address, came):
        yield f"{address}/", came


def _client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def subscriber(address: str) -> None:
    """Let SNS deliver a message by HTTP."""
    topic = _client("sns").create_topic(Name="outside")["TopicArn"]
    _client("sns").subscribe(TopicArn=topic, Protocol="http", Endpoint=address)
    _client("sns").publish(TopicArn=topic, Message="m")


def api_destination(address: str) -> None:
    """Let EventBridge call an API for an event."""
    events = _client("events")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "n", "ApiKeyValue": "v"}}
    connection = events.create_connection(Name="outside", AuthorizationType="API_KEY", AuthParameters=key)
    destination = events.create_api_destination(
        Name="outside", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=address, HttpMethod="POST"
    )["ApiDestinationArn"]
    events.put_rule(Name="outside", EventPattern=json.dumps({"source": ["outside"]}))
    events.put_targets(Rule="outside", Targets=[{"Id": "1", "Arn": destination, "RoleArn": ROLE}])
    events.put_events(Entries=[{"Source": "outside", "DetailType": "d", "Detail": "{}"}])


def stream(address: str) -> None:
    """Let Firehose deliver a record to an endpoint."""
    firehose = _client("firehose")
    s3 = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"}
    configuration = {"EndpointConfiguration": {"Url": address}, "S3Configuration": s3}
    firehose.create_delivery_stream(DeliveryStreamName="outside", HttpEndpointDestinationConfiguration=configuration)
    firehose.put_record(DeliveryStreamName="outside", Record={"Data": b"d"})


def reset(address: str) -> None:
    """Empty another moto, as moto's test mode for servers does."""
    requests.post(f"{address}moto-api/reset", timeout=5)


@pytest.mark.parametrize("reach", [subscriber, api_destination, stream, reset])
def test_nothing_is_sent_to_an_address_that_a_caller_names(
    engine: Engine, listener: tuple[str, list[str]], reach: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not serve these operations. If it served one by mistake, the engine would still send nothing."""
    address, came = listener
    monkeypatch.setenv("MOTO_EVENTS_INVOKE_HTTP", "true")
    with pytest.raises((requests.ConnectionError, RuntimeError)):  # moto hides the former behind the latter
        reach(address)
    assert came == []
    assert engine


def test_what_moto_does_not_answer_is_not_sent(engine: Engine, listener: tuple[str, list[str]]) -> None:
    """The SDK itself sends a request that moto does not answer. It may only reach another engine on this machine."""
    address, came = listener
    config = Config(retries={"total_max_attempts": 1})
    elsewhere = boto3.client("dynamodb", region_name=REGION, endpoint_url=address, config=config)
    with pytest.raises(EndpointConnectionError, match=r"127\.0\.0\.2"):
        elsewhere.list_tables()
    assert came == []
    assert engine


NETWORK = {
    "aiohttp", "asyncio", "docker", "ftplib", "http", "httpx", "paramiko", "smtplib", "socket", "socketserver",
    "subprocess", "telnetlib", "urllib3",
}  # fmt: skip
"""Modules with which Python code reaches another process or machine, except requests, which the engine replaces."""

KNOWN = {
    "awslambda/models.py: docker.errors",
    "batch/models.py: docker",
    "core/custom_responses_mock.py: http.client",
    "moto_proxy/certificate_creator.py: subprocess",
    "moto_proxy/proxy3.py: http.server",
    "moto_proxy/proxy3.py: socket",
    "moto_proxy/proxy3.py: subprocess",
    "proxy.py: http.server",
    "stepfunctions/parser/asl/component/state/exec/state_task/service/state_task_service_api_gateway.py: http",
    "utilities/docker_utilities.py: docker",
}
"""Imports that somebody has read. Docker's client uses requests, the proxy is a program of its own, and the others only
use names."""


def reaching(package: Path) -> set[str]:
    """Return `FILE: MODULE` for each import of a module that can reach another process or machine."""
    found = set()
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found |= {f"{file.relative_to(package)}: {name}" for name in names if name.partition(".")[0] in NETWORK}
    return found


def test_moto_reaches_other_machines_by_requests_only() -> None:
    """The engine replaces requests. A newer moto must not bring another way that nobody has read."""
    assert reaching(Path(str(moto.__file__)).parent) == KNOWN
