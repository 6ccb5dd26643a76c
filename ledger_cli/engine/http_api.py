"""The stack's HTTP API, which moto lacks: the function that answers a request, and the event that it is given."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

ENDPOINT = "https://embedded-engine.invalid"
"""`ApiEndpoint` of an API here, until somebody serves it: a name that leads nowhere."""

MAX_BODY_BYTES = 6 * 1024 * 1024
"""What an event of a function may hold. Source: Lambda Developer Guide, quotas."""

MAX_HEAD_BYTES = 10_240
"""Of the request line and the header values. Source: API Gateway Developer Guide, quotas of HTTP APIs."""

TEXT = re.compile(r"(text/.*|application/(json|javascript|xml|.+\+(json|xml)))(;.*)?", re.IGNORECASE)
"""Content types whose bodies are handed on as text. Source: API Gateway Developer Guide, payload format 2.0."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method and path of an API, and the logical id of the function behind it."""

    method: str
    path: str
    function: str

    def parameters_in(self, path: str) -> dict[str, str] | None:
        """Return the path's parameters; None if the path is not this route's."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return found and {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as a client sent it; header names in lower case. `head_bytes` is what API Gateway limits."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = "127.0.0.1"
    head_bytes: int = 0


def routes(expanded: Mapping[str, Any]) -> Iterator[Route]:
    """Every route of the expanded template's APIs, under whichever condition."""
    resources = expanded["Resources"]
    for api in resources.values():
        if api["Type"] == "AWS::ApiGatewayV2::Api":
            for path, methods in api["Properties"]["Body"]["paths"].items():
                for method, operation in _unconditional(methods).items():
                    integration = _unconditional(operation)["x-amazon-apigateway-integration"]
                    uri = _unconditional(integration["uri"])["Fn::Sub"]
                    alias = re.search(r"\$\{(\w+)\}/invocations$", uri)
                    assert alias is not None  # noqa: S101  # for the type checker: SAM writes no other integration
                    yield Route(method.upper(), path, resources[alias[1]]["Properties"]["FunctionName"]["Ref"])


def _unconditional(part: Any) -> Any:
    return part["Fn::If"][1] if isinstance(part, dict) and "Fn::If" in part else part


def event_of(request: Request, route: Route, parameters: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """What the function is invoked with. Source: API Gateway Developer Guide, payload format 2.0."""
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
