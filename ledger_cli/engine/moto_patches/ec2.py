"""EC2: an interface endpoint has DNS names in CloudFormation, and an account starts without machine images.

In moto an endpoint has none, and an account has thousands of images, which took a sixth of a deployment's time.
"""

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from moto.ec2.models.vpcs import VPCEndPoint

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(
        ("endpoints_have_no_dns_names",),
        patch.object(VPCEndPoint, "get_cfn_attribute", get_cfn_attribute, create=True),
    )
    yield MotoPatch(("loads_machine_images",), patch.dict(os.environ, {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}))


def get_cfn_attribute(endpoint: VPCEndPoint, attribute: str) -> Any:
    """Return an endpoint's `DnsEntries` for `Fn::GetAtt`: `hostedzone:name`, the regional name first.

    Source: CloudFormation, AWS::EC2::VPCEndpoint, return values; S3 User Guide, AWS PrivateLink for Amazon S3.
    """
    if attribute != "DnsEntries":
        raise NotImplementedError(f"AWS::EC2::VPCEndpoint has no {attribute} here")
    _, _, region, service = endpoint.service_name.split(".")
    any_label = "*." if service == "s3" else ""
    return [f"Z7HUB22UULQXV:{any_label}{endpoint.id}-embedded.{service}.{region}.vpce.amazonaws.com"]
