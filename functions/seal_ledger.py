"""Seal Ledger: scheduled. It adds what was recorded to the sealed log, signs the log's root, and publishes it."""

from __future__ import annotations

import ledger.cold_start  # first: see its docstring

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import ClientError

from ledger.aws import CALL_TOTAL_S, private_client
from ledger.chain import entry_facts
from ledger.checkpoint import checkpoint_text, raw_public_key, signed_note, verifier_key
from ledger.fields import IDENTIFIER, InvalidRequestError
from ledger.item import SHARDS, UnreadableItemError, read_attribute, read_timestamp, recorded_facts
from ledger.leaf import ciphertext_hash_of, leaf_of
from ledger.merkle import leaf_hash
from ledger.outcome import Outcome
from ledger.publication import publish
from ledger.seal import MAX_RECORDS, Key, Seal, SealedRecord, following, parse_key, read_seal
from ledger.timestamps import utc_timestamp
from ledger.totals import MAX_ENTRIES

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

logger = Logger()
metrics = Metrics()
dynamodb: DynamoDBClient = private_client("dynamodb")
kms: KMSClient = private_client("kms")
events: EventBridgeClient = private_client("events")
CHECKPOINTS_BUCKET = os.environ["CHECKPOINTS_BUCKET"]
"""The bucket that keeps the checkpoints; empty if there is none."""
s3: S3Client | None = private_client("s3") if CHECKPOINTS_BUCKET else None
TABLE_NAME = os.environ["TABLE_NAME"]
ENTRIES_TABLE_NAME = os.environ["ENTRIES_TABLE_NAME"]
SEALS_TABLE_NAME = os.environ["SEALS_TABLE_NAME"]
EVENT_BUS_NAME = os.environ["EVENT_BUS_NAME"]
SEAL_KEY_ARN = os.environ["SEAL_KEY_ARN"]
ORIGIN = os.environ["LOG_ORIGIN"]

BATCH_SIZE = 100
"""Items that one call reads. Source: DynamoDB API, BatchGetItem."""

PAGE_SIZE = 500
"""Keys that one call reads from an index."""

MAX_RACES = 3
"""How often a batch is tried again because another run has taken the number. The next run does the rest."""

LAST_CALL_MS = (CALL_TOTAL_S + 1) * 1000
"""Remaining time below which a call might not end in time. The next run does the rest."""

ABOUT_THE_ITEM = frozenset({"ConditionalCheckFailedException", "ValidationException"})
"""Errors of a mark that the item causes: it is gone, has another mark, or is too large to be changed."""

IN_NO_OTHER_SEAL = "attribute_exists(TransactionID) AND (attribute_not_exists(Seal) OR Seal = :number)"
"""Condition of a mark. Without it, an UpdateItem on a key that does not exist would create an item."""

INDEXES = ((TABLE_NAME, "UnsealedPayments"), (ENTRIES_TABLE_NAME, "UnsealedEntries"))

Item = Mapping[str, Any]


