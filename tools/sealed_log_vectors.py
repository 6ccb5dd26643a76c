"""The test vectors of the sealed log: for those who write a verifier of their own, and for the tests of ours.

They seal the sample payment and its refund, each by a seal of its own, and sign with a key that everybody can make.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.chain import entry_facts
from ledger.checkpoint import checkpoint_text, signed_note, verifier_key
from ledger.item import EncryptedPayment, recorded_facts
from ledger.leaf import ciphertext_hash_of, leaf_of
from ledger.merkle import Tree, leaf_hash
from ledger_cli import REGION, ROOT
from ledger_cli.sealed_log.proof_file import ProofFile
from ledger_cli.sealed_log.proofs import consistency_proof, inclusion_proof
from tools.sample_requests import recorded_entry

TARGET = ROOT / "events/vectors/sealed-log.json"
ORIGIN = f"payment-ledger/123456789012/{REGION}/PaymentLedger"

SEED = hashlib.sha256(b"the sealed log's test vectors").digest()
"""The private key of the vectors. It is public, so a checkpoint with its signature proves nothing."""

CIPHERTEXT = b"what KMS encrypted: here, a text that stands for it"


def texts() -> dict[Path, str]:
    """Return the text of the file, by its path."""
    return {TARGET: json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n"}


def vectors() -> dict[str, Any]:
    """Return the vectors. Binary values are in base64, and hashes of a leaf's form in hexadecimal digits."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    public_key = key.public_key().public_bytes_raw()
    records, seals, tree, hashes = [], [], Tree(), []
    for facts in _facts():
        ciphertext_hash = ciphertext_hash_of(CIPHERTEXT, facts.get("Entry", 0))
        leaf = leaf_of(facts, ciphertext_hash)
        hashes.append(leaf_hash(leaf))
        records.append(
            {
                "Facts": facts,
                "CiphertextSHA256": ciphertext_hash.hex(),
                "CanonicalJSON": leaf.decode(),
                "LeafHash": _base64(hashes[-1:]),
            }
        )
        tree.append(hashes[-1])
        text = checkpoint_text(ORIGIN, tree.size, tree.root)
        note = signed_note(text, ORIGIN, public_key, key.sign(text.encode()))
        seals.append({"Size": tree.size, "Root": _base64([tree.root]), "Checkpoint": note})
    inclusion = [inclusion_proof(hashes, index) for index in range(len(hashes))]
    for index, record in enumerate(records):
        file = ProofFile(str(record["CanonicalJSON"]).encode(), index, inclusion[index], note)
        record |= {"InclusionProof": [_base64([one]) for one in inclusion[index]], "ProofFile": file.text()}
    return {
        "Origin": ORIGIN,
        "SigningSeed": _base64([SEED]),
        "VerifierKey": verifier_key(ORIGIN, public_key),
        "Ciphertext": _base64([CIPHERTEXT]),
        "Records": records,
        "Seals": seals,
        "ConsistencyProof": [_base64([one]) for one in consistency_proof(hashes, 1)],
    }


def _facts() -> list[dict[str, Any]]:
    payment, recorded = recorded_entry()
    encrypted = EncryptedPayment(
        payment=payment,
        ciphertext=CIPHERTEXT,
        token_key=f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000000",
        execution=f"arn:aws:states:{REGION}:123456789012:execution:PaymentLedger:sample",
        recorded_at="2026-11-23T08:30:02.000000Z",
    )
    return [recorded_facts(encrypted.as_item()), entry_facts(recorded.as_item())]


def _base64(parts: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(parts)).decode()
