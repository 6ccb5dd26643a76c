"""What the tests of several formats share: reading a message to its end, and adding up a payment's entries."""

import contextlib
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ledger.entry import Entry, parse_entry
from ledger.formats import FORMATS
from ledger.payment import Payment, parse_payment
from ledger.signature import InvalidSignatureError, Received, Scheme, verify
from ledger.totals import Totals, after, opening, violations
from ledger.violations import InvalidInputError
from ledger_cli import ROOT

WEBHOOKS: Path = ROOT / "events/webhooks"
URL = "https://api.example/processors/sample/payments"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**64), 10**64) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def deep(levels: int) -> Any:
    """Return lists in lists, deeper than Python can print: a message may be parsed where less of the stack is used."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: list[Any] = [
    *(None, True, 0, -1, 7.5, float("nan"), 10**64, "", "x" * 100_000, "9" * 100_000, "\ud800", "é", "a\nb"),
    *([], {}, [None], [{}], {"id": "x"}, {"a": [1]}, deep(5000), [[]] * 10_000),
]
"""Values that no processor documents, for any field."""


def sample(name: str) -> Any:
    """Return the sample message of this name."""
    return json.loads((WEBHOOKS / f"{name}.json").read_text())


def read(format_name: str, message: Any) -> Payment | Entry | None:
    """Return what a message reports, in canonical form; None if it reports nothing.

    Raises:
        InvalidInputError: the message breaks a rule of the format or of the contract.
    """
    start_input = FORMATS[format_name].start_input(message, "acme")
    if start_input is None:
        return None
    if "Kind" in start_input:
        return parse_entry(start_input)
    return parse_payment(start_input, default_currency="EUR")[0]


def broken_by(format_name: str, message: Any) -> tuple[type[InvalidInputError] | None, set[tuple[str, str]]]:
    """Return the class of the error with which a message is rejected, and the broken rules with their fields."""
    try:
        read(format_name, message)
    except InvalidInputError as refused:
        return type(refused), {*refused.violations}
    return None, set()


def read_whatever(format_name: str, message: Any) -> None:
    """Read a message to its end; only the errors of an invalid input may leave."""
    with contextlib.suppress(InvalidInputError):
        reported = read(format_name, message)
        assert reported is None or reported.fingerprint


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place in a message: an object or a list, and a name or an index in it."""
    if not isinstance(value, (dict, list)):
        return []
    own: list[tuple[Any, Any]] = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    return own + [place for _, key in own for place in places(value[key])]


def reason(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes, now_s: int) -> str | None:
    """Return why a signature is invalid; None if it is valid."""
    try:
        verify(scheme, [secret], Received.of(headers, URL, body), now_s)
    except InvalidSignatureError as refused:
        return str(refused)
    return None


def totals_after(messages: list[Any], format_name: str) -> Totals:
    """Return the totals of the payment and its entries that messages report, in whichever order they come.

    The ledger records each entry once, and an entry that comes too early waits for the other.
    """
    reported = [one for one in (read(format_name, message) for message in messages) if one is not None]
    (payment, *others) = [one for one in reported if isinstance(one, Payment) and one.status == "Success"]
    assert {one.fingerprint for one in others} <= {payment.fingerprint}
    return totals_of(payment, [one for one in reported if isinstance(one, Entry)])


def totals_of(payment: Payment, waiting: list[Entry]) -> Totals:
    """Return the payment's totals after all of its entries. Each is recorded once, as soon as it fits."""
    totals, kept = opening(payment), list[Entry]()
    while waiting:
        left = []
        for entry in waiting:
            twin = next((one for one in kept if one.entry_id == entry.entry_id), None)
            if twin is not None:
                assert twin.fingerprint == entry.fingerprint
            elif violations(payment, kept, totals, entry):
                left.append(entry)
            else:
                totals = after(totals, entry)
                kept.append(entry)
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
