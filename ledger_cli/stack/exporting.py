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


def gather_sealed(
    stack: Stack, draft: Draft, processors: Sequence[str] | None, seal: int | None, until: str | None
) -> Iterator[int]:
    """Read the seals and their records that the draft does not have yet, and yield their number after each call.

    The seals are read first: each of their records is in the tables by then. If no processor is named, a sealed record
    that was not read is looked up by its ID, and then all that its processor reported is listed.

    Args:
        stack: the stack to ask.
        draft: the draft.
        processors: the processors whose records are wanted; None for all.
        seal: the last seal; None for the log's last one.
        until: the last RecordedAt of a record; None for any.

    Raises:
        StackError: the log has no such seal, or AWS denies the call. The draft keeps what was read.
    """
    yield from _read_seals(stack, draft, seal)
    for processor_id in processors or ():
        yield from _list_all(stack, draft, processor_id)
    while processors is None and (transaction_id := draft.not_read()) is not None:
        found, unreadable = _look_up(stack, transaction_id)
        draft.replace(transaction_id, map(facts_of, found), unreadable)
        draft.looked_up(transaction_id)
        yield len(found)
        for processor_id in {one["ProcessorID"] for one in found}:
            yield from _list_all(stack, draft, processor_id)
    draft.keep_sealed(until)


def _read_seals(stack: Stack, draft: Draft, last: int | None) -> Iterator[int]:
    cursor, is_read = draft.cursor_of("Seals")
    while not is_read:
        answer = query_ledger(stack, {"Seals": True, "First": int(cursor or 1)})
        following = answer["Next"]
        is_read = following is None or (last is not None and following > last)
        # A seal without a checkpoint is the log's last one, and still being finished.
        seals = [seal for seal in answer["Seals"] if seal["Checkpoint"] is not None]
        wanted = [seal for seal in seals if last is None or seal["Seal"] <= last]
        cursor = None if is_read else f"{following}"
        draft.add_seals("Seals", cursor, wanted)
        yield 0
    if last is not None and draft.last_seal() != last:
        raise StackError(f"the log has no seal {last} yet: its last one is {draft.last_seal()}")


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


def _list_all(stack: Stack, draft: Draft, processor_id: str) -> Iterator[int]:
    for listed in ("Entries", "Payments"):
        yield from _list(stack, draft, processor_id, listed, {"From": None, "To": None})


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
