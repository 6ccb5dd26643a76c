"""The sealed log as a verifier sees it: Merkle proofs, signed checkpoints, and files that prove one record.

The modules of this package know nothing of AWS and of clocks, and print nothing. All forms are public ones, so that
verifiers which other people wrote read them too: RFC 6962, and C2SP's signed-note, tlog-checkpoint and tlog-proof.
"""
