"""The promises about the sealed log as checks: it only grows, has each record once, and what was signed stays true.

Nothing here computes with the ledger's own code: leaves, roots, checkpoints and signatures are made and read again.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.simulation import entry_invariants
from tests.simulation.observations import Item, Moment, Observations, ViolationError, import_of

SEALED = "LedgerSealed"
"""Type of the event about a seal."""

CHECKPOINT = ("Note", "VerifierKey")
"""The attributes that a seal gets when it is finished."""

MARKERS = {"Seal", "Unsealed"}
HASH_BYTES = 32
TEXTS = ("TransactionID", "Currency", "ProcessorID", "Status", "Timestamp", "Fingerprint", "Execution", "RecordedAt")
"""Facts of a payment that its item has as texts, under the same names."""


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves, by its definition. Source: RFC 6962, section 2.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1  # the largest power of two that is smaller than their number
    return hashlib.sha256(b"\x01" + root_of(hashes[:half]) + root_of(hashes[half:])).digest()


def peaks_of(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the complete trees that the log consists of: one for each bit of its size that is set."""
    peaks, start = [], 0
    for bit in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> bit & 1:
            peaks.append(root_of(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return peaks


def leaf_hash_of(item: Item, ciphertext_hash: bytes) -> bytes:
    """Return the hash of the leaf that a payment or an entry must have."""
    if "EntryID" in item:
        facts = {"Schema": "payment-ledger/entry/1", **entry_invariants.plain(item)}
    else:
        metadata = {name: text["S"] for name, text in item["Metadata"]["M"].items() if name != "ledger:import"}
        amount = f"{Decimal(item['Amount']['N']):.2f}"
        facts = {"Schema": "payment-ledger/payment/1", "Metadata": metadata, "Amount": amount}
        facts |= {name: item[name]["S"] for name in TEXTS}
        if form := import_of(item):
            facts["Import"] = form
    facts["CiphertextSHA256"] = ciphertext_hash.hex()
    leaf = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(b"\x00" + leaf.encode()).digest()


def check_log(observed: Observations, moment: Moment) -> None:
    """Require that the log is whole, and that markers, checkpoints and events say what it has."""
    for key, item in moment.items.items():
        payment = moment.payments.get(key.partition("#")[0])
        if payment and key not in observed.tampered:
            _, mark, entry = key.partition("#")
            ciphertext_hash = hashlib.sha256(_bytes(payment["SecureToken"]) + f"{mark}{entry}".encode()).digest()
            observed.leaves[key] = leaf_hash_of(item, ciphertext_hash), ciphertext_hash
    numbers = [int(seal["Seal"]["N"]) for seal in moment.seals]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ViolationError(f"the seals have the numbers {numbers}")
    if gone := sorted(observed.seals.keys() - set(numbers)):
        raise ViolationError(f"seal {gone[0]} is gone")
    seal_by_key: dict[str, int] = {}
    leaves: list[bytes] = []
    for number, seal in enumerate(moment.seals, 1):
        _check_unchanged(observed, number, seal)
        previous_root = root_of(leaves)
        leaves += _check_records(observed, number, seal, seal_by_key)
        tree = {"PreviousRoot": previous_root, "Root": root_of(leaves), "Peaks": b"".join(peaks_of(leaves))}
        for name, expected in tree.items():
            if _bytes(seal[name]) != expected:
                raise ViolationError(f"the {name} of seal {number} is not that of all leaves")
        if int(seal["Size"]["N"]) != len(leaves):
            raise ViolationError(f"the Size of seal {number} is {seal['Size']['N']}, and the log has {len(leaves)}")
    _check_markers(observed, moment, seal_by_key)
    _check_events(observed, moment)
    for number, seal in enumerate(moment.seals, 1):
        if "Note" in seal:
            _check_finished(observed, number, seal, moment)
        elif number < len(moment.seals):
            raise ViolationError(f"seal {number} is not finished, and another one follows it")


def _check_unchanged(observed: Observations, number: int, seal: Item) -> None:
    """Require that a seal stays as it is. It gets its checkpoint once, and both attributes of that together."""
    content = {name: value for name, value in seal.items() if name not in CHECKPOINT}
    if observed.seals.setdefault(number, content) != content:
        raise ViolationError(f"seal {number} was changed after it was committed")
    checkpoint = {name: seal[name] for name in CHECKPOINT if name in seal}
    if len(checkpoint) == 1:
        raise ViolationError(f"seal {number} has {next(iter(checkpoint))} alone")
    if observed.checkpoints.get(number, checkpoint) != checkpoint:
        raise ViolationError(f"the checkpoint of seal {number} was changed")
    if checkpoint:
        observed.checkpoints[number] = checkpoint
    assert observed.log
    if seal["Log"]["S"] != observed.log.origin:
        raise ViolationError(f"seal {number} is in another log")
    if datetime.fromisoformat(seal["SealedAt"]["S"]) not in {datetime.fromisoformat(due) for due in observed.due}:
        raise ViolationError(f"seal {number} has a time at which no sealer was due")


def _check_records(observed: Observations, number: int, seal: Item, seal_by_key: dict[str, int]) -> list[bytes]:
    """Require that a seal has records that no other one has, in the order of their keys; return their leaf hashes."""
    keys = seal["Keys"]["S"].split("\n")
    if keys != sorted(keys, key=_order):
        raise ViolationError(f"the records of seal {number} are not in the order of their keys: {keys}")
    hashes, ciphertext_hashes = (list(_hashes(seal[name])) for name in ("LeafHashes", "CiphertextHashes"))
    if not len(keys) == len(hashes) == len(ciphertext_hashes):
        raise ViolationError(f"seal {number} does not have as many keys as hashes")
    for key, leaf_hash, ciphertext_hash in zip(keys, hashes, ciphertext_hashes, strict=True):
        if key in seal_by_key:
            raise ViolationError(f"{key} is in seal {seal_by_key[key]} and in seal {number}")
        seal_by_key[key] = number
        if key not in observed.leaves:
            raise ViolationError(f"seal {number} has {key}, which nobody recorded")
        expected_leaf_hash, expected_ciphertext_hash = observed.leaves[key]
        if ciphertext_hash != expected_ciphertext_hash:
            raise ViolationError(f"seal {number} does not have the hash of the ciphertext of {key}")
        if leaf_hash != expected_leaf_hash:
            raise ViolationError(f"seal {number} does not have the leaf of {key}")
    return hashes


def _order(key: str) -> tuple[str, int]:
    transaction_id, _, entry = key.partition("#")
    return transaction_id, int(entry or 0)


def _check_markers(observed: Observations, moment: Moment, seal_by_key: Mapping[str, int]) -> None:
    for key, item in moment.items.items():
        markers = MARKERS & item.keys()
        if len(markers) != 1 and not (key in observed.from_before_the_log and not markers):
            raise ViolationError(f"{key} is marked as sealed and as unsealed, or as neither")
        marker = item.get("Seal")
        if observed.sealed.get(key, marker) != marker:
            raise ViolationError(f"the seal that {key} is marked with was changed")
        if marker:
            observed.sealed[key] = marker
            if key not in observed.tampered and seal_by_key.get(key) != int(marker["N"]):
                raise ViolationError(f"{key} is marked with seal {marker['N']}, and is not in it")


def _check_events(observed: Observations, moment: Moment) -> None:
    """Require that each published checkpoint is the one of its seal, and always the same."""
    for event in moment.events:
        if event["detail-type"] != SEALED:
            continue
        detail = event["detail"]
        number = detail["Seal"]
        if not 1 <= number <= len(moment.seals):
            raise ViolationError(f"seal {number} was published, and the log does not have it")
        seal = moment.seals[number - 1]
        expected = {
            "Version": "1",
            "Outcome": "SEALED",
            "SealedAt": seal["SealedAt"]["S"],
            "Records": len(seal["Keys"]["S"].split("\n")),
            "Size": int(seal["Size"]["N"]),
        }
        if differs := sorted(name for name, value in expected.items() if detail[name] != value):
            raise ViolationError(f"the event of seal {number} differs from it in {differs}")
        _check_checkpoint(observed, seal, detail["Checkpoint"], detail["VerifierKey"])
        if observed.announced.setdefault(number, detail) != detail:
            raise ViolationError(f"seal {number} was published with two contents")
    ids = [detail["OutcomeID"] for detail in observed.announced.values()]
    if len(set(ids)) != len(ids):
        raise ViolationError("two seals were published under one OutcomeID: a consumer drops one of them")


def _check_finished(observed: Observations, number: int, seal: Item, moment: Moment) -> None:
    _check_checkpoint(observed, seal, seal["Note"]["S"], seal["VerifierKey"]["S"])
    items = moment.items
    for key in seal["Keys"]["S"].split("\n"):
        if key not in observed.tampered and "Seal" not in items[key]:
            raise ViolationError(f"seal {number} is finished, and {key} is not marked with it")
    detail = observed.announced.get(number)
    if detail is None:
        raise ViolationError(f"seal {number} is finished, and was not published")
    if [detail["Checkpoint"], detail["VerifierKey"]] != [seal[name]["S"] for name in CHECKPOINT]:
        raise ViolationError(f"seal {number} was published with another checkpoint than it has")


def _check_checkpoint(observed: Observations, seal: Item, note: str, key: str) -> None:
    """Require that a checkpoint was signed by the seal key, and has the size and the root of its seal."""
    if (note, key) not in observed.verified:
        observed.verified[note, key] = _verified(observed, note, key)
    if observed.verified[note, key] != (int(seal["Size"]["N"]), _bytes(seal["Root"])):
        raise ViolationError(f"the checkpoint of seal {seal['Seal']['N']} has another size or root")


def _verified(observed: Observations, note: str, key: str) -> tuple[int, bytes]:
    """Return the size and the root of a checkpoint, after its signature was verified.

    Source: C2SP, signed-note and tlog-checkpoint.
    """
    assert observed.log
    origin, public_key = observed.log
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public_key).digest()[:4]
    if key != f"{origin}+{key_id.hex()}+{base64.b64encode(bytes([1]) + public_key).decode()}":
        raise ViolationError(f"{key} is not the seal key")
    text, _, signed = note.partition("\n\n")
    prefix = f"— {origin} "
    try:
        name, size, root = text.split("\n")
        signature = base64.b64decode(signed.removeprefix(prefix).removesuffix("\n"), validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature[4:], f"{text}\n".encode())
        read = int(size), base64.b64decode(root, validate=True)
    except (ValueError, InvalidSignature):
        raise ViolationError(f"a checkpoint does not verify: {note!r}") from None
    if name != origin or signature[:4] != key_id or not (signed.startswith(prefix) and signed.endswith("\n")):
        raise ViolationError(f"a checkpoint names another log or key, or has another form: {note!r}")
    return read


def check_answer(answer: Mapping[str, Any], moment: Moment) -> None:
    """Require that the log has what a run of the sealer answered."""
    number = answer["Seal"]
    last = moment.seals[number - 1] if number else None
    expected = {
        "Size": int(last["Size"]["N"]) if last else 0,
        "Checkpoint": last["Note"]["S"] if last else None,
        "VerifierKey": last["VerifierKey"]["S"] if last else None,
    }
    if differs := sorted(name for name, value in expected.items() if answer[name] != value):
        raise ViolationError(f"a sealer answered for seal {number}, and the log differs in {differs}")


def check_everything_sealed(observed: Observations, answer: Mapping[str, Any] | None, moment: Moment) -> None:
    """Require, once faults have stopped: every record is in one seal and marked with it, and every seal is finished."""
    in_seals = [key for seal in moment.seals for key in seal["Keys"]["S"].split("\n")]
    for key, item in moment.items.items():
        if key in observed.tampered:
            continue
        if in_seals.count(key) != 1:
            raise ViolationError(f"{key} is in {in_seals.count(key)} seals after a run without faults")
        if "Seal" not in item:
            raise ViolationError(f"{key} is not marked after a run without faults")
    for seal in moment.seals:
        if "Note" not in seal:
            raise ViolationError(f"seal {seal['Seal']['N']} is not finished after a run without faults")
    answered = {"Seal": len(moment.seals), "Size": len(in_seals), "Left": 0, "Done": True}
    if answer is None or any(answer[name] != value for name, value in answered.items()):
        raise ViolationError(f"the sealer answered {answer}, and not {answered}, after a run without faults")


def _hashes(attribute: Mapping[str, Any]) -> Iterator[bytes]:
    packed = _bytes(attribute)
    for start in range(0, len(packed), HASH_BYTES):
        yield packed[start : start + HASH_BYTES]


def _bytes(attribute: Mapping[str, Any]) -> bytes:
    value = attribute["B"]
    return base64.b64decode(value) if isinstance(value, str) else bytes(value)
