"""The sample processors, registered for the webhook of the engine's stack."""

from ledger_cli import samples
from ledger_cli.engine import Engine


def register_sample_processors(engine: Engine) -> None:
    """Give each sample processor its secret, and let the webhook read the secrets at its next request."""
    samples.register_sample_processors(engine.client("secretsmanager"), engine.outputs["ProcessorSecrets"])
    engine.functions["ReceivePayment"].restart()
