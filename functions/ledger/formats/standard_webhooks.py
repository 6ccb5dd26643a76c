"""Standard Webhooks: messages that hold the contract's own start input, alone or in an event."""

import re
from typing import Any

from ledger.entry import ENTRY_FIELDS, TOKENS, is_entry, parse_entry
from ledger.fields import MAX_CORRECTED_FIELDS, intended_field
from ledger.payment import CONTRACT_FIELDS, valid_id
from ledger.violations import InvalidEntryError, InvalidPaymentError, Violation

FIELDS = tuple(dict.fromkeys((*CONTRACT_FIELDS, *ENTRY_FIELDS)))
"""Fields of a payment and of an entry."""

UNMISTAKABLE_FIELDS = tuple(field for field in FIELDS if field != "Kind")
"""Fields that a misspelled name in an event of the entries' groups can be meant as. Any event may have a `kind`."""

PAYMENT_ONLY = TOKENS | {"Status"}
"""Fields that a payment has and an entry has not."""

PAYMENT_EVENT = re.compile(r"payments?([^a-z]|$)", re.IGNORECASE)
"""Beginning of the types of the group `payment`, however a sender separates their parts."""

ENTRY_EVENT = re.compile(r"(refund|dispute|chargeback|capture|void)(s|e?d)?([^a-z]|$)", re.IGNORECASE)
"""Beginning of the types of the groups that entries have."""


def start_input(message: Any, processor_id: str) -> dict[str, Any] | None:
    """Return the message's payment or entry, which is a start input already; None if the message is about neither.

    The contract's fields say what happened, and the type of the event does not. The type only ensures that a message of
    the group `payment` is never ignored, nor one of the entries' groups that misspells the contract's fields.

    Raises:
        InvalidPaymentError: the message is not an object, or names another processor than the one that signed it.
        InvalidEntryError: the same for an entry; or an entry has neither an EntryID nor a Kind.
    """
    if not isinstance(message, dict):
        raise InvalidPaymentError([Violation("Payment", "not_an_object")])
    content = _content(message)
    if not _is_reported(message, content):
        return None
    is_about_an_entry = _is_about_an_entry(message, content)
    if content.get("ProcessorID", processor_id) != processor_id:
        error = InvalidEntryError if is_about_an_entry else InvalidPaymentError
        ids = {"transaction_id": valid_id(content, "TransactionID"), "entry_id": valid_id(content, "EntryID")}
        raise error([Violation("ProcessorID", "another_processor")], **ids)
    if is_about_an_entry and not is_entry(content):
        parse_entry(content)  # raises every broken rule; what is not an entry by its fields would become a payment
    return content


def _content(message: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that an event reports: its `data`, or its own fields without `type` and `timestamp`.

    Source: the Standard Webhooks specification, version 1.0.0, payload structure, which recommends both forms.
    """
    data = message.get("data")
    if isinstance(data, dict) and not any(name in FIELDS for name in message):
        return data
    if isinstance(message.get("type"), str):
        return {name: value for name, value in message.items() if name not in {"type", "timestamp"}}
    return message


def _is_reported(message: dict[str, Any], content: dict[str, Any]) -> bool:
    """Return False for tests of the endpoint and for events about something else, which a processor sends as well.

    An event of another group may have fields like `status` of its own. A message without a type is either the
    contract's or a test, which has few fields. So if it has a misspelled field, it is a payment or an entry with an
    error, and so is an event of the entries' groups. An entry's other fields resemble common names, such as
    `entity_id`, so without a type they do not count: a sender that misspells them misspells a payment's fields too.
    """
    kind = message.get("type")
    if isinstance(kind, str) and not ENTRY_EVENT.match(kind):
        return bool(PAYMENT_EVENT.match(kind)) or any(name in FIELDS for name in content)
    names = {*message, *content} - {"timestamp"}
    known = UNMISTAKABLE_FIELDS if isinstance(kind, str) else CONTRACT_FIELDS
    return len(names) > MAX_CORRECTED_FIELDS or any(name in FIELDS or intended_field(name, known) for name in names)


def _is_about_an_entry(message: dict[str, Any], content: dict[str, Any]) -> bool:
    """Return whether the sender means an entry, so that its errors are those of an entry.

    Without an EntryID and a Kind, this is a guess: by the fields that only a payment has, by the type of the event, or
    by a misspelled EntryID.
    """
    if is_entry(content) or not PAYMENT_ONLY.isdisjoint(content):
        return is_entry(content)
    if isinstance(message.get("type"), str) and ENTRY_EVENT.match(message["type"]):
        return True
    few = len(content) <= MAX_CORRECTED_FIELDS
    return few and any(intended_field(name, UNMISTAKABLE_FIELDS) == "EntryID" for name in content)
