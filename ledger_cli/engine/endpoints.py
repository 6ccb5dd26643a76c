"""Where the engine's calls go: to the stack's interface endpoints, which moto lacks, and never out of the machine."""

import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from botocore.exceptions import EndpointConnectionError
from moto.ec2.models.vpcs import VPCEndPoint

from ledger_cli import LOOPBACK


def get_cfn_attribute(endpoint: VPCEndPoint, attribute: str) -> Any:
    """`Fn::GetAtt` of an endpoint's `DnsEntries`: `hostedzone:name`, the regional name first.

    Source: CloudFormation, AWS::EC2::VPCEndpoint, return values.
    """
    if attribute != "DnsEntries":
        raise NotImplementedError(f"AWS::EC2::VPCEndpoint has no {attribute} here")
    _, _, region, service = endpoint.service_name.split(".")
    return [f"Z7HUB22UULQXV:{endpoint.id}-embedded.{service}.{region}.vpce.amazonaws.com"]


def public(url: str) -> str:
    """The URL of the same service outside the VPC, which is the only one that moto answers."""
    return re.sub(r"://vpce-[\w-]+\.(\w+)\.([\w-]+)\.vpce\.", r"://\1.\2.", url)


def require_loopback(url: str) -> None:
    """Let botocore send a request to another server on this machine, such as a served engine.

    Raises:
        EndpointConnectionError: the address is another machine's.
    """
    if urlsplit(url).hostname not in LOOPBACK:
        raise EndpointConnectionError(endpoint_url=url)


def send_nothing(_session: requests.Session, request: requests.PreparedRequest, **_: object) -> NoReturn:
    """Replace `requests.Session.send`, with which moto delivers to subscribers, API destinations and streams.

    Raises:
        requests.ConnectionError: always.
    """
    raise requests.ConnectionError("the embedded engine sends nothing", request=request)
