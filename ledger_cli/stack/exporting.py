"""The records of a deployed stack, read through its query function into the draft of an export."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ledger_cli.books.draft import Draft
from ledger_cli.stack.client import Stack, StackError
from ledger_cli.stack.queries import PAGE_SIZE, query_ledger

MARKERS = frozenset({"PublishedAt"})
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
