"""S3: a bucket of a stack has the Object Lock that the template declares. moto makes a plain one."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from moto.s3.models import FakeBucket

from ledger_cli.engine.moto_patches.patch import EngineHooks, MotoPatch

_moto_create: Callable[..., FakeBucket] = FakeBucket.create_from_cloudformation_json


def patches(_hooks: EngineHooks) -> Iterator[MotoPatch]:
    """Yield the patches of this service."""
    yield MotoPatch(
        ("buckets_of_a_stack_lock_nothing",), patch.object(FakeBucket, "create_from_cloudformation_json", create_bucket)
    )


def create_bucket(name: str, declared: Any, *arguments: Any, **named: Any) -> FakeBucket:
    """Create a bucket of a stack, with its versions and its default retention.

    Source: AWS::S3::Bucket, ObjectLockConfiguration and VersioningConfiguration.
    """
    bucket = _moto_create(name, declared, *arguments, **named)
    properties = declared["Properties"]
    if properties.get("VersioningConfiguration"):
        bucket.versioning_status = properties["VersioningConfiguration"]["Status"]
    if properties.get("ObjectLockEnabled"):
        retention = properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        bucket.object_lock_enabled = True
        bucket.default_lock_mode = retention["Mode"]
        bucket.default_lock_days = retention.get("Days", 0)
        bucket.default_lock_years = retention.get("Years", 0)
    return bucket
