"""A stack with a bucket of checkpoints is deployed as the template declares it, and one without it too."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from ledger_cli import ROOT
from ledger_cli.engine import Engine


def sealing_stack(years: int) -> dict[str, Any]:
    """Deploy a stack whose checkpoints are kept for so many years, seal a payment, and return what happened."""
    with Engine(parameters={"CheckpointYears": f"{years}"}) as engine:
        engine.run((ROOT / "events/start/01-success.json").read_text())
        reply, _ = engine.functions["SealLedger"].invoke((ROOT / "events/functions/seal_ledger.json").read_bytes())
        found = {
            "checkpoint": json.loads(reply)["Checkpoint"],
            "resources": {"CheckpointsBucket", "S3Endpoint"} & engine.physical_ids.keys(),
            "kept": kept_by(engine),
            "puts": [call.host.partition(".vpce-")[0] for call in engine.calls if call.operation == "PutObject"],
        }
        engine.clear()
        assert kept_by(engine) == []
    return found


def kept_by(engine: Engine) -> list[Any]:
    """Return each checkpoint in the stack's bucket, with its lock and the years of it."""
    if "CheckpointsBucket" not in engine.outputs:
        return []
    s3, bucket = engine.client("s3"), engine.outputs["CheckpointsBucket"]
    kept = []
    for one in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        read = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        days = (read["ObjectLockRetainUntilDate"] - read["LastModified"]).days
        kept.append((one["Key"], read["Body"].read().decode(), read["ObjectLockMode"], round(days / 365.25)))
    return kept


def stack_of(years: int) -> dict[str, Any]:
    """Return the same from a process of its own: this one has an engine without a bucket."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(sealing_stack, years).result()


@pytest.mark.parametrize("years", [100])
def test_the_sealer_of_a_stack_keeps_its_checkpoints(years: int) -> None:
    """The name of the endpoint, the bucket and the lock come from the template alone."""
    found = stack_of(years)
    kept = [("checkpoints/0000000001.txt", found.pop("checkpoint"), "COMPLIANCE", years)]
    assert found == {"resources": {"CheckpointsBucket", "S3Endpoint"}, "kept": kept, "puts": ["bucket"]}


def test_a_stack_without_a_bucket_seals_all_the_same() -> None:
    """The default stack has neither the bucket nor the endpoint, and the sealer's settings name none."""
    found = stack_of(0)
    assert found.pop("checkpoint").startswith("payment-ledger/")
    assert found == {"resources": set(), "kept": [], "puts": []}
