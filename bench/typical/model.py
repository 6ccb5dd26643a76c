"""A payment as a pydantic model, and the Powertools of each function."""

from decimal import Decimal
from typing import Literal

from aws_lambda_powertools import Logger, Metrics, Tracer
from pydantic import BaseModel, Field

logger = Logger(service="payment-ledger")
metrics = Metrics(service="payment-ledger", namespace="PaymentLedger")
tracer = Tracer(service="payment-ledger")


class Payment(BaseModel):
    """The contract's fields, without most of its rules."""

    TransactionID: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    Amount: Decimal
    Currency: str = "USD"
    ProcessorID: str
    Status: Literal["Success", "Failure"]
    Timestamp: str
    Metadata: dict[str, str] = {}
