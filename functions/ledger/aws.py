"""How every AWS client here is configured, and why it is there so soon.

A start is mostly the SDK's. Three things shorten it; retries, signing and credentials stay the SDK's own:

- botocore without boto3, which adds nothing to a client but its import;
- the SDK's data of the few services in use, instead of a search through all of AWS (`_OwnDataFirst`);
- one client per environment, made when it starts, whose connection is kept for the calls that follow.

`make bench` measures each start; `docs/benchmarks.md` says what each of these is worth.
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
    """The longest that one call can take; each function's timeout in `template.yaml` is above its calls' sum.

    botocore waits a random part of 1 s, then of 2 s, 4 s and so on between attempts (standard mode).
    """
    return attempts * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S) + 2 ** (attempts - 1) - 1


CALL_TOTAL_S = call_total_s(CALL_ATTEMPTS)

# At DEBUG, which a function's settings can ask for, the SDK logs the body of each request: KMS's holds the token. At
# INFO each start says where its credentials were found, in lines that are no JSON.
logging.getLogger("botocore").setLevel(logging.WARNING)


class PrivateEndpointError(Exception):
    """A client would not go through the stack's own endpoint. Raised at init: no payment is taken."""


class _OwnDataFirst(Loader):
    """The SDK's data as `make sdk-data` made it: the operations in use, of the services in use, and no other.

    botocore looks into more than 400 folders for the one it needs, and reads the endpoints of them all. It still
    reads its own copy of any other file that it asks for. A service or an operation that is missing here is an error
    when a client is made or called: `UnknownServiceError`, `AttributeError`.
    """

    FOLDER = Path(__file__).with_name("sdk_data")

    def __init__(self) -> None:
        super().__init__(extra_search_paths=[str(self.FOLDER)])

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002  # botocore's signature
        return [folder.name for folder in self.FOLDER.iterdir() if folder.is_dir()]


# The embedded engine clears this cache before each function starts, since there all functions share one process.
@functools.cache
def sdk_session() -> Session:
    """One for all clients of an environment: it takes as long to make as a client."""
    session = Session()
    session.register_component("data_loader", _OwnDataFirst())  # without this line, the SDK reads all of its own data
    return session


def private_client(service: str, *, attempts: int = CALL_ATTEMPTS) -> Any:
    """A client of *service* that calls the stack's interface endpoint, and nothing else.

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
    client: BaseClient = sdk_session().create_client(service, config=config)
    variable = f"AWS_ENDPOINT_URL_{client.meta.service_model.service_id.upper().replace(' ', '_')}"
    endpoint_url = os.environ.get(variable)
    if not endpoint_url:
        raise PrivateEndpointError(f"{variable} is not set: it must be the stack's endpoint for {service}")
    if client.meta.endpoint_url != endpoint_url:
        raise PrivateEndpointError(f"{variable} is ignored: unset AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    return client
