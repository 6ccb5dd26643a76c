"""The sealed log of a deployed stack: a run of its sealer, its seals, and the proof of one record."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ledger.leaf import leaf_of
from ledger.merkle import Tree, leaf_hash
from ledger.seal import key_text, unpacked_hashes
from ledger_cli.sealed_log.notes import NoteError, VerifierKey
from ledger_cli.sealed_log.proof_file import ProofFile, check
from ledger_cli.sealed_log.proofs import inclusion_proof_in_seal
from ledger_cli.stack.client import NO_LOG, FunctionError, Stack, StackError
from ledger_cli.stack.exporting import facts_of
from ledger_cli.stack.queries import describe_unreadable, query_ledger

BATCH_SIZE = 1000
"""Records that one run of the sealer gets. Its event may have 256 KB, and a key 70 bytes."""


def run_sealer(stack: Stack, records: Iterable[str] | None = None) -> dict[str, Any]:
    """Let the sealer run, and return its answer.

    Args:
        stack: the stack.
        records: the records to seal, as `TransactionID` or `TransactionID#Entry`; None for all that wait.

    Raises:
        StackError: the run failed. What it committed is finished by the next run.
    """
    event: dict[str, Any] = {"ScheduledTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    if records is not None:
        event["Records"] = list(records)
    try:
        answer: dict[str, Any] = stack.invoke("SealFunction", event)
    except FunctionError as error:
        raise StackError(f"seal_ledger failed: {error}; see docs/operate/runbook.md#unsealed") from None
    return answer


def read_seal(stack: Stack, number: int | None = None) -> dict[str, Any]:
    """Return a seal; the last one that is finished if no number is given.

    Raises:
        StackError: the log has no such seal yet.
    """
    last = _last_seal(stack)
    if number is None:
        number = last["Seal"] if last["Checkpoint"] else last["Seal"] - 1
    if number == last["Seal"] and last["Checkpoint"]:
        return last
    if not 1 <= number < last["Seal"]:
        raise StackError(f"the log has no finished seal {number}: its last one is {last['Seal']}")
    seals: list[dict[str, Any]] = query_ledger(stack, {"Seals": True, "First": number})["Seals"]
    if not seals or seals[0]["Seal"] != number or seals[0]["Checkpoint"] is None:
        raise StackError(f"seal {number} is gone, or was changed: run `ledger verify`")
    return seals[0]


def _last_seal(stack: Stack) -> dict[str, Any]:
    seals: list[dict[str, Any]] = query_ledger(stack, {"Seals": True, "Last": True})["Seals"]
    if not seals:
        raise StackError("the log has no seal yet: run `ledger seal`")
    return seals[0]


def prove_record(stack: Stack, transaction_id: str, entry: int) -> tuple[ProofFile, dict[str, Any]]:
    """Return the proof of one record in the log as it was after the record's own seal, and that seal.

    Args:
        stack: the stack.
        transaction_id: the payment.
        entry: the number of its entry; 0 for the payment itself.

    Raises:
        StackError: the ledger has no such record, it is not sealed yet, or it is not what was sealed.
    """
    answer = query_ledger(stack, {"TransactionID": transaction_id})
    found = [answer["Payment"], *answer["Entries"]] if answer["Payment"] else []
    key = key_text((transaction_id, entry))
    if "Seal" not in (answer["Payment"] or {"Seal": None}):
        raise StackError(NO_LOG)
    if entry >= len(found) and answer["Unreadable"]:
        raise StackError(describe_unreadable(answer["Unreadable"][0]))
    if entry >= len(found):
        raise StackError(f"{key}: the ledger has no such record")
    record = found[entry]
    if record["Seal"] is None:
        raise StackError(f"{key}: no seal has it yet: run `ledger seal`")
    seal = read_seal(stack, record["Seal"])
    before = Tree()
    if seal["Seal"] > 1:
        previous = read_seal(stack, seal["Seal"] - 1)
        before = Tree(previous["Size"], unpacked_hashes(previous["Peaks"]))
    if key not in seal["Keys"]:
        raise StackError(f"{key}: is marked with seal {seal['Seal']}, which does not have it: run `ledger verify`")
    at = seal["Keys"].index(key)
    added = unpacked_hashes(seal["LeafHashes"])
    leaf = leaf_of(facts_of(record), unpacked_hashes(seal["CiphertextHashes"])[at])
    if leaf_hash(leaf) != added[at]:
        raise StackError(f"{key}: is not what seal {seal['Seal']} has: somebody changed it; run `ledger verify`")
    index = before.size + at
    try:
        proof = ProofFile(leaf, index, inclusion_proof_in_seal(before, added, index), seal["Checkpoint"])
        check(proof, [VerifierKey.parse(seal["VerifierKey"])])
    except (ValueError, NoteError):
        raise StackError(f"{key}: seal {seal['Seal']} or the one before it was changed: run `ledger verify`") from None
    return proof, seal
