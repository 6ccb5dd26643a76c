"""The stack's HTTP API, which moto lacks: the function that answers a request, and the event that the function gets."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

ENDPOINT = "https://embedded-engine.invalid"
"""`ApiEndpoint` of an API in the engine: a name that leads nowhere. A served engine has an address of its own."""

MAX_BODY_BYTES = 6 * 1024 * 1024
"""The largest event of a function. Source: Lambda Developer Guide, quotas."""

MAX_HEAD_BYTES = 10_240
"""The largest request line and header values together. Source: API Gateway Developer Guide, quotas of HTTP APIs."""

TEXT = re.compile(r"(text/.*|application/(json|javascript|xml|.+\+(json|xml)))(;.*)?", re.IGNORECASE)
"""Content types whose bodies a function gets as text. Source: API Gateway Developer Guide, payload format 2.0."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of an API, and the logical id of its function."""

    method: str
    path: str
    function: str

    def parameters_in(self, path: str) -> dict[str, str] | None:
        """Return the path's parameters; None if the path does not match this route."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as a client sent it, with header names in lower case.

    `head_bytes` is the size of the request line and the header values, which API Gateway limits.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = "127.0.0.1"
    head_bytes: int = 0


Answer = tuple[int, dict[str, str], bytes]
"""The status, the headers and the body of an answer."""


def answer(
    request: Request, expanded: Mapping[str, Any], function_names: Mapping[str, str], aws_lambda: Any
) -> Answer | None:
    """Answer a request by the function of its route.

    Args:
        request: the request.
        expanded: the template after the SAM transform.
        function_names: the names of the deployed functions by their logical ids.
        aws_lambda: a boto3 client of Lambda.

    Returns:
        The answer; None if no route has the request's path.
    """
    found = None
    for route in routes(expanded):
        parameters = route.parameters_in(request.path)
        if parameters is not None and route.function in function_names:
            if route.method == request.method:
                if rejected := _too_large(request):
                    return rejected
                event = event_of(request, route, parameters, datetime.now(UTC))
                return _invoke(aws_lambda, function_names[route.function], event)
            found = _message(404, "Not Found")
    return found


def _too_large(request: Request) -> Answer | None:
    if request.head_bytes > MAX_HEAD_BYTES:
        return _message(431, "Request Header Fields Too Large")
    if len(request.body) > MAX_BODY_BYTES:
        return _message(413, "Request Entity Too Large")
    return None


def _invoke(aws_lambda: Any, name: str, event: Mapping[str, Any]) -> Answer:
    invoked = aws_lambda.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    if "FunctionError" in invoked:
        return _message(500, "Internal Server Error")
    reply = json.loads(invoked["Payload"].read())
    return reply["statusCode"], reply["headers"], reply["body"].encode()


def _message(status: int, text: str) -> Answer:
    return status, {"content-type": "application/json"}, b'{"message":"%s"}' % text.encode()


def routes(expanded: Mapping[str, Any]) -> Iterator[Route]:
    """Yield every route of the expanded template's APIs, whatever its condition."""
    resources = expanded["Resources"]
    for api in resources.values():
        if api["Type"] == "AWS::ApiGatewayV2::Api":
            for path, methods in api["Properties"]["Body"]["paths"].items():
                for method, operation in _unconditional(methods).items():
                    integration = _unconditional(operation)["x-amazon-apigateway-integration"]
                    uri = _unconditional(integration["uri"])["Fn::Sub"]
                    (alias,) = re.findall(r"\$\{(\w+)\}/invocations$", uri)
                    yield Route(method.upper(), path, resources[alias]["Properties"]["FunctionName"]["Ref"])


def _unconditional(part: Any) -> Any:
    return part["Fn::If"][1] if isinstance(part, dict) and "Fn::If" in part else part


def event_of(request: Request, route: Route, parameters: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the event that the function is invoked with. Source: API Gateway Developer Guide, payload format 2.0."""
    is_text = TEXT.fullmatch(request.headers.get("content-type", "")) is not None
    key = f"{route.method} {route.path}"
    return {
        "version": "2.0",
        "routeKey": key,
        "rawPath": request.path,
        "rawQueryString": "",
        "headers": dict(request.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "embedded-engine",
            "domainName": ENDPOINT.removeprefix("https://"),
            "domainPrefix": "embedded-engine",
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": f"{round(now.timestamp() * 1000)}",
            "routeKey": key,
            "stage": "$default",
            "time": now.astimezone(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": round(now.timestamp() * 1000),
        },
        "pathParameters": dict(parameters),
        "body": request.body.decode(errors="replace") if is_text else base64.b64encode(request.body).decode(),
        "isBase64Encoded": not is_text,
    }
