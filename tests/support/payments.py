"""One payment, as it is before and after its token is encrypted."""

from ledger.item import EncryptedPayment
from ledger.payment import Payment

PAYMENT = Payment(
    transaction_id="txn-1",
    amount="10.50",
    currency="EUR",
    processor_id="acme",
    status="Success",
    timestamp="2026-11-23T09:30:00.000000Z",
    metadata={"order": "A-1"},
)
ENCRYPTED = EncryptedPayment(
    payment=PAYMENT,
    ciphertext=b"ciphertext",
    token_key="arn:aws:kms:us-east-1:123456789012:key/1",
    execution="arn:aws:states:us-east-1:123456789012:execution:PaymentLedger:1",
    recorded_at="2026-11-23T09:30:02.000000Z",
)
