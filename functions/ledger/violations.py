"""Violations: which field breaks which rule, and the errors that report it.

No message contains a value of the input, because a value may be secret.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from ledger.entry import Entry
    from ledger.payment import Payment


ID_NAMES = {"transaction_id": "TransactionID", "entry_id": "EntryID", "processor_id": "ProcessorID"}
"""The IDs of a refusal: attributes of its error, and their names in the error's message."""


class Violation(NamedTuple):
    """A broken rule: the field of the contract, or `Payment` for the whole input, and the rule's stable code."""

    field: str
    rule: str

    def as_dict(self) -> dict[str, str]:
        """Return the violation in the form that events, responses and error messages share."""
        return {"Field": self.field, "Rule": self.rule}


def as_dicts(violations: Iterable[Violation]) -> list[dict[str, str]]:
    """Return several violations in that form."""
    return [violation.as_dict() for violation in violations]


class BrokenRuleError(Exception):
    """A value breaks the rule *rule*. `parse_payment` collects these errors into an `InvalidPaymentError`."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


class InvalidInputError(Exception):
    """An input breaks a contract. The workflow catches this error by its class's name and never retries it.

    A Lambda error passes on nothing but its message. So the message is JSON: the IDs, if they are valid, and every
    violation.
    """

    def __init__(
        self,
        violations: list[Violation],
        *,
        transaction_id: str | None = None,
        entry_id: str | None = None,
        processor_id: str | None = None,
    ) -> None:
        self.violations = sorted(set(violations))
        self.transaction_id, self.entry_id, self.processor_id = transaction_id, entry_id, processor_id
        ids = {name: getattr(self, attribute) for attribute, name in ID_NAMES.items()}
        refusal = {**ids, "Violations": as_dicts(self.violations)}
        super().__init__(json.dumps({name: value for name, value in refusal.items() if value is not None}))

    def sent_by(self, processor_id: str) -> Self:
        """Return the same refusal of an input that this processor has sent, whatever the input says."""
        ids = {"transaction_id": self.transaction_id, "entry_id": self.entry_id}
        return type(self)(self.violations, **ids, processor_id=processor_id)

    @property
    def log_keys(self) -> dict[str, Any]:
        """Keys of a log line: the IDs and the broken rules."""
        rules = [f"{violation.field}: {violation.rule}" for violation in self.violations]
        entry = {} if self.entry_id is None else {"entry_id": self.entry_id}
        return {"transaction_id": self.transaction_id, **entry, "processor_id": self.processor_id, "rules": rules}


class InvalidPaymentError(InvalidInputError):
    """A payment breaks the contract of payments."""


class InvalidEntryError(InvalidInputError):
    """An entry breaks the contract of entries, or does not fit its payment."""


class EntryTooEarlyError(InvalidEntryError):
    """The payment of an entry, or the entry that it undoes, is not recorded yet. The workflow waits before it gives up.

    Processors do not send their messages in order: a refund may overtake its payment.
    """


class ConflictError(Exception):
    """The ledger has something else under the ID. A business error, which is never retried.

    The message is JSON. It names the fields that differ, never their values.
    """

    def __init__(self, delivered: "Payment | Entry", differs: list[str]) -> None:
        self.differs = differs
        ids = {name: id_ for name, id_ in delivered.as_state().items() if name in {"TransactionID", "EntryID"}}
        refusal = {"ProcessorID": delivered.processor_id, "Differs": differs, "Fingerprint": delivered.fingerprint}
        super().__init__(json.dumps(ids | refusal))


class PaymentConflictError(ConflictError):
    """The ledger has a different payment under the TransactionID."""


class EntryConflictError(ConflictError):
    """The payment has a different entry under the EntryID."""
