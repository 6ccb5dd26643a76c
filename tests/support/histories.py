"""What the tests of processors' formats share: reading messages to their end, and adding up what they report."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from ledger.entry import Entry, is_entry, parse_entry
from ledger.formats import FORMATS
from ledger.payment import Payment, parse_payment
from ledger.totals import Totals, after, opening, violations
from ledger.violations import InvalidInputError
from ledger_cli import ROOT

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**64), 10**64) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DEEP = json.loads('{"a":' * 900 + "[]" + "}" * 900)
HOSTILE = (
    *(None, True, 0, -1, 10**64, 1e300, float("nan"), "", "\ud800", "\x00", "4111111111111111", "x" * 100_000),
    *([], {}, [None], {"amount": 1}, DEEP, ["x"] * 10_000),
)
"""Values that no processor documents: of other types, huge, deep, and not Unicode."""


def sample(name: str) -> Any:
    """Return a sample event of `events/webhooks`."""
    return json.loads((ROOT / f"events/webhooks/{name}.json").read_text())


def read(format_name: str, message: Any) -> Payment | Entry | None:
    """Return what the ledger would record of a message, under a ProcessorID with the format's name."""
    start_input = FORMATS[format_name].start_input(message, format_name)
    if start_input is None:
        return None
    return parse_entry(start_input) if is_entry(start_input) else parse_payment(start_input, default_currency="XXX")[0]


def read_whatever(format_name: str, message: Any) -> None:
    """Read a message to its end; only the errors of an invalid input may leave."""
    with contextlib.suppress(InvalidInputError):
        recorded = read(format_name, message)
        assert recorded is None or recorded.fingerprint


def rules(format_name: str, message: Any) -> set[tuple[str, str]]:
    """Return the fields and rules by which a message is rejected; none if it is recorded or ignored."""
    try:
        read(format_name, message)
    except InvalidInputError as refused:
        return {*refused.violations}
    return set()


def totals_after(format_name: str, messages: Sequence[Any]) -> Totals:
    """Return the totals of the one payment that the messages report.

    Each payment and each entry is recorded once. One that comes too early waits for the other.
    """
    recorded = [read(format_name, message) for message in messages]
    payments = {one.fingerprint: one for one in recorded if isinstance(one, Payment) and one.status == "Success"}
    (payment,) = payments.values()
    waiting = [one for one in recorded if isinstance(one, Entry)]
    totals, entries = opening(payment), list[Entry]()
    while waiting:
        left = []
        for entry in waiting:
            twin = next((one for one in entries if one.entry_id == entry.entry_id), None)
            assert entry.transaction_id == payment.transaction_id
            if twin is not None:
                assert twin.fingerprint == entry.fingerprint
            elif violations(payment, entries, totals, entry):
                left.append(entry)
            else:
                totals = after(totals, entry)
                entries.append(entry)
        assert len(left) < len(waiting), left
        waiting = left
    return totals


def changed_somewhere(draw: st.DrawFn, message: Any, value: Any) -> Any:
    """Return a copy of a message that has *value* at some place in it."""
    copy = json.loads(json.dumps(message))
    place: Any = copy
    while True:
        key = draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    return copy
