"""The sealer puts each checkpoint into a bucket with Object Lock before anybody hears of it, if the ledger has one."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger_cli.engine import Engine
from tests.functions.test_seal import record, seal
from tests.support.checkpoints import BUCKET, ENDPOINT_HOST, bucket_of_checkpoints
from tests.support.faults import Faults


@pytest.fixture
def versions(engine: Engine) -> Iterator[Any]:
    """Give the sealer a bucket, as the stack does, and yield a function that returns all versions of its objects."""
    s3 = engine.client("s3")

    def listed() -> list[dict[str, Any]]:
        found = s3.list_object_versions(Bucket=BUCKET)
        assert "DeleteMarkers" not in found
        return [
            s3.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"]) | {"Key": one["Key"]}
            for one in found.get("Versions", [])
        ]

    with bucket_of_checkpoints(engine):
        yield listed


def test_a_checkpoint_is_in_the_bucket_before_its_event(engine: Engine, versions: Any, faults: Faults) -> None:
    """An administrator who removes every seal and every event later cannot remove what this bucket has."""
    notes = []
    for one in ("txn-1", "txn-2"):
        record(engine, one)
        notes.append(seal(engine)["Checkpoint"])
    kept = versions()
    assert [one["Key"] for one in kept] == ["checkpoints/0000000001.txt", "checkpoints/0000000002.txt"]
    assert [one["Body"].read().decode() for one in kept] == notes
    assert {(one["ObjectLockMode"], one["ContentType"]) for one in kept} == {
        ("COMPLIANCE", "text/plain; charset=utf-8")
    }
    assert {round((one["ObjectLockRetainUntilDate"] - one["LastModified"]).days / 365.25) for one in kept} == {10}
    made = [call for call in faults.calls if call in {"Sign", "PutObject", "PutEvents"}]
    assert made == ["Sign", "PutObject", "PutEvents"] * 2
    hosts = {call.host for call in engine.calls if call.operation == "PutObject"}
    assert hosts == {ENDPOINT_HOST}


def test_nobody_removes_a_checkpoint(engine: Engine, versions: Any) -> None:
    """A deletion is refused, and a false version does not take the place of the true one."""
    record(engine, "txn-1")
    note = seal(engine)["Checkpoint"]
    (kept,) = versions()
    s3 = engine.client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=BUCKET, Key=kept["Key"], VersionId=kept["VersionId"])
    s3.put_object(Bucket=BUCKET, Key=kept["Key"], Body=b"another")
    assert {one["Body"].read() for one in versions()} == {note.encode(), b"another"}


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket"])
def test_a_checkpoint_that_is_not_kept_is_not_published(
    engine: Engine, versions: Any, faults: Faults, code: str
) -> None:
    """The seal stays unfinished, nothing else is sealed, and the next run finishes it."""
    record(engine, "txn-1")
    faults.refuse("PutObject", code, status=403)
    assert seal(engine)["errorType"] == "ClientError"
    assert (versions(), engine.published(), "Note" in engine.seals()[0]) == ([], [], False)
    record(engine, "txn-2")
    assert seal(engine)["Seal"] == 2
    assert [one["Key"] for one in versions()] == ["checkpoints/0000000001.txt", "checkpoints/0000000002.txt"]
    assert [event["detail"]["Seal"] for event in engine.published()] == [1, 2]


def test_a_repetition_keeps_the_same_bytes_again(engine: Engine, versions: Any, faults: Faults) -> None:
    """The reply was lost, or the run ended after it. Two versions that differ would be a sign of a fork."""
    record(engine, "txn-1")
    faults.lose_reply("PutObject")
    faults.refuse("PutEvents", "AccessDeniedException")
    assert "errorType" in seal(engine)
    note = seal(engine)["Checkpoint"]
    kept = versions()
    assert [one["Key"] for one in kept] == ["checkpoints/0000000001.txt"] * 3
    assert {one["Body"].read().decode() for one in kept} == {note}


def test_a_run_without_time_left_keeps_nothing(
    engine: Engine, versions: Any, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call might not end in time, and the next run makes it."""
    record(engine, "txn-1")
    module = engine.functions["SealLedger"].module
    require_time = module.SealingRun.require_time

    def until_marked(run: Any) -> None:
        if "UpdateItem" in faults.calls:
            raise module.UnfinishedRunError
        require_time(run)

    monkeypatch.setattr(module.SealingRun, "require_time", until_marked)
    assert seal(engine)["Done"] is False
    assert "PutObject" not in faults.calls
    monkeypatch.undo()
    assert seal(engine)["Done"] is True
    assert len(versions()) == 1


def test_without_a_bucket_nothing_of_s3_is_made_or_called(engine: Engine, faults: Faults) -> None:
    """A client costs a start some milliseconds, and the default stack has no endpoint of S3."""
    record(engine, "txn-1")
    function = engine.functions["SealLedger"]
    function.restart()
    assert seal(engine)["Sealed"] == 1
    assert "PutObject" not in faults.calls
    assert function.module.s3 is None
    assert function.environment["CHECKPOINTS_BUCKET"] == ""
    assert "AWS_ENDPOINT_URL_S3" not in function.environment
