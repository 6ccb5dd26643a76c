"""What `ledger verify EXPORT` costs: seconds, and memory at its peak. The exit status is 1 if a limit is broken.

The seconds are those of the processor, so that other programs on the machine do not count. The command waits for
nothing, so on a free machine it takes no longer.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.sealed import write_log

LEAVES, MAX_S, MAX_MB = 1_000_000, 30, 1000
"""The limits for a million leaves. For fewer, the seconds are in proportion."""


def main(arguments: list[str]) -> int:
    """Verify a log as a person does, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.sealed_log")
    parser.add_argument("--leaves", type=int, default=LEAVES // 5)
    leaves = parser.parse_args(arguments).leaves
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: the peak of a process that starts another counts as the other's too.
        writer = multiprocessing.get_context("spawn").Process(target=write_log, args=(folder, leaves))
        writer.start()
        writer.join()
        command = [sys.executable, "-m", "ledger_cli", "verify", "sealed.jsonl", "--checkpoint", "checkpoint.txt"]
        with (folder / "shown.txt").open("wb") as shown:
            process = subprocess.Popen(  # noqa: S603
                [*command, "--key", "key.txt"],
                cwd=folder,
                env={**os.environ, "XDG_STATE_HOME": name},
                stdout=shown,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        text = (folder / "shown.txt").read_text(encoding="utf-8")
    seconds, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"verified: {leaves:,} leaves in {seconds:.1f} s and {megabytes:.0f} MB")  # noqa: T201
    if process.returncode or f"{leaves:,} records" not in text:
        print(text, file=sys.stderr)  # noqa: T201
        return 1
    return int(seconds > MAX_S * leaves / LEAVES or megabytes > MAX_MB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
