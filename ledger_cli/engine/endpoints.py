"""What moto's interface endpoints lack: their own DNS names, and an answer under them."""

import re
from typing import Any

from moto.ec2.models.vpcs import VPCEndPoint


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
