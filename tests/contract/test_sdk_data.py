"""The SDK data that the functions read is smaller than botocore's own, and changes no call."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader
from botocore.session import Session

from ledger import aws
from tests.support.sdk_calls import every_member, replies_of, required_parameters, sent
from tools import sdk_data

OPERATIONS = sorted((service, name) for service, names in sdk_data.operations().items() for name in names)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def client(service: str, *, own_data: bool, endpoint_url: str | None = None) -> Any:
    """Return a client of AWS itself or an endpoint, with the functions' session and data or with all of botocore's."""
    aws.sdk_session.cache_clear()
    session = aws.session_of(service) if own_data else Session()
    once = Config(retries={"total_max_attempts": 1})
    return session.create_client(service, region_name="eu-central-1", config=once, endpoint_url=endpoint_url)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_a_request_is_the_same_as_with_all_of_the_sdks_data(service: str, operation: str) -> None:
    """Serialisation, address and signature depend on the data, and what is left out must not change a request."""
    full, own = client(service, own_data=False), client(service, own_data=True)
    reply = b"" if service == "s3" else b"{}"
    shape = full.meta.service_model.operation_model(operation).input_shape
    for parameters in (required_parameters(full, operation), every_member(shape)):
        assert sent(own, operation, parameters, 200, reply) == sent(full, operation, parameters, 200, reply)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_a_reply_is_read_the_same_as_with_all_of_the_sdks_data(service: str, operation: str) -> None:
    """The workflow retries and catches errors by the names of their classes, which the SDK makes from its data."""
    full, own = client(service, own_data=False), client(service, own_data=True)
    parameters, replies = required_parameters(full, operation), replies_of(full, operation)
    assert len(replies) > 2
    for status, reply in replies:
        assert sent(own, operation, parameters, status, reply) == sent(full, operation, parameters, status, reply)


def test_a_call_that_no_function_makes_fails_at_once() -> None:
    """A call that no role allows fails in the first test that makes it, not when AWS denies it in production."""
    with pytest.raises(AttributeError, match="delete_item"):
        client("dynamodb", own_data=True).delete_item  # noqa: B018
    with pytest.raises(UnknownServiceError, match="sqs"):
        client("sqs", own_data=True)


def read_at_a_start(monkeypatch: pytest.MonkeyPatch, services: Iterable[str]) -> list[Path]:
    """Return the files that a start reads which makes clients of these services."""
    read: list[Path] = []
    load_file = JSONFileLoader.load_file

    def noted(loader: JSONFileLoader, path: str) -> Any:
        if (data := load_file(loader, path)) is not None:
            read.append(Path(path))
        return data

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("DYNAMODB", "EVENTBRIDGE", "KMS", "S3", "SECRETS_MANAGER", "SFN"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", "https://vpce.example")
    aws.sdk_session.cache_clear()  # a new environment has no session yet
    for service in services:
        aws.private_client(service)
    return read


def test_a_cold_start_reads_only_this_data_and_each_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of botocore's own, such as AWS's list of endpoints, would cost more than all the others together."""
    services = sdk_data.operations().keys() - sdk_data.OPTIONAL
    read = read_at_a_start(monkeypatch, services)
    assert len(read) > len(services)
    assert [path for path in read if not path.is_relative_to(aws.TrimmedSdkData.FOLDER)] == []
    assert len(read) == len(set(read))


def test_a_start_without_s3_reads_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rules are larger than the data of all other services, and only a sealer with a bucket needs them."""
    read = read_at_a_start(monkeypatch, sdk_data.operations().keys() - sdk_data.OPTIONAL)
    assert [path for path in read if "s3" in path.parts] == []
    shared = [path.with_suffix(".json").read_text() for path in read if path.parent == aws.TrimmedSdkData.FOLDER]
    assert shared
    assert [text for text in shared if '"s3"' in text] == []


def test_the_handlers_of_a_service_are_registered_by_its_name_in_events() -> None:
    """The SDK changes some calls of a service by handlers of its own, such as those of S3."""
    names = {service: client(service, own_data=True).meta.service_model.service_id for service in sdk_data.operations()}
    assert {service: name.hyphenize() for service, name in names.items()} == aws.EVENT_NAMES


def handlers_of(client: Any) -> dict[str, list[tuple[str, str]]]:
    """Return a client's handlers by the event, in their order, each with its section; Powertools' own is left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    open_nodes = [((), client.meta.events._emitter._handlers._root)]
    while open_nodes:
        path, node = open_nodes.pop()
        for section, handlers in node["values"]._asdict().items() if node["values"] else ():
            names = [getattr(handler, "__qualname__", "") for handler in handlers]
            registered = found.setdefault(".".join(path), [])
            registered += [(section, name) for name in names if "powertools" not in name]
        open_nodes += [((*path, name), child) for name, child in node["children"].items()]
    return found


@pytest.mark.parametrize("service", sorted(sdk_data.operations()))
def test_a_client_has_the_sdks_handlers_of_its_service_in_their_order(service: str) -> None:
    """Some must be the first or the last to see a request. What is left out is of other services, and of docs."""
    endpoint_url = "https://vpce.example"
    full = handlers_of(client(service, own_data=False, endpoint_url=endpoint_url))
    own = handlers_of(client(service, own_data=True, endpoint_url=endpoint_url))
    of_all_or_its_own = {event for event in full if f"{event}.".split(".")[1] in {"", aws.EVENT_NAMES[service]}}
    assert len(of_all_or_its_own) >= 10
    for event in of_all_or_its_own:
        if not event.startswith("docs"):
            assert own.get(event, []) == full[event], event


def test_the_listed_services_are_those_in_use() -> None:
    """Botocore finds a service by this list, and names the list in its error if it does not find it."""
    assert sorted(aws.TrimmedSdkData().list_available_services("service-2")) == sorted(sdk_data.operations())
