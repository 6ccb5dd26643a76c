"""The requests that functions send to AWS."""

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Call:
    """One request that a function sent to AWS: its host and its operation."""

    function: str
    host: str
    operation: str

    @classmethod
    def of(cls, function: str, request: Any) -> Self:
        """Read the call from the signed request. The services in use name their operation in a header."""
        target = request.headers.get("X-Amz-Target", b"").decode()
        return cls(function, urlsplit(request.url).hostname or "", target.rpartition(".")[2])
