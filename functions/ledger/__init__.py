"""What the ledger's functions share: the payment, its item and its outcome events."""
