"""What `ledger verify EXPORT` costs: seconds, and memory at its peak. The exit status is 1 if a limit is broken.

The seconds are those of the processor, so that other programs on the machine do not count. The command waits for
nothing, so on a free machine it takes no longer.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from ledger.seal import MAX_RECORDS
from tests.support.sealed import LogKey, payment_facts, seals_of, write_export

LEAVES, MAX_S, MAX_MB = 1_000_000, 30, 1000
"""The limits for a million leaves. For fewer, the seconds are in proportion."""


def main(arguments: list[str]) -> int:
    """Make a log with so many leaves, verify it as a person does, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.sealed_log")
    parser.add_argument("--leaves", type=int, default=LEAVES // 5)
    leaves = parser.parse_args(arguments).leaves
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seals = seals_of(
            [payment_facts(number) for number in range(first, min(first + MAX_RECORDS, leaves))]
            for first in range(0, leaves, MAX_RECORDS)
        )
        key = LogKey()
        write_export(folder / "sealed.jsonl", seals, map(payment_facts, range(leaves)))
        (folder / "checkpoint.txt").write_text(key.checkpoint(seals[-1]))
        (folder / "key.txt").write_text(key.text)
        del seals
        command = [sys.executable, "-m", "ledger_cli", "verify", "sealed.jsonl", "--checkpoint", "checkpoint.txt"]
        done = subprocess.run(  # noqa: S603
            [*command, "--key", "key.txt"],
            cwd=folder,
            env={**os.environ, "XDG_STATE_HOME": name},
            capture_output=True,
            text=True,
            check=False,
        )
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"verified: {leaves:,} leaves in {seconds:.1f} s and {megabytes:.0f} MB")  # noqa: T201
    if done.returncode or f"{leaves:,} records" not in done.stdout:
        print(done.stdout + done.stderr, file=sys.stderr)  # noqa: T201
        return 1
    return int(seconds > MAX_S * leaves / LEAVES or megabytes > MAX_MB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
