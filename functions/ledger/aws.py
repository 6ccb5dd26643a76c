"""AWS clients: how each is configured, and how a cold start makes them quickly.

The SDK takes most of a cold start. These things shorten it, and leave retries and signing to the SDK:

- botocore without boto3, which adds nothing to a client but its import;
- the SDK's data of the few services in use, instead of a search through all of AWS (`TrimmedSdkData`);
- the SDK's handlers of these services, instead of all (`session_of`);
- the environment's credentials, instead of a search through eleven places (`sdk_session`);
- Amazon's own certificate authorities, and all others if they are needed (`Authorities`);
- one client for each environment, made when it starts, whose connection is kept for the calls that follow.

Two more shorten each call: a fixed name of the caller (`USER_AGENT`), and no second check of a call's parameters.

`make bench` measures each start. `docs/concepts/benchmarks.md` says how much each of these saves.
"""

import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore import __version__, handlers
from botocore.config import Config
from botocore.credentials import CredentialResolver, EnvProvider
from botocore.exceptions import SSLError
from botocore.httpsession import get_cert_path
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

USER_AGENT = f"payment-ledger Botocore/{__version__}"
"""What AWS' logs have as the name of the caller. CloudTrail shows it beside each use of a key."""

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


class Authorities:
    """The file of the certificate authorities that clients trust, as a path.

    It is a tenth of a cold start to read all authorities that the SDK trusts, for each connection. Amazon's own are
    among these, and AWS' certificates come from them. If a certificate does not, all are trusted from then on: the
    SDK's next attempt succeeds.
    """

    FILE = TrimmedSdkData.FOLDER / "authorities.pem"

    def __init__(self) -> None:
        self.path = str(self.FILE)

    def __fspath__(self) -> str:
        """Return the path, at each connection."""
        return self.path

    def trust_all(self, caught_exception: Exception | None = None, **_: Any) -> None:
        """Trust every authority of the SDK if an attempt met another one. This is a handler of `needs-retry`."""
        if isinstance(caught_exception, SSLError):
            self.path = get_cert_path(verify=True)


AUTHORITIES = Authorities()
EVENT_NAMES = {
    "dynamodb": "dynamodb",
    "events": "eventbridge",
    "kms": "kms",
    "s3": "s3",
    "secretsmanager": "secrets-manager",
    "stepfunctions": "sfn",
}
"""The name that each service in use has in the SDK's events, by botocore's name of the service."""


# The embedded engine clears this cache before each function starts, since there all functions share one process.
@functools.cache
def sdk_session() -> Session:
    """Return the one session of all clients of an environment. Making a session takes as long as making a client."""
    session = Session(include_builtin_handlers=False)
    _register_handlers(session, "")
    session.register_component("data_loader", TrimmedSdkData())  # without this line, the SDK reads all of its own data
    # Without this line, the SDK makes eleven providers of credentials, and asks this one first.
    if "AWS_ACCESS_KEY_ID" in os.environ:
        session.register_component("credential_provider", CredentialResolver(providers=[EnvProvider()]))
    return session


def session_of(service: str) -> Session:
    """Return the environment's session with the SDK's handlers of *service*, for one client of it."""
    _register_handlers(sdk_session(), EVENT_NAMES.get(service, service))
    return sdk_session()


def _register_handlers(session: Session, service: str) -> None:
    """Register the SDK's own handlers of one service's events, or those of all services' if *service* is empty."""
    events = session.get_component("event_emitter")
    orders = {handlers.REGISTER_FIRST: events.register_first, handlers.REGISTER_LAST: events.register_last}
    for name, handler, *order in handlers.BUILTIN_HANDLERS:
        of = f"{name}.".split(".")[1]  # before-sign is of all services, and before-sign.s3.PutObject of one
        if of == service:  # without this line, each session has the handlers of all services
            register = orders[order[0]] if order else events.register
            register(name, handler, unique_id=f"{name} {id(handler)}")  # a second client changes nothing


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
        proxies={},  # without this line, botocore looks for a proxy; the endpoints are in the VPC
        inject_host_prefix=False,  # some operations have a public name of their own; an endpoint has one for all
        user_agent=USER_AGENT,  # without this line, botocore makes its own longer text twice for each call
        # AWS checks them too. Botocore would put a value that it rejects, such as a token, into its error's message.
        parameter_validation=False,
    )
    # None means the authorities of the variable, or all that the SDK trusts.
    authorities = None if "AWS_CA_BUNDLE" in os.environ else AUTHORITIES
    client: BaseClient = session_of(service).create_client(
        service, config=config, endpoint_url=endpoint_url, verify=authorities
    )
    client.meta.events.register_first("needs-retry", AUTHORITIES.trust_all)
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
