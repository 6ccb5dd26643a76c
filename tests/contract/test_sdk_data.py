"""The SDK data that the functions read is smaller than botocore's own, and changes no call."""

import base64
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, UnknownServiceError
from botocore.loaders import JSONFileLoader
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import Session

from ledger import aws
from tools import sdk_data

OPERATIONS = sorted((service, name) for service, names in sdk_data.operations().items() for name in names)
MAX_DEPTH = 3
"""The depth to which a shape is filled that contains itself, as DynamoDB's attribute value does."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def client(service: str, *, own_data: bool) -> Any:
    """Return a client of AWS itself, with the functions' own data or with all of botocore's."""
    session = Session()
    if own_data:
        session.register_component("data_loader", aws.TrimmedSdkData())
    once = Config(retries={"total_max_attempts": 1})
    return session.create_client(service, region_name="eu-central-1", config=once)


def method_of(client: Any, operation: str) -> Any:
    """Return the client's method for the operation."""
    (method,) = [method for method, name in client.meta.method_to_api_mapping.items() if name == operation]
    return getattr(client, method)


def every_member(shape: Shape, depth: int = 0) -> Any:
    """Return a value of the shape with every member that it can have."""
    if isinstance(shape, StructureShape):
        members = {name: member for name, member in shape.members.items() if depth < MAX_DEPTH or name == "S"}
        members.pop("EndpointId", None)  # EventBridge's global endpoints need another signer, and are not used
        return {name: every_member(member, depth + 1) for name, member in members.items()}
    if isinstance(shape, ListShape):
        return [every_member(shape.member, depth + 1)]
    if isinstance(shape, MapShape):
        return {"key": every_member(shape.value, depth + 1)}
    return {"string": "text" * 8, "blob": b"\x00\xff", "boolean": True, "timestamp": 0}.get(shape.type_name, 7)


def in_s3s_form(code: str) -> bytes:
    """Return an error as S3 answers it."""
    return f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()


def in_json(code: str) -> bytes:
    """Return an error as the other services answer it."""
    return json.dumps({"__type": f"a#{code}", "message": "m"}).encode()


def sent(client: Any, operation: str, parameters: dict[str, Any], status: int, reply: bytes) -> tuple[Any, ...]:
    """Return the request of a call (method, address, headers, body), and what its caller gets for *reply*."""
    requests: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        requests.append(request)
        raw = io.BytesIO(reply)
        raw.stream = lambda **_: [raw.read()]  # type: ignore[attr-defined]
        headers: Any = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, status, headers, raw)

    client.meta.events.register_first("before-send", answer)  # before the handler of an engine that may be running
    try:
        got: Any = method_of(client, operation)(**parameters)
    except ClientError as error:
        got = (type(error).__name__, error.response)
    finally:
        client.meta.events.unregister("before-send", answer)
    (request,) = requests
    changing = {"amz-sdk-invocation-id", "authorization", "user-agent", "x-amz-date"}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in changing}
    signed = re.findall(rb"Credential=[^/]+/\d+/([^,]+)|SignedHeaders=([^,]+)", request.headers["Authorization"])
    body = request.body.read() if hasattr(request.body, "read") else request.body  # S3's, with its checksum at the end
    return request.method, request.url, headers, signed, body, got


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_a_request_is_the_same_as_with_all_of_the_sdks_data(service: str, operation: str) -> None:
    """Serialisation, address and signature depend on the data, and what is left out must not change a request."""
    full, own = client(service, own_data=False), client(service, own_data=True)
    reply = b"" if service == "s3" else b"{}"
    shape = full.meta.service_model.operation_model(operation).input_shape
    required = {name: every_member(shape.members[name]) for name in shape.required_members}
    for parameters in (required, every_member(shape)):
        assert sent(own, operation, parameters, 200, reply) == sent(full, operation, parameters, 200, reply)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_a_reply_is_read_the_same_as_with_all_of_the_sdks_data(service: str, operation: str) -> None:
    """The workflow retries and catches errors by the names of their classes, which the SDK makes from its data."""
    full, own = client(service, own_data=False), client(service, own_data=True)
    model = full.meta.service_model.operation_model(operation)
    parameters = {name: every_member(model.input_shape.members[name]) for name in model.input_shape.required_members}
    output = json.dumps(every_member(model.output_shape), default=lambda blob: base64.b64encode(blob).decode())
    error = in_s3s_form if service == "s3" else in_json
    replies = [(200, b"" if service == "s3" else output.encode())]  # S3 says all of it in headers
    replies += [(400, error(code)) for code in error_codes(full)]
    assert len(replies) > 2
    for status, reply in replies:
        assert sent(own, operation, parameters, status, reply) == sent(full, operation, parameters, status, reply)


def error_codes(client: Any) -> Iterator[str]:
    """Yield every error code of the service's model, and one code that it does not have."""
    yield "UnheardOfException"
    for shape in client.meta.service_model.error_shapes:
        yield shape.name
        if code := shape.metadata.get("error", {}).get("code"):
            yield code


def test_a_call_that_no_function_makes_fails_at_once() -> None:
    """A call that no role allows fails in the first test that makes it, not when AWS denies it in production."""
    with pytest.raises(AttributeError, match="delete_item"):
        client("dynamodb", own_data=True).delete_item  # noqa: B018
    with pytest.raises(UnknownServiceError, match="sqs"):
        client("sqs", own_data=True)


def read_at_a_start(monkeypatch: pytest.MonkeyPatch, services: Iterable[str]) -> list[Path]:
    """Return the files that a start reads which makes clients of these services."""
    read: list[Path] = []
    load_file = JSONFileLoader.load_file

    def noted(loader: JSONFileLoader, path: str) -> Any:
        if (data := load_file(loader, path)) is not None:
            read.append(Path(path))
        return data

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("DYNAMODB", "EVENTBRIDGE", "KMS", "S3", "SECRETS_MANAGER", "SFN"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", "https://vpce.example")
    aws.sdk_session.cache_clear()  # a new environment has no session yet
    for service in services:
        aws.private_client(service)
    return read


def test_a_cold_start_reads_only_this_data_and_each_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of botocore's own, such as AWS's list of endpoints, would cost more than all the others together."""
    read = read_at_a_start(monkeypatch, sdk_data.operations())
    assert len(read) > len(sdk_data.operations())
    assert [path for path in read if not path.is_relative_to(aws.TrimmedSdkData.FOLDER)] == []
    assert len(read) == len(set(read))


def test_a_start_without_s3_reads_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rules are larger than the data of all other services, and only a sealer with a bucket needs them."""
    read = read_at_a_start(monkeypatch, sdk_data.operations().keys() - {"s3"})
    assert [path for path in read if "s3" in path.parts] == []
    shared = [path.with_suffix(".json").read_text() for path in read if path.parent == aws.TrimmedSdkData.FOLDER]
    assert shared
    assert [text for text in shared if '"s3"' in text] == []


def test_the_listed_services_are_those_in_use() -> None:
    """Botocore finds a service by this list, and names the list in its error if it does not find it."""
    assert sorted(aws.TrimmedSdkData().list_available_services("service-2")) == sorted(sdk_data.operations())
