"""Text for people, and a record for machines: what a verification of the sealed log has found."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ledger_cli.sealed_log.verification import Findings
from ledger_cli.views.layout import Labelled, Labels
from ledger_cli.views.terminal import visible

MAX_SHOWN = 20
"""Records of one kind that the terminal names. `--json` names all of them."""

MEANINGS = {
    "changed": "not as it was sealed",
    "missing": "sealed, and not there any more",
    "extra": "there, and in no seal",
    "unsealed": "waits for the next seal",
    "repeated": "sealed twice, alike: somebody changed its mark",
}
"""What each list of the findings says, for people."""


def findings(found: Findings, key: str, checkpoints: int, *, trusts_stack: bool) -> Iterator[RenderableType]:
    """Show what a verification has found, the verdict last.

    Args:
        found: what it has found.
        key: the key that signed the newest checkpoint, as text.
        checkpoints: how many checkpoints were compared with the log.
        trusts_stack: whether nothing but the stack itself says that the key is the log's.
    """
    shown = {"Key": key, "Checkpoints": f"{checkpoints:,}", "Proven": f"{found.proven:,} records"}
    if trusts_stack:
        shown["Trust"] = "the stack itself showed this key: compare it once with the key that its operator publishes"
    yield Labels(shown)
    for name, meaning in MEANINGS.items():
        records = getattr(found, name)
        if records:
            yield Text(f"\n{name.capitalize()}: {len(records):,} ({meaning})", style="bold")
        for record in records[:MAX_SHOWN]:
            yield Labelled("", visible(f"  {record}"), 2)
        if len(records) > MAX_SHOWN:
            yield Labelled("", f"  {len(records) - MAX_SHOWN:,} more: --json has all of them.", 2)
    if found.faults:
        yield Text("\nWrong", style="bold")
    for fault in found.faults[:MAX_SHOWN]:
        yield Labelled("", visible(f"  {fault}"), 2)
    yield ""
    yield Labelled("", verdict(found), 0)


def verdict(found: Findings) -> str:
    """Return the last line: whether all is proven."""
    if found.is_all_proven:
        return "Proven: each record is as it was sealed, and none is missing."
    if found.is_wrong:
        return "NOT proven: see docs/operate/sealed-log.md#when-a-verification-fails"
    waiting = len(found.unsealed) + found.later
    are = "record is" if waiting == 1 else "records are"
    return f"Nothing is wrong, and {waiting:,} {are} newer than the checkpoint: not proven yet."


def record(found: Findings, key: str, checkpoints: int, *, trusts_stack: bool) -> dict[str, Any]:
    """Return what a verification has found, with keys in snake case."""
    return {
        "key": key, "trusts_stack": trusts_stack, "checkpoints": checkpoints,
        "is_proven": found.is_all_proven, "proven": found.proven,
        "changed": found.changed, "missing": found.missing, "extra": found.extra, "unsealed": found.unsealed,
        "repeated": found.repeated,
        "later": found.later, "faults": found.faults,
    }  # fmt: skip
