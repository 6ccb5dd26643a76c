"""`make smoke STACK=…`: what only a deployment can show, asked of a real stack with the caller's own credentials.

It leaves payments behind, under TransactionIDs that begin with `smoke-`: nothing in the ledger can be deleted.
"""

import argparse
import base64
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ledger.intake import seal
from ledger.outcome import outcome_of
from ledger.payment import encryption_context
from ledger_cli import webhook
from ledger_cli.deployed import Stack, StackError
from ledger_cli.webhook import WebhookError

WAIT_S = 60


class SmokeError(Exception):
    """The stack does not do what it should; the message says what was seen."""


def outcome(stack: Stack, payment: dict[str, Any], name: str) -> str:
    """What becomes of a payment; the error's name where it failed technically."""
    states = stack.client("stepfunctions")
    started = states.start_execution(stateMachineArn=stack.outputs["WorkflowArn"], name=name, input=json.dumps(payment))
    described = stack.ended(started["executionArn"], WAIT_S)
    if described["status"] == "RUNNING":
        raise SmokeError(f"the execution {name} still runs after {WAIT_S} s")
    return outcome_of(described) or f"{described['status']} {described.get('error')}"


def checks(stack: Stack) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is asked, in order, each with the question it answers."""
    transaction_id = f"smoke-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    token = f"smoke-token-of-{transaction_id[6:]}"
    sealed = seal(stack.client("kms"), stack.outputs["IntakeKeyArn"], transaction_id, token)
    payment = {
        "TransactionID": transaction_id,
        "SealedToken": sealed,
        "Amount": "1.00",
        "Currency": "EUR",
        "ProcessorID": "smoke-test",
        "Status": "Success",
        "Timestamp": datetime.now(UTC).isoformat(),
    }

    def expect(expected: str, suffix: str, **changes: str) -> None:
        seen = outcome(stack, {**payment, **changes}, f"{transaction_id}-{suffix}")
        if seen != expected:
            raise SmokeError(f"expected {expected}, saw {seen}")

    def the_item_is_encrypted() -> None:
        key = {"TransactionID": {"S": transaction_id}}
        reply = stack.client("dynamodb").get_item(TableName=stack.outputs["TableName"], Key=key, ConsistentRead=True)
        item = reply.get("Item")
        if item is None or "PublishedAt" not in item or token.encode() in item["SecureToken"]["B"]:
            raise SmokeError("the item is not there, not marked as published, or holds the token in clear")

    def the_history_is_encrypted() -> None:
        machine = stack.outputs["WorkflowArn"].removesuffix(":live")
        described = stack.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        if (described.get("encryptionConfiguration") or {}).get("type") != "CUSTOMER_MANAGED_KMS_KEY":
            raise SmokeError("the workflow's history is not encrypted with the stack's key")

    def refused(call: Callable[[], Any], what: str) -> None:
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"AccessDeniedException", "AccessDenied"}:
                raise
        else:
            raise SmokeError(f"{what} was allowed")

    def nothing_is_deleted() -> None:
        key = {"TransactionID": {"S": transaction_id}}
        table = stack.outputs["TableName"]
        refused(lambda: stack.client("dynamodb").delete_item(TableName=table, Key=key), "deleting an item")

    def nobody_decrypts_what_was_sealed() -> None:
        ciphertext, context = base64.b64decode(sealed), encryption_context(transaction_id)
        kms = stack.client("kms")
        refused(lambda: kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=context), "decrypting a sealed token")

    yield "a sealed payment is recorded, through every endpoint", lambda: expect("RECORDED", "1")
    yield "the same payment again is a duplicate", lambda: expect("DUPLICATE", "2")
    yield "another payment under its id is a conflict", lambda: expect("CONFLICT", "3", Amount="2.00")
    yield "an invalid payment is rejected", lambda: expect("REJECTED", "4", Amount="1.001")
    yield "the item is there, encrypted and published", the_item_is_encrypted
    yield "the executions' history is encrypted with the stack's key", the_history_is_encrypted
    yield "an administrator cannot delete the item", nothing_is_deleted
    yield "an administrator cannot decrypt a sealed token", nobody_decrypts_what_was_sealed
    if "WebhookUrl" in stack.outputs:
        posted = {**payment, "TransactionID": f"{transaction_id}-posted", "SecureToken": token}
        del posted["SealedToken"]
        yield "the webhook takes a signed payment, and no other", lambda: takes_what_is_signed(stack, posted)


def takes_what_is_signed(stack: Stack, payment: dict[str, str]) -> None:
    """Post a payment unsigned and signed, as a processor that is let in for this question alone."""
    body = json.dumps(payment).encode()
    processor = webhook.let_in(stack, payment["ProcessorID"], format_name=None, secret=None)
    try:
        unsigned, _ = webhook.post(processor["webhook"], body, {"content-type": "application/json"})
        signed, _ = webhook.send(stack, payment["ProcessorID"], body)
    finally:
        name = f"{stack.outputs['ProcessorSecrets']}{payment['ProcessorID']}"
        stack.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    if (unsigned, signed) != (401, 202):
        raise SmokeError(f"unsigned it answered {unsigned}, signed {signed}")


def run(stack: Stack) -> int:
    """Ask everything and print each answer; returns how many were wrong."""
    failed = 0
    for question, check in checks(stack):
        try:
            check()
        except (SmokeError, StackError, WebhookError, ClientError, BotoCoreError) as error:
            failed += 1
            print(f"FAILED  {question}: {error}")  # noqa: T201
        else:
            print(f"ok      {question}")  # noqa: T201
    return failed


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--region")
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    try:
        failed = run(Stack(arguments.stack, profile=arguments.profile, region=arguments.region))
    except (StackError, ClientError, BotoCoreError, KeyError) as error:
        sys.exit(f"smoke: {arguments.stack}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
