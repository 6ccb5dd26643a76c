"""The records of a deployed stack, read through its query function into the draft of an export."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ledger_cli.books.draft import Draft
from ledger_cli.stack.client import FunctionError, Stack, StackError
from ledger_cli.stack.queries import PAGE_SIZE, query_ledger

MARKERS = frozenset({"PublishedAt", "Seal"})
"""What changes after a record was written. An export has only what never changes."""


def gather(stack: Stack, draft: Draft, processors: Sequence[str], first: str | None, last: str | None) -> Iterator[int]:
    """Read what the draft does not have yet, and yield the number of new records after each call.

    Entries are read before payments, so that an export without limits of time has the payment of each entry. What was
    recorded after the draft began is left out: the lists that were read first cannot have it.

    Raises:
        StackError: the query breaks a rule, AWS denies the call, or the tables have a gap. The draft keeps what was
            read.
    """
    for processor_id in processors:
        for listed in ("Entries", "Payments"):
            yield from _list(stack, draft, processor_id, listed, {"From": first, "To": last})
    if first is None and last is None:
        yield from _complete(stack, draft)
    draft.cut()


def gather_log(stack: Stack, draft: Draft, seal: int | None) -> Iterator[int]:
    """Read the seals, their records, and what else their processors reported, and yield the number after each call.

    The seals are read first: each of their records is in the tables by then. A sealed record that was not read is
    looked up by its ID, and then all that its processor reported is listed.

    Args:
        stack: the stack to ask.
        draft: the draft, which keeps what was read.
        seal: the last seal; None for the last one that is finished.

    Raises:
        StackError: the log has no such seal, or AWS denies the call.
    """
    yield from _read_seals(stack, draft, seal)
    while (transaction_id := draft.not_read()) is not None:
        found, unreadable = _look_up(stack, transaction_id)
        draft.replace(transaction_id, map(facts_of, found), unreadable)
        draft.looked_up(transaction_id)
        yield len(found)
        for processor_id in {one["ProcessorID"] for one in found}:
            for listed in ("Entries", "Payments"):
                yield from _list(stack, draft, processor_id, listed, {"From": None, "To": None})


def _read_seals(stack: Stack, draft: Draft, last: int | None) -> Iterator[int]:
    cursor, is_read = draft.cursor_of("Seals")
    while not is_read:
        first = int(cursor or 1)
        answer = query_ledger(stack, {"Seals": True, "First": first})
        # A seal without a checkpoint is the log's last one, and still being finished.
        seals = [one for one in answer["Seals"] if last is None or one["Seal"] <= last]
        wanted = [one for one in seals if one["Checkpoint"] is not None]
        following = max((one["Seal"] + 1 for one in wanted), default=first)
        is_read = following > last if last is not None else answer["Next"] is None
        draft.add_seals("Seals", None if is_read else f"{following}", wanted)
        yield 0
        if not is_read and answer["Next"] is None:
            raise StackError(f"the log has no finished seal {last} yet: its last one is {draft.last_seal()}")


def _look_up(stack: Stack, transaction_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the tables have of a payment, and its damaged items."""
    try:
        answer = stack.invoke("QueryFunction", {"TransactionID": transaction_id})
    except FunctionError as error:
        if error.name != "UnreadableItemError":
            raise
        return [], [json.loads(error.message)]
    found = [] if answer["Payment"] is None else [answer["Payment"], *answer["Entries"]]
    return found, answer["Unreadable"]


def _list(
    stack: Stack, draft: Draft, processor_id: str, listed: str, between: Mapping[str, str | None]
) -> Iterator[int]:
    """Read one list of a processor page by page, from where the draft left it."""
    name = f"{processor_id} {listed}"
    query = {"ProcessorID": processor_id, "Limit": PAGE_SIZE, **between}
    if listed == "Entries":
        query["Entries"] = True
    cursor, is_read = draft.cursor_of(name)
    while not is_read:
        page = query_ledger(stack, {**query, "Cursor": cursor})
        cursor = page["Cursor"]
        draft.add(name, cursor, map(facts_of, page[listed]), page["Unreadable"])
        is_read = cursor is None
        yield len(page[listed])


def _complete(stack: Stack, draft: Draft) -> Iterator[int]:
    """Read each payment with a gap from the tables themselves, which are never behind."""
    for transaction_id in draft.incomplete():
        answer = query_ledger(stack, {"TransactionID": transaction_id})
        if answer["Payment"] is not None:
            draft.replace(transaction_id, map(facts_of, [answer["Payment"], *answer["Entries"]]), answer["Unreadable"])
        yield 0
    if gaps := draft.incomplete():
        raise StackError(f"{gaps[0]}: what is before one of its entries is not in the tables: see the runbook")


def facts_of(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payment or an entry of the query function without what changes later."""
    return {name: value for name, value in view.items() if name not in MARKERS}
