"""Calls of an SDK's client whose answers are given, and what is sent and read."""

import base64
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

MAX_DEPTH = 3
"""The depth to which a shape is filled that contains itself, as DynamoDB's attribute value does."""


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


class _Body(io.BytesIO):
    """The body of an answer, which botocore reads as a stream."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()


def sent(client: Any, operation: str, parameters: dict[str, Any], status: int, reply: bytes) -> tuple[Any, ...]:
    """Return the request of a call (method, address, headers, body), and what its caller gets for *reply*."""
    requests: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        requests.append(request)
        headers: Any = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, status, headers, _Body(reply))

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


def error_codes(client: Any) -> Iterator[str]:
    """Yield every error code of the service's model, and one code that it does not have."""
    yield "UnheardOfException"
    for shape in client.meta.service_model.error_shapes:
        yield shape.name
        if code := shape.metadata.get("error", {}).get("code"):
            yield code


def replies_of(client: Any, operation: str) -> list[tuple[int, bytes]]:
    """Return answers to a call, each with its status: one with every member, and one for each error."""
    is_s3 = client.meta.service_model.service_name == "s3"
    shape = client.meta.service_model.operation_model(operation).output_shape
    full = json.dumps(every_member(shape), default=lambda blob: base64.b64encode(blob).decode()).encode()
    error = in_s3s_form if is_s3 else in_json
    # S3 says all of it in headers.
    return [(200, b"" if is_s3 else full), *((400, error(code)) for code in error_codes(client))]


def required_parameters(client: Any, operation: str) -> dict[str, Any]:
    """Return the parameters without which the operation cannot be called."""
    shape = client.meta.service_model.operation_model(operation).input_shape
    return {name: every_member(shape.members[name]) for name in shape.required_members}
