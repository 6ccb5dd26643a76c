"""The books: what the ledger recorded, taken out, added up, and compared with what a processor reports.

The modules of this package know nothing of AWS and of clocks. An amount is a `Decimal` that was made from text, and
`amounts.total` adds amounts exactly. No float is on the way.
"""
