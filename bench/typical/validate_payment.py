"""Validates a payment in the typical way: Powertools' Logger, Metrics and Tracer, and a pydantic model."""

from model import Payment, logger, metrics, tracer


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics(raise_on_empty_metrics=False)
def handler(event, context):
    Payment(**{name: value for name, value in event.items() if name != "SecureToken"})
    logger.info("payment validated")
    token = event.pop("SecureToken")
    return {"Payment": event, "SecureToken": token}