class UnfinishedRunError(Exception):
    """The run ends early: another call might not end in time, or DynamoDB reads nothing more for now."""


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Seal every payment and entry that no seal has. `ledger.seal` says how, and what happens if two runs meet.

    Event:
        `{"ScheduledTime"}`: when this run was due, in RFC 3339.
        `{"ScheduledTime", "Records": ["TransactionID" or "TransactionID#Entry", …]}`: seal these records instead of
            those that the indexes name: records from before the ledger had a log. A sealed one is passed over.

    Returns:
        How many records the run sealed, the last seal's number, the log's size and checkpoint and the checkpoint's key
        (null if there is none), how many records are left unsealed, and whether the run reached all of them.

    Raises:
        InvalidRequestError: the event names something else than records.
        UnreadableSealError: the last seal is damaged.
        UnusableKeyError: the seal key is not one of Ed25519.
        OutcomeNotPublishedError, OutcomeRefusedError: the bus did not accept the event of a seal.
        ClientError: any error of AWS, unchanged. The next run finishes what is left.
    """
    named = named_records(event["Records"]) if "Records" in event else None
    run = SealingRun(utc_timestamp(event["ScheduledTime"]), context)
    try:
        run.seal_all(run.unsealed() if named is None else named)
    finally:
        metrics.add_metric(name="SealedRecords", unit=MetricUnit.Count, value=run.sealed)
        if run.knows_what_is_left:  # otherwise the alarm on the age rings because it gets no data
            metrics.add_metric(name="UnsealedRecords", unit=MetricUnit.Count, value=len(run.left) + run.unnamed)
            metrics.add_metric(name="UnsealedAge", unit=MetricUnit.Seconds, value=run.age_s)
        metrics.flush_metrics()
    logger.info("sealing ended", sealed=run.sealed, left=len(run.left) + run.unnamed, done=run.done)
    last = run.last
    return {
        "Sealed": run.sealed,
        "Seal": last.number if last else 0,
        "Size": last.tree.size if last else 0,
        "Checkpoint": last.note if last else None,
        "VerifierKey": last.key if last else None,
        "Left": len(run.left) + run.unnamed,
        "Done": run.done,
    }


def named_records(named: object) -> Iterator[tuple[Key, str]]:
    """Return the keys of an event, each with no time of recording.

    Raises:
        InvalidRequestError: they are not a list of keys.
    """
    invalid = InvalidRequestError("Records is a list of TransactionID or TransactionID#Entry")
    if not isinstance(named, list):  # a text would be a list of its characters
        raise invalid
    try:
        keys = [parse_key(text) for text in named]
    except (TypeError, ValueError, AttributeError):  # of something else than such text
        raise invalid from None
    if not all(IDENTIFIER.fullmatch(transaction_id) and entry <= MAX_ENTRIES for transaction_id, entry in keys):
        raise invalid
    return ((key, "") for key in keys)


class SealingRun:
    """One run: the seal that is the log's last one, and what the run has sealed and left."""

    def __init__(self, now: str, context: LambdaContext) -> None:
        self.now, self.context = now, context
        self.last: Seal | None = None
        self.sealed = 0
        self.left: dict[Key, str] = {}
        """Records that were found and are not sealed yet, with the time of their recording, if it is known."""
        self.unnamed = 0
        """Items in the indexes whose key is not one that the ledger writes. They are never sealed."""
        self.held_back: set[Key] = set()
        self.done = False

    @property
    def knows_what_is_left(self) -> bool:
        """Whether the run looked for unsealed records until it found none, or has found some that it did not seal.

        If the last seal cannot be finished, no run looks for records. A run that reported an age of 0 then would keep
        the alarm silent for as long as nothing is sealed.
        """
        return self.done or bool(self.left)

    @property
    def age_s(self) -> float:
        """The age of the oldest record that is left, in seconds; 0 if none is."""
        oldest = min(filter(None, self.left.values()), default=self.now)
        return max(0.0, (datetime.fromisoformat(self.now) - datetime.fromisoformat(oldest)).total_seconds())

    def seal_all(self, found: Iterator[tuple[Key, str]]) -> None:
        """Finish the last seal, then add all records to the log that were found, in as few seals as possible."""
        try:
            self.last = self.finished_last()
            while batch := list(islice(found, MAX_RECORDS)):
                recorded = dict(batch)  # an event may name a record twice
                self.left.update(recorded)
                self.seal(list(recorded))
        except UnfinishedRunError:
            return
        self.done = True

    def unsealed(self) -> Iterator[tuple[Key, str]]:
        """Yield the records that the indexes name, the oldest of each shard first.

        All shards are paged through in turn, so that a long one does not delay the others. An index follows its table a
        moment later, so a record may be sealed by now.
        """
        pages: deque[tuple[str, str, int, Item]] = deque(
            (*index, shard, {}) for shard in range(SHARDS) for index in INDEXES
        )
        while pages:
            table_name, index_name, shard, start = pages.popleft()
            self.require_time()
            reply = dynamodb.query(
                TableName=table_name,
                IndexName=index_name,
                KeyConditionExpression="Unsealed = :shard",
                ExpressionAttributeValues={":shard": {"S": f"{shard}"}},
                Limit=PAGE_SIZE,
                **start,
            )
            for item in reply["Items"]:
                try:
                    found = key_of(item, table_name), read_timestamp(item, "RecordedAt")
                except UnreadableItemError as unreadable:
                    self.pass_over(unreadable.attribute)
                else:
                    yield found
            if "LastEvaluatedKey" in reply:
                pages.append((table_name, index_name, shard, {"ExclusiveStartKey": reply["LastEvaluatedKey"]}))

    def seal(self, keys: Sequence[Key]) -> None:
        """Commit one seal of those records that no seal has, and finish it."""
        for _ in range(MAX_RACES):
            records = self.read(keys)
            if not records:
                return
            seal = following(self.last, ORIGIN, self.now, records)
            if self.commit(seal):
                self.last = self.finish(seal, [record.key for record in seal.records])
                return
            # Another run was faster, or this one's reply was lost: what that seal has is marked before the next read.
            self.last = self.finished_last()

    def finished_last(self) -> Seal | None:
        """Return the last seal after all that it owes is done; None if there is no seal yet."""
        self.require_time()
        reply = dynamodb.query(
            TableName=SEALS_TABLE_NAME,
            KeyConditionExpression="#log = :log",
            ExpressionAttributeNames={"#log": "Log"},
            ExpressionAttributeValues={":log": {"S": ORIGIN}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )
        if not reply["Items"]:
            return None
        seal = read_seal(reply["Items"][0])
        return self.finish(seal, self.unmarked(seal)) if seal.note is None else seal

    def unmarked(self, seal: Seal) -> list[Key]:
        """Return the keys of those records of a seal that do not have its mark: an earlier run was cut off."""
        keys = [record.key for record in seal.records]
        found = self.items(TABLE_NAME, {key for key in keys if not key[1]})
        found |= self.items(ENTRIES_TABLE_NAME, {key for key in keys if key[1]})
        mark = {"N": f"{seal.number}"}
        return [key for key in keys if found.get(key, {}).get("Seal") != mark or "Unsealed" in found[key]]

    def read(self, keys: Sequence[Key]) -> list[SealedRecord]:
        """Return what a seal has of those records that no seal has yet, as the tables have them now."""
        payments = self.items(TABLE_NAME, {(transaction_id, 0) for transaction_id, _ in keys})
        entries = self.items(ENTRIES_TABLE_NAME, {key for key in keys if key[1]})
        records = []
        for key in keys:
            payment = payments.get((key[0], 0))
            item = entries.get(key) if key[1] else payment
            if item is not None and "Seal" in item:
                self.pass_sealed(key, item)
            elif item is None or payment is None:
                self.hold_back(key, "missing", "TransactionID")
            else:
                records += self.sealed_record(key, item, payment)
        return records

    def pass_sealed(self, key: Key, item: Item) -> None:
        """Pass over a record that has the mark of a seal, and hold back one whose mark the sealer does not write."""
        if "Unsealed" in item or not item["Seal"].get("N", "").isdecimal():
            self.hold_back(key, "unreadable", "Seal")
        else:
            self.left.pop(key, None)

    def items(self, table_name: str, keys: set[Key]) -> dict[Key, Item]:
        """Return the items under these keys, as the table has them at this moment.

        Raises:
            UnfinishedRunError: DynamoDB reads nothing more for now.
        """
        found: dict[Key, Item] = {}
        waiting = [item_key(key) for key in sorted(keys)]
        while waiting:
            self.require_time()
            asked, waiting = waiting[:BATCH_SIZE], waiting[BATCH_SIZE:]
            reply = dynamodb.batch_get_item(RequestItems={table_name: {"Keys": asked, "ConsistentRead": True}})
            found |= {key_of(item, table_name): item for item in reply["Responses"].get(table_name, [])}
            unprocessed = reply["UnprocessedKeys"].get(table_name)
            unread = unprocessed["Keys"] if unprocessed else []
            if len(unread) == len(asked):
                raise UnfinishedRunError
            waiting += unread
        return found

    def sealed_record(self, key: Key, item: Item, payment: Item) -> list[SealedRecord]:
        """Return what a seal has of one record, in a list; an empty list if the record is damaged."""
        try:
            ciphertext = read_attribute(payment, "SecureToken", "B", key[0])
            facts = entry_facts(item) if key[1] else recorded_facts(item)
        except UnreadableItemError as unreadable:
            self.hold_back(key, "unreadable", unreadable.attribute)
            return []
        ciphertext_hash = ciphertext_hash_of(ciphertext, key[1])
        return [SealedRecord(key, leaf_hash(leaf_of(facts, ciphertext_hash)), ciphertext_hash)]

    def commit(self, seal: Seal) -> bool:
        """Put the seal if its number is free: the one write that decides. False if the number is taken."""
        self.require_time()
        try:
            dynamodb.put_item(
                TableName=SEALS_TABLE_NAME, Item=seal.as_item(), ConditionExpression="attribute_not_exists(Seal)"
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def finish(self, seal: Seal, unmarked: Iterable[Key]) -> Seal:
        """Sign a committed seal, mark its records, publish it, and write its checkpoint last. It can be repeated."""
        self.require_time()
        public_key = raw_public_key(kms.get_public_key(KeyId=SEAL_KEY_ARN)["PublicKey"])
        text = checkpoint_text(ORIGIN, seal.tree.size, seal.tree.root)
        self.require_time()
        signed = kms.sign(
            KeyId=SEAL_KEY_ARN, Message=text.encode(), MessageType="RAW", SigningAlgorithm="ED25519_SHA_512"
        )
        note = signed_note(text, ORIGIN, public_key, signed["Signature"])
        finished = seal._replace(note=note, key=verifier_key(ORIGIN, public_key))
        for key in unmarked:
            self.mark(key, seal.number)
        if s3:
            self.require_time()
            keep_checkpoint(s3, seal.number, note)
        self.require_time()
        publish(events, EVENT_BUS_NAME, [Outcome.from_seal(finished, SEAL_KEY_ARN)])
        self.require_time()
        dynamodb.update_item(
            TableName=SEALS_TABLE_NAME,
            Key={"Log": {"S": ORIGIN}, "Seal": {"N": f"{seal.number}"}},
            UpdateExpression="SET Note = :note, VerifierKey = :key",
            ConditionExpression="attribute_exists(Seal)",
            ExpressionAttributeValues={":note": {"S": note}, ":key": {"S": finished.key or ""}},
        )
        self.sealed += len(seal.records)
        logger.info("seal finished", seal=seal.number, records=len(seal.records), size=seal.tree.size)
        return finished

    def mark(self, key: Key, number: int) -> None:
        """Move the marker of a record from unsealed to the number of its seal."""
        self.require_time()
        try:
            dynamodb.update_item(
                TableName=ENTRIES_TABLE_NAME if key[1] else TABLE_NAME,
                Key=item_key(key),
                UpdateExpression="SET Seal = :number REMOVE Unsealed",
                ConditionExpression=IN_NO_OTHER_SEAL,
                ExpressionAttributeValues={":number": {"N": f"{number}"}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in ABOUT_THE_ITEM:
                raise
            self.hold_back(key, "changed_after_sealing", "Seal")
        else:
            self.left.pop(key, None)

    def pass_over(self, named: str) -> None:
        """Log an item of an index whose key the ledger does not write. Its ID may be any text: no log has it."""
        self.unnamed += 1
        logger.error("record not sealed", reason="unreadable", named=named)

    def hold_back(self, key: Key, reason: str, named: str) -> None:
        """Log a record that cannot be sealed or marked, once in a run, with the attribute that shows why."""
        if key not in self.held_back:
            self.held_back.add(key)
            entry: dict[str, Any] = {"entry": key[1]} if key[1] else {}
            logger.error("record not sealed", transaction_id=key[0], **entry, reason=reason, named=named)

    def require_time(self) -> None:
        """Return if another call will end before Lambda ends the function. What is left is for the next run.

        Raises:
            UnfinishedRunError: it might not.
        """
        if self.context.get_remaining_time_in_millis() <= LAST_CALL_MS:
            raise UnfinishedRunError


def keep_checkpoint(s3: S3Client, number: int, note: str) -> None:
    """Put a checkpoint into the bucket, which keeps each version of it. A repetition is one more version of its bytes.

    This comes before the event, so that nobody hears of a checkpoint that the bucket lacks.

    Raises:
        ClientError: any error of S3, unchanged. The next run repeats it.

    Source: S3 User Guide, Object Lock: a request that puts an object into a bucket with a retention needs a checksum.
    """
    s3.put_object(
        Bucket=CHECKPOINTS_BUCKET,
        Key=f"checkpoints/{number:010}.txt",
        Body=note.encode(),
        ContentType="text/plain; charset=utf-8",
        ChecksumAlgorithm="SHA256",
    )


def key_of(item: Item, table_name: str) -> Key:
    """Return the key of an item of a table.

    Raises:
        UnreadableItemError: the ledger writes no such key.
    """
    transaction_id = item["TransactionID"]["S"]
    if not IDENTIFIER.fullmatch(transaction_id):
        raise UnreadableItemError(transaction_id, "TransactionID")
    if table_name == TABLE_NAME:
        return transaction_id, 0
    number = item["Entry"]["N"]
    if not number.isdecimal() or not 1 <= int(number) <= MAX_ENTRIES:
        raise UnreadableItemError(transaction_id, "Entry")
    return transaction_id, int(number)


def item_key(key: Key) -> dict[str, Any]:
    """Return a key in DynamoDB's attribute form."""
    transaction_id, entry = key
    number = {"Entry": {"N": f"{entry}"}} if entry else {}
    return {"TransactionID": {"S": transaction_id}, **number}
