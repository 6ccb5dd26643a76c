"""A bucket of checkpoints for the sealer of an engine whose stack was deployed without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from ledger_cli.engine import Engine

BUCKET = "checkpoints"
ENDPOINT_HOST = "bucket.vpce-1-embedded.s3.us-east-1.vpce.amazonaws.com"
RETENTION = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 10}}}


@contextmanager
def bucket_of_checkpoints(engine: Engine) -> Iterator[str]:
    """Give the sealer a bucket, as the template does, and yield its name. Take both away afterwards."""
    s3, function = engine.client("s3"), engine.functions["SealLedger"]
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=RETENTION)
    given = {"CHECKPOINTS_BUCKET": BUCKET, "AWS_ENDPOINT_URL_S3": f"https://{ENDPOINT_HOST}"}
    function.restart()
    with patch.dict(function.environment, given):
        yield BUCKET
    function.restart()
    engine.clear()  # a locked version cannot be deleted
    s3.delete_bucket(Bucket=BUCKET)
