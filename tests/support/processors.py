"""The sample processors, registered for the webhook of the engine's stack."""

from ledger_cli.engine import Engine
from ledger_cli.samples import let_in_processors


def register_sample_processors(engine: Engine) -> None:
    """Give each sample processor its secret, and let the webhook read the secrets at its next request."""
    let_in_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    engine.functions["ReceivePayment"].restart()
