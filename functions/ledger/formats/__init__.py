"""Formats of webhooks: from a processor's own message to the contract's start input.

A format says how a processor signs its messages (`ledger.signature`), and which module maps them. To add a format, add
its line in `FORMATS`, its scheme, and its module, as `stripe` is one. The contract checks every start input.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.signature import (
    ADYEN,
    CHECKOUT,
    LEMON_SQUEEZY,
    MOLLIE,
    PADDLE,
    POLAR,
    RAZORPAY,
    SQUARE,
    STANDARD_WEBHOOKS,
    STRIPE,
    Scheme,
)


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a processor.

    Attributes:
        scheme: how the processor signs.
        module: the module of this package that maps its messages. It is imported when the first message comes.
        live: whether it takes the live messages, or those of a test mode; None if the messages do not show the mode.
        variant: the text by which the module knows that this format maps some messages differently; None for others.
        corrects: whether the sender can correct a message that is refused. If not, it would only send the same message
            again, and some processors send nothing else in the meantime, or never again.
    """

    scheme: Scheme
    module: str
    live: bool | None = None
    variant: str | None = None
    corrects: bool = False

    def start_input(self, message: Any, processor_id: str) -> dict[str, Any] | None:
        """Return the payment or the entry that a message reports; None if it reports neither.

        Args:
            message: parsed JSON of any form.
            processor_id: the ProcessorID that signed it.

        Raises:
            InvalidInputError: the message breaks a rule of the format.
        """
        module = importlib.import_module(f"ledger.formats.{self.module}")
        options = {name: value for name, value in (("live", self.live), ("variant", self.variant)) if value is not None}
        read: dict[str, Any] | None = module.start_input(message, processor_id, **options)
        return read


FORMATS: Mapping[str, Format] = {
    "standard-webhooks": Format(STANDARD_WEBHOOKS, "standard_webhooks", corrects=True),
    "adyen": Format(ADYEN, "adyen", live=True, variant="automatic"),
    "adyen-test": Format(ADYEN, "adyen", live=False, variant="automatic"),
    "adyen-manual": Format(ADYEN, "adyen", live=True, variant="manual"),
    "adyen-manual-test": Format(ADYEN, "adyen", live=False, variant="manual"),
    "checkout": Format(CHECKOUT, "checkout"),
    "lemon-squeezy": Format(LEMON_SQUEEZY, "lemon_squeezy", live=True),
    "lemon-squeezy-test": Format(LEMON_SQUEEZY, "lemon_squeezy", live=False),
    "mollie": Format(MOLLIE, "mollie", live=True),
    "mollie-test": Format(MOLLIE, "mollie", live=False),
    "paddle": Format(PADDLE, "paddle"),
    "polar": Format(POLAR, "polar"),
    "razorpay": Format(RAZORPAY, "razorpay"),
    "square": Format(SQUARE, "square"),
    "stripe": Format(STRIPE, "stripe", live=True, corrects=True),
    "stripe-test": Format(STRIPE, "stripe", live=False, corrects=True),
}
"""Formats by the name that a processor's secret gives.

Stripe corrects nothing, but it sends a refused event again for days without holding up another one. So the event comes
again if the ledger is corrected in the meantime.
"""
