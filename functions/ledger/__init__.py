"""What the ledger's functions share: the payment, its item in the table, and its outcome events."""
