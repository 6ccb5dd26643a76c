"""AWS clients: how each is configured, and how a cold start makes them quickly.

The SDK takes most of a cold start. Three things shorten it, and leave retries, signing and credentials to the SDK:

- botocore without boto3, which adds nothing to a client but its import;
- the SDK's data of the few services in use, instead of a search through all of AWS (`TrimmedSdkData`);
- one client for each environment, made when it starts, whose connection is kept for the calls that follow.

`make bench` measures each start. `docs/concepts/benchmarks.md` says how much each of these saves.
"""

import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 2
CALL_ATTEMPTS = 3


def call_total_s(attempts: int) -> int:
    """Return the longest time that one call can take.

    Each function's timeout in `template.yaml` is longer than the sum of its calls. Between attempts, botocore waits a
    random part of 1 s, then of 2 s, 4 s and so on (standard mode).
    """
    return attempts * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S) + 2 ** (attempts - 1) - 1


CALL_TOTAL_S = call_total_s(CALL_ATTEMPTS)

FAST_ANSWER_S = 3
"""How long a function waits for an execution in the fast lane. Some processors wait five seconds for the webhook, which
then still has to start the Standard workflow."""

# A function's settings can set the level DEBUG. Then the SDK logs the body of each request, and that of KMS holds the
# token. At INFO, the SDK logs at each start where it found its credentials, in lines that are not JSON.
logging.getLogger("botocore").setLevel(logging.WARNING)


class PrivateEndpointError(Exception):
    """A client would not use the stack's own endpoint. Raised at init, so that the function accepts no payment."""


class TrimmedSdkData(Loader):
    """Loader of the SDK's data that `make generate` made: the operations in use, of the services in use, and no others.

    Without it, botocore searches more than 400 folders for the one it needs, and reads the endpoints of all services.
    Any file that is missing here is read from botocore's own copy. If a service or an operation is missing here, making
    or calling a client raises an error: `UnknownServiceError`, `AttributeError`.
    """

    FOLDER = Path(__file__).with_name("sdk_data")

    def __init__(self) -> None:
        super().__init__(extra_search_paths=[str(self.FOLDER)])

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  # botocore's signature
        """Return the services in use, whatever the type of data."""
        return [folder.name for folder in self.FOLDER.iterdir() if folder.is_dir()]


# The embedded engine clears this cache before each function starts, since there all functions share one process.
@functools.cache
def sdk_session() -> Session:
    """Return the one session of all clients of an environment. Making a session takes as long as making a client."""
    session = Session()
    session.register_component("data_loader", TrimmedSdkData())  # without this line, the SDK reads all of its own data
    return session


def private_client(
    service: str,
    *,
    attempts: int = CALL_ATTEMPTS,
    read_timeout_s: int = READ_TIMEOUT_S,
    endpoint_url: str | None = None,
) -> Any:
    """Return a client of *service* that calls the stack's interface endpoint, and nothing else.

    The endpoints have no private DNS, so a public name would lead out of the VPC, which has no way out: every payment
    would wait for a timeout. `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` and a missing variable would both cause that
    silently.

    Args:
        service: botocore's name of the service.
        attempts: how often a call is tried at most.
        read_timeout_s: how long an attempt waits for an answer.
        endpoint_url: another endpoint than the one in the service's variable. No name is put before it.

    Raises:
        PrivateEndpointError: the service's variable is not set, or is ignored.

    Source: AWS SDKs Reference Guide, service-specific endpoints.
    """
    # The default of 60 s is longer than a function's timeout: Lambda would end the function while it waits, and no log
    # would say why.
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"us_east_1_regional_endpoint": "regional"},  # or botocore looks up the one region that S3 had at first
        inject_host_prefix=False,  # some operations have a public name of their own; an endpoint has one for all
    )
    client: BaseClient = sdk_session().create_client(service, config=config, endpoint_url=endpoint_url)
    variable = f"AWS_ENDPOINT_URL_{client.meta.service_model.service_id.upper().replace(' ', '_')}"
    endpoint_url = endpoint_url or os.environ.get(variable)
    if not endpoint_url:
        raise PrivateEndpointError(f"{variable} is not set: it must be the stack's endpoint for {service}")
    if client.meta.endpoint_url != endpoint_url:
        raise PrivateEndpointError(f"{variable} is ignored: unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    return client


def sync_states_client(endpoint_url: str) -> Any:
    """Return a client of Step Functions for synchronous executions, which have an endpoint of their own.

    It makes one attempt: another one would run the execution a second time.
    """
    return private_client("stepfunctions", attempts=1, read_timeout_s=FAST_ANSWER_S, endpoint_url=endpoint_url)
