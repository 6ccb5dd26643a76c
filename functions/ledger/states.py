"""Payloads that the workflow passes to its functions. Type checkers alone import this module."""

from typing import Any, Literal, NotRequired, TypedDict


class PaymentState(TypedDict):
    """A canonical payment, as `Payment.as_state` writes it."""

    TransactionID: str
    Amount: str
    Currency: str
    ProcessorID: str
    Status: str
    Timestamp: str
    Metadata: dict[str, str]
    Import: NotRequired[str]


class ValidatedPayment(TypedDict):
    """The result of Validate Payment and the event of Encrypt Token. It has exactly one of the two tokens."""

    Payment: PaymentState
    SecureToken: NotRequired[str]
    SealedToken: NotRequired[str]


class EncryptedToken(TypedDict):
    """The result of Encrypt Token."""

    Payment: PaymentState
    EncryptedToken: str
    TokenKey: str


class PersistEvent(EncryptedToken):
    """The event of Persist Payment: the result of Encrypt Token, and which execution brings the payment."""

    Execution: str
    StartTime: str


class PersistedPayment(TypedDict):
    """The result of Persist Payment. `Payment` has the facts that `recorded_facts` reads from the item.

    `Published` says whether its event was published; None if this execution publishes nothing: see `publication_of`.
    """

    Outcome: Literal["RECORDED", "DUPLICATE"]
    Payment: dict[str, Any]
    Published: bool | None


class ValidatedEntry(TypedDict):
    """The result of Validate Entry: a canonical entry, as `Entry.as_state` writes it."""

    Entry: dict[str, Any]


class AppendEvent(ValidatedEntry):
    """The event of Append Entry: the result of Validate Entry, and which execution brings the entry."""

    Execution: str
    StartTime: str


class AppendedEntry(TypedDict):
    """The result of Append Entry. `Entry` has the facts that `RecordedEntry.facts` returns; the rest is as above."""

    Outcome: Literal["RECORDED", "DUPLICATE"]
    Entry: dict[str, Any]
    Published: bool | None


class PublishEvent(TypedDict):
    """The event of Publish Outcome. It has `Cause` if nothing was recorded, otherwise the payment or the entry."""

    Outcome: str
    Execution: str
    Cause: NotRequired[str]
    Payment: NotRequired[dict[str, Any]]
    Entry: NotRequired[dict[str, Any]]
    Published: NotRequired[bool | None]
    PublishedAt: NotRequired[str]
