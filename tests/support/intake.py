"""The intake of the engine's stack."""

from ledger.intake import Intake
from ledger_cli.engine import Engine


def intake_of(engine: Engine) -> Intake:
    """The way in of the engine's stack, as a sender has it."""
    return Intake(
        states=engine.client("stepfunctions"),
        kms=engine.client("kms"),
        dynamodb=engine.client("dynamodb"),
        workflow=engine.outputs["WorkflowArn"],
        intake_key=engine.outputs["IntakeKeyArn"],
        table_name=engine.outputs["TableName"],
        default_currency="USD",
    )
