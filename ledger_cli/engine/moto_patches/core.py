"""What all services of moto share: how a call is read, answered and logged, and where moto may send requests."""

import functools
import logging
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.endpoint
import requests
from botocore.exceptions import EndpointConnectionError
from botocore.loaders import JSONFileLoader
from moto.core import responses
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.responses import BaseResponse
from moto.core.utils import method_names_from_class

from ledger_cli import LOOPBACK
from ledger_cli.engine import lambda_runtime
from ledger_cli.engine.calls import Call
from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch
from ledger_cli.engine.state_format import integers_of_any_length

REST_SERVICE = "lambda"
"""The service whose operation is in the method and the path. All others that the engine uses name it in a header or a
form."""

_moto_get_action: Callable[[BaseResponse], str] = BaseResponse._get_action


def patches(hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches that concern every service."""
    logger = logging.getLogger("moto")
    # moto logs each rejected payment as an error, and the whole state with it.
    yield MotoPatch(("logs_each_rejection",), patch.multiple(logger, propagate=False, handlers=[logging.NullHandler()]))
    # moto parses start inputs with Python's limit for integers, which is 4,300 digits.
    yield MotoPatch(("limits_integers",), integers_of_any_length())
    # The SDK sleeps between its attempts.
    yield MotoPatch(("the_sdk_sleeps",), patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=hooks.wait)))
    yield MotoPatch(("the_sdk_parses_for_each_session",), sdk_data_parsed_once())
    yield MotoPatch(("takes_actions_from_bodies",), patch.object(BaseResponse, "_get_action", get_action))
    names_of_methods = functools.cache(method_names_from_class)
    yield MotoPatch(
        ("lists_methods_for_each_call",), patch.object(responses, "method_names_from_class", names_of_methods)
    )
    yield MotoPatch(("posts_to_callers_addresses",), patch.object(requests.Session, "send", send_nothing))
    # moto's backends are not safe under threads, moto does not know private endpoints, and botocore sends what moto
    # does not answer.
    yield MotoPatch(
        ("answers_calls_at_once", "private_endpoints_do_not_answer", "leaves_unknown_hosts_to_the_sdk"),
        patch.object(BotocoreStubber, "process_request", answer_one_at_a_time(hooks)),
    )


@contextmanager
def sdk_data_parsed_once() -> Iterator[None]:
    """Parse each file of the SDK's data once: every session parses megabytes again, and each function has a session.

    Each session has a copy of its own of the endpoints, since botocore changes them when it resolves one, and of S3's
    files, since moto adds its own errors to the model.
    """
    load_file = JSONFileLoader.load_file
    parsed: dict[str, Any] = {}
    pickled: dict[str, bytes] = {}

    def load_once(loader: JSONFileLoader, path: str) -> Any:
        if path.endswith("endpoints") or "/s3/" in path:
            if path not in pickled and (data := load_file(loader, path)) is not None:
                pickled[path] = pickle.dumps(data)
            return pickle.loads(pickled[path]) if path in pickled else None  # noqa: S301  # our own bytes
        if parsed.get(path) is None:  # a file that is not there may come
            parsed[path] = load_file(loader, path)
        return parsed[path]

    with patch.object(JSONFileLoader, "load_file", load_once):
        yield


def get_action(response: BaseResponse) -> Any:
    """Return the operation that a header names, or the path for a service of the REST kind.

    moto prefers the text after `Action=` anywhere in the query string or in a body.
    Source: Smithy, AWS JSON protocols, X-Amz-Target.
    """
    if target := response.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    if response.boto3_service_name == REST_SERVICE:
        return response._get_action_from_method_and_request_uri(response.normalized_request)
    return _moto_get_action(response)


def send_nothing(_session: requests.Session, request: requests.PreparedRequest, **_: object) -> NoReturn:
    """Replace `requests.Session.send`, with which moto delivers to subscribers, API destinations and streams.

    Raises:
        requests.ConnectionError: always.
    """
    raise requests.ConnectionError("the embedded engine sends nothing", request=request)


def answer_one_at_a_time(hooks: EngineHooks) -> Callable[..., Any]:
    """Return a replacement of `BotocoreStubber.process_request` under which each call is an atomic step."""
    process_request = BotocoreStubber.process_request

    def atomic(stubber: BotocoreStubber, request: Any) -> Any:
        if function := lambda_runtime.running_function():
            hooks.record(Call.of(function, request))
        request.url = public_url(request.url)
        lambda_runtime.end_if_time_is_up()
        with lambda_runtime.outside_the_handler():
            with nullcontext() if calls_handlers(request) else hooks.lock:
                answer = process_request(stubber, request)
            if answer is None:
                require_loopback(request.url)
            return answer

    return atomic


def calls_handlers(request: Any) -> bool:
    """Return whether a handler runs within the call, and makes calls of its own: then the call must not hold the lock.

    `StartSyncExecution` takes the lock itself while it reads and writes.
    """
    target = str(request.headers.get("X-Amz-Target"))  # text or bytes
    return bool(re.match(r"https?://lambda\.", request.url)) or "StartSyncExecution" in target


def public_url(url: str) -> str:
    """Return the service's URL outside the VPC, the only one that moto answers.

    Source: S3 User Guide, AWS PrivateLink for Amazon S3: a client of buckets calls `bucket.` and the endpoint's name.
    Step Functions API, StartSyncExecution: it has a host of its own, which begins with `sync-`.
    """
    outside = re.sub(r"://(?:bucket\.)?vpce-[\w-]+\.([\w-]+)\.([\w-]+)\.vpce\.", r"://\1.\2.", url)
    return outside.replace("://sync-states.", "://states.")


def require_loopback(url: str) -> None:
    """Let botocore send a request to another server on this machine, for example a served engine.

    Raises:
        EndpointConnectionError: the address belongs to another machine.
    """
    if urlsplit(url).hostname not in LOOPBACK:
        raise EndpointConnectionError(endpoint_url=url)
