"""What the ledger's functions share: the payment, its item and its outcome events.

A function imports it before anything else (`ruff.toml` beside it sees to that), for the next line's sake.
"""

import gc

# Nearly all that is made while an environment starts is kept, so that looking through it for garbage is lost time: a
# twentieth of a start. The threshold is above what a start makes; what calls leave behind is still collected, rarely.
gc.set_threshold(100_000)
