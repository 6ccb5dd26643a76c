"""How every AWS client here is configured."""

import logging
import os
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 2
CALL_ATTEMPTS = 3


def call_total_s(attempts: int) -> int:
    """The longest that one call can take; each function's timeout in `template.yaml` is above its calls' sum.

    botocore waits a random part of 1 s, then of 2 s, 4 s and so on between attempts (standard mode).
    """
    return attempts * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S) + 2 ** (attempts - 1) - 1


CALL_TOTAL_S = call_total_s(CALL_ATTEMPTS)

# At DEBUG, which a function's settings can ask for, the SDK logs the body of each request: KMS's holds the token.
logging.getLogger("botocore").setLevel(logging.INFO)


class PrivateEndpointError(Exception):
    """A client would not go through the stack's own endpoint. Raised at init: no payment is taken."""


def private_client(service: str, *, attempts: int = CALL_ATTEMPTS) -> Any:
    """A boto3 client of *service* that calls the stack's interface endpoint, and nothing else.

    The endpoints have no private DNS, so a public name would lead out of the VPC, where there is no way:
    every payment would wait for a timeout. `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` and a variable that was
    lost both do that without a word.

    Raises:
        PrivateEndpointError: the service's variable is not set, or is ignored.

    Source: AWS SDKs Reference Guide, service-specific endpoints.
    """
    # The default of 60 s is longer than a function lives: it would be ended while it waits, and nobody would learn why.
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    client: BaseClient = boto3.client(service, config=config)  # type: ignore[call-overload]
    variable = f"AWS_ENDPOINT_URL_{client.meta.service_model.service_id.upper().replace(' ', '_')}"
    endpoint_url = os.environ.get(variable)
    if not endpoint_url:
        raise PrivateEndpointError(f"{variable} is not set: it must be the stack's endpoint for {service}")
    if client.meta.endpoint_url != endpoint_url:
        raise PrivateEndpointError(f"{variable} is ignored: unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    return client
