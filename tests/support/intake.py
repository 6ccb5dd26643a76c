"""The intake of the engine's stack."""

from ledger.fast_lane import FastLane
from ledger.intake import Intake
from ledger_cli.engine import Engine


def intake_of(engine: Engine, *, imports: bool = False) -> Intake:
    """Return the intake of the engine's stack, as a processor has it, or as somebody who may import."""
    workflow = engine.outputs.get("FastWorkflowArn")
    return Intake(
        states=engine.client("stepfunctions"),
        kms=engine.client("kms"),
        dynamodb=engine.client("dynamodb"),
        workflow=engine.outputs["WorkflowArn"],
        entries_workflow=engine.outputs["EntriesWorkflowArn"],
        intake_key=engine.outputs["IntakeKeyArn"],
        table_name=engine.outputs["TableName"],
        entries_table_name=engine.outputs["EntriesTableName"],
        default_currency="USD",
        imports=imports,
        fast_lane=FastLane(engine.client("stepfunctions"), workflow) if workflow else None,
    )
