"""Questions to the query function: one payment, or pages of payments or entries."""

import json
from collections.abc import Iterator
from typing import Any

from ledger_cli.stack.client import NO_LOG, FunctionError, Stack, StackError

PAGE_SIZE = 100

RULES = {
    "cursor": "is not a cursor of this command: begin without one",
    "of_another_query": "belongs to another query: give the same options as for the page before it",
    "identifier": "is 1 to 64 of A-Z a-z 0-9 _ -",
    "not_before_to": "is not before --to",
    "timestamp": "is a date and time with an offset, such as 2026-11-24T00:00:00Z",
}
"""The rules of a query, for the person who typed it."""

TYPED = {"ProcessorID": "--processor", "TransactionID": "a TransactionID"}
"""The fields of a query that are not typed as an option of the same name."""


def query_ledger(stack: Stack, query: dict[str, Any]) -> Any:
    """Return the answer of the query function.

    Raises:
        StackError: the query breaks a rule, the item cannot be read, or AWS denies the call.
    """
    try:
        answer = stack.invoke("QueryFunction", query)
    except FunctionError as error:
        require_readable(error)
        if error.name == "UnreadableSealError":
            raise StackError(f"{error.message}: its item was changed; see docs/operate/runbook.md#unsealed") from None
        if error.name != "InvalidQueryError":
            raise StackError(f"query_payment_ledger failed: {error}") from None
        violations = json.loads(error.message)["Violations"]
        if "Seals" in query and any(one["Rule"] == "unknown_field" for one in violations):
            raise StackError(NO_LOG) from None
        raise StackError("; ".join(map(_describe_violation, violations))) from None
    if "Payment" in answer and "Entries" not in answer:
        raise StackError("the stack has no entries: deploy this version of it")
    return answer


def _describe_violation(violation: dict[str, str]) -> str:
    field, rule = violation["Field"], violation["Rule"]
    return f"{TYPED.get(field, f'--{field.lower()}')} {RULES.get(rule, rule)}"


def read_pages(stack: Stack, query: dict[str, Any], *, limit: int | None, cursor: str | None = None) -> Iterator[Any]:
    """Yield payments or entries, and items that cannot be read, page by page; last, a cursor if more follow.

    Args:
        stack: the stack to ask.
        query: the fields of the query, without its limit and cursor.
        limit: the number after which to stop; None yields all.
        cursor: the cursor of an earlier call, to continue behind it.
    """
    count = 0
    while True:
        page_size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - count)
        page = query_ledger(stack, {**query, "Limit": page_size, "Cursor": cursor})
        found = page["Entries" if "Entries" in query else "Payments"]
        yield from found
        yield from page["Unreadable"]
        count, cursor = count + len(found), page["Cursor"]
        if cursor is None:
            return
        if count == limit:
            yield cursor
            return


def is_unreadable(found: Any) -> bool:
    """Return whether an element of `read_pages` is an item that the query function could not read."""
    return "Attribute" in found


def require_readable(error: FunctionError) -> None:
    """Return if a function's error is another one than that of a damaged item.

    Raises:
        StackError: an item is damaged.
    """
    if error.name == "UnreadableItemError":
        raise StackError(describe_unreadable(json.loads(error.message))) from None


def describe_unreadable(item: dict[str, Any]) -> str:
    """Return one line about an item that the query function cannot read."""
    entry = f" entry {item['Entry']}" if "Entry" in item else ""
    return (
        f"{item['TransactionID']}{entry}: its attribute {item['Attribute']} is not what the ledger has written; "
        "see docs/operate/runbook.md#held-back"
    )
