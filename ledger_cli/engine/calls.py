"""The requests that functions send to AWS."""

import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a function sent to AWS: its host, its operation, and the resource that it names.

    The resource is the last part of an ARN: a table with or without one of its indexes, a workflow or an execution.
    It is empty for the calls of other services.
    """

    function: str
    host: str
    operation: str
    resource: str

    @classmethod
    def of(cls, function: str, request: Any) -> Self:
        """Read the call from the signed request. A header names the operation, or for S3 the method does."""
        target = request.headers.get("X-Amz-Target", b"").decode()
        service, _, operation = target.rpartition(".")
        resource = _named(json.loads(request.body)) if service in WITH_RESOURCES else ""
        host = urlsplit(request.url).hostname or ""
        return cls(function, host, operation or OF_BUCKETS[request.method], resource)


OF_BUCKETS = {"PUT": "PutObject"}
"""The calls of S3 that functions make, by their HTTP method."""

WITH_RESOURCES = frozenset({"DynamoDB_20120810", "AWSStepFunctions"})
"""Services whose requests name a resource, as the header has them."""


def _named(body: dict[str, Any]) -> str:
    """Return the resource that a request to one of these services names. No function reads two tables in one call."""
    if "RequestItems" in body:
        (table_name,) = body["RequestItems"]
        return f"table/{table_name}"
    if "TableName" in body:
        return f"table/{body['TableName']}" + (f"/index/{body['IndexName']}" if "IndexName" in body else "")
    arn: str = body.get("stateMachineArn") or body["executionArn"]
    return ":".join(arn.split(":")[5:])
