"""What `ledger reconcile --ledger EXPORT` costs for 50,000 and for 100,000 lines: seconds, and memory at its peak.

The seconds are those of the processor, so that other programs on the machine do not count. The command waits for
nothing, so on a free machine it takes no longer.

Every fourth line is a refund. The ledger has exactly what the report has, but for one difference of a cent.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ledger.chain import DeliveredEntry, next_entry
from ledger.entry import Entry
from ledger.payment import Payment
from ledger_cli.books.export import Writer, line_of

SIZES = (50_000, 100_000)
MAX_S, MAX_MB, MAX_GROWTH = 30, 300, 2.5
"""Limits for 100,000 lines, and the most that it may take in proportion to 50,000."""

NOON = "2026-11-24T12:00:00.000000Z"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:payments:scale"
COLUMNS = "balance_transaction_id,charge_id,source_id,created_utc,currency,gross,fee,net,reporting_category\n"


class Cost(NamedTuple):
    """What one run cost."""

    lines: int
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.lines:,} lines in {self.seconds:.1f} s and {self.megabytes:.0f} MB"


def write(folder: Path, lines: int) -> tuple[Path, Path]:
    """Write a report with so many lines, and an export with as many records."""
    report, export = folder / "stripe.csv", folder / "ledger.jsonl"
    query: dict[str, Any] = {"stack": "scale", "processors": ["stripe"], "from": None, "to": None}
    with report.open("w", encoding="utf-8", newline="") as rows, export.open("wb") as file:
        rows.write(COLUMNS)
        writer = Writer(file, {**query, "taken_at": NOON, "version": "0", "records": lines, "unreadable": []})
        number = 0
        while number < lines:
            charge = f"ch_3Scale{number:020}"
            amount = Decimal(1000 + number % 5000) / 100
            payment = Payment(charge, f"{amount:.2f}", "EUR", "stripe", "Success", NOON, {})
            rows.write(_row(charge, charge, amount + (0 if number else Decimal("0.01")), "charge"))
            facts = {**payment.as_state(), "Fingerprint": payment.fingerprint}
            writer.write(line_of({**facts, "Execution": EXECUTION, "RecordedAt": NOON}), is_entry=False)
            number += 1
            if number % 4 == 3 and number < lines:
                refund = f"re_3Scale{number:020}"
                rows.write(_row(charge, refund, Decimal(-1), "refund"))
                entry = Entry(charge, refund, "Refunded", "1.00", "EUR", "stripe", NOON, None, {})
                following = next_entry(payment, [], DeliveredEntry(entry, EXECUTION, NOON))
                writer.write(line_of(following.facts()), is_entry=True)
                number += 1
        writer.end()
    return report, export


def _row(charge: str, source: str, gross: Decimal, category: str) -> str:
    return f"txn_{source},{charge},{source},2026-11-24 12:00:00,eur,{gross},0,{gross},{category}\n"


def run(report: Path, export: Path, lines: int) -> Cost:
    """Run the command, and return what it cost."""
    command = [sys.executable, "-m", "ledger_cli", "reconcile", str(report), "--processor", "stripe"]
    command += ["--format", "stripe", "--ledger", str(export), "--json"]
    with (report.parent / "findings.jsonl").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    findings = (report.parent / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    amounts = sum('"verdict": "amount"' in one or '"verdict":"amount"' in one for one in findings)
    if process.returncode != 1 or len(findings) != lines + 1 or amounts != 1:
        raise RuntimeError(f"the report of {lines:,} lines was not judged rightly")
    return Cost(lines, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(sizes: Sequence[int] = SIZES) -> Iterator[Cost]:
    """Yield what each size costs."""
    for lines in sizes:
        with tempfile.TemporaryDirectory() as folder:
            yield run(*write(Path(folder), lines), lines)


def too_much(costs: Iterable[Cost]) -> list[str]:
    """Return which limits were exceeded."""
    half, whole = costs
    problems = []
    if whole.seconds > MAX_S or whole.megabytes > MAX_MB:
        problems.append(f"{whole}: the limits are {MAX_S} s and {MAX_MB} MB")
    if whole.seconds > MAX_GROWTH * half.seconds:
        problems.append(f"{whole}, and {half}: more than {MAX_GROWTH} times as long")
    return problems
