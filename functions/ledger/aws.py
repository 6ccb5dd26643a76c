"""How every AWS client here is configured."""

from botocore.config import Config

CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 2
CALL_ATTEMPTS = 3

# botocore waits a random part of 1 s and then of 2 s between three attempts (standard mode).
CALL_TOTAL_S = CALL_ATTEMPTS * (CONNECT_TIMEOUT_S + READ_TIMEOUT_S) + 1 + 2
"""The longest that one call can take; each function's timeout in `template.yaml` is above its calls' sum."""

# The defaults of 60 s are longer than a function lives: it would be ended while it waits, and nobody would learn why.
CLIENT_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    retries={"mode": "standard", "total_max_attempts": CALL_ATTEMPTS},
)
